/** Peers that a person let in for one session: who of them is asked about again. */
import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import type { Listener } from '../../src/index.ts';
import { Approvals } from '../../src/server/approvals.ts';
import { identities } from '../crypto/fixed.ts';
import { dialSession, type RawSession } from './wire-dialler.ts';
import { serve, until } from './wire-machines.ts';

/** A listener whose operator lets in so many, each once, and nobody after them. */
async function asking(t: TestContext, most: number) {
  const asked: string[] = [];
  const { listener } = await serve(t, {
    open: false,
    decide: async ({ fingerprint }) => (asked.push(fingerprint) <= most ? 'once' : 'reject'),
  });
  return { listener, asked };
}

/** Alice comes in. */
async function enter(listener: Listener): Promise<RawSession> {
  const { length } = listener.peers;
  const session = await dialSession(listener.port);
  await until(() => listener.peers.length === length + 1);
  return session;
}

/** The connection of a session breaks. */
async function breakOff(listener: Listener, session: RawSession): Promise<void> {
  const { length } = listener.peers;
  session.control.socket.destroy();
  await until(() => listener.peers.length === length - 1);
}

suite('a peer that was let in once', () => {
  test('and whose connection broke comes back without a question, again and again', async (t) => {
    const { listener, asked } = await asking(t, 1);
    for (let times = 0; times < 3; times += 1) await breakOff(listener, await enter(listener));
    assert.equal(asked.length, 1);
  });

  test('is asked about again when it was kicked, whatever broke before', async (t) => {
    const { listener, asked } = await asking(t, 1);
    await breakOff(listener, await enter(listener));
    await enter(listener);
    await listener.kick(listener.peers[0]?.id ?? '');
    await until(() => listener.peers.length === 0);
    await assert.rejects(dialSession(listener.port), /not let in/);
    assert.equal(asked.length, 2);
  });

  test('comes back with no more sessions than broke', async (t) => {
    const { listener, asked } = await asking(t, 2);
    const [one, other] = [await enter(listener), await enter(listener)];
    await breakOff(listener, one);
    await breakOff(listener, other);
    await enter(listener);
    await enter(listener);
    assert.equal(asked.length, 2);
    await assert.rejects(dialSession(listener.port), /not let in/);
    assert.equal(asked.length, 3);
  });

  test('does not come back by a session that broke before another of it was kicked', async (t) => {
    const { listener, asked } = await asking(t, 2);
    const broken = await enter(listener);
    await enter(listener);
    await breakOff(listener, broken);
    await listener.kick(listener.peers[0]?.id ?? '');
    await until(() => listener.peers.length === 0);
    await assert.rejects(dialSession(listener.port), /not let in/);
    assert.equal(asked.length, 3);
  });

  test('does not come back by a decision of the day before', () => {
    const { fingerprint } = identities.alice;
    const hours = (count: number) => performance.now() - count * 60 * 60_000;
    const approvals = new Approvals();
    approvals.keep({ fingerprint, at: hours(24) });
    assert.equal(approvals.has(fingerprint), false);
    approvals.keep({ fingerprint, at: hours(23) });
    assert.equal(approvals.has(fingerprint), true);
  });
});
