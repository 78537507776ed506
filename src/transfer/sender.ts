/**
 * The sending end of a transfer as a state machine: it is asked for the next frame and told what the target answers.
 * It reads through {@link SourceTree} and touches neither sockets nor files itself.
 *
 * Batches of the manifest run ahead of the bytes by a bounded number, so the first byte leaves before the walk ends and
 * a tree of any size needs the same memory.
 */
import { createDigest } from '../crypto/digest.ts';
import { errorOf, type FlagName } from '../errors.ts';
import { failureName, flagName } from '../protocol/flags.ts';
import {
  FLAG_COMPARE,
  FLAG_LAST,
  FRAME,
  type FrameHeader,
  HEADER_BYTES,
  MAX_BATCH_ENTRIES,
  MAX_META_PAYLOAD,
  MAX_OPEN_BATCHES,
  PIECE_BYTES,
  writeHeader,
} from '../protocol/frame.ts';
import {
  ANSWER,
  type Answer,
  DIGEST_BYTES,
  ENTRY,
  type EntryResult,
  encodeDone,
  entryBytes,
  isSound,
  NO_DIGEST,
  OUTCOME,
  readAnswers,
  readBasis,
  readResults,
  writeEntry,
} from '../protocol/manifest.ts';
import { decodeName } from './name.ts';
import { isPackable, OutgoingFile } from './outgoing-file.ts';
import { failsAsTaken, type Settled } from './progress.ts';
import { SendQueue } from './send-queue.ts';
import type { LiveBatch, LiveEntry, State } from './sender-entries.ts';
import { SenderNotices, writeFrame } from './sender-notices.ts';
import type { SenderOptions } from './sender-options.ts';
import type { SourceEntry, SourceTree } from './source-tree.ts';

/** The first batch is small, and each that follows twice as large: the target has nothing to do until it has one. */
const FIRST_BATCH_ENTRIES = 32;

/** A frame's length in bytes, or why there is none now. */
export type Produced = number | 'wait' | 'again' | 'finished';

export class Sender<Reference> {
  readonly #options: SenderOptions;
  readonly #walk: Iterator<SourceEntry<Reference>>;
  readonly #batches = new Map<number, LiveBatch<Reference>>();
  readonly #notices = new SenderNotices<Reference>();
  readonly #queue = new SendQueue<Reference>();
  readonly #outgoing: OutgoingFile<Reference>;
  readonly #manifestDigest = createDigest();
  readonly #outcomeDigest = createDigest();
  #held: SourceEntry<Reference> | undefined;
  #walkDone = false;
  #nextBatch = 0;
  #nextAnswer = 0;
  #entries = 0;
  #doneSent = false;

  constructor(tree: SourceTree<Reference>, options: SenderOptions) {
    this.#options = options;
    this.#walk = tree.walk();
    this.#outgoing = new OutgoingFile(tree, options, this.#queue, this.#notices);
  }

  /** BLAKE3 of all manifest payloads, final once the sender has finished. */
  get manifestDigest(): Buffer {
    return this.#manifestDigest.digest();
  }

  /** BLAKE3 of all results, final once the sender has finished. */
  get outcomeDigest(): Buffer {
    return this.#outcomeDigest.digest();
  }

  /** Name of the file under way, for people. */
  get current(): string | undefined {
    return this.#outgoing.path;
  }

