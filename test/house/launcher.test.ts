import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, describe, test } from 'node:test';
import * as v from 'valibot';

const root = join(import.meta.dirname, '../..');
const MANIFEST = v.object({ scripts: v.object({ prepare: v.string() }) });
const scratch = mkdtempSync(join(tmpdir(), 'localstream-launcher-'));
after(() => rmSync(scratch, { recursive: true }));

/** A package with the real launcher and, in place of the command line, a program that shows what reaches it. */
function packageWith(name: string, files: Record<string, string>): string {
  const folder = join(scratch, name);
  cpSync(join(root, 'bin'), join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "version": "7.8.9" }');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const SHOW = `
export async function main(argv: readonly string[]): Promise<number> {
  switch (argv[0]) {
    case 'warn':
      process.emitWarning('of no interest', 'ExperimentalWarning');
      process.emitWarning('mind this');
      return 0;
    case 'stdin': {
      let text = '';
      for await (const piece of process.stdin) text += piece;
      process.stdout.write(text.toUpperCase());
      return 5;
    }
    case 'wait':
      process.once('SIGTERM', () => process.exit(7));
      setInterval(() => {}, 1000);
      process.stdout.write('ready');
      return new Promise(() => {});
    case 'die':
      setInterval(() => {}, 1000);
      process.stdout.write('ready');
      return new Promise(() => {});
    default:
      process.stdout.write(JSON.stringify([process.versions.node.split('.')[0], ...argv]));
      return 3;
  }
}
`;

const checkout = packageWith('checkout', { 'src/cli/main.ts': SHOW });
const environment = { ...process.env, XDG_CACHE_HOME: join(scratch, 'cache') };
mkdirSync(environment.XDG_CACHE_HOME);

function launch(node: readonly string[], folder: string, argv: readonly string[], input = '') {
  const [command = '', ...flags] = node;
  const options = { env: environment, input, encoding: 'utf8' } as const;
  return spawnSync(command, [...flags, join(folder, 'bin/localstream.js'), ...argv], options);
}

/** The machine's own Node where it is too old, else this one made to say that it is. */
function olderNode(): string[] {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, 'node');
    const { stdout } = spawnSync(candidate, ['--version'], { encoding: 'utf8' });
    if (typeof stdout === 'string' && Number(/^v(\d+)/.exec(stdout)?.[1] ?? 99) < 24) return [candidate];
  }
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })`;
  return [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
}

describe('the launcher on a Node that is new enough', () => {
  const node = [process.execPath];
  const major = process.versions.node.split('.')[0];

  test('hands over the arguments and ends with the status of the command line', () => {
    const { stdout, stderr, status } = launch(node, checkout, ['get', 'a b', '--json']);
    assert.deepEqual([stdout, stderr, status], [JSON.stringify([major, 'get', 'a b', '--json']), '', 3]);
  });

  test('answers --version without loading the command line', () => {
    const broken = packageWith('broken', { 'src/cli/main.ts': 'throw new Error("loaded")' });
    const { stdout, stderr, status } = launch(node, broken, ['--version']);
    assert.deepEqual([stdout, stderr, status], ['7.8.9\n', '', 0]);
    assert.match(launch(node, broken, ['--version', '--json']).stderr, /loaded/);
  });

  test('shows warnings, except that something in Node is experimental', () => {
    const { stderr, status } = launch(node, checkout, ['warn']);
    assert.equal(status, 0);
    assert.match(stderr, /mind this/);
    assert.doesNotMatch(stderr, /of no interest/);
  });

  const filesIn = (folder: string) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
      statSync(join(folder, path)).isFile(),
    );
  const BUNDLE = {
    'dist/program/main.js': 'exports.main = async (argv) => argv.length + 40;',
    'dist/program/package.json': '{ "type": "commonjs" }',
  };

  test('runs the program in one file where there are no sources', () => {
    const published = packageWith('node_modules/localstream', BUNDLE);
    assert.equal(launch(node, published, ['a', 'b']).status, 42);
  });

  test('runs it in a checkout until something is changed, added or removed', () => {
    const built = packageWith('built', {
      'src/cli/main.ts': SHOW,
      'src/cli/other.ts': '',
      'config/default.json': '{}',
      'node_modules/.package-lock.json': '{}',
      ...BUNDLE,
    });
    const bundle = join(built, 'dist/program/main.js');
    const changes = {
      'a changed source': () => writeFileSync(join(built, 'src/cli/other.ts'), '// Changed.'),
      'a removed source': () => rmSync(join(built, 'src/cli/other.ts')),
      'a new source': () => writeFileSync(join(built, 'src/cli/new.ts'), ''),
      'a changed setting': () => writeFileSync(join(built, 'config/default.json'), '{ }'),
      'an installed package': () => writeFileSync(join(built, 'node_modules/.package-lock.json'), '{ }'),
      'a changed version': () => writeFileSync(join(built, 'package.json'), '{ "type": "module" }'),
    };
    for (const [change, make] of Object.entries(changes)) {
      // Built after all that was changed so far, and before what is changed next.
      for (const path of ['src/cli', 'src', 'config', ...filesIn(built)])
        utimesSync(join(built, path), 1000, 1000);
      utimesSync(bundle, 2000, 2000);
      assert.equal(launch(node, built, []).status, 40, `before ${change}`);
      make();
      assert.equal(launch(node, built, []).status, 3, change);
    }
  });

  test('runs it where an editor keeps a lock that is a link to nowhere', () => {
    const locked = packageWith('locked', {
      'src/cli/main.ts': SHOW,
      'config/default.json': '{}',
      ...BUNDLE,
    });
    symlinkSync('someone@host.1', join(locked, 'src/.#new.ts'));
    for (const path of ['src/cli/main.ts', 'src/cli', 'src', 'config/default.json', 'config', 'package.json'])
      utimesSync(join(locked, path), 1000, 1000);
    const { status, stderr } = launch(node, locked, []);
    assert.deepEqual([status, stderr], [40, '']);
  });

  test('keeps compiled code in a folder of this user alone', () => {
    const folder = join(environment.XDG_CACHE_HOME, 'localstream');
    rmSync(folder, { recursive: true, force: true });
    launch(node, checkout, []);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(readdirSync(folder).length, 1);
  });

  test('keeps none where others could write, and works all the same', () => {
    const folder = join(environment.XDG_CACHE_HOME, 'localstream');
    for (const [open, mode] of [
      [folder, 0o777],
      [environment.XDG_CACHE_HOME, 0o770],
    ] as const) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { mode: 0o700 });
      chmodSync(open, mode);
      assert.equal(launch(node, checkout, []).status, 3);
      assert.deepEqual(readdirSync(folder), []);
      chmodSync(open, 0o700);
    }
  });

  test('ends with 1, and says so, where a command waits for what can never come', () => {
    const stuck = packageWith('stuck', {
      'src/cli/main.ts': 'export const main = (): Promise<number> => new Promise(() => {});',
    });
    const { stdout, stderr, status } = launch(node, stuck, []);
    assert.deepEqual([stdout, status], ['', 1]);
    assert.match(stderr, /^localstream: stopped before its work was done, .*report it\n$/);
  });

  test('works where no cache can be kept', () => {
    const env = { ...environment, XDG_CACHE_HOME: '/dev/null' };
    assert.equal(spawnSync(process.execPath, [join(checkout, 'bin/localstream.js')], { env }).status, 3);
  });
});

