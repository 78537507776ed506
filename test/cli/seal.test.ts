/** Sealed files from the command line, on disk and through pipes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { until } from '../server/wire-machines.ts';
import {
  environment,
  folderIn,
  LAUNCHER,
  type RunOptions,
  run,
  scratch,
  serve,
  start,
} from './cli-process.ts';

const { folder, server, client } = scratch();
const [work, out] = [folderIn(folder, 'work'), folderIn(folder, 'out')];
const bob = { home: server, cwd: work };
const alice = { home: client, cwd: out };
const mallory = { home: join(folder, 'third-home'), cwd: out };
const content = Buffer.alloc(2_500_000, 'localstream');
writeFileSync(join(work, 'a.bin'), content, { mode: 0o640 });
utimesSync(join(work, 'a.bin'), 1_700_000_000, 1_700_000_000);

/** The program with bytes on stdin and stdout. */
function piped(words: readonly string[], input: Uint8Array, { home, cwd }: RunOptions) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, ...words], {
    cwd,
    env: environment(home),
    input,
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status, stdout, stderr: String(stderr) };
}

async function sealedFor(name: string): Promise<string> {
  const target = join(work, name);
  const sealed = await run(['seal', 'a.bin', '--for', 'alice', '--output', name], bob);
  assert.equal(sealed.status, 0, sealed.stderr);
  return target;
}

before(async () => {
  const key = async (who: RunOptions) => (await run(['export'], who)).stdout.split(' ')[0] ?? '';
  assert.equal((await run(['import', `${await key(alice)} alice`], bob)).status, 0);
  // Before they have met, there is no key to seal for.
  const early = await run(['seal', 'a.bin', '--for', 'alice'], bob);
  assert.equal(early.status, 1, early.stderr);
  assert.match(early.stderr, /encryption key of 'alice' is not known yet; connect to it once/);
  await using served = await serve([], bob);
  const met = await run(['list_dir', `${served.peer}:/`, '--fingerprint', served.fingerprint], alice);
  assert.equal(met.status, 0, met.stderr);
});

test('a reader gets content, name, time and mode, and nobody else gets anything', async () => {
  const target = await sealedFor('x.sealed');
  assert.equal(readFileSync(target).includes('localstream'), false);
  const opened = await run(['open', target], alice);
  assert.equal(opened.status, 0, opened.stderr);
  assert.match(opened.stdout, /^opened: a\.bin, sealed by SHA256:/);
  assert.deepEqual(readFileSync(join(out, 'a.bin')), content);
  const { mode, mtimeMs } = statSync(join(out, 'a.bin'));
  assert.deepEqual([mode & 0o777, mtimeMs], [0o640, 1_700_000_000_000]);
  // What is there is not replaced.
  const again = await run(['open', target], alice);
  assert.equal(again.status, 5, again.stderr);
  for (const who of [mallory, { ...bob, cwd: out }]) {
    const refused = await run(['open', target, '--output', 'no'], who);
    assert.equal(refused.status, 3, refused.stderr);
    assert.match(refused.stderr, /sealed for others/);
  }
  assert.deepEqual(readdirSync(out), ['a.bin']);
});

test('what was changed, cut or added to is refused, and leaves no file', async () => {
  const target = await sealedFor('y.sealed');
  const bytes = readFileSync(target);
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bytes.length - 1000) ^ 1, bytes.length - 1000);
  const before = readdirSync(out);
  for (const wrong of [flipped, bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
    writeFileSync(join(work, 'wrong'), wrong);
    const { status, stderr } = await run(['open', join(work, 'wrong'), '--output', 'wrong'], alice);
    assert.equal(status, 6, stderr);
    assert.match(stderr, /the seal is broken/);
  }
  assert.deepEqual(readdirSync(out), before);
});

