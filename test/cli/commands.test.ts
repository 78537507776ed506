/** Transcripts: real processes, real keys, real files. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { sorted } from '../../src/cli/commands/list-dir.ts';
import {
  environment,
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  LAUNCHER,
  type Ran,
  run,
  scratch,
  serve,
  start,
} from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const inbox = folderIn(folder, 'in');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
const there = { home: server, cwd: folder };
writeFileSync(join(docs, 'a.txt'), 'hello\n', { mode: 0o640 });
utimesSync(join(docs, 'a.txt'), 1_700_000_000, 1_700_000_000);
writeFileSync(join(docs, 'big.bin'), Buffer.alloc(5_000_000, 'localstream'));
writeFileSync(join(docs, 'späce "q" 😀\n\x1b[2J.txt'), 'x');

/** Fails as documented: one line on stderr, nothing on stdout, the status of the code. */
function failed(ran: Ran, status: number, message: RegExp): void {
  assert.equal(ran.status, status, ran.stderr + ran.stdout);
  assert.match(ran.stderr, message);
  assert.match(ran.stderr, /^(?:.*\n)*localstream: [^\n]+\n$/);
  assert.equal(ran.stdout, '');
}

test('identity, help and version need no server', async () => {
  const { stdout, stderr, status } = await run(['identity'], here);
  assert.deepEqual([stderr, status], ['', 0]);
  assert.match(stdout, /^SHA256:[A-Za-z0-9+/]{43} {2}\S.*\n(?: {2}[a-z]+(?: [a-z]+){5}\n){2}$/);
  const help = await run(['help'], here);
  assert.deepEqual([help.stderr, help.status], ['', 0]);
  assert.equal((await run(['--help'], here)).stdout, help.stdout);
  assert.equal((await run(['help', 'list-dir'], here)).stdout, (await run(['ls', '--help'], here)).stdout);
  for (const flag of ['--version', '-V']) assert.match((await run([flag], here)).stdout, /^\d+\.\d+\.\d+\n$/);
  const commands = eventsNamed(eventsOf(await run(['help', '--json'], here)), 'command');
  assert.ok(commands.some(({ name }) => name === 'send_file'));
});

test('wrong usage ends with 2 and says what would be right', async () => {
  failed(await run(['gett'], here), 2, /did you mean get\?/);
  failed(await run(['get'], here), 2, /missing required argument 'paths'; see "help get"/);
  failed(await run(['get', 'a.txt'], here), 2, /names no peer; write PEER:\/SHARE\/PATH/);
  failed(await run(['put', 'a.txt'], here), 2, /no peer is named/);
  failed(await run(['list_dir'], here), 2, /no peer is named/);
  failed(await run(['receive_file', '.'], here), 2, /no peer is named; add --from PEER/);
  failed(await run(['add_connection', '0'], here), 2, /no port 0/);
  failed(await run(['add_connection', '70000'], here), 2, /no port 70000/);
  failed(await run(['add_connection', 'abc'], here), 2, /"abc" is not a port/);
  failed(await run(['send_file', '7353', 'a', '12'], here), 2, /not a chunk size/);
  failed(await run(['send_file', '7353', 'a', '2K', '--chunk', '4K'], here), 2, /two chunk sizes/);
  failed(await run(['connect', 'nas:1', '2'], here), 2, /two ports are given/);
  failed(await run(['cd', '/docs'], here), 2, /in the shell only/);
  const events = eventsOf(await run(['--json', 'gett'], here));
  assert.deepEqual(events[0], {
    event: 'error',
    code: 'USAGE',
    exit: 2,
    message: 'there is no command gett (did you mean get?)',
    hint: 'see "help"',
  });
});

