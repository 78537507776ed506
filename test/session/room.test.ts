/** Who takes how much of the memory for transfers, and what that leaves to others. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { LaneGrants } from '../../src/session/lane-grants.ts';
import { newTransferId, Transfers } from '../../src/session/transfers.ts';
import { dialSession } from '../server/wire-dialler.ts';
import { freshTransfer, wordOf } from '../server/wire-frames.ts';
import { until } from '../server/wire-machines.ts';
import { machine, noise, pair } from './machines.ts';

/** As large as a transfer gets: five of them are all that one peer may have, eleven would be more than there is. */
const LARGEST = { lanes: 16, chunk: 4_194_304 };
const BUSY = 422;

/** Alice is a program that says what it likes, mallory is a good peer of the same listener. */
async function scene(t: TestContext) {
  const all = await pair(t, { listen: { maxConnections: 3 } });
  writeFileSync(join(all.share, 'x'), noise(10_000));
  const { port } = all.listener;
  const greedy = await dialSession(port);
  const mallory = await machine(t, all.base, 'mallory');
  const good = await mallory.connect({ host: '127.0.0.1', port, acceptNew: true });
  const isServed = async () => {
    const receipt = await good.get(['/share/x'], join(all.local, newTransferId()), { retryFor: 0 });
    assert.equal(receipt.code, 'OK');
  };
  return { ...all, greedy, isServed };
}

suite('memory for transfers', () => {
  test('is not taken by what is asked for and not accepted', async (t) => {
    const { greedy, isServed } = await scene(t);
    for (let count = 0; count < 20; count += 1) {
      const transfer = freshTransfer();
      greedy.control.send({ type: 'get', transfer, paths: ['/share/x'], ...LARGEST });
      assert.equal((await wordOf(greedy, transfer))?.type, 'offer');
    }
    await isServed();
  });

  test('is never all of one peer: what it asks for beyond its part is BUSY', async (t) => {
    const { greedy, isServed } = await scene(t);
    const roots = [{ name: 'a', type: 'file', size: 5 }];
    const put = { type: 'put', target: '/share/', roots, existing: 'rename', ...LARGEST };
    const words: unknown[] = [];
    for (let count = 0; count < 11; count += 1) {
      const transfer = freshTransfer();
      greedy.control.send({ ...put, transfer });
      const word = await wordOf(greedy, transfer);
      words.push(word?.['flag'] ?? word?.type);
    }
    assert.deepEqual(words, [...Array(5).fill('accept'), ...Array(6).fill(BUSY)]);
    // What begins with an acceptance is refused by a cancel.
    const transfer = freshTransfer();
    greedy.control.send({ type: 'get', transfer, paths: ['/share/x'], ...LARGEST });
    assert.equal((await wordOf(greedy, transfer))?.type, 'offer');
    greedy.control.send({ type: 'accept', transfer });
    const word = await wordOf(greedy, transfer);
    assert.deepEqual([word?.type, word?.['flag']], ['cancel', BUSY]);
    await isServed();
  });

  test('that a client lacks for what the server has agreed to: the server hears of it', async (t) => {
    const { share, local, session, listener, failed } = await pair(t);
    // So large that none of them is over before the last has been answered.
    writeFileSync(join(share, 'x'), noise(64 * 1024 * 1024));
    mkdirSync(join(local, 'got'));
    const stop = new AbortController();
    const codes: string[] = [];
    const running = Array.from({ length: 6 }, async (_, number) => {
      const how = { ...LARGEST, retryFor: 0, signal: stop.signal };
      const got = session.get(['/share/x'], join(local, 'got', `${number}`), how);
      codes.push(
        await got.then(
          ({ code }) => code,
          (error) => error.code,
        ),
      );
    });
    await until(() => failed.length > 0 && codes.length > 0);
    stop.abort();
    await Promise.all(running);
    assert.equal(codes[0], 'BUSY');
    await until(() => listener.transfers.length === 0);
  });
});

test('an offer that answers a request does not wait for ever for its acceptance', async () => {
  const unused = () => assert.fail('not for this');
  const transfers = new Transfers({
    // Only a transfer that begins needs one.
    host: {} as ConstructorParameters<typeof Transfers>[0]['host'],
    peer: unused,
    grants: new LaneGrants(),
    openLane: undefined,
    send: unused,
    begun: unused,
    settled: unused,
    over: unused,
  });
  const id = newTransferId();
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  transfers.expect(id, 1, resolve, reject);
  await assert.rejects(promise, { code: 'TIMEOUT' });
  // One that comes too late is passed over.
  assert.equal(transfers.answer({ n: 0, type: 'accept', transfer: id }), false);
});