test('of an unknown sealer only --from-anyone opens it', async () => {
  const target = await sealedFor('z.sealed');
  const { stdout } = await run(['peers', '--json'], alice);
  const [, fingerprint = ''] = /"fingerprint":"([^"]+)"/.exec(stdout) ?? [];
  assert.equal((await run(['forget', fingerprint], alice)).status, 0);
  const refused = await run(['open', target, '--output', 'z'], alice);
  assert.equal(refused.status, 3, refused.stderr);
  assert.equal(existsSync(join(out, 'z')), false);
  assert.equal((await run(['open', target, '--output', 'z', '--from-anyone'], alice)).status, 0);
  assert.deepEqual(readFileSync(join(out, 'z')), content);
  assert.equal((await run(['import', fingerprint, 'bob'], alice)).status, 0);
});

test('both work through pipes', () => {
  const sealed = piped(['seal', '-', '--for', 'alice', '--name', 'n'], content, bob);
  assert.equal(sealed.status, 0, sealed.stderr);
  const opened = piped(['open', '-', '--output', '-'], sealed.stdout, alice);
  assert.equal(opened.status, 0, opened.stderr);
  assert.ok(opened.stdout.equals(content));
  const cut = piped(['open', '-', '--output', '-'], sealed.stdout.subarray(0, -1), alice);
  assert.equal(cut.status, 6, cut.stderr);
});

test('put --seal-for and get, with a server between that reads nothing and changes a bit', async () => {
  const kept = folderIn(folder, 'kept');
  const keeper = { home: join(folder, 'keeper-home'), cwd: kept };
  await using served = await serve(['--open', '--share', `kept=${kept}:rw`], keeper);
  const to = ['--fingerprint', served.fingerprint];
  const put = await run(['put', 'a.bin', `${served.peer}:/kept/`, '--seal-for', 'alice', ...to], bob);
  assert.equal(put.status, 0, put.stderr);
  assert.deepEqual(readdirSync(kept), ['a.bin.sealed']);
  assert.equal(readFileSync(join(kept, 'a.bin.sealed')).includes('localstream'), false);
  const got = await run(['get', `${served.peer}:/kept/a.bin.sealed`, 'b.bin', ...to], alice);
  assert.equal(got.status, 0, got.stderr);
  assert.match(got.stdout, /opened a\.bin\.sealed: b\.bin, sealed by SHA256:/);
  assert.deepEqual(readFileSync(join(out, 'b.bin')), content);
  assert.equal(existsSync(join(out, 'b.bin.sealed')), false);
  const json = await run(['get', `${served.peer}:/kept/a.bin.sealed`, 'c.bin', ...to, '--json'], alice);
  assert.match(json.stdout, /"opened":\[\{"path":"a\.bin\.sealed","name":"c\.bin","outcome":"opened"/);
  // Somebody for whom it is not sealed gets it as it is.
  const closed = await run(['get', `${served.peer}:/kept/a.bin.sealed`, '.', ...to], { ...bob, cwd: out });
  assert.equal(closed.status, 0, closed.stderr);
  assert.match(closed.stdout, /left sealed: a\.bin\.sealed/);
  const bytes = readFileSync(join(kept, 'a.bin.sealed'));
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1000) ^ 1, bytes.length - 1000);
  writeFileSync(join(kept, 'a.bin.sealed'), bytes);
  const changed = await run(
    ['get', `${served.peer}:/kept/a.bin.sealed`, 'd.bin', '--overwrite', ...to],
    alice,
  );
  assert.equal(changed.status, 6, changed.stderr);
  assert.match(changed.stderr, /the seal is broken/);
  assert.deepEqual(
    readdirSync(out).filter((name) => name.startsWith('d.')),
    [],
  );
  // What comes through a pipe is sealed as well, and what goes into one stays sealed.
  const through = ['put', '-', `${served.peer}:/kept/`, '--seal-for', 'alice', ...to];
  const sent = piped(through, Buffer.from('from a pipe'), bob);
  assert.equal(sent.status, 0, sent.stderr);
  assert.deepEqual(readdirSync(kept).sort(), ['a.bin.sealed', 'stdin.sealed']);
  const fetched = piped(['get', `${served.peer}:/kept/stdin.sealed`, '-', ...to], Buffer.alloc(0), alice);
  assert.equal(fetched.status, 0, fetched.stderr);
  const opened = piped(['open', '-', '--output', '-'], fetched.stdout, alice);
  assert.equal(String(opened.stdout), 'from a pipe', opened.stderr);
  const nobody = await run(['put', 'a.bin', `${served.peer}:/kept/`, '--seal-for', 'nobody', ...to], bob);
  assert.equal(nobody.status, 2, nobody.stderr);
});

