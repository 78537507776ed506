/** How the entries of a transfer end: what the source and the receiving person are told, and what becomes free then. */
import { createDigest } from '../crypto/digest.ts';
import { errorOf, type FlagName } from '../errors.ts';
import { flagNumber } from '../protocol/flags.ts';
import { FRAME, type FrameHeader, MAX_META_PAYLOAD, makeFrame } from '../protocol/frame.ts';
import {
  cutText,
  ENTRY,
  encodeResult,
  isSound,
  NO_DIGEST,
  OUTCOME,
  type OutcomeCode,
} from '../protocol/manifest.ts';
import type { BasisJobs } from './basis-jobs.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { ManifestFolders } from './manifest-folders.ts';
import { encodeName, type SafeName } from './name.ts';
import { failsAsTaken, type Settled } from './progress.ts';
import { type Branch, failureOf, type LiveBatch, type LiveEntry } from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';

const EMPTY = new Uint8Array(0);
const RESULT_LIMIT = MAX_META_PAYLOAD - 512;

/** Told of what the policy `update` leaves alone. */
export const NOT_OLDER = 'it is there, and not older';

/** The batches that are open, and the results of their entries. */
export class Settlement<Folder> {
  readonly #options: ReceiverOptions;
  readonly #folders: ManifestFolders<Folder>;
  readonly #bases: BasisJobs<Folder>;
  readonly #budget: DiskBudget;
  readonly #batches = new Map<number, LiveBatch<Folder>>();
  readonly #outcomeDigest = createDigest();
  #nextBatch = 0;

  constructor(
    options: ReceiverOptions,
    folders: ManifestFolders<Folder>,
    bases: BasisJobs<Folder>,
    budget: DiskBudget,
  ) {
    this.#options = options;
    this.#folders = folders;
    this.#bases = bases;
    this.#budget = budget;
  }

  /** BLAKE3 of all results so far. */
  get outcomeDigest(): Buffer {
    return this.#outcomeDigest.digest();
  }

  /** Number of the batch that may come next: as many have come. */
  get nextBatch(): number {
    return this.#nextBatch;
  }

  /** Number of batches in which something is not settled. */
  get openBatches(): number {
    return this.#batches.size;
  }

  /** Opens the next batch. */
  open(count: number): LiveBatch<Folder> {
    const batch: LiveBatch<Folder> = {
      number: this.#nextBatch,
      entries: [],
      open: count,
      afterAnswers: [],
      results: [],
      resultBytes: 0,
      rows: [],
    };
    this.#nextBatch += 1;
    this.#batches.set(batch.number, batch);
    return batch;
  }

  /** An entry of an open batch. */
  find(batch: number, index: number): LiveEntry<Folder> | undefined {
    return this.#batches.get(batch)?.entries[index];
  }

  /** The file that a frame speaks of. Throws BAD_MESSAGE where none is open. */
  file(header: FrameHeader, index = header.index): LiveEntry<Folder> {
    const live = this.find(header.batch, index);
    if (live?.entry.kind !== ENTRY.file)
      throw errorOf('BAD_MESSAGE', 'the source speaks of a file that is not open');
    return live;
  }

  /** Whether a batch was settled here, as can happen while a frame of it is on its way. */
  isOver(batch: number): boolean {
    return !this.#batches.has(batch) && batch < this.#nextBatch;
  }

  /** The entry failed, alone. */
  fail(live: LiveEntry<Folder>, error: unknown): void {
    if (live.state === 'settled') return;
    const { flag, reason } = failureOf(error);
    this.settle(live, OUTCOME.failed, flag, NO_DIGEST, reason);
  }

  /** The entry is left out, and the source is told why. */
  leaveOut(live: LiveEntry<Folder>, error: unknown): void {
    const { flag, reason } = failureOf(error);
    this.settle(live, OUTCOME.skipped, flag, NO_DIGEST, reason);
  }

  /** What is there under the name is left alone, as the policy wants it. */
  leaveAlone(live: LiveEntry<Folder>): void {
    const note = this.#options.existing === 'update' ? NOT_OLDER : '';
    this.settle(live, OUTCOME.skipped, 'EXISTS', NO_DIGEST, note);
  }

  /** The entry has its place. */
  commit(live: LiveEntry<Folder>, saved: SafeName, digest: Buffer): void {
    live.saved = saved === live.name && !this.#options.blind ? undefined : saved;
    this.settleSound(live, OUTCOME.committed, digest);
  }