  /**
   * Puts the next frame into `slot` (at least `HEADER_BYTES + maxPayload(chunk)` bytes) and returns its length.
   * `wait`: nothing to send before the target answers. `again`: work was done, none of it to be sent; call again.
   */
  next(slot: Buffer): Produced {
    const urgent = this.#notices.next(slot) ?? this.#outgoing.proceed(slot);
    if (urgent !== undefined) return urgent;
    if (this.#wantsManifest()) {
      const length = this.#writeManifest(slot);
      if (length > 0) return length;
    }
    if (!this.#queue.isEmpty) return this.#outgoing.startNext(slot);
    if (this.#notices.hasSame) return this.#notices.flushSame(slot);
    if (!this.#walkDone || this.#notices.unanswered > 0) return 'wait';
    if (!this.#doneSent) {
      this.#doneSent = true;
      const payload = encodeDone(this.#nextBatch, this.#entries, this.manifestDigest);
      return writeFrame(slot, FRAME.done, payload, this.#nextBatch, 0);
    }
    return this.#batches.size === 0 ? 'finished' : 'wait';
  }

  /** Takes a frame of the target. Throws BAD_MESSAGE when it is out of place, INTEGRITY when a digest differs. */
  receive(header: FrameHeader, payload: Buffer): void {
    switch (header.type) {
      case FRAME.answer:
        this.#takeAnswers(header, payload);
        return;
      case FRAME.reanswer:
        this.#takeReanswer(header, payload);
        return;
      case FRAME.basis:
        this.#takeBasis(header, payload);
        return;
      case FRAME.result:
        this.#takeResults(header, payload);
        return;
      default:
        throw errorOf('BAD_MESSAGE', `the target sent a frame of type ${header.type}`);
    }
  }

  /** Closes what is open. */
  close(): void {
    this.#outgoing.close();
    this.#walk.return?.();
  }

  #wantsManifest(): boolean {
    if (this.#walkDone || this.#batches.size >= MAX_OPEN_BATCHES) return false;
    return this.#queue.isEmpty || this.#batches.size < 2;
  }

  #writeManifest(slot: Buffer): number {
    const batch: LiveBatch<Reference> = { number: this.#nextBatch, entries: [], open: 0 };
    const limit = HEADER_BYTES + MAX_META_PAYLOAD;
    const { counters } = this.#options;
    let offset = HEADER_BYTES;
    const most = Math.min(MAX_BATCH_ENTRIES, FIRST_BATCH_ENTRIES * 2 ** this.#nextBatch);
    while (batch.entries.length < most) {
      const source = this.#held ?? this.#nextEntry();
      if (!source) break;
      this.#held = undefined;
      if (offset + entryBytes(source.entry) > limit) {
        this.#held = source;
        break;
      }
      offset = writeEntry(slot, source.entry, offset);
      const index = batch.entries.length;
      batch.entries.push({
        batch,
        index,
        source,
        state: 'announced',
        digest: undefined,
        compare: false,
        pieces: undefined,
        piecesBytes: 0,
        failure: undefined,
        streamed: undefined,
      });
      if (source.entry.kind === ENTRY.file) {
        counters.filesTotal += 1;
        counters.bytesTotal += Math.max(0, source.entry.size);
      }
    }
    if (batch.entries.length === 0) return 0;
    this.#held ??= this.#nextEntry();
    batch.open = batch.entries.length;
    this.#batches.set(batch.number, batch);
    this.#nextBatch += 1;
    this.#notices.unanswered += batch.entries.length;
    this.#entries += batch.entries.length;
    this.#manifestDigest.update(slot.subarray(HEADER_BYTES, offset));
    writeHeader(slot, {
      length: offset - HEADER_BYTES,
      type: FRAME.manifest,
      flags: this.#walkDone ? FLAG_LAST : 0,
      index: 0,
      batch: batch.number,
    });
    return offset;
  }

  #nextEntry(): SourceEntry<Reference> | undefined {
    if (this.#walkDone) return undefined;
    const step = this.#walk.next();
    if (!step.done) return step.value;
    this.#walkDone = true;
    this.#options.counters.totalsKnown = true;
    return undefined;
  }

  // What the target says.

  #takeAnswers(header: FrameHeader, payload: Buffer): void {
    const batch = this.#batches.get(header.batch);
    if (!batch || header.batch !== this.#nextAnswer)
      throw errorOf('BAD_MESSAGE', 'the target answered a batch that is not open');
    this.#nextAnswer += 1;
    const answers = readAnswers(payload, batch.entries.length);
    for (const live of batch.entries) this.#answer(live, answers[live.index] ?? { code: ANSWER.skip });
  }

  #takeReanswer(header: FrameHeader, payload: Buffer): void {
    const live = this.#live(header, 'later', 'differs');
    const [answer] = readAnswers(payload, 1);
    if (!answer || answer.code === ANSWER.later)
      throw errorOf('BAD_MESSAGE', 'the target gave no second answer');
    live.pieces = undefined;
    this.#answer(live, answer);
  }

  #answer(live: LiveEntry<Reference>, answer: Answer): void {
    if (answer.code !== ANSWER.skip && answer.code !== ANSWER.later && live.source.entry.kind !== ENTRY.file)
      throw errorOf('BAD_MESSAGE', 'the target asked for the bytes of what is not a file');
    switch (answer.code) {
      case ANSWER.skip:
        live.state = 'none';
        this.#notices.unanswered -= 1;
        return;
      case ANSWER.later:
        live.state = 'later';
        return;
      default:
        this.#checkDigest(live, answer);
        live.compare = answer.code === ANSWER.compare;
        live.digest = answer.digest;
        // What is too large for a pack is compared piece by piece, and of this there is one.
        if (answer.digest && !isPackable(live, this.#options.chunk)) live.pieces = [answer.digest];
        live.piecesBytes = live.pieces ? DIGEST_BYTES : 0;
        this.#queue.add(live);
    }
  }

  #checkDigest(live: LiveEntry<Reference>, answer: Answer): void {
    const { size } = live.source.entry;
    if (answer.digest && (size < 0 || size > PIECE_BYTES))
      throw errorOf('BAD_MESSAGE', 'the target has one digest for a file of several pieces');
  }

  #takeBasis(header: FrameHeader, payload: Buffer): void {
    const live = this.#live(header, 'later');
    const run = readBasis(payload);
    live.pieces ??= [];
    const held = live.piecesBytes / DIGEST_BYTES;
    const count = run.digests.length / DIGEST_BYTES;
    // More pieces than the file has are of no use to anybody: memory follows the file's own size.
    if (run.first !== held || held + count > Math.ceil(live.source.entry.size / PIECE_BYTES))
      throw errorOf('BAD_MESSAGE', 'the target described a basis that does not fit the file');
    if (count > 0) live.pieces.push(run.digests);
    live.piecesBytes += run.digests.length;
    if ((header.flags & FLAG_LAST) === 0) return;
    live.compare = (header.flags & FLAG_COMPARE) !== 0;
    live.pieces = [Buffer.concat(live.pieces)];
    this.#queue.add(live);
  }

  #takeResults(header: FrameHeader, payload: Buffer): void {
    const batch = this.#batches.get(header.batch);
    if (!batch) throw errorOf('BAD_MESSAGE', 'the target settled a batch that is not open');
    const rows: Settled[] = [];
    for (const result of readResults(payload)) {
      const live = batch.entries[result.index];
      if (!live || live.state === 'settled')
        throw errorOf('BAD_MESSAGE', 'the target settled an entry twice');
      this.#checkResult(live, result.outcome, result.digest);
      batch.open -= 1;
      const { kind, size, mtime } = live.source.entry;
      if (kind === ENTRY.file) this.#options.counters.files += 1;
      if (kind === ENTRY.leave) {
        live.state = 'settled';
        continue;
      }
      const failed = result.outcome === OUTCOME.failed || result.outcome === OUTCOME.skipped;
      const flag = live.failure?.flag ?? this.#flagOf(result);
      rows.push({
        path: live.source.path,
        kind,
        outcome: result.outcome,
        size: kind === ENTRY.file ? (live.streamed ?? Math.max(0, size)) : 0,
        digest:
          kind === ENTRY.file && !failed && !result.digest.equals(NO_DIGEST)
            ? result.digest.toString('hex')
            : undefined,
        linked: live.source.entry.linked ?? false,
        flag,
        note: live.failure?.reason ?? noteOf(result),
        ...(failsAsTaken(live.source.entry, result.outcome, flag) && { mtime }),
      });
      live.state = 'settled';
    }
    this.#outcomeDigest.update(payload);
    if (batch.open === 0) this.#batches.delete(batch.number);
    if (rows.length > 0) this.#options.settled(rows);
  }

  /** Only what has failed, or was left out, has a code of its own. */
  #flagOf({ outcome, flag }: EntryResult): FlagName {
    if (outcome === OUTCOME.failed) return failureName(flag);
    return outcome === OUTCOME.skipped ? flagName(flag) : 'OK';
  }

  /** A target that claims what we did not send is not believed. */
  #checkResult(live: LiveEntry<Reference>, outcome: number, digest: Buffer): void {
    if (live.state === 'announced' || live.state === 'queued' || this.#outgoing.isAt(live)) {
      if (outcome !== OUTCOME.failed) throw errorOf('BAD_MESSAGE', 'the target settled what was not sent');
      // It gave up on an entry that waits here: that is its right.
      this.#unqueue(live);
      return;
    }
    if (live.state === 'later' || live.state === 'differs') this.#notices.unanswered -= 1;
    if (outcome === OUTCOME.failed || outcome === OUTCOME.skipped) return;
    if (live.source.entry.kind !== ENTRY.file) return;
    const sent = live.state === 'sent' || live.state === 'same';
    // Settled as the same without our word for it: the target was told to go by size and time.
    if (live.state === 'none' && outcome === OUTCOME.same) return;
    if (!sent) throw errorOf('BAD_MESSAGE', 'the target settled what was not sent');
    if (!live.digest?.equals(digest))
      throw errorOf('INTEGRITY', 'the target confirms another digest than that of what was sent');
  }

  #unqueue(live: LiveEntry<Reference>): void {
    if (this.#outgoing.isAt(live)) this.#outgoing.close();
    else this.#queue.remove(live);
    this.#notices.unanswered -= 1;
  }

  #live(header: FrameHeader, ...states: State[]): LiveEntry<Reference> {
    const live = this.#batches.get(header.batch)?.entries[header.index];
    if (!live || !states.includes(live.state) || live.source.entry.kind !== ENTRY.file)
      throw errorOf('BAD_MESSAGE', 'the target speaks of an entry that does not wait for it');
    return live;
  }
}

/** The name that a file got, or the reason why it has none. */
function noteOf({ outcome, note }: EntryResult): string {
  if (note.length === 0) return '';
  return isSound(outcome) ? decodeName(note) : Buffer.from(note).toString('utf8');
}
