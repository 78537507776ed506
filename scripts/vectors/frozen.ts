/** Vector files as they are read back and written: what is random in them is drawn once and then kept. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const FOLDER = new URL('../../test/vectors/', import.meta.url);

/** A vector file: what it held before, and a way to write it. */
export class VectorFile {
  readonly #file: URL;
  readonly #old: unknown;
  readonly #drawn = new Map<string, Buffer>();

  constructor(name: string) {
    this.#file = new URL(name, FOLDER);
    this.#old = existsSync(this.#file) ? JSON.parse(readFileSync(this.#file, 'utf8')) : undefined;
  }

  /** What the file holds at a place, or undefined. */
  at(...path: readonly string[]): unknown {
    let node = this.#old;
    for (const step of path) {
      if (typeof node !== 'object' || node === null) return undefined;
      node = Object.entries(node).find(([key]) => key === step)?.[1];
    }
    return node;
  }

  /** The bytes that the file holds at a place in hexadecimal, else fresh ones, drawn once. */
  frozen(path: readonly string[], make: () => Uint8Array): Buffer {
    const known = this.at(...path);
    if (typeof known === 'string') return Buffer.from(known, 'hex');
    const key = JSON.stringify(path);
    const bytes = this.#drawn.get(key) ?? Buffer.from(make());
    this.#drawn.set(key, bytes);
    return bytes;
  }

  write(content: object): void {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(this.#file, `${JSON.stringify(content, undefined, 2)}\n`);
  }
}

/** 32 bytes that anybody can compute again. */
export function fixed(text: string): Buffer {
  return createHash('sha256').update(`localstream vectors: ${text}`).digest();
}

/** The same object with its bytes in hexadecimal. */
export function hexOf<Name extends string>(parts: Record<Name, Uint8Array>): Record<Name, string> {
  const texts = { ...parts } as Record<Name, unknown>;
  for (const name in parts) texts[name] = Buffer.from(parts[name]).toString('hex');
  return texts as Record<Name, string>;
}

/** A copy with the lowest bit of one byte turned. */
export function flipped(bytes: Uint8Array, index: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(index) ^ 1, index);
  return copy;
}
