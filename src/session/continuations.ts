/**
 * What a transfer that broke off leaves for the one that continues it. The files themselves speak for themselves; only
 * names that were given in place of taken ones would be forgotten, and the same file stored twice.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { FileOutcome } from './report.ts';

/** Transfers that are remembered, and names of each. */
const MOST_TRANSFERS = 64;
const MOST_NAMES = 10_000;

interface Kept {
  readonly peer: Fingerprint;
  readonly renamed: Map<string, string>;
}

export class Continuations {
  readonly #kept = new Map<string, Kept>();

  /** Notes what was settled in a transfer. */
  note(transfer: string, peer: Fingerprint, outcomes: readonly FileOutcome[]): void {
    for (const { path, savedAs } of outcomes) {
      if (savedAs === undefined) continue;
      const kept = this.#kept.get(transfer) ?? { peer, renamed: new Map<string, string>() };
      this.#kept.set(transfer, kept);
      if (kept.renamed.size < MOST_NAMES) kept.renamed.set(path, savedAs);
    }
    if (this.#kept.size <= MOST_TRANSFERS) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  /** The transfer has ended for good. */
  forget(transfer: string): void {
    this.#kept.delete(transfer);
  }

  /** Hands over to the transfer that continues another one of the same peer. */
  take(transfer: string | undefined, next: string, peer: Fingerprint): [path: string, name: string][] {
    const kept = transfer === undefined ? undefined : this.#kept.get(transfer);
    if (transfer === undefined || !kept || kept.peer !== peer) return [];
    this.#kept.delete(transfer);
    this.#kept.set(next, kept);
    return [...kept.renamed];
  }
}
