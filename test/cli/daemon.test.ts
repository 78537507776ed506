/** A server without a terminal, and the other terminals that speak to it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { socketPath } from '../../src/cli/daemon/socket.ts';
import { resolveHome } from '../../src/store/home.ts';
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
import { daemon, dialRaw, isAlive, say, statusOf, until } from './daemon-process.ts';

const { folder } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'a.txt'), 'hello\n');
writeFileSync(join(work, 'one.txt'), 'one\n');
writeFileSync(join(work, 'two.txt'), 'two\n');
writeFileSync(join(work, 'big.bin'), Buffer.alloc(4_000_000, 'localstream'));
const SLOW = ['--limit', '2k', '--chunk', '1k'];
let homes = 0;

/** Two machines that nobody has used. */
function fresh(): {
  readonly here: { home: string; cwd: string };
  readonly there: { home: string; cwd: string };
} {
  homes += 1;
  return {
    here: { home: join(folder, `home-${homes}`), cwd: work },
    there: { home: join(folder, `peer-${homes}`), cwd: folderIn(folder, `got-${homes}`) },
  };
}

function codeOf(ran: Ran): string | undefined {
  return eventsNamed(eventsOf(ran), 'done')[0]?.code;
}

test('it is ready when the command returns, private, and gone when shutdown returns', async () => {
  const { here } = fresh();
  await using server = await daemon(['--share', docs, '--max', '3'], here);
  const socket = socketPath(resolveHome({}, here.home));
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(socket)).mode & 0o777, 0o700);
  assert.equal(statSync(server.log).mode & 0o777, 0o600);
  const status = await server.status();
  assert.deepEqual([status.pid, status.server, status.listeners.length], [server.pid, true, 1]);
  const text = await run(['status'], here);
  assert.match(
    text.stdout,
    new RegExp(`server: process ${server.pid}\\nlistener 127.0.0.1:${server.port}: 0 of 3 peers\\n`),
  );
  const ended = await run(['shutdown'], here);
  assert.deepEqual([ended.status, ended.stdout], [0, `the server, process ${server.pid}, has ended\n`]);
  // Its port and its home are free at once.
  await using again = await daemon(['--port', String(server.port)], here);
  assert.notEqual(again.pid, server.pid);
});

test('it says by its status why it did not start, and leaves nothing behind', async () => {
  const { here } = fresh();
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  assert.ok(address !== null && typeof address === 'object');
  const port = String(address.port);
  const busy = await run(['serve', '--daemon', '--host', '127.0.0.1', '--port', port], here);
  assert.deepEqual([busy.status, busy.stdout], [1, '']);
  assert.match(busy.stderr, /^localstream: 127\.0\.0\.1, port \d+ is in use; choose another port/);
  taken.close();
  const nowhere = await run(['serve', '--daemon', '--share', join(folder, 'nowhere')], here);
  assert.equal(nowhere.status, 1);
  assert.match(nowhere.stderr, /nowhere/);
  assert.equal((await run(['serve', '--daemon', '--open', '--auth', 'password'], here)).status, 2);
  assert.equal(codeOf(await run(['status', '--json'], here)), 'NO_SERVER');
});

test('a home has one server, however many start at once; one that was killed is replaced', async () => {
  const { here } = fresh();
  const ports = [await freePort(), await freePort(), await freePort()];
  const ran = await Promise.all(
    ports.map((port) =>
      run(['serve', '--daemon', '--json', '--host', '127.0.0.1', '--port', String(port)], here),
    ),
  );
  const pids = ran.flatMap((one) => eventsNamed(eventsOf(one), 'server').map(({ pid }) => pid));
  assert.equal(pids.length, 1, ran.map(({ stderr }) => stderr).join(''));
  assert.deepEqual(ran.map(codeOf).toSorted(), ['OK', 'SERVER_RUNNING', 'SERVER_RUNNING']);
  const [pid = 0] = pids;
  assert.equal((await statusOf(here)).pid, pid);
  process.kill(pid, 'SIGKILL');
  await until(() => !isAlive(pid), 'it was not killed');
  assert.ok(statSync(socketPath(resolveHome({}, here.home))).isSocket(), 'it has left its socket');
  assert.equal(codeOf(await run(['status', '--json'], here)), 'NO_SERVER');
  await using next = await daemon([], here);
  assert.equal((await next.status()).pid, next.pid);
});

