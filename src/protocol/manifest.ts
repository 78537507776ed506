/**
 * The payloads of lane frames: manifest batches, packs, answers, bases, results. Pure codecs with every bound checked:
 * what declares a length must bring the bytes, nothing may be left over, and counts are capped by the frame.
 * The layouts stand in docs/protocol.md.
 */
import { isUtf8 } from 'node:buffer';
import { errorOf } from '../errors.ts';
import { MAX_BATCH_ENTRIES, MAX_META_PAYLOAD } from './frame.ts';

export const DIGEST_BYTES = 32;
/** Where a digest is due and there is none. */
export const NO_DIGEST: Buffer = Buffer.alloc(DIGEST_BYTES);
/** The longest name of one entry and the longest target of a link, in bytes. */
const MAX_NAME_BYTES = 255;
export const MAX_LINK_BYTES = 4095;

/** Kinds of manifest entries. A folder is followed by what it holds and closed by `leave`. */
export const ENTRY = { file: 1, folder: 2, leave: 3, link: 4, failed: 5 } as const;
export type EntryKind = (typeof ENTRY)[keyof typeof ENTRY];

/** One entry of the manifest as it crosses. Names are bytes here; nothing has checked them. */
export interface ManifestEntry {
  readonly kind: EntryKind;
  /** Permission bits, 0o777 at most. */
  readonly mode: number;
  /** Microseconds since 1970, may be negative. */
  readonly mtime: number;
  /** Bytes of a file; -1 for a stream whose length is not known; the flag number of a failed entry; 0 otherwise. */
  readonly size: number;
  readonly name: Uint8Array;
  /** A file that has other names too: it arrives as a copy of its own. */
  readonly linked?: true;
  /** Of a sparse file: the bytes that it takes on the disk of the source, fewer than {@link size}. */
  readonly stored?: number;
  /** Target of a link, reason of a failed entry; empty otherwise. */
  readonly extra: Uint8Array;
}

/** Flags of an entry: see {@link ManifestEntry.linked} and {@link ManifestEntry.stored}. */
const LINKED = 1;
const SPARSE = 2;
const STORED_BYTES = 8;
const ENTRY_FIXED = 1 + 1 + 2 + 8 + 8 + 2 + 2;
const EMPTY = new Uint8Array(0);

/** Bytes that an entry takes in a batch. */
export function entryBytes(entry: Pick<ManifestEntry, 'name' | 'extra' | 'stored'>): number {
  return ENTRY_FIXED + entry.name.length + extraBytes(entry);
}

function extraBytes({ extra, stored }: Pick<ManifestEntry, 'extra' | 'stored'>): number {
  return stored === undefined ? extra.length : STORED_BYTES;
}

/** Writes an entry at `offset` and returns the offset behind it. */
export function writeEntry(buffer: Buffer, entry: ManifestEntry, offset: number): number {
  buffer.writeUInt8(entry.kind, offset);
  const { stored } = entry;
  buffer.writeUInt8((entry.linked ? LINKED : 0) | (stored === undefined ? 0 : SPARSE), offset + 1);
  buffer.writeUInt16BE(entry.mode, offset + 2);
  writeInt64(buffer, entry.mtime, offset + 4);
  writeInt64(buffer, entry.size, offset + 12);
  buffer.writeUInt16BE(entry.name.length, offset + 20);
  buffer.writeUInt16BE(extraBytes(entry), offset + 22);
  buffer.set(entry.name, offset + ENTRY_FIXED);
  const extra = offset + ENTRY_FIXED + entry.name.length;
  if (stored === undefined) buffer.set(entry.extra, extra);
  else writeInt64(buffer, stored, extra);
  return offset + entryBytes(entry);
}

function malformed(what: string): Error {
  return errorOf('BAD_MESSAGE', `${what} is malformed`);
}

function safeInteger(value: bigint, what: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw malformed(what);
  return number;
}

const HIGH = 2 ** 32;

/** An i64 by its halves: a bigint for each of a million entries costs more than the rest of them. */
function writeInt64(buffer: Buffer, value: number, offset: number): void {
  const high = Math.floor(value / HIGH);
  buffer.writeInt32BE(high, offset);
  buffer.writeUInt32BE(value - high * HIGH, offset + 4);
}

function readInt64(payload: Buffer, offset: number, what: string): number {
  // Exact where the result is a safe integer, and never one where it is not.
  const number = payload.readInt32BE(offset) * HIGH + payload.readUInt32BE(offset + 4);
  if (!Number.isSafeInteger(number)) throw malformed(what);
  return number;
}

