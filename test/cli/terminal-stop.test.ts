/** Ctrl-Z in a real terminal: the program stops as any other does, and is as it was when it goes on. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { folderIn, LAUNCHER, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'slow.bin'), Buffer.alloc(4_000_000, 'localstream'));
const GET = 'get /docs/slow.bin . --limit 2k --chunk 1k';

/** Starts the program from a shell of the system, which has job control. */
async function startedInShell(words: readonly string[]): Promise<Terminal> {
  const terminal = new Terminal([], {
    home: client,
    cwd: work,
    columns: 300,
    program: ['sh', '-i'],
    env: { PS1: 'system$ ', ENV: '' },
  });
  await terminal.until(/system\$$/);
  terminal.type([process.execPath, LAUNCHER, ...words].join(' '));
  terminal.press('Enter');
  return terminal;
}

describe('Ctrl-Z', needs('tmux'), () => {
  test('at the prompt stops the shell, and fg brings the typed line back', async () => {
    using terminal = await startedInShell([]);
    await terminal.until(/SHA256:[\s\S]*localstream>$/);
    for (const typed of ['', ' lpwd']) {
      terminal.type(typed.trim());
      await terminal.until(new RegExp(`localstream>${typed}$`));
      terminal.press('C-z');
      await terminal.until(/Stopped.*\nsystem\$$/);
      terminal.type('fg; echo "status $?"');
      terminal.press('Enter');
      await terminal.until(new RegExp(`Stopped.*\\nsystem\\$ fg.*\\n(?:.*\\n)+localstream>${typed}$`));
    }
    terminal.press('Enter');
    await terminal.until(/\/work\nlocalstream>$/);
    terminal.press('C-d');
    await terminal.until(/status 0\nsystem\$$/);
  });

  test('in a question leaves it to be answered', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using terminal = await startedInShell(['list_dir', `${served.peer}:`]);
    await terminal.until(/Connect to it\?[\s\S]*select$/);
    terminal.press('C-z');
    await terminal.until(/Stopped.*\nsystem\$$/);
    terminal.type('fg; echo "status $?"');
    terminal.press('Enter');
    await terminal.until(/Stopped.*\nsystem\$ fg.*\n/);
    terminal.press('Down');
    await terminal.until(/❯ yes, this once/);
    terminal.press('Enter');
    await terminal.until(/share .* docs\/.*\nstatus 0\nsystem\$$/);
  });

  test('during a transfer leaves Ctrl-C as it was', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using terminal = await startedInShell(['connect', served.peer, '--accept-new']);
    await terminal.until(/connected to[\s\S]*[^$]>$/);
    terminal.type(GET);
    terminal.press('Enter');
    await terminal.until(/slow\.bin .* left$/);
    terminal.press('C-z');
    await terminal.until(/Stopped.*\nsystem\$$/);
    terminal.type('fg; echo "status $?"');
    terminal.press('Enter');
    await terminal.until(/Stopped.*\nsystem\$ fg.*\n[\s\S]*slow\.bin .* left$/);
    terminal.press('C-c');
    await terminal.until(/localstream: cancelled\n[^\n]*>$/);
    terminal.press('C-d');
    await terminal.until(/status 0\nsystem\$$/);
  });

  test('changes nothing where nobody could continue the program', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    // The first program of a terminal is in a group without a parent outside it, which the system does not stop.
    using shell = new Terminal(['connect', served.peer, '--accept-new'], { home: client, cwd: work });
    await shell.until(/connected to[\s\S]*>$/);
    shell.type('help');
    await shell.until(/> help$/);
    shell.press('C-z');
    shell.type(' exit');
    await shell.until(/> help exit$/);
    shell.press('Enter');
    await shell.until(/Close everything and leave\.[\s\S]*>$/);
    shell.type(GET);
    shell.press('Enter');
    await shell.until(/slow\.bin .* left$/);
    shell.press('C-z', 'C-c');
    await shell.until(/localstream: cancelled\n[^\n]*>$/);
    shell.press('C-d');
    await shell.until(/ended 0/);
  });
});
