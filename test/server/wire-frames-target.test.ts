/** Frames that no sound source sends, to a listener that receives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { digestOf } from '../../src/crypto/digest.ts';
import { FRAME, type FrameHeader } from '../../src/protocol/frame.ts';
import { ENTRY, encodeDone, encodeEnd, encodeFailed, OUTCOME } from '../../src/protocol/manifest.ts';
import { dialSession, type RawLane } from './wire-dialler.ts';
import {
  BAD_MESSAGE,
  bystander,
  claim,
  data,
  EMPTY,
  entry,
  frameListener,
  getting,
  INTEGRITY,
  LIMIT,
  manifest,
  pack,
  putting,
  u64,
  wordOf,
  works,
} from './wire-frames.ts';
import { until } from './wire-machines.ts';

const A = manifest(entry('a'));
const LAST: Partial<FrameHeader> = { flags: 1 };
const folder = entry('a', { kind: ENTRY.folder, size: 0 });
const leave = entry('', { kind: ENTRY.leave, size: 0 });

/** What a hostile source does after the lane stands, and the flag with which the target ends it. */
const TO_TARGET: [name: string, flag: number, run: (lane: RawLane) => void][] = [
  ['a frame of an unknown type', BAD_MESSAGE, (lane) => lane.frame(9, EMPTY)],
  ['a frame of type 0', BAD_MESSAGE, (lane) => lane.frame(0, EMPTY)],
  ['an answer from the source', BAD_MESSAGE, (lane) => lane.frame(FRAME.answer, Buffer.of(1))],
  ['a result from the source', BAD_MESSAGE, (lane) => lane.frame(FRAME.result, EMPTY)],
  ['data one byte over the limit', LIMIT, (lane) => claim(lane, FRAME.data, 65_537)],
  ['data of 2^31 bytes', LIMIT, (lane) => claim(lane, FRAME.data, 2 ** 31)],
  ['data of 2^32 - 1 bytes', LIMIT, (lane) => claim(lane, FRAME.data, 2 ** 32 - 1)],
  ['a manifest of 65537 bytes', LIMIT, (lane) => claim(lane, FRAME.manifest, 65_537)],
  ['a manifest of 0 bytes', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, EMPTY)],
  ['a manifest of 1 byte', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, Buffer.of(1))],
  ['a manifest that is cut', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, A.subarray(0, -1))],
  [
    'a manifest with a bit flipped',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.manifest, Buffer.concat([Buffer.of(129), A.subarray(1)])),
  ],
  [
    'a frame twice',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.manifest, A, LAST);
      lane.frame(FRAME.manifest, A, { ...LAST, sequence: 0 });
    },
  ],
  [
    'frames in another order',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.manifest, A, { sequence: 1 });
      lane.frame(FRAME.manifest, A, { sequence: 0 });
    },
  ],
  ['retire with bytes', BAD_MESSAGE, (lane) => lane.frame(FRAME.retire, Buffer.of(0))],
  ['data before the manifest', BAD_MESSAGE, (lane) => lane.frame(FRAME.data, data(0, Buffer.from('hello')))],
  ['the second batch first', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, A, { batch: 1 })],
  [
    'a batch twice',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.manifest, A);
      lane.frame(FRAME.manifest, A);
    },
  ],
  [
    'a batch after the last',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.manifest, A, LAST);
      lane.frame(FRAME.manifest, A, { batch: 1 });
    },
  ],
  [
    'an entry that was not offered',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.manifest, manifest(entry('b')), LAST),
  ],
  [
    'an entry more than was offered',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.manifest, manifest(entry('a'), entry('b')), LAST),
  ],
  [
    'the same root twice',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.manifest, manifest(entry('a'), entry('a')), LAST),
  ],
  [
    'a folder left that was not entered',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.manifest, manifest(leave), LAST),
  ],
  ['an end within a folder', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, manifest(folder), LAST)],
  [
    'more batches open than there may be',
    LIMIT,
    (lane) => {
      lane.frame(FRAME.manifest, manifest(folder));
      for (let batch = 1; batch <= 9; batch += 1)
        lane.frame(FRAME.manifest, manifest(entry(`f${batch}`)), { batch });
    },
  ],
  [
    'data past the end',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.data, data(0, Buffer.from('hello!'))),
  ],
  ['data behind a gap', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, data(1, Buffer.from('ello')))],
  [
    'data that goes back',
    BAD_MESSAGE,
    (lane) => {
      afterManifest(lane, FRAME.data, data(0, Buffer.from('hel')));
      lane.frame(FRAME.data, data(2, Buffer.from('llo')));
    },
  ],
  ['data of no bytes', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, data(0, EMPTY))],
  ['data without an offset', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, Buffer.alloc(7))],
  ['data at 2^53', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, data(2n ** 53n, Buffer.from('x')))],
  [
    'data at 2^64 - 1',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.data, data(2n ** 64n - 1n, Buffer.from('x'))),
  ],
  [
    'data of an entry that is not there',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.data, data(0, Buffer.from('x')), { index: 1 }),
  ],
  [
    'data of a batch that is not there',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.data, data(0, Buffer.from('x')), { batch: 1 }),
  ],
  [
    'a hole that is too long',
    LIMIT,
    (lane) => afterManifest(lane, FRAME.data, data(0, u64(4_194_305)), LAST),
  ],
  ['a hole of 2^53 bytes', LIMIT, (lane) => afterManifest(lane, FRAME.data, data(0, u64(2n ** 53n)), LAST)],
  ['a hole past the end', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, data(0, u64(6)), LAST)],
  ['a hole of no bytes', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.data, data(0, u64(0)), LAST)],
  [
    'a hole with bytes',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.data, data(0, Buffer.alloc(9)), LAST),
  ],
  ['an end elsewhere', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.end, encodeEnd(6, digestOf(EMPTY)))],
  [
    'an end that is cut',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.end, encodeEnd(5, digestOf(EMPTY)).subarray(1)),
  ],
  [
    'an end of 2^53 bytes',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.end, data(2n ** 53n, digestOf(EMPTY))),
  ],
  ['a pack of nothing', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.pack, EMPTY)],
  [
    'a packed file of another size',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.pack, pack(0, Buffer.from('hello!'))),
  ],
  [
    'a pack of a batch that is not there',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.pack, pack(0, Buffer.from('hello')), { batch: 1 }),
  ],
  [
    'a packed file that goes on past the pack',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.pack, pack(0, Buffer.from('hello')).subarray(0, -1)),
  ],
  [
    'a file called the same unasked',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.same, Buffer.concat([Buffer.alloc(2), digestOf(EMPTY)])),
  ],
  ['a file called different unasked', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.differs, EMPTY)],
  ['different with bytes', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.differs, Buffer.of(0))],
  [
    'failed of a batch that is not there',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.failed, encodeFailed(410, ''), { batch: 1 }),
  ],
  ['failed without a flag', BAD_MESSAGE, (lane) => afterManifest(lane, FRAME.failed, Buffer.of(1))],
  [
    'done before the file',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.done, encodeDone(1, 1, digestOf(A))),
  ],
  [
    'done that is cut',
    BAD_MESSAGE,
    (lane) => afterManifest(lane, FRAME.done, encodeDone(1, 1, digestOf(A)).subarray(1)),
  ],
  ['done with another count', BAD_MESSAGE, (lane) => afterFile(lane, encodeDone(1, 2, digestOf(A)))],
  ['done with other batches', BAD_MESSAGE, (lane) => afterFile(lane, encodeDone(2, 1, digestOf(A)))],
  ['done of another manifest', BAD_MESSAGE, (lane) => afterFile(lane, encodeDone(1, 1, digestOf(EMPTY)))],
  [
    'done without a last batch',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.manifest, A);
      lane.frame(FRAME.pack, pack(0, Buffer.from('hello')));
      lane.frame(FRAME.done, encodeDone(1, 1, digestOf(A)));
    },
  ],
];

