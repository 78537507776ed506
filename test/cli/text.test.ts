/** --text: by a code, to a peer, from a server, into a share; shown harmless, printed exactly, kept nowhere. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { shownText } from '../../src/cli/received-text.ts';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, folderIn, freePort, run, scratch, serve, start } from './cli-process.ts';
import { daemon, until } from './daemon-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
const there = { home: server, cwd: folder };
/** What a terminal would act on, two lines, and letters of several bytes. */
const HOSTILE = 'wörter 🔋\x1b]0;title\x07\x1b[2J\r\n\tsecond \u202eline';

async function acquaint(): Promise<void> {
  const keyOf = async (home: string) => (await run(['identity'], { home })).stdout.slice(0, 50);
  await run(['trust', await keyOf(client), '--name', 'desk'], there);
  await run(['trust', await keyOf(server), '--name', 'nas'], here);
}

async function coded(text: string) {
  const running = start(['send', '--text', text, '--json', '--host', '127.0.0.1'], there);
  let printed = '';
  running.child.stdout?.on('data', (piece: string) => {
    printed += piece;
  });
  await running.until(/"event":"code".*\n/);
  const [, code = '', port = ''] = /"code":"([^"]+)".*"port":(\d+)/.exec(printed) ?? [];
  return { running, words: ['receive', code, '--from', `127.0.0.1:${port}`] };
}

test('shown text has nothing that a terminal acts on, but for lines and tabs', () => {
  assert.equal(shownText(HOSTILE), 'wörter 🔋\\x1b]0;title\\x07\\x1b[2J\\r\n\tsecond \\u{202e}line');
  const long = '\u{e0001}'.repeat(10_000);
  assert.equal(shownText(long), '\\u{e0001}'.repeat(10_000));
});

test('by a code it is printed as it is, and nothing is kept', async () => {
  const { running, words } = await coded(HOSTILE);
  const got = await run([...words, '--yes'], here);
  assert.equal(got.status, 0, got.stderr);
  assert.equal(got.stdout, `${HOSTILE}\n`);
  assert.match(got.stderr, /offers a text \(\d+ B\)\nreceived 1 file from /);
  const sent = await running.ended;
  assert.equal(sent.status, 0, sent.stderr);
  assert.equal(eventsNamed(eventsOf(sent), 'receipt')[0]?.outcomes[0]?.path, 'text.txt');
  assert.deepEqual(readdirSync(work), []);
  assert.deepEqual(readdirSync(join(client, 'inbox')), []);
  const json = await coded('a "text"');
  const events = eventsOf(await run([...json.words, '--yes', '--json'], here));
  assert.equal(eventsNamed(events, 'offer')[0]?.text, true);
  assert.equal(eventsNamed(events, 'text')[0]?.text, 'a "text"');
  assert.doesNotMatch(JSON.stringify(eventsNamed(events, 'receipt')), /a \\"text\\"/);
  await json.running.ended;
});

test('where nobody can be asked it is not fetched', async () => {
  const { running, words } = await coded('secret');
  const unasked = await run(words, here);
  assert.equal(unasked.status, 2);
  assert.doesNotMatch(unasked.stdout + unasked.stderr, /secret/);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).status, 143);
});

test('to a peer it is shown by the rule, and asked about without one', async () => {
  await acquaint();
  const port = await freePort();
  folderIn(folder, 'in');
  const auto = start(
    ['receive', '--auto', 'in', '--count', '1', '--host', '127.0.0.1', '--port', String(port)],
    there,
  );
  await auto.until(/listening on/);
  const sent = await run(['send', '--text', 'two\nlines', '--to', `127.0.0.1:${port}`], here);
  assert.equal(sent.status, 0, sent.stderr);
  const taken = await auto.ended;
  assert.equal(taken.status, 0, taken.stderr);
  assert.match(taken.stdout, /^listening on .*\ntwo\nlines\n$/);
  assert.match(taken.stderr, /desk \(127\.0\.0\.1:\d+\) offers a text \(9 B\): accepted\n/);
  assert.deepEqual(readdirSync(join(folder, 'in')), []);
  {
    await using served = await serve(['--max', '3', '--offers', 'trusted'], there);
    const { status } = await run(['send', '--text', 'noted', '--to', served.peer], here);
    assert.equal(status, 0);
    await served.running.until(/"event":"text".*"text":"noted"/);
  }
  await using served = await serve(['--max', '3'], there);
  const refused = await run(['send', '--text', 'x', '--to', served.peer], here);
  assert.equal(refused.status, 3, refused.stderr);
});

