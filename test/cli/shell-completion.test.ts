/** The completion scripts, in the shells that they are for. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { kebabCase, namesOf } from '../../src/cli/command.ts';
import { GLOBAL_WORDS, PROGRAM_WORDS } from '../../src/cli/completion/surface.ts';
import { helpOf } from '../../src/cli/program.ts';
import { commandsFor } from '../../src/cli/table.ts';
import { needs } from '../needs.ts';
import {
  environment,
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  LAUNCHER,
  run,
  scratch,
} from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, client } = scratch();
const work = folderIn(folder, 'work');
const programs = folderIn(folder, 'programs');
const path = { PATH: `${programs}:${process.env['PATH']}` };
const KEYS = [
  ['alice', 'SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM'],
  ['my nas', 'SHA256:K75q22QJ3RfuVeX9zdOgaia10QAM+Gr6tYj+RR4+C4w'],
] as const;

before(async () => {
  writeFileSync(join(programs, 'localstream'), `#!/bin/sh\nexec "${process.execPath}" "${LAUNCHER}" "$@"\n`);
  chmodSync(join(programs, 'localstream'), 0o755);
  writeFileSync(join(work, 'myth.txt'), 'x');
  folderIn(work, 'my folder');
  for (const [name, key] of KEYS) await run(['trust', key, '--name', name], { home: client });
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout, stderr, status } = await run(['completion', shell], { home: client });
    assert.deepEqual([status, stderr], [0, '']);
    writeFileSync(join(folder, `script.${shell}`), stdout);
  }
});

/** Runs a shell in the folder of the files, and gives what it prints, line by line. */
async function printed(program: string, ...words: readonly string[]): Promise<string[]> {
  const { stdout, stderr } = await promisify(execFile)(program, [...words], {
    cwd: work,
    env: environment(client, path),
  });
  assert.equal(stderr, '', words.join(' '));
  return stdout.split('\n').filter((line) => line !== '');
}

/** What bash would put in the place of the last word. `line` is taken apart as bash does it. */
async function inBash(line: string): Promise<string[]> {
  const words = line.match(/[:=]+|[^\s:=]+|(?<=\s)$/g) ?? [];
  const driver = `source "$1"; shift; COMP_LINE=$1; COMP_POINT=\${#1}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_WORDBREAKS=:=
    _localstream localstream "\${COMP_WORDS[COMP_CWORD]}" ""
    printf "%s\n" "\${COMPREPLY[@]}"`;
  return await printed('bash', '-c', driver, 'bash', join(folder, 'script.bash'), line, ...words);
}

async function inFish(line: string): Promise<string[]> {
  const script = 'source $argv[1]; complete -C $argv[2]';
  const lines = await printed('fish', '--no-config', '-c', script, join(folder, 'script.fish'), line);
  return lines.map((one) => one.split('\t')[0] ?? '');
}

/** What there is to complete, and what has to be offered: each of these, and nothing of the second list. */
const TABLE: readonly (readonly [line: string, wanted: readonly string[], unwanted?: readonly string[]])[] = [
  ['localstream ge', ['get'], ['list_dir']],
  ['localstream ', ['get', 'ls', 'serve'], ['exit', 'cd', 'list-dir']],
  ['localstream --json ge', ['get']],
  ['localstream --home /x ge', ['get']],
  ['localstream get --over', ['--overwrite']],
  ['localstream list-dir --acc', ['--accept-new']],
  ['localstream get a --js', ['--json']],
  ['localstream config ', ['get', 'set', 'list', 'path']],
  ['localstream config set lan', ['lanes']],
  ['localstream serve --auth ', ['none', 'trusted', 'password']],
  ['localstream help possible_', ['possible_connections']],
  ['localstream connect ', ['alice', 'my-nas']],
  ['localstream pwd ', [], ['alice']],
  ['localstream get a --from ', ['alice', 'my-nas']],
  ['localstream connect alice ', ['7353']],
  ['localstream nonsense ', [], ['alice', 'get']],
];

