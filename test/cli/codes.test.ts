/** Codes from one process to another: real sockets, real files. */
import assert from 'node:assert/strict';
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  eventsNamed,
  eventsOf,
  folderIn,
  type Running,
  type RunOptions,
  run,
  scratch,
  start,
} from './cli-process.ts';

const { folder, server, client } = scratch();
const work = folderIn(folder, 'work');
writeFileSync(join(folder, 'a.txt'), 'hello\n');
for (const name of ['in', 'scripted', 'one', 'two', 'three', 'no']) folderIn(work, name);
const there = { home: server, cwd: folder };
const here = { home: client, cwd: work };

/** Starts a command that shows codes, and waits for all of them. */
async function shown(words: readonly string[], count = 1, options: RunOptions = there) {
  const running = start([...words, '--json', '--host', '127.0.0.1'], options);
  let text = '';
  running.child.stdout?.on('data', (piece: string) => {
    text += piece;
  });
  await running.until(new RegExp(`(?:"event":"code"[^\\n]*\\n[^]*?){${count}}`));
  const found = [...text.matchAll(/^\{"event":"code".*$/gm)].map(([line]): { code: string; port: number } =>
    JSON.parse(line),
  );
  const port = found[0]?.port ?? 0;
  return { running, codes: found.map(({ code }) => code), from: `127.0.0.1:${port}` };
}

async function endOf(running: Running) {
  const ran = await running.ended;
  return { ...ran, events: eventsOf(ran) };
}

/** Another code of the same number. */
function wrong(code: string): string {
  const [number] = code.split('-');
  return code.endsWith('-abyss') ? `${number}-acid-acid` : `${number}-acid-abyss`;
}

test('a file is sent to whoever knows the code', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt']);
  const [code = ''] = codes;
  assert.match(code, /^[1-9]\d{0,2}-[a-z]+-[a-z]+$/);
  const got = await run(['receive', code, 'in', '--from', from, '--yes'], here);
  assert.equal(got.status, 0, got.stderr);
  assert.equal(readFileSync(join(work, 'in', 'a.txt'), 'utf8'), 'hello\n');
  const sent = await endOf(running);
  assert.equal(sent.status, 0, sent.stderr);
  assert.equal(eventsNamed(sent.events, 'receipt').length, 1);
  // Nobody became trusted by that.
  const refused = await run(['list_dir', `${from}:/`], here);
  assert.equal(refused.status, 4, refused.stderr);
});

test('the event of an offer names the folder that it goes to', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt']);
  const got = await run(['receive', codes[0] ?? '', 'in', '--from', from, '--yes', '--json'], here);
  assert.equal(eventsNamed(eventsOf(got), 'offer')[0]?.folder, realpathSync(join(work, 'in')));
  await running.ended;
});

test('what is printed can be pasted, and a script sets the code', async () => {
  const running = start(['send', 'a.txt', '--host', '127.0.0.1'], there);
  let text = '';
  for (const stream of [running.child.stdout, running.child.stderr])
    stream?.on('data', (piece: string) => {
      text += piece;
    });
  await running.until(/^localstream receive \S+$/m);
  await running.until(/--from 127\.0\.0\.1:\d+/);
  const [, code = ''] = /^localstream receive (\S+)$/m.exec(text) ?? [];
  const [, from = ''] = /--from (127\.0\.0\.1:\d+)/.exec(text) ?? [];
  const got = await run(['receive', 'scripted', '--from', from, '--yes'], {
    ...here,
    env: { LOCALSTREAM_CODE: code },
  });
  assert.equal(got.status, 0, got.stderr);
  assert.equal(readFileSync(join(work, 'scripted', 'a.txt'), 'utf8'), 'hello\n');
  assert.equal((await running.ended).status, 0);
});

test('one wrong guess burns the code: both end with 3 and say so', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt']);
  const [code = ''] = codes;
  const guessed = await run(['receive', wrong(code), 'no', '--from', from, '--yes'], here);
  assert.equal(guessed.status, 3, guessed.stderr);
  assert.match(guessed.stderr, /code is wrong/);
  const sent = await endOf(running);
  assert.equal(sent.status, 3, sent.stderr);
  assert.match(sent.stderr, /somebody tried the code and did not know it/);
  assert.equal(eventsNamed(sent.events, 'done')[0]?.code, 'WRONG_CODE');
});

