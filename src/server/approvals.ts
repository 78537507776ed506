/** Peers that an operator let in for one session, and whose connection broke: they need not be asked about again soon. */
import type { Fingerprint } from '../crypto/fingerprint.ts';

/** How long an approval outlives a broken connection, in milliseconds. */
const GRACE = 5 * 60_000;
const MOST = 1000;

export class Approvals {
  readonly #until = new Map<Fingerprint, number>();

  /** The connection of an approved peer broke. */
  keep(fingerprint: Fingerprint): void {
    this.#until.set(fingerprint, performance.now() + GRACE);
    if (this.#until.size <= MOST) return;
    const [oldest] = this.#until.keys();
    if (oldest !== undefined) this.#until.delete(oldest);
  }

  has(fingerprint: Fingerprint): boolean {
    return (this.#until.get(fingerprint) ?? 0) > performance.now();
  }
}
