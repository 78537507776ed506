import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Gate } from '../../src/crypto/gate.ts';
import { UnavailableError } from '../../src/errors.ts';

function isBusy(error: unknown): true {
  assert.ok(error instanceof UnavailableError);
  assert.equal(error.code, 'BUSY');
  return true;
}

describe('gate', () => {
  it('runs so many at once, keeps the order of the rest and turns the surplus away', async () => {
    const gate = new Gate(2, 3);
    const started: number[] = [];
    const ends: ((value: number) => void)[] = [];
    const task = (number: number): Promise<number> =>
      gate.run(() => {
        started.push(number);
        const { promise, resolve } = Promise.withResolvers<number>();
        ends[number] = resolve;
        return promise;
      });
    const tasks = [0, 1, 2, 3, 4].map(task);
    assert.deepEqual(started, [0, 1]);
    await assert.rejects(task(5), isBusy);
    for (let number = 0; number < 5; number += 1) {
      ends[number]?.(number * 10);
      assert.equal(await tasks[number], number * 10);
      assert.deepEqual(started, [0, 1, 2, 3, 4].slice(0, Math.min(5, number + 3)));
    }
    // Nobody waits any more; the width has to be what it was.
    const more = [5, 6, 7].map(task);
    assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6]);
    for (const number of [5, 6, 7]) {
      ends[number]?.(number);
      assert.equal(await more[number - 5], number);
    }
  });

  it('frees the place of a task that fails', async () => {
    const gate = new Gate(1, 0);
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(
        gate.run(() => Promise.reject(new Error('failed'))),
        /failed/,
      );
      await assert.rejects(
        gate.run(() => {
          throw new Error('thrown');
        }),
        /thrown/,
      );
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const held = gate.run(() => promise);
    await assert.rejects(
      gate.run(async () => {}),
      isBusy,
    );
    resolve();
    await held;
  });
});
