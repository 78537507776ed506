/** Which files of a tree cross, as real processes choose them, and one that is longer than 32 bits can say. */
import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { folderIn, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
const there = { home: server };

test('rules of .gitignore count where they are asked for, and patterns of the line', async () => {
  const tree = folderIn(work, 'tree');
  writeFileSync(join(tree, '.gitignore'), '*.log\n/build/\n');
  for (const name of ['a.txt', 'b.txt', 'x.log']) writeFileSync(join(tree, name), name);
  writeFileSync(join(folderIn(tree, 'build'), 'made'), '');
  await using served = await serve(['--open', '--max', '3', '--share', `${docs}:rw`], there);
  const cases: readonly (readonly [target: string, flags: string[], names: string[]])[] = [
    ['whole', [], ['.gitignore', 'a.txt', 'b.txt', 'build', 'build/made', 'x.log']],
    ['kept', ['--gitignore'], ['.gitignore', 'a.txt', 'b.txt']],
    ['left', ['--exclude', 'b*'], ['.gitignore', 'a.txt', 'x.log']],
    [
      'both',
      ['--exclude', '*.txt', '--include', 'b.txt'],
      ['.gitignore', 'b.txt', 'build', 'build/made', 'x.log'],
    ],
  ];
  for (const [target, flags, names] of cases) {
    const words = ['put', 'tree', `${served.peer}:/docs/${target}`, '--accept-new', ...flags];
    const { status, stderr } = await run(words, here);
    assert.equal(status, 0, stderr);
    const found = readdirSync(join(docs, target), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(found.toSorted(), names, flags.join(' '));
  }
});

test('a link is sent as one, with --follow as what it points at', async () => {
  const tree = folderIn(work, 'linked');
  writeFileSync(join(tree, 'a.txt'), 'hello\n');
  symlinkSync('a.txt', join(tree, 'link'));
  await using served = await serve(['--open', '--max', '3', '--share', `${docs}:rw`], there);
  for (const [target, flags] of [
    ['links', []],
    ['files', ['--follow']],
  ] as const) {
    const words = ['put', 'linked', `${served.peer}:/docs/${target}`, '--accept-new', ...flags];
    assert.equal((await run(words, here)).status, 0);
    assert.equal(lstatSync(join(docs, target, 'link')).isSymbolicLink(), target === 'links');
    assert.equal(statSync(join(docs, target, 'link')).size, 6);
  }
});

test('a file of more than 4 GiB arrives to its last byte, and its holes stay holes', async () => {
  const size = 2 ** 32 + 1;
  const source = openSync(join(docs, 'long'), 'w');
  ftruncateSync(source, size);
  writeSync(source, 'z', size - 1);
  closeSync(source);
  await using served = await serve(['--open', '--max', '3', '--share', docs], there);
  const { status, stderr } = await run(['get', `${served.peer}:/docs/long`, '.', '--accept-new'], here);
  assert.equal(status, 0, stderr);
  const stat = statSync(join(work, 'long'));
  assert.equal(stat.size, size);
  assert.ok(stat.blocks * 512 < 16 * 1024 * 1024, `${stat.blocks} blocks`);
  const got = openSync(join(work, 'long'), 'r');
  const last = Buffer.alloc(2);
  assert.equal(readSync(got, last, 0, 2, size - 2), 2);
  closeSync(got);
  assert.deepEqual(last, Buffer.from('\0z'));
});
