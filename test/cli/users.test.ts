/** Users on the command line: real processes, real passwords. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PASSWORD as DATABASE_PASSWORD, Mariadb } from '../auth/mariadb.ts';
import { needs } from '../needs.ts';
import {
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  type Ran,
  run,
  scratch,
  serve,
  start,
} from './cli-process.ts';
import { daemon, until } from './daemon-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
const there = { home: server, cwd: folder };
const here = { home: client, cwd: work };
const PASSWORD = 'a pass phrase of some length';
const OTHER = 'another one of some length';
writeFileSync(join(docs, 'a.txt'), 'hello\n');
writeFileSync(join(docs, 'big.bin'), Buffer.alloc(30_000_000, 'localstream'));
const passwordFile = join(folder, 'password');
writeFileSync(passwordFile, `${PASSWORD}\n`);
const byFile = { LOCALSTREAM_PASSWORD_FILE: passwordFile };

function failed(ran: Ran, status: number, message: RegExp): void {
  assert.equal(ran.status, status, ran.stderr + ran.stdout);
  assert.match(ran.stderr, message);
  assert.equal(ran.stdout, '');
}

async function done(words: readonly string[], options: Parameters<typeof run>[1]): Promise<string> {
  const ran = await run(words, options);
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

test('users are added, changed, shown and removed; passwords come from standard input', async () => {
  const add = ['user', 'add', 'ann', '--password-stdin'];
  assert.equal(await done(add, { ...there, input: `${PASSWORD}\n` }), 'ann: added\n');
  failed(await run(add, { ...there, input: PASSWORD }), 1, /there is a user 'ann' already/);
  failed(await run(['user', 'add', 'dan'], there), 2, /nobody can be asked; add --password-stdin/);
  failed(await run(['user', 'add', 'dan', '--password-stdin'], there), 2, /the password is empty/);
  failed(await run(['user', 'add', '*', '--password-stdin'], there), 2, /can't be the name of a user/);
  failed(await run(['user', 'add', 'dan', PASSWORD], there), 2, /takes no share/);
  failed(await run(['user', 'passwd', 'dan', '--password-stdin'], there), 1, /no user 'dan'/);
  failed(await run(['user', 'list', 'dan'], there), 1, /no user 'dan'/);
  failed(await run(['user', 'grant', 'ann', 'docs'], there), 2, /wants NAME SHARE RIGHTS/);
  failed(await run(['user', 'grant', 'ann', 'docs', 'read,all'], there), 2, /"all" is not a right/);
  failed(await run(['user', 'frob'], there), 2, /"frob" is not an action/);
  const granted = await done(['user', 'grant', 'ann', 'docs', 'read,list'], there);
  assert.equal(granted, 'ann: granted read, list in docs\n');
  await done(['user', 'grant', '*', 'docs', 'write'], there);
  assert.equal(await done(['user', 'revoke', 'ann', 'docs', 'write'], there), 'ann: revoked write in docs\n');
  const text = await done(['user', 'list'], there);
  assert.match(text, /^\* .*docs: write\nann +enabled +never seen +docs: list, read, not write\n$/);
  assert.ok(!text.includes('argon2'));
  const [all, ann] = eventsNamed(eventsOf(await run(['user', 'list', '--json'], there)), 'user');
  assert.deepEqual([all?.name, ann?.name, ann?.disabled, ann?.grants.length], ['*', 'ann', false, 3]);
  await done(['user', 'add', 'eve', '--password-stdin'], { ...there, input: PASSWORD });
  assert.match(await done(['user', 'remove', 'eve'], there), /^eve: removed/);
  failed(await run(['user', 'remove', 'eve'], there), 1, /no user 'eve'/);
  assert.match(await done(['auth', 'migrate'], there), /tables are as they have to be/);
});

test('a user logs in by name and host, by option, from a file and from standard input', async () => {
  await using served = await serve(['--auth', 'password', '--max', '5', '--share', docs], there);
  const key = ['--fingerprint', served.fingerprint];
  const list = (peer: string, ...more: string[]) => ['list_dir', `${peer}:/docs`, ...key, ...more];
  assert.match(await done(list(`ann@${served.peer}`), { ...here, env: byFile }), /a\.txt/);
  assert.match(await done(list(served.peer, '--user', 'ann'), { ...here, env: byFile }), /a\.txt/);
  const typed = list(`ann@${served.peer}`, '--password-stdin');
  assert.match(await done(typed, { ...here, input: `${PASSWORD}\r\n` }), /a\.txt/);
  await served.running.until(/"change":"connected".*"user":"ann"/);
  await done(['get', `ann@${served.peer}:/docs/a.txt`, 'got.txt', ...key], { ...here, env: byFile });
  assert.equal(readFileSync(join(work, 'got.txt'), 'utf8'), 'hello\n');

  failed(await run(list(served.peer), here), 3, /wants a user to log in first: USER@HOST/);
  const wrong = { ...here, input: OTHER };
  const answers = [
    await run(typed, wrong),
    await run(list(`nobody@${served.peer}`, '--password-stdin'), wrong),
  ];
  for (const ran of answers) failed(ran, 3, /the user name or the password is wrong/);
  assert.equal(answers[0]?.stderr, answers[1]?.stderr);
  await served.running.until(/"event":"refused".*"LOGIN_FAILED"/);
  failed(await run(list(`ann@${served.peer}`), here), 2, /nobody can be asked; name a file in LOCALSTREAM/);
  const lost = { ...here, env: { LOCALSTREAM_PASSWORD_FILE: 'nofile' } };
  const unread = /^localstream: LOCALSTREAM_PASSWORD_FILE is of no use: there is no 'nofile'/;
  failed(await run(list(`ann@${served.peer}`), lost), 2, unread);
  failed(await run(list(served.peer, '--password-stdin'), here), 2, /with a user only/);
  failed(await run(list(`ann@${served.peer}`, '--user', 'bob'), here), 2, /two users are named/);
  const both = ['put', '-', `ann@${served.peer}:/docs/x`, '--password-stdin', ...key];
  failed(await run(both, { ...here, input: PASSWORD }), 2, /not both/);
  const put = ['put', 'got.txt', `ann@${served.peer}:/docs/`, ...key];
  failed(await run(put, { ...here, env: byFile }), 3, /does not allow put/);

  const unseen = ['list_dir', `ann@${served.peer}:/docs`, '--accept-new'];
  const fresh = { home: join(folder, 'fresh-home'), env: byFile };
  failed(await run(unseen, fresh), 3, /no password goes to a server whose key nobody has compared/);
  await done(['user', 'passwd', 'ann', '--password-stdin'], { ...there, input: OTHER });
  failed(await run(typed, { ...here, input: PASSWORD }), 3, /the password is wrong/);
  await done(['user', 'passwd', 'ann', '--password-stdin'], { ...there, input: PASSWORD });
});

test('the history of both sides says which user it was', async () => {
  const homes = {
    there: { ...there, home: join(folder, 'told-server') },
    here: { ...here, home: join(folder, 'told') },
  };
  await done(['user', 'add', 'ann', '--password-stdin'], { ...homes.there, input: PASSWORD });
  await done(['user', 'grant', 'ann', 'box', 'read,write,list'], homes.there);
  const box = `box=${folderIn(folder, 'told-box')}:rw`;
  const served = await serve(['--auth', 'password', '--share', box], homes.there);
  const at = { ...homes.here, env: byFile };
  const key = ['--fingerprint', served.fingerprint];
  await done(['put', join(docs, 'a.txt'), `ann@${served.peer}:/box/`, ...key], at);
  await done(['mkdir', `ann@${served.peer}:/box/sub`, ...key], at);
  await served.stop();
  for (const { home } of [homes.there, homes.here]) {
    const told = async (command: string) => eventsOf(await run([command, '--json'], { home, cwd: folder }));
    for (const { user } of eventsNamed(await told('sessions'), 'session')) assert.equal(user, 'ann');
    assert.equal(eventsNamed(await told('history'), 'crossing')[0]?.user, 'ann');
    assert.match(await done(['sessions'], { home }), /, user ann .*\n.*, user ann /);
  }
  const [change] = eventsNamed(eventsOf(await run(['history', '--json'], homes.there)), 'change');
  assert.equal(change?.user, 'ann');
  assert.match(await done(['history'], homes.there), /by ".*", user ann .*made.*\n.* from ".*", user ann /);
});

test('the log of a server says which user it was, and what crossed', async () => {
  const home = { ...there, home: join(folder, 'logging') };
  await done(['user', 'add', 'ann', '--password-stdin'], { ...home, input: PASSWORD });
  await done(['user', 'grant', 'ann', 'docs', 'read,list'], home);
  await done(['user', 'grant', 'ann', 'box', 'write'], home);
  const box = `box=${folderIn(folder, 'logged-box')}:rw`;
  await using served = await daemon(['--auth', 'password', '--share', docs, '--share', box], home);
  const at = { home: join(folder, 'logged'), cwd: work, env: byFile };
  const peer = `ann@${served.peer}`;
  const key = ['--fingerprint', served.fingerprint];
  await done(['put', join(docs, 'a.txt'), `${peer}:/box/`, ...key], at);
  const got = folderIn(folder, 'logged-got');
  await done(['get', `${peer}:/docs/a.txt`, `${peer}:/docs/big.bin`, `${got}/`, ...key], at);
  const slow = start(['get', `${peer}:/docs`, `${got}/`, ...key, '--limit', '100k', '--json'], at);
  await slow.until(/"event":"progress"/);
  slow.child.kill('SIGINT');
  await slow.ended;
  const log = () => readFileSync(served.log, 'utf8');
  await until(() => log().includes('failed'), 'the end was never told');
  assert.match(log(), /Z received 1 file from ".*", user ann: 6 B .*; a\.txt$/m);
  assert.match(log(), /Z sent 2 files to ".*", user ann: 30\.0 MB .*; (?:a\.txt|big\.bin) and 1 more$/m);
  assert.match(log(), /Z sending docs to .*, user ann failed: the other side cancelled/m);
});

test('user disable ends a transfer that is running, and enable lets the user in again', async () => {
  await using served = await serve(['--auth', 'password', '--max', '5', '--share', docs], there);
  const key = ['--fingerprint', served.fingerprint];
  const peer = `ann@${served.peer}`;
  const get = ['get', `${peer}:/docs/big.bin`, 'big.bin', '--limit', '1MB/s', '--json', ...key];
  const running = start(get, { ...here, env: byFile });
  await running.until(/"event":"progress".*"phase":"moving"/);
  assert.match(await done(['user', 'disable', 'ann'], there), /^ann: disabled/);
  const ended = await running.ended;
  assert.equal(ended.status, 3, ended.stderr);
  assert.equal(existsSync(join(work, 'big.bin')), false);
  const list = ['list_dir', `${peer}:/docs`, ...key];
  failed(await run(list, { ...here, env: byFile }), 3, /the user name or the password is wrong/);
  await done(['user', 'enable', 'ann'], there);
  assert.match(await done(list, { ...here, env: byFile }), /a\.txt/);
});

test('a script in the shell has no password to type, and auth and open exclude each other', async () => {
  failed(await run([], { ...here, input: 'login ann\n' }), 1, /no server is connected/);
  failed(await run([], { ...here, input: 'kick ann\n' }), 1, /nobody called 'ann' is connected/);
  failed(await run(['serve', '--open', '--auth', 'password'], there), 2, /can't be open to everybody/);
  failed(await run(['serve', '--auth', 'maybe'], there), 2, /"maybe" is not a way in/);
});

describe('in a terminal', needs('tmux'), () => {
  test('passwords are asked for without echo, after the key; kick ends the session', async () => {
    const port = await freePort();
    using operator = new Terminal([], { home: server, cwd: folder });
    await operator.until(/localstream>/);
    operator.type('user add tom');
    operator.press('Enter');
    await operator.until(/New password of tom:/);
    operator.type(PASSWORD);
    operator.press('Enter');
    await operator.until(/Again:/);
    operator.type(PASSWORD);
    operator.press('Enter');
    await operator.until(/tom: added/);
    operator.type(`add_local_connection 127.0.0.1 ${port} 3 --auth password --share ${docs}`);
    operator.press('Enter');
    await operator.until(/for users who log in/);
    using shell = new Terminal([], { home: join(folder, 'tom-home'), cwd: work });
    await shell.until(/localstream>/);
    shell.type(`connect 127.0.0.1:${port}`);
    shell.press('Enter');
    await shell.until(/Connect to it\?/);
    shell.press('Down', 'Enter');
    await shell.until(/connected to .*\n(?:.*\n)*\S+>$/);
    shell.type('login tom');
    shell.press('Enter');
    await shell.until(/Password of tom:/);
    shell.type(PASSWORD);
    shell.press('Enter');
    await shell.until(/logged in at .* as tom/);
    for (const { lines } of [shell, operator]) assert.doesNotMatch(lines.join('\n'), /pass phrase/);
    await operator.until(/is connected on \d+ as user tom/);
    await operator.clear();
    operator.type('kick tom');
    operator.press('Enter');
    await operator.until(/ended the connection of /);
    await shell.until(/is gone: /);
  });
});

describe('users in a database', needs('mariadbd'), () => {
  test('auth migrate shows the SQL; a client goes on at the other of two servers when one is killed', async () => {
    await using database = await Mariadb.start();
    const secret = join(folder, 'database-password');
    writeFileSync(secret, `${DATABASE_PASSWORD}\n`);
    const env = {
      LOCALSTREAM_AUTH_URL: `mysql://localstream@localhost/users?socket=${encodeURIComponent(database.socket)}`,
      LOCALSTREAM_AUTH_PASSWORD_FILE: secret,
    };
    const one = { home: join(folder, 'one-home'), cwd: folder, env };
    const two = { ...one, home: join(folder, 'two-home') };
    const asked = await run(['auth', 'migrate'], one);
    assert.equal(asked.status, 2, asked.stderr);
    assert.match(asked.stdout, /^CREATE TABLE .*auth/);
    assert.match(asked.stderr, /nobody can be asked.*--yes/);
    assert.match(await done(['auth', 'migrate', '--yes'], one), /the tables are made\n$/);
    assert.match(await done(['auth', 'migrate'], two), /as they have to be/);
    await done(['user', 'add', 'ann', '--password-stdin'], { ...one, input: PASSWORD });
    await done(['user', 'grant', '*', 'docs', 'read,list'], two);
    await using first = await serve(['--auth', 'password', '--share', docs], one);
    await using second = await serve(['--auth', 'password', '--share', docs], two);
    const get = ({ peer, fingerprint }: typeof first, ...more: string[]) =>
      start(
        ['get', `ann@${peer}:/docs/big.bin`, 'moved.bin', '--fingerprint', fingerprint, '--json', ...more],
        { ...here, env: byFile },
      );
    // At a login the first names the second, once that has told the database that it is there.
    const known = ['--fingerprint', first.fingerprint];
    const named = async () => {
      await done(['list_dir', `ann@${first.peer}:/`, ...known], { ...here, env: byFile });
      const peers = eventsNamed(eventsOf(await run(['peers', '--json'], here)), 'trust');
      return peers.find(({ fingerprint }) => fingerprint === first.fingerprint)?.siblings ?? [];
    };
    let siblings = await named();
    while (siblings.length === 0) siblings = await named();
    assert.deepEqual(
      siblings.map(({ fingerprint, addresses }) => [fingerprint, addresses]),
      [[second.fingerprint, [second.peer]]],
    );
    assert.match(await done(['peers'], here), /named by .*SHA256:/);
    const going = get(first, '--limit', '2MB/s', '--retry-for', '60s');
    await going.until(/"event":"progress".*"phase":"moving"/);
    // Nobody is asked about the other key.
    await first.stop('SIGKILL');
    const again = await going.ended;
    assert.equal(again.status, 0, again.stderr);
    const [elsewhere] = eventsNamed(eventsOf(again), 'elsewhere');
    assert.equal(elsewhere?.peer.fingerprint, second.fingerprint);
    const [receipt] = eventsNamed(eventsOf(again), 'receipt');
    assert.equal(receipt?.peer.fingerprint, second.fingerprint);
    assert.deepEqual(readFileSync(join(work, 'moved.bin')), readFileSync(join(docs, 'big.bin')));
  });
});
