import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { CreditWindow, SourceCredit } from '../../src/net/credit.ts';
import { Limiter } from '../../src/net/limiter.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const unasked = { code: 'BAD_MESSAGE', message: /credit/ };

suite('the credit of a source', () => {
  test('holds nothing back until it is bound', () => {
    const credit = new SourceCredit();
    const passed: number[] = [];
    for (const bytes of [1, 5_000_000]) credit.request(bytes, () => passed.push(bytes));
    assert.deepEqual(passed, [1, 5_000_000]);
    assert.throws(() => credit.add(1), unasked);
  });

  test('lets a frame of any size go when there is some, and then waits for what is missing', () => {
    const credit = new SourceCredit();
    credit.bind();
    const passed: number[] = [];
    const ask = (bytes: number) => credit.request(bytes, () => passed.push(bytes));
    ask(1000);
    assert.deepEqual(passed, []);
    credit.add(1);
    assert.deepEqual(passed, [1000]);
    ask(20);
    credit.add(999);
    assert.deepEqual(passed, [1000]);
    credit.add(50);
    assert.deepEqual(passed, [1000, 20]);
    ask(30);
    ask(1);
    assert.deepEqual(passed, [1000, 20, 30]);
  });

  test('is no more than can be counted', () => {
    const credit = new SourceCredit();
    credit.bind();
    credit.add(Number.MAX_SAFE_INTEGER);
    assert.throws(() => credit.add(1), unasked);
    let passed = 0;
    credit.request(10, () => {
      passed += 1;
    });
    credit.add(10);
    assert.equal(passed, 1);
    assert.throws(() => credit.add(1), unasked);
  });

  test('of a transfer that is over lets nothing go', () => {
    const credit = new SourceCredit();
    credit.bind();
    credit.request(10, () => assert.fail('it went'));
    credit.close();
    credit.add(100);
  });
});

/** What a window has granted so far. */
function opened(limiters: readonly Limiter[], frame: number) {
  const window = new CreditWindow(limiters, frame);
  const granted = { bytes: 0, times: 0 };
  const open = () =>
    window.open((bytes) => {
      granted.bytes += bytes;
      granted.times += 1;
    });
  return { window, granted, open };
}

suite('the credit window of a target', () => {
  test('grants at once, and to whoever sends nothing no more than a window', async (t) => {
    const limiter = new Limiter(1_000_000);
    const { window, granted, open } = opened([limiter], 10_000);
    t.after(() => window.close(false));
    open();
    assert.ok(granted.bytes > 0);
    // 200 ms' worth, in four parts.
    while (granted.bytes < 200_000) await turn();
    const others = limiter.flow();
    // All that it asked for has passed by then, and a fifth part would have too.
    for (let time = 0; time < 3; time += 1)
      await new Promise<void>((resolve) => others.request(50_000, resolve));
    assert.deepEqual(granted, { bytes: 200_000, times: 4 });
  });

  test('keeps the bound for many, with the frames that they overdraw', async (t) => {
    const bytesPerSecond = 2_000_000;
    const frame = 50_000;
    const start = performance.now();
    const limiter = new Limiter(bytesPerSecond);
    const all = Array.from({ length: 8 }, () => ({ ...opened([limiter], frame), taken: 0 }));
    t.after(() => {
      for (const { window } of all) window.close(false);
    });
    for (const { open } of all) open();
    let taken = 0;
    let passed = 0;
    while (taken < 1_600_000) {
      // Sources that send frames as long as they have any credit.
      for (const source of all) {
        while (source.taken < source.granted.bytes) {
          source.taken += frame;
          taken += frame;
          source.window.take(frame, () => {
            passed += frame;
          });
        }
      }
      // 50 ms ahead of the clock, and what was asked for last: a quantum, at first with the frame.
      const most = (bytesPerSecond * (performance.now() - start + 50)) / 1000 + frame + 12_500;
      assert.ok(taken <= most, `${taken} of ${most}`);
      assert.equal(passed, taken);
      await turn();
    }
  });

  test('holds back what comes without credit, in its order', async (t) => {
    const bytesPerSecond = 1_000_000;
    const start = performance.now();
    const { window, open } = opened([new Limiter(bytesPerSecond)], 10_000);
    t.after(() => window.close(false));
    const passed: number[] = [];
    window.take(100, () => passed.push(-1));
    assert.equal(passed.length, 0);
    open();
    assert.deepEqual(passed, [-1]);
    const wanted = Array.from({ length: 50 }, (_, frame) => frame);
    for (const frame of wanted) window.take(10_000, () => passed.push(frame));
    assert.ok(passed.length < 20, `${passed.length}`);
    while (passed.length <= 50) {
      const most = (bytesPerSecond * (performance.now() - start + 50)) / 1000 + 60_000;
      assert.ok((passed.length - 1) * 10_000 <= most);
      await turn();
    }
    assert.deepEqual(passed, [-1, ...wanted]);
  });

  test('is shared: several have together what one has alone', async (t) => {
    const limiter = new Limiter(1_000_000);
    const all = Array.from({ length: 4 }, () => opened([limiter], 1000));
    t.after(() => {
      for (const { window } of all) window.close(false);
    });
    for (const { open } of all) open();
    while (all.some(({ granted }) => granted.bytes < 50_000)) await turn();
    const others = limiter.flow();
    for (let time = 0; time < 3; time += 1)
      await new Promise<void>((resolve) => others.request(50_000, resolve));
    assert.deepEqual(
      all.map(({ granted }) => granted.bytes),
      [50_000, 50_000, 50_000, 50_000],
    );
  });

  test('that was not used up is for others, once nothing is on its way', async () => {
    for (const isComplete of [true, false]) {
      const limiter = new Limiter(1_000_000);
      // An hour's worth.
      const { window, open } = opened([limiter], 3_600_000_000);
      open();
      window.take(10_000, () => {});
      window.close(isComplete);
      const next = limiter.flow();
      const passed = Promise.withResolvers<void>();
      next.request(1, isComplete ? passed.resolve : () => assert.fail('it was for nobody'));
      if (isComplete) await passed.promise;
      next.close();
    }
  });

  test('passes the bound of the transfer and that of the process', async (t) => {
    const [narrow, wide] = [new Limiter(100_000), new Limiter(100_000_000)];
    const { window, granted, open } = opened([narrow, wide], 5000);
    t.after(() => window.close(false));
    open();
    while (granted.times < 4) await turn();
    assert.equal(granted.bytes, 20_000);
  });
});
