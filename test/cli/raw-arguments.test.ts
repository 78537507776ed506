import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { recoverArguments, recoverFrom } from '../../src/cli/raw-arguments.ts';
import { temporaryFolder } from '../store/temporary-home.ts';

const linuxOnly = { skip: process.platform === 'linux' ? false : 'only Linux keeps the bytes' };
const module = new URL('../../src/cli/raw-arguments.ts', import.meta.url).href;

/** Prints the recovered arguments as JSON; started by a shell, which can pass on bytes that Node.js can't. */
function printed(t: Parameters<typeof temporaryFolder>[0], launcher: string, written: string): unknown {
  const folder = temporaryFolder(t);
  const script = join(folder, 'print.mjs');
  writeFileSync(
    script,
    `import { recoverArguments } from ${JSON.stringify(module)};
     console.log(JSON.stringify(await recoverArguments(process.argv.slice(2))));`,
  );
  const outer = join(folder, 'launch.mjs');
  writeFileSync(
    outer,
    `import { spawnSync } from 'node:child_process';
     spawnSync(process.execPath, [${JSON.stringify(script)}, ...process.argv.slice(2)], { stdio: 'inherit' });`,
  );
  const target = launcher === 'direct' ? script : outer;
  const result = spawnSync('bash', ['-c', `exec "$0" "$1" ${written}`, process.execPath, target], {
    encoding: 'utf8',
  });
  assert.equal(result.stderr, '');
  return JSON.parse(result.stdout);
}

test('bytes that are not UTF-8 are recovered', linuxOnly, (t) => {
  assert.deepEqual(printed(t, 'direct', "get $'nas:/docs/\\xff\\xc3\\xa9' '' é"), [
    'get',
    'nas:/docs/\udcffé',
    '',
    'é',
  ]);
});

test('also behind a launcher that damaged them', linuxOnly, (t) => {
  assert.deepEqual(printed(t, 'launched', "put $'\\xe9t\\xe9' nas:/in/"), [
    'put',
    '\udce9t\udce9',
    'nas:/in/',
  ]);
});

test('a name that really holds U+FFFD stays what it is', linuxOnly, (t) => {
  assert.deepEqual(printed(t, 'direct', "put $'\\xef\\xbf\\xbd' $'\\xff'"), ['put', '\ufffd', '\udcff']);
  assert.deepEqual(printed(t, 'direct', "put $'\\xef\\xbf\\xbd'"), ['put', '\ufffd']);
});

test('only the same arguments are taken over', () => {
  const cmdline = Buffer.from('node\0main.js\0get\0a\xff\0', 'latin1');
  assert.deepEqual(recoverFrom(cmdline, ['get', 'a\ufffd']), ['get', 'a\udcff']);
  assert.deepEqual(recoverFrom(cmdline, ['put', 'a\ufffd']), undefined);
  assert.deepEqual(recoverFrom(cmdline, ['x', 'y', 'z', 'main.js', 'get', 'a\ufffd']), undefined);
  assert.deepEqual(recoverFrom(Buffer.alloc(0), ['a\ufffd']), undefined);
});

test('where there is no such file the arguments stay as they are', async () => {
  assert.deepEqual(await recoverArguments(['a\ufffd'], ['/nowhere/cmdline']), ['a\ufffd']);
  assert.deepEqual(await recoverArguments(['a', '']), ['a', '']);
});
