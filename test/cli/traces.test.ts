/** What a run leaves behind: no secret in any file, errors in the log, and more on stderr only where it is wanted. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventsNamed, eventsOf, folderIn, freePort, run, scratch, serve, start } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
const there = { home: server, cwd: folder };
writeFileSync(join(docs, 'a.txt'), 'hello\n');
const PASSWORD = 'a pass phrase that nobody else has';
const passwordFile = join(folder, 'password');
writeFileSync(passwordFile, `${PASSWORD}\n`);

/** Every file of a home with its bytes. */
function filesIn(home: string): { readonly name: string; readonly bytes: Buffer }[] {
  return readdirSync(home, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(home, name)).isFile())
    .map((name) => ({ name, bytes: readFileSync(join(home, name)) }));
}

test('neither a password nor a pairing code lies in any file afterwards', async () => {
  const added = await run(['user', 'add', 'ann', '--password-stdin'], { ...there, input: `${PASSWORD}\n` });
  assert.equal(added.status, 0, added.stderr);
  assert.equal((await run(['user', 'grant', 'ann', 'docs', 'read,list'], there)).status, 0);
  const env = { LOCALSTREAM_PASSWORD_FILE: passwordFile };
  const served = await serve(['--auth', 'password', '--share', docs], there);
  const words = ['get', `ann@${served.peer}:/docs/a.txt`, '.', '--fingerprint', served.fingerprint];
  const got = await run([...words, '--verbose'], { ...here, env });
  assert.equal(got.status, 0, got.stderr);
  writeFileSync(passwordFile, 'wrong\n');
  assert.equal((await run(words, { ...here, env })).status, 3);
  const told = await served.stop();
  const sending = start(['send', 'docs/a.txt', '--json', '--host', '127.0.0.1'], there);
  let shown = '';
  sending.child.stdout?.on('data', (piece: string) => {
    shown += piece;
  });
  await sending.until(/"event":"code".*\n/);
  const { code, port }: { code: string; port: number } = JSON.parse(
    /^\{"event":"code".*$/m.exec(shown)?.[0] ?? '',
  );
  const received = await run(['receive', code, '--yes', '--from', `127.0.0.1:${port}`, '--verbose'], here);
  assert.equal(received.status, 0, received.stderr);
  assert.equal((await sending.ended).status, 0);
  const secret = code.replace(/^\d+-/, '');
  const files = [...filesIn(server), ...filesIn(client)];
  for (const name of ['identity.json', 'sessions.json', 'users.db', 'log/error.log', 'trust.json'])
    assert.ok(
      files.some((file) => file.name === name),
      `${name} is looked at`,
    );
  for (const { name, bytes } of files) {
    for (const word of [PASSWORD, secret]) {
      for (const form of [
        word,
        Buffer.from(word).toString('base64').slice(0, -4),
        Buffer.from(word).toString('hex'),
      ])
        assert.ok(!bytes.includes(form), `${name} holds a secret`);
    }
  }
  for (const text of [got.stdout, got.stderr, received.stdout, received.stderr, told.stdout, told.stderr])
    assert.ok(!text.includes(PASSWORD) && !text.includes(secret));
});

test('--verbose says more on stderr, and nothing else on stdout', async () => {
  await using served = await serve(['--open', '--share', docs], there);
  const words = ['list_dir', `${served.peer}:/docs`, '--fingerprint', served.fingerprint];
  const quiet = await run(words, here);
  assert.deepEqual([quiet.status, quiet.stderr], [0, '']);
  const verbose = await run([...words, '--verbose'], here);
  assert.equal(verbose.stdout, quiet.stdout);
  assert.match(verbose.stderr, /^ {2}\S.*: X25519MLKEM768, TLS_AES_256_GCM_SHA384, SHA256:\S{43}\n$/);
  const json = await run([...words, '--verbose', '--json'], here);
  assert.equal(eventsNamed(eventsOf(json), 'entry').length, 1);
  assert.equal(json.stderr, verbose.stderr);
  const nobody = `127.0.0.1:${await freePort()}:`;
  const [short, long] = [await run(['ls', nobody], here), await run(['ls', nobody, '--verbose'], here)];
  assert.match(short.stderr, /^localstream: [^\n]*\n$/);
  assert.ok(long.stderr.startsWith(short.stderr.split('\n')[0]?.split(',')[0] ?? '?'));
  assert.match(long.stderr, /ECONNREFUSED/);
  assert.deepEqual([short.stdout, long.stdout], ['', '']);
});

test('what failed at a server is in its log, one line of JSON each', async () => {
  const home = join(folder, 'logging-home');
  const served = await serve(['--share', docs], { home, cwd: folder });
  const stranger = await run(['ls', `${served.peer}:`, '--fingerprint', served.fingerprint], here);
  assert.equal(stranger.status, 3, stranger.stderr);
  await served.stop();
  const lines = readFileSync(join(home, 'log', 'error.log'), 'utf8')
    .trimEnd()
    .split('\n');
  const logged: Record<string, unknown>[] = lines.map((line) => JSON.parse(line));
  assert.ok(
    logged.some((entry) => entry['code'] === 'NOT_TRUSTED' && /127\.0\.0\.1/.test(JSON.stringify(entry))),
  );
  assert.equal(statSync(join(home, 'log', 'error.log')).mode & 0o777, 0o600);
});
