import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { percentOf, RateMeter } from '../../src/cli/rate.ts';
import { progressOf } from './progress-of.ts';

/** Feeds a steady stream. */
function feed(
  meter: RateMeter,
  from: number,
  to: number,
  step: number,
  bytesPerSecond: number,
  start = 0,
): void {
  for (let now = from + step; now <= to; now += step)
    meter.update(start + ((now - from) / 1000) * bytesPerSecond, now);
}

test('a steady stream has its speed, from the first estimate on', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 1e9 }), fc.integer({ min: 100, max: 900 }), (speed, step) => {
      const meter = new RateMeter(0, 0);
      feed(meter, 0, 5000, step, speed);
      assert.ok(Math.abs((meter.perSecond ?? 0) - speed) <= speed * 1e-6);
    }),
  );
});

test('nothing is said before there is something to say', () => {
  const meter = new RateMeter(0, 0);
  meter.update(1_000_000, 50);
  meter.update(1_000_000, 300);
  assert.equal(meter.perSecond, undefined);
  assert.equal(meter.eta(1, 300), undefined);
});

test('bursts are smoothed, and a change of speed is followed', () => {
  const meter = new RateMeter(0, 0);
  feed(meter, 0, 10_000, 250, 1000);
  meter.update(10_000 + 5000, 10_250);
  const burst = meter.perSecond ?? 0;
  assert.ok(burst > 1000 && burst < 4000, `a burst of 20 times the speed shows as ${burst}`);
  feed(meter, 10_250, 30_000, 250, 100, 15_000);
  assert.ok(Math.abs((meter.perSecond ?? 0) - 100) < 20);
});

test('a stream that stands still has no time left to tell', () => {
  const meter = new RateMeter(0, 0);
  for (let now = 250; now <= 2000; now += 250) meter.update(0, now);
  assert.equal(meter.eta(1000, 2000), undefined);
});

test('the time left counts down with the clock while the speed only wobbles', () => {
  const meter = new RateMeter(0, 0);
  const total = 60_000;
  let bytes = 0;
  let last = Number.POSITIVE_INFINITY;
  for (let now = 250; now <= 30_000; now += 250) {
    bytes += now % 500 === 0 ? 300 : 200;
    meter.update(bytes, now);
    const left = meter.eta(total - bytes, now);
    if (left === undefined) continue;
    assert.ok(left <= last + 1e-9, `${left} after ${last} at ${now}`);
    last = left;
  }
  assert.ok(last < 40);
});

test('100 % is left to the receipt', () => {
  assert.equal(percentOf(progressOf({ bytes: 100, bytesTotal: 100 })), 99);
  assert.equal(percentOf(progressOf({ bytes: 99, bytesTotal: 200 })), 49);
  assert.equal(percentOf(progressOf({ bytes: 0, bytesTotal: 0, files: 1, filesTotal: 2 })), 50);
  assert.equal(percentOf(progressOf({ bytes: 0, bytesTotal: 0, files: 0, filesTotal: 0 })), 0);
  assert.equal(percentOf(progressOf({ totalsKnown: false })), undefined);
});
