import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeName, fsPath } from '../../src/transfer/name.ts';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const here = { home: client, cwd: folderIn(folder, 'work') };
const there = { home: server, cwd: folder };

/** A folder with two files, a folder, and what can't be moved by itself. */
function mixed(name: string): string {
  const path = folderIn(folder, name);
  for (const file of ['a', 'b']) writeFileSync(join(path, file), file);
  writeFileSync(join(folderIn(path, 'sub'), 'c'), 'c');
  execFileSync('mkfifo', [join(path, 'fifo')]);
  symlinkSync('nothing', join(path, 'link'));
  return path;
}

test('what a pattern matches and can not be moved is named, and holds nothing up', async () => {
  const docs = mixed('docs');
  const inbox = folderIn(folder, 'in');
  await using served = await serve(['--open', '--share', docs, '--share', `in=${inbox}:rw`], there);
  const get = ['get', `${served.peer}:/docs/*`, 'got/', '--accept-new'];
  folderIn(here.cwd, 'got');
  const got = await run(get, here);
  assert.equal(got.status, 0, got.stderr);
  assert.deepEqual(readdirSync(join(here.cwd, 'got')).toSorted(), ['a', 'b', 'sub']);
  assert.match(got.stderr, /^skipped \/docs\/fifo: it is a pipe, a device or a socket$/m);
  assert.match(got.stderr, /^skipped \/docs\/link: it is a link; get the folder that it is in$/m);
  const notices = eventsNamed(eventsOf(await run([...get, '--json'], here)), 'notice');
  assert.equal(notices.length, 2);

  mixed('work/mine');
  const put = await run(['put', 'mine/*', `${served.peer}:/in/`], here);
  assert.equal(put.status, 0, put.stderr);
  assert.deepEqual(readdirSync(inbox).toSorted(), ['a', 'b', 'sub']);
  assert.match(put.stderr, /^skipped mine\/fifo: it is a pipe, a device or a socket$/m);
  assert.match(put.stderr, /^skipped mine\/link: it is a link to nothing$/m);
});

test('a pattern matches names that are not UTF-8, each once', async () => {
  const inbox = folderIn(folder, 'odd-in');
  const names = ['a\udcff', 'a\udcfe', 'aé'];
  const odd = folderIn(here.cwd, 'bytes');
  for (const name of names) writeFileSync(fsPath(join(odd, name)), 'odd');
  await using served = await serve(['--open', '--share', `in=${inbox}:rw`], there);
  const put = await run(['put', 'bytes/a*', `${served.peer}:/in/`, '--accept-new'], here);
  assert.equal(put.status, 0, put.stderr);
  assert.doesNotMatch(put.stderr, /skipped/);
  const stored = readdirSync(inbox, { encoding: 'buffer' }).map((name) => decodeName(name));
  assert.deepEqual(stored.toSorted(), names.toSorted());
});

test('where nothing else matches, and where it was named itself, it is an error', async () => {
  const odd = mixed('odd');
  await using served = await serve(['--open', '--share', odd], there);
  const get = async (name: string) => await run(['get', `${served.peer}:/odd/${name}`, '--accept-new'], here);
  for (const name of ['fi*', 'fifo', 'li*', 'link']) {
    const { status, stderr } = await get(name);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^localstream: .*neither a file nor a folder|no file or folder matches/m);
  }
});

test('what comes by a code goes into a folder, and that is told of standard output', async () => {
  const ran = await run(['receive', '7-nebula-duffel', '-', '--from', '127.0.0.1:1'], here);
  assert.equal(ran.status, 2, ran.stderr);
  assert.match(ran.stderr, /goes into a folder, not to standard output; name a folder/);
});
