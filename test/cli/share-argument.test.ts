import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseShare } from '../../src/cli/share-argument.ts';
import type { ShareOptions } from '../../src/index.ts';
import { refused } from './refused.ts';

test('shares are read as they are written', () => {
  const table: [string, ShareOptions][] = [
    ['.', { folder: '.' }],
    ['docs', { folder: 'docs' }],
    ['/srv/docs', { folder: '/srv/docs' }],
    ['docs=/srv/docs', { name: 'docs', folder: '/srv/docs' }],
    ['docs=/srv/docs:rw', { name: 'docs', folder: '/srv/docs', mode: 'rw' }],
    ['/srv/docs:ro', { folder: '/srv/docs', mode: 'ro' }],
    ['in=in:wo', { name: 'in', folder: 'in', mode: 'wo' }],
    // A folder whose own name holds what divides.
    ['./a=b', { folder: './a=b' }],
    ['/srv/a=b:rw', { folder: '/srv/a=b', mode: 'rw' }],
    ['a=b=c', { name: 'a', folder: 'b=c' }],
    ['x:ro:ro', { folder: 'x:ro', mode: 'ro' }],
    ['x:ro/', { folder: 'x:ro/' }],
    ['x:rx', { folder: 'x:rx' }],
    ['x:', { folder: 'x:' }],
    ['my photos=/srv/my photos', { name: 'my photos', folder: '/srv/my photos' }],
    ['😀=/srv/\n', { name: '😀', folder: '/srv/\n' }],
  ];
  for (const [text, share] of table) assert.deepEqual(parseShare(text, 'linux'), share, JSON.stringify(text));
});

test('on Windows a backslash also ends what could be a name', () => {
  assert.deepEqual(parseShare('.\\a=b', 'win32'), { folder: '.\\a=b' });
  assert.deepEqual(parseShare('C:\\docs:rw', 'win32'), { folder: 'C:\\docs', mode: 'rw' });
  assert.deepEqual(parseShare('docs=C:\\docs', 'win32'), { name: 'docs', folder: 'C:\\docs' });
});

test('a share without a folder or with a bad name is refused', () => {
  refused(() => parseShare(''), /no folder/);
  refused(() => parseShare(':rw'), /no folder/);
  refused(() => parseShare('docs='), /no folder/);
  refused(() => parseShare('docs=:ro'), /no folder/);
  refused(() => parseShare('=/srv'), /empty name/);
  refused(() => parseShare('..=/srv'), /can't be called/);
  refused(() => parseShare('.=/srv'), /can't be called/);
  refused(() => parseShare('a\x1b[2J=/srv'), /can't be called/);
});

test('every folder can be shared in every mode', () => {
  const folder = fc.string({
    unit: fc.constantFrom('a', '=', ':', 'r', 'o', 'w', '/', '.', ' '),
    minLength: 1,
  });
  fc.assert(
    fc.property(folder, fc.constantFrom('ro', 'rw', 'wo'), (path, mode) => {
      // As the help says: a slash before any "=", and the mode spelled out.
      const written = `/${path}`;
      assert.deepEqual(parseShare(`${written}:${mode}`, 'linux'), { folder: written, mode });
      assert.deepEqual(parseShare(`name=${written}:${mode}`, 'linux'), {
        name: 'name',
        folder: written,
        mode,
      });
    }),
  );
});
