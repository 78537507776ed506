/** Credit on the wire: sources that wait for it, sources that don't, and credit that nobody asked for. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { FRAME, HEADER_BYTES } from '../../src/protocol/frame.ts';
import { encodeDone, encodeEnd, OUTCOME } from '../../src/protocol/manifest.ts';
import { identities } from '../crypto/fixed.ts';
import { dialLane, dialSession, type RawLane, type RawSession } from './wire-dialler.ts';
import {
  BAD_MESSAGE,
  data,
  entry,
  frameListener,
  freshTransfer,
  getting,
  manifest,
  putting,
  wordOf,
  works,
} from './wire-frames.ts';
import { RawListener } from './wire-listener.ts';
import { folderOf, machine, serve, until } from './wire-machines.ts';

const LIMIT = 400_000;
/** What may have passed ahead of the clock: 50 ms' worth, and what was asked for last, with a frame that may be overdrawn. */
const AHEAD = (LIMIT * 50) / 1000 + 200_000;

/** A get whose client grants credit. */
async function gettingBound(session: RawSession, path: string, chunk: number) {
  const transfer = freshTransfer();
  session.control.send({ type: 'get', transfer, paths: [path], lanes: 1, chunk: 65_536 });
  const offer = await wordOf(session, transfer);
  assert.equal(offer?.type, 'offer');
  const [number = 0] = offer['lanes'] as number[];
  session.control.send({ type: 'accept', transfer, chunk, credit: true });
  const lane = await dialLane(session, number);
  const grant = (bytes: number) => session.control.send({ type: 'credit', transfer, bytes });
  return { transfer, lane, grant };
}

async function lengthOf(lane: RawLane): Promise<number> {
  const frame = await lane.next();
  assert.ok(frame);
  return HEADER_BYTES + frame.payload.length;
}

suite('a source that is paced', () => {
  test('sends as long as it has credit, and in the frames that were asked for', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { lane, grant } = await gettingBound(session, '/docs/large.bin', 2048);
    grant(1);
    const announced = await lane.next();
    assert.equal(announced?.header.type, FRAME.manifest);
    const debt = HEADER_BYTES + announced.payload.length - 1;
    const before = lane.reader.all.reduce((sum, { length }) => sum + length, 0);
    lane.frame(FRAME.answer, Buffer.of(1));
    for (let time = 0; time < 20; time += 1) await works(session);
    grant(debt + 10_000);
    let came = 0;
    while (came < 10_000) {
      const length = await lengthOf(lane);
      assert.equal(length, HEADER_BYTES + 8 + 2048);
      came += length;
    }
    for (let time = 0; time < 20; time += 1) await works(session);
    // The last frame began when there was credit left; it has paid for nothing more.
    const all = lane.reader.all.reduce((sum, { length }) => sum + length, 0) - before;
    assert.equal(all, came);
    grant(came - 10_000 + 1);
    assert.ok((await lengthOf(lane)) > 0);
  });

  test('is not told to use larger frames than it offered', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { lane, grant } = await gettingBound(session, '/docs/large.bin', 4_194_304);
    grant(3_000_000);
    assert.equal((await lane.next())?.header.type, FRAME.manifest);
    lane.frame(FRAME.answer, Buffer.of(1));
    assert.equal((await lane.next())?.payload.length, 8 + 65_536);
  });

  test('of our client takes the first answer, and the credit that comes right behind it', async (t) => {
    const fake = await RawListener.open(t, identities.bob);
    const client = await machine(t, 'alice', { retryFor: 0 });
    const connecting = client.connect({ host: '127.0.0.1', port: fake.port, acceptNew: true });
    const control = await fake.next();
    await control.session();
    const session = await connecting;
    const folder = folderOf(t, { a: 'hello' });
    const putting = session.put([`${folder}/a`], '/in/');
    putting.catch(() => {});
    const put = await control.after('pong');
    assert.equal(put?.type, 'put');
    const { transfer } = put;
    control.socket.cork();
    control.send({ type: 'accept', transfer, lanes: [1], chunk: 1024, credit: true });
    control.send({ type: 'credit', transfer, bytes: 1 });
    control.send({ type: 'accept', transfer, lanes: [2] });
    control.socket.uncork();
    const lane = await (await fake.next()).lane(control.keys);
    assert.equal((await lane.next())?.header.type, FRAME.manifest);
    control.send({ type: 'ping', request: 4 });
    assert.equal((await control.after())?.type, 'pong');
    control.send({ type: 'cancel', transfer, flag: 425 });
    await assert.rejects(putting, { code: 'CLOSED' });
  });
});

