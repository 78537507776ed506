import { errorOf, meaningOf } from '../errors.ts';
import { formatBytes } from '../protocol/size-text.ts';

/** Bytes that are written before it is looked again how much is free. */
const LOOK_BYTES = 1024 * 1024;

/** Bytes that are set aside on the disk for an entry and not written yet. */
interface Reservation {
  reserved: number;
}

/** Sees to it that what is announced and not written yet fits on the disk, a batch at a time. */
export class DiskBudget {
  readonly #freeBytes: () => number;
  #announced = 0;
  #free = 0;
  /** Bytes written since the last look. */
  #unseen = 0;

  constructor(freeBytes: () => number) {
    this.#freeBytes = freeBytes;
  }

  /** Looks how much is free: what was written since the last look is gone from it. */
  look(): void {
    this.#free = this.#freeBytes();
    this.#unseen = 0;
  }

  /**
   * Bytes are about to be written. Other transfers were promised the same room, and how long a stream is nobody knew.
   * Throws NO_SPACE where what is to be left alone is not free any more.
   */
  write(bytes: number): void {
    this.#unseen += bytes;
    if (this.#unseen < LOOK_BYTES) return;
    this.look();
    if (this.#free >= 0) return;
    // The next one looks again, however small it is.
    this.#unseen = LOOK_BYTES;
    throw errorOf('NO_SPACE', shortOf(0, 0));
  }

  /** Sets bytes aside; a stream, whose length is negative, has none. Throws NO_SPACE when they do not fit. */
  reserve(entry: Reservation, bytes: number): void {
    const wanted = Math.max(0, bytes);
    const left = this.#free - this.#announced;
    if (wanted > left) throw errorOf('NO_SPACE', shortOf(wanted, Math.max(0, left)));
    this.#announced += wanted;
    entry.reserved = wanted;
  }

  /** These bytes of an entry are written, or will not be. */
  use(entry: Reservation, bytes: number): void {
    const used = Math.min(bytes, entry.reserved);
    entry.reserved -= used;
    this.#announced -= used;
  }
}

/** The setting is named: what the system calls free is more. */
function shortOf(wanted: number, left: number): string {
  // How much a stream needs nobody knows.
  const needed = wanted > 0 ? `${formatBytes(wanted)} are needed, ` : '';
  return `${meaningOf('NO_SPACE')}: ${needed}${formatBytes(left)} are left above freeSpaceReserve`;
}