test('where nobody can be asked the code is not used, and is still good', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt']);
  const receive = ['receive', codes[0] ?? '', 'no', '--from', from];
  const unasked = await run(receive, here);
  assert.equal(unasked.status, 2, unasked.stderr);
  assert.match(unasked.stderr, /nobody can be asked here about what is offered; add --yes/);
  const got = await run([...receive, '--yes'], here);
  assert.equal(got.status, 0, got.stderr);
  assert.equal((await running.ended).status, 0);
});

test('several codes serve several people, and one that is burnt stops no other', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt', '--codes', '3'], 3);
  const [first = '', second = '', third = ''] = codes;
  assert.equal(new Set(codes).size, 3);
  const ran = await Promise.all([
    run(['receive', first, 'one', '--from', from, '--yes'], here),
    run(['receive', wrong(second), 'two', '--from', from, '--yes'], here),
    run(['receive', third, 'three', '--from', from, '--yes'], here),
  ]);
  assert.deepEqual(
    ran.map(({ status }) => status),
    [0, 3, 0],
  );
  for (const name of ['one', 'three'])
    assert.equal(readFileSync(join(work, name, 'a.txt'), 'utf8'), 'hello\n');
  const sent = await endOf(running);
  assert.equal(sent.status, 5, sent.stderr);
  assert.match(sent.stderr, /sent by 2 of 3 codes/);
});

test('two machines pair, and need no code from then on', async () => {
  const { running, codes, from } = await shown(['pair']);
  const paired = await run(['pair', codes[0] ?? '', '--from', from, '--json'], here);
  assert.equal(paired.status, 0, paired.stderr);
  const sent = await endOf(running);
  assert.equal(sent.status, 0, sent.stderr);
  const [mine] = eventsNamed(eventsOf(paired), 'trusted');
  const [theirs] = eventsNamed(sent.events, 'trusted');
  const keyOf = async (options: RunOptions) =>
    eventsNamed(eventsOf(await run(['identity', '--json'], options)), 'identity')[0]?.fingerprint;
  assert.deepEqual([mine?.fingerprint, theirs?.fingerprint], [await keyOf(there), await keyOf(here)]);
});

test('a code for sending pairs nobody', async () => {
  const { running, codes, from } = await shown(['send', 'a.txt']);
  const other = { home: join(folder, 'third-home'), cwd: work };
  assert.equal((await run(['pair', codes[0] ?? '', '--from', from], other)).status, 3);
  assert.equal((await running.ended).status, 3);
});

test('what cannot be a code, a place or a file is refused before anybody hears of it', async () => {
  const wrongs: [string[], RegExp][] = [
    [['receive', '7-acid-nosuchword', '--from', '127.0.0.1:9'], /second word of the code/],
    [['receive', '7-acid-abyss', 'missing', '--from', '127.0.0.1:9'], /there is no folder 'missing'/],
    [['receive', 'a', 'b'], /the first word is not a pairing code/],
    [['receive', '--from', '127.0.0.1:9'], /the code is missing; write it, or set LOCALSTREAM_CODE/],
    [['receive', '7-acid-abyss', '--from', '127.0.0.1', '--yes'], /the port is missing/],
    [['pair', '7'], /not a pairing code/],
    [['send', 'a.txt', '--codes', '0'], /not a number of codes/],
  ];
  for (const [words, message] of wrongs) {
    const { status, stderr } = await run(words, here);
    assert.match(stderr, message);
    assert.equal(status, /no folder/.test(stderr) ? 1 : 2, stderr);
  }
  const missing = await run(['send', 'nothing.txt'], here);
  assert.equal(missing.status, 1, missing.stderr);
  assert.doesNotMatch(missing.stdout, /localstream receive/);
  const unseen = await run(['receive', '7-acid-abyss', '--yes'], here);
  assert.equal(unseen.status, 1);
  assert.match(unseen.stderr, /write --from HOST:PORT/);
});
