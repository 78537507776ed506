/**
 * The receiving end of a transfer as a state machine: it is handed the frames of the source in order and says what to
 * answer. It writes through {@link TargetStore} and touches neither sockets nor files itself.
 *
 * Nothing that a frame declares is believed: names are checked one component at a time, sizes against what arrives,
 * digests against what was written. An entry that fails does so alone.
 */
import { createDigest } from '../crypto/digest.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { failureName } from '../protocol/flags.ts';
import { FLAG_LAST, FRAME, type FrameHeader, MAX_OPEN_BATCHES, makeFrame } from '../protocol/frame.ts';
import {
  ANSWER,
  type Answer,
  ENTRY,
  encodeAnswers,
  type ManifestEntry,
  NO_DIGEST,
  OUTCOME,
  readDone,
  readEntries,
  readFailed,
  readSame,
} from '../protocol/manifest.ts';
import { BasisJobs } from './basis-jobs.ts';
import { DiskBudget } from './disk-budget.ts';
import { EntryAnswers } from './entry-answers.ts';
import { IncomingFile } from './incoming-file.ts';
import { ManifestFolders } from './manifest-folders.ts';
import { decodeName } from './name.ts';
import { PieceBuffer } from './piece-buffer.ts';
import {
  addEntry,
  failureOf,
  type LiveBatch,
  type LiveEntry,
  oldDigest,
  roomOf,
} from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import { Settlement } from './settlement.ts';
import type { Placement, TargetStore } from './target-store.ts';