test('listeners are opened and closed from elsewhere, with the paths of who asks', async () => {
  const { here, there } = fresh();
  await using server = await daemon([], { ...here, cwd: folder });
  const port = await freePort();
  const added = await run(
    ['add_local_connection', '127.0.0.1', String(port), '2', '--open', '--share', 'in=.:rw'],
    here,
  );
  assert.equal(added.status, 0, added.stderr);
  assert.match(added.stdout, /^listening on 127\.0\.0\.1:\d+, up to 2 peers, shares in \(rw\)/);
  const [, listener] = (await server.status()).listeners;
  assert.deepEqual(
    listener?.shares.map(({ folder: shared }) => shared),
    [work],
  );
  const listed = await run(['list_dir', `127.0.0.1:${port}:/in`, '--accept-new'], there);
  assert.match(listed.stdout, /one\.txt/, listed.stderr);
  const twice = await run(['add_connection', String(port), '--json'], here);
  assert.equal(codeOf(twice), 'PORT_IN_USE');
  assert.equal((await run(['del_connection', String(port)], here)).status, 0);
  assert.equal(codeOf(await run(['del_connection', String(port), '--json'], here)), 'NO_SERVER');
  assert.equal((await server.status()).listeners.length, 1);
});

test('who wants in waits for the answer of another terminal', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--share', docs], here);
  const list = ['list_dir', `${server.peer}:/docs`, '--accept-new'];
  const asked = async (number: number) =>
    await until(
      async () => (await server.status()).questions.some((question) => question.number === number),
      `question ${number} was never asked`,
    );
  const refused = start(list, there);
  await asked(1);
  assert.equal((await run(['reject', '1'], here)).status, 0);
  assert.equal((await refused.ended).status, 3);
  const once = start(list, there);
  await asked(2);
  assert.match(
    (await run(['status'], here)).stdout,
    /waiting for an answer:\n {2}\[s2\] ".*" at 127\.0\.0\.1 wants in, SHA256:/,
  );
  assert.equal((await run(['accept', 's2'], here)).status, 0);
  assert.match((await once.ended).stdout, /a\.txt/);
  const always = start(list, there);
  await asked(3);
  assert.equal((await run(['trust', '3', '--name', 'ann'], here)).status, 0);
  assert.equal((await always.ended).status, 0);
  assert.equal((await run(list, there)).status, 0, 'it is not asked again');
  assert.match((await run(['peers'], here)).stdout, /^ann +let in here /);
  assert.equal((await run(['accept', '3'], here)).status, 2);
  assert.match(readFileSync(server.log, 'utf8'), /^\d{4}-.*Z \[s1\] an unknown client wants in/m);
});

test('what a peer offers waits for another terminal, which says where it goes', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--open', '--max', '3'], here);
  writeFileSync(join(there.cwd, 'gift.txt'), 'a gift\n');
  assert.equal((await run(['trust', server.fingerprint, '--name', 'nas'], there)).status, 0);
  const giving = start(['send', 'gift.txt', '--to', server.peer], there);
  await until(async () => (await server.status()).offers.length === 1, 'nothing was offered');
  const [offer] = (await server.status()).offers;
  assert.match((await run(['status'], here)).stdout, /\[s1\] .* offers gift\.txt/);
  const target = folderIn(work, 'gifts');
  const taken = await run(['accept', String(offer?.number), 'gifts/'], here);
  assert.equal(taken.status, 0, taken.stderr);
  assert.match(taken.stdout, /received 1 file from /);
  assert.equal((await giving.ended).status, 0);
  assert.equal(readFileSync(join(target, 'gift.txt'), 'utf8'), 'a gift\n');
  const unwanted = start(['send', 'gift.txt', '--to', server.peer], there);
  await until(async () => (await server.status()).offers.length === 1, 'nothing was offered');
  assert.equal((await run(['reject', 's2'], here)).status, 0);
  assert.equal((await unwanted.ended).status, 3);
});

