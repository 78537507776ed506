import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  LANE_ANSWER_BYTES,
  LANE_REQUEST_BYTES,
  readLaneRequest,
  writeLaneRequest,
} from '../../src/protocol/lane-proof.ts';

suite('the first bytes of a lane', () => {
  test('an id of 16 bytes, a number of 4, a proof of 32', () => {
    for (const number of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
      const request = { id: Buffer.alloc(16, 0xa1), number, proof: Buffer.alloc(32, 0xb2) };
      const bytes = writeLaneRequest(request);
      assert.equal(bytes.length, LANE_REQUEST_BYTES);
      const hex = `${'a1'.repeat(16)}${number.toString(16).padStart(8, '0')}${'b2'.repeat(32)}`;
      assert.equal(bytes.toString('hex'), hex);
      assert.deepEqual(readLaneRequest(bytes), request);
    }
    assert.equal(LANE_REQUEST_BYTES, 52);
    assert.equal(LANE_ANSWER_BYTES, 32);
  });

  test('a number that is none is not written', () => {
    const parts = { id: Buffer.alloc(16), proof: Buffer.alloc(32) };
    for (const number of [-1, 2 ** 32])
      assert.throws(() => writeLaneRequest({ ...parts, number }), RangeError);
  });
});
