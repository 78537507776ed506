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
    assert.equal(status, 3, stderr);
    assert.match(stderr, /no trusted peer is 'nobody'; peers lists them/);
  }
  const { status, stderr } = await run(['import', 'alice'], here);
  assert.equal(status, 2, stderr);
});
