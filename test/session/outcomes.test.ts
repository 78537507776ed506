import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ENTRY, OUTCOME } from '../../src/protocol/manifest.ts';
import { Outcomes } from '../../src/session/outcomes.ts';
import type { Settled } from '../../src/transfer/progress.ts';

const BOUND = 10;

function settled(path: string, more: Partial<Settled>): Settled {
  const plain = { kind: ENTRY.file, outcome: OUTCOME.committed, size: 5, digest: undefined } as const;
  return { path, ...plain, flag: 'OK', linked: false, note: '', ...more };
}

const skipped = (path: string) => settled(path, { outcome: OUTCOME.skipped, flag: 'EXISTS', note: 'there' });
const failed = (path: string, flag: Settled['flag']) => settled(path, { outcome: OUTCOME.failed, flag });

suite('the list of what became of files', () => {
  test('begins with what failed, however much was left out or arrived before', () => {
    const outcomes = new Outcomes(BOUND);
    for (let number = 0; number < 2 * BOUND; number += 1)
      outcomes.add([settled(`a${number}`, {}), skipped(`s${number}`)]);
    outcomes.add([failed('bad', 'UNREADABLE')]);
    const list = outcomes.list();
    assert.deepEqual(
      list.map(({ outcome }) => outcome),
      ['failed', ...Array<string>(BOUND - 1).fill('skipped')],
    );
    assert.deepEqual([list[0]?.path, list[0]?.code], ['bad', 'UNREADABLE']);
    assert.deepEqual([outcomes.files, outcomes.skipped, outcomes.failed], [2 * BOUND, 2 * BOUND, 1]);
    assert.equal(outcomes.code(), 'PARTIAL');
  });

  test('does not have to name what was tampered with for the whole to say so', () => {
    for (const before of [skipped, (path: string) => failed(path, 'UNREADABLE')]) {
      const outcomes = new Outcomes(BOUND);
      for (let number = 0; number < 2 * BOUND; number += 1) outcomes.add([before(`${number}`)]);
      outcomes.add([failed('bad', 'INTEGRITY')]);
      assert.equal(outcomes.code(), 'INTEGRITY');
    }
  });

  test('tells what a dry run would write from what was left out, beyond what is listed', () => {
    const outcomes = new Outcomes(BOUND);
    const would = { outcome: OUTCOME.skipped, flag: 'OK', note: 'would create' } as const;
    for (let number = 0; number < 2 * BOUND; number += 1) outcomes.add([settled(`${number}`, would)]);
    outcomes.add([settled('link', { ...would, kind: ENTRY.link }), skipped('s'), settled('same', {})]);
    assert.deepEqual(outcomes.planned, { entries: 2 * BOUND + 1, files: 2 * BOUND, bytes: 10 * BOUND });
    assert.deepEqual([outcomes.skipped, outcomes.files], [2 * BOUND + 2, 1]);
  });

  test('of a single entry gives its code to the whole, unless it was to be left out', () => {
    for (const [row, code] of [
      [failed('a', 'NO_SPACE'), 'NO_SPACE'],
      [skipped('a'), 'OK'],
      [settled('a', { outcome: OUTCOME.skipped, flag: 'NOT_SUPPORTED' }), 'NOT_SUPPORTED'],
    ] as const) {
      const outcomes = new Outcomes(BOUND);
      outcomes.add([row]);
      assert.equal(outcomes.code(), code);
    }
  });
});