describe('bash', () => {
  test('the script is one', async () => {
    assert.deepEqual(await printed('bash', '-n', join(folder, 'script.bash')), []);
  });

  test('offers what the table says', async () => {
    for (const [line, wanted, unwanted = []] of TABLE) {
      const offered = await inBash(line);
      for (const word of wanted) assert.ok(offered.includes(word), `${line}: ${word} in ${offered}`);
      for (const word of unwanted) assert.ok(!offered.includes(word), `${line}: ${word} in ${offered}`);
    }
    assert.deepEqual(await inBash('localstream get al'), ['alice:']);
    assert.deepEqual(await inBash('localstream get alice:'), []);
    assert.deepEqual(await inBash('localstream get a --from=al'), ['alice']);
    assert.deepEqual((await inBash('localstream get alice:/a my')).toSorted(), [
      'my-nas:',
      'my\\ folder/',
      'myth.txt',
    ]);
  });

  test('does so under the Tab of a terminal', needs('tmux'), async () => {
    using bash = new Terminal(['--norc', '--noprofile', '-i'], {
      home: client,
      cwd: work,
      program: ['bash'],
      env: { ...path, PS1: '> ' },
    });
    await bash.until(/> $|>$/);
    bash.type(`source ${join(folder, 'script.bash')}; clear`);
    bash.press('Enter');
    await bash.until(/^>$/);
    bash.type('localstream possi');
    bash.press('Tab');
    await bash.until(/> localstream possible_connections$/);
    bash.press('C-u');
    bash.type('localstream put myt');
    bash.press('Tab');
    await bash.until(/> localstream put myth\.txt$/);
    bash.type('al');
    bash.press('Tab');
    await bash.until(/> localstream put myth\.txt alice:$/);
    bash.type('/in --to=m');
    bash.press('Tab');
    await bash.until(/> localstream put myth\.txt alice:\/in --to=my-nas$/);
  });
});

describe('zsh', needs('zsh', 'tmux'), () => {
  test('the script is one', async () => {
    assert.deepEqual(await printed('zsh', '-n', join(folder, 'script.zsh')), []);
  });

  test('offers what the table says under the Tab of a terminal', async () => {
    const functions = folderIn(folder, 'functions');
    writeFileSync(join(functions, '_localstream'), file('script.zsh'));
    const settings = folderIn(folder, 'zsh');
    writeFileSync(
      join(settings, '.zshrc'),
      `fpath=(${functions} $fpath); autoload -Uz compinit; compinit -u -D; PS1='> '; LISTMAX=1000\n`,
    );
    using zsh = new Terminal(['-d', '-i'], {
      home: client,
      cwd: work,
      columns: 160,
      rows: 80,
      program: ['zsh'],
      env: { ...path, ZDOTDIR: settings },
    });
    await zsh.until(/^>$/);
    const shows = async (line: string, pattern: RegExp) => {
      zsh.press('C-u');
      zsh.press('C-l');
      await zsh.until(/^>$/);
      zsh.type(line);
      zsh.press('Tab');
      await zsh.until(pattern);
    };
    await shows('localstream possi', /^> localstream possible_connections$/);
    await shows('localstream get --overw', /^> localstream get --overwrite$/);
    await shows('localstream list-dir --accept', /^> localstream list-dir --accept-new$/);
    await shows('localstream get al', /^> localstream get alice:$/);
    await shows('localstream put myt', /^> localstream put myth\.txt$/);
    await shows('localstream put myth.txt al', /^> localstream put myth\.txt alice:$/);
    await shows('localstream get a --from al', /^> localstream get a --from alice$/);
    await shows('localstream get a --from=m', /^> localstream get a --from=my-nas$/);
    await shows('localstream config set retr', /^> localstream config set retryFor$/);
    await shows('localstream serve --auth tr', /^> localstream serve --auth trusted$/);
    await shows('localstream --json ide', /^> localstream --json identity$/);
    await shows('localstream connect alice ', /^> localstream connect alice 7353$/);
    await shows('localstream get --ver', /--verify +-- read everything again/);
  });
});

