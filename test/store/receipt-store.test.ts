import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ReceiptEnd } from '../../src/store/receipt-lines.ts';
import { ReceiptStore, ReceiptWriter } from '../../src/store/receipt-store.ts';
import { gather, someFingerprint, temporaryHome } from './temporary-home.ts';

const BOUNDS = { keep: 1000, maxDays: 90 };
const PEER = { fingerprint: someFingerprint(2), name: 'bob' };
const END: ReceiptEnd = {
  ended: new Date(),
  code: 'PARTIAL',
  files: 2,
  failed: 1,
  skipped: 0,
  bytes: 5,
  bytesMoved: 5,
  seconds: 0.25,
  digest: 'd'.repeat(64),
};

function start(transferId = 'a1', started = new Date()) {
  return { transferId, direction: 'receive', peer: PEER, started } as const;
}

test('a receipt is read back line by line and in short', async (t) => {
  const home = temporaryHome(t);
  const store = new ReceiptStore(home, BOUNDS);
  const beginning = start();
  const writer = await store.create(beginning);
  const files = [
    { path: 'a\udc80\u001b\u009b.txt', outcome: 'committed', size: 5, digest: 'e'.repeat(64) },
    { path: 'b', outcome: 'failed', size: 7, code: 'NO_SPACE', reason: 'the disk is full' },
  ] as const;
  await writer.files(files);
  const signature = { body: 'Ym9keQ==', signature: 'c2ln', signedBy: PEER.fingerprint };
  await writer.finish(END, signature);

  const [summary, ...others] = await gather(store.list());
  assert.deepEqual(others, []);
  const { name = '', ...short } = summary ?? {};
  assert.deepEqual(short, { ...beginning, end: END });
  assert.deepEqual(await gather(store.read(name)), [
    { line: 'start', version: 1, ...beginning },
    ...files.map((file) => ({ line: 'file', ...file })),
    { line: 'signed', ...signature },
    { line: 'end', ...END },
  ]);
  const path = join(home.receipts, name);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.doesNotMatch(readFileSync(path, 'latin1'), /[\x00-\x09\x0b-\x1f\x9b]/);
});

test('a receipt of very many roots is one in short, too', async (t) => {
  const store = new ReceiptStore(temporaryHome(t), BOUNDS);
  const writer = await store.create(start());
  const names = Array.from({ length: 4096 }, (_, index): [string, string] => {
    const name = `${index} ${'é'.repeat(100)}`;
    return [name, name];
  });
  await writer.files([{ path: names[0]?.[0] ?? '', outcome: 'committed', size: 5 }]);
  const end = { ...END, target: { folder: '/in', names } };
  await writer.finish(end);
  const [summary] = await gather(store.list());
  assert.deepEqual(summary?.end, end);
});

test('the outcomes of many files are written and read in small memory', async (t) => {
  const store = new ReceiptStore(temporaryHome(t), BOUNDS);
  const writer = await store.create(start());
  const count = 200_000;
  for (let number = 0; number < count; number++) {
    await writer.files([
      {
        path: `folder/${number}`,
        outcome: 'committed',
        size: number,
        digest: 'e'.repeat(64),
      },
    ]);
  }
  await writer.finish(END);
  const [name = ''] = await store.names();
  const before = process.memoryUsage().rss;
  let files = 0;
  let highest = 0;
  for await (const line of store.read(name)) {
    if (line.line === 'file' && line.path === `folder/${files}`) files += 1;
    if (files % 10_000 === 0) highest = Math.max(highest, process.memoryUsage().rss);
  }
  assert.equal(files, count);
  assert.ok(highest - before < 100 * 1024 * 1024, `${highest - before} bytes more`);
});