describe('the launcher on an older Node', () => {
  const older = olderNode();

  test('says in one line what is wrong and ends with 2', () => {
    for (const argv of [[], ['--version'], ['get', 'x']]) {
      const { stdout, stderr, status } = launch(older, checkout, argv);
      assert.deepEqual([stdout, status], ['', 2]);
      assert.match(
        stderr,
        /^localstream: this is Node\.js \d+\.\d+\.\d+, which is too old: .*24 or newer\n$/,
      );
    }
  });

  test('is told so by the launcher and not by npm, where the tools are not installed', () => {
    const bare = packageWith('bare', {});
    cpSync(join(root, 'scripts'), join(bare, 'scripts'), { recursive: true });
    const { scripts } = v.parse(MANIFEST, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
    const [command = '', ...flags] = older;
    const words = [...flags, ...scripts.prepare.split(' ').slice(1)];
    const { status, stderr } = spawnSync(command, words, { cwd: bare, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });

  const pinned = packageWith('pinned', {
    'src/cli/main.ts': SHOW,
    'node_modules/node/bin/node': `#!/bin/sh\nexec '${process.execPath}' "$@"\n`,
  });
  chmodSync(join(pinned, 'node_modules/node/bin/node'), 0o755);

  test('runs on the pinned one with the same arguments, input, output and status', () => {
    const shown = launch(older, pinned, ['a b', '']);
    assert.deepEqual([shown.stdout, shown.stderr, shown.status], [JSON.stringify(['24', 'a b', '']), '', 3]);
    const fed = launch(older, pinned, ['stdin'], 'through\n');
    assert.deepEqual([fed.stdout, fed.status], ['THROUGH\n', 5]);
    assert.equal(launch(older, pinned, ['--version']).stdout, '7.8.9\n');
  });

  async function started(argument: string): Promise<ChildProcess> {
    const [command = '', ...flags] = older;
    const child = spawn(command, [...flags, join(pinned, 'bin/localstream.js'), argument], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.ok(child.stdout);
    await once(child.stdout, 'data');
    return child;
  }

  test('passes a signal on and ends as the command line ends', async () => {
    const child = await started('wait');
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [7, null]);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    test(`dies of ${signal} where the command line dies of it`, async () => {
      const child = await started('die');
      child.kill(signal);
      assert.deepEqual(await once(child, 'exit'), [null, signal]);
    });
  }

  test('does not start itself for ever where the pinned one is too old as well', () => {
    const node = older.map((word) => `'${word}'`).join(' ');
    const looping = packageWith('looping', {
      // The count ends the chain if the launcher does not.
      'node_modules/node/bin/node': `#!/bin/sh
echo >>"$0.starts"
[ "$(wc -l <"$0.starts")" -lt 4 ] && exec ${node} "$@"
`,
    });
    const pinned = join(looping, 'node_modules/node/bin/node');
    chmodSync(pinned, 0o755);
    assert.equal(launch(older, looping, []).status, 2);
    assert.equal(readFileSync(`${pinned}.starts`, 'utf8'), '\n');
  });
});
