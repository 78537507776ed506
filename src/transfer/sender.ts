/**
 * The sending end of a transfer as a state machine: it is asked for the next frame and told what the target answers.
 * It reads through {@link SourceTree} and touches neither sockets nor files itself.
 *
 * Batches of the manifest run ahead of the bytes by a bounded number, so the first byte leaves before the walk ends and
 * a tree of any size needs the same memory.
 */
import { createDigest, type Digest, digestOf } from '../crypto/digest.ts';
import { errorOf, type FlagName, LocalstreamError } from '../errors.ts';
import { failureName, flagName, flagNumber, flagOfError } from '../protocol/flags.ts';
import {
  FLAG_COMPARE,
  FLAG_HOLE,
  FLAG_LAST,
  FRAME,
  type FrameHeader,
  type FrameType,
  HEADER_BYTES,
  MAX_BATCH_ENTRIES,
  MAX_META_PAYLOAD,
  MAX_OPEN_BATCHES,
  maxPayload,
  OFFSET_BYTES,
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
  encodeEnd,
  encodeFailed,
  entryBytes,
  type ManifestEntry,
  OUTCOME,
  PACK_FIXED,
  readAnswers,
  readBasis,
  readResults,
  SAME_BYTES,
  writeEntry,
  writePackHeader,
} from '../protocol/manifest.ts';
import { decodeName } from './name.ts';
import type { Counters, Settled } from './progress.ts';
import { isZero } from './zeros.ts';

/** One thing that the walk found, as the manifest will say it, and how the tree finds it again. */
export interface SourceEntry<Reference> {
  readonly entry: ManifestEntry;
  /** Path below the root, for people. */
  readonly path: string;
  readonly reference: Reference;
  /** The file has holes: stretches of zeros are worth looking for. */
  readonly sparse?: boolean;
}

/** An open file. Errors are typed. */
export interface SourceReader {
  /** Fills the buffer from `position`; returns fewer bytes only at the end of the file. */
  readAt(buffer: Buffer, position: number): number;
  /** Throws SOURCE_CHANGED when the file is no longer what it was when it was opened. */
  verifyUnchanged(): void;
  close(): void;
  /** The digest of what has been read in order, where somebody else keeps it; otherwise the sender computes its own. */
  readonly digest?: Pick<Digest, 'update' | 'digest'>;
}

/** What the sender reads from. */
export interface SourceTree<Reference> {
  walk(): Iterator<SourceEntry<Reference>>;
  open(reference: Reference, size: number): SourceReader;
}

/** A frame's length in bytes, or why there is none now. */
export type Produced = number | 'wait' | 'again' | 'finished';

/** Files up to this size travel in packs. */
const PACK_LIMIT = 256 * 1024;
/** What one call may read without yielding: files, and pieces of one file. */
const FILES_A_CALL = 256;
const PIECES_A_CALL = 16;
const SAME_ROWS = Math.floor(MAX_META_PAYLOAD / SAME_BYTES) - 1;

type State = 'announced' | 'later' | 'queued' | 'sent' | 'same' | 'differs' | 'failed' | 'none' | 'settled';

interface LiveEntry<Reference> {
  readonly batch: LiveBatch<Reference>;
  readonly index: number;
  readonly source: SourceEntry<Reference>;
  state: State;
  /** With `have` and `compare`, and with a basis: what the target has. */
  digest: Buffer | undefined;
  compare: boolean;
  pieces: Buffer[] | undefined;
  piecesBytes: number;
  failure: { readonly flag: FlagName; readonly reason: string } | undefined;
  /** Bytes of a stream, known at its end. */
  streamed: number | undefined;
}

interface LiveBatch<Reference> {
  readonly number: number;
  readonly entries: LiveEntry<Reference>[];
  open: number;
}

interface OpenFile<Reference> {
  readonly live: LiveEntry<Reference>;
  readonly reader: SourceReader;
  readonly digest: Pick<Digest, 'update' | 'digest'>;
  /** Bytes read and hashed so far. */
  position: number;
  /** A piece that differs from the basis and is on its way in frames: its place and its bytes. */
  piece: { readonly start: number; readonly bytes: Buffer; sent: number } | undefined;
}

export interface SenderOptions {
  /** File bytes in a frame. */
  readonly chunk: number;
  readonly counters: Counters;
  /** Told of entries as the target settles them. */
  readonly settled: (rows: Settled[]) => void;
}