test('a receipt that was cut short or damaged shows what is left of it', async (t) => {
  const home = temporaryHome(t);
  const store = new ReceiptStore(home, BOUNDS);
  const writer = await store.create(start());
  await writer.files([{ path: 'a', outcome: 'committed', size: 1 }]);
  await writer.finish(END);
  const [name = ''] = await store.names();
  const path = join(home.receipts, name);
  const whole = readFileSync(path, 'utf8');
  const [first = ''] = whole.split('\n');
  for (let length = 0; length < whole.length - 1; length += 7) {
    truncateSync(path, length);
    const lines = await gather(store.read(name));
    const [summary] = await gather(store.list());
    assert.equal(summary !== undefined, length >= first.length, String(length));
    assert.equal(summary?.end, undefined);
    assert.ok(lines.slice(0, -1).every(({ line }) => line !== 'damaged'));
    writeFileSync(path, whole);
  }
  writeFileSync(path, `${first}\n\u0000garbage\n{"line":"file"}\n{"line":"later"}\n`);
  assert.deepEqual(
    (await gather(store.read(name))).map(({ line }) => line),
    ['start', 'damaged', 'damaged', 'damaged'],
  );
});

test('a writer that is left shows as a receipt without an end', async (t) => {
  const store = new ReceiptStore(temporaryHome(t), BOUNDS);
  {
    await using writer = await store.create(start());
    await writer.files([{ path: 'a', outcome: 'same', size: 1 }]);
  }
  const [summary] = await gather(store.list());
  assert.equal(summary?.end, undefined);
  assert.equal((await gather(store.read(summary?.name ?? ''))).length, 2);
});

test('receipts are bounded in number and age, newest kept, and other files are left', async (t) => {
  const home = temporaryHome(t);
  const store = new ReceiptStore(home, { keep: 3, maxDays: 1 });
  writeFileSync(join(home.receipts, 'notes.txt'), '');
  const hour = 3_600_000;
  for (const hours of [30, 5, 4, 3, 2, 1]) {
    const writer = await store.create(start(`t${hours}`, new Date(Date.now() - hours * hour)));
    await writer.finish(END);
  }
  assert.deepEqual(
    (await gather(store.list())).map(({ transferId }) => transferId),
    ['t1', 't2', 't3'],
  );
  const since = new Date(Date.now() - 1.5 * hour);
  assert.deepEqual(
    (await gather(store.list({ since }))).map(({ transferId }) => transferId),
    ['t1'],
  );
  const old = await store.create(start('old', new Date(Date.now() - 30 * hour)));
  await old.close();
  assert.ok(!(await store.names()).some((name) => name.includes('-old-')));
  assert.ok(readdirSync(home.receipts).includes('notes.txt'));
});

test('an id from a peer names no path, and a name that is none of a receipt is refused', async (t) => {
  const home = temporaryHome(t);
  const store = new ReceiptStore(home, BOUNDS);
  await (await store.create(start('../../../x/\u0000'))).finish(END);
  assert.equal((await store.names()).length, 1);
  for (const name of ['../trust.json', 'notes.txt', '', '/etc/passwd']) {
    await assert.rejects(gather(store.read(name)), { code: 'STATE' }, name);
  }
  rmSync(home.receipts, { recursive: true });
  assert.deepEqual(await store.names(), []);
  writeFileSync(home.receipts, '');
  await assert.rejects(store.create(start()), { code: 'STATE' });
  await assert.rejects(store.names(), { code: 'STATE' });
});

test('a receipt that the disk has no room for on its way is closed too', async () => {
  const handle = await open('/dev/full', 'w');
  const writer = new ReceiptWriter(handle, '/dev/full', start());
  const rows = Array.from({ length: 1000 }, (_, number) => ({
    path: `folder/${number}`,
    outcome: 'committed' as const,
    size: 5,
    digest: 'e'.repeat(64),
  }));
  await assert.rejects(writer.files(rows), { code: 'STATE' });
  assert.equal(handle.fd, -1);
});

test('a receipt that the disk has no room for is closed all the same', async () => {
  const handle = await open('/dev/full', 'w');
  const writer = new ReceiptWriter(handle, '/dev/full', start());
  await assert.rejects(writer.finish(END), { code: 'STATE' });
  assert.equal(handle.fd, -1);
});