describe('fish', needs('fish'), () => {
  test('the script is one', async () => {
    assert.deepEqual(await printed('fish', '--no-config', '-n', join(folder, 'script.fish')), []);
  });

  test('offers what the table says', async () => {
    for (const [line, wanted, unwanted = []] of TABLE) {
      const offered = await inFish(line);
      for (const word of wanted) assert.ok(offered.includes(word), `${line}: ${word} in ${offered}`);
      for (const word of unwanted) assert.ok(!offered.includes(word), `${line}: ${word} in ${offered}`);
    }
    assert.deepEqual(await inFish('localstream get al'), ['alice:']);
    assert.deepEqual(await inFish('localstream get a --from=al'), ['--from=alice']);
    assert.deepEqual(await inFish('localstream put myt'), ['myth.txt']);
    assert.deepEqual((await inFish('localstream get alice:/a my')).toSorted(), [
      'my folder/',
      'my-nas:',
      'myth.txt',
    ]);
  });
});

test('the scripts know every command, option and way of writing them', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = file(`script.${shell}`);
    for (const command of commandsFor('once')) {
      for (const name of namesOf(command)) assert.ok(script.includes(name), `${shell}: ${name}`);
      for (const name of Object.keys(command.options))
        assert.ok(script.includes(kebabCase(name)), `${shell}: ${command.name} --${kebabCase(name)}`);
    }
  }
  const help = helpOf(undefined, 'once').text;
  const listed = [...help.matchAll(/^ {2}(?:-\w, )?(-c|--\w+)/gm)].map(([, word]) => word);
  assert.deepEqual([...PROGRAM_WORDS, ...GLOBAL_WORDS].map(({ word }) => word).toSorted(), listed.toSorted());
});

test('what the scripts ask for makes nothing, moves nothing and says nothing wrong', async () => {
  const fresh = join(folder, 'fresh-home');
  assert.deepEqual(await run(['completion', 'peer'], { home: fresh }), { stdout: '', stderr: '', status: 0 });
  assert.deepEqual(await run(['completion', 'port'], { home: fresh }), {
    stdout: '7353\n',
    stderr: '',
    status: 0,
  });
  assert.equal(existsSync(fresh), false);
  const broken = folderIn(folder, 'broken-home');
  for (const name of ['trust.json', 'config.json']) writeFileSync(join(broken, name), '{', { mode: 0o600 });
  for (const what of ['peer', 'port']) {
    const { stdout, status } = await run(['completion', what], { home: broken });
    assert.deepEqual([stdout, status], ['', 1]);
  }
  assert.deepEqual(readdirSync(broken).toSorted(), ['config.json', 'trust.json']);
});

test('ports are those that the server of the home has open', async () => {
  const port = await freePort();
  const home = join(folder, 'serving-home');
  const words = ['serve', '--daemon', '--host', '127.0.0.1', '--port', String(port)];
  const served = await run(words, { home });
  assert.equal(served.status, 0, served.stderr);
  try {
    assert.equal((await run(['completion', 'port'], { home })).stdout, `${port}\n7353\n`);
  } finally {
    assert.equal((await run(['shutdown'], { home })).status, 0);
  }
});

test('another shell is refused, and --json has the lines', async () => {
  const { stderr, status } = await run(['completion', 'tcsh'], { home: client });
  assert.equal(status, 2);
  assert.equal(stderr, 'localstream: "tcsh" is not a shell; write bash, zsh, fish, peer, port\n');
  const [event] = eventsNamed(
    eventsOf(await run(['completion', 'peer', '--json'], { home: client })),
    'completion',
  );
  assert.deepEqual(event, { event: 'completion', for: 'peer', lines: ['alice', 'my-nas'] });
});

function file(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}
