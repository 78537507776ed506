/** The manual page is what the tables of the program say, and one that the readers of such pages take. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { manPage } from '../../scripts/man-page.ts';
import { kebabCase } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { needs } from '../needs.ts';
import { ROOT, textOf } from './markdown.ts';

const PAGE = join(ROOT, 'man', 'localstream.1');

test('man/localstream.1 is up to date', () => {
  assert.equal(textOf('man/localstream.1'), manPage(), 'run node scripts/man-page.ts');
});

test('mandoc finds nothing wrong in it', needs('mandoc'), () => {
  const { stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', PAGE], {
    encoding: 'utf8',
  });
  // It is made again and again from the tables, and as old as they are.
  assert.deepEqual([stdout.replace(/^.*: missing date, .*\n/, ''), stderr], ['', '']);
});

test('groff warns of nothing, and shows every command and option', needs('groff'), () => {
  const words = ['-man', '-ww', '-k', '-Tutf8', '-rLL=500n', '-P-c', '-P-b', '-P-u', PAGE];
  const { stdout, stderr, status } = spawnSync('groff', words, { encoding: 'utf8' });
  assert.deepEqual([stderr, status], ['', 0]);
  for (const { name, summary, options, examples } of COMMANDS) {
    assert.match(stdout, new RegExp(`^ {7}${name}(?= |$)`, 'm'), name);
    assert.ok(stdout.toLowerCase().includes(summary.toLowerCase()), summary);
    for (const option of Object.keys(options)) assert.ok(stdout.includes(`--${kebabCase(option)}`), option);
    for (const { line } of examples) assert.ok(stdout.includes(line), line);
  }
});
