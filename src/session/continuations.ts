/**
 * What a transfer that broke off leaves for the one that continues it. The files themselves speak for themselves; only
 * names that were given in place of taken ones would be forgotten, and the same file stored twice. In a drop-box no name
 * that is there is looked at, so that all that were given are kept for it. And what it has brought is not to be taken
 * for something that was there before and is left alone: so that it is known since when it runs.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { type EarlierPart, NO_EARLIER_PART, type TargetPlace } from '../transfer/target.ts';

/** Transfers that are remembered, names of each, and of all of them, and characters of all their names and paths. */
const MOST_TRANSFERS = 1000;
const MOST_NAMES = 10_000;
const MOST_NAMES_OF_ALL = 100_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;

/** Names that things have got at their target, by path. */
export type SavedNames = readonly (readonly [path: string, name: string])[];

interface NotedTransfer {
  readonly id: string;
  readonly place: TargetPlace | undefined;
  readonly startedAt: Date;
}

interface Kept {
  readonly peer: Fingerprint;
  /** The drop-box, if it is one: what a peer may see elsewhere is no key to what is in there. */
  readonly box: string | undefined;
  readonly renamed: Map<string, string>;
  /** Of its names and their paths. */
  characters: number;
  /** When its first part began. */
  readonly since: number;
}

export class Continuations {
  readonly #kept = new Map<string, Kept>();
  #names = 0;
  #characters = 0;

  /** Notes what was settled in a transfer. */
  note({ id, place, startedAt }: NotedTransfer, peer: Fingerprint, names: SavedNames): void {
    if (place === undefined) return;
    const kept = this.#kept.get(id) ?? begun(peer, boxOf(place), startedAt);
    this.#kept.set(id, kept);
    this.#count(kept, -1);
    for (const [path, name] of names) {
      if (kept.renamed.size >= MOST_NAMES) break;
      kept.characters += path.length + name.length;
      kept.renamed.set(path, name);
    }
    this.#count(kept, 1);
    for (const oldest of this.#kept.keys()) {
      const isBounded = this.#names <= MOST_NAMES_OF_ALL && this.#characters <= MOST_CHARACTERS;
      if (isBounded && this.#kept.size <= MOST_TRANSFERS) return;
      this.forget(oldest);
    }
  }

  /** The transfer has ended for good. */
  forget(transfer: string): void {
    const kept = this.#kept.get(transfer);
    if (kept) this.#count(kept, -1);
    this.#kept.delete(transfer);
  }

  /** Hands over to the transfer that continues another one of the same peer, into the same drop-box if it is one. */
  take(transfer: string | undefined, next: string, peer: Fingerprint, box?: string | undefined): EarlierPart {
    const kept = transfer === undefined ? undefined : this.#kept.get(transfer);
    if (transfer === undefined || kept?.peer !== peer || kept.box !== box) return NO_EARLIER_PART;
    this.#kept.delete(transfer);
    // The peer chooses the number, which may be one that it had before.
    this.forget(next);
    this.#kept.set(next, kept);
    return { renamed: [...kept.renamed], since: kept.since };
  }

  #count({ renamed, characters }: Kept, sign: 1 | -1): void {
    this.#names += sign * renamed.size;
    this.#characters += sign * characters;
  }
}

function begun(peer: Fingerprint, box: string | undefined, startedAt: Date): Kept {
  return { peer, box, renamed: new Map(), characters: 0, since: startedAt.getTime() };
}

/** What {@link Continuations.take} knows a drop-box by. */
export function boxOf({ blind, folder }: TargetPlace): string | undefined {
  return blind ? folder : undefined;
}
