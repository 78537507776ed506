/** A bare `receive` asks for the code: what it suggests, and how it is answered in a terminal. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { codeChoices } from '../../src/cli/code-question.ts';
import { needs } from '../needs.ts';
import { folderIn, type RunOptions, scratch, start } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const work = folderIn(folder, 'work');
writeFileSync(join(folder, 'a.txt'), 'hello\n');
const there: RunOptions = { home: server, cwd: folder };

test('suggestions go word by word, and a code in any form is offered as it is shown', () => {
  const names = (typed: string) => codeChoices(typed).map(({ name }) => name);
  assert.deepEqual(names(''), []);
  assert.deepEqual(names('7'), ['7-']);
  assert.deepEqual(codeChoices('7-'), codeChoices('7-aardvark-'));
  assert.notEqual(codeChoices('7-')[0]?.disabled, undefined);
  assert.deepEqual(names('7-aar'), ['7-aardvark-']);
  assert.ok(names('7-a').length > 10);
  assert.deepEqual(names('7-aardvark-yoy'), ['7-aardvark-yoyo']);
  for (const text of [
    '7 Aardvark Yoyo',
    '7-aar-yoy',
    ' localstream receive 7-aardvark-yoyo ',
    'pair 7-aardvark-yoyo',
  ])
    assert.deepEqual(names(text), ['7-aardvark-yoyo'], text);
  assert.throws(
    () => names('7-aardvark-yoyi'),
    /second word of the code is none that codes have; it may be 'yoyo'/,
  );
  assert.throws(() => names('hello'), /not a pairing code/);
});

describe('in a terminal', needs('tmux'), () => {
  /** Sends a file and resolves with the code and its port. */
  async function sending() {
    const running = start(['send', 'a.txt', '--json', '--host', '127.0.0.1'], there);
    let text = '';
    running.child.stdout?.on('data', (piece: string) => {
      text += piece;
    });
    await running.until(/"event":"code".*\n/);
    const [, code = '', port = ''] = /"code":"([^"]+)".*"port":(\d+)/.exec(text) ?? [];
    return { running, code, from: `127.0.0.1:${port}` };
  }

  test('a bare receive asks, and Tab completes both words', async () => {
    const { running, code, from } = await sending();
    const [number = '', first = '', second = ''] = code.split('-');
    using terminal = new Terminal(['receive', '--from', from], { home: client, cwd: work });
    await terminal.until(/The code, as the other machine shows it:/);
    terminal.type(`${number}-${first.slice(0, 3)}`);
    await terminal.until(new RegExp(`❯ ${number}-${first}-`));
    terminal.press('Tab');
    await terminal.until(/a word follows, Tab completes it/);
    terminal.type(second.slice(0, 3));
    await terminal.until(new RegExp(`❯ ${code}`));
    terminal.press('Tab');
    await terminal.until(new RegExp(`shows it: ${code}`));
    terminal.press('Enter');
    await terminal.until(/offers a\.txt \(6 B\)\. Take it\?/);
    terminal.press('Enter');
    await terminal.until(/received 1 file from .*[\s\S]*ended 0/);
    assert.equal(readFileSync(join(work, 'a.txt'), 'utf8'), 'hello\n');
    assert.equal((await running.ended).status, 0);
  });

  test('in the shell too, where the shown line can be pasted, and Enter takes no half word', async () => {
    const { running, code, from } = await sending();
    using shell = new Terminal([], { home: client, cwd: folderIn(folder, 'shell') });
    await shell.until(/localstream[^>\n]*>/);
    shell.type(`receive --from ${from}`);
    shell.press('Enter');
    await shell.until(/The code, as the other machine shows it:/);
    const [number, first, second = ''] = code.split('-');
    shell.type(`${number}-${first}-${second.slice(0, 2)}`);
    await shell.until(/❯ \S+/);
    shell.press('Enter');
    // Two letters may be of several words: completed, and not taken.
    await shell.until(/shows it: (\d+-[a-z]+-[a-z]{3,})\n❯ \1\n/);
    shell.press('C-c');
    await shell.until(/localstream: cancelled\nlocalstream[^>\n]*>$/);
    shell.type(`localstream receive ${code} --from ${from} --yes`);
    shell.press('Enter');
    await shell.until(/received 1 file from/);
    assert.equal((await running.ended).status, 0);
  });
});
