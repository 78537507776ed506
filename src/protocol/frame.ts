/**
 * Frames of a lane. A frame is a 16-byte header and a payload:
 *
 *     u32 length of the payload ‖ u8 type ‖ u8 flags ‖ u16 index ‖ u32 sequence ‖ u32 batch      (big-endian)
 *
 * `batch` and `index` name an entry of the manifest; `sequence` counts the frames of one direction modulo 2^32 over
 * all lanes of the transfer, so that what several lanes carry is one ordered stream. No number is left to chance:
 * a frame out of its place, over its bound or of an unknown type ends the transfer.
 */
import { errorOf } from '../errors.ts';

export const HEADER_BYTES = 16;
/** The bound for frames that carry no file data, and the smallest slot: one manifest batch, one answer. */
export const MAX_META_PAYLOAD = 64 * 1024;
/** A DATA payload is a u64 offset and the bytes. */
export const OFFSET_BYTES = 8;
/** Pieces by which a basis is compared, in bytes, whatever the chunk is. */
export const PIECE_BYTES = 1024 * 1024;
/** Entries of one manifest batch. */
export const MAX_BATCH_ENTRIES = 1024;
/** Batches that may be announced and not settled. */
export const MAX_OPEN_BATCHES = 8;

/** Frame types. Source to target below 16 (`retire` in both directions), target to source from 16 on. */
export const FRAME = {
  manifest: 1,
  pack: 2,
  data: 3,
  end: 4,
  same: 5,
  differs: 6,
  failed: 7,
  done: 8,
  retire: 15,
  answer: 16,
  reanswer: 17,
  basis: 18,
  result: 19,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** DATA: the payload is `u64 offset ‖ u64 length` of a hole, no bytes. */
export const FLAG_HOLE = 1;
/** MANIFEST: no batch follows. BASIS: these are the last pieces of the basis. */
export const FLAG_LAST = 1;
/** BASIS: only tell whether the file differs, send nothing. */
export const FLAG_COMPARE = 2;

const TYPES = new Set<number>(Object.values(FRAME));

export interface FrameHeader {
  readonly length: number;
  readonly type: FrameType;
  readonly flags: number;
  readonly index: number;
  readonly sequence: number;
  readonly batch: number;
}

/** The most payload bytes that a frame of a transfer with this chunk may have. */
export function maxPayload(chunk: number): number {
  return Math.max(chunk + OFFSET_BYTES, MAX_META_PAYLOAD);
}

/** Writes a header at `offset`; the sequence is stamped when the frame is sent ({@link stampSequence}). */
export function writeHeader(
  buffer: Buffer,
  header: Omit<FrameHeader, 'sequence'> & { readonly sequence?: number },
  offset = 0,
): void {
  buffer.writeUInt32BE(header.length, offset);
  buffer.writeUInt8(header.type, offset + 4);
  buffer.writeUInt8(header.flags, offset + 5);
  buffer.writeUInt16BE(header.index, offset + 6);
  buffer.writeUInt32BE(header.sequence ?? 0, offset + 8);
  buffer.writeUInt32BE(header.batch, offset + 12);
}

/** Puts the sequence number into a finished frame. */
export function stampSequence(frame: Buffer, sequence: number): void {
  frame.writeUInt32BE(sequence, 8);
}

/** Sequence numbers after which they begin again. */
export const SEQUENCE_MODULUS = 2 ** 32;

/** How many frames later than `from` the frame `to` is, by its number: -2^31 to 2^31 - 1, negative when it is earlier. */
export function sequenceDistance(from: number, to: number): number {
  return (to - from) | 0;
}

/** Reads and checks a header. Throws BAD_MESSAGE for an unknown type and LIMIT for a length over `limit`. */
export function readHeader(buffer: Buffer, limit: number, offset = 0): FrameHeader {
  const length = buffer.readUInt32BE(offset);
  const type = buffer.readUInt8(offset + 4);
  if (!TYPES.has(type)) throw errorOf('BAD_MESSAGE', `a frame of the unknown type ${type}`);
  const bound = type === FRAME.data || type === FRAME.pack ? limit : Math.min(limit, MAX_META_PAYLOAD);
  if (length > bound) throw errorOf('LIMIT', `a frame claims ${length} bytes, ${bound} are allowed`);
  return {
    length,
    type: type as FrameType,
    flags: buffer.readUInt8(offset + 5),
    index: buffer.readUInt16BE(offset + 6),
    sequence: buffer.readUInt32BE(offset + 8),
    batch: buffer.readUInt32BE(offset + 12),
  };
}

/** Makes a small frame of its own (answers and the like). */
export function makeFrame(type: FrameType, payload: Uint8Array, at: Partial<FrameHeader> = {}): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  writeHeader(frame, {
    length: payload.length,
    type,
    flags: at.flags ?? 0,
    index: at.index ?? 0,
    batch: at.batch ?? 0,
  });
  frame.set(payload, HEADER_BYTES);
  return frame;
}
