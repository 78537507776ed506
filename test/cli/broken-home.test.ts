/** What is broken in a home never stops the start, but for the identity, without which this would be another machine. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { eventsNamed, eventsOf, folderIn, type Ran, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const here = { home: client, cwd: folderIn(folder, 'work') };
const RUBBISH = [
  '',
  '{',
  '[]',
  '{"version":1}',
  'null',
  '\0\x01\x1b[2J',
  '{"version":1,"peers":7,"sessions":7}',
];

/** The status of everything that reads the home, in one process. */
async function started(): Promise<Ran> {
  const input = 'identity\npeers\nsessions\nhistory\nconfig list\nuser list\nstatus\n';
  return await run(['--json'], { ...here, input });
}

before(async () => {
  const docs = folderIn(folder, 'docs');
  writeFileSync(join(docs, 'a.txt'), 'hello\n');
  await using served = await serve(['--open', '--share', docs], { home: server });
  // A home in which there is one of each.
  const got = await run(['get', `${served.peer}:/docs/a.txt`, '--accept-new'], here);
  assert.equal(got.status, 0, got.stderr);
  assert.equal((await run(['config', 'set', 'port', '7400'], here)).status, 0);
  assert.equal((await started()).status, 0);
});

for (const name of ['config.json', 'trust.json', 'sessions.json']) {
  test(`${name} is set aside with a message, and what was in it is kept`, async () => {
    const path = join(client, name);
    const whole = readFileSync(path);
    for (const content of RUBBISH) {
      writeFileSync(path, content, { mode: 0o600 });
      const ran = await started();
      assert.equal(ran.status, 0, `${JSON.stringify(content)}: ${ran.stderr}`);
      const notices = eventsNamed(eventsOf(ran), 'notice').filter(({ message }) =>
        message.includes(`${name} can't be used`),
      );
      const aside = readdirSync(client).filter((entry) => entry.startsWith(`${name}.broken-`));
      // What is right for a file without a version can be less than what others need.
      if (notices.length === 0) {
        assert.deepEqual(aside, [], JSON.stringify(content));
        assert.ok(name === 'config.json', `${JSON.stringify(content)} was taken for ${name}`);
        continue;
      }
      assert.equal(notices.length, 1, 'told once');
      assert.match(
        notices[0]?.message ?? '',
        new RegExp(`${name} can't be used \\(.*\\): kept as .*${name}\\.broken-`),
      );
      assert.equal(aside.length, 1, aside.join());
      const [kept = ''] = aside;
      assert.equal(readFileSync(join(client, kept), 'latin1'), content);
      rmSync(join(client, kept));
    }
    writeFileSync(path, whole, { mode: 0o600 });
  });
}

test('receipts that are cut short, no text or no files are passed over', async () => {
  const receipts = join(client, 'receipts');
  const [name = ''] = readdirSync(receipts);
  const whole = readFileSync(join(receipts, name));
  for (const content of ['', '{', '\0\xff', whole.subarray(0, 40)]) {
    writeFileSync(join(receipts, name), content);
    const verified = await run(['verify', '--json'], here);
    assert.equal(verified.status, 1, verified.stdout + verified.stderr);
    assert.equal(eventsNamed(eventsOf(verified), 'error')[0]?.code, 'NOT_FOUND');
    assert.equal((await started()).status, 0);
  }
  writeFileSync(join(receipts, name), whole);
  mkdirSync(join(receipts, name.replace('receive', 'send')));
  assert.equal((await run(['verify'], here)).status, 0);
});

test('a history of the shell that is no file stops no shell', async () => {
  mkdirSync(join(client, 'history'), { recursive: true });
  assert.equal((await started()).status, 0);
});

test('a broken identity stops the start, with what to do, and stays', async () => {
  const path = join(client, 'identity.json');
  const whole = readFileSync(path);
  for (const content of RUBBISH) {
    writeFileSync(path, content, { mode: 0o600 });
    const ran = await run(['identity'], here);
    assert.equal(ran.status, 1, JSON.stringify(content));
    assert.match(
      ran.stderr,
      /^localstream: .*identity\.json.* can(?:'t|not) be used: .*; restore it from a backup.*\n$/,
    );
    assert.equal(readFileSync(path, 'latin1'), content);
  }
  writeFileSync(path, whole, { mode: 0o600 });
  assert.equal((await started()).status, 0);
});