test('files are sent from elsewhere; who asked, or anybody by its number, ends a transfer and no other', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--open', '--max', '5'], here);
  const port = String(server.port);
  const nobody = await run(['send_file', port, 'one.txt', '--json'], here);
  assert.equal(codeOf(nobody), 'NOT_CONNECTED');
  const receiver = (cwd: string, more: readonly string[] = []) =>
    start(['receive_file', './', '--from', server.peer, '--accept-new', '--yes', ...more], { ...there, cwd });
  const small = receiver(there.cwd);
  const sent = await run(['send_file', port, '*.txt', '--peers', '1', '--json'], here);
  assert.equal(sent.status, 0, sent.stderr);
  assert.equal(eventsNamed(eventsOf(sent), 'receipt')[0]?.files, 2);
  assert.equal((await small.ended).status, 0);
  assert.equal(readFileSync(join(there.cwd, 'two.txt'), 'utf8'), 'two\n');
  await until(
    async () => (await server.status()).listeners[0]?.peers.length === 0,
    'the receiver never left',
  );

  const first = receiver(folderIn(there.cwd, 'first'));
  const big = ['send_file', port, 'big.bin', '--peers', '1', '--json', ...SLOW];
  const interrupted = start(big, here);
  await interrupted.until(/"event":"progress".*"phase":"moving"/);
  const jobs = eventsNamed(eventsOf(await run(['jobs', '--json'], here)), 'job');
  const running = jobs.filter(({ state }) => state === 'running');
  assert.deepEqual(
    running.map(({ number, server: isServers }) => [number, isServers]),
    [[3, true]],
  );
  assert.match((await run(['jobs'], here)).stdout, /job s3 +running .* send_file \d+ big\.bin/);
  const [peer] = (await server.status()).listeners[0]?.peers ?? [];
  const second = receiver(folderIn(there.cwd, 'second'));
  await until(async () => (await server.status()).listeners[0]?.peers.length === 2, 'the second never came');
  const other = (await server.status()).listeners[0]?.peers.find(({ id }) => id !== peer?.id);
  const cancelled = start(['send_file', port, 'big.bin', '--to', other?.id ?? '', '--json', ...SLOW], here);
  await cancelled.until(/"event":"progress".*"phase":"moving"/);
  interrupted.child.kill('SIGINT');
  const ended = await interrupted.ended;
  assert.deepEqual([ended.status, codeOf(ended)], [130, 'CANCELLED']);
  await first.ended;
  const [left] = eventsNamed(eventsOf(await run(['jobs', '--json'], here)), 'job').filter(
    ({ state }) => state === 'running',
  );
  assert.equal(left?.number, 4, 'the other one goes on');
  const waiting = start(['wait', 's4', '--json'], here);
  await waiting.until(/"event":"progress"/);
  assert.equal((await run(['cancel', 's4'], here)).status, 0);
  assert.equal((await waiting.ended).status, 130, 'who waits is told');
  assert.equal((await cancelled.ended).status, 130);
  await second.ended;
  assert.equal((await server.status()).listeners[0]?.transfers.length, 0);
});

test('a command whose terminal is gone is ended, and the server ends what it runs', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--open', '--max', '5'], here);
  const receiver = start(['receive_file', './', '--from', server.peer, '--accept-new', '--yes'], there);
  const big = ['send_file', String(server.port), 'big.bin', '--peers', '1', '--json', ...SLOW];
  const killed = start(big, here);
  await killed.until(/"event":"progress".*"phase":"moving"/);
  killed.child.kill('SIGKILL');
  await killed.ended;
  await until(async () => (await server.status()).listeners[0]?.transfers.length === 0, 'it went on');
  await receiver.ended;
  const waiting = start(big, here);
  await until(
    async () =>
      eventsNamed(eventsOf(await run(['jobs', '--json'], here)), 'job').some(
        ({ state }) => state === 'running',
      ),
    'it never began',
  );
  assert.equal((await run(['shutdown'], here)).status, 0);
  assert.equal((await waiting.ended).status, 143);
  assert.ok(!isAlive(server.pid) || (await run(['status'], here)).status === 1);
});

test('who is connected is shown, kicked, and out when its key is forgotten elsewhere', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--share', docs, '--max', '5'], here);
  const identity = eventsNamed(eventsOf(await run(['identity', '--json'], there)), 'identity')[0];
  assert.ok(identity);
  assert.equal((await run(['trust', identity.fingerprint, '--name', 'ann'], here)).status, 0);
  const stay = () =>
    start(['receive_file', './', '--from', server.peer, '--accept-new', '--yes', '--retry-for', '0'], there);
  const isIn = async () =>
    await until(async () => (await server.status()).listeners[0]?.peers.length === 1, 'it never came');
  const first = stay();
  await isIn();
  assert.match((await run(['peers'], here)).stdout, /^ann +by hand +connected /);
  assert.equal(eventsNamed(eventsOf(await run(['peers', '--json'], here)), 'trust')[0]?.connected, true);
  assert.equal((await run(['kick', 'ann'], here)).status, 0);
  assert.equal((await first.ended).status, 3);
  const second = stay();
  await isIn();
  assert.equal((await run(['forget', 'ann'], here)).status, 0);
  assert.equal((await second.ended).status, 3, 'its session ended');
});

