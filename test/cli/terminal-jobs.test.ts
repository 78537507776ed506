/** Jobs in a real terminal. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import { folderIn, scratch, serve } from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'one.bin'), Buffer.alloc(4_000_000, 'localstream'));
writeFileSync(join(docs, 'two.bin'), Buffer.alloc(4_000_000, 'localstream'));
const SLOW = '--limit 2k --chunk 1k';

describe('jobs in a terminal', needs('tmux'), () => {
  test('bars stand above the line being typed; Ctrl-C stops the foreground alone; exit asks', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer, '--accept-new'], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    await shell.clear();
    shell.type(`get /docs/one.bin 1 ${SLOW} & get /docs/two.bin 2 ${SLOW} &`);
    shell.press('Enter');
    await shell.until(/\n1: one\.bin .*\n2: two\.bin .*\n.*\[2 jobs\]>$/);
    shell.type('help exit # half typed');
    await shell.until(/\n1: one\.bin .*\n2: two\.bin .*\n.*\[2 jobs\]> help exit # half typed$/);
    shell.press('Left', 'Left', 'Left', 'Left', 'Left');
    const before = shell.lines.find((line) => line.startsWith('1: '));
    for (const columns of [40, 300, 100]) {
      shell.resize(columns);
      await shell.until(/(?:^|\n)1: [^\n]*\n2: [^\n]*\n[^>]*\[2 jobs\]> help exit # half typed$/);
    }
    shell.type('XY');
    await shell.until(/# half XYtyped$/);
    await shell.until(new RegExp(`^(?![\\s\\S]*${before?.replaceAll(/\W/g, '\\$&')})[\\s\\S]*half XYtyped$`));
    assert.equal(shell.lines.filter((line) => /^[12]: /.test(line)).length, 2, shell.lines.join('\n'));
    shell.press('Enter');
    await shell.until(/Close everything and leave\.[\s\S]*\n1: .*\n2: .*\n.*>$/);
    assert.equal(shell.lines.filter((line) => /^[12]: /.test(line)).length, 2, shell.lines.join('\n'));
    shell.type('fg 2');
    shell.press('Enter');
    await shell.until(/two\.bin .* left$/);
    shell.press('C-c');
    await shell.until(/job 2 is cancelled[\s\S]*localstream: cancelled\n1: .*\n.*\[1 job\]>$/);
    shell.type('wait');
    shell.press('Enter');
    await shell.until(/one\.bin .* left$/);
    shell.press('C-c');
    await shell.until(/cancelled\n1: .*\n.*\[1 job\]>$/);
    shell.type('exit');
    shell.press('Enter');
    await shell.until(/1 job still running. Cancel and leave\?/);
    shell.press('Enter');
    await shell.until(/\n1: .*\n.*\[1 job\]>$/);
    shell.press('C-d');
    await shell.until(/Cancel and leave\? \(y\/N\)/);
    shell.press('y', 'Enter');
    await shell.until(/job 1 is cancelled[\s\S]*ended 0/);
  });
});