test('from a server it is printed by receive_file', async () => {
  await acquaint();
  const port = await freePort();
  const sending = start(['send_file', String(port), '--text', HOSTILE, '--host', '127.0.0.1'], there);
  await sending.until(/listening on/);
  const got = await run(['receive_file', '.', '--from', `127.0.0.1:${port}`, '--yes'], here);
  assert.deepEqual([got.status, got.stdout], [0, `${HOSTILE}\n`], got.stderr);
  assert.equal((await sending.ended).status, 0);
  assert.deepEqual(readdirSync(work), []);
});

test('into a share it is what a file holds', async () => {
  await acquaint();
  const share = folderIn(folder, 'share');
  await using served = await serve(['--max', '3', '--share', `${share}:rw`], there);
  for (const words of [
    ['put', '--text', 'hello', `${served.peer}:/share/note.txt`],
    ['put', '--text', HOSTILE, '--to', served.peer],
  ]) {
    const ran = await run(words, here);
    assert.equal(ran.status, 0, ran.stderr);
  }
  assert.equal(readFileSync(join(share, 'note.txt'), 'utf8'), 'hello');
  assert.equal(readFileSync(join(share, 'text.txt'), 'utf8'), HOSTILE);
  const sealed = await run(
    ['put', '--text', 'for nas', `${served.peer}:/share/sealed`, '--seal-for', 'nas'],
    here,
  );
  assert.equal(sealed.status, 0, sealed.stderr);
  const name = readdirSync(share).find((one) => one.startsWith('sealed')) ?? '';
  const opened = await run(['open', join(share, name), '--output', '-'], there);
  assert.equal(opened.stdout, 'for nas', opened.stderr);
});

test('what is no text, or too much of one, is wrong usage', async () => {
  const wrongs: [string[], RegExp][] = [
    [['send', '--text', ''], /the text has 0 bytes; send it as a file; a text has from 1 to 65536 bytes/],
    [['send', '--text', 'x'.repeat(65_537)], /the text has 65537 bytes/],
    [['send', 'a.txt', '--text', 'x'], /both paths and a text are given/],
    [['send'], /nothing is named that could be sent; write a path, or --text TEXT/],
    [['send_file', '7353'], /nothing is named that could be sent/],
    [['put', 'a', 'b', 'nas:/x', '--text', 'x'], /both paths and a text are given/],
    [['put', '--to', 'nas'], /nothing is named that could be sent/],
  ];
  for (const [words, message] of wrongs) {
    const { status, stderr } = await run(words, here);
    assert.match(stderr, message);
    assert.equal(status, 2, stderr);
  }
});

describe('in a terminal', needs('tmux'), () => {
  test('it is shown harmless when it is accepted, and kept where that is wanted', async () => {
    await acquaint();
    const port = await freePort();
    using shell = new Terminal([], { ...there, columns: 120 });
    await shell.until(/localstream[^>\n]*>/);
    shell.type(`add_local_connection 127.0.0.1 ${port} 5`);
    shell.press('Enter');
    await shell.until(/listening on/);
    const to = ['--to', `127.0.0.1:${port}`];
    const first = start(['send', '--text', HOSTILE, ...to], here);
    await shell.until(
      /\[1\] desk .* offers a text \(\d+ B\)\n +its key .*\n +accept 1 shows it, accept 1 PATH keeps it as a file, reject 1 refuses it\n/,
    );
    assert.doesNotMatch(shell.lines.join('\n'), /second/, 'nothing is shown before it is wanted');
    shell.type('accept 1');
    shell.press('Enter');
    await shell.until(/wörter 🔋 ?\\x1b\]0;title\\x07\\x1b\[2J\\r\n +second \\u\{202e\}line\n/);
    assert.equal((await first.ended).status, 0);
    const second = start(['send', '--text', 'keep me', ...to], here);
    await shell.until(/\[2\] desk /);
    shell.type('accept 2 kept.txt');
    shell.press('Enter');
    assert.equal((await second.ended).status, 0);
    assert.equal(readFileSync(join(folder, 'kept.txt'), 'utf8'), 'keep me');
  });

  test('a server without one sends it to another terminal harmless, and to a pipe as it is', async () => {
    await acquaint();
    await using server = await daemon(['--max', '3'], there);
    const offered = () =>
      until(async () => (await server.status()).offers.length === 1, 'nothing was offered');
    const first = start(['send', '--text', HOSTILE, '--to', server.peer], here);
    await offered();
    using terminal = new Terminal(['accept', 's1'], { ...there, columns: 120 });
    await terminal.until(
      /wörter 🔋 ?\\x1b\]0;title\\x07\\x1b\[2J\\r\n +second \\u\{202e\}line\n[\s\S]*ended 0/,
    );
    assert.equal((await first.ended).status, 0);
    const second = start(['send', '--text', HOSTILE, '--to', server.peer], here);
    await offered();
    const piped = await run(['accept', 's2'], there);
    assert.deepEqual([piped.status, piped.stdout], [0, `${HOSTILE}\n`], piped.stderr);
    assert.equal((await second.ended).status, 0);
  });
});
