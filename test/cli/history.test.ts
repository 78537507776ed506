import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HISTORY_LINES, openHistory } from '../../src/cli/history.ts';
import { resolveHome } from '../../src/store/home.ts';
import { temporaryFolder } from '../store/temporary-home.ts';

const warnings: string[] = [];
const warn = (message: string) => void warnings.push(message);

test('lines come back, the latest first, from a private file', async (t) => {
  const folder = join(temporaryFolder(t), 'home');
  const history = await openHistory(resolveHome({}, folder), warn);
  assert.deepEqual(await history?.load(), []);
  for (const line of ['ls /', 'get "a b"', '', '   ', ' secret', 'a\x1b[2J', 'x'.repeat(5000), 'exit 😀']) {
    await history?.add(line);
  }
  const next = await openHistory(resolveHome({}, folder), warn);
  assert.deepEqual(await next?.load(), ['exit 😀', 'get "a b"', 'ls /']);
  assert.equal(statSync(join(folder, 'history')).mode & 0o777, 0o600);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test('the file is bounded', async (t) => {
  const folder = join(temporaryFolder(t), 'home');
  mkdirSync(folder, { mode: 0o700 });
  const path = join(folder, 'history');
  writeFileSync(path, Array.from({ length: 40_000 }, (_, index) => `list_dir /${index}\n`).join(''), {
    mode: 0o600,
  });
  const lines = await (await openHistory(resolveHome({}, folder), warn))?.load();
  assert.equal(lines?.length, HISTORY_LINES);
  assert.equal(lines?.[0], 'list_dir /39999');
  assert.equal(readFileSync(path, 'utf8').trimEnd().split('\n').length, HISTORY_LINES);
});

test('a history that is no text or no file stops nothing', async (t) => {
  const folder = join(temporaryFolder(t), 'home');
  mkdirSync(join(folder, 'history'), { recursive: true, mode: 0o700 });
  const history = await openHistory(resolveHome({}, folder), warn);
  assert.deepEqual(await history?.load(), []);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? '',
    /history can't be used \(EISDIR.*\): it is left as it is, and no lines are kept$/,
  );
  await history?.add('ls');
  const garbage = join(temporaryFolder(t), 'home');
  mkdirSync(garbage, { mode: 0o700 });
  writeFileSync(join(garbage, 'history'), Buffer.from([0xff, 0x00, 0x1b, 0x0a, 0x6c, 0x73, 0x0a]));
  assert.deepEqual(await (await openHistory(resolveHome({}, garbage), warn))?.load(), ['ls']);
});