test('without a server there is nothing to show or close', async () => {
  const server = /no server is running in this home; serve --daemon starts one/;
  for (const line of [
    'status',
    'del_connection 7353',
    'jobs',
    'wait',
    'cancel 1',
    'accept 1',
    'trust 1',
    'reject 1',
    'kick ann',
    'shutdown',
  ]) {
    const ran = await run([...line.split(' '), '--json'], here);
    failed({ ...ran, stdout: '' }, 1, server);
    const [error] = eventsNamed(eventsOf(ran), 'error');
    assert.equal(error?.code, 'NO_SERVER', line);
  }
});

test('a server that is not there, or is none of ours, is told apart', async () => {
  const port = await freePort();
  failed(await run(['list_dir', `127.0.0.1:${port}:`], here), 4, /127\.0\.0\.1/);
  failed(await run(['list_dir', 'no-such-host.invalid:'], here), 4, /no-such-host\.invalid/);
  const web = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await once(web.listen(0, '127.0.0.1'), 'listening');
  const address = web.address();
  assert.ok(typeof address === 'object' && address !== null);
  failed(await run(['list_dir', `127.0.0.1:${address.port}:`], here), 4, /./);
  web.close();
});

test('an unknown server is refused, pinned unseen, or known by its fingerprint', async () => {
  await using served = await serve(['--open', '--share', docs], there);
  const home = join(folder, 'fresh-home');
  const list = ['list_dir', `${served.peer}:`];
  failed(await run(list, { home }), 3, /not known here/);
  const wrong = 'SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM';
  failed(await run([...list, '--fingerprint', wrong], { home }), 6, /hbmM4iCr/);
  failed(await run(list, { home }), 3, /not known here/);
  const accepted = await run([...list, '--accept-new'], { home });
  assert.equal(accepted.status, 0, accepted.stderr);
  assert.match(accepted.stderr, /^pinned SHA256:.* unverified\n$/);
  const known = await run(list, { home });
  assert.deepEqual([known.status, known.stderr], [0, '']);
  assert.match(known.stdout, /^share .* docs\/ {2}\(ro\)\n$/);
  const other = join(folder, 'other-home');
  assert.equal((await run([...list, '--fingerprint', served.fingerprint], { home: other })).status, 0);
  assert.equal((await run(list, { home: other })).status, 0);
});

test('a known server with another key raises the alarm, whatever is asked for', async () => {
  const home = join(folder, 'alarm-home');
  const first = await serve(['--open'], there);
  assert.equal((await run(['list_dir', `${first.peer}:`, '--accept-new'], { home })).status, 0);
  assert.equal((await first.stop()).status, 0);
  const words = ['serve', '--json', '--host', '127.0.0.1', '--port', String(first.port), '--open'];
  const impostor = start(words, { home: join(folder, 'impostor-home') });
  await impostor.until(/"listening"/);
  const list = ['list_dir', `${first.peer}:`];
  failed(await run(list, { home }), 6, new RegExp(first.fingerprint.replaceAll(/[+/]/g, '.')));
  failed(await run([...list, '--accept-new'], { home }), 6, /another key/);
  impostor.child.kill('SIGTERM');
  assert.equal((await impostor.ended).status, 0);
});

test('an unknown client is turned away unless it was trusted before', async () => {
  await using served = await serve(['--share', docs], there);
  const home = join(folder, 'stranger-home');
  const words = ['list_dir', `${served.peer}:`, '--fingerprint', served.fingerprint];
  failed(await run(words, { home }), 3, /./);
  await served.running.until(/"event":"refused".*"NOT_TRUSTED"/);
  const fingerprint = (await run(['identity'], { home })).stdout.slice(0, 50);
  const trusted = await run(['trust', fingerprint, '--name', 'alice'], there);
  assert.equal(trusted.stdout, `trusted: alice, ${fingerprint}\n`);
  assert.equal((await run(words, { home })).status, 0);
  await served.running.until(/"event":"peer","change":"connected".*"name":"alice","trusted":true/);
});

