/**
 * The bytes that the source sends, and the files that they become: beside their places at first, with what is here already
 * filled in, and under their names once the digest is right.
 */
import { createDigest, type Digest, digestOf } from '../crypto/digest.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { FLAG_HOLE, type FrameHeader, OFFSET_BYTES, PIECE_BYTES } from '../protocol/frame.ts';
import { MAX_CHUNK } from '../protocol/limits.ts';
import { ENTRY, OUTCOME, readEnd, readPack } from '../protocol/manifest.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { SafeName } from './name.ts';
import type { PieceBuffer } from './piece-buffer.ts';
import { type LiveEntry, oldDigest } from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import type { Settlement } from './settlement.ts';
import type { PartialFile, Placement, TargetStore, WholeFile } from './target-store.ts';
import { isZero } from './zeros.ts';

interface OpenFile<Folder> {
  readonly live: LiveEntry<Folder>;
  readonly partial: PartialFile;
  digest: Digest;
  position: number;
}

interface PackedFile<Folder> {
  readonly live: LiveEntry<Folder>;
  readonly bytes: Buffer;
  readonly digest: Buffer;
}

function depthOf(file: PackedFile<unknown> | undefined): number {
  return file?.live.branch.depth ?? 0;
}

/** Writes what arrives. One file at most is under way: the source sends them one after another. */
export class IncomingFile<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #options: ReceiverOptions;
  readonly #settlement: Settlement<Folder>;
  readonly #budget: DiskBudget;
  readonly #scratch: PieceBuffer;
  #current: OpenFile<Folder> | undefined;

  constructor(
    store: TargetStore<Folder>,
    options: ReceiverOptions,
    settlement: Settlement<Folder>,
    budget: DiskBudget,
    scratch: PieceBuffer,
  ) {
    this.#store = store;
    this.#options = options;
    this.#settlement = settlement;
    this.#budget = budget;
    this.#scratch = scratch;
  }

  /** Path of the file under way, for people. */
  get path(): string | undefined {
    return this.#current?.live.path;
  }

  /** Whether this is the file under way. */
  isAt(live: LiveEntry<Folder>): boolean {
    return this.#current?.live === live;
  }

  /** The source can't go on with this file; if it is the one under way, what is written of it stays for a resume. */
  stop(live: LiveEntry<Folder>): void {
    if (this.#current?.live !== live) return;
    this.#current.partial.keep();
    this.#current = undefined;
  }

  /** The transfer ends early. */
  abort(discard: boolean): void {
    if (discard) this.#current?.partial.discard();
    else this.#current?.partial.keep();
    this.#current = undefined;
  }

  /** Takes small files, each of them whole. */
  takePack(header: FrameHeader, payload: Buffer): void {
    const unmade = new Map<Folder, PackedFile<Folder>[]>();
    for (const { index, bytes, digest } of readPack(payload)) {
      const live = this.#packedEntry(header, index, bytes.length);
      if (live === undefined || !this.#hasRoom(live, bytes.length)) continue;
      const { folder } = live.branch;
      if (folder === undefined || this.#options.verify || !this.#store.isUnmade(folder)) {
        this.#writePacked({ live, bytes, digest });
        continue;
      }
      const files = unmade.get(folder);
      if (files === undefined) unmade.set(folder, [{ live, bytes, digest }]);
      else files.push({ live, bytes, digest });
    }
    // Making a folder makes those around it, so these come first.
    const outerFirst = [...unmade].sort(([, [a]], [, [b]]) => depthOf(a) - depthOf(b));
    for (const [folder, files] of outerFirst) this.#writeFolder(folder, files);
  }

  #hasRoom(live: LiveEntry<Folder>, bytes: number): boolean {
    try {
      this.#budget.write(bytes);
      return true;
    } catch (error) {
      this.#settlement.fail(live, error);
      return false;
    }
  }

  /** The entry that a packed file belongs to; undefined where it is not wanted any more. */
  #packedEntry(header: FrameHeader, index: number, size: number): LiveEntry<Folder> | undefined {
    const live = this.#settlement.find(header.batch, index);
    if (!live) {
      // Given up here while it was on its way; a batch that never was is the source's fault.
      if (header.batch < this.#settlement.nextBatch) return undefined;
      throw errorOf('BAD_MESSAGE', 'a pack belongs to no batch');
    }
    if (live.entry.kind !== ENTRY.file || size !== live.entry.size)
      throw errorOf('BAD_MESSAGE', 'a packed file is not what was announced');
    if (live.state === 'settled') return undefined;
    if (this.isAt(live)) throw errorOf('BAD_MESSAGE', 'the source packed a file that it had begun');
    if (live.state !== 'wanted' && live.state !== 'have')
      throw errorOf('BAD_MESSAGE', 'the source sent a file unasked');
    return live;
  }

  /** Writes files of a folder that is not made yet: with it, or else one by one. */
  #writeFolder(folder: Folder, files: readonly PackedFile<Folder>[]): void {
    const whole: WholeFile[] = [];
    for (const { live, bytes, digest } of files) {
      const { name, entry } = live;
      if (name !== undefined && digestOf(bytes).equals(digest))
        whole.push({ name, bytes, mode: entry.mode, mtime: entry.mtime });
    }
    const isMade = whole.length === files.length && this.#store.makeWith(folder, whole);
    for (const [index, file] of files.entries()) {
      const made = isMade ? whole[index] : undefined;
      if (made) this.#commitPacked(file, made.name);
      // One that is packed twice is settled by now.
      else if (file.live.state !== 'settled') this.#writePacked(file);
    }
  }

  #commitPacked({ live, bytes, digest }: PackedFile<Folder>, saved: SafeName): void {
    this.#options.counters.bytes += bytes.length;
    this.#budget.use(live, bytes.length);
    this.#settlement.commit(live, saved, Buffer.from(digest));
  }

  #writePacked(file: PackedFile<Folder>): void {
    const { live, bytes, digest } = file;
    const { branch, name, entry } = live;
    try {
      if (!digestOf(bytes).equals(digest)) throw errorOf('INTEGRITY');
      if (branch.folder === undefined || name === undefined) throw errorOf('BAD_NAME');
      const placement = { mode: entry.mode, mtime: entry.mtime, place: live.place };
      const saved = this.#options.verify
        ? this.#writeVerified(branch.folder, name, bytes, digest, placement)
        : this.#store.writeSmall(branch.folder, name, bytes, placement);
      this.#commitPacked(file, saved);
    } catch (error) {
      const overtaken = this.#overtakenBy(live, error, bytes.length, digest);
      if (overtaken === undefined) this.#settlement.fail(live, error);
      else this.#settleOvertaken(live, overtaken, Buffer.from(digest));
    }
  }

  #settleOvertaken(live: LiveEntry<Folder>, by: 'same' | 'newer', digest: Buffer): void {
    if (by === 'same') this.#settlement.settle(live, OUTCOME.same, 'OK', digest, '');
    else this.#settlement.leaveAlone(live);
  }

  /** By what a name has been taken meanwhile, where that leaves nothing to be done. */
  #overtakenBy(
    live: LiveEntry<Folder>,
    error: unknown,
    size: number,
    digest: Buffer,
  ): 'same' | 'newer' | undefined {
    if (!(error instanceof LocalstreamError) || error.code !== 'EXISTS') return undefined;
    if (live.place === 'update') return 'newer';
    return live.place === 'never' && this.#isThere(live, size, digest) ? 'same' : undefined;
  }

  /** Whether a file of that name holds the same. */
  #isThere({ branch, name }: LiveEntry<Folder>, size: number, digest: Buffer): boolean {
    if (branch.folder === undefined || name === undefined) return false;
    try {
      const there = this.#store.openBasis(branch.folder, name);
      try {
        return there.size === size && this.#digestFrom(there, size).equals(digest);
      } finally {
        there.close();
      }
    } catch (unread) {
      // It can't be compared: what was wrong first is what counts.
      if (unread instanceof LocalstreamError && unread.code !== 'CANCELLED') return false;
      throw unread;
    }
  }

  #writeVerified(
    folder: Folder,
    name: SafeName,
    bytes: Buffer,
    digest: Buffer,
    placement: Placement,
  ): SafeName {
    const partial = this.#store.openPartial(folder, name, bytes.length, placement.place);
    try {
      if (bytes.length > 0) partial.writeAt(bytes, 0);
      this.#readBack(partial, bytes.length, digest);
      return partial.commit(placement);
    } finally {
      partial.discard();
    }
  }

  /** The open file of a DATA or END frame; undefined when it was given up here and the frame is late. */
  #openFor(header: FrameHeader): OpenFile<Folder> | undefined {
    if (this.#settlement.isOver(header.batch)) return undefined;
    const live = this.#settlement.file(header);
    if (live.state === 'settled') return undefined;
    if (this.#current) {
      if (this.#current.live !== live) throw errorOf('BAD_MESSAGE', 'the source began a file within another');
      return this.#current;
    }
    const { basis, branch, name } = live;
    const whole = live.state === 'wanted' || live.state === 'have';
    const ready = whole || (live.state === 'basis' && !basis?.compare);
    if (!ready || branch.folder === undefined || name === undefined)
      throw errorOf('BAD_MESSAGE', 'the source sent a file unasked');
    try {
      const { entry, place } = live;
      const partial = basis?.partial ?? this.#store.openPartial(branch.folder, name, entry.size, place);
      this.#current = { live, partial, digest: createDigest(), position: 0 };
      return this.#current;
    } catch (error) {
      this.#settlement.fail(live, error);
      return undefined;
    }
  }

  /** Takes a stretch of a large file or of a stream. */
  takeData(header: FrameHeader, payload: Buffer): void {
    const file = this.#openFor(header);
    if (!file) return;
    if (payload.length < OFFSET_BYTES) throw errorOf('BAD_MESSAGE', 'a data frame is too short');
    const position = Number(payload.readBigUInt64BE(0));
    const hole = (header.flags & FLAG_HOLE) !== 0;
    if (hole && payload.length !== OFFSET_BYTES + 8) throw errorOf('BAD_MESSAGE', 'a hole is malformed');
    const length = hole ? Number(payload.readBigUInt64BE(OFFSET_BYTES)) : payload.length - OFFSET_BYTES;
    // What a hole costs us must follow what it costs the sender, so it is no longer than a frame could be.
    if (hole && length > MAX_CHUNK) throw errorOf('LIMIT', 'a hole is too long');
    const { size } = file.live.entry;
    const end = position + length;
    if (length === 0 || !Number.isSafeInteger(end) || (size >= 0 && end > size))
      throw errorOf('BAD_MESSAGE', 'the source sent more than it announced');
    this.#checkGap(file, position);
    try {
      this.#fillFromBasis(file, position);
      if (hole) this.#writeHole(file, position, length);
      else {
        const bytes = payload.subarray(OFFSET_BYTES);
        this.#budget.write(bytes.length);
        file.digest.update(bytes);
        file.partial.writeAt(bytes, position);
      }
      file.position = end;
      this.#options.counters.bytes += length;
      const held = file.live.basis?.partial?.held ?? 0;
      const isFree = hole && file.live.entry.stored !== undefined;
      if (!isFree) this.#budget.use(file.live, Math.max(0, end - Math.max(position, held)));
    } catch (error) {
      this.#giveUp(file, error);
    }
  }

  /** Bytes may only be left out where we said that we have them, in whole pieces. */
  #checkGap(file: OpenFile<Folder>, position: number): void {
    if (position === file.position) return;
    const length = file.live.basis?.length ?? 0;
    const aligned = position % PIECE_BYTES === 0 || position === file.live.entry.size;
    const begins = file.position % PIECE_BYTES === 0;
    if (position < file.position || position > length || !aligned || !begins)
      throw errorOf('BAD_MESSAGE', 'the source left out bytes that are not here');
  }

  #fillFromBasis(file: OpenFile<Folder>, until: number): void {
    const { basis } = file.live;
    if (!basis || file.position >= until) return;
    const { counters } = this.#options;
    counters.bytes += until - file.position;
    counters.bytesSkipped += until - file.position;
    if (!basis.partial) this.#budget.use(file.live, until - file.position);
    if (basis.partial && file.position === 0 && until === basis.length) {
      // Just this stretch was hashed when it was described, and it is where it belongs.
      file.digest = basis.digest;
      file.position = until;
      return;
    }
    const from = basis.partial ?? basis.old;
    while (from && file.position < until) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      const bytes = this.#scratch.take(Math.min(PIECE_BYTES, until - file.position));
      if (from.readAt(bytes, file.position) < bytes.length)
        throw errorOf('UNREADABLE', 'the old file shrank');
      file.digest.update(bytes);
      if (basis.old?.sparse && isZero(bytes)) file.partial.hole(file.position, bytes.length);
      else if (!basis.partial) {
        this.#budget.write(bytes.length);
        file.partial.writeAt(bytes, file.position);
      }
      file.position += bytes.length;
    }
  }

  #writeHole(file: OpenFile<Folder>, position: number, length: number): void {
    const zeros = Buffer.alloc(Math.min(length, PIECE_BYTES));
    for (let done = 0; done < length; done += zeros.length) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      file.digest.update(zeros.subarray(0, Math.min(zeros.length, length - done)));
    }
    file.partial.hole(position, length);
  }

  /** No piece of a file differs from the old target: that stays, and nothing is copied. */
  #isUnchanged(header: FrameHeader, digest: Buffer): boolean {
    const live = this.#settlement.find(header.batch, header.index);
    if (this.#current || live?.state !== 'basis' || live.basis?.compare) return false;
    if (!oldDigest(live)?.equals(digest)) return false;
    this.#settlement.countSkipped(live);
    this.#settlement.settle(live, OUTCOME.same, 'OK', digest, '');
    return true;
  }

  /** The bytes of a file have all been sent, or are the ones that are here. */
  takeEnd(header: FrameHeader, payload: Buffer): void {
    const { size, digest } = readEnd(payload);
    if (this.#isUnchanged(header, digest)) return;
    const file = this.#openFor(header);
    if (!file) return;
    const { live } = file;
    live.size = size;
    if (live.entry.size >= 0 && size !== live.entry.size)
      throw errorOf('BAD_MESSAGE', 'a file ends elsewhere than announced');
    this.#checkGap(file, size);
    try {
      this.#fillFromBasis(file, size);
      if (file.position !== size) throw errorOf('BAD_MESSAGE', 'a file ends before its bytes');
      if (!file.digest.digest().equals(digest)) throw errorOf('INTEGRITY');
      if (this.#options.verify) this.#readBack(file.partial, size, digest);
      const { mode, mtime } = live.entry;
      const saved = file.partial.commit({ mode, mtime, place: live.place });
      this.#current = undefined;
      this.#settlement.commit(live, saved, digest);
    } catch (error) {
      const overtaken = this.#overtakenBy(live, error, size, digest);
      if (overtaken === undefined) {
        this.#giveUp(file, error);
        return;
      }
      this.#current = undefined;
      file.partial.discard();
      this.#settleOvertaken(live, overtaken, digest);
    }
  }

  /** Reads what was written once more. Throws INTEGRITY when the disk gives back something else. */
  #readBack(partial: PartialFile, size: number, digest: Buffer): void {
    partial.sync();
    if (!this.#digestFrom(partial, size).equals(digest))
      throw errorOf('INTEGRITY', 'what was written reads back differently');
  }

  #digestFrom(file: Pick<PartialFile, 'readAt'>, size: number): Buffer {
    const digest = createDigest();
    for (let position = 0; position < size; ) {
      if (this.#options.aborted()) throw errorOf('CANCELLED');
      const bytes = this.#scratch.take(Math.min(PIECE_BYTES, size - position));
      if (file.readAt(bytes, position) < bytes.length) break;
      digest.update(bytes);
      position += bytes.length;
    }
    return digest.digest();
  }

  /** This file fails; what has been written of it stays, unless its digest was wrong. */
  #giveUp(file: OpenFile<Folder>, error: unknown): void {
    this.#current = undefined;
    if (error instanceof LocalstreamError && error.code === 'INTEGRITY') file.partial.discard();
    else file.partial.keep();
    this.#settlement.fail(file.live, error);
    if (error instanceof LocalstreamError && error.code === 'CANCELLED') throw error;
  }
}
