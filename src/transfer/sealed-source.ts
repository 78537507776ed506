/** Files that are sealed while they are read: what leaves this machine is for their readers alone. */
import { type KeyObject, randomUUID } from 'node:crypto';
import { type Reader, sealedBytes } from '../crypto/envelope.ts';
import { RepeatedSeal, type SealSecret } from '../crypto/envelope-repeat.ts';
import { errorOf } from '../errors.ts';
import type { ManifestEntry } from '../protocol/manifest.ts';
import { type EntryStat, stateText } from './entry-stat.ts';
import { decodeName, encodeName, MOST_NAME_BYTES, SEALED_SUFFIX } from './name.ts';
import type { SourceReader } from './source-tree.ts';

/** Permission bits of a seal: what is in it is secret, it itself is not, and those of the file stand within. */
const SEALED_MODE = 0o644;

/** For whom the files of a transfer are sealed, and by whom. Crosses to the worker. */
export interface SealSpec {
  readonly readers: readonly Reader[];
  readonly signingKey: KeyObject;
  /** DER SubjectPublicKeyInfo of the signing key. */
  readonly signingSpki: Uint8Array;
  readonly secret: Uint8Array;
}

/** What a file is before it is sealed. */
export interface SealedFile {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly mtime: number;
  readonly mode: number;
  /** Bytes; negative for a stream. */
  readonly size: number;
  /** Everything that tells this state of this file from others. */
  readonly marks: string;
}

/** Seals the files of a tree while they are read. */
export interface Sealing {
  readonly asSealed: (
    entry: ManifestEntry,
    seen: EntryStat | undefined,
  ) => { readonly entry: ManifestEntry; readonly file: SealedFile };
  /** Reads a file as its seal. Takes over `inner`, and closes it. */
  readonly read: (inner: SourceReader, file: SealedFile) => SourceReader;
}

/** What seals as a transfer wants it. */
export function sealingFor(spec: SealSpec): Sealing {
  return {
    asSealed: (entry, seen) => asSealed(entry, seen, spec),
    read: (inner, file) => new SealReader(inner, file, spec),
  };
}

/** Bytes of the seal of a file of `size` bytes; negative for a stream. */
export function sealedSize(size: number, { readers }: Pick<SealSpec, 'readers'>): number {
  return size < 0 ? size : sealedBytes(size, readers.length);
}

/**
 * What is told of a file that is sealed: another name, another size, and nothing of its mode.
 * @param seen What the walk saw; what comes through a pipe has no such thing, and comes only once.
 * @throws BAD_NAME.
 */
function asSealed(
  entry: ManifestEntry,
  seen: EntryStat | undefined,
  spec: SealSpec,
): { readonly entry: ManifestEntry; readonly file: SealedFile } {
  const name = decodeName(entry.name);
  const encoded = encodeName(`${name}${SEALED_SUFFIX}`);
  if (encoded.length > MOST_NAME_BYTES) throw errorOf('BAD_NAME', 'the name is too long to be sealed');
  const marks = seen ? stateText(seen) : randomUUID();
  const { mode, mtime, size } = entry;
  // That it has other names here is nobody's business, and a seal has no holes.
  const { linked: _, stored: __, ...told } = entry;
  return {
    entry: { ...told, name: encoded, mode: SEALED_MODE, size: sealedSize(size, spec) },
    file: { name, mtime: Math.trunc(mtime / 1000), mode, size, marks },
  };
}

/** Reads a file in order, in memory of two pieces. */
class SealReader implements SourceReader {
  readonly #inner: SourceReader;
  readonly #file: SealedFile;
  readonly #seal: RepeatedSeal;
  readonly #plain: Buffer;
  /** Sealed bytes that nobody has read. */
  #waiting: Buffer[];
  #read = 0;
  #given = 0;
  #ended = false;

  constructor(inner: SourceReader, file: SealedFile, spec: SealSpec) {
    this.#inner = inner;
    this.#file = file;
    const { name, mtime, mode, marks } = file;
    this.#seal = new RepeatedSeal({
      readers: spec.readers,
      identity: { signingKey: spec.signingKey, signingSpki: Buffer.from(spec.signingSpki) },
      metadata: { name, mtime, mode },
      secret: Buffer.from(spec.secret) as SealSecret,
      marks,
    });
    const { pieceBytes } = this.#seal;
    this.#plain = Buffer.allocUnsafeSlow(file.size < 0 ? pieceBytes : Math.min(pieceBytes, file.size));
    this.#waiting = [this.#seal.start];
  }

  /** The marks too: of one state of the file, what was walked before it and after it have other seals. */
  get state(): string {
    return `${this.#file.marks} ${this.#inner.state ?? ''}`;
  }

  readAt(buffer: Buffer, position: number): number {
    if (position !== this.#given) throw errorOf('INTERNAL', 'a file that is sealed is read in order');
    let filled = 0;
    while (filled < buffer.length) {
      const next = this.#waiting[0];
      if (!next) {
        if (this.#ended) break;
        this.#sealMore();
        continue;
      }
      const count = next.copy(buffer, filled);
      filled += count;
      if (count === next.length) this.#waiting.shift();
      else this.#waiting[0] = next.subarray(count);
    }
    this.#given += filled;
    return filled;
  }

  verifyUnchanged(): void {
    this.#inner.verifyUnchanged();
  }

  close(): void {
    this.#inner.close();
    this.#waiting = [];
    this.#ended = true;
  }

  #sealMore(): void {
    const { size } = this.#file;
    const left = size < 0 ? this.#plain.length : Math.min(this.#plain.length, size - this.#read);
    const count = left === 0 ? 0 : this.#inner.readAt(this.#plain.subarray(0, left), this.#read);
    this.#read += count;
    if (count > 0) this.#waiting.push(...this.#seal.piece(this.#plain.subarray(0, count)));
    // A stream has ended when it gives less than was asked for; a file that does has shrunk, which its length will show.
    if (count === this.#seal.pieceBytes && this.#read !== size) return;
    this.#waiting.push(...this.#seal.end());
    this.#ended = true;
  }
}