test('a get that a signal ends leaves no sealed file for good: the same again removes what it has brought', async () => {
  const box = folderIn(folder, 'box');
  const here = folderIn(out, 'box');
  const keeper = { home: join(folder, 'box-home'), cwd: box };
  await using served = await serve(['--open', '--share', `box=${box}:rw`], keeper);
  const to = ['--fingerprint', served.fingerprint];
  writeFileSync(join(work, 'note'), 'first');
  const put = await run(['put', 'note', 'a.bin', `${served.peer}:/box/`, '--seal-for', 'alice', ...to], bob);
  assert.equal(put.status, 0, put.stderr);
  const words = [
    'get',
    `${served.peer}:/box/note.sealed`,
    `${served.peer}:/box/a.bin.sealed`,
    `${here}/`,
    ...to,
  ];
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const stopped = start([...words, '--limit', '500k'], alice);
    await until(() => existsSync(join(here, 'note.sealed')));
    stopped.child.kill(signal);
    assert.equal((await stopped.ended).status, status);
    const got = await run(words, alice);
    assert.equal(got.status, 0, got.stderr);
    assert.deepEqual(readdirSync(here).sort(), ['a.bin', 'note']);
    for (const name of readdirSync(here)) unlinkSync(join(here, name));
  }
});

test('nothing is sealed for nobody, or for who is not trusted', async () => {
  assert.equal((await run(['seal', 'a.bin'], bob)).status, 2);
  assert.equal((await run(['seal', 'a.bin', '--for', 'nobody'], bob)).status, 2);
  assert.equal((await run(['seal', 'missing', '--for', 'alice'], bob)).status, 1);
  assert.equal(existsSync(join(work, 'a.bin.sealed')), false);
});

test('what is in the way is told by the name that was asked for', async () => {
  await sealedFor('way.sealed');
  const missing = join(folder, 'none', 'x');
  const ran = [
    await run(['seal', 'a.bin', '--for', 'alice', '--output', missing], bob),
    await run(['open', join(work, 'way.sealed'), '--output', missing], alice),
  ];
  for (const { status, stderr } of ran) {
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^localstream: there is no folder '[^']*none'; make it first, or name another\n$/);
  }
  const blocked = await run(['seal', 'a.bin', '--for', 'alice', '--output', 'a.bin/x'], bob);
  assert.equal(blocked.status, 1, blocked.stderr);
  assert.match(
    blocked.stderr,
    /^localstream: cannot create 'a\.bin\/x': something else is where a folder has to be\n$/,
  );
});

test('what is not there is told so, and a folder is gone into', async () => {
  for (const words of [
    ['seal', 'nofile', '--for', 'alice'],
    ['open', 'nofile'],
  ]) {
    const { status, stderr } = await run(words, bob);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^localstream: nofile: there is no such file here; check the path\n$/);
  }
  const sealed = await sealedFor('into.sealed');
  folderIn(out, 'opened');
  for (const output of ['opened', 'opened/']) {
    const opened = await run(['open', sealed, '--output', output], alice);
    assert.equal(opened.status, 0, opened.stderr);
    assert.deepEqual(readFileSync(join(out, 'opened', 'a.bin')), content);
    unlinkSync(join(out, 'opened', 'a.bin'));
  }
});
