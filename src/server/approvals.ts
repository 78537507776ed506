/** Peers that a person let in for one session, and whose connection broke: they need not be asked about again soon. */
import type { Fingerprint } from '../crypto/fingerprint.ts';

/** How long an approval outlives a broken connection, in milliseconds. */
const GRACE = 5 * 60_000;
/** How long after the decision one may still come back by it, however often the connection breaks: milliseconds. */
const LONGEST = 24 * 60 * 60_000;
const MOST = 1000;

/** What a person decided about one session. */
export interface Approval {
  readonly fingerprint: Fingerprint;
  /** When, on the clock of `performance.now()`. */
  readonly at: number;
}

export class Approvals {
  /** Those whose connection broke, and until when each is good; the oldest first. */
  readonly #kept = new Map<Approval, number>();

  /** The connection of an approved peer broke. */
  keep(approval: Approval): void {
    this.#kept.set(approval, Math.min(performance.now() + GRACE, approval.at + LONGEST));
    if (this.#kept.size <= MOST) return;
    const [oldest] = this.#kept.keys();
    if (oldest) this.#kept.delete(oldest);
  }

  has(fingerprint: Fingerprint): boolean {
    return this.#find(fingerprint) !== undefined;
  }

  /** The peer is back: who is in by an approval uses it up, so that one decision never lets in two. */
  use(fingerprint: Fingerprint): Approval | undefined {
    const approval = this.#find(fingerprint);
    if (approval) this.#kept.delete(approval);
    return approval;
  }

  /** Somebody wants that peer out: what was decided about its other sessions lets it in no more either. */
  revoke(fingerprint: Fingerprint): void {
    for (const approval of this.#kept.keys())
      if (approval.fingerprint === fingerprint) this.#kept.delete(approval);
  }

  #find(fingerprint: Fingerprint): Approval | undefined {
    const now = performance.now();
    for (const [approval, until] of this.#kept)
      if (approval.fingerprint === fingerprint && until > now) return approval;
    return undefined;
  }
}
