import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatBytes,
  formatClock,
  formatDuration,
  formatRate,
  formatTime,
  plural,
} from '../../src/cli/units.ts';

test('bytes are written in decimal units with three digits', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [1024, '1.02 kB'],
    [9994, '9.99 kB'],
    [9996, '10.0 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [1_000_000, '1.00 MB'],
    [1_048_576, '1.05 MB'],
    [14_200_000, '14.2 MB'],
    [2 ** 31, '2.15 GB'],
    [1e12, '1.00 TB'],
    [Number.MAX_SAFE_INTEGER, '9.01 PB'],
  ];
  for (const [bytes, text] of table) assert.equal(formatBytes(bytes), text);
  assert.equal(formatRate(14_200_000.4), '14.2 MB/s');
});

test('no size takes more than seven characters', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      assert.match(formatBytes(bytes), /^\d[\d.]{0,3} [kMGTP]?B$/);
    }),
    { examples: [[999], [9995], [99_950], [999_499], [999_950], [999_999]] },
  );
});

test('times left are clocks and times taken have their unit', () => {
  assert.equal(formatClock(0), '0:00');
  assert.equal(formatClock(7.4), '0:07');
  assert.equal(formatClock(59.6), '1:00');
  assert.equal(formatClock(750), '12:30');
  assert.equal(formatClock(11_225), '3:07:05');
  assert.equal(formatDuration(0.4213), '0.42 s');
  assert.equal(formatDuration(12.34), '12.3 s');
  assert.equal(formatDuration(125), '2:05 min');
  assert.equal(formatDuration(3599.6), '1:00:00 h');
});

test('a time takes sixteen characters, whatever a peer says it is', () => {
  for (const time of [0, Date.now(), -1e15, 8.64e15, -8.64e15, Number.NaN]) {
    assert.equal(formatTime(new Date(time)).length, 16, String(time));
  }
});

test('a count has its noun', () => {
  assert.deepEqual(
    [plural(0, 'file'), plural(1, 'file'), plural(2, 'file')],
    ['0 files', '1 file', '2 files'],
  );
});
