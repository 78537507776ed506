import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meters } from '../../src/cli/progress-meters.ts';
import { progressOf } from './progress-of.ts';

test('a transfer that comes no further is idle, until a byte or a file ends that', () => {
  const meters = new Meters();
  const idleAt = (now: number, given: Parameters<typeof progressOf>[0]) =>
    meters.update(progressOf(given), now).idleSeconds;
  assert.equal(idleAt(0, { bytes: 10 }), 0);
  assert.equal(idleAt(7000, { bytes: 10 }), 7);
  assert.equal(idleAt(8000, { bytes: 10, files: 1 }), 0);
  assert.equal(idleAt(9000, { bytes: 11, files: 1 }), 0);
  assert.equal(idleAt(9500, { bytes: 11, files: 1, transferId: 'another' }), 0);
  assert.equal(idleAt(11_000, { bytes: 11, files: 1 }), 2);
  // Waiting for an answer is said in other words.
  assert.equal(idleAt(12_000, { bytes: 11, files: 1, phase: 'waiting' }), 0);
});
