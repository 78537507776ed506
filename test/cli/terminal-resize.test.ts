/**
 * Resizes in a real terminal, while something is drawn at its bottom. A terminal breaks its rows anew before it says so: what
 * was drawn in between may stay as a row too many, but no row of others may go.
 */
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
writeFileSync(join(docs, 'a-file-of-some-length.bin'), Buffer.alloc(4_000_000, 'localstream'));
const SLOW = '--limit 4k --chunk 1k';
const WIDTHS = [60, 20, 41, 20, 300, 30, 100];

/** What stands above, and must go on standing there: rows of several lengths. */
const MARKS = [1, 2, 3, 4, 5].map((number) => `row ${number} ${'='.repeat(number * 9)} end ${number}`);

async function marked(shell: Terminal): Promise<void> {
  await shell.clear();
  // The rows as they are do not stand in the command.
  shell.type("!for i in 1 2 3 4 5; do echo row $i $(printf '=%.0s' $(seq $((i * 9)))) end $i; done");
  shell.press('Enter');
  await shell.until(/end 5\n[\s\S]*>$/);
}

/** All marks stand there one below the other, whole, though a narrow screen may have pushed them off its top. */
function assertMarks(shell: Terminal): void {
  const { scrollback } = shell;
  const rows = scrollback.map((line) => line.trimEnd()).filter((line) => line.startsWith('row '));
  assert.deepEqual(rows, MARKS, scrollback.join('\n'));
}

describe('a resize', needs('tmux'), () => {
  test('in the middle of a transfer eats no line above the bar, which goes on in the new width', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer, '--accept-new'], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    await marked(shell);
    shell.type(`get /docs/a-file-of-some-length.bin front ${SLOW}`);
    shell.press('Enter');
    await shell.until(/ left$/);
    for (const columns of WIDTHS) {
      shell.resize(columns);
      // A bar of another moment, drawn at the new width.
      const before = shell.lines.at(-1) ?? '';
      await shell.until(new RegExp(`(?:^|\\n)(?!${before.replaceAll(/\W/g, '\\$&')}$)[^\\n]*\\d+ %[^\\n]*$`));
      assertMarks(shell);
    }
    shell.press('C-c');
    await shell.until(/localstream: cancelled\n\S+>$/);
    assertMarks(shell);
  });

  test('with jobs and a line half typed eats nothing either', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    await marked(shell);
    for (const name of ['one', 'two']) {
      shell.type(`get /docs/a-file-of-some-length.bin ${name} ${SLOW} &`);
      shell.press('Enter');
      await shell.until(/\[\d jobs?\]>$/);
    }
    const typed = 'help exit # a line that is half typed';
    shell.type(typed);
    for (const columns of WIDTHS) {
      shell.resize(columns);
      const broken = [...typed].map((letter) => `${letter}${letter === ' ' ? '?' : ''}\\n?`).join('');
      await shell.until(new RegExp(`(?:^|\\n)1: [^\\n]*\\n2: [^\\n]*\\n[\\s\\S]*${broken}$`));
      assertMarks(shell);
    }
    shell.press('C-c');
    await shell.until(/\[2 jobs\]>$/);
    shell.type('cancel 1; cancel 2; exit');
    shell.press('Enter');
    await shell.until(/ended 0/);
  });
});
