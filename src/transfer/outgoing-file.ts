/**
 * The bytes that are sent: small files in packs, large ones and streams in frames one after another, and of a file that the
 * target has in part only the pieces that it has not.
 */
import { createDigest, type Digest, digestOf } from '../crypto/digest.ts';
import { errorOf } from '../errors.ts';
import {
  FLAG_HOLE,
  FRAME,
  HEADER_BYTES,
  maxPayload,
  OFFSET_BYTES,
  PIECE_BYTES,
  writeHeader,
} from '../protocol/frame.ts';
import { DIGEST_BYTES, encodeEnd, PACK_FIXED, writePackHeader } from '../protocol/manifest.ts';
import { PieceBuffer } from './piece-buffer.ts';
import type { SendQueue } from './send-queue.ts';
import type { LiveEntry } from './sender-entries.ts';
import { type SenderNotices, writeFrame } from './sender-notices.ts';
import type { SenderOptions } from './sender-options.ts';
import type { SourceReader, SourceTree } from './source-tree.ts';
import { isZero } from './zeros.ts';

/** Files up to this size travel in packs. */
const PACK_LIMIT = 256 * 1024;
/** A pack filled by this share ends with a folder: the target makes a folder with all its files at less cost than file by file. */
const FULL_ENOUGH = 0.7;
/** What one call may read without yielding: files, and pieces of one file. */
const FILES_A_CALL = 256;
const PIECES_A_CALL = 16;

/** The length of the frame in the slot, or that there is none yet. */
type Written = number | 'again';

/** Whether a file may travel in a pack; one that is compared piece by piece may not. */
export function isPackable({ source, pieces }: LiveEntry<unknown>, chunk: number): boolean {
  const { size } = source.entry;
  if (size < 0 || pieces) return false;
  return size <= Math.min(PACK_LIMIT, maxPayload(chunk) - PACK_FIXED);
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

/** Sends the files of the queue. One file at most is under way. */
export class OutgoingFile<Reference> {
  readonly #tree: SourceTree<Reference>;
  readonly #options: SenderOptions;
  readonly #queue: SendQueue<Reference>;
  readonly #notices: SenderNotices<Reference>;
  readonly #pieces = new PieceBuffer();
  #current: OpenFile<Reference> | undefined;

  constructor(
    tree: SourceTree<Reference>,
    options: SenderOptions,
    queue: SendQueue<Reference>,
    notices: SenderNotices<Reference>,
  ) {
    this.#tree = tree;
    this.#options = options;
    this.#queue = queue;
    this.#notices = notices;
  }

  /** Path of the file under way, for people. */
  get path(): string | undefined {
    return this.#current?.live.source.path;
  }

  /** Whether this is the file under way. */
  isAt(live: LiveEntry<Reference>): boolean {
    return this.#current?.live === live;
  }

  /** Closes the file under way. */
  close(): void {
    this.#current?.reader.close();
    this.#current = undefined;
  }

  /** Sends more of the file under way; undefined where there is none. */
  proceed(slot: Buffer): Written | undefined {
    return this.#current && this.#continue(slot, this.#current);
  }

  /** Sends the first file of the queue, or the start of it, or a pack of as many as fit. */
  startNext(slot: Buffer): Written {
    const live = this.#queue.first;
    if (!live) return 'again';
    if (this.#notices.hasSameOfOther(live.batch.number)) return this.#notices.flushSame(slot);
    if (isPackable(live, this.#options.chunk)) return this.#writePack(slot, live.batch.number);
    this.#queue.shift();
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
      this.#notices.failed(live, error);
      return 'again';
    }
    return this.#continue(slot, this.#current);
  }

  #writePack(slot: Buffer, batch: number): Written {
    const limit = HEADER_BYTES + maxPayload(this.#options.chunk);
    let offset = HEADER_BYTES;
    let last = -1;
    for (let files = 0; files < FILES_A_CALL; files += 1) {
      const live = this.#queue.first;
      if (!live || live.batch.number !== batch || !isPackable(live, this.#options.chunk)) break;
      const { size } = live.source.entry;
      if (offset + PACK_FIXED + size > limit || this.#notices.sameIsFull) break;
      // Something else lies between in the manifest, mostly the end of a folder.
      if (live.index > last + 1 && offset > limit * FULL_ENOUGH) break;
      last = live.index;
      this.#queue.shift();
      const start = offset + PACK_FIXED;
      let digest: Buffer;
      try {
        digest = this.#readWhole(live, slot.subarray(start, start + size));
      } catch (error) {
        this.#notices.failed(live, error);
        continue;
      }
      if (live.digest && this.#settleSame(live, digest)) continue;
      this.#options.counters.bytes += size;
      live.digest = digest;
      live.state = 'sent';
      this.#notices.unanswered -= 1;
      writePackHeader(slot, live.index, size, digest, offset);
      offset = start + size;
    }
    if (offset > HEADER_BYTES) {
      writeHeader(slot, { length: offset - HEADER_BYTES, type: FRAME.pack, flags: 0, index: 0, batch });
      return offset;
    }
    return this.#notices.sameIsFull ? this.#notices.flushSame(slot) : 'again';
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
      this.#notices.same(live, digest);
      return true;
    }
    if (!live.compare) return false;
    this.#notices.differs(live);
    return true;
  }

  #continue(slot: Buffer, file: OpenFile<Reference>): Written {
    try {
      if (file.live.pieces) return this.#continuePatch(slot, file, file.live.pieces[0] ?? Buffer.alloc(0));
      return this.#continueWhole(slot, file);
    } catch (error) {
      file.reader.close();
      this.#current = undefined;
      this.#notices.failed(file.live, error);
      return 'again';
    }
  }

  #continueWhole(slot: Buffer, file: OpenFile<Reference>): Written {
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
  #continuePatch(slot: Buffer, file: OpenFile<Reference>, basis: Buffer): Written {
    const { size } = file.live.source.entry;
    for (let pieces = 0; pieces < PIECES_A_CALL; pieces += 1) {
      if (file.piece) return this.#sendPiece(slot, file, file.piece);
      if (file.position === size) return this.#endFile(slot, file);
      const bytes = this.#pieces.take(Math.min(PIECE_BYTES, size - file.position));
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
        this.#notices.differs(file.live);
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

  #endFile(slot: Buffer, file: OpenFile<Reference>): Written {
    file.reader.verifyUnchanged();
    file.reader.close();
    this.#current = undefined;
    const { live } = file;
    const digest = file.digest.digest();
    if (live.compare || live.digest?.equals(digest)) {
      // With fewer pieces than the file has, the first one without would have been the difference.
      this.#notices.same(live, digest);
      return 'again';
    }
    live.digest = digest;
    live.state = 'sent';
    if (live.source.entry.size < 0) live.streamed = file.position;
    this.#notices.unanswered -= 1;
    const { number } = live.batch;
    return writeFrame(slot, FRAME.end, encodeEnd(file.position, digest), number, live.index);
  }
}
