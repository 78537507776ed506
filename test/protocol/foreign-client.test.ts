/** docs/protocol.md is enough: a client that knows nothing else meets a real listener. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { digestOf } from '../../src/crypto/digest.ts';
import { folderOf, serve, until } from '../server/wire-machines.ts';
import { ForeignClient, type ForeignIdentity, newForeignIdentity } from './foreign-client.ts';

suite('a client written from the document', () => {
  let identity: ForeignIdentity;
  before(() => {
    identity = newForeignIdentity();
  });

  test('imports nothing of the program', () => {
    const text = readFileSync(fileURLToPath(import.meta.resolve('./foreign-client.ts')), 'utf8');
    const sources = [...text.matchAll(/from '([^']+)'|import\(([^)]+)\)/g)].map(([, from]) => from);
    assert.deepEqual(sources, ['node:crypto', 'node:events', 'node:tls', '@napi-rs/blake-hash']);
  });

  test('proves itself, is asked about by the same number on both screens, and lists', async (t) => {
    const folder = folderOf(t, { 'a.txt': 'hello', 'Ærø.bin': randomBytes(10) });
    mkdirSync(join(folder, 'sub'));
    let number = '';
    const { listener, identity: bob } = await serve(t, {
      open: false,
      decide: async ({ checkNumber, claimedName, fingerprint }) => {
        assert.equal(claimedName, 'foreign');
        assert.equal(fingerprint, identity.fingerprint);
        number = checkNumber;
        return 'once';
      },
      shares: [{ name: 'docs', folder, mode: 'ro' }],
    });
    const client = await ForeignClient.connect(listener.port, identity);
    t.after(() => client.close());
    assert.equal(client.checkNumber, number);
    assert.equal(client.serverFingerprint, bob.fingerprint);
    assert.equal(client.serverName, "bob's device");
    // The server has admitted both a moment after the client.
    await until(() => listener.peers.length === 1);
    assert.deepEqual(
      listener.peers.map(({ id, fingerprint }) => ({ id, fingerprint })),
      [{ id: client.sessionId, fingerprint: identity.fingerprint }],
    );
    const shares = await client.list('/');
    assert.deepEqual(
      shares.map(({ name, type, shareMode }) => ({ name, type, shareMode })),
      [{ name: 'docs', type: 'share', shareMode: 'ro' }],
    );
    const entries = await client.list('/docs');
    assert.deepEqual(
      entries.map(({ name, type, size }) => `${type} ${name} ${type === 'file' ? size : ''}`).sort(),
      ['file a.txt 5', 'file Ærø.bin 10', 'folder sub '],
    );
    await assert.rejects(client.list('/nope'), /failed 406/);
  });

  test('pages through a folder of a thousand', async (t) => {
    const folder = folderOf(t, {});
    for (let file = 0; file < 1000; file += 1) writeFileSync(join(folder, `file ${file}`), '');
    const { listener } = await serve(t, { shares: [{ name: 'docs', folder }] });
    const client = await ForeignClient.connect(listener.port, identity);
    t.after(() => client.close());
    const entries = await client.list('/docs');
    assert.equal(new Set(entries.map(({ name }) => name)).size, 1000);
  });

  test('gets a small file, a large one, and a folder', async (t) => {
    const large = randomBytes(700_000);
    const folder = folderOf(t, {
      'a.txt': 'hello',
      'sub/large': large,
      'sub/deep/b.txt': 'b',
      'sub/empty': '',
    });
    const { listener, failed } = await serve(t, { shares: [{ name: 'docs', folder }] });
    const receipts: string[] = [];
    listener.on('receipt', ({ code, files, bytes }) => receipts.push(`${code} ${files} ${bytes}`));
    const client = await ForeignClient.connect(listener.port, identity);
    t.after(() => client.close());
    assert.deepEqual(await client.get('/docs/a.txt'), new Map([['a.txt', Buffer.from('hello')]]));
    const tree = await client.get('/docs/sub');
    assert.deepEqual([...tree.keys()].sort(), ['sub/deep/b.txt', 'sub/empty', 'sub/large']);
    assert.ok(tree.get('sub/large')?.equals(large));
    await until(() => receipts.length === 2);
    assert.deepEqual(receipts, ['OK 1 5', 'OK 3 700001']);
    assert.deepEqual(failed, []);
    await assert.rejects(client.get('/docs/nope'), /refuse 406/);
  });

  test('puts a file, puts it again, and is told what is in the way', async (t) => {
    const folder = folderOf(t, {});
    const { listener, failed } = await serve(t, { shares: [{ name: 'in', folder, mode: 'rw' }] });
    const client = await ForeignClient.connect(listener.port, identity);
    t.after(() => client.close());
    const content = randomBytes(200_000);
    const { receipt, outcome } = await client.put('/in/', 'new.bin', content);
    assert.equal(outcome, 1);
    assert.deepEqual(readFileSync(join(folder, 'new.bin')), content);
    const { mode, mtimeMs } = statSync(join(folder, 'new.bin'));
    assert.equal(mode & 0o777, 0o640);
    assert.equal(mtimeMs, 1_700_000_000_000);
    const { session, transfer, sender, files, bytes, failed: none, state, named } = receipt;
    assert.deepEqual(
      { session, sender, files, bytes, none, state },
      {
        session: client.sessionId,
        sender: identity.fingerprint,
        files: 1,
        bytes: 200_000,
        none: 0,
        state: 'committed',
      },
    );
    assert.match(String(transfer), /^[0-9a-f]{32}$/);
    const digest = digestOf(content).toString('hex');
    assert.deepEqual(named, [{ path: 'new.bin', outcome: 'committed', size: 200_000, digest }]);

    assert.equal((await client.put('/in/', 'new.bin', content)).outcome, 2);
    const other = await client.put('/in/', 'new.bin', randomBytes(200_000));
    assert.deepEqual([other.outcome, other.flag], [4, 412]);
    assert.deepEqual(readFileSync(join(folder, 'new.bin')), content);
    const replaced = await client.put('/in/other name', 'new.bin', Buffer.from('x'), 'overwrite');
    assert.equal(replaced.outcome, 1);
    assert.equal(readFileSync(join(folder, 'other name'), 'utf8'), 'x');
    assert.deepEqual(failed, []);
  });

  test('puts a file into a process with a bound, no faster than that', async (t) => {
    const folder = folderOf(t, {});
    const limit = 1_000_000;
    const { listener } = await serve(t, { shares: [{ name: 'in', folder, mode: 'rw' }] }, { limit });
    const client = await ForeignClient.connect(listener.port, identity);
    t.after(() => client.close());
    const content = randomBytes(800_000);
    const start = performance.now();
    await client.put('/in/', 'new.bin', content);
    // 50 ms ahead of the clock, and as much twice: what was asked for last, and a frame that was overdrawn.
    assert.ok(content.length <= (limit * (performance.now() - start + 150)) / 1000);
    assert.deepEqual(readFileSync(join(folder, 'new.bin')), content);
  });

  test('is told by name why it is not let in', async (t) => {
    const { listener } = await serve(t, { open: false });
    await assert.rejects(ForeignClient.connect(listener.port, identity), /bye 403/);
  });
});
