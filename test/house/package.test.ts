import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as v from 'valibot';

const root = join(import.meta.dirname, '../..');
const Manifest = v.looseObject({ version: v.string(), dependencies: v.record(v.string(), v.string()) });
const manifest = v.parse(Manifest, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
const PACKED = v.tuple([v.object({ filename: v.string(), files: v.array(v.object({ path: v.string() })) })]);

describe('the published package', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'localstream-package-'));
  const checkout = join(scratch, 'checkout');
  const application = join(scratch, 'application');
  const installed = join(application, 'node_modules', 'localstream');
  let files: string[] = [];

  // In a copy: packing rewrites package.json for a moment, which other tests would see.
  before(() => {
    for (const name of readdirSync(root)) {
      if (['.git', 'node_modules', 'dist', 'test', 'docs', 'bench'].includes(name)) continue;
      cpSync(join(root, name), join(checkout, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
    const npm = ['pack', '--json', '--offline', '--pack-destination', scratch];
    const output = execFileSync('npm', npm, { cwd: checkout, encoding: 'utf8' });
    const [packed] = v.parse(PACKED, JSON.parse(output));
    files = packed.files.map((file) => file.path);

    mkdirSync(installed, { recursive: true });
    execFileSync('tar', ['xzf', join(scratch, packed.filename), '-C', installed, '--strip-components=1']);
    writeFileSync(join(application, 'package.json'), '{ "name": "application", "type": "module" }');
    for (const name of Object.keys(manifest.dependencies)) link(name);
    link('@types/node');
  });
  after(() => rmSync(scratch, { recursive: true }));

  function link(name: string): void {
    const place = join(application, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), place);
  }

  test('holds what it needs and no sources, tests or tools', () => {
    const tops = [...new Set(files.map((path) => path.split('/')[0]))].sort();
    assert.deepEqual(tops, [
      ...['CHANGELOG.md', 'LICENSE', 'README.md'],
      ...['bin', 'config', 'dist', 'man', 'package.json'],
    ]);
    for (const name of readdirSync(join(root, 'config'))) assert.ok(files.includes(`config/${name}`), name);
    assert.deepEqual(
      files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts')),
      [],
    );
  });

  test('holds the program in one file and its worker in another, with the licences of what they took in', () => {
    const program = files.filter((path) => path.startsWith('dist/program/')).sort();
    assert.deepEqual(
      program,
      ['LICENSES.txt', 'main.js', 'package.json', 'worker.js'].map((name) => `dist/program/${name}`),
    );
    assert.deepEqual(
      files.filter((path) => path.startsWith('dist/cli/')),
      [],
    );
    const licences = readFileSync(join(installed, 'dist/program/LICENSES.txt'), 'utf8');
    assert.match(licences, /^commander 14\.\d+\.\d+\n\n.*MIT/m);
  });

  test('leaves the checkout as it was', () => {
    const [now, then] = [checkout, root].map((folder) => readFileSync(join(folder, 'package.json'), 'utf8'));
    assert.equal(now, then);
  });

  test('runs its command line', () => {
    const launcher = join(installed, 'bin/localstream.js');
    const home = { ...process.env, LOCALSTREAM_HOME: join(scratch, 'home') };
    const version = spawnSync(process.execPath, [launcher, '--version'], { encoding: 'utf8' });
    assert.deepEqual([version.stdout, version.stderr], [`${manifest.version}\n`, '']);
    const identity = spawnSync(process.execPath, [launcher, 'identity'], { encoding: 'utf8', env: home });
    assert.match(identity.stdout, /SHA256:[A-Za-z0-9+/]{43}/, identity.stderr);
  });

  test('is a library that can be imported', () => {
    const script = `import { openLocalstream } from 'localstream';
      await using localstream = await openLocalstream({ home: ${JSON.stringify(join(scratch, 'home'))} });
      console.log(localstream.fingerprint);`;
    const options = { cwd: application, encoding: 'utf8' } as const;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
    assert.match(stdout, /^SHA256:[A-Za-z0-9+/]{43}\n$/, stderr);
  });

  test('brings its types', () => {
    writeFileSync(
      join(application, 'use.ts'),
      `import { type Localstream, openLocalstream } from 'localstream';
       export const right: Promise<Localstream> = openLocalstream();
       export const wrong: Promise<number> = openLocalstream();`,
    );
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const flags = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,esnext',
      '--skipLibCheck',
      '--types',
      'node',
      'use.ts',
    ];
    const { stdout } = spawnSync(process.execPath, [compiler, ...flags], {
      cwd: application,
      encoding: 'utf8',
    });
    assert.match(stdout, /^use\.ts\(3,\d+\): error TS2322: /);
    assert.equal(stdout.match(/error TS/g)?.length, 1, stdout);
  });
});
