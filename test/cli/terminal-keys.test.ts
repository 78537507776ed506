/** Keys in a real terminal: looking through the history, and Tab for everything that there is to complete. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { folderIn, freePort, run, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'slow.bin'), Buffer.alloc(4_000_000, 'localstream'));
for (const name of ['one file.txt', "it's", 'wide 日本.txt']) {
  writeFileSync(join(docs, `far ${name}`), 'x');
  writeFileSync(join(work, name), 'x');
}
mkdirSync(join(work, 'a folder'));

describe('in a terminal', needs('tmux'), () => {
  test('Ctrl-R looks through the history, on twenty columns as well', async () => {
    for (const columns of [100, 20]) {
      using shell = new Terminal([], { home: join(folder, `home-${columns}`), cwd: work, columns });
      /** The text at the end of the screen, however it is broken into rows. */
      const ends = async (text: string) => {
        // A space at the end of a row is not seen.
        const one = (letter: string) => `${letter.replaceAll(/\W/g, '\\$&')}${letter === ' ' ? '?' : ''}\\n?`;
        const broken = [...text].map(one).join('');
        await shell.until(new RegExp(`${broken}$`));
      };
      // Who this machine is comes when its keys are made, which is later on a slow machine.
      await shell.until(/SHA256:[\s\S]*localstream>$/);
      for (const line of ['config get port', 'lpwd', 'config get chunk']) {
        shell.type(line);
        shell.press('Enter');
        await shell.until(/\n(?:7353|\S*work|1048576)\nlocalstream>$|rk\nlocalstream>$/);
        await shell.clear();
      }
      shell.type('half typed');
      shell.press('C-r');
      await ends("search '': half typed");
      shell.type('config');
      await ends("search 'config': config get chunk");
      shell.press('C-r');
      await ends("search 'config': config get port");
      shell.press('C-r');
      await ends("not found 'config': config get port");
      shell.press('C-g');
      await ends('localstream> half typed');
      shell.press('C-r');
      shell.type('port');
      await ends("search 'port': config get port");
      shell.press('Left');
      await ends('localstream> config get port');
      shell.press('BSpace');
      await ends('localstream> config get pot');
      shell.press('C-c');
      await shell.until(/localstream>$/);
      shell.press('C-r');
      shell.type('lp');
      await ends("search 'lp': lpwd");
      shell.press('Enter');
      await shell.until(/localstream> lpwd\n[\s\S]*work\nlocalstream>$/);
      shell.press('C-d');
      await shell.until(/ended 0/);
    }
  });

  test('Tab completes each kind of word', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    const [, peer] = [
      await run(['trust', served.fingerprint, '--name', 'Big Box'], { home: client }),
      await freePort(),
    ];
    using shell = new Terminal([], { home: client, cwd: work, columns: 120 });
    await shell.until(/localstream>$/);
    shell.type(`add_local_connection 127.0.0.1 ${peer} 1`);
    shell.press('Enter');
    await shell.until(/listening on[\s\S]*>$/);
    shell.type(`connect ${served.peer}`);
    shell.press('Enter');
    await shell.until(/connected to[\s\S]*>$/);
    shell.type('get /docs/slow.bin slow.bin --limit 2k --chunk 1k &');
    shell.press('Enter');
    await shell.until(/\[1 job\]>$/);
    const table: [string, string][] = [
      ['possi', 'possible_connections'],
      ['send_file --li', 'send_file --limit'],
      ['put one', 'put one\\ file.txt'],
      ['put "one', 'put "one file.txt"'],
      ["put 'one", "put 'one file.txt'"],
      ['put it', "put it\\'s"],
      ['put wide', 'put wide\\ 日本.txt'],
      ['lcd a', 'lcd a\\ folder/'],
      ['get "/docs/far o', 'get "/docs/far one file.txt"'],
      ['get /docs/far\\ it', "get /docs/far\\ it\\'s"],
      ['del_connection ', `del_connection ${peer}`],
      ['connect b', 'connect big-box'],
      ['cancel ', 'cancel 1'],
      ['help wa', 'help wait'],
    ];
    for (const [typed, completed] of table) {
      shell.type(typed);
      const shown = typed.trimEnd().replaceAll(/\W/g, '\\$&');
      await shell.until(new RegExp(`> ${shown}$`));
      shell.press('Tab');
      await shell.until(new RegExp(`> ${completed.replaceAll(/[^\w日本]/g, '\\$&')}$`));
      shell.press('C-c');
      await shell.until(/\[1 job\]>$/);
    }
    shell.type('cancel 1; exit');
    shell.press('Enter');
    await shell.until(/ended 0/);
  });

  test('Ctrl-C stops the transfer in front alone, and twice at an empty prompt leaves', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    shell.type('get /docs/slow.bin behind --limit 2k --chunk 1k &');
    shell.press('Enter');
    await shell.until(/\[1 job\]>$/);
    shell.type('get /docs/slow.bin front --limit 2k --chunk 1k');
    shell.press('Enter');
    await shell.until(/slow\.bin .* left$/);
    shell.press('C-c');
    await shell.until(/localstream: cancelled\n1: .*\n.*\[1 job\]>$/);
    shell.press('C-c');
    await shell.until(/Ctrl-C again, or Ctrl-D, leaves/);
    shell.type('lpwd');
    shell.press('Enter');
    await shell.until(/work\n1: .*\n.*\[1 job\]>$/);
    // Something was done in between: it takes two again.
    shell.press('C-c', 'C-c');
    await shell.until(/1 job still running\. Cancel and leave\?/);
    shell.press('y', 'Enter');
    await shell.until(/ended 0/);
    assert.match(shell.lines.join('\n'), /job 1 is cancelled/);
  });
});