export class Sender<Reference> {
  readonly #tree: SourceTree<Reference>;
  readonly #options: SenderOptions;
  readonly #walk: Iterator<SourceEntry<Reference>>;
  readonly #batches = new Map<number, LiveBatch<Reference>>();
  readonly #notices: { type: FrameType; payload: Buffer; batch: number; index: number }[] = [];
  readonly #manifestDigest = createDigest();
  readonly #outcomeDigest = createDigest();
  #queue: LiveEntry<Reference>[] = [];
  #queueHead = 0;
  #same: { batch: number; rows: { index: number; digest: Buffer }[] } | undefined;
  #held: SourceEntry<Reference> | undefined;
  #walkDone = false;
  #nextBatch = 0;
  #nextAnswer = 0;
  #unanswered = 0;
  #entries = 0;
  #current: OpenFile<Reference> | undefined;
  #doneSent = false;
  #pieceBuffer: Buffer | undefined;

  constructor(tree: SourceTree<Reference>, options: SenderOptions) {
    this.#tree = tree;
    this.#options = options;
    this.#walk = tree.walk();
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
    return this.#current?.live.source.path;
  }

  /**
   * Puts the next frame into `slot` (at least `HEADER_BYTES + maxPayload(chunk)` bytes) and returns its length.
   * `wait`: nothing to send before the target answers. `again`: work was done, none of it to be sent; call again.
   */
  next(slot: Buffer): Produced {
    const notice = this.#notices.shift();
    if (notice) return this.#write(slot, notice.type, notice.payload, notice.batch, notice.index);
    if (this.#current) return this.#continueFile(slot, this.#current);
    if (this.#wantsManifest()) {
      const length = this.#writeManifest(slot);
      if (length > 0) return length;
    }
    if (this.#queueHead < this.#queue.length) return this.#sendQueued(slot);
    if (this.#same) return this.#flushSame(slot);
    if (!this.#walkDone || this.#unanswered > 0) return 'wait';
    if (!this.#doneSent) {
      this.#doneSent = true;
      const payload = encodeDone(this.#nextBatch, this.#entries, this.manifestDigest);
      return this.#write(slot, FRAME.done, payload, this.#nextBatch, 0);
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
    this.#current?.reader.close();
    this.#current = undefined;
    this.#walk.return?.();
  }

  #wantsManifest(): boolean {
    if (this.#walkDone || this.#batches.size >= MAX_OPEN_BATCHES) return false;
    return this.#queueHead === this.#queue.length || this.#batches.size < 2;
  }

  #write(slot: Buffer, type: FrameType, payload: Uint8Array, batch: number, index: number): number {
    writeHeader(slot, { length: payload.length, type, flags: 0, index, batch });
    slot.set(payload, HEADER_BYTES);
    return HEADER_BYTES + payload.length;
  }

  #writeManifest(slot: Buffer): number {
    const batch: LiveBatch<Reference> = { number: this.#nextBatch, entries: [], open: 0 };
    const limit = HEADER_BYTES + MAX_META_PAYLOAD;
    const { counters } = this.#options;
    let offset = HEADER_BYTES;
    while (batch.entries.length < MAX_BATCH_ENTRIES) {
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
    this.#unanswered += batch.entries.length;
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
        this.#unanswered -= 1;
        return;
      case ANSWER.later:
        live.state = 'later';
        return;
      default:
        this.#checkDigest(live, answer);
        live.compare = answer.code === ANSWER.compare;
        live.digest = answer.digest;
        // What is too large for a pack is compared piece by piece, and of this there is one.
        if (answer.digest && !this.#packable(live)) live.pieces = [answer.digest];
        live.piecesBytes = live.pieces ? DIGEST_BYTES : 0;
        this.#enqueue(live);
    }
  }

  #checkDigest(live: LiveEntry<Reference>, answer: Answer): void {
    const { size } = live.source.entry;
    if (answer.digest && (size < 0 || size > PIECE_BYTES))
      throw errorOf('BAD_MESSAGE', 'the target has one digest for a file of several pieces');
  }

  #enqueue(live: LiveEntry<Reference>): void {
    live.state = 'queued';
    this.#queue.push(live);
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
    this.#enqueue(live);
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
      const { kind, size } = live.source.entry;
      if (kind === ENTRY.file) this.#options.counters.files += 1;
      if (kind === ENTRY.leave) {
        live.state = 'settled';
        continue;
      }
      const failed = result.outcome === OUTCOME.failed || result.outcome === OUTCOME.skipped;
      rows.push({
        path: live.source.path,
        kind,
        outcome: result.outcome,
        size: kind === ENTRY.file ? (live.streamed ?? Math.max(0, size)) : 0,
        digest:
          kind === ENTRY.file && !failed && !isZero(result.digest)
            ? result.digest.toString('hex')
            : undefined,
        linked: live.source.entry.linked ?? false,
        flag: live.failure?.flag ?? this.#flagOf(result),
        note: live.failure?.reason ?? noteOf(result),
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
    if (live.state === 'announced' || live.state === 'queued' || this.#current?.live === live) {
      if (outcome !== OUTCOME.failed) throw errorOf('BAD_MESSAGE', 'the target settled what was not sent');
      // It gave up on an entry that waits here: that is its right.
      this.#unqueue(live);
      return;
    }
    if (live.state === 'later' || live.state === 'differs') this.#unanswered -= 1;
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
    if (this.#current?.live === live) {
      this.#current.reader.close();
      this.#current = undefined;
      this.#unanswered -= 1;
      return;
    }
    const place = this.#queue.indexOf(live, this.#queueHead);
    if (place < 0) throw errorOf('BAD_MESSAGE', 'the target settled an entry before it answered');
    this.#queue.splice(place, 1);
    this.#unanswered -= 1;
  }

  #live(header: FrameHeader, ...states: State[]): LiveEntry<Reference> {
    const live = this.#batches.get(header.batch)?.entries[header.index];
    if (!live || !states.includes(live.state) || live.source.entry.kind !== ENTRY.file)
      throw errorOf('BAD_MESSAGE', 'the target speaks of an entry that does not wait for it');
    return live;
  }

  // What is sent.

  #sendQueued(slot: Buffer): Produced {
    const live = this.#queue[this.#queueHead];
    if (!live) return 'again';
    if (this.#same && this.#same.batch !== live.batch.number) return this.#flushSame(slot);
    if (this.#packable(live)) return this.#writePack(slot, live.batch.number);
    this.#dequeue();
    try {
      const reader = this.#tree.open(live.source.reference, live.source.entry.size);
      this.#current = {
        live,
        reader,
        digest: reader.digest ?? createDigest(),
        position: 0,
        piece: undefined,
      };
    } catch (error) {
      this.#fail(live, error);
      return 'again';
    }
    return this.#continueFile(slot, this.#current);
  }

  #dequeue(): void {
    this.#queueHead += 1;
    // The consumed head is dropped now and then, so that the queue stays as long as what waits in it.
    if (this.#queueHead < 1024) return;
    this.#queue = this.#queue.slice(this.#queueHead);
    this.#queueHead = 0;
  }

  #packable(live: LiveEntry<Reference>): boolean {
    const { size } = live.source.entry;
    if (size < 0 || live.pieces) return false;
    return size <= Math.min(PACK_LIMIT, maxPayload(this.#options.chunk) - PACK_FIXED);
  }

  #writePack(slot: Buffer, batch: number): Produced {
    const limit = HEADER_BYTES + maxPayload(this.#options.chunk);
    let offset = HEADER_BYTES;
    for (let files = 0; files < FILES_A_CALL; files += 1) {
      const live = this.#queue[this.#queueHead];
      if (!live || live.batch.number !== batch || !this.#packable(live)) break;
      const { size } = live.source.entry;
      if (offset + PACK_FIXED + size > limit || (this.#same?.rows.length ?? 0) >= SAME_ROWS) break;
      this.#dequeue();
      const start = offset + PACK_FIXED;
      let digest: Buffer;
      try {
        digest = this.#readWhole(live, slot.subarray(start, start + size));
      } catch (error) {
        this.#fail(live, error);
        continue;
      }
      if (live.digest && this.#settleSame(live, digest)) continue;
      this.#options.counters.bytes += size;
      live.digest = digest;
      live.state = 'sent';
      this.#unanswered -= 1;
      writePackHeader(slot, live.index, size, digest, offset);
      offset = start + size;
    }
    if (offset > HEADER_BYTES) {
      writeHeader(slot, { length: offset - HEADER_BYTES, type: FRAME.pack, flags: 0, index: 0, batch });
      return offset;
    }
    return (this.#same?.rows.length ?? 0) >= SAME_ROWS ? this.#flushSame(slot) : 'again';
  }

  /** Reads a small file and returns its digest. */
  #readWhole(live: LiveEntry<Reference>, bytes: Buffer): Buffer {
    const reader = this.#tree.open(live.source.reference, bytes.length);
    try {
      if (reader.readAt(bytes, 0) !== bytes.length)
        throw errorOf('SOURCE_CHANGED', 'the file shrank while it was read');
      reader.verifyUnchanged();
      return reader.digest?.digest() ?? digestOf(bytes);
    } finally {
      reader.close();
    }
  }

  /** Notes that the target has this file already, or that it differs and is not wanted. False: it has to be sent. */
  #settleSame(live: LiveEntry<Reference>, digest: Buffer): boolean {
    if (live.digest?.equals(digest)) {
      const { counters } = this.#options;
      counters.bytes += live.source.entry.size;
      counters.bytesSkipped += live.source.entry.size;
      this.#noteSame(live, digest);
      return true;
    }
    if (!live.compare) return false;
    this.#noteDiffers(live);
    return true;
  }

  #noteSame(live: LiveEntry<Reference>, digest: Buffer): void {
    live.state = 'same';
    live.digest = digest;
    this.#unanswered -= 1;
    this.#same ??= { batch: live.batch.number, rows: [] };
    this.#same.rows.push({ index: live.index, digest });
  }

  #noteDiffers(live: LiveEntry<Reference>): void {
    // It counts as unanswered until the target settles it or asks for it after all: DONE must not overtake that.
    live.state = 'differs';
    this.#notices.push({
      type: FRAME.differs,
      payload: Buffer.alloc(0),
      batch: live.batch.number,
      index: live.index,
    });
  }

  #flushSame(slot: Buffer): Produced {
    if (!this.#same) return 'again';
    const { batch, rows } = this.#same;
    this.#same = undefined;
    let offset = HEADER_BYTES;
    for (const row of rows) {
      slot.writeUInt16BE(row.index, offset);
      slot.set(row.digest, offset + 2);
      offset += SAME_BYTES;
    }
    writeHeader(slot, { length: offset - HEADER_BYTES, type: FRAME.same, flags: 0, index: 0, batch });
    return offset;
  }

  #fail(live: LiveEntry<Reference>, error: unknown): void {
    const flag = flagOfError(error);
    const reason = error instanceof LocalstreamError ? error.message : 'it could not be read';
    live.state = 'failed';
    live.failure = { flag, reason };
    this.#unanswered -= 1;
    this.#notices.push({
      type: FRAME.failed,
      payload: encodeFailed(flagNumber(flag), reason),
      batch: live.batch.number,
      index: live.index,
    });
  }

  #continueFile(slot: Buffer, file: OpenFile<Reference>): Produced {
    try {
      if (file.live.pieces) return this.#continuePatch(slot, file, file.live.pieces[0] ?? Buffer.alloc(0));
      return this.#continueWhole(slot, file);
    } catch (error) {
      file.reader.close();
      this.#current = undefined;
      this.#fail(file.live, error);
      return 'again';
    }
  }

  #continueWhole(slot: Buffer, file: OpenFile<Reference>): Produced {
    const { size } = file.live.source.entry;
    const start = HEADER_BYTES + OFFSET_BYTES;
    const wanted = size < 0 ? this.#options.chunk : Math.min(this.#options.chunk, size - file.position);
    if (wanted === 0) return this.#endFile(slot, file);
    const bytes = slot.subarray(start, start + wanted);
    const count = file.reader.readAt(bytes, file.position);
    if (size < 0 && count === 0) return this.#endFile(slot, file);
    if (size >= 0 && count < wanted) throw errorOf('SOURCE_CHANGED', 'the file shrank while it was read');
    const taken = bytes.subarray(0, count);
    file.digest.update(taken);
    const position = file.position;
    file.position += count;
    this.#options.counters.bytes += count;
    if (file.live.source.sparse && isZero(taken)) return this.#writeHole(slot, file, position, count);
    return this.#writeData(slot, file, position, count);
  }

