/** Offers to a listener that go on with others, and offers of a listener, with a dialler that says what it likes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import type { Offer } from '../../src/index.ts';
import { FRAME } from '../../src/protocol/frame.ts';
import { encodeDone } from '../../src/protocol/manifest.ts';
import { identities } from '../crypto/fixed.ts';
import { dialLane, dialSession, type RawLane, type RawSession } from './wire-dialler.ts';
import { entry, freshTransfer, manifest, pack, wordOf, works } from './wire-frames.ts';
import { folderOf, serve, until } from './wire-machines.ts';

const CONTENT = Buffer.from('hello');

/** A listener with an inbox, and the offers that somebody is asked about there. */
async function asking(t: TestContext) {
  const inbox = folderOf(t, {});
  const { listener } = await serve(t, { inbox: { folder: inbox } }, { retryFor: 60_000 });
  const asked: Offer[] = [];
  listener.on('offer', (offer) => asked.push(offer));
  return { inbox, asked, port: listener.port, listener };
}

function offer(session: RawSession, continues?: string, name = 'a'): string {
  const transfer = freshTransfer();
  const roots = [{ name, type: 'file', size: CONTENT.length }];
  session.control.send({
    type: 'offer',
    transfer,
    roots,
    lanes: [],
    wanted: 1,
    chunk: 1024,
    ...(continues !== undefined && { continues }),
  });
  return transfer;
}

/** Sends the file of an accepted offer, up to the receipt, which is not acknowledged. */
async function deliver(session: RawSession, transfer: string): Promise<void> {
  const accept = await wordOf(session, transfer);
  assert.equal(accept?.type, 'accept');
  const [granted = 0] = accept['lanes'] as number[];
  const lane = await dialLane(session, granted);
  const announced = manifest(entry('a'));
  lane.frame(FRAME.manifest, announced, { flags: 1 });
  const answer = await lane.next();
  // Whoever has it already wants to hear that it is the same.
  if (answer?.payload[0] === 1) lane.frame(FRAME.pack, pack(0, CONTENT));
  else lane.frame(FRAME.same, Buffer.concat([Buffer.alloc(2), digestOf(CONTENT)]));
  lane.frame(FRAME.done, encodeDone(1, 1, digestOf(announced)));
  assert.equal((await wordOf(session, transfer))?.type, 'receipt');
}

suite('an offer that goes on with another', () => {
  test('of which all has arrived is accepted once more, and only once', async (t) => {
    const { inbox, asked, port } = await asking(t);
    const first = await dialSession(port);
    const offered = offer(first);
    await until(() => asked.length === 1);
    const received = asked[0]?.accept();
    await deliver(first, offered);
    // The sender never says that it has the receipt.
    first.control.socket.destroy();
    assert.equal((await received)?.code, 'OK');
    const second = await dialSession(port);
    const again = offer(second, offered);
    await deliver(second, again);
    second.control.send({ type: 'received', transfer: again });
    assert.equal(asked.length, 1, 'nobody was asked');
    assert.deepEqual(readdirSync(inbox), ['a']);
    assert.equal(readFileSync(join(inbox, 'a'), 'utf8'), 'hello');
    const third = offer(second, offered);
    await until(() => asked.length === 2);
    await asked[1]?.reject();
    assert.equal((await wordOf(second, third))?.['flag'], 404);
  });

  test('is asked about where it comes from another key, or offers something else', async (t) => {
    const { asked, port } = await asking(t);
    const first = await dialSession(port);
    const offered = offer(first);
    await until(() => asked.length === 1);
    const received = asked[0]?.accept();
    assert.equal((await wordOf(first, offered))?.type, 'accept');
    first.control.socket.destroy();
    const mallory = await dialSession(port, identities.mallory);
    offer(mallory, offered);
    await until(() => asked.length === 2);
    assert.equal(asked[1]?.from.fingerprint, identities.mallory.fingerprint);
    const second = await dialSession(port);
    offer(second, offered, 'b');
    await until(() => asked.length === 3);
    assert.equal(asked[2]?.roots[0]?.name, 'b');
    const same = offer(second, offered);
    await deliver(second, same);
    second.control.send({ type: 'received', transfer: same });
    assert.equal((await received)?.code, 'OK');
    assert.equal(asked.length, 3);
  });

  test('many that come to nothing are not heard any more', async (t) => {
    const { asked, port } = await asking(t);
    const session = await dialSession(port);
    for (let number = 1; number <= 32; number += 1) {
      const transfer = offer(session);
      await until(() => asked.length === number);
      await asked[number - 1]?.reject();
      assert.equal((await wordOf(session, transfer))?.['flag'], 404);
    }
    const last = offer(session);
    assert.equal((await wordOf(session, last))?.['flag'], 422);
    assert.equal(asked.length, 32);
  });
});

suite('an offer of a listener whose lane is there before its answer', () => {
  for (const [what, spoil, code] of [
    ['carries a frame', (lane: RawLane) => lane.frame(FRAME.answer, Buffer.of(1)), 'BAD_MESSAGE'],
    ['ends', (lane: RawLane) => lane.reader.socket.end(), 'LOST'],
  ] as const)
    test(`fails when that lane ${what}`, async (t) => {
      const { listener, port } = await asking(t);
      const session = await dialSession(port);
      await until(() => listener.peers.length === 1);
      const paths = [join(folderOf(t, { a: CONTENT }), 'a')];
      const sent = listener.send(listener.peers[0]?.id ?? '', paths, { retryFor: 0 });
      const failed = assert.rejects(sent, { code });
      const offered = (await session.control.after('pong')) ?? {};
      const [granted = 0] = offered['lanes'] as number[];
      spoil(await dialLane(session, granted));
      await failed;
      assert.deepEqual(listener.transfers, []);
      await works(session);
    });
});
