import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { LocalstreamError } from '../../src/errors.ts';
import {
  FRAME,
  type FrameType,
  HEADER_BYTES,
  makeFrame,
  maxPayload,
  readHeader,
  SEQUENCE_MODULUS,
  sequenceDistance,
  stampSequence,
  writeHeader,
} from '../../src/protocol/frame.ts';
import {
  encodeAnswers,
  encodeBasis,
  encodeDone,
  encodeEnd,
  encodeFailed,
  encodeResult,
  readAnswers,
  readBasis,
  readDone,
  readEnd,
  readEntries,
  readFailed,
  readResults,
} from '../../src/protocol/manifest.ts';
import { packAgain, sameAgain, writeEntries } from './payloads.ts';

const isRefused = (error: unknown): boolean =>
  error instanceof LocalstreamError && (error.code === 'BAD_MESSAGE' || error.code === 'LIMIT');

suite('frames', () => {
  test('the largest payload follows the chunk, and holds a batch whatever the chunk is', () => {
    assert.equal(maxPayload(1024), 65_536);
    assert.equal(maxPayload(65_528), 65_536);
    assert.equal(maxPayload(65_529), 65_537);
    assert.equal(maxPayload(4_194_304), 4_194_312);
  });

  test('nothing of the memory that a frame is made in is sent', () => {
    // What was in the memory that small buffers share.
    for (let round = 0; round < 4; round += 1) Buffer.allocUnsafe(4000).fill(0xee);
    const frame = makeFrame(FRAME.answer, Buffer.of(1), { batch: 2, index: 3, flags: 1 });
    assert.equal(frame.toString('hex'), '0000000110010003000000000000000201');
    stampSequence(frame, SEQUENCE_MODULUS - 1);
    assert.equal(frame.toString('hex', 8, 12), 'ffffffff');
    const header = Buffer.alloc(HEADER_BYTES, 0xee);
    writeHeader(header, { length: 0, type: FRAME.done, flags: 0, index: 0, batch: 0 });
    assert.equal(header.toString('hex'), `0000000008${'00'.repeat(11)}`);
  });

  test('any header is refused, or written again as it was', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.integer({ min: 0, max: 4_194_312 }),
        (bytes, limit) => {
          const header = Buffer.from(bytes);
          try {
            const read = readHeader(header, limit);
            assert.ok(read.length <= limit);
            const written = Buffer.alloc(HEADER_BYTES, 0xee);
            writeHeader(written, { ...read, type: read.type as FrameType });
            assert.deepEqual(written, header);
          } catch (error) {
            assert.ok(isRefused(error), String(error));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('numbers are compared on their circle', () => {
    const number = fc.integer({ min: 0, max: SEQUENCE_MODULUS - 1 });
    fc.assert(
      fc.property(number, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (from, distance) => {
        const to = (((from + distance) % SEQUENCE_MODULUS) + SEQUENCE_MODULUS) % SEQUENCE_MODULUS;
        assert.equal(sequenceDistance(from, to), distance);
      }),
    );
  });
});

suite('payloads', () => {
  /** Each reader, and what writes the same again. */
  const readers: Readonly<Record<string, (payload: Buffer) => Buffer>> = {
    manifest: (payload) => writeEntries(readEntries(payload)),
    pack: packAgain,
    answer: (payload) => encodeAnswers(readAnswers(payload, 3)),
    basis: (payload) => encodeBasis(readBasis(payload)),
    result: (payload) => Buffer.concat(readResults(payload).map(encodeResult)),
    end: (payload) => encodeEnd(readEnd(payload).size, readEnd(payload).digest),
    failed: (payload) => encodeFailed(readFailed(payload).flag, readFailed(payload).reason),
    done: (payload) => {
      const { batches, entries, manifestDigest } = readDone(payload);
      return encodeDone(batches, entries, manifestDigest);
    },
    same: sameAgain,
  };
  for (const [name, read] of Object.entries(readers))
    test(`${name}: any bytes are refused, or written again as they were`, () => {
      const small = fc.uint8Array({ maxLength: 200 });
      // Small numbers, so that lengths and kinds are often right.
      const likely = fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 255 })), {
        maxLength: 200,
      });
      fc.assert(
        fc.property(fc.oneof(small, likely), (bytes) => {
          const payload = Buffer.from(bytes);
          try {
            assert.deepEqual(read(payload), payload);
          } catch (error) {
            assert.ok(isRefused(error), String(error));
          }
        }),
        { numRuns: 1000 },
      );
      if (name !== 'basis') assert.throws(() => read(Buffer.alloc(0)), isRefused);
    });
});
