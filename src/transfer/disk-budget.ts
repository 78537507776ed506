import { errorOf } from '../errors.ts';

/** Bytes that are set aside on the disk for an entry and not written yet. */
interface Reservation {
  reserved: number;
}

/** Sees to it that what is announced and not written yet fits on the disk, a batch at a time. */
export class DiskBudget {
  readonly #freeBytes: () => number;
  #announced = 0;
  #free = 0;

  constructor(freeBytes: () => number) {
    this.#freeBytes = freeBytes;
  }

  /** Looks how much is free: what was written since the last look is gone from it. */
  look(): void {
    this.#free = this.#freeBytes();
  }

  /** Sets bytes aside; a stream, whose length is negative, has none. Throws NO_SPACE when they do not fit. */
  reserve(entry: Reservation, bytes: number): void {
    const wanted = Math.max(0, bytes);
    if (this.#announced + wanted > this.#free) throw errorOf('NO_SPACE');
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
