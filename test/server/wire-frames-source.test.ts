/** Frames that no sound target sends, to a listener that sends. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { FRAME, type FrameHeader } from '../../src/protocol/frame.ts';
import { encodeDone, encodeResult, OUTCOME, type OutcomeCode } from '../../src/protocol/manifest.ts';
import { dialSession, type RawLane } from './wire-dialler.ts';
import {
  BAD_MESSAGE,
  bystander,
  claim,
  data,
  EMPTY,
  entry,
  frameListener,
  freshTransfer,
  getting,
  INTEGRITY,
  LIMIT,
  manifest,
  u64,
  wordOf,
  works,
} from './wire-frames.ts';

const A = manifest(entry('a'));
const LAST: Partial<FrameHeader> = { flags: 1 };

/** One result for the only entry. */
function result(more: { index?: number; outcome?: number; flag?: number; digest?: Buffer } = {}): Buffer {
  const { index = 0, outcome = OUTCOME.failed, flag = 411, digest = Buffer.alloc(32) } = more;
  return encodeResult({ index, outcome: outcome as OutcomeCode, flag, digest, note: EMPTY });
}

/** What a hostile target does after the first manifest, and the flag with which the source ends it. */
const TO_SOURCE: [name: string, path: string, flag: number, run: (lane: RawLane) => void][] = [
  ['a frame of an unknown type', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(20, EMPTY)],
  ['a manifest from the target', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.manifest, A)],
  [
    'done from the target',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.done, encodeDone(0, 0, digestOf(EMPTY))),
  ],
  // More than an answer may have, and less than data may: a sender has no room for it.
  ['data from the target', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.data, Buffer.alloc(60_000))],
  ['an answer of 65537 bytes', 'small.bin', LIMIT, (lane) => claim(lane, FRAME.answer, 65_537)],
  ['an answer of 2^32 - 1 bytes', 'small.bin', LIMIT, (lane) => claim(lane, FRAME.answer, 2 ** 32 - 1)],
  ['an answer of no bytes', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.answer, EMPTY)],
  ['an answer too many', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.answer, Buffer.of(1, 1))],
  ['an answer that nobody knows', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.answer, Buffer.of(5))],
  [
    'an answer with half a digest',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.answer, Buffer.concat([Buffer.of(2), Buffer.alloc(31)])),
  ],
  [
    'an answer to a batch that is not there',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.answer, Buffer.of(1), { batch: 1 }),
  ],
  [
    'an answer twice',
    'small.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(4));
      lane.frame(FRAME.answer, Buffer.of(1));
    },
  ],
  [
    'one digest for a large file',
    'large.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.answer, Buffer.concat([Buffer.of(2), Buffer.alloc(32)])),
  ],
  ['a second answer unasked', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.reanswer, Buffer.of(1))],
  [
    'a second answer that is none',
    'small.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(4));
      lane.frame(FRAME.reanswer, Buffer.of(4));
    },
  ],
  ['a basis unasked', 'large.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.basis, u64(0), LAST)],
  [
    'a basis that begins later',
    'large.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(4));
      lane.frame(FRAME.basis, data(1, Buffer.alloc(32)), LAST);
    },
  ],
  [
    'a basis of more pieces than the file has',
    'large.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(4));
      lane.frame(FRAME.basis, data(0, Buffer.alloc(32 * 100)), LAST);
    },
  ],
  [
    'a basis whose first piece is number 2^64 - 1',
    'large.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(4));
      lane.frame(FRAME.basis, data(2n ** 64n - 1n, Buffer.alloc(32)), LAST);
    },
  ],
  [
    'a result of a batch that is not there',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.result, result(), { batch: 7 }),
  ],
  [
    'a result of an entry that is not there',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.result, result({ index: 1 })),
  ],
  [
    'a result before the answer',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.result, result({ outcome: OUTCOME.committed, flag: 200 })),
  ],
  ['a result of no bytes', 'small.bin', BAD_MESSAGE, (lane) => lane.frame(FRAME.result, EMPTY)],
  [
    'a result that nobody knows',
    'small.bin',
    BAD_MESSAGE,
    (lane) => lane.frame(FRAME.result, result({ outcome: 5 })),
  ],
  [
    'a result twice',
    'two',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(0, 0, 0, 0));
      lane.frame(FRAME.result, result());
      lane.frame(FRAME.result, result());
    },
  ],
  [
    'committed without the bytes',
    'large.bin',
    BAD_MESSAGE,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(0));
      lane.frame(FRAME.result, result({ outcome: OUTCOME.committed, flag: 200 }));
    },
  ],
  [
    'committed with another digest',
    'empty.bin',
    INTEGRITY,
    (lane) => {
      lane.frame(FRAME.answer, Buffer.of(1));
      void lane
        .next()
        .then(() => lane.frame(FRAME.result, result({ outcome: OUTCOME.committed, flag: 200 })));
    },
  ],
];

suite('hostile frames to a source', () => {
  test('each is refused with its flag, and nobody else notices', async (t) => {
    const { listening, docs } = await frameListener(t);
    const stop = await bystander(t, listening, docs);
    const session = await dialSession(listening.listener.port);
    for (const [name, path, flag, run] of TO_SOURCE) {
      const { transfer, lane } = await getting(session, `/docs/${path}`);
      assert.equal((await lane.next())?.header.type, FRAME.manifest, name);
      run(lane);
      const word = await wordOf(session, transfer);
      assert.deepEqual([name, word?.type, word?.['flag']], [name, 'cancel', flag]);
      await lane.reader.ended();
    }
    await works(session);
    await stop();
  });

  test('data that no answer could be, where the chunk would allow it: refused before its bytes', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const { transfer, lane } = await getting(session, '/docs/small.bin', 1_048_576);
    claim(lane, FRAME.data, 1_000_000);
    lane.reader.socket.write(Buffer.alloc(100_000));
    const word = await wordOf(session, transfer);
    assert.deepEqual([word?.type, word?.['flag']], ['cancel', LIMIT]);
    await works(session);
  });

  test('transfers that are only claimed cost no memory', async (t) => {
    const { listening } = await frameListener(t);
    const session = await dialSession(listening.listener.port);
    const before = process.memoryUsage.rss();
    let refused = 0;
    for (let count = 0; count < 32; count += 1) {
      const transfer = freshTransfer();
      session.control.send({
        type: 'get',
        transfer,
        paths: ['/docs/large.bin'],
        lanes: 16,
        chunk: 4_194_304,
      });
      const word = await wordOf(session, transfer);
      if (word?.type === 'refuse') refused += 1;
      else assert.equal(word?.type, 'offer');
    }
    const grown = process.memoryUsage.rss() - before;
    assert.ok(grown < 200 * 1024 * 1024, `${grown} bytes for what would be 2 GiB`);
    assert.ok(refused < 32);
    await works(session);
  });
});
