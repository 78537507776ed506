/**
 * Files that several receivers get at once: read and hashed once for those who are near each other. What was read lately
 * is kept; whoever lags further behind reads again, and holds nobody up.
 */
import { createDigest, type Digest } from '../crypto/digest.ts';
import type { SourceReader, SourceTree } from './source-tree.ts';

/** Bytes that are kept: the distance within which receivers share what was read. */
const MOST_KEPT = 32 * 1024 * 1024;
/** Files whose digest is remembered after everybody has closed them. */
const MOST_DIGESTS = 4096;

/** One state of one file: what was read of another state is never mixed in. */
interface SharedFile {
  /** Under which its blocks are kept: a file that is forgotten and opened again gets another. */
  readonly number: number;
  readonly digest: Digest;
  /** Bytes that the digest covers. */
  hashed: number;
  readers: number;
}

export class SharedSource<Reference> {
  readonly #nameOf: (reference: Reference) => string;
  readonly #files = new Map<string, SharedFile>();
  readonly #blocks = new Map<string, Buffer>();
  #kept = 0;
  #lastNumber = 0;

  /** `nameOf` gives a file's key: the same for all receivers. */
  constructor(nameOf: (reference: Reference) => string) {
    this.#nameOf = nameOf;
  }

  /** The tree of one receiver: its own walk and its own open files, with what is read in common. */
  share(tree: SourceTree<Reference>): SourceTree<Reference> {
    return {
      walk: () => tree.walk(),
      open: (reference, size) =>
        this.#open(tree.open(reference, size), `${this.#nameOf(reference)}\0${size}`),
    };
  }

  #open(reader: SourceReader, name: string): SourceReader {
    // Whoever opens it after somebody has written to it reads another file, whatever its name and size.
    const key = `${name}\0${reader.state ?? ''}`;
    const file = this.#files.get(key) ?? this.#newFile();
    // Opened again: it moves behind those that are forgotten first.
    this.#files.delete(key);
    this.#files.set(key, file);
    file.readers += 1;
    let open = true;
    return {
      readAt: (buffer, position) => this.#read(reader, file, buffer, position),
      verifyUnchanged: () => {
        try {
          reader.verifyUnchanged();
        } catch (error) {
          // Not every file system tells two states apart: what was read of this one is for nobody else.
          if (this.#files.get(key) === file) this.#files.delete(key);
          throw error;
        }
      },
      digest: { update: () => {}, digest: () => file.digest.digest() },
      close: () => {
        reader.close();
        if (open) file.readers -= 1;
        open = false;
        this.#forgetFiles();
      },
    };
  }

  #newFile(): SharedFile {
    this.#lastNumber += 1;
    return { number: this.#lastNumber, digest: createDigest(), hashed: 0, readers: 0 };
  }

  #read(reader: SourceReader, file: SharedFile, buffer: Buffer, position: number): number {
    const block = `${file.number}\0${position}\0${buffer.length}`;
    const kept = this.#blocks.get(block);
    if (kept) {
      kept.copy(buffer);
      return kept.length;
    }
    const count = reader.readAt(buffer, position);
    // Each receiver reads in order, so none of them finds a gap before itself; but not all in steps of one length.
    const done = file.hashed - position;
    if (done < count) {
      file.digest.update(buffer.subarray(done, count));
      file.hashed += count - done;
    }
    this.#keep(block, buffer.subarray(0, count));
    return count;
  }

  #keep(block: string, bytes: Buffer): void {
    const copy = Buffer.from(bytes);
    this.#blocks.set(block, copy);
    this.#kept += copy.length;
    for (const [oldest, { length }] of this.#blocks) {
      if (this.#kept <= MOST_KEPT) return;
      this.#blocks.delete(oldest);
      this.#kept -= length;
    }
  }

  #forgetFiles(): void {
    if (this.#files.size <= MOST_DIGESTS) return;
    for (const [key, { readers }] of this.#files) {
      if (readers > 0) continue;
      this.#files.delete(key);
      return;
    }
  }
}
