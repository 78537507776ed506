/** How often a pipe that is not ready is looked at. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { nextPause } from '../../src/transfer/stream.ts';

/** The milliseconds after which a pipe is looked at again that gets ready after `wait`; the last is when that is seen. */
function looks(wait: number): number[] {
  const found: number[] = [];
  let [pause, waited] = [0, 0];
  while (waited < wait) {
    pause = nextPause(pause, waited);
    waited += pause;
    found.push(waited);
  }
  return found;
}

suite('a pipe that is not ready', () => {
  test('is looked at soon where it was soon ready, and never much too late', () => {
    assert.ok((looks(0.001).at(-1) ?? 0) < 0.1);
    for (let wait = 0.01; wait < 100_000; wait *= 1.1) {
      const late = (looks(wait).at(-1) ?? 0) - wait;
      // Twice as long at first, when that is little; then by an eighth, and at most by a tenth of a second.
      assert.ok(
        late <= Math.min(100, Math.max(0.02, Math.min(wait + 0.02, 20), wait / 8)),
        `${late} after ${wait}`,
      );
    }
  });

  test('is looked at ten times a second while it stays so', () => {
    const after = looks(20_000).filter((at) => at > 1000);
    assert.ok(after.length <= 191, `${after.length} looks`);
  });
});