  /** The entry is here. The source is told under which name, where it is another than its own and no secret. */
  settleSound(live: LiveEntry<Folder>, outcome: OutcomeCode, digest: Buffer): void {
    const { name, saved } = live;
    const isOther = saved !== undefined && saved !== name && !this.#options.blind;
    this.settle(live, outcome, 'OK', digest, isOther ? saved : '');
  }

  /** A dry run says what a real one would do, where something is there under the name and where not. */
  would(live: LiveEntry<Folder>, isThere: boolean): void {
    const existing = live.place === 'rename' ? 'rename' : 'overwrite';
    this.settle(live, OUTCOME.skipped, 'OK', NO_DIGEST, `would ${isThere ? existing : 'create'}`);
  }

  /** Ends an entry. `note` is the name that it has now, or says why it has none. */
  settle(live: LiveEntry<Folder>, outcome: OutcomeCode, flag: FlagName, digest: Buffer, note: string): void {
    if (live.state === 'later') this.#bases.drop(live);
    live.state = 'settled';
    if (live.entry.kind === ENTRY.file && outcome !== OUTCOME.skipped) settleFolderOf(live.branch);
    if (outcome === OUTCOME.failed && mayComeLater(live, flag)) live.branch.isUnfinished = true;
    this.#budget.use(live, live.reserved);
    this.#bases.close(live);
    const { batch, entry } = live;
    if (entry.kind === ENTRY.file) this.#options.counters.files += 1;
    const result = encodeResult({
      index: live.index,
      outcome,
      flag: flagNumber(flag),
      digest,
      note: note === '' ? EMPTY : isSound(outcome) ? encodeName(note) : cutText(note),
    });
    if (batch.resultBytes + result.length > RESULT_LIMIT) this.#flush(batch);
    batch.results.push(result);
    batch.resultBytes += result.length;
    if (entry.kind !== ENTRY.leave) batch.rows.push(settledRow(live, outcome, flag, digest, note));
    batch.open -= 1;
    if (batch.open === 0) {
      this.#batches.delete(batch.number);
      this.#flush(batch);
    }
    this.#folders.release(live.branch);
  }

  /** Counts the bytes of a file that need not be sent. */
  countSkipped(live: LiveEntry<Folder>): void {
    const { counters } = this.#options;
    counters.bytes += live.entry.size;
    counters.bytesSkipped += live.entry.size;
  }

  /** Puts away the bases of what is not settled; their partials stay for a resume unless they are to be discarded. */
  abort(discard: boolean): void {
    for (const batch of this.#batches.values()) {
      for (const live of batch.entries) {
        if (discard) live.basis?.partial?.discard();
        this.#bases.close(live);
      }
      // The source won't hear of these any more, but they are as they are, and whoever goes on has to know it.
      this.#tellRows(batch);
    }
  }

  #flush(batch: LiveBatch<Folder>): void {
    if (batch.results.length === 0) return;
    const payload = Buffer.concat(batch.results);
    batch.results = [];
    batch.resultBytes = 0;
    this.#outcomeDigest.update(payload);
    this.#options.emit(makeFrame(FRAME.result, payload, { batch: batch.number }));
    this.#tellRows(batch);
  }

  #tellRows(batch: LiveBatch<Folder>): void {
    const { rows } = batch;
    batch.rows = [];
    if (rows.length > 0) this.#options.settled(rows);
  }
}

function settleFolderOf(branch: Branch<unknown>): void {
  const settle = branch.settleFirst;
  branch.settleFirst = undefined;
  settle?.();
}

/** What the source announces as failed is mostly something that can never be sent: a pipe, a link that leads out. */
function mayComeLater({ entry }: LiveEntry<unknown>, flag: FlagName): boolean {
  return entry.kind !== ENTRY.failed || flag === 'UNREADABLE';
}

function settledRow(
  { path, entry, size, saved, there: inTheWay }: LiveEntry<unknown>,
  outcome: OutcomeCode,
  flag: FlagName,
  digest: Buffer,
  note: string,
): Settled {
  const { kind } = entry;
  // By size and time alone nobody knows the digest.
  const there = kind === ENTRY.file && isSound(outcome) && !digest.equals(NO_DIGEST);
  return {
    path,
    kind,
    outcome,
    size: kind === ENTRY.file ? size : 0,
    digest: there ? digest.toString('hex') : undefined,
    flag,
    linked: entry.linked ?? false,
    note,
    ...(saved !== undefined && { saved }),
    ...(failsAsTaken(entry, outcome, flag) && { mtime: entry.mtime, ...(inTheWay && { there: inTheWay }) }),
  };
}
