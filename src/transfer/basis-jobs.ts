/**
 * Describes to the source what is here of its files, so that it sends the rest only: partials of an earlier run and
 * old files are hashed piece by piece, one after another, beside the frames that arrive.
 */
import { createDigest, digestOf } from '../crypto/digest.ts';
import { errorOf } from '../errors.ts';
import { FLAG_COMPARE, FLAG_LAST, FRAME, makeFrame, PIECE_BYTES } from '../protocol/frame.ts';
import { ANSWER, type Answer, encodeBasis, MAX_BASIS_PIECES } from '../protocol/manifest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { PieceBuffer } from './piece-buffer.ts';
import { type Basis, type LiveEntry, roomOf } from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import type { TargetStore } from './target-store.ts';

/** Bytes of a basis that one background step hashes. */
const STEP_BYTES = 8 * PIECE_BYTES;
/** Bases that are open at once. The source answers in their order, so nobody waits for one that is not. */
const MOST_OPEN_BASES = 64;

/** The bases that wait to be described, in the order of their entries. */
export class BasisJobs<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #budget: DiskBudget;
  readonly #scratch: PieceBuffer;
  readonly #emit: ReceiverOptions['emit'];
  readonly #queue: LiveEntry<Folder>[] = [];
  #open = 0;

  constructor(
    store: TargetStore<Folder>,
    budget: DiskBudget,
    scratch: PieceBuffer,
    emit: ReceiverOptions['emit'],
  ) {
    this.#store = store;
    this.#budget = budget;
    this.#scratch = scratch;
    this.#emit = emit;
  }

  /** Puts an entry at the end of the queue, once the answers of its batch have left. */
  start(live: LiveEntry<Folder>, from: Basis['from'], compare: boolean): Answer {
    live.basis = newBasis(compare, from);
    live.state = 'later';
    live.batch.afterAnswers.push(() => this.#queue.push(live));
    return { code: ANSWER.later };
  }

  /** Hashes a bounded stretch of the first basis, and tells `failed` if that can't be done. True: there is more. */
  step(failed: (live: LiveEntry<Folder>, error: unknown) => void): boolean {
    const live = this.#queue[0];
    if (!live?.basis || (!live.basis.opened && this.#open >= MOST_OPEN_BASES)) return false;
    try {
      if (!live.basis.opened) this.#openFiles(live, live.basis);
      this.#hash(live, live.basis);
    } catch (error) {
      this.drop(live);
      failed(live, error);
    }
    return this.#queue.length > 0;
  }

  /** Takes an entry out of the queue. */
  drop(live: LiveEntry<Folder>): void {
    const place = this.#queue.indexOf(live);
    if (place >= 0) this.#queue.splice(place, 1);
  }

  /** Closes the files of an entry's basis, if it has one. */
  close(live: LiveEntry<Folder>): void {
    const { basis } = live;
    if (!basis) return;
    basis.old?.close();
    basis.partial?.keep();
    if (basis.opened) this.#open -= 1;
    live.basis = undefined;
  }

  #openFiles(live: LiveEntry<Folder>, basis: Basis): void {
    const { folder } = live.branch;
    const { name, entry } = live;
    if (folder === undefined || name === undefined) throw errorOf('BAD_NAME');
    basis.opened = true;
    this.#open += 1;
    if (basis.from.partial) {
      const partial = this.#store.openPartial(folder, name, entry.size, live.place);
      basis.partial = partial;
      basis.length = describedBytes(partial.held, entry.size);
      this.#budget.look();
      this.#budget.reserve(live, Math.min(roomOf(entry), entry.size - partial.held));
    }
    if (basis.from.old === undefined || basis.length > 0) return;
    basis.partial?.keep();
    basis.partial = undefined;
    basis.old = this.#store.openBasis(folder, basis.from.old);
    basis.length = describedBytes(basis.old.size, entry.size);
  }

  #hash(live: LiveEntry<Folder>, basis: Basis): void {
    const file = basis.partial ?? basis.old;
    const until = Math.min(basis.length, basis.position + STEP_BYTES);
    while (file && basis.position < until) {
      const bytes = this.#scratch.take(Math.min(PIECE_BYTES, basis.length - basis.position));
      if (file.readAt(bytes, basis.position) < bytes.length)
        throw errorOf('UNREADABLE', 'the old file shrank');
      basis.digest.update(bytes);
      basis.digests.push(digestOf(bytes));
      basis.position += bytes.length;
    }
    const last = basis.position >= basis.length;
    if (last) {
      // From here on the source may speak of it.
      live.state = 'basis';
      this.drop(live);
    }
    while (basis.digests.length >= MAX_BASIS_PIECES) this.#describe(live, basis, MAX_BASIS_PIECES, false);
    if (last) this.#describe(live, basis, basis.digests.length, true);
  }

  #describe(live: LiveEntry<Folder>, basis: Basis, count: number, last: boolean): void {
    const digests = Buffer.concat(basis.digests.splice(0, count));
    const flags = (last ? FLAG_LAST : 0) | (basis.compare ? FLAG_COMPARE : 0);
    const payload = encodeBasis({ first: basis.sent, digests });
    basis.sent += count;
    this.#emit(makeFrame(FRAME.basis, payload, { batch: live.batch.number, index: live.index, flags }));
  }
}

function newBasis(compare: boolean, from: Basis['from']): Basis {
  return {
    compare,
    from,
    opened: false,
    partial: undefined,
    old: undefined,
    length: 0,
    position: 0,
    digest: createDigest(),
    digests: [],
    sent: 0,
  };
}

/** Bytes of a basis worth describing: whole pieces within both sizes, and the tail where the sizes agree. */
function describedBytes(held: number, size: number): number {
  if (held === size) return size;
  return Math.floor(Math.min(held, size) / PIECE_BYTES) * PIECE_BYTES;
}
