import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alignColumns } from '../../src/cli/columns.ts';
import { cut, widthOf } from '../../src/cli/text-width.ts';

test('columns are as wide as their widest cell, and the last is not padded', async () => {
  const lines = await alignColumns([['a', 'bbb', 'c'], ['aaaa', 'b', 'cc'], ['a']]);
  assert.deepEqual(lines, ['a     bbb  c', 'aaaa  b    cc', 'a']);
  assert.deepEqual(await alignColumns([]), []);
});

test('wide characters, emoji and marks are counted as the terminal shows them', async () => {
  const names = ['nas', '日本', '👨‍👩‍👧', 'e\u0301te\u0301', '🇩🇪'];
  const lines = await alignColumns(names.map((name) => [name, 'x']));
  for (const line of lines) assert.equal(widthOf(line.slice(0, line.lastIndexOf('x'))), 6, line);
});

test('a text is cut to columns, never within a character', () => {
  assert.equal(cut('report.pdf', 20), 'report.pdf');
  assert.equal(cut('a-long-report.pdf', 10), 'a-long-...');
  assert.equal(cut('abcdef', 3), 'abc');
  assert.equal(cut('abc', 0), '');
  for (let columns = 1; columns < 20; columns += 1) {
    const text = cut('日本語😀テキスト', columns);
    assert.ok(widthOf(text) <= columns, `${columns}: ${text}`);
    assert.ok(text.isWellFormed());
  }
});
