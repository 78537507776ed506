/** Settings and the history of connections, as commands show them. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseSince } from '../../src/cli/commands/sessions.ts';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve, start } from './cli-process.ts';
import { refused } from './refused.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const cwd = folderIn(folder, 'work');
writeFileSync(join(docs, 'a.txt'), 'hello\n');

test('config sets, gets and says where each value comes from', async () => {
  const home = join(folder, 'config-home');
  const here = { home, cwd };
  const file = (await run(['config', 'path'], here)).stdout.trim();
  assert.equal(file, join(home, 'config.json'));
  assert.equal((await run(['config', 'get', 'port'], here)).stdout, '7353\n');
  const set = await run(['config', 'set', 'chunk', '64K'], here);
  assert.deepEqual([set.status, set.stdout], [0, 'chunk = 65536\n'], set.stderr);
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { chunk: 65536 });
  const env = { LOCALSTREAM_PORT: '7400' };
  const settings = eventsNamed(
    eventsOf(await run(['config', 'list', '--json'], { ...here, env })),
    'setting',
  );
  const of = (key: string) => settings.find((setting) => setting.key === key);
  assert.deepEqual([of('chunk')?.value, of('chunk')?.layer, of('chunk')?.place], [65536, 'file', file]);
  assert.deepEqual(
    [of('port')?.value, of('port')?.layer, of('port')?.place],
    [7400, 'environment', 'LOCALSTREAM_PORT'],
  );
  assert.equal(of('lanes')?.layer, 'default');
  assert.match((await run(['config', 'list'], here)).stdout, /^chunk +65536 +file \(.*config\.json\)$/m);
  assert.match(
    (await run(['config', 'set', 'port', '7500'], { ...here, env })).stderr,
    /counts more than the file/,
  );
  assert.equal((await run(['config', 'set', 'chunk'], here)).stdout, 'chunk = 1048576\n');
  assert.equal(existsSync(join(home, 'identity.json')), false, 'looking at settings makes no keys');
});

test('a secret setting is not shown, and what is wrong is said', async () => {
  const home = join(folder, 'secret-home');
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(join(home, 'config.json'), '{"auth.password":"hunter2","prot":1}', { mode: 0o600 });
  for (const words of [
    ['list'],
    ['list', '--json'],
    ['get', 'auth.password'],
    ['get', 'auth.password', '--json'],
  ]) {
    const ran = await run(['config', ...words], { home, cwd });
    assert.equal(ran.status, 0, ran.stderr);
    assert.doesNotMatch(ran.stdout + ran.stderr, /hunter2/);
    assert.match(words.includes('--json') ? ran.stderr + ran.stdout : ran.stderr, /prot/);
  }
  assert.equal((await run(['config', 'get', 'auth.password'], { home, cwd })).stdout, '(set, not shown)\n');
  const cases: [string[], RegExp][] = [
    [[], /missing required argument/],
    [['show'], /config can't "show"/],
    [['get'], /config get wants a setting/],
    [['get', 'prot'], /there is no setting "prot" \(did you mean port\?\)/],
    [['set', 'port', '0'], /port can't be/],
    [['list', 'port'], /takes no "port"/],
    [['get', 'port', '1'], /takes no "1"/],
  ];
  for (const [words, message] of cases) {
    const ran = await run(['config', ...words], { home: join(folder, 'wrong-home'), cwd });
    assert.equal(ran.status, 2, ran.stderr);
    assert.match(ran.stderr, message);
  }
});

test('sessions and history tell who was there and what crossed, until they are forgotten', async () => {
  const served = await serve(['--open', '--max', '5', '--share', docs], { home: server });
  const here = { home: client, cwd };
  assert.equal((await run(['sessions'], here)).stdout, '');
  assert.equal((await run(['get', `${served.peer}:/docs/a.txt`, '.', '--accept-new'], here)).status, 0);
  // The client is done before the server has heard so, and may not be told to end before.
  while ((await run(['history', '--json'], { home: server, cwd })).stdout.indexOf('"crossing"') < 0);
  await served.stop();
  for (const home of [client, server]) {
    const [session, none] = eventsNamed(
      eventsOf(await run(['sessions', '--json'], { home, cwd })),
      'session',
    );
    assert.equal(none, undefined);
    assert.equal(session?.role, home === client ? 'client' : 'server');
    assert.equal(session?.address, '127.0.0.1');
    assert.equal((home === client ? session?.received : session?.sent)?.bytes, 6);
    assert.notEqual(session?.end, null);
    const events = eventsOf(await run(['history', '--since', 'yesterday', '--json'], { home, cwd }));
    const [crossing] = eventsNamed(events, 'crossing');
    assert.deepEqual(
      [crossing?.session, crossing?.files, crossing?.bytes, crossing?.code],
      [session?.id, 1, 6, 'OK'],
    );
  }
  assert.match((await run(['history'], here)).stdout, / from \S+ +6 B +OK +.*a\.txt\n$/);
  assert.equal((await run(['history', '--failed'], here)).stdout, '');
  assert.equal((await run(['history', '--since', '2999-01-01'], here)).stdout, '');
  assert.equal((await run(['sessions', 'forget'], here)).stdout, 'forgot 1 session\n');
  assert.equal((await run(['sessions'], here)).stdout, '');
  assert.match((await run(['sessions', 'forgot'], here)).stderr, /write sessions or sessions forget/);
});

test('a transfer that ends with its session is in the history', async () => {
  const homes = { there: join(folder, 'cut-server'), here: join(folder, 'cut-client') };
  writeFileSync(join(docs, 'big'), Buffer.alloc(8_000_000));
  const served = await serve(['--open', '--share', docs], { home: homes.there });
  const words = ['get', `${served.peer}:/docs/big`, '.', '--accept-new', '--limit', '1MB/s', '--json'];
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const client = start(words, { home: homes.here, cwd });
    await client.until(/"event":"progress"/);
    client.child.kill(signal);
    await client.ended;
  }
  const [stopped] = eventsNamed(
    eventsOf(await run(['history', '--json'], { home: homes.here, cwd })),
    'crossing',
  );
  assert.deepEqual([stopped?.direction, stopped?.code, stopped?.paths], ['receive', 'CANCELLED', ['big']]);
  const history = async () => eventsOf(await run(['history', '--json'], { home: homes.there, cwd }));
  const ended = async () => {
    const ran = await run(['sessions', '--json'], { home: homes.there, cwd });
    return eventsNamed(eventsOf(ran), 'session').filter(({ end }) => end != null).length;
  };
  // The second one may not be written down yet.
  while ((await ended()) < 2);
  const crossings = eventsNamed(await history(), 'crossing');
  for (const { direction, paths } of crossings) assert.deepEqual([direction, paths], ['send', ['big']]);
  const codes = crossings.map(({ code }) => code);
  assert.deepEqual(
    [codes.length, codes.includes('LOST'), codes.includes('OK')],
    [2, true, false],
    String(codes),
  );
  await served.stop();
});

test('a transfer that has no place to go to is in the history of both sides with its name', async () => {
  const homes = { there: join(folder, 'nowhere-server'), here: join(folder, 'nowhere-client') };
  const served = await serve(['--open', '--share', docs], { home: homes.there });
  const words = ['get', `${served.peer}:/docs/a.txt`, 'no/such/', '--accept-new'];
  assert.equal((await run(words, { home: homes.here, cwd })).status, 1);
  await served.stop();
  for (const home of [homes.here, homes.there]) {
    const [crossing] = eventsNamed(eventsOf(await run(['history', '--json'], { home, cwd })), 'crossing');
    assert.deepEqual([crossing?.code, crossing?.paths], ['NOT_FOUND', ['a.txt']]);
  }
});

test('a dry run of a get says where there is too little room', async () => {
  const home = join(folder, 'room');
  await using served = await serve(['--open', '--max', '2', '--share', docs], { home: `${home}-server` });
  const words = ['get', `${served.peer}:/docs/a.txt`, 'new.txt', '--accept-new', '--dry-run'];
  const ran = await Promise.all(
    ['0', '8000T'].map((reserve) =>
      run(words, { home: home + reserve, cwd, env: { LOCALSTREAM_FREE_SPACE_RESERVE: reserve } }),
    ),
  );
  const [wide, tight] = ran.map(({ status, stderr }) => {
    assert.equal(status, 0, stderr);
    return stderr;
  });
  assert.doesNotMatch(wide ?? '', /room/);
  assert.match(tight ?? '', /^there is too little room for 6 B: 0 B are left above freeSpaceReserve$/m);
});

test('a dry run is in no history, but that of a sender who is not told', async () => {
  const homes = { there: join(folder, 'dry-server'), here: join(folder, 'dry-client') };
  const inbox = folderIn(folder, 'dry-inbox');
  const served = await serve(['--open', '--max', '5', '--share', docs, '--share', `in=${inbox}:rw`], {
    home: homes.there,
  });
  const here = { home: homes.here, cwd };
  const crossings = async (home: string) =>
    eventsNamed(eventsOf(await run(['history', '--json'], { home, cwd })), 'crossing');
  const dry = ['--accept-new', '--dry-run'];
  const put = await run(['put', join(docs, 'a.txt'), `${served.peer}:/in/`, ...dry], here);
  assert.match(put.stdout, /^dry run: would send 1 file to [^,]*: 6 B\n.*would create/, put.stderr);
  const got = await run(['get', `${served.peer}:/docs/a.txt`, 'dry.txt', ...dry], here);
  assert.match(got.stdout, /^dry run: would receive 1 file from [^,]*: 6 B\n.*would create/, got.stderr);
  assert.equal((await run(['get', `${served.peer}:/docs/a.txt`, 'dry.txt'], here)).status, 0);
  const same = await run(['get', `${served.peer}:/docs/a.txt`, 'dry.txt', '--dry-run'], here);
  assert.match(same.stdout, /^dry run: would receive 0 files from [^,]*: 0 B, 1 file there already\n/);
  await served.stop();
  assert.deepEqual(
    (await crossings(homes.here)).map(({ files, bytes }) => [files, bytes]),
    [[1, 6]],
  );
  const theirs = await crossings(homes.there);
  assert.deepEqual(
    theirs.map(({ direction, files, bytes }) => [direction, files, bytes]),
    [
      ['send', 1, 6],
      ['send', 1, 6],
      ['send', 0, 0],
    ],
  );
});

test('the history names what crossed, and not what was left out', async () => {
  const homes = { there: join(folder, 'named-server'), here: join(folder, 'named-client') };
  const tree = folderIn(docs, 'named');
  writeFileSync(join(tree, 'whole.txt'), 'hello');
  symlinkSync('../outside', join(tree, 'away'));
  const served = await serve(['--open', '--max', '5', '--share', docs], { home: homes.there });
  const here = { home: homes.here, cwd };
  const get = ['get', `${served.peer}:/docs/named`, 'named-copy', '--accept-new'];
  assert.equal((await run(get, here)).status, 0);
  assert.equal((await run([...get, '--exclude', '*.txt'], here)).status, 0);
  await served.stop();
  const [second, first] = eventsNamed(eventsOf(await run(['history', '--json'], here)), 'crossing');
  assert.deepEqual(first?.paths, ['named/whole.txt']);
  assert.deepEqual(second?.paths, ['named'], 'all was left out');
});

test('times are local, and each way of writing them is read', () => {
  const now = new Date(2026, 2, 15, 14, 30);
  const table: [string, Date][] = [
    ['today', new Date(2026, 2, 15)],
    ['yesterday', new Date(2026, 2, 14)],
    ['2026-03-01', new Date(2026, 2, 1)],
    ['2026-03-01 14:05', new Date(2026, 2, 1, 14, 5)],
    ['90m', new Date(2026, 2, 15, 13, 0)],
    ['12h', new Date(2026, 2, 15, 2, 30)],
  ];
  for (const [typed, date] of table) assert.deepEqual(parseSince(typed, now), date, typed);
  for (const typed of ['', 'x', '2026-13-01', '5', '5y', 'yesterday 5'])
    refused(() => parseSince(typed), /is no time/);
});