test('a listing shows type, size, time and name, escaped; --json has names as they are', async () => {
  await using served = await serve(['--open', '--share', docs, '--share', `in=${inbox}:wo`], there);
  const list = (path: string, ...more: string[]) =>
    run(['list_dir', `${served.peer}:${path}`, '--accept-new', ...more], here);
  const shares = eventsNamed(eventsOf(await list('', '--json')), 'entry');
  assert.deepEqual(
    shares.map(({ name, type, shareMode }) => [name, type, shareMode]),
    [
      ['docs', 'share', 'ro'],
      ['in', 'share', 'wo'],
    ],
  );
  const { stdout, status } = await list('/docs');
  assert.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, 3);
  const time = /\d{4}-\d\d-\d\d \d\d:\d\d/;
  assert.match(
    lines.find((line) => line.endsWith('  a.txt')) ?? '',
    new RegExp(`^file {8}6 B {2}${time.source} {2}a\\.txt$`),
  );
  assert.ok(
    lines.some((line) => /^file {4}5\.00 MB .* big\.bin$/.test(line)),
    stdout,
  );
  assert.ok(
    lines.some((line) => line.endsWith('  späce "q" 😀\\n\\x1b[2J.txt')),
    stdout,
  );
  const entries = eventsNamed(eventsOf(await list('/docs', '--json')), 'entry');
  assert.deepEqual(entries.map(({ name }) => name).toSorted(), readdirSync(docs).toSorted());
  const entry = entries.find(({ name }) => name === 'a.txt');
  assert.deepEqual(
    [entry?.size, entry?.mode, entry?.mtime],
    [6, 0o640, new Date(1_700_000_000_000).toISOString()],
  );
  assert.deepEqual((await run(['ls', '/docs', '--from', served.peer], here)).stdout, stdout);
  failed(await list('/nope'), 1, /no share 'nope'; list_dir shows which there are$/m);
  failed(await list('/docs/nope'), 1, /./);
  failed(await list('/docs/../..'), 1, /./);
  failed(await list('/in'), 3, /./);
});

test('files go both ways, whole, with their times and rights', async () => {
  await using served = await serve(['--open', '--share', docs, '--share', `in=${inbox}:rw`], there);
  const got = eventsOf(
    await run(['get', `${served.peer}:/docs/big.bin`, 'copy.bin', '--json', '--accept-new'], here),
  );
  const [receipt] = eventsNamed(got, 'receipt');
  assert.deepEqual(
    [receipt?.direction, receipt?.files, receipt?.bytes, receipt?.failed, receipt?.code],
    ['receive', 1, 5_000_000, 0, 'OK'],
  );
  assert.match(receipt?.digest ?? '', /^[0-9a-f]{64}$/);
  assert.ok((receipt?.seconds ?? -1) >= 0);
  assert.equal(receipt?.peer.fingerprint, served.fingerprint);
  assert.equal(receipt?.peer.cipher, 'TLS_AES_256_GCM_SHA384');
  assert.deepEqual(readFileSync(join(work, 'copy.bin')), readFileSync(join(docs, 'big.bin')));

  const put = await run(['put', 'copy.bin', `${served.peer}:/in/`], here);
  assert.equal(put.status, 0, put.stderr);
  assert.match(put.stdout, /^sent 1 file to .*: 5\.00 MB in [\d.]+ s(?: \([\d.]+ .?B\/s\))?\n/);
  assert.ok(put.stdout.includes(`${receipt?.digest}  copy.bin\n`), put.stdout);
  assert.equal(put.stderr, '');
  assert.deepEqual(readFileSync(join(inbox, 'copy.bin')), readFileSync(join(docs, 'big.bin')));

  assert.equal((await run(['get', '/docs/a.txt', '.', '--from', served.peer], here)).status, 0);
  const stat = statSync(join(work, 'a.txt'));
  assert.deepEqual([stat.mode & 0o777, stat.mtimeMs], [0o640, 1_700_000_000_000]);

  const odd = readdirSync(docs).find((name) => name.includes('😀')) ?? '';
  const fetched = await run(['get', `${served.peer}:/docs/${odd}`, './'], here);
  assert.equal(fetched.status, 0, fetched.stderr);
  assert.ok(existsSync(join(work, odd)));
  assert.equal(fetched.stdout.includes('\x1b'), false);
  writeFileSync(join(work, 'a:b'), 'colon');
  assert.equal((await run(['put', 'a:b', `${served.peer}:/in/`], here)).status, 0);
  assert.equal(readFileSync(join(inbox, 'a:b'), 'utf8'), 'colon');
  assert.equal(
    (await run(['put', 'a.txt', '--to', served.peer], here)).status,
    0,
    'the only share that takes files',
  );
  assert.ok(existsSync(join(inbox, 'a.txt')));
});