const KINDS = new Set<number>(Object.values(ENTRY));
const MAX_FLAG = 999;

/** Whether a number may stand where the size of this kind of entry stands; see {@link ManifestEntry.size}. */
function isSizeOf(kind: number, size: number): boolean {
  if (kind === ENTRY.file) return size >= -1;
  return kind === ENTRY.failed ? size > 0 && size <= MAX_FLAG : size === 0;
}

function mostFlags(kind: number): number {
  return kind === ENTRY.file ? LINKED | SPARSE : 0;
}

/** Reads a whole batch. Throws BAD_MESSAGE when it is empty, over {@link MAX_BATCH_ENTRIES}, cut or too long. */
export function readEntries(payload: Buffer): ManifestEntry[] {
  const entries: ManifestEntry[] = [];
  let offset = 0;
  while (offset < payload.length) {
    if (entries.length === MAX_BATCH_ENTRIES || offset + ENTRY_FIXED > payload.length)
      throw malformed('a manifest batch');
    const kind = payload.readUInt8(offset);
    const flags = payload.readUInt8(offset + 1);
    const mode = payload.readUInt16BE(offset + 2);
    const nameLength = payload.readUInt16BE(offset + 20);
    const extraLength = payload.readUInt16BE(offset + 22);
    const size = readInt64(payload, offset + 12, 'a size');
    const mtime = readInt64(payload, offset + 4, 'a time');
    const end = offset + ENTRY_FIXED + nameLength + extraLength;
    if (!KINDS.has(kind) || flags > mostFlags(kind) || mode > 0o777 || end > payload.length)
      throw malformed('a manifest entry');
    const isSparse = (flags & SPARSE) !== 0;
    // Longer names are carried, so that a name which this system can't hold fails alone and by name.
    if (extraLength > MAX_LINK_BYTES || (kind === ENTRY.leave) !== (nameLength === 0))
      throw malformed('a manifest entry');
    if (
      !isSizeOf(kind, size) ||
      (extraLength > 0 && !isSparse && kind !== ENTRY.link && kind !== ENTRY.failed)
    )
      throw malformed('a manifest entry');
    const nameEnd = offset + ENTRY_FIXED + nameLength;
    if (isSparse && extraLength !== STORED_BYTES) throw malformed('a manifest entry');
    const stored = isSparse ? readInt64(payload, nameEnd, 'a size') : undefined;
    if (stored !== undefined && (stored < 0 || stored >= size)) throw malformed('a manifest entry');
    entries.push({
      kind: kind as EntryKind,
      mode,
      mtime,
      size,
      ...((flags & LINKED) !== 0 && { linked: true as const }),
      ...(stored !== undefined && { stored }),
      name: Uint8Array.prototype.slice.call(payload, offset + ENTRY_FIXED, nameEnd),
      extra: extraLength === 0 || isSparse ? EMPTY : Uint8Array.prototype.slice.call(payload, nameEnd, end),
    });
    offset = end;
  }
  if (entries.length === 0) throw malformed('a manifest batch');
  return entries;
}

/** Header of one small file in a PACK: `u16 index ‖ u32 length ‖ digest[32]`, then its bytes. */
export const PACK_FIXED = 2 + 4 + DIGEST_BYTES;

export function writePackHeader(
  buffer: Buffer,
  index: number,
  length: number,
  digest: Uint8Array,
  offset: number,
): void {
  buffer.writeUInt16BE(index, offset);
  buffer.writeUInt32BE(length, offset + 2);
  buffer.set(digest, offset + 6);
}

export interface PackedFile {
  readonly index: number;
  readonly digest: Buffer;
  readonly bytes: Buffer;
}

/** Takes a PACK apart, in views on the payload. Throws BAD_MESSAGE when it is empty, cut or has bytes left over. */
export function* readPack(payload: Buffer): Generator<PackedFile> {
  if (payload.length === 0) throw malformed('a pack');
  let offset = 0;
  while (offset < payload.length) {
    if (offset + PACK_FIXED > payload.length) throw malformed('a pack');
    const length = payload.readUInt32BE(offset + 2);
    const start = offset + PACK_FIXED;
    if (start + length > payload.length) throw malformed('a pack');
    yield {
      index: payload.readUInt16BE(offset),
      digest: payload.subarray(offset + 6, start),
      bytes: payload.subarray(start, start + length),
    };
    offset = start + length;
  }
}

