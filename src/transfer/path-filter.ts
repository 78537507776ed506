/** Which entries of a tree are left out, by the rules of `.gitignore` files: given ones, and those that lie in the tree. */
import fs from 'node:fs';
import ignore, { type Ignore } from 'ignore';
import { LocalstreamError } from '../errors.ts';
import type { FilterRules } from './filter-rules.ts';
import type { Folder } from './folder.ts';
import type { SafeName } from './name.ts';

/** A rule file over this size is no rule file. */
const MOST_RULE_BYTES = 256 * 1024;
const RULE_FILE = '.gitignore' as SafeName;

interface Level {
  /** Number of path components above the folder that the rules are for. */
  readonly depth: number;
  readonly rules: Ignore;
}

/** Follows a depth-first walk: {@link enter} and {@link leave} its folders, ask for each entry. */
export class PathFilter {
  readonly #rules: FilterRules;
  readonly #top: Ignore | undefined;
  readonly #levels: Level[] = [];
  readonly #files: ReadonlySet<string> | undefined;
  readonly #folders = new Set<string>();

  constructor(rules: FilterRules) {
    this.#rules = rules;
    this.#top = rules.patterns.length > 0 ? ignore().add([...rules.patterns]) : undefined;
    this.#files = rules.only && new Set(rules.only);
    for (const path of rules.only ?? [])
      for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1))
        this.#folders.add(path.slice(0, end));
  }

  /** Reads the rules of a folder that the walk enters; `depth` counts the components of its path. */
  enter(folder: Folder, depth: number): void {
    if (!this.#rules.gitignore) return;
    const text = readRules(folder);
    if (text !== undefined) this.#levels.push({ depth, rules: ignore().add(text) });
  }

  leave(depth: number): void {
    if (this.#levels.at(-1)?.depth === depth) this.#levels.pop();
  }

  /** Whether an entry is left out. A path starts with the name of its root, which is itself never left out. */
  excludes(path: readonly string[], isFolder: boolean): boolean {
    const text = path.join('/');
    if (this.#files && !(isFolder ? this.#folders : this.#files).has(text)) return true;
    if (path.length < 2) return false;
    // The innermost file that has an opinion decides, then those further out, then the rules given by hand.
    const given = this.#top && verdict(this.#top, path.slice(1), isFolder);
    if (given !== undefined) return given;
    for (const { depth, rules } of this.#levels.toReversed()) {
      const found = verdict(rules, path.slice(depth), isFolder);
      if (found !== undefined) return found;
    }
    return false;
  }
}

function verdict(rules: Ignore, path: readonly string[], isFolder: boolean): boolean | undefined {
  const { ignored, unignored } = rules.test(`${path.join('/')}${isFolder ? '/' : ''}`);
  if (ignored) return true;
  return unignored ? false : undefined;
}

function readRules(folder: Folder): string | undefined {
  try {
    const { descriptor, stat } = folder.openFile(RULE_FILE, 'read');
    try {
      return stat.size > MOST_RULE_BYTES ? undefined : fs.readFileSync(descriptor, 'utf8');
    } finally {
      fs.closeSync(descriptor);
    }
  } catch (error) {
    // None there, or none that may be read: then it has no say.
    if (error instanceof LocalstreamError) return undefined;
    throw error;
  }
}