test('what exists is left alone, unless told otherwise', async () => {
  await using served = await serve(['--open', '--share', docs], there);
  const target = join(work, 'mine.txt');
  writeFileSync(target, 'precious');
  const get = ['get', `${served.peer}:/docs/a.txt`, 'mine.txt', '--accept-new'];
  const refused = await run(get, here);
  assert.equal(refused.status, 5, refused.stderr);
  assert.match(refused.stderr, /^localstream: .*--overwrite/m);
  assert.equal(readFileSync(target, 'utf8'), 'precious');
  assert.equal((await run([...get, '--yes'], here)).status, 5, '--yes overwrites nothing');
  assert.equal((await run([...get, '--overwrite'], here)).status, 0);
  assert.equal(readFileSync(target, 'utf8'), 'hello\n');
  // Of several it is said as well.
  const tree = folderIn(work, 'tree');
  for (const name of readdirSync(docs)) writeFileSync(join(tree, name), 'precious');
  const several = await run(['get', `${served.peer}:/docs/*.txt`, 'tree/'], here);
  assert.equal(several.status, 5, several.stderr);
  assert.match(several.stderr, /^localstream: .*differs.* more\); add --overwrite/m);
});

test('a target that is left alone is told with the reason', async () => {
  await using served = await serve(['--open', '--share', docs, '--share', `in=${inbox}:rw`], there);
  for (const file of [join(work, 'later.txt'), join(inbox, 'later.txt')]) writeFileSync(file, 'precious');
  const source = join(work, 'sooner.txt');
  writeFileSync(source, 'sooner');
  utimesSync(source, 1_700_000_000, 1_700_000_000);
  const moves = [
    ['get', `${served.peer}:/docs/a.txt`, 'later.txt', '--accept-new'],
    ['put', 'sooner.txt', `${served.peer}:/in/later.txt`],
  ];
  for (const words of moves)
    for (const [policy, reason] of [
      ['--skip-existing', 'it is there'],
      ['--update', 'it is there, and not older'],
    ] as const) {
      const ran = await run([...words, policy], here);
      assert.equal(ran.status, 0, ran.stderr);
      assert.ok(ran.stdout.includes(`  (skipped: ${reason})\n`), ran.stdout);
    }
});

test('what can be done about an existing target is advised only where it can be', async () => {
  const port = await freePort();
  const words = ['send_file', String(port), join(docs, 'a.txt'), '--open', '--host', '127.0.0.1'];
  const offered = start(words, there);
  await offered.until(/listening/);
  const target = join(work, 'theirs.txt');
  writeFileSync(target, 'precious');
  const receive = ['receive_file', 'theirs.txt', '--from', `127.0.0.1:${port}`, '--accept-new', '--yes'];
  assert.match((await run(receive, here)).stderr, /; add --overwrite/);
  const sent = await offered.ended;
  assert.equal(sent.status, 5, sent.stderr);
  assert.match(sent.stderr, /the receiver says what becomes of it/);

  await using served = await serve(['--open', '--share', docs], there);
  spawnSync('mkfifo', [join(work, 'fifo')]);
  for (const more of [[], ['--overwrite']]) {
    const got = await run(['get', `${served.peer}:/docs/a.txt`, 'fifo', '--accept-new', ...more], here);
    assert.equal(got.status, 1, got.stderr);
    assert.match(got.stderr, /a pipe, a device or a socket has that name, and is not replaced$/m);
  }
});

