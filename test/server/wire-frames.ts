/** Frames by hand, and sessions to send them in. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { HEADER_BYTES } from '../../src/protocol/frame.ts';
import { ENTRY, entryBytes, type ManifestEntry, writeEntry } from '../../src/protocol/manifest.ts';
import { dialLane, type Loose, type RawLane, type RawSession, transferId } from './wire-dialler.ts';
import { folderOf, machine, type Served, serve } from './wire-machines.ts';

export const BAD_MESSAGE = 400;
export const INTEGRITY = 417;
export const LIMIT = 419;
export const EMPTY = Buffer.alloc(0);

export const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

export function entry(name: string, more: Partial<ManifestEntry> = {}): ManifestEntry {
  const plain = { kind: ENTRY.file, mode: 0o644, mtime: 0, size: 5, name: Buffer.from(name), extra: EMPTY };
  return { ...plain, ...more };
}

export function manifest(...entries: ManifestEntry[]): Buffer {
  const payload = Buffer.alloc(entries.reduce((sum, one) => sum + entryBytes(one), 0));
  let offset = 0;
  for (const one of entries) offset = writeEntry(payload, one, offset);
  return payload;
}

export function pack(index: number, bytes: Buffer, digest = digestOf(bytes)): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(index);
  head.writeUInt32BE(bytes.length, 2);
  return Buffer.concat([head, digest, bytes]);
}

export const data = (offset: bigint | number, bytes: Uint8Array): Buffer =>
  Buffer.concat([u64(offset), bytes]);

/** A header that claims a length, and nothing behind it. */
export function claim(lane: RawLane, type: number, length: number): void {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(length);
  header.writeUInt8(type, 4);
  header.writeUInt32BE(lane.sent, 8);
  lane.reader.socket.write(header);
}

/** The next word about a transfer. */
export async function wordOf(session: RawSession, transfer: string): Promise<Loose | undefined> {
  for (;;) {
    const message = await session.control.after();
    if (message === undefined || message['transfer'] === transfer) return message;
  }
}

/** That a session still works. */
export async function works(session: RawSession): Promise<void> {
  session.control.send({ type: 'list', request: 9, path: '/' });
  assert.equal((await session.control.after('pong', 'cancel'))?.type, 'listing');
}

/** A good peer that fetches a file again and again until it is told to stop. */
export async function bystander(
  t: TestContext,
  served: Served,
  folder: string,
): Promise<() => Promise<void>> {
  const client = await machine(t, 'mallory');
  const session = await client.connect({ host: '127.0.0.1', port: served.listener.port, acceptNew: true });
  const out = folderOf(t, {});
  const content = readFileSync(join(folder, 'large.bin'));
  let stopping = false;
  let times = 0;
  const running = (async () => {
    while (!stopping) {
      const options = { existing: 'overwrite', chunk: 16_384, retryFor: 0 } as const;
      const receipt = await session.get(['/docs/large.bin'], `${out}/${times}`, options);
      assert.equal(receipt.code, 'OK');
      assert.ok(readFileSync(join(out, `${times}`)).equals(content));
      times += 1;
    }
  })();
  return async () => {
    stopping = true;
    await running;
    assert.ok(times > 0);
    await session.close();
  };
}

let number = 0;

/** A number for a transfer that nobody had. */
export function freshTransfer(): string {
  number += 1;
  return transferId(number);
}

/** Begins a put of one file `a` (5 bytes) and gives its lane. */
export async function putting(session: RawSession, more: Readonly<Record<string, unknown>> = {}) {
  const transfer = freshTransfer();
  const roots = [{ name: 'a', type: 'file', size: 5 }];
  const put = {
    type: 'put',
    transfer,
    target: '/in/',
    roots,
    lanes: 1,
    chunk: 1024,
    existing: 'fail',
    ...more,
  };
  session.control.send(put);
  const accept = await wordOf(session, transfer);
  assert.equal(accept?.type, 'accept');
  const [granted] = accept['lanes'] as number[];
  return { transfer, lane: await dialLane(session, granted ?? 0) };
}

/** Begins a get and gives its lane. */
export async function getting(session: RawSession, path: string, chunk = 1024) {
  const transfer = freshTransfer();
  session.control.send({ type: 'get', transfer, paths: [path], lanes: 1, chunk });
  const offer = await wordOf(session, transfer);
  assert.equal(offer?.type, 'offer');
  session.control.send({ type: 'accept', transfer });
  const [granted] = offer['lanes'] as number[];
  return { transfer, lane: await dialLane(session, granted ?? 0) };
}

/** A listener with something to fetch and a place to put things. */
export async function frameListener(t: TestContext) {
  const docs = folderOf(t, {
    'small.bin': randomBytes(3000),
    'large.bin': randomBytes(3_000_000),
    'empty.bin': '',
    'two/a': 'a',
    'two/b': 'b',
  });
  const inbox = folderOf(t, {});
  const shares = [
    { name: 'docs', folder: docs },
    { name: 'in', folder: inbox, mode: 'rw' as const },
  ];
  const listening = await serve(t, { shares });
  return { listening, docs, inbox };
}
