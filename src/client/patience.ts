/**
 * How long a transfer whose connection breaks again and again is gone on with. A server may let everybody in and break each
 * transfer at the same place: that each redial succeeds is no reason to try for ever.
 */

export class Patience {
  readonly #retryFor: number;
  /** The farthest that any connection has come. What is only done once more is no progress. */
  #files = 0;
  #bytes = 0;
  #isFruitless = true;
  /** When the first break was that led no further, and how many there were since. */
  #since: number | undefined;
  #breaks = 0;

  constructor(retryFor: number) {
    this.#retryFor = retryFor;
  }

  /** How far it had come when it broke: files and bytes that are done with, whether they crossed or were there. */
  reached({ files, bytes }: { readonly files: number; readonly bytes: number }): void {
    if (files <= this.#files && bytes <= this.#bytes) return;
    this.#files = Math.max(files, this.#files);
    this.#bytes = Math.max(bytes, this.#bytes);
    this.#isFruitless = false;
  }

  /** It broke: number of the next try, and the milliseconds that are left for tries; none or fewer is the end. */
  next(): { readonly attempt: number; readonly retryFor: number } {
    if (!this.#isFruitless) {
      this.#isFruitless = true;
      this.#since = undefined;
      this.#breaks = 0;
      return { attempt: 1, retryFor: this.#retryFor };
    }
    const now = performance.now();
    this.#since ??= now;
    this.#breaks += 1;
    return { attempt: this.#breaks, retryFor: this.#since + this.#retryFor - now };
  }
}
