/** What an offer says of the files in it: the roots, and a count for a person to decide by. */
import { ENTRY } from '../protocol/manifest.ts';
import type { OfferedRoot, OfferedTotal } from '../protocol/messages.ts';
import { namedRoots, openSourceTree, type Source, type SourceOptions, type SourceSpec } from './source.ts';

/** An offer waits for its counting: entries, and milliseconds, after which it says "at least". */
const MOST_COUNTED = 20_000;
const PATIENCE = 100;

/** What is offered, and where it is read from. */
export interface Offered {
  readonly roots: OfferedRoot[];
  readonly specs: SourceSpec[];
  /** Undefined where the size of something is not known, as of a pipe. */
  readonly total: OfferedTotal | undefined;
  /** It is one text, to be shown and not kept. */
  readonly text: boolean;
}

/** Looks at what is to be offered. Throws as {@link namedRoots} does. */
export function offeredRoots(paths: readonly Source[], options: SourceOptions): Offered {
  const { roots, specs } = namedRoots(paths);
  const text = specs.length === 1 && specs[0]?.kind === 'text';
  return { roots, specs, total: countEntries(specs, options), text };
}

function countEntries(specs: readonly SourceSpec[], options: SourceOptions): OfferedTotal | undefined {
  const until = performance.now() + PATIENCE;
  let [files, bytes, seen] = [0, 0, 0];
  using tree = openSourceTree(specs, options);
  const walk = tree.walk();
  try {
    for (let next = walk.next(); !next.done; next = walk.next()) {
      const { kind, size } = next.value.entry;
      if (size === -1) return undefined;
      if (kind === ENTRY.file || kind === ENTRY.link) files += 1;
      if (kind === ENTRY.file) bytes += size;
      seen += 1;
      if (seen >= MOST_COUNTED || (seen % 100 === 0 && performance.now() > until))
        return { files, bytes, more: true };
    }
    return { files, bytes, more: false };
  } finally {
    walk.return?.();
  }
}
