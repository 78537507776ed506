/** The shell without a terminal. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventsNamed, eventsOf, folderIn, freePort, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const here = { home: client, cwd: folderIn(folder, 'work') };
writeFileSync(join(docs, 'a b.txt'), 'hello\n');

test('a script runs line by line, without prompt or colour', async () => {
  await using served = await serve(['--open', '--share', docs], { home: server });
  const input = `# first
connect ${served.peer} --accept-new; ls
get "/docs/a b.txt" 'c d.txt' # trailing

ls \\
  /docs
disconnect
`;
  const ran = await run([], { ...here, input, env: { TERM: 'xterm-256color' } });
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(
    ran.stdout,
    /^connected to .*\nshare .* docs\/ {2}\(ro\)\nreceived 1 file .*\n[0-9a-f]{64} {2}a b\.txt\nfile .* a b\.txt\nclosed the connection to .*\n$/,
  );
  assert.doesNotMatch(ran.stdout + ran.stderr, /localstream>|\x1b/);
  assert.equal(readFileSync(join(here.cwd, 'c d.txt'), 'utf8'), 'hello\n');
  const once = await run(['connect', served.peer], { ...here, input: 'ls /docs' });
  assert.match(once.stdout, /^connected to .*\nfile .* a b\.txt\n$/);
});

test('the first failure is the end, with its status', async () => {
  const cases: [string, number, RegExp][] = [
    ['frobnicate\nhelp', 2, /no command frobnicate/],
    ['ls; help', 1, /no server is connected/],
    ['accept 1; help', 2, /no open question 1/],
    ['help "', 2, /ends within a quote/],
    ['help &', 2, /background/],
    ['serve', 2, /outside the shell only/],
  ];
  for (const [input, status, message] of cases) {
    const ran = await run([], { ...here, input });
    assert.equal(ran.status, status, input);
    assert.match(ran.stderr, message);
    assert.equal(ran.stdout, '', input);
  }
});

test('exit ends a script, and so does its end', async () => {
  const ran = await run([], { ...here, input: 'identity; exit; frobnicate\nfrobnicate' });
  assert.deepEqual([ran.status, ran.stderr], [0, '']);
  assert.match(ran.stdout, /^SHA256:.*\n(?: {2}[a-z -]+\n)*$/);
  assert.equal((await run([], { ...here, input: '' })).status, 0);
});

test('listeners open and close within a script, and status shows them', async () => {
  const [first, second] = [await freePort(), await freePort()];
  const input = `
add_local_connection 127.0.0.1 ${first} 2 --share ${docs}
add_local_connection ::1 ${first} 1
add_connection ${second} 7 --open
status
`;
  const events = eventsOf(await run(['--json'], { ...here, input }));
  assert.deepEqual(
    eventsNamed(events, 'listening').map(({ port, maxConnections, open }) => [port, maxConnections, open]),
    [
      [first, 2, false],
      [first, 1, false],
      [second, 7, true],
    ],
  );
  const [status] = eventsNamed(events, 'status');
  assert.deepEqual(
    status?.listeners.map(({ host, port, shares }) => [host, port, shares.length]),
    [
      ['127.0.0.1', first, 1],
      ['::1', first, 0],
      [status?.listeners[2]?.host, second, 0],
    ],
  );
  assert.equal(status?.session, null);
  const twice = await run([], { ...here, input: `${input}del_connection ${first}` });
  assert.equal(twice.status, 2);
  assert.match(twice.stderr, /is open on 2 addresses; say which: 127\.0\.0\.1:\d+ or \[::1\]:\d+/);
  const closed = `del_connection [::1]:${first}; del_connection ${first}; add_local_connection 127.0.0.1 ${first} 1`;
  const ran = await run([], { ...here, input: `${input}${closed}` });
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stdout, /\nlistener 127\.0\.0\.1:\d+: 0 of 2 peers\n {2}share {2}docs {2}ro {2}\S/);
});

test('--json of one command ends that command, and the script goes on', async () => {
  const { stdout, status } = await run([], { ...here, input: 'identity --json; identity' });
  assert.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(JSON.parse(lines[0] ?? '').event, 'identity');
  assert.deepEqual(JSON.parse(lines[1] ?? ''), { event: 'done', exit: 0, code: 'OK' });
  assert.match(lines[2] ?? '', /^SHA256:/);
  const failing = await run([], { ...here, input: 'ls --json; identity' });
  assert.equal(failing.status, 1);
  assert.deepEqual(
    failing.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).event),
    ['error', 'done'],
  );
  assert.equal(failing.stderr.trimEnd().split('\n').length, 1, 'told once');
});

test('the home is where the option says', async () => {
  const other = join(folder, 'other-home');
  const [identity] = eventsNamed(
    eventsOf(await run(['identity', '--json', '--home', other], here)),
    'identity',
  );
  assert.equal(identity?.home, other);
  assert.deepEqual(eventsNamed(eventsOf(await run(['identity', '--json'], { home: other })), 'identity'), [
    identity,
  ]);
});

test('-c runs commands as a script does: the first failure is the end, unless a - forgives it', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], { home: server });
  const connect = `connect ${served.peer} --accept-new`;
  const ran = await run(['-c', `${connect}; cd docs\nget 'a b.txt' from-c.txt & ls`], here);
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stdout, / a b\.txt\n/);
  assert.equal(readFileSync(join(here.cwd, 'from-c.txt'), 'utf8'), 'hello\n');
  const cases: [string, number, RegExp][] = [
    ['frobnicate; identity', 2, /^$/],
    ['-frobnicate; identity', 0, /^SHA256:/],
    ['- ls; identity', 0, /^SHA256:/],
    ['identity; ls', 1, /^SHA256:/],
    ['', 0, /^$/],
    ['help "', 2, /^$/],
  ];
  for (const [text, status, stdout] of cases) {
    const { stdout: printed, status: ended, stderr } = await run(['-c', text], here);
    assert.equal(ended, status, `${text}: ${stderr}`);
    assert.match(printed, stdout, text);
  }
  assert.match((await run(['-c', 'identity', 'identity'], here)).stderr, /-c and identity are both given/);
  assert.equal((await run(['-c'], here)).status, 2);
  const events = eventsOf(await run(['--json', '-c', '- ls; identity'], here));
  assert.deepEqual(
    events.map(({ event }) => event),
    ['error', 'identity', 'done'],
  );
});
