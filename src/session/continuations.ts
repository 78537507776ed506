/**
 * What a transfer that broke off leaves for the one that continues it. The files themselves speak for themselves; only
 * names that were given in place of taken ones would be forgotten, and the same file stored twice. In a drop-box no name
 * that is there is looked at, so that all that were given are kept for it.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { TargetPlace } from '../transfer/target.ts';

/** Transfers that are remembered, and names of each. */
const MOST_TRANSFERS = 64;
const MOST_NAMES = 10_000;

/** Names that things have got at their target, by path. */
export type SavedNames = readonly (readonly [path: string, name: string])[];

interface NotedTransfer {
  readonly id: string;
  readonly place: TargetPlace | undefined;
}

interface Kept {
  readonly peer: Fingerprint;
  /** The drop-box, if it is one: what a peer may see elsewhere is no key to what is in there. */
  readonly box: string | undefined;
  readonly renamed: Map<string, string>;
}

export class Continuations {
  readonly #kept = new Map<string, Kept>();

  /** Notes what was settled in a transfer. */
  note({ id, place }: NotedTransfer, peer: Fingerprint, names: SavedNames): void {
    if (names.length === 0 || place === undefined) return;
    const kept = this.#kept.get(id) ?? { peer, box: boxOf(place), renamed: new Map<string, string>() };
    this.#kept.set(id, kept);
    for (const [path, name] of names) if (kept.renamed.size < MOST_NAMES) kept.renamed.set(path, name);
    if (this.#kept.size <= MOST_TRANSFERS) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  /** The transfer has ended for good. */
  forget(transfer: string): void {
    this.#kept.delete(transfer);
  }

  /** Hands over to the transfer that continues another one of the same peer, into the same drop-box if it is one. */
  take(
    transfer: string | undefined,
    next: string,
    peer: Fingerprint,
    box?: string | undefined,
  ): [path: string, name: string][] {
    const kept = transfer === undefined ? undefined : this.#kept.get(transfer);
    if (transfer === undefined || kept?.peer !== peer || kept.box !== box) return [];
    this.#kept.delete(transfer);
    this.#kept.set(next, kept);
    return [...kept.renamed];
  }
}

/** What {@link Continuations.take} knows a drop-box by. */
export function boxOf({ blind, folder }: TargetPlace): string | undefined {
  return blind ? folder : undefined;
}
