import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Localstream, Session } from '../../src/index.ts';
import { identities } from '../crypto/fixed.ts';
import { dialSession } from '../server/wire-dialler.ts';
import { RawListener } from '../server/wire-listener.ts';
import { until } from '../server/wire-machines.ts';
import { machine, type Pair, pair, sceneFolder } from './machines.ts';

const MEBIBYTE = 1024 * 1024;

/** Bob trusts alice, and knows it when she connects. */
async function trusting(both: Pair): Promise<Session> {
  await both.bob.trust.trust({ fingerprint: both.alice.fingerprint, name: 'alice', how: 'manual' });
  return await again(both.alice, both);
}

async function again(who: Localstream, { listener }: Pair): Promise<Session> {
  return await who.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
}

suite('a test of the speed', () => {
  test('measures both ways, within the bounds of both sides', async (t) => {
    const both = await pair(t, {
      bob: { 'speedTest.bytes': 8 * MEBIBYTE },
      alice: { 'speedTest.bytes': 64 * MEBIBYTE },
    });
    const session = await trusting(both);
    for (const direction of ['up', 'down'] as const) {
      const { bytes, milliseconds } = await session.measure(direction);
      assert.ok(bytes > 0 && bytes <= 8 * MEBIBYTE, `${bytes} ${direction}`);
      assert.ok(milliseconds > 0);
    }
    // The session is as it was.
    for await (const entry of session.list('/')) assert.equal(entry.name, 'share');
  });

  test('ends when its time is over, however much is left', async (t) => {
    const both = await pair(t, {
      bob: { 'speedTest.bytes': 1024 * MEBIBYTE, 'speedTest.time': 200, limit: 4 * MEBIBYTE },
      alice: { 'speedTest.bytes': 1024 * MEBIBYTE },
    });
    const session = await trusting(both);
    const { bytes } = await session.measure('down');
    // What the limit lets through in the time, and what its burst adds.
    assert.ok(bytes <= 4 * MEBIBYTE, `${bytes}`);
  });

  test('is for trusted keys, not for strangers who were let in', async (t) => {
    const both = await pair(t);
    await assert.rejects(both.session.measure('down'), {
      code: 'NOT_ALLOWED',
      message: /trusted keys and users only/,
    });
    assert.equal(both.listener.peers.length, 1, 'the session goes on');
  });

  test('can be forbidden on either side', async (t) => {
    const both = await pair(t, { bob: { 'speedTest.bytes': 0 } });
    await assert.rejects((await trusting(both)).measure('up'), {
      code: 'NOT_ALLOWED',
      message: /speedTest\.bytes/,
    });
    const mine = await pair(t, { base: sceneFolder(t), alice: { 'speedTest.bytes': 0 } });
    await assert.rejects(mine.session.measure('up'), {
      code: 'NOT_ALLOWED',
      message: /nothing is tested here/,
    });
  });

  test('runs for one peer at a time, and makes room when that one goes', async (t) => {
    const both = await pair(t);
    const session = await trusting(both);
    await both.bob.trust.trust({ fingerprint: identities.mallory.fingerprint, name: 'm', how: 'manual' });
    const { control } = await dialSession(both.listener.port, identities.mallory);
    control.send({ type: 'speed', request: 0, direction: 'down', bytes: 1000, milliseconds: 1000 });
    assert.equal((await control.after())?.['type'], 'speed-lane');
    await assert.rejects(session.measure('down'), { code: 'BUSY', message: /by another peer/ });
    control.socket.destroy();
    await until(() => both.listener.peers.length === 2);
    assert.ok((await session.measure('down')).bytes > 0);
  });

  test('can be given up', async (t) => {
    const both = await pair(t, { bob: { limit: MEBIBYTE, 'speedTest.time': 60_000 } });
    const session = await trusting(both);
    const stop = new AbortController();
    const running = session.measure('down', { signal: stop.signal });
    stop.abort();
    await assert.rejects(running, { code: 'CANCELLED' });
  });

  test('is not even asked of a server that does not know it', async (t) => {
    const raw = await RawListener.open(t, identities.bob);
    const alice = await machine(t, sceneFolder(t), 'alice');
    const connecting = alice.connect({ host: '127.0.0.1', port: raw.port, acceptNew: true });
    const server = await raw.next();
    await server.session(['change']);
    const session = await connecting;
    await assert.rejects(session.measure('up'), {
      code: 'NOT_SUPPORTED',
      message: /the server is an older one/,
    });
  });

  test('ends with the session', async (t) => {
    const both = await pair(t, { bob: { limit: MEBIBYTE, 'speedTest.time': 60_000 } });
    const session = await trusting(both);
    const running = session.measure('down');
    const ended = assert.rejects(running);
    await both.listener.close();
    await ended;
  });

  test('asked for again and again gets one lane and refusals', async (t) => {
    const both = await pair(t);
    await both.bob.trust.trust({ fingerprint: identities.mallory.fingerprint, name: 'm', how: 'manual' });
    const { control } = await dialSession(both.listener.port, identities.mallory);
    for (let request = 0; request < 50; request += 1)
      control.send({ type: 'speed', request, direction: 'down', bytes: 2 ** 30, milliseconds: 60_000 });
    const types: unknown[] = [];
    while (types.length < 50) {
      const answer = await control.after();
      types.push(answer?.['type'] === 'failed' ? answer['flag'] : answer?.['type']);
      if (answer?.['type'] === 'speed-lane') assert.equal(answer['bytes'], 268_435_456, 'our bound holds');
    }
    assert.deepEqual(
      types.filter((type) => type !== 422),
      ['speed-lane'],
    );
  });
});
