/** Whom a machine trusts, from the command line. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const here = { home: client, cwd: folder };
const there = { home: server, cwd: folder };
const [KEY, OTHER] = ['hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM', 'A'.repeat(43)].map(
  (text) => `SHA256:${text}`,
);

async function listed() {
  return eventsNamed(eventsOf(await run(['peers', '--json'], here)), 'trust').map(
    ({ name, fingerprint, how }) => [name, fingerprint, how],
  );
}

test('what export prints is what import takes, and lets in who has the key', async () => {
  await using served = await serve(['--share', `docs=${folderIn(folder, 'docs')}`], there);
  assert.equal((await run(['list_dir', `${served.peer}:/`, '--accept-new'], here)).status, 3);
  const line = await run(['export'], here);
  assert.match(line.stdout, /^SHA256:\S{43} \S.*\n$/);
  const taken = await run(['import', line.stdout.trim()], there);
  assert.match(taken.stdout, /^trusted: /);
  assert.equal((await run(['list_dir', `${served.peer}:/`, '--accept-new'], here)).status, 0);
  // The other way round the key was pinned by what was done before.
  assert.deepEqual(
    (await listed()).map(([, fingerprint, how]) => [fingerprint, how]),
    [[served.fingerprint, 'accept-new']],
  );
  const shown = await run(['peers'], here);
  assert.match(shown.stdout, /unverified .*SHA256:/);
  assert.equal((await run(['forget', served.fingerprint], here)).status, 0);
});

test('peers are renamed, exported by name and forgotten', async () => {
  assert.match((await run(['peers'], here)).stderr, /nobody is trusted yet/);
  assert.equal((await run(['import', KEY ?? '', 'alice'], here)).status, 0);
  assert.equal((await run(['import', `${OTHER} Alice`], here)).status, 0);
  assert.deepEqual(await listed(), [
    ['alice', KEY, 'manual'],
    ['Alice-2', OTHER, 'manual'],
  ]);
  assert.match((await run(['rename', 'ALICE', 'carol'], here)).stdout, /^renamed: carol, SHA256:hbm/);
  assert.equal((await run(['export', 'carol'], here)).stdout, `${KEY} carol\n`);
  assert.match((await run(['forget', 'carol'], here)).stdout, /^forgotten: carol/);
  assert.deepEqual(await listed(), [['Alice-2', OTHER, 'manual']]);
});

test('nobody of that name, and no line, are told', async () => {
  for (const words of [
    ['forget', 'nobody'],
    ['rename', 'nobody', 'x'],
    ['export', 'nobody'],
  ]) {
    const { status, stderr } = await run(words, { ...here, home: join(folder, 'third') });
    assert.equal(status, 2, stderr);
    assert.match(stderr, /no trusted peer is 'nobody'; peers lists them/);
  }
  const { status, stderr } = await run(['import', 'alice'], here);
  assert.equal(status, 2, stderr);
});

test('a peer gets rights by share, and peers shows them', async () => {
  const home = join(folder, 'rights');
  const who = { home, cwd: folder };
  const trusted = await run(['trust', KEY ?? '', '--name', 'alice', '--rights', 'docs=read,list'], who);
  assert.match(trusted.stdout, /^trusted: alice, SHA256:\S+, docs=read,list\n$/);
  assert.equal((await run(['trust', OTHER ?? '', '--name', 'bob'], who)).status, 0);
  const shown = await run(['peers'], who);
  assert.match(shown.stdout, /alice .*docs=read,list\n/);
  assert.match(shown.stdout, /bob .*SHA256:A{43}\s*\n/);
  // By name, in place of what it had.
  const words = ['trust', 'alice', '--rights', '*=read,-write', '--rights', 'secret=none'];
  assert.equal((await run(words, who)).status, 0);
  const [event] = eventsNamed(eventsOf(await run(['peers', '--json'], who)), 'trust');
  assert.deepEqual(event?.rights, [
    { share: '*', right: 'read', allowed: true },
    { share: '*', right: 'write', allowed: false },
    { share: 'secret', right: 'read', allowed: false },
    { share: 'secret', right: 'write', allowed: false },
    { share: 'secret', right: 'list', allowed: false },
  ]);
  // A new name leaves the rights as they are.
  assert.equal((await run(['trust', 'alice', '--name', 'alicia'], who)).status, 0);
  assert.match((await run(['peers'], who)).stdout, /alicia .*secret=-read,-write,-list/);
  assert.equal((await run(['trust', 'alicia', '--rights', 'all'], who)).status, 0);
  assert.deepEqual(
    eventsNamed(eventsOf(await run(['peers', '--json'], who)), 'trust').map(({ rights }) => rights),
    ['all', 'all'],
  );
  for (const wrong of ['docs', '=read', 'docs=', 'docs=reed', 'a/b=read', 'docs=none,read']) {
    const { status, stderr } = await run(['trust', 'alicia', '--rights', wrong], who);
    assert.equal(status, 2, `${wrong}: ${stderr}`);
  }
  assert.equal((await run(['trust', 'alicia', '--rights', 'all', '--rights', 'a=read'], who)).status, 2);
  assert.equal((await run(['trust', 'nobody', '--rights', 'all'], who)).status, 2);
});

test('a name of nothing is refused, and the peer keeps its own', async () => {
  const home = { ...here, home: join(folder, 'fourth') };
  assert.equal((await run(['import', `${KEY} nas`], home)).status, 0);
  for (const name of ['', ' ', '://', '\u202e']) {
    const { status, stderr } = await run(['rename', 'nas', name], home);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^localstream: [^\n]+\n$/);
  }
  assert.equal((await run(['export', 'nas'], home)).stdout, `${KEY} nas\n`);
});