suite('a target with a bound', () => {
  test('asks for credit and small frames, and without a bound for neither', async (t) => {
    for (const limit of [undefined, LIMIT]) {
      const shares = [{ name: 'in', folder: folderOf(t, {}), mode: 'rw' as const }];
      const { listener } = await serve(t, { shares }, limit === undefined ? {} : { limit });
      const session = await dialSession(listener.port);
      const roots = [{ name: 'a', type: 'file', size: 5 }];
      const put = { type: 'put', target: '/in/', roots, lanes: 1, chunk: 1_048_576, existing: 'fail' };
      // The one that is over has no part in what the next one gets.
      for (let time = 0; time < 2; time += 1) {
        const transfer = freshTransfer();
        session.control.send({ ...put, transfer });
        const accept = await wordOf(session, transfer);
        assert.equal(accept?.type, 'accept');
        const asked = [accept['chunk'], accept['credit']];
        assert.deepEqual(asked, limit === undefined ? [undefined, undefined] : [LIMIT / 20, true]);
        if (limit !== undefined) {
          const credit = await wordOf(session, transfer);
          assert.deepEqual([credit?.type, credit?.['bytes']], ['credit', LIMIT / 20]);
        }
        session.control.send({ type: 'cancel', transfer, flag: 425 });
        await until(() => listener.transfers.length === 0);
      }
      await listener.close();
    }
  });

  test('holds it against a source that waits for nothing', async (t) => {
    const shares = [{ name: 'in', folder: folderOf(t, {}), mode: 'rw' as const }];
    const { listener } = await serve(t, { shares }, { limit: LIMIT });
    const session = await dialSession(listener.port);
    const content = randomBytes(800_000);
    const start = performance.now();
    const bound = () => (LIMIT * (performance.now() - start)) / 1000 + AHEAD;
    const roots = [{ name: 'a', type: 'file', size: content.length }];
    const { transfer, lane } = await putting(session, { roots, chunk: 65_536 });
    const announced = manifest(entry('a', { size: content.length }));
    lane.frame(FRAME.manifest, announced, { flags: 1 });
    for (let offset = 0; offset < content.length; offset += 20_000)
      lane.frame(FRAME.data, data(offset, content.subarray(offset, offset + 20_000)));
    lane.frame(FRAME.end, encodeEnd(content.length, digestOf(content)));
    const watched = setInterval(() => {
      for (const { bytes } of listener.transfers) assert.ok(bytes <= bound(), `${bytes}`);
    }, 20);
    t.after(() => clearInterval(watched));
    assert.equal((await lane.next())?.header.type, FRAME.answer);
    const settled = await lane.next();
    assert.ok(
      content.length <= bound(),
      `all of ${content.length} where ${Math.round(bound())} were allowed`,
    );
    assert.equal(settled?.payload.readUInt8(2), OUTCOME.committed);
    lane.frame(FRAME.done, encodeDone(1, 1, digestOf(announced)));
    let word = await wordOf(session, transfer);
    while (word?.type === 'credit') word = await wordOf(session, transfer);
    assert.equal(word?.type, 'receipt');
    session.control.send({ type: 'received', transfer });
    await until(() => listener.transfers.length === 0);
  });
});

test('credit that was not asked for, to either end, and more than can be counted: cancelled', async (t) => {
  const { listening } = await frameListener(t);
  const session = await dialSession(listening.listener.port);
  const unasked: [name: string, run: () => Promise<{ transfer: string }>, bytes: number[]][] = [
    ['to a target', () => putting(session), [1]],
    ['to a source that waits for none', () => getting(session, '/docs/large.bin'), [1]],
    [
      'more than can be counted',
      () => gettingBound(session, '/docs/large.bin', 1024),
      [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ],
  ];
  for (const [name, run, grants] of unasked) {
    const { transfer } = await run();
    for (const bytes of grants) session.control.send({ type: 'credit', transfer, bytes });
    const word = await wordOf(session, transfer);
    assert.deepEqual([name, word?.type, word?.['flag']], [name, 'cancel', BAD_MESSAGE]);
  }
  await works(session);
  await until(() => listening.failed.length === unasked.length);
});
