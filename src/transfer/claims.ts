/**
 * Which partials this process is writing, in whichever of its threads. All threads write under one process number, so the
 * name of a partial keeps them apart from other processes, but not from each other; without this one could take over a
 * file that another is just giving its name.
 *
 * The table lies in memory that all threads share. It is held for less than a microsecond at a time.
 */
import { threadId, workerData } from 'node:worker_threads';
import { digestOf } from '../crypto/digest.ts';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Folder } from './folder.ts';
import type { SafeName } from './name.ts';
import { nameDigest } from './name-digest.ts';

const BUCKETS = 256;
const SLOTS = 16;
/** A slot is the thread that holds it (0: none; a thread's number plus one), and 64 bits that name the file. */
const FIELDS = 3;
const LOCK_FIELDS = 1;

/** Key of `workerData` under which a thread gets the table. */
const TABLE_KEY = 'claims';

function tableOf(data: unknown): SharedArrayBuffer {
  if (typeof data === 'object' && data !== null && TABLE_KEY in data) {
    const { claims } = data as { claims: unknown };
    if (claims instanceof SharedArrayBuffer) return claims;
  }
  return new SharedArrayBuffer((LOCK_FIELDS + BUCKETS * SLOTS * FIELDS) * Int32Array.BYTES_PER_ELEMENT);
}

const memory = tableOf(workerData);
const table = new Int32Array(memory);
const keys = new WeakMap<Folder, Buffer>();

/** What a new thread must be given as its `workerData`. */
export function dataForWorker(): { readonly claims: SharedArrayBuffer } {
  return { [TABLE_KEY]: memory };
}

function locked<T>(step: () => T): T {
  while (Atomics.compareExchange(table, 0, 0, 1) !== 0) Atomics.wait(table, 0, 1);
  try {
    return step();
  } finally {
    Atomics.store(table, 0, 0);
    Atomics.notify(table, 0, 1);
  }
}

function folderKey(folder: Folder): Buffer {
  const known = keys.get(folder);
  if (known !== undefined) return known;
  const { device, inode } = folder.statSelf();
  const key = digestOf(Buffer.from(`${device}:${inode}`));
  keys.set(folder, key);
  return key;
}

/**
 * Claims the writing of a file for this thread; what it returns ends that.
 *
 * @throws BUSY when this process is writing that file already.
 */
export function claimWriting(folder: Folder, name: SafeName): () => void {
  const [where, what] = [folderKey(folder), nameDigest(name)];
  const high = where.readInt32LE(0) ^ what.readInt32LE(0);
  const low = where.readInt32LE(4) ^ what.readInt32LE(4);
  const bucket = LOCK_FIELDS + ((where.readUInt8(8) ^ what.readUInt8(8)) % BUCKETS) * SLOTS * FIELDS;
  const at = locked(() => take(bucket, high, low));
  // A full bucket needs 16 files at once in one of 256: it passes as the other does.
  if (at === undefined) throw errorOf('BUSY', `'${escapeText(name)}' is being written by another transfer`);
  let held = true;
  return () => {
    if (held) Atomics.store(table, at, 0);
    held = false;
  };
}

function take(bucket: number, high: number, low: number): number | undefined {
  let free: number | undefined;
  for (let at = bucket; at < bucket + SLOTS * FIELDS; at += FIELDS) {
    if (Atomics.load(table, at) === 0) free ??= at;
    else if (table[at + 1] === high && table[at + 2] === low) return undefined;
  }
  if (free === undefined) return undefined;
  table[free + 1] = high;
  table[free + 2] = low;
  Atomics.store(table, free, threadId + 1);
  return free;
}

/** Ends all claims of a thread that has died. */
export function releaseThread(thread: number): void {
  for (let at = LOCK_FIELDS; at < table.length; at += FIELDS)
    if (Atomics.load(table, at) === thread + 1) Atomics.store(table, at, 0);
}
