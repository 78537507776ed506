/** The numbers by which the dialler may open lanes: granted on the control channel, each good once. */
import { randomInt } from 'node:crypto';

/** Numbers that one transfer may have unused at once. */
const MOST_UNUSED = 16;

export class LaneGrants {
  readonly #transfers = new Map<number, string>();
  // They are no secret; a start by chance only keeps a mistake of ours from looking right in a test.
  #next = randomInt(1, 2 ** 16);

  /** Grants `count` numbers for a transfer. */
  grant(transfer: string, count: number): number[] {
    const numbers: number[] = [];
    let unused = 0;
    for (const of of this.#transfers.values()) if (of === transfer) unused += 1;
    for (let granted = 0; granted < count && unused + granted < MOST_UNUSED; granted += 1) {
      numbers.push(this.#next);
      this.#transfers.set(this.#next, transfer);
      this.#next += 1;
    }
    return numbers;
  }

  /** The transfer of a number, which is used up by it; undefined for one that was never granted or used before. */
  claim(number: number): string | undefined {
    const transfer = this.#transfers.get(number);
    this.#transfers.delete(number);
    return transfer;
  }

  /** The transfer has ended: what it did not use is void. */
  forget(transfer: string): void {
    for (const [number, of] of this.#transfers) if (of === transfer) this.#transfers.delete(number);
  }
}