test('who sends what does not fit is told how much is missing and what to do', async () => {
  const env = { LOCALSTREAM_FREE_SPACE_RESERVE: String(Number.MAX_SAFE_INTEGER) };
  await using served = await serve(['--open', '--share', `docs=${docs}:rw`], { ...there, env });
  const put = await run(['put', join(docs, 'a.txt'), `${served.peer}:/docs/full.txt`, '--accept-new'], here);
  assert.equal(put.status, 1, put.stderr);
  const amounts = '6 B are needed, 0 B are left above freeSpaceReserve';
  assert.ok(put.stderr.includes(`free space: ${amounts}; make room there`), put.stderr);
  const piped = await run(['put', '-', `${served.peer}:/docs/full.txt`], { ...here, input: 'hello' });
  assert.equal(piped.status, 1, piped.stderr);
  assert.match(piped.stderr, /free space: 0 B are left above freeSpaceReserve; make room there/);
});

test('what is not there, not allowed or not a place is one line and its status', async () => {
  await using served = await serve(['--open', '--share', docs], there);
  const at = (path: string) => `${served.peer}:${path}`;
  failed(await run(['get', at('/docs/nope'), '--accept-new'], here), 1, /nope/);
  failed(await run(['get', at('/docs/a.txt'), 'no/such/folder/'], here), 1, /folder/);
  failed(await run(['put', 'nope.txt', at('/docs/')], here), 1, /nope\.txt: there is no such file here/);
  failed(await run(['put', at('/docs/a.txt'), '.'], here), 2, /names no peer/);
  writeFileSync(join(work, 'b.txt'), 'b');
  failed(await run(['put', 'b.txt', at('/docs/')], here), 3, /does not allow|not permit/);
  failed(await run(['put', 'b.txt', '--to', served.peer], here), 3, /none of the shares takes files/);
});

test('a file is offered, and taken only by who says so', async () => {
  const port = await freePort();
  const receive = ['receive_file', 'taken/', '--from', `127.0.0.1:${port}`, '--accept-new'];
  const target = folderIn(work, 'taken');

  const offering = start(
    ['send_file', String(port), join(docs, 'big.bin'), '64K', '--open', '--json', '--host', '127.0.0.1'],
    there,
  );
  await offering.until(/"listening"/);
  const unasked = await run(receive, here);
  assert.equal(unasked.status, 2, unasked.stderr);
  assert.match(unasked.stderr, /nobody can be asked here about what is offered; add --yes/);
  assert.deepEqual(readdirSync(target), []);

  // It is still there for who says so.
  const taken = eventsOf(await run([...receive, '--yes', '--json'], here));
  const sent = eventsOf(await offering.ended);
  const [theirs] = eventsNamed(sent, 'receipt');
  const [ours] = eventsNamed(taken, 'receipt');
  assert.equal(ours?.digest, theirs?.digest);
  assert.equal(eventsNamed(sent, 'receipt').length, 1, 'told once');
  assert.equal(eventsNamed(taken, 'offer')[0]?.folder, realpathSync(target));
  assert.deepEqual(eventsNamed(taken, 'offer')[0]?.roots, [
    { name: 'big.bin', type: 'file', size: 5_000_000 },
  ]);
  assert.deepEqual(readFileSync(join(target, 'big.bin')), readFileSync(join(docs, 'big.bin')));
});