/** What the target says of one entry. */
export const ANSWER = {
  /** Nothing is to be sent; the outcome is settled at the target. */
  skip: 0,
  /** Send it whole. */
  send: 1,
  /** I have one piece at the most with this digest: say `same`, or send it whole. */
  have: 2,
  /** As `have`, but say `same` or `differs` and send nothing. */
  compare: 3,
  /** The answer follows by itself (REANSWER or BASIS). */
  later: 4,
} as const;
export type AnswerCode = (typeof ANSWER)[keyof typeof ANSWER];

export interface Answer {
  readonly code: AnswerCode;
  /** With `have` and `compare`: BLAKE3 of what is there. */
  readonly digest?: Buffer;
}

const ANSWERS = new Set<number>(Object.values(ANSWER));
const withDigest = (code: number): boolean => code === ANSWER.have || code === ANSWER.compare;

/** Encodes the answers of a batch, one an entry, in order. */
export function encodeAnswers(answers: readonly Answer[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const answer of answers) {
    parts.push(Uint8Array.of(answer.code));
    if (withDigest(answer.code)) parts.push(answer.digest ?? new Uint8Array(DIGEST_BYTES));
  }
  return Buffer.concat(parts);
}

/** Reads exactly `count` answers. Throws BAD_MESSAGE. */
export function readAnswers(payload: Buffer, count: number): Answer[] {
  const answers: Answer[] = [];
  let offset = 0;
  while (answers.length < count) {
    const code = payload[offset];
    if (code === undefined || !ANSWERS.has(code)) throw malformed('an answer');
    offset += 1;
    if (!withDigest(code)) {
      answers.push({ code: code as AnswerCode });
      continue;
    }
    if (offset + DIGEST_BYTES > payload.length) throw malformed('an answer');
    answers.push({ code: code as AnswerCode, digest: copyOf(payload, offset, offset + DIGEST_BYTES) });
    offset += DIGEST_BYTES;
  }
  if (offset !== payload.length) throw malformed('an answer');
  return answers;
}

/** A run of piece digests of a basis: `u64 number of the first piece ‖ digests`. */
export interface BasisRun {
  readonly first: number;
  readonly digests: Buffer;
}

/** The most pieces in one BASIS frame. */
export const MAX_BASIS_PIECES = Math.floor((MAX_META_PAYLOAD - 8) / DIGEST_BYTES);

export function encodeBasis(run: BasisRun): Buffer {
  const payload = Buffer.allocUnsafe(8 + run.digests.length);
  payload.writeBigUInt64BE(BigInt(run.first), 0);
  run.digests.copy(payload, 8);
  return payload;
}

export function readBasis(payload: Buffer): BasisRun {
  if (payload.length < 8 || (payload.length - 8) % DIGEST_BYTES !== 0) throw malformed('a basis');
  return {
    first: safeInteger(payload.readBigUInt64BE(0), 'a basis'),
    digests: copyOf(payload, 8, payload.length),
  };
}

/** How an entry ended at the target. */
export const OUTCOME = { committed: 1, same: 2, skipped: 3, failed: 4 } as const;
export type OutcomeCode = (typeof OUTCOME)[keyof typeof OUTCOME];

/** One settled entry: `u16 index ‖ u8 outcome ‖ u16 flag ‖ digest[32] ‖ u8 length ‖ reason or the name it was saved as`. */
export interface EntryResult {
  readonly index: number;
  readonly outcome: OutcomeCode;
  /** Flag number; 200 unless it failed or was skipped. */
  readonly flag: number;
  /** BLAKE3 of a file that is there now; zeros otherwise. */
  readonly digest: Buffer;
  /** 255 bytes at most: the reason in UTF-8, or the bytes of the name that a committed file got instead of its own. */
  readonly note: Uint8Array;
}

const RESULT_FIXED = 2 + 1 + 2 + DIGEST_BYTES + 1;
const OUTCOMES = new Set<number>(Object.values(OUTCOME));

/** A text of at most `max` bytes of UTF-8, never cut within a character. */
export function cutText(text: string, max = MAX_NAME_BYTES): Uint8Array {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length <= max) return bytes;
  let end = max;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

export function encodeResult(result: EntryResult): Buffer {
  const note = result.note.subarray(0, MAX_NAME_BYTES);
  const buffer = Buffer.allocUnsafe(RESULT_FIXED + note.length);
  buffer.writeUInt16BE(result.index, 0);
  buffer.writeUInt8(result.outcome, 2);
  buffer.writeUInt16BE(result.flag, 3);
  result.digest.copy(buffer, 5);
  buffer.writeUInt8(note.length, 5 + DIGEST_BYTES);
  buffer.set(note, RESULT_FIXED);
  return buffer;
}

