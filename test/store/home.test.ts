import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ensureHome, type Home, resolveHome } from '../../src/store/home.ts';
import { modesBelow, otherProcess, temporaryFolder } from './temporary-home.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

function refused(home: Home, message: RegExp): void {
  assert.throws(
    () => ensureHome(home),
    (error: { code?: string; message?: string; hint?: string }) => {
      assert.equal(error.code, 'STATE');
      assert.match(error.message ?? '', message);
      assert.match(error.hint ?? '', /LOCALSTREAM_HOME/);
      return true;
    },
  );
}

test('LOCALSTREAM_HOME puts everything below one folder, and an explicit home comes first', (t) => {
  const folder = temporaryFolder(t);
  const home = resolveHome({ LOCALSTREAM_HOME: folder });
  for (const path of Object.values(home)) assert.ok(path === folder || path.startsWith(`${folder}/`), path);
  assert.equal(resolveHome({ LOCALSTREAM_HOME: '/elsewhere' }, folder).data, folder);
  assert.equal(resolveHome({ LOCALSTREAM_HOME: '' }).data, resolveHome({}).data, 'empty counts as not set');
});

test('without it, the XDG folders are used on Linux', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = temporaryFolder(t);
  const env = {
    LOCALSTREAM_HOME: undefined,
    XDG_CONFIG_HOME: join(folder, 'c'),
    XDG_DATA_HOME: join(folder, 'd'),
    XDG_STATE_HOME: join(folder, 's'),
  };
  const home = JSON.parse((await otherProcess(['home'], { env })).output);
  assert.equal(home.settingsFile, join(folder, 'c/localstream/config.json'));
  assert.equal(home.identityFile, join(folder, 'd/localstream/identity.json'));
  assert.equal(home.errorLog, join(folder, 's/localstream/error.log'));
  const relative = await otherProcess(['home'], { env: { ...env, XDG_DATA_HOME: 'd' } });
  assert.match(relative.errors, /not an absolute path/);
  const plain = { XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined, XDG_STATE_HOME: undefined };
  const usual = JSON.parse(
    (await otherProcess(['home'], { env: { ...env, ...plain, HOME: folder } })).output,
  );
  assert.equal(usual.trustFile, join(folder, '.local/share/localstream/trust.json'));
});

test('a new home is private, whatever the umask is', (t) => {
  const folder = temporaryFolder(t);
  const previous = process.umask(0);
  try {
    ensureHome(resolveHome({}, join(folder, 'a/b/home')));
  } finally {
    process.umask(previous);
  }
  const inside = modesBelow(join(folder, 'a/b/home'));
  assert.deepEqual(
    inside.map(({ mode }) => mode),
    inside.map(() => 0o700),
  );
  assert.equal(statSync(join(folder, 'a/b/home')).mode & 0o777, 0o700);
});

test('a home of ours that is open to others is closed to them', (t) => {
  const home = resolveHome({}, join(temporaryFolder(t), 'home'));
  ensureHome(home);
  writeFileSync(home.trustFile, '{}');
  chmodSync(home.data, 0o775);
  ensureHome(home);
  assert.equal(statSync(home.data).mode & 0o777, 0o700);
});

test('a folder that is open to others and holds other things is refused and left alone', (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'letter.txt'), '');
  chmodSync(folder, 0o755);
  refused(resolveHome({}, folder), /open to other users/);
  assert.equal(statSync(folder).mode & 0o777, 0o755);
  assert.deepEqual(readdirSync(folder), ['letter.txt']);
});

test('a folder for everybody, such as /tmp, is refused even when it is empty', (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o1777);
  refused(resolveHome({}, folder), /open to other users/);
  assert.equal(statSync(folder).mode & 0o7777, 0o1777);
});

test('a home that is a file, or below one, is refused', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'kept');
  refused(resolveHome({}, file), /a file in its place/);
  refused(resolveHome({}, join(file, 'below')), /a file in its place/);
  symlinkSync('nowhere', join(folder, 'dangling'));
  refused(resolveHome({}, join(folder, 'dangling')), /can't be used/);
});

test('a home that is reached through a link works', (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'real'), { mode: 0o700 });
  symlinkSync('real', join(folder, 'link'));
  ensureHome(resolveHome({}, join(folder, 'link')));
  assert.ok(existsSync(join(folder, 'real/receipts')));
});

test('a home that this user may not write is refused', async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o555);
  // Root may write anywhere: there, the attempt is made by another user, who can't enter a folder of the repository.
  if (!isRoot) return refused(resolveHome({}, join(folder, 'home')), /may not write there/);
  const run = await otherProcess(['ensure', join(folder, 'home'), String(NOBODY)]);
  assert.equal(JSON.parse(run.output).code, 'STATE', run.errors);
  assert.match(JSON.parse(run.output).message, /may not write there/);
});

test('a home of another user is refused', (t) => {
  if (!isRoot) return refused(resolveHome({}, '/usr'), /belongs to another user/);
  const folder = temporaryFolder(t);
  chownSync(folder, NOBODY, NOBODY);
  refused(resolveHome({}, folder), /belongs to another user/);
});

test('a home on a read-only disk is refused', async (t) => {
  const folder = temporaryFolder(t);
  const run = readOnly(t, folder);
  if (run === undefined) return;
  assert.equal(JSON.parse(run).code, 'STATE');
  assert.match(JSON.parse(run).message, /read-only/);
});

/** Runs `ensure` where `folder` is a read-only disk, in a mount namespace of its own. */
function readOnly(t: TestContext, folder: string): string | undefined {
  const namespace = isRoot ? ['--mount'] : ['--mount', '--map-root-user'];
  if (process.platform !== 'linux' || spawnSync('unshare', [...namespace, 'true']).status !== 0) {
    t.skip('no mount namespace of our own here');
    return undefined;
  }
  const script = 'mount -t tmpfs -o ro none "$1" && exec "$2" "$3" ensure "$1/home"';
  const program = join(import.meta.dirname, 'other-process.ts');
  return execFileSync(
    'unshare',
    [...namespace, 'sh', '-c', script, 'sh', folder, process.execPath, program],
    { encoding: 'utf8' },
  );
}

test('everything that a home ever holds is private under a umask of 0', async (t) => {
  const folder = join(temporaryFolder(t), 'home');
  const run = await otherProcess(['use-all', folder]);
  assert.equal(run.status, 0, run.errors);
  const found = modesBelow(folder);
  const names = found
    .map(({ path }) => path.slice(folder.length + 1).replace(/receipts\/.*/, 'receipts/*'))
    .sort();
  const files = [
    'config.json',
    'identity.json',
    'inbox',
    'log',
    'log/error.log',
    'log/error.log.1',
    'log/error.log.2',
  ];
  assert.deepEqual(names, [...files, 'receipts', 'receipts/*', 'sessions.json', 'trust.json']);
  for (const { path, mode, isFolder } of found) assert.equal(mode, isFolder ? 0o700 : 0o600, path);
});