test('a listener ends with 0 when it is told to, and its port is free', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const served = await serve(['--share', `docs=${docs}`], there);
    const ran = await served.stop(signal);
    assert.equal(ran.status, 0, ran.stderr);
    const [listening] = eventsNamed(eventsOf(ran), 'listening');
    assert.deepEqual(listening, {
      event: 'listening',
      host: '127.0.0.1',
      port: served.port,
      fingerprint: served.fingerprint,
      maxConnections: 1,
      open: false,
      auth: 'trusted',
      shares: [{ name: 'docs', folder: docs, mode: 'ro' }],
      inbox: { folder: join(server, 'inbox'), accept: 'ask' },
    });
    const again = start(['add_local_connection', '127.0.0.1', String(served.port), '3'], there);
    await again.until(/^listening on 127\.0\.0\.1:\d+, up to 3 peers, no shares, SHA256:.*\n$/);
    again.child.kill('SIGTERM');
    assert.equal((await again.ended).status, 0);
  }
});

test('a port that is taken is an error, never a listener', async () => {
  await using served = await serve([], there);
  failed(await run(['add_local_connection', '127.0.0.1', String(served.port), '1'], there), 1, /in use/);
  failed(
    await run(['serve', '--share', join(folder, 'nope'), '--port', String(await freePort())], there),
    1,
    /nope/,
  );
});

test('a listener that is full says so', async () => {
  await using served = await serve(['--open', '--max', '1'], there);
  const waiting = start(['receive_file', '.', '--from', served.peer, '--accept-new', '--yes'], here);
  await served.running.until(/"change":"connected"/);
  const home = join(folder, 'late-home');
  failed(await run(['list_dir', `${served.peer}:`, '--accept-new'], { home }), 4, /full \(1 of 1\)/);
  waiting.child.kill('SIGINT');
  await waiting.ended;
});

test('an interrupted command says so by its status', async () => {
  await using served = await serve(['--open', '--max', '2'], there);
  for (const [signal, status, code] of [
    ['SIGINT', 130, 'CANCELLED'],
    ['SIGTERM', 143, 'TERMINATED'],
    ['SIGHUP', 143, 'TERMINATED'],
  ] as const) {
    const waiting = start(
      ['receive_file', '.', '--from', served.peer, '--accept-new', '--yes', '--json', '--verbose'],
      here,
    );
    await waiting.until(/X25519MLKEM768/);
    waiting.child.kill(signal);
    const ran = await waiting.ended;
    assert.equal(ran.status, status, ran.stderr);
    assert.equal(eventsNamed(eventsOf(ran), 'done')[0]?.code, code);
  }
});

test('list_dir takes a pattern for the last name, and a name that looks like one', async () => {
  const listed = folderIn(docs, 'listed');
  for (const name of ['b.jpg', 'a.jpg', '.c.jpg', 'd.txt']) writeFileSync(join(listed, name), name);
  writeFileSync(join(folderIn(listed, 'trip [2024]'), 'inside'), '');
  await using served = await serve(['--open', '--share', docs], there);
  const list = (path: string) => run(['list_dir', `${served.peer}:${path}`, '--accept-new', '--json'], here);
  const names = async (path: string) =>
    eventsNamed(eventsOf(await list(path)), 'entry').map(({ name }) => name);
  assert.deepEqual(await names('/docs/listed/*.jpg'), ['a.jpg', 'b.jpg']);
  assert.deepEqual(await names('/docs/listed/.*'), ['.c.jpg']);
  assert.deepEqual(await names('/do*'), ['docs']);
  assert.deepEqual(await names('/docs/listed/trip [2024]'), ['inside']);
  assert.deepEqual(await names('/docs/listed/trip*'), ['trip [2024]']);
  const none = await list('/docs/listed/*.pdf');
  assert.deepEqual(
    [none.status, none.stderr],
    [1, 'localstream: nothing matches /docs/listed/*.pdf; check the pattern\n'],
  );
  assert.match((await list('/docs/*/a.jpg')).stderr, /there is no '\*' in the share 'docs'/);
});

