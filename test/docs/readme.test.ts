/** The README does what it says: its terminals are run, its commands are run, and its table is whole. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { playSession } from '../../scripts/transcript.ts';
import { environment, LAUNCHER, scratch } from '../cli/cli-process.ts';
import { needs } from '../needs.ts';
import { blocksOf, textOf } from './markdown.ts';

const readme = textOf('README.md');
const blocks = blocksOf(readme);
const { folder } = scratch();

/** What each machine shows. Some lines come when the other side has done something, before or after others. */
function shownBy(
  all: readonly { readonly on: string; readonly lines: readonly string[] }[],
  name: string,
): string[] {
  return all
    .filter(({ on }) => on === name)
    .flatMap(({ lines }) => lines)
    .toSorted();
}

describe('the README', () => {
  test('names the two commands', () => {
    const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ lines }) => lines);
    assert.ok(commands.includes('npm ci && npm run demo'));
    assert.ok(commands.includes('npm ci && npm test'));
    for (const name of ['demo', 'test'])
      assert.match(textOf('package.json'), new RegExp(`^ +"${name}": `, 'm'));
  });

  test('compares in every cell', () => {
    const rows = readme.split('\n').filter((line) => line.startsWith('|'));
    const widths = new Set(rows.map((row) => row.split('|').length));
    assert.equal(widths.size, 1);
    for (const row of rows)
      assert.ok(
        row
          .split('|')
          .slice(2, -1)
          .every((cell) => cell.trim() !== ''),
        row,
      );
  });

  test('moves the first file as it shows it', needs('tmux'), async () => {
    using played = await playSession();
    const written = blocks
      .filter(({ language }) => language === 'console')
      .map(({ note, lines }) => ({ on: note, lines }));
    for (const name of ['nas', 'desk']) {
      assert.deepEqual(
        shownBy(written, name),
        shownBy(played.blocks, name),
        'run node scripts/transcript.ts',
      );
    }
    const { nas, desk } = played.machines;
    assert.equal(readFileSync(join(desk.cwd, 'beach.jpg'), 'utf8'), 'sun\n');
    assert.equal(readFileSync(join(nas.cwd, 'incoming', 'report.pdf'), 'utf8'), 'hi\n');
    assert.equal(played.checkNumbers.length, 2);
    assert.equal(new Set(played.checkNumbers).size, 1, 'both screens show one number');
    await played.leave('desk');
    const script = blocks.filter(
      ({ language, lines }) => language === 'sh' && lines.every((line) => line.startsWith('localstream ')),
    );
    assert.ok(script.length > 0, 'there are commands to run');
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    writeFileSync(
      join(programs, 'localstream'),
      `#!/bin/sh\nexec "${process.execPath}" "${LAUNCHER}" "$@"\n`,
    );
    chmodSync(join(programs, 'localstream'), 0o755);
    const env = environment(desk.home);
    for (const { lines } of script) {
      const shell = spawn('bash', ['-euo', 'pipefail', '-c', lines.join('\n')], {
        cwd: desk.cwd,
        env: { ...env, PATH: `${programs}:${env['PATH']}` },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      const [status] = await once(shell, 'exit');
      assert.equal(status, 0, lines.join('\n'));
    }
    assert.equal(readFileSync(join(desk.cwd, 'copy.jpg'), 'utf8'), 'sun\n');
    assert.equal(readFileSync(join(desk.cwd, 'album', 'may.jpg'), 'utf8'), 'may\n');
    assert.ok(existsSync(join(desk.cwd, 'album', 'empty')));
    assert.equal(readFileSync(join(nas.cwd, 'incoming', 'monday.pdf'), 'utf8'), 'hi\n');
  });
});
