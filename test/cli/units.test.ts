import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatClock, formatDuration, formatRate, formatTime, plural } from '../../src/cli/units.ts';

test('a rate is bytes a second', () => {
  assert.equal(formatRate(14_200_000.4), '14.2 MB/s');
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
