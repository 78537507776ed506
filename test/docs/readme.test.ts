/** The README does what it says: its terminals are run, its commands are run, and its table is whole. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { environment, freePort, LAUNCHER, scratch } from '../cli/cli-process.ts';
import { Terminal } from '../cli/tmux.ts';
import { needs } from '../needs.ts';
import { type Block, blocksOf, textOf } from './markdown.ts';

const readme = textOf('README.md');
const blocks = blocksOf(readme);
const { folder } = scratch();

/** One of the two machines of the README. */
interface Machine {
  readonly home: string;
  readonly cwd: string;
  terminal: Terminal | undefined;
}

function machine(name: string, port: number): Machine {
  const cwd = join(folder, name);
  const home = join(cwd, '.home');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'config.json'), JSON.stringify({ name, port }));
  return { home, cwd, terminal: undefined };
}

/** What differs from run to run, so that a line of the README and one of the screen can be compared. */
function comparable(line: string, port: number): string {
  return line
    .replaceAll(String(port), '7353')
    .replace(/ :\d+>/g, ' :7353>')
    .replace(/SHA256:[\w+/]{43}/g, 'SHA256:KEY')
    .replace(/\b(192\.168\.1\.\d+|127\.0\.0\.1)\b/g, 'ADDRESS')
    .replace(/^( {2}in words {7}| {17})[a-z]+( [a-z]+){5}$/, '$1WORDS')
    .replace(/\b\d{3} \d{3}\b/g, 'NUMBER')
    .replace(/\d\d\d\d-\d\d-\d\d \d\d:\d\d/g, 'TIME')
    .replace(/[\d.]+ s \([\d.]+ \w?B\/s\)/g, 'SPEED')
    .trimEnd();
}

/** Types what the block types and waits for each line that it shows. */
async function play(block: Block, one: Machine, port: number): Promise<void> {
  for (const line of block.lines) {
    if (line === '$ localstream') {
      // As it is by default; of two shells on one machine the second takes the next port.
      const env = { LOCALSTREAM_SHELL_LISTEN: undefined };
      one.terminal = new Terminal([], { home: one.home, cwd: one.cwd, columns: 200, rows: 60, env });
      await one.terminal.until(/localstream :\d+>$/);
      continue;
    }
    const { terminal } = one;
    assert.ok(terminal, 'a terminal is used before it is opened');
    const typed = /^(localstream|nas) :7353> (.*)$/.exec(line);
    if (typed) {
      await terminal.until(new RegExp(`${typed[1]} :\\d+>$`));
      terminal.type((typed[2] ?? '').replace('7353', String(port)).replace(/192\.168\.1\.\d+/, '127.0.0.1'));
      terminal.press('Enter');
      continue;
    }
    if (line.startsWith('✔ Connect to it?')) {
      await terminal.until(/Connect to it\?/);
      terminal.press('Down', 'Down');
      await terminal.until(/❯ yes, and remember/);
      terminal.press('Enter');
    }
    const wanted = comparable(line, port);
    await until(
      () => terminal.lines.some((shown) => comparable(shown, port) === wanted),
      () => {
        return `${line}\nnever came:\n${terminal.lines.join('\n')}`;
      },
    );
  }
}

async function until(holds: () => boolean, otherwise: () => string): Promise<void> {
  const end = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < end, otherwise());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
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
    const port = await freePort();
    const nas = machine('nas', port);
    const desk = machine('desk', port);
    mkdirSync(join(nas.cwd, 'photos', '2024', 'empty'), { recursive: true });
    mkdirSync(join(nas.cwd, 'incoming'));
    writeFileSync(join(nas.cwd, 'photos', 'beach.jpg'), 'sun\n');
    writeFileSync(join(nas.cwd, 'photos', '2024', 'may.jpg'), 'may\n');
    writeFileSync(join(desk.cwd, 'report.pdf'), 'hi\n');
    using terminals = new DisposableStack();
    terminals.defer(() => {
      for (const one of [nas, desk]) one.terminal?.[Symbol.dispose]();
    });
    const played = blocks.filter(({ language }) => language === 'console');
    for (const block of played) {
      assert.ok(block.note === 'nas' || block.note === 'desk', 'a terminal says whose it is');
      await play(block, block.note === 'nas' ? nas : desk, port);
    }
    await desk.terminal?.until(/sent 1 file to nas(?:.*\n)*nas :\d+>$/);
    assert.equal(readFileSync(join(desk.cwd, 'beach.jpg'), 'utf8'), 'sun\n');
    assert.equal(readFileSync(join(nas.cwd, 'incoming', 'report.pdf'), 'utf8'), 'hi\n');
    const numbers = [nas, desk].map((one) =>
      /check number +(\d{3} \d{3})/.exec(one.terminal?.lines.join('\n') ?? '')?.at(1),
    );
    assert.ok(numbers[0] !== undefined && numbers[0] === numbers[1], 'both screens show one number');

    desk.terminal?.type('exit');
    desk.terminal?.press('Enter');
    await desk.terminal?.until(/ended 0/);
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