/** One transfer, from its first manifest batch to the word that all was sent. */
export class Receiver<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #options: ReceiverOptions;
  readonly #folders: ManifestFolders<Folder>;
  readonly #budget: DiskBudget;
  readonly #bases: BasisJobs<Folder>;
  readonly #settlement: Settlement<Folder>;
  readonly #answers: EntryAnswers<Folder>;
  readonly #incoming: IncomingFile<Folder>;
  readonly #manifestDigest = createDigest();
  readonly #place: Placement['place'];
  #entries = 0;
  #lastSeen = false;
  /** True once the source has said that all was sent and everything is settled. */
  finished = false;

  constructor(store: TargetStore<Folder>, options: ReceiverOptions) {
    this.#store = store;
    this.#options = options;
    // Also where nothing is in the way yet: it may have come by the time the file is whole.
    if (options.blind || options.existing === 'rename') this.#place = 'rename';
    else this.#place = options.existing === 'overwrite' ? 'replace' : 'never';
    const scratch = new PieceBuffer();
    const folders = new ManifestFolders(store, options.existing);
    const budget = new DiskBudget(() => store.freeBytes());
    const bases = new BasisJobs(store, budget, scratch, options.emit);
    const settlement = new Settlement(options, folders, bases, budget);
    this.#folders = folders;
    this.#budget = budget;
    this.#bases = bases;
    this.#settlement = settlement;
    this.#answers = new EntryAnswers(store, options, { folders, settlement, bases, budget, scratch });
    this.#incoming = new IncomingFile(store, options, settlement, budget, scratch);
  }

  get manifestDigest(): Buffer {
    return this.#manifestDigest.digest();
  }

  get outcomeDigest(): Buffer {
    return this.#settlement.outcomeDigest;
  }

  get current(): string | undefined {
    return this.#incoming.path;
  }

  /** Takes one frame of the source. Throws BAD_MESSAGE or LIMIT when it is out of place: the transfer ends then. */
  receive(header: FrameHeader, payload: Buffer): void {
    if (this.finished) throw errorOf('BAD_MESSAGE', 'the source sent a frame after the end');
    switch (header.type) {
      case FRAME.manifest:
        this.#takeManifest(header, payload);
        return;
      case FRAME.pack:
        this.#incoming.takePack(header, payload);
        return;
      case FRAME.data:
        this.#incoming.takeData(header, payload);
        return;
      case FRAME.end:
        this.#incoming.takeEnd(header, payload);
        return;
      case FRAME.same:
        this.#takeSame(header, payload);
        return;
      case FRAME.differs:
        this.#takeDiffers(header, payload);
        return;
      case FRAME.failed:
        this.#takeFailed(header, payload);
        return;
      case FRAME.done:
        this.#takeDone(payload);
        return;
      default:
        throw errorOf('BAD_MESSAGE', `the source sent a frame of type ${header.type}`);
    }
  }

  /** Does a bounded part of the work that waits beside the frames. True: there is more. */
  step(): boolean {
    return this.#bases.step((live, error) => this.#settlement.fail(live, error));
  }

  /** The transfer ends early: partials stay for a resume unless they are to be discarded, empty folders that it made are removed. */
  abort(discard = false): void {
    this.#incoming.abort(discard);
    this.#settlement.abort(discard);
    this.#folders.abort();
  }

  #takeManifest(header: FrameHeader, payload: Buffer): void {
    if (header.batch !== this.#settlement.nextBatch || this.#lastSeen)
      throw errorOf('BAD_MESSAGE', 'a manifest batch is out of its place');
    if (this.#settlement.openBatches >= MAX_OPEN_BATCHES)
      throw errorOf('LIMIT', 'too many manifest batches are open');
    this.#lastSeen = (header.flags & FLAG_LAST) !== 0;
    this.#budget.look();
    this.#manifestDigest.update(payload);
    const entries = readEntries(payload);
    this.#entries += entries.length;
    const batch = this.#settlement.open(entries.length);
    // All answers leave before the first result, and the jobs that follow from them come after both.
    const answers = entries.map((entry, index) => this.#decide(batch, entry, index));
    this.#options.emit(makeFrame(FRAME.answer, encodeAnswers(answers), { batch: batch.number }));
    for (const run of batch.afterAnswers) run();
    batch.afterAnswers = [];
    if (this.#lastSeen) {
      this.#options.counters.totalsKnown = true;
      if (this.#folders.isInside) throw errorOf('BAD_MESSAGE', 'the manifest ends within a folder');
    }
  }

  #decide(batch: LiveBatch<Folder>, entry: ManifestEntry, index: number): Answer {
    const { counters } = this.#options;
    if (entry.kind === ENTRY.file) {
      counters.filesTotal += 1;
      counters.bytesTotal += Math.max(0, entry.size);
    }
    if (entry.kind === ENTRY.leave) return this.#leave(batch, entry, index);
    const place = this.#folders.locate(decodeName(entry.name), entry.kind);
    const live = addEntry(batch, index, entry, place, this.#place);
    try {
      if (entry.kind === ENTRY.failed) throw errorOf(failureName(entry.size), decodeReason(entry.extra));
      if (place.error) throw place.error;
      const { failure, folder } = live.branch;
      if (live.branch.excluded || this.#store.excludes(live.path, entry.kind === ENTRY.folder))
        return this.#exclude(live);
      if (failure) throw errorOf(failure.flag, failure.reason);
      if (live.name === undefined) throw errorOf('BAD_NAME');
      if (folder === undefined) {
        if (!this.#options.dryRun) throw errorOf('BAD_NAME');
        return this.#answers.wouldCreate(live);
      }
      if (this.#store.protects(folder, live.name))
        throw errorOf('NOT_ALLOWED', 'hidden files of a home folder are not written without being asked for');
      return this.#answers.answer(live, folder, live.name);
    } catch (error) {
      if (entry.kind === ENTRY.folder) this.#folders.descend(live, { failure: failureOf(error) });
      batch.afterAnswers.push(() => {
        if (isLeftOut(entry, error)) this.#settlement.leaveOut(live, error);
        else this.#settlement.fail(live, error);
      });
      return { code: ANSWER.skip };
    }
  }

  /** Left out without a word: whoever asked for it knows. */
  #exclude(live: LiveEntry<Folder>): Answer {
    if (live.entry.kind === ENTRY.folder) this.#folders.descend(live, { excluded: true });
    live.batch.afterAnswers.push(() => this.#settlement.settle(live, OUTCOME.skipped, 'OK', NO_DIGEST, ''));
    return { code: ANSWER.skip };
  }

  #leave(batch: LiveBatch<Folder>, entry: ManifestEntry, index: number): Answer {
    const branch = this.#folders.ascend();
    const place = { branch, name: undefined, path: branch.path };
    const live = addEntry(batch, index, entry, place, 'never');
    batch.afterAnswers.push(() => this.#settlement.settle(live, OUTCOME.committed, 'OK', NO_DIGEST, ''));
    return { code: ANSWER.skip };
  }

  #takeSame(header: FrameHeader, payload: Buffer): void {
    for (const row of readSame(payload)) {
      const live = this.#settlement.file(header, row.index);
      if (live.state === 'settled') continue;
      const known = live.state === 'basis' ? oldDigest(live) : live.digest;
      // Settled while it is under way, it would stay open, and its name taken, for as long as this process lives.
      if (this.#incoming.isAt(live))
        throw errorOf('BAD_MESSAGE', 'the source calls a file the same that it has begun');
      if (live.state === 'wanted' || !known?.equals(row.digest))
        throw errorOf('BAD_MESSAGE', 'the source calls a file the same that is not');
      this.#settlement.countSkipped(live);
      this.#settlement.settleSound(live, OUTCOME.same, row.digest);
    }
  }

  #takeDiffers(header: FrameHeader, payload: Buffer): void {
    if (payload.length !== 0) throw errorOf('BAD_MESSAGE', 'a differs frame carries bytes');
    const live = this.#settlement.file(header);
    if (live.state === 'settled') return;
    if (live.state !== 'compare' && !(live.state === 'basis' && live.basis?.compare))
      throw errorOf('BAD_MESSAGE', 'the source compared what it was not asked to');
    this.#bases.close(live);
    live.digest = undefined;
    live.saved = undefined;
    const { existing } = this.#options;
    try {
      if (live.place === 'never') {
        if (existing !== 'skip' && existing !== 'update') throw errorOf('EXISTS');
        this.#settlement.leaveAlone(live);
        return;
      }
      if (this.#options.dryRun) {
        this.#settlement.would(live, true);
        return;
      }
      this.#budget.look();
      this.#budget.reserve(live, roomOf(live.entry));
      live.state = 'wanted';
      const answer = makeFrame(FRAME.reanswer, encodeAnswers([{ code: ANSWER.send }]), header);
      this.#options.emit(answer);
    } catch (error) {
      this.#settlement.fail(live, error);
    }
  }

  #takeFailed(header: FrameHeader, payload: Buffer): void {
    const { flag, reason } = readFailed(payload);
    // Given up here, and its batch settled, while it was on its way.
    if (this.#settlement.isOver(header.batch)) return;
    const live = this.#settlement.file(header);
    if (live.state === 'settled') return;
    this.#incoming.stop(live);
    this.#settlement.fail(live, errorOf(failureName(flag), reason));
  }

  #takeDone(payload: Buffer): void {
    const done = readDone(payload);
    const { nextBatch, openBatches } = this.#settlement;
    const complete =
      done.batches === nextBatch &&
      done.entries === this.#entries &&
      done.manifestDigest.equals(this.manifestDigest) &&
      (this.#lastSeen || nextBatch === 0) &&
      openBatches === 0 &&
      this.#incoming.path === undefined &&
      !this.#folders.isInside;
    if (!complete) throw errorOf('BAD_MESSAGE', 'the source says that all was sent, and it was not');
    this.#options.counters.totalsKnown = true;
    this.finished = true;
  }
}

/** Reported and left out, which is no failure: what can't be sent at all, and links out of the tree. */
function isLeftOut(entry: ManifestEntry, error: unknown): boolean {
  if (!(error instanceof LocalstreamError)) return false;
  if (error.code === 'LEAVES_TREE') return entry.kind === ENTRY.link || entry.kind === ENTRY.failed;
  return entry.kind === ENTRY.failed && error.code === 'NOT_A_FILE';
}

function decodeReason(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