function afterManifest(
  lane: RawLane,
  type: number,
  payload: Uint8Array,
  at: Partial<FrameHeader> = {},
): void {
  lane.frame(FRAME.manifest, A, LAST);
  lane.frame(type, payload, at);
}

function afterFile(lane: RawLane, done: Uint8Array): void {
  lane.frame(FRAME.manifest, A, LAST);
  lane.frame(FRAME.pack, pack(0, Buffer.from('hello')));
  lane.frame(FRAME.done, done);
}

suite('hostile frames to a target', () => {
  test('each is refused with its flag, nothing is written, nobody else notices', async (t) => {
    const { listening, docs, inbox } = await frameListener(t);
    const stop = await bystander(t, listening, docs);
    const session = await dialSession(listening.listener.port);
    for (const [name, flag, run] of TO_TARGET) {
      const more =
        name.includes('folder') || name.includes('batches open')
          ? { roots: [{ name: 'a', type: 'folder', size: null }] }
          : {};
      const { transfer, lane } = await putting(session, more);
      run(lane);
      const word = await wordOf(session, transfer);
      assert.deepEqual([name, word?.type, word?.['flag']], [name, 'cancel', flag]);
      await lane.reader.ended();
      await until(() => listening.listener.transfers.every(({ direction }) => direction === 'send'));
      // What was whole by then has been committed, what was begun waits for a resume; of all else there is nothing.
      for (const file of readdirSync(inbox)) {
        assert.match(`${name}: ${file}`, /^done.*: a$|: \.localstream-.*\.part$/);
        rmSync(join(inbox, file), { recursive: true });
      }
    }
    await works(session);
    await stop();
  });

  test('a file with a wrong digest fails alone, and is not there', async (t) => {
    const { listening, inbox } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    for (const whole of [true, false]) {
      const { transfer, lane } = await putting(session);
      lane.frame(FRAME.manifest, A, LAST);
      if (whole) {
        lane.frame(FRAME.data, data(0, Buffer.from('hello')));
        lane.frame(FRAME.end, encodeEnd(5, digestOf(EMPTY)));
      } else lane.frame(FRAME.pack, pack(0, Buffer.from('hello'), digestOf(EMPTY)));
      assert.equal((await lane.next())?.header.type, FRAME.answer);
      const settled = await lane.next();
      assert.equal(settled?.payload.readUInt8(2), OUTCOME.failed);
      assert.equal(settled?.payload.readUInt16BE(3), INTEGRITY);
      lane.frame(FRAME.done, encodeDone(1, 1, digestOf(A)));
      const receipt = await wordOf(session, transfer);
      assert.equal(receipt?.type, 'receipt');
      const body = JSON.parse(String(receipt['body']));
      assert.deepEqual([body.files, body.failed], [0, 1]);
      session.control.send({ type: 'received', transfer });
      assert.deepEqual(readdirSync(inbox), []);
    }
  });

  test('what was recorded of another transfer is of no use', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const first = await getting(session, '/docs/small.bin');
    const recorded = await first.lane.next();
    assert.ok(recorded);
    const { transfer, lane } = await putting(session);
    lane.frame(recorded.header.type, recorded.payload, recorded.header);
    const word = await wordOf(session, transfer);
    assert.deepEqual([word?.type, word?.['flag']], ['cancel', BAD_MESSAGE]);
  });

  test('a lane that is cut in the middle of a frame fails its transfer only', async (t) => {
    const { listening, inbox } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { lane } = await putting(session);
    lane.frame(FRAME.manifest, A, LAST);
    claim(lane, FRAME.data, 1000);
    await new Promise((resolve) => lane.reader.socket.write(Buffer.alloc(500), resolve));
    lane.reader.socket.destroy();
    await until(() => listening.failed.includes('LOST'));
    assert.deepEqual(readdirSync(inbox), []);
    await works(session);
  });

  test('a lane that is closed behind the last frame fails nothing: what is signed stays', async (t) => {
    const { listening, inbox } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { transfer, lane } = await putting(session);
    const told = once(listening.listener, 'receipt');
    lane.frame(FRAME.manifest, A, LAST);
    lane.frame(FRAME.pack, pack(0, Buffer.from('hello')));
    for (const type of [FRAME.answer, FRAME.result]) assert.equal((await lane.next())?.header.type, type);
    lane.frame(FRAME.done, encodeDone(1, 1, digestOf(A)));
    lane.reader.socket.end();
    assert.equal((await wordOf(session, transfer))?.type, 'receipt');
    // For longer than a word is waited for that says why a lane was closed.
    await delay(2500);
    session.control.send({ type: 'received', transfer });
    const [receipt] = await told;
    assert.deepEqual([receipt.code, receipt.files], ['OK', 1]);
    assert.deepEqual(listening.failed, []);
    assert.deepEqual(readdirSync(inbox), ['a']);
  });

  test('frames of no length go on for a while, and come to an end', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { transfer, lane } = await putting(session);
    for (let frame = 0; frame < 2000; frame += 1) lane.frame(FRAME.differs, EMPTY);
    const word = await wordOf(session, transfer);
    assert.deepEqual([word?.type, word?.['flag']], ['cancel', BAD_MESSAGE]);
    await works(session);
  });
});
