import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type LimitedFlow, Limiter, pacedChunk } from '../../src/net/limiter.ts';

/** Asks again and again for as many bytes until it is told to stop; says how many it was let through with. */
function taker(flow: LimitedFlow, bytes: number, stopped: () => boolean) {
  const taken = { bytes: 0, done: Promise.withResolvers<void>() };
  const ask = (): void => {
    flow.request(bytes, () => {
      taken.bytes += bytes;
      if (stopped()) taken.done.resolve();
      else setImmediate(ask);
    });
  };
  ask();
  return taken;
}

suite('a bound on bytes a second', () => {
  test('is shared evenly by those who wait, whatever the size of their frames', async () => {
    const limiter = new Limiter(2_000_000);
    let stop = false;
    const sizes = [1000, 10_000, 50_000];
    const takers = sizes.map((bytes) => taker(limiter.flow(), bytes, () => stop));
    while (takers.some(({ bytes }) => bytes < 300_000)) await new Promise((resolve) => setImmediate(resolve));
    const shares = takers.map(({ bytes }) => bytes);
    stop = true;
    await Promise.all(takers.map(({ done }) => done.promise));
    // No more apart than the largest frame, or two: one that is under way and one that is next.
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 150_000, shares.join());
  });

  test('one who comes late starts level, and neither catches up nor is held up', async () => {
    const limiter = new Limiter(2_000_000);
    let stop = false;
    const first = taker(limiter.flow(), 5000, () => stop);
    while (first.bytes < 300_000) await new Promise((resolve) => setImmediate(resolve));
    const before = first.bytes;
    const second = taker(limiter.flow(), 5000, () => stop);
    while (second.bytes < 200_000) await new Promise((resolve) => setImmediate(resolve));
    const meanwhile = first.bytes - before;
    stop = true;
    await Promise.all([first.done.promise, second.done.promise]);
    assert.ok(meanwhile >= 150_000 && meanwhile <= 250_000, `${meanwhile}`);
  });

  test('holds: what is asked for at once is not let through at once', async () => {
    const limiter = new Limiter(1_000_000);
    const flow = limiter.flow();
    let passed = 0;
    const all = Promise.withResolvers<void>();
    for (let frame = 0; frame < 20; frame += 1)
      flow.request(10_000, () => {
        passed += 1;
        if (passed === 20) all.resolve();
      });
    // A burst of 50 ms, and the frame that crosses its end.
    assert.ok(passed <= 7, `${passed} of 20`);
    await all.promise;
  });

  test('who leaves takes back what it asked for', async () => {
    const limiter = new Limiter(1_000_000);
    const [much, little] = [limiter.flow(), limiter.flow()];
    const passed: string[] = [];
    much.request(200_000, () => passed.push('much'));
    // It has had less, and would go first.
    little.request(50_000, () => passed.push('little'));
    const again = new Promise<void>((resolve) => much.request(1000, resolve));
    little.close();
    await again;
    assert.deepEqual(passed, ['much']);
  });

  test('who asks again while it is let through, and leaves, leaves no timer behind', () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const flow = new Limiter(1_000_000).flow();
    // An hour's worth.
    flow.request(3_600_000_000, () => flow.request(1, () => assert.fail('it passed')));
    flow.close();
    assert.equal(timers(), before);
  });

  test('makes frames small enough to flow, and no smaller than may be', () => {
    assert.equal(pacedChunk(1_048_576, 1024, undefined), 1_048_576);
    assert.equal(pacedChunk(1_048_576, 1024, 2_000_000), 100_000);
    assert.equal(pacedChunk(65_536, 1024, 100_000_000), 65_536);
    assert.equal(pacedChunk(65_536, 1024, 1), 1024);
  });
});