/** Whether an entry is at the target now. */
export function isSound(outcome: OutcomeCode): boolean {
  return outcome === OUTCOME.committed || outcome === OUTCOME.same;
}

/** Reads a RESULT payload: settled entries of one batch, in views on it. Throws BAD_MESSAGE. */
export function readResults(payload: Buffer): EntryResult[] {
  const results: EntryResult[] = [];
  let offset = 0;
  while (offset < payload.length) {
    if (offset + RESULT_FIXED > payload.length) throw malformed('a result');
    const outcome = payload.readUInt8(offset + 2);
    const end = offset + RESULT_FIXED + payload.readUInt8(offset + 5 + DIGEST_BYTES);
    if (!OUTCOMES.has(outcome) || end > payload.length) throw malformed('a result');
    results.push({
      index: payload.readUInt16BE(offset),
      outcome: outcome as OutcomeCode,
      flag: payload.readUInt16BE(offset + 3),
      digest: payload.subarray(offset + 5, offset + 5 + DIGEST_BYTES),
      note: payload.subarray(offset + RESULT_FIXED, end),
    });
    offset = end;
  }
  if (results.length === 0) throw malformed('a result');
  return results;
}

/** END: `u64 size ‖ digest`. */
export function encodeEnd(size: number, digest: Uint8Array): Buffer {
  const payload = Buffer.allocUnsafe(8 + DIGEST_BYTES);
  payload.writeBigUInt64BE(BigInt(size), 0);
  payload.set(digest, 8);
  return payload;
}

export function readEnd(payload: Buffer): { readonly size: number; readonly digest: Buffer } {
  if (payload.length !== 8 + DIGEST_BYTES) throw malformed('the end of a file');
  return {
    size: safeInteger(payload.readBigUInt64BE(0), 'the end of a file'),
    digest: copyOf(payload, 8, payload.length),
  };
}

/** SAME: `u16 index ‖ digest` for each file that is there already. */
export const SAME_BYTES = 2 + DIGEST_BYTES;

export function readSame(payload: Buffer): { readonly index: number; readonly digest: Buffer }[] {
  if (payload.length === 0 || payload.length % SAME_BYTES !== 0) throw malformed('a same frame');
  const rows: { index: number; digest: Buffer }[] = [];
  for (let offset = 0; offset < payload.length; offset += SAME_BYTES)
    rows.push({
      index: payload.readUInt16BE(offset),
      digest: copyOf(payload, offset + 2, offset + SAME_BYTES),
    });
  return rows;
}

/** FAILED: `u16 flag ‖ reason in UTF-8`. */
export function encodeFailed(flag: number, reason: string): Buffer {
  const note = cutText(reason, 1024);
  const payload = Buffer.allocUnsafe(2 + note.length);
  payload.writeUInt16BE(flag, 0);
  payload.set(note, 2);
  return payload;
}

export function readFailed(payload: Buffer): { readonly flag: number; readonly reason: string } {
  if (payload.length < 2 || payload.length > 2 + 1024 || !isUtf8(payload.subarray(2)))
    throw malformed('a failed frame');
  return { flag: payload.readUInt16BE(0), reason: payload.toString('utf8', 2) };
}

/** DONE: `u32 batches ‖ u64 entries ‖ BLAKE3 of all manifest payloads in order`. */
export function encodeDone(batches: number, entries: number, manifestDigest: Uint8Array): Buffer {
  const payload = Buffer.allocUnsafe(12 + DIGEST_BYTES);
  payload.writeUInt32BE(batches, 0);
  payload.writeBigUInt64BE(BigInt(entries), 4);
  payload.set(manifestDigest, 12);
  return payload;
}

export function readDone(payload: Buffer): { batches: number; entries: number; manifestDigest: Buffer } {
  if (payload.length !== 12 + DIGEST_BYTES) throw malformed('a done frame');
  return {
    batches: payload.readUInt32BE(0),
    entries: safeInteger(payload.readBigUInt64BE(4), 'a done frame'),
    manifestDigest: copyOf(payload, 12, payload.length),
  };
}

/** A copy: the payload's memory belongs to a slot that is used again. */
function copyOf(payload: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  payload.copy(copy, 0, start, end);
  return copy;
}
