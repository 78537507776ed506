/** Colour, width, bars and questions are what the terminal, the variables and the settings say. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Output } from '../../src/cli/output.ts';
import { createProgress } from '../../src/cli/progress.ts';
import { Screen } from '../../src/cli/screen.ts';
import { needs } from '../needs.ts';
import { folderIn, LAUNCHER, run, scratch, serve } from './cli-process.ts';
import { progressOf } from './progress-of.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const here = { home: client, cwd: folderIn(folder, 'work') };
const PAINTED = /^\x1b\[31mlocalstream:\x1b\[39m /;
const PLAIN = /^localstream: /;

function homeWith(color: string): string {
  const home = folderIn(folder, `home-${color}`);
  writeFileSync(join(home, 'config.json'), JSON.stringify({ color }), { mode: 0o600 });
  return home;
}

test('where there is no terminal colour comes only when it is asked for', async () => {
  const cases: readonly (readonly [env: NodeJS.ProcessEnv, shown: RegExp])[] = [
    [{}, PLAIN],
    [{ TERM: 'xterm-256color', COLORTERM: 'truecolor' }, PLAIN],
    [{ FORCE_COLOR: '1' }, PAINTED],
    [{ FORCE_COLOR: '0' }, PLAIN],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, PLAIN],
    [{ LOCALSTREAM_COLOR: 'always' }, PAINTED],
    [{ LOCALSTREAM_COLOR: 'never', FORCE_COLOR: '1' }, PLAIN],
  ];
  for (const [env, shown] of cases) {
    const { stderr } = await run(['list_dir'], { ...here, env });
    assert.match(stderr, shown, JSON.stringify(env));
  }
});

test('the settings file decides on colour as the variable does', async () => {
  assert.match((await run(['list_dir'], { ...here, home: homeWith('always') })).stderr, PAINTED);
  const env = { FORCE_COLOR: '1' };
  assert.match((await run(['list_dir'], { ...here, home: homeWith('never'), env })).stderr, PLAIN);
  // A wrong value stops nothing here; who needs the settings says what is wrong.
  assert.match((await run(['list_dir'], { ...here, home: homeWith('purple') })).stderr, PLAIN);
});

test('COLUMNS says how wide the help is where no terminal does', async () => {
  const wide = (await run(['get', '--help'], { ...here, env: { COLUMNS: '200' } })).stdout;
  const narrow = (await run(['get', '--help'], { ...here, env: { COLUMNS: '60' } })).stdout;
  const nonsense = (await run(['get', '--help'], { ...here, env: { COLUMNS: 'wide' } })).stdout;
  const usual = (await run(['get', '--help'], here)).stdout;
  assert.equal(nonsense, usual);
  const longest = (text: string) => Math.max(...text.split('\n').map(({ length }) => length));
  assert.ok(longest(wide) > 100, String(longest(wide)));
  assert.ok(narrow.split('\n').length > usual.split('\n').length);
  assert.ok(usual.split('\n').length > wide.split('\n').length);
});

test('a transfer that no terminal shows prints no bar, no control character and no question', async () => {
  const docs = folderIn(folder, 'docs');
  writeFileSync(join(docs, 'big.bin'), Buffer.alloc(40_000_000, 'localstream'));
  await using served = await serve(['--open', '--max', '5', '--share', docs], { home: server });
  const get = ['get', `${served.peer}:/docs/big.bin`, '--accept-new', '--limit', '80MB/s'];
  const ran = await run(get, { ...here, env: { TERM: 'xterm-256color' } });
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stderr, /^pinned SHA256:\S+ of .*, unverified\n$/);
  assert.doesNotMatch(ran.stdout + ran.stderr, /[\r\x1b]/);
  // What differs would be asked about in a terminal.
  writeFileSync(join(here.cwd, 'big.bin'), 'mine');
  assert.equal((await run(get, here)).status, 5);
});

test('a terminal has bars, unless CI or TERM say that nobody looks', async () => {
  const shown = async (env: NodeJS.ProcessEnv): Promise<string> => {
    const stream = () => Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const stderr = stream();
    const screen = new Screen(stream(), stderr);
    const progress = createProgress(new Output(screen), env);
    let text = '';
    for (let step = 0; text === '' && step < 40; step += 1) {
      progress.report(progressOf({ bytes: step * 1000, bytesTotal: 1_000_000 }));
      await pause(25);
      text += String(stderr.read() ?? '');
    }
    progress[Symbol.dispose]();
    return text;
  };
  assert.notEqual(await shown({}), '');
  assert.equal(await shown({ CI: 'true' }), '');
  assert.equal(await shown({ TERM: 'dumb' }), '');
});

describe('in a terminal', needs('tmux'), () => {
  test('there is colour, unless NO_COLOR, the terminal or the settings say no', async () => {
    const cases: readonly (readonly [home: string, env: NodeJS.ProcessEnv, isPainted: boolean])[] = [
      [client, {}, true],
      [client, { NO_COLOR: '1' }, false],
      [client, { NO_COLOR: '' }, true],
      [client, { TERM: 'dumb' }, false],
      [homeWith('never'), {}, false],
    ];
    for (const [home, env, isPainted] of cases) {
      // Variables of the terminal's own process; tmux would set TERM again.
      const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const program = ['env', ...variables, process.execPath, LAUNCHER];
      using terminal = new Terminal(['list_dir'], { home, cwd: folder, program });
      await terminal.until(/no peer is named(?:.*\n)*.*ended 2/);
      assert.equal(/\x1b\[3[0-9]m ?localstream:/.test(terminal.painted), isPainted, JSON.stringify(env));
    }
  });
});
