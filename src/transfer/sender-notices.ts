/** What the target is told of files beside their bytes: which are the same, which differ, and which failed. */
import { LocalstreamError } from '../errors.ts';
import { flagNumber, flagOfError } from '../protocol/flags.ts';
import { FRAME, type FrameType, HEADER_BYTES, MAX_META_PAYLOAD, writeHeader } from '../protocol/frame.ts';
import { encodeFailed, SAME_BYTES } from '../protocol/manifest.ts';
import type { LiveEntry } from './sender-entries.ts';

const SAME_ROWS = Math.floor(MAX_META_PAYLOAD / SAME_BYTES) - 1;

/** Puts a frame of this payload into a slot and returns its length. */
export function writeFrame(
  slot: Buffer,
  type: FrameType,
  payload: Uint8Array,
  batch: number,
  index: number,
): number {
  writeHeader(slot, { length: payload.length, type, flags: 0, index, batch });
  slot.set(payload, HEADER_BYTES);
  return HEADER_BYTES + payload.length;
}

/** Notices that wait to be sent, and the count of the entries on which neither side has had its last word. */
export class SenderNotices<Reference> {
  readonly #notices: { type: FrameType; payload: Buffer; batch: number; index: number }[] = [];
  #same: { batch: number; rows: { index: number; digest: Buffer }[] } | undefined;
  /** Entries that are announced, and neither sent nor declined. */
  unanswered = 0;

  /** Whether rows of files that are the same wait to be sent. */
  get hasSame(): boolean {
    return this.#same !== undefined;
  }

  /** Whether no further row fits into a frame. */
  get sameIsFull(): boolean {
    return (this.#same?.rows.length ?? 0) >= SAME_ROWS;
  }

  /** Whether the rows that wait are of another batch: a frame has rows of one. */
  hasSameOfOther(batch: number): boolean {
    return this.#same !== undefined && this.#same.batch !== batch;
  }

  /** Puts the first notice into the slot; undefined where none waits. */
  next(slot: Buffer): number | undefined {
    const notice = this.#notices.shift();
    return notice && writeFrame(slot, notice.type, notice.payload, notice.batch, notice.index);
  }

  /** The target has this file already. */
  same(live: LiveEntry<Reference>, digest: Buffer): void {
    live.state = 'same';
    live.digest = digest;
    this.unanswered -= 1;
    this.#same ??= { batch: live.batch.number, rows: [] };
    this.#same.rows.push({ index: live.index, digest });
  }

  /** What the target has of this file differs. */
  differs(live: LiveEntry<Reference>): void {
    // It counts as unanswered until the target settles it or asks for it after all: DONE must not overtake that.
    live.state = 'differs';
    this.#notices.push({
      type: FRAME.differs,
      payload: Buffer.alloc(0),
      batch: live.batch.number,
      index: live.index,
    });
  }

  /** The file can't be sent. */
  failed(live: LiveEntry<Reference>, error: unknown): void {
    const flag = flagOfError(error);
    const reason = error instanceof LocalstreamError ? error.message : 'it could not be read';
    live.state = 'failed';
    live.failure = { flag, reason };
    this.unanswered -= 1;
    this.#notices.push({
      type: FRAME.failed,
      payload: encodeFailed(flagNumber(flag), reason),
      batch: live.batch.number,
      index: live.index,
    });
  }

  /** Puts the rows of files that are the same into the slot; `again` where there are none. */
  flushSame(slot: Buffer): number | 'again' {
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
}
