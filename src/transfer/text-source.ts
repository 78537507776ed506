/** A short text in memory, as a source and as what a target keeps of one. */
import { errorOf } from '../errors.ts';
import { ENTRY } from '../protocol/manifest.ts';
import { encodeName } from './name.ts';
import type { SourceEntry, SourceReader } from './source-tree.ts';

/** Nobody else on a machine has to read what was meant for one person. */
const TEXT_MODE = 0o600;

/** The only entry of a text. */
export function textEntry<Reference>(
  name: string,
  { length }: Uint8Array,
  reference: Reference,
): SourceEntry<Reference> {
  const entry = {
    kind: ENTRY.file,
    mode: TEXT_MODE,
    mtime: Date.now() * 1000,
    size: length,
    name: encodeName(name),
    extra: Buffer.alloc(0),
  };
  return { entry, path: name, reference };
}

/** Reads it like a file. */
export function openText(text: Uint8Array): SourceReader {
  return {
    readAt: (buffer, position) => {
      const piece = text.subarray(position, position + buffer.length);
      buffer.set(piece);
      return piece.length;
    },
    verifyUnchanged: () => {},
    close: () => {},
  };
}

/** Where a received text is put together. */
export class TextSink {
  readonly #bound: number;
  #held: Buffer = Buffer.alloc(0);

  /** @param bound Bytes, after which it throws LIMIT. */
  constructor(bound: number) {
    this.#bound = bound;
  }

  get bytes(): Buffer {
    return this.#held;
  }

  write(bytes: Uint8Array): void {
    if (this.#held.length + bytes.length > this.#bound)
      throw errorOf('LIMIT', `a text of more than ${this.#bound} bytes is not shown`);
    this.#held = Buffer.concat([this.#held, bytes]);
  }
}