  #writeData(slot: Buffer, file: OpenFile<Reference>, position: number, count: number): number {
    writeHeader(slot, {
      length: OFFSET_BYTES + count,
      type: FRAME.data,
      flags: 0,
      index: file.live.index,
      batch: file.live.batch.number,
    });
    slot.writeBigUInt64BE(BigInt(position), HEADER_BYTES);
    return HEADER_BYTES + OFFSET_BYTES + count;
  }

  #writeHole(slot: Buffer, file: OpenFile<Reference>, position: number, count: number): number {
    writeHeader(slot, {
      length: OFFSET_BYTES + 8,
      type: FRAME.data,
      flags: FLAG_HOLE,
      index: file.live.index,
      batch: file.live.batch.number,
    });
    slot.writeBigUInt64BE(BigInt(position), HEADER_BYTES);
    slot.writeBigUInt64BE(BigInt(count), HEADER_BYTES + OFFSET_BYTES);
    return HEADER_BYTES + OFFSET_BYTES + 8;
  }

  /** Sends only the pieces that the target does not have; all are read, since the digest is of the whole file. */
  #continuePatch(slot: Buffer, file: OpenFile<Reference>, basis: Buffer): Produced {
    const { size } = file.live.source.entry;
    for (let pieces = 0; pieces < PIECES_A_CALL; pieces += 1) {
      if (file.piece) return this.#sendPiece(slot, file, file.piece);
      if (file.position === size) return this.#endFile(slot, file);
      this.#pieceBuffer ??= Buffer.allocUnsafe(PIECE_BYTES);
      const bytes = this.#pieceBuffer.subarray(0, Math.min(PIECE_BYTES, size - file.position));
      if (file.reader.readAt(bytes, file.position) < bytes.length)
        throw errorOf('SOURCE_CHANGED', 'the file shrank while it was read');
      file.digest.update(bytes);
      const at = (file.position / PIECE_BYTES) * DIGEST_BYTES;
      const start = file.position;
      file.position += bytes.length;
      const { counters } = this.#options;
      counters.bytes += bytes.length;
      if (at < basis.length && digestOf(bytes).equals(basis.subarray(at, at + DIGEST_BYTES))) {
        counters.bytesSkipped += bytes.length;
        continue;
      }
      if (file.live.compare) {
        // Nothing was sent: if it is wanted after all, it is counted then.
        counters.bytes -= file.position;
        counters.bytesSkipped -= start;
        file.reader.close();
        this.#current = undefined;
        this.#noteDiffers(file.live);
        return 'again';
      }
      file.piece = { start, bytes, sent: 0 };
    }
    return 'again';
  }

  #sendPiece(
    slot: Buffer,
    file: OpenFile<Reference>,
    piece: NonNullable<OpenFile<Reference>['piece']>,
  ): number {
    if (file.live.source.sparse && piece.sent === 0 && isZero(piece.bytes)) {
      file.piece = undefined;
      return this.#writeHole(slot, file, piece.start, piece.bytes.length);
    }
    const count = Math.min(this.#options.chunk, piece.bytes.length - piece.sent);
    piece.bytes.copy(slot, HEADER_BYTES + OFFSET_BYTES, piece.sent, piece.sent + count);
    const position = piece.start + piece.sent;
    piece.sent += count;
    if (piece.sent === piece.bytes.length) file.piece = undefined;
    return this.#writeData(slot, file, position, count);
  }

  #endFile(slot: Buffer, file: OpenFile<Reference>): Produced {
    file.reader.verifyUnchanged();
    file.reader.close();
    this.#current = undefined;
    const { live } = file;
    const digest = file.digest.digest();
    if (live.compare || live.digest?.equals(digest)) {
      // With fewer pieces than the file has, the first one without would have been the difference.
      this.#noteSame(live, digest);
      return 'again';
    }
    live.digest = digest;
    live.state = 'sent';
    if (live.source.entry.size < 0) live.streamed = file.position;
    this.#unanswered -= 1;
    const { number } = live.batch;
    return this.#write(slot, FRAME.end, encodeEnd(file.position, digest), number, live.index);
  }
}

/** The name that a file got, or the reason why it has none. */
function noteOf({ outcome, note }: EntryResult): string {
  return outcome === OUTCOME.committed ? decodeName(note) : Buffer.from(note).toString('utf8');
}
