/** The shell in a real terminal. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmdirSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { folderIn, freePort, run, scratch, serve, start } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'a.txt'), 'hello\n');

describe('in a terminal', needs('tmux'), () => {
  test('a question goes above the line being typed, which loses nothing', async () => {
    const port = await freePort();
    using shell = new Terminal([], { home: server, cwd: folder });
    await shell.until(/localstream>/);
    shell.type(`add_local_connection 127.0.0.1 ${port} 3 --share ${docs}`);
    shell.press('Enter');
    await shell.until(/listening on/);
    shell.type('help exit # half typed');
    shell.press('Left', 'Left', 'Left', 'Left', 'Left');
    const stranger = start(['list_dir', `127.0.0.1:${port}:`, '--accept-new'], { home: client });
    await stranger.until(/check number \d{3} \d{3}, the same as there/);
    await shell.until(/\[1\] an unknown client wants in: accept 1, trust 1 \(for good\) or reject 1/);
    await shell.until(/localstream :\d+> help exit # half typed$/);
    const [, digits] = /check number +(\d{3} \d{3})/.exec(shell.lines.join('\n')) ?? [];
    shell.type('XY');
    await shell.until(/localstream :\d+> help exit # half XYtyped$/);
    shell.press('Enter');
    await shell.until(/Close everything and leave\./);
    await shell.clear();
    shell.type('accept 1');
    shell.press('Enter');
    const ran = await stranger.ended;
    assert.equal(ran.status, 0, ran.stderr);
    assert.ok(
      ran.stderr.includes(`check number ${digits}, the same as there`),
      'both screens show the same number',
    );
    await shell.until(/left \d+\n(?:.*\n)*localstream :\d+>/);

    const other = start(['list_dir', `127.0.0.1:${port}:`], { home: client });
    await shell.until(/\[2\]/);
    shell.type('reject 2');
    shell.press('Enter');
    assert.equal((await other.ended).status, 3);
    shell.press('C-d');
    await shell.until(/ended 0/);
  });

  test('an unknown server is asked about, and Ctrl-C stops a command, not the shell', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    const home = join(folder, 'asked-home');
    using shell = new Terminal([], { home, cwd: work });
    await shell.until(/localstream>/);
    shell.type(`connect ${served.peer}`);
    shell.press('Enter');
    await shell.until(
      /unknown server\n(?:.*\n)* +fingerprint +SHA256:.*\n +in words .*\n.*\n +check number +\d{3} \d{3}.*\n.*Connect to it\?/,
    );
    shell.press('C-c');
    await shell.until(/localstream: cancelled\nlocalstream>$/);
    await shell.clear();
    shell.press('Up', 'Enter');
    await shell.until(/Connect to it\?/);
    shell.press('Enter');
    await shell.until(/localstream: the server was not accepted.*\nlocalstream>$/);
    await shell.clear();
    shell.press('Up', 'Enter');
    await shell.until(/Connect to it\?/);
    shell.press('Down', 'Down');
    await shell.until(/❯ yes, and remember/);
    shell.press('Enter');
    await shell.until(/connected to .*\n(?:.*\n)*\S+>$/);
    await shell.clear();
    shell.type('receive_file .');
    shell.press('Enter');
    await shell.until(/waiting for an offer of /);
    shell.press('C-c');
    await shell.until(/localstream: cancelled\n\S+>$/);
    shell.type('ls "/do');
    shell.press('Enter');
    await shell.until(/\n>$/);
    shell.press('C-c');
    await shell.until(/\n[^>\n]+>$/);
    await shell.clear();
    shell.type('ls /docs; frobnicate; ls');
    shell.press('Enter');
    await shell.until(/ a\.txt\nlocalstream: there is no command frobnicate.*\n\S+>$/);
    shell.type('half a line');
    shell.press('C-c', 'C-c');
    await shell.until(/Ctrl-C again, or Ctrl-D, leaves/);
    shell.press('C-c');
    await shell.until(/ended 0/);
    const history = join(home, 'history');
    assert.equal(statSync(history).mode & 0o777, 0o600);
    assert.match(readFileSync(history, 'utf8'), /^connect .*\n(?:.*\n)*receive_file \.\n/);
    assert.equal((await run(['list_dir', `${served.peer}:`], { home })).status, 0, 'the key is remembered');
  });

  test('nobody is asked about a target that a setting leaves alone', async () => {
    await using served = await serve(['--open', '--share', docs], { home: server });
    const here = folderIn(folder, 'decided');
    writeFileSync(join(docs, 'b.txt'), 'hello\n');
    writeFileSync(join(here, 'b.txt'), 'something else\n');
    using terminal = new Terminal(['get', `${served.peer}:/docs/b.txt`, '.', '--accept-new'], {
      home: join(folder, 'decided-home'),
      cwd: here,
      env: { LOCALSTREAM_EXISTING: 'skip' },
    });
    await terminal.until(/received 0 files .*, 1 skipped\n.*\(skipped: it is there\)\nended 0$/);
    assert.equal(readFileSync(join(here, 'b.txt'), 'utf8'), 'something else\n');
  });

  test('of a target that differs only what became of it is told', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    const home = join(folder, 'differing-home');
    const here = folderIn(folder, 'differing');
    for (const name of ['a.txt', 'other.txt']) {
      writeFileSync(join(docs, name), 'hello\n');
      writeFileSync(join(here, name), 'something else\n');
    }
    using shell = new Terminal(['connect', served.peer, '--accept-new'], { home, cwd: here });
    await shell.until(/connected to[\s\S]*>$/);
    await shell.clear();
    utimesSync(join(docs, 'a.txt'), 1_700_000_000, 1_700_000_000);
    utimesSync(join(here, 'a.txt'), 1_000_000_000, 1_000_000_000);
    shell.type('get /docs/a.txt a.txt');
    shell.press('Enter');
    await shell.until(
      /\n {2}there {2}15 B, 2001-09-\d\d .*\n {2}new {4}6 B, 2023-11-\d\d .*\n.* a\.txt is there and differs\./,
    );
    shell.press('Down', 'Enter');
    await shell.until(/received 1 file .*\n[0-9a-f]{64} {2}a\.txt\n[^\n]*>$/);
    assert.doesNotMatch(shell.lines.join('\n'), /failed|received 0/);
    assert.equal(readFileSync(join(here, 'a.txt'), 'utf8'), 'hello\n');
    writeFileSync(join(here, 'a.txt'), 'something else\n');
    await shell.clear();
    shell.type('get /docs/a.txt /docs/other.txt ./');
    shell.press('Enter');
    await shell.until(/differs\./);
    shell.press('Enter');
    await shell.until(/The same for 1 other file\?/);
    shell.press('Enter');
    await shell.until(/The same for 1 other file\?[\s\S]*differs\./);
    shell.press('Down', 'Enter');
    await shell.until(
      /received 0 files .*, 1 skipped\n.*\(skipped: it is there\)\n[\s\S]*received 1 file .*\n.*\n[^\n]*>$/,
    );
    assert.doesNotMatch(shell.lines.join('\n'), /failed/);
    // What fails for another reason keeps nothing from what was decided.
    unlinkSync(join(here, 'other.txt'));
    mkdirSync(join(here, 'other.txt'));
    writeFileSync(join(here, 'a.txt'), 'something else\n');
    await shell.clear();
    shell.type('get /docs/a.txt /docs/other.txt ./');
    shell.press('Enter');
    await shell.until(/a\.txt is there and differs\./);
    shell.press('Down', 'Enter');
    await shell.until(
      /1 failed[\s\S]*received 1 file [\s\S]*localstream: other\.txt: [^\n]*folder[^\n]*\n[^\n]*>$/,
    );
    assert.equal(readFileSync(join(here, 'a.txt'), 'utf8'), 'hello\n');
    // Who leaves the question unanswered is told what has arrived before it.
    rmdirSync(join(here, 'other.txt'));
    writeFileSync(join(here, 'a.txt'), 'something else\n');
    await shell.clear();
    shell.type('get /docs/a.txt /docs/other.txt ./');
    shell.press('Enter');
    await shell.until(/a\.txt is there and differs\./);
    shell.press('C-c');
    await shell.until(
      /received 1 file .*, 1 failed\n[\s\S]*[0-9a-f]{64} {2}other\.txt\n[\s\S]*: cancelled\n[^\n]*>$/,
    );
    assert.equal(readFileSync(join(here, 'a.txt'), 'utf8'), 'something else\n');
    shell.press('C-d');
    await shell.until(/ended (?:0|130)/);
    unlinkSync(join(docs, 'other.txt'));
  });

  test('an offer comes in above the line being typed, on twenty columns as well', async () => {
    const port = await freePort();
    using sender = new Terminal([], { home: server, cwd: docs });
    await sender.until(/localstream>/);
    sender.type(`add_local_connection 127.0.0.1 ${port} 3 --open`);
    sender.press('Enter');
    await sender.until(/listening on/);
    using receiver = new Terminal(['connect', `127.0.0.1:${port}`, '--accept-new'], {
      home: join(folder, 'narrow-home'),
      cwd: work,
      columns: 20,
    });
    await receiver.until(/>$/);
    await receiver.clear();
    receiver.type('receive_file from-the-other-side.pdf.txt');
    sender.type(`send_file ${port} a.txt`);
    sender.press('Enter');
    const typed = 'receive_file from-the-other-side.pdf.txt';
    const shown = new RegExp(
      `\\[1\\][\\s\\S]*${[...typed].map((letter) => `${letter.replace('.', '\\.')}\\n?`).join('')}$`,
    );
    await receiver.until(shown);
    // The bar of whoever waits for the answer survives a change of the size.
    await sender.until(/waiting for the other side$/);
    // Each other text than the one before: a terminal breaks its rows anew before the program hears of it.
    for (const [columns, bar] of [
      [300, /(?:^|\n)waiting for the other side$/],
      [20, /(?:^|\n)waiting for the \.\.\.$/],
      [45, /(?:^|\n)waiting for the other side$/],
    ] as const) {
      sender.resize(columns);
      await sender.until(bar);
    }
    receiver.press('Enter');
    await sender.until(/sent 1 file[\s\S]*a\.txt[\s\S]*localstream :\d+>$/);
    receiver.resize(100);
    await receiver.until(/received 1 file/);
    assert.equal(readFileSync(join(work, 'from-the-other-side.pdf.txt'), 'utf8'), 'hello\n');
    assert.doesNotMatch(sender.lines.join('\n'), /waiting for the other side$/m, 'the bar is gone');
    receiver.type('exit');
    receiver.press('Enter');
    await receiver.until(/ended 0/);
    await sender.until(/left \d+[\s\S]*localstream :\d+>$/);
  });
});