test('a listing is sorted by name, in text and in events', async () => {
  const many = folderIn(docs, 'sorted');
  // More than a page of them.
  const names = Array.from({ length: 300 }, (_, index) => `f${(index * 7919) % 300}`);
  names.push('B', 'a', 'ä', '.b');
  for (const name of names) writeFileSync(join(many, name), '');
  await using served = await serve(['--open', '--share', docs], there);
  const list = ['list_dir', `${served.peer}:/docs/sorted`, '--accept-new'];
  const wanted = names.toSorted();
  const events = eventsOf(await run([...list, '--json'], here));
  assert.deepEqual(
    eventsNamed(events, 'entry').map(({ name }) => name),
    wanted,
  );
  const { stdout } = await run(list, here);
  assert.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ').at(-1)),
    wanted,
  );
});

test('more entries than may be held come as the server lists them', async () => {
  async function* listing(isCut = false) {
    for (const name of ['c', 'a', 'b'])
      yield { name, type: 'file' as const, size: 0, mtime: new Date(0), mode: 0 };
    if (isCut) throw new Error('cut');
  }
  const names = async (most: number) => {
    let text = '';
    for await (const { name } of sorted(listing(), most)) text += name;
    return text;
  };
  assert.equal(await names(3), 'abc');
  assert.equal(await names(2), 'cab');
  assert.equal(await names(0), 'cab');
  const shown: string[] = [];
  await assert.rejects(async () => {
    for await (const { name } of sorted(listing(true), 3)) shown.push(name);
  }, /cut/);
  assert.deepEqual(shown, ['a', 'b', 'c'], 'what came before');
});

test('a reader that has had enough is no error', async () => {
  await using served = await serve(['--open', '--share', docs], there);
  const many = folderIn(docs, 'many');
  for (let index = 0; index < 3000; index += 1)
    writeFileSync(join(many, `file-${String(index).padStart(60, '0')}`), '');
  const script = `"$0" "$1" list_dir ${served.peer}:/docs/many --accept-new | head -1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, LAUNCHER], {
    env: environment(client),
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.match(stdout, /^file .*\n0\n$/);
});

test('names that are not UTF-8 cross, as they are typed', {
  skip: process.platform !== 'linux',
}, async () => {
  await using served = await serve(['--open', '--share', `in=${inbox}:rw`], there);
  const name = Buffer.from([0x66, 0xff, 0x6f]);
  writeFileSync(Buffer.concat([Buffer.from(`${work}/`), name]), 'raw');
  const put = `"$0" "$1" put $'f\\xffo' ${served.peer}:/in/ --accept-new`;
  const get = `mkdir back && cd back && "$0" "$1" get ${served.peer}:$'/in/f\\xffo' && "$0" "$1" list_dir ${served.peer}:/in`;
  const child = spawn('bash', ['-c', `${put} && ${get}`, process.execPath, LAUNCHER], {
    env: environment(client),
    cwd: work,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 0, stdout);
  assert.match(stdout, / f\\xffo\n/);
  const back = readdirSync(join(work, 'back'), { encoding: 'buffer' });
  assert.deepEqual(back, [name]);
});

test('send_file that waits for several says how many are here', async () => {
  const port = await freePort();
  const words = [
    'send_file',
    String(port),
    join(docs, 'a.txt'),
    '--open',
    '--host',
    '127.0.0.1',
    '--peers',
    '2',
  ];
  const offered = start(words, there);
  await offered.until(/listening/);
  const receive = (home: string) =>
    start(['receive_file', '.', '--from', `127.0.0.1:${port}`, '--accept-new', '--yes'], {
      home: join(folder, home),
      cwd: folderIn(folder, `${home}-work`),
    });
  const first = receive('first');
  await offered.until(/\n1 of 2 peers are here, waiting for the others\n/);
  const second = receive('second');
  const [sent, ...received] = await Promise.all([offered.ended, first.ended, second.ended]);
  assert.deepEqual([sent.status, ...received.map(({ status }) => status)], [0, 0, 0], sent.stderr);
  assert.equal(sent.stdout.match(/sent 1 file/g)?.length, 2);
});