test('nothing that is said on the socket ends the server, and nobody is kept waiting by those who say nothing', async () => {
  const { here } = fresh();
  await using server = await daemon([], here);
  const failure = (answer: string) => JSON.parse(answer.trim().split('\n').at(-1) ?? '{}').failure?.code;
  for (const words of [
    'hello\n',
    '{}\n',
    'null\n',
    '[[[[\n',
    '{"version":1}\n',
    '{"version":1,"run":[],"cwd":"/"}\n',
    '{"version":1,"run":["status"],"cwd":7,"json":false}\n',
    Buffer.from([0xff, 0xfe, 0x00, 0x0a]),
  ])
    assert.equal(failure(await say(here.home, words)), 'BAD_MESSAGE', String(words));
  assert.equal(failure(await say(here.home, '{"version":2,"run":["status"]}\n')), 'NOT_SUPPORTED');
  const request = {
    version: 1,
    cwd: '/',
    json: false,
    verbose: false,
    yes: false,
    columns: 80,
    colour: { out: false, err: false },
  };
  const runs = (...words: string[]) => `${JSON.stringify({ ...request, run: words })}\n`;
  for (const words of [['frobnicate'], ['get', 'nas:/a', '.'], ['serve'], ['--help'], ['del_connection']])
    assert.equal(failure(await say(here.home, runs(...words))), 'USAGE', words.join(' '));
  assert.match(await say(here.home, runs('status')), /this machine[\s\S]*"ended":true,"failure":null/);
  // A line that never ends.
  const endless = await dialRaw(here.home);
  endless.on('error', () => {});
  const closed = new Promise((resolve) => endless.once('close', resolve));
  const megabyte = Buffer.alloc(1024 * 1024, 'a');
  for (let count = 0; count < 4; count += 1) endless.write(megabyte);
  endless.resume();
  await closed;
  // Those who say nothing, more than may be, and go without a word.
  const silent = await Promise.all(Array.from({ length: 70 }, () => dialRaw(here.home)));
  const full = await run(['status', '--json'], here);
  assert.equal(codeOf(full), 'BUSY');
  for (const socket of silent) socket.destroy();
  await until(async () => (await run(['status'], here)).status === 0, 'it never had room again');
  assert.equal((await server.status()).pid, server.pid);
});

test('a home with a long path has its socket elsewhere, and as private', async () => {
  const deep = folderIn(folder, `${'deep-'.repeat(20)}/${'deeper-'.repeat(10)}`);
  const here = { home: join(deep, 'home'), cwd: work };
  const path = socketPath(resolveHome({}, here.home));
  assert.ok(Buffer.byteLength(path) <= 103 && !path.startsWith(here.home), path);
  await using server = await daemon([], here);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
  symlinkSync(deep, join(folder, 'link'));
  const byLink = { home: join(folder, 'link', 'home'), cwd: work };
  assert.equal((await statusOf(byLink)).pid, server.pid, 'by another way it is the same home');
  assert.equal((await run(['shutdown'], here)).status, 0);
  // Where another server of this user has its socket there, the folder stays.
  if (readdirSync(dirname(path)).length === 0) rmdirSync(dirname(path));
});

test('where there can be no socket, only a server that others have to reach does not start', async () => {
  const { here } = fresh();
  folderIn(here.home, 'server.sock/in-the-way');
  const refused = await run(['serve', '--daemon', '--host', '127.0.0.1', '--json'], here);
  assert.equal(codeOf(refused), 'STATE');
  await using served = await serve([], here);
  await served.running.until(/no other terminal can speak to this server: .*server\.sock/);
  assert.equal(codeOf(await run(['status', '--json'], here)), 'NO_SERVER');
});

test('scripts and -c of the shell use the server, and wait for what they have it send', async () => {
  const { here, there } = fresh();
  await using server = await daemon(['--open', '--max', '3'], here);
  const receiver = start(['receive_file', './', '--from', server.peer, '--accept-new', '--yes'], there);
  await until(async () => (await server.status()).listeners[0]?.peers.length === 1, 'nobody came');
  const script = `send_file ${server.port} one.txt &\nstatus --json\n-accept s9\ntrust s9\n`;
  const ran = await run([], { ...here, input: script });
  assert.equal(ran.status, 2, ran.stderr);
  assert.match(ran.stdout, new RegExp(`"event":"status","pid":${server.pid},"server":true`));
  assert.match(ran.stdout, /sent 1 file to /);
  assert.match(ran.stderr, /there is no open question s9/);
  assert.equal((await receiver.ended).status, 0);
  const stopped = await run(['-c', 'shutdown; status'], here);
  assert.match(stopped.stdout, /has ended\n[\s\S]*listeners: none/);
});

test('a server in the foreground is spoken to as well, and does not keep others from serving', async () => {
  const { here } = fresh();
  await using first = await serve(['--share', docs], here);
  assert.equal((await statusOf(here)).pid, first.running.child.pid);
  await using second = await serve([], here);
  await second.running.until(/another server of this home is running/);
  assert.equal((await run(['serve', '--daemon'], here)).status, 1);
  assert.equal((await run(['serve', '--ask'], here)).status, 1);
  assert.equal((await run(['shutdown'], here)).status, 0);
  assert.equal((await first.running.ended).status, 0);
  assert.equal(second.running.child.exitCode, null);
});
