/** mkdir, mv, rm, mget, mput: transcripts, and the question before something is removed. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, folderIn, type Ran, run, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const read = folderIn(folder, 'read');
const drop = folderIn(folder, 'drop');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
const shares = ['--share', `${docs}:rw`, '--share', read, '--share', `${drop}:wo`];

function failed(ran: Ran, status: number, message: RegExp): void {
  assert.equal(ran.status, status, ran.stderr + ran.stdout);
  assert.match(ran.stderr, message);
  assert.match(ran.stderr, /^(?:pinned .*\n)?localstream: [^\n]+\n$/);
}

test('folders are made, files moved and removed, each with one line and one event', async () => {
  await using served = await serve(['--open', '--max', '5', ...shares], { home: server });
  const at = (path: string) => `${served.peer}:${path}`;
  const made = await run(['mkdir', at('/docs/new'), at('/docs/new/er'), '--accept-new'], here);
  assert.deepEqual([made.stdout, made.status], ['made /docs/new\nmade /docs/new/er\n', 0], made.stderr);
  writeFileSync(join(docs, 'a.txt'), 'a');
  writeFileSync(join(docs, 'b.txt'), 'b');
  const moved = await run(['mv', '/docs/a.txt', '/docs/c.txt', '--on', served.peer], here);
  assert.deepEqual([moved.stdout, moved.status], ['moved /docs/a.txt to /docs/c.txt\n', 0], moved.stderr);
  const several = await run(['mv', at('/docs/*.txt'), at('/docs/new')], here);
  assert.equal(several.stdout, 'moved /docs/b.txt to /docs/new/\nmoved /docs/c.txt to /docs/new/\n');
  assert.deepEqual(readdirSync(join(docs, 'new')).sort(), ['b.txt', 'c.txt', 'er']);
  const events = eventsOf(await run(['rm', '-rf', at('/docs/new'), '--json'], here));
  const [removed] = eventsNamed(events, 'changed');
  assert.deepEqual(
    [removed?.action, removed?.path, removed?.entries, removed?.listener, removed?.to],
    ['rm', '/docs/new', 4, null, null],
  );
  assert.deepEqual(readdirSync(docs), []);
  const told = eventsNamed(eventsOf(await served.stop()), 'changed');
  assert.deepEqual(
    told.map(({ action, path, listener }) => [action, path, listener]),
    [
      ['mkdir', '/docs/new', served.port],
      ['mkdir', '/docs/new/er', served.port],
      ['mv', '/docs/a.txt', served.port],
      ['mv', '/docs/b.txt', served.port],
      ['mv', '/docs/c.txt', served.port],
      ['rm', '/docs/new', served.port],
    ],
  );
  // Who did what stays in the history of the server.
  const past = eventsNamed(eventsOf(await run(['history', '--json'], { home: server })), 'change');
  assert.deepEqual(past.map(({ action, path, to, entries }) => [action, path, to, entries]).sort(), [
    ['mkdir', '/docs/new', null, 1],
    ['mkdir', '/docs/new/er', null, 1],
    ['mv', '/docs/a.txt', '/docs/c.txt', 1],
    ['mv', '/docs/b.txt', '/docs/new/', 1],
    ['mv', '/docs/c.txt', '/docs/new/', 1],
    ['rm', '/docs/new', null, 4],
  ]);
  const shown = await run(['history', '--since', 'yesterday'], { home: server });
  assert.match(shown.stdout, /^\S+ \S+ {2}by \S+ +- +OK +removed \/docs\/new \(4 entries\)\n/);
  assert.equal((await run(['history', '--failed'], { home: server })).stdout, '');
});

test('what is refused says why, and nothing is removed unasked', async () => {
  await using served = await serve(['--open', '--max', '5', ...shares], { home: server });
  const at = (path: string) => `${served.peer}:${path}`;
  for (const place of [docs, read, drop]) writeFileSync(join(place, 'kept'), 'kept');
  mkdirSync(join(docs, 'folder'), { recursive: true });
  for (const yes of [[], ['--yes']])
    failed(await run(['rm', at('/docs/kept'), ...yes], here), 2, /nobody can be asked.*add --force/);
  failed(await run(['rm', '-f', at('/docs/folder')], here), 1, /'folder' is a folder, and was not/);
  failed(
    await run(['rm', '-f', at('/read/kept')], here),
    3,
    /the share 'read' does not allow remove; list_dir shows what each allows$/m,
  );
  failed(await run(['rm', '-f', at('/drop/kept')], here), 3, /the share 'drop' does not allow remove/);
  failed(await run(['rm', '-f', at('/docs/none')], here), 1, /'none'/);
  failed(await run(['rm', '-f', at('/docs/*.none')], here), 1, /nothing matches/);
  failed(await run(['rm', '-rf', at('/docs')], here), 3, /a share itself is never/);
  failed(await run(['rm', '-rf', at('/')], here), 3, /the shares themselves/);
  failed(await run(['mkdir', at('/docs/folder')], here), 5, /a folder 'folder' is there already$/m);
  failed(await run(['mkdir', at('/docs/kept')], here), 5, /a file 'kept' is there already$/m);
  symlinkSync('nowhere', join(docs, 'link'));
  failed(await run(['mkdir', at('/docs/link')], here), 5, /a link 'link' is there already$/m);
  failed(await run(['mkdir', at('/docs/no/such')], here), 1, /'no'/);
  failed(
    await run(['mkdir', at('/drop/new')], here),
    3,
    /the share 'drop' does not allow mkdir; list_dir shows what each allows$/m,
  );
  failed(await run(['mv', at('/docs/kept')], here), 2, /no target is named/);
  failed(await run(['mv', at('/docs/kept'), at('/read/')], here), 3, /does not allow move/);
  failed(await run(['mv', at('/drop/kept'), at('/docs/')], here), 3, /does not allow move/);
  failed(await run(['mv', at('/docs/kept'), 'nas:/docs/'], here), 2, /different servers/);
  failed(await run(['mv', at('/docs/folder'), at('/docs/folder/in')], here), 1, /into itself/);
  failed(await run(['mkdir', 'new'], here), 2, /names no peer/);
  failed(await run(['mkdir'], here), 2, /missing required argument/);
  const again = join(docs, 'again');
  writeFileSync(again, 'again');
  failed(await run(['mv', at('/docs/kept'), at('/docs/again')], here), 5, /'again'/);
  for (const place of [docs, read, drop]) assert.equal(readFileSync(join(place, 'kept'), 'utf8'), 'kept');
  assert.equal(readFileSync(again, 'utf8'), 'again');
});

test('mget and mput take all operands as sources', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', `${docs}:rw`], { home: server });
  for (const name of ['one.pdf', 'two.pdf', 'three']) writeFileSync(join(docs, name), name);
  const got = await run(['mget', '/docs/*.pdf', '/docs/three', '/docs/folder', '--from', served.peer], here);
  assert.equal(got.status, 0, got.stderr);
  for (const name of ['one.pdf', 'two.pdf', 'three'])
    assert.equal(readFileSync(join(work, name), 'utf8'), name);
  assert.ok(existsSync(join(work, 'folder')));
  for (const name of ['x1', 'x2', 'y']) writeFileSync(join(work, name), name);
  const script = `connect ${served.peer}\ncd /docs/folder\nmput x* y\nmkdir in\ncd in\nmput y\nrm -f y ../x1\nls ..\n`;
  const put = await run([], { ...here, input: script });
  assert.equal(put.status, 0, put.stderr);
  assert.deepEqual(readdirSync(join(docs, 'folder')).sort(), ['in', 'x2', 'y']);
  assert.match(put.stdout, /removed \/docs\/folder\/in\/y\nremoved \/docs\/folder\/x1\n/);
  failed(await run(['mput', 'y'], here), 2, /no peer is named/);
  failed(await run(['mget', 'y'], here), 2, /names no peer/);
});

test('what a folder needs is named: -r to go, mkdir to be there', async () => {
  await using served = await serve(['--open', ...shares], { home: server });
  const at = (path: string) => `${served.peer}:${path}`;
  mkdirSync(join(docs, 'needed'));
  failed(await run(['rm', '--force', at('/docs/needed'), '--accept-new'], here), 1, /; add -r to remove it/);
  writeFileSync(join(work, 'one'), '1');
  const missing = /there is no folder 'none' in the share; mkdir makes it$/m;
  for (const target of ['/docs/none/deep/one', '/docs/none/'])
    failed(await run(['put', 'one', at(target)], here), 1, missing);
  assert.equal(existsSync(join(docs, 'none')), false);
  assert.equal((await run(['rm', '-rf', at('/docs/needed')], here)).status, 0);
});

describe('in a terminal', needs('tmux'), () => {
  test('nobody is asked about what a share does not allow', async () => {
    await using served = await serve(['--open', '--max', '5', ...shares], { home: server });
    for (const place of [docs, read, drop]) writeFileSync(join(place, 'kept'), 'kept');
    using shell = new Terminal(['connect', served.peer], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    for (const [paths, share] of [
      ['/read/kept', 'read'],
      ['/drop/kept', 'drop'],
      ['/docs/kept /read/k*', 'read'],
    ]) {
      await shell.clear();
      shell.type(`rm ${paths}`);
      shell.press('Enter');
      await shell.until(new RegExp(`the share '${share}' does not allow remove[^]*\\n\\S+>$`));
      assert.doesNotMatch(shell.lines.join('\n'), /Remove/);
    }
    shell.type('exit');
    shell.press('Enter');
    await shell.until(/ended/);
    for (const place of [docs, read, drop]) assert.equal(readFileSync(join(place, 'kept'), 'utf8'), 'kept');
  });

  test('it is asked before anything is removed, and no is what Enter says', async () => {
    await using served = await serve(['--open', '--max', '5', '--share', `${docs}:rw`], { home: server });
    for (const name of ['r1', 'r2']) writeFileSync(join(docs, name), name);
    using shell = new Terminal(['connect', served.peer], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    shell.type('rm /docs/r*');
    shell.press('Enter');
    await shell.until(/Remove \/docs\/r1, \/docs\/r2 from .*\? \(y\/N\)/);
    shell.press('Enter');
    await shell.until(/nothing was removed\n\S+>$/);
    assert.ok(existsSync(join(docs, 'r1')));
    shell.type('rm --yes /docs/r1');
    shell.press('Enter');
    await shell.until(/Remove \/docs\/r1 from .*\? \(y\/N\)/);
    shell.press('y', 'Enter');
    await shell.until(/removed \/docs\/r1\n\S+>$/);
    assert.equal(existsSync(join(docs, 'r1')), false);
    shell.type('rm -f /docs/r2; exit');
    shell.press('Enter');
    await shell.until(/removed \/docs\/r2\n[\s\S]*ended 0/);
  });
});
