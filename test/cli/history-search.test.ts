import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { HistorySearch } from '../../src/cli/history-search.ts';

const HISTORY = ['get /docs/b.txt', 'ls /docs', 'ls /docs', 'get /docs/ä.txt', 'connect nas'];

/** What stands there after each key. */
function after(keys: string, before = 'half'): string[] {
  const search = new HistorySearch(HISTORY, before);
  return [...keys].map((key) => `${search.take(key)} ${search.prompt}${search.line}`);
}

suite('looking for an earlier line', () => {
  test('finds the latest that has the words, and older ones on demand', () => {
    assert.deepEqual(after('ge\x12\x12'), [
      "searching search 'g': get /docs/b.txt",
      "searching search 'ge': get /docs/b.txt",
      "searching search 'ge': get /docs/ä.txt",
      "searching not found 'ge': get /docs/ä.txt",
    ]);
    assert.deepEqual(
      after('ls\x12').at(-1),
      "searching not found 'ls': ls /docs",
      'the same line again is no other',
    );
    assert.deepEqual(after('docs\x12\x12\x13').at(-1), "searching search 'docs': ls /docs", 'and back');
    assert.deepEqual(after('ä').at(-1), "searching search 'ä': get /docs/ä.txt");
  });

  test('takes words back, and keeps what it had where nothing has them', () => {
    assert.deepEqual(after('cox\x7f').slice(1), [
      "searching search 'co': connect nas",
      "searching not found 'cox': connect nas",
      "searching search 'co': connect nas",
    ]);
    assert.deepEqual(after('c\x7f').at(-1), "searching search '': half");
    assert.deepEqual(after('\x7f\x12\x13').at(-1), "searching search '': half");
    assert.deepEqual(after('zzz').at(-1), "searching not found 'zzz': half");
  });

  test('ends with any other key, or gives up', () => {
    for (const key of ['\r', '\t', '\x1b', '\x01', '\x04'])
      assert.match(after(`con${key}`).at(-1) ?? '', /^found .*connect nas$/);
    for (const key of ['\x07', '\x03']) assert.match(after(`con${key}`).at(-1) ?? '', /^given up /);
    const none = new HistorySearch([], 'half');
    none.take('x');
    assert.deepEqual([none.line, none.take('\r')], ['half', 'found']);
  });
});
