/** What the shell says when it opens, on screens of every width. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { run, scratch } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, client } = scratch();
const MOST_ROWS = 12;

describe('the greeting', needs('tmux'), () => {
  test('fits into twelve rows of any screen and names what to type first', async () => {
    const name = 'a rather long name of a machine in the attic';
    const env = { LOCALSTREAM_SHELL_LISTEN: 'hidden', LOCALSTREAM_NAME: name };
    const { stdout } = await run(['identity'], { home: client, env });
    const fingerprint = stdout.slice(0, 50);
    for (const columns of [20, 40, 60, 80, 300]) {
      using shell = new Terminal([], { home: client, cwd: folder, columns, env });
      // The last of it: the door is open.
      await shell.until(/:\d+>$/);
      const { lines } = shell;
      const text = lines.join('');
      const prompt = lines.findIndex((line) => /^localstream :\d+>$/.test(line));
      assert.ok(prompt > 0 && prompt <= MOST_ROWS, `${columns} columns:\n${lines.join('\n')}`);
      for (const words of [
        'possible_connections',
        'connect HOST',
        'send FILE',
        name.slice(0, 17),
        fingerprint,
      ])
        assert.ok(text.includes(words), `${columns} columns, ${words}:\n${lines.join('\n')}`);
      shell.press('C-d');
      await shell.until(/ended 0/);
    }
  });

  test('says that nobody can come where no port may be opened, and leaves at once with the shell', async () => {
    using shell = new Terminal([], { home: join(folder, 'fresh-home'), cwd: folder });
    await shell.until(/nobody can reach this machine \(shell\.listen is off\)/);
    // The keys are still being made.
    shell.press('C-d');
    await shell.until(/ended 0/);
  });

  test('is said to a person alone, and not before another command', async () => {
    const ran = await run([], { home: client, input: 'lpwd\n' });
    assert.deepEqual([ran.stdout, ran.stderr, ran.status], [`${process.cwd()}\n`, '', 0]);
    using shell = new Terminal(['help'], { home: client, cwd: folder });
    await shell.until(/ended 0/);
    assert.doesNotMatch(shell.lines.join('\n'), /this is/);
  });
});
