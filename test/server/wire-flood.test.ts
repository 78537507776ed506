/** Peers that ask for too much. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { flagNumber } from '../../src/protocol/flags.ts';
import { FRAME } from '../../src/protocol/frame.ts';
import { ENTRY } from '../../src/protocol/manifest.ts';
import { dialSession, transferId } from './wire-dialler.ts';
import { entry, manifest, putting, wordOf, works } from './wire-frames.ts';
import { folderOf, machine, serve, until } from './wire-machines.ts';
import { listening, MESSAGES, rest } from './wire-messages.ts';

/** Whether what waits in a socket is taken within some milliseconds. */
async function drained(socket: TLSSocket, patience: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, patience, false);
  const onDrain = () => resolve(true);
  socket.once('drain', onDrain);
  const isTaken = await promise;
  clearTimeout(timer);
  socket.off('drain', onDrain);
  return isTaken;
}

suite('too much of everything', () => {
  /** Three pages of entries with long names. */
  const many = mkdtempSync(join(tmpdir(), 'localstream-test-'));
  for (let file = 0; file < 600; file += 1) writeFileSync(join(many, `${'x'.repeat(240)}${file}`), '');
  after(() => rmSync(many, { recursive: true }));

  test('a peer that asks and never reads is given up', async (t) => {
    const served = await serve(t, { shares: [{ name: 'many', folder: many }] });
    const { control } = await dialSession(served.listener.port);
    await until(() => served.listener.peers.length === 1);
    control.socket.pause();
    // Some hundred bytes for some ten thousand: they gather until the peer counts as gone.
    for (let request = 0; request < 5000 && served.listener.peers.length > 0; request += 1) {
      control.send({ type: 'list', request, path: '/many' });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await until(() => served.listener.peers.length === 0);
  });

  test('a source that never reads what is answered has to wait', async (t) => {
    const served = await serve(t, { shares: [{ name: 'in', folder: folderOf(t, {}), mode: 'rw' }] });
    const session = await dialSession(served.listener.port);
    const { lane } = await putting(session, { roots: [{ name: 'd', type: 'folder', size: null }] });
    const { socket } = lane.reader;
    socket.removeAllListeners('data');
    socket.pause();
    lane.frame(FRAME.manifest, manifest(entry('d', { kind: ENTRY.folder, size: 0 })), { batch: 0 });
    // Each of these is settled when it comes, so no rule on open batches ends it.
    const failing = entry('x', { kind: ENTRY.failed, size: flagNumber('UNREADABLE') });
    const payload = manifest(...Array.from({ length: 1024 }, () => failing));
    let batch = 1;
    let isTaken = true;
    for (; isTaken && batch <= 1000; batch += 1) {
      lane.frame(FRAME.manifest, payload, { batch });
      // What is taken is taken at once; three seconds without a byte are no delay.
      if (socket.writableLength > 256 * 1024) isTaken = await drained(socket, 3000);
    }
    assert.equal(served.listener.transfers.length, 1, 'it was not given up for something else');
    assert.ok(!isTaken, `all ${batch} batches were taken`);
    await works(await dialSession(served.listener.port));
  });

  test('more transfers than a session may have: busy, and the others go on', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    const flags: unknown[] = [];
    for (let count = 1; count <= 33; count += 1) {
      session.control.send({ ...MESSAGES['get'], transfer: transferId(500 + count) });
      const word = await wordOf(session, transferId(500 + count));
      flags.push(word?.['flag'] ?? word?.type);
    }
    assert.deepEqual(flags.at(-1), 422);
    assert.ok(
      flags.slice(0, 8).every((flag) => flag === 'offer'),
      flags.join(),
    );
    session.control.send({ type: 'cancel', transfer: transferId(501), flag: 425 });
    await until(() => served.listener.transfers.length < 32);
    await works(session);
  });

  test('a page more than was sent: 400', async (t) => {
    const served = await serve(t, { shares: [{ name: 'many', folder: many }] });
    const { control } = await dialSession(served.listener.port);
    control.send({ type: 'list', request: 1, path: '/many' });
    for (let count = 0; count < 3; count += 1) control.send({ type: 'more', request: 1 });
    assert.equal((await rest(control)).flag, 400);
  });

  test('a listing that is open may not be asked for again', async (t) => {
    const served = await serve(t, { shares: [{ name: 'many', folder: many }] });
    const { control } = await dialSession(served.listener.port);
    for (let count = 0; count < 2; count += 1) control.send({ type: 'list', request: 1, path: '/many' });
    assert.equal((await rest(control)).flag, 400);
  });

  test('the oldest of many open listings makes room', async (t) => {
    const served = await serve(t, { shares: [{ name: 'many', folder: many }] });
    const { control } = await dialSession(served.listener.port);
    for (let request = 0; request < 20; request += 1) control.send({ type: 'list', request, path: '/many' });
    // Two pages each are sent unasked, for those that are still open.
    const pages = new Map<unknown, number>();
    const open = [12, 13, 14, 15, 16, 17, 18, 19];
    while (!open.every((request) => pages.get(request) === 2)) {
      const page = await control.after();
      assert.equal(page?.type, 'listing');
      pages.set(page['request'], (pages.get(page['request']) ?? 0) + 1);
    }
    for (const request of [0, 5, 11]) control.send({ type: 'more', request });
    control.send({ type: 'ping', request: 9 });
    assert.equal((await control.after())?.type, 'pong');
  });

  test('many names that are long in JSON are offered and received all the same', async (t) => {
    const folder = folderOf(t, {});
    // Each byte of these is `\udcff` in JSON, and they are as long as names can be.
    for (let file = 0; file < 80; file += 1)
      writeFileSync(
        Buffer.concat([Buffer.from(`${folder}/`), Buffer.alloc(250, 0xff), Buffer.from(`${file}`)]),
        'x',
      );
    const served = await serve(t, { shares: [{ name: 'many', folder }] });
    const client = await machine(t, 'alice');
    const session = await client.connect({ host: '127.0.0.1', port: served.listener.port, acceptNew: true });
    let listed = 0;
    for await (const _entry of session.list('/many')) listed += 1;
    assert.equal(listed, 80);
    const out = folderOf(t, {});
    const receipt = await session.get(['/many'], `${out}/`);
    assert.deepEqual([receipt.code, receipt.files], ['OK', 80]);
    assert.equal(readdirSync(Buffer.from(join(out, 'many')), { encoding: 'buffer' }).length, 80);
  });
});
