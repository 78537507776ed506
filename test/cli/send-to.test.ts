/** send --to and receive --auto: from one process to another, over real sockets, into real folders. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs } from '../needs.ts';
import {
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  type RunOptions,
  run,
  scratch,
  serve,
  start,
} from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server, client } = scratch();
const work = folderIn(folder, 'work');
writeFileSync(join(work, 'a.txt'), 'hello\n');
for (const name of ['tree', 'tree/empty']) folderIn(work, name);
writeFileSync(join(work, 'tree', 'b.txt'), 'there\n');
const here = { home: client, cwd: work };
folderIn(work, 'links');
symlinkSync('../a.txt', join(work, 'links', 'leaving'));
symlinkSync('nowhere', join(work, 'links', 'link'));
const keyOf = async (options: RunOptions) =>
  eventsNamed(eventsOf(await run(['identity', '--json'], options)), 'identity')[0]?.fingerprint ?? '';

/** Lets this machine into another home, and that one into this. */
async function acquaint(home: string): Promise<void> {
  const [mine, theirs] = [await keyOf(here), await keyOf({ home })];
  assert.equal((await run(['trust', mine, '--name', 'desk'], { home })).status, 0);
  assert.equal((await run(['trust', theirs, '--name', home.replace(/.*\//, '')], here)).status, 0);
}

/** Starts `receive --auto` and waits until it listens. */
async function receiving(home: string, words: readonly string[]) {
  const port = await freePort();
  const running = start(
    ['receive', '--auto', ...words, '--json', '--host', '127.0.0.1', '--port', String(port)],
    { home, cwd: folder },
  );
  await running.until(/"event":"listening".*\n/);
  return { running, peer: `127.0.0.1:${port}` };
}

test('receive --auto takes what a trusted peer sends, renames what is taken, and ends after so many', async () => {
  await acquaint(server);
  const into = folderIn(folder, 'auto');
  writeFileSync(join(into, 'a.txt'), 'mine\n');
  const { running, peer } = await receiving(server, ['auto', '--count', '2']);
  const stranger = { home: join(folder, 'stranger-home'), cwd: work };
  const refused = await run(
    ['send', 'a.txt', '--to', peer, '--fingerprint', await keyOf({ home: server })],
    stranger,
  );
  assert.equal(refused.status, 3, refused.stderr);
  const first = await run(['send', 'a.txt', '--to', peer], here);
  assert.equal(first.status, 0, first.stderr);
  assert.match(
    first.stdout,
    /^sent 1 file to server-home: 6 B .*\n[0-9a-f]{64} {2}a\.txt {2}\(saved as a \(2\)\.txt\)\n$/,
  );
  assert.match(first.stderr, /^offered to server-home \(127\.0\.0\.1:\d+\), which has not answered yet\n$/);
  const second = await run(['send', 'tree', '--to', peer, '--json'], here);
  assert.equal(second.status, 0, second.stderr);
  assert.equal(eventsNamed(eventsOf(second), 'receipt')[0]?.files, 1);
  const ended = await running.ended;
  assert.equal(ended.status, 0, ended.stderr);
  const events = eventsOf(ended);
  assert.deepEqual(
    eventsNamed(events, 'listening').map(({ inbox }) => inbox),
    [{ folder: into, accept: 'trusted' }],
  );
  assert.deepEqual(
    eventsNamed(events, 'offer').map(({ accepted, roots, total, from, folder: place }) => [
      accepted,
      roots[0]?.name,
      total,
      from.trusted,
      place,
    ]),
    [
      [true, 'a.txt', { files: 1, bytes: 6, more: false }, true, into],
      [true, 'tree', { files: 1, bytes: 6, more: false }, true, into],
    ],
  );
  assert.deepEqual(
    eventsNamed(events, 'receipt').map(({ direction, outcomes }) => [direction, outcomes[0]?.savedAs]),
    [
      ['receive', 'a (2).txt'],
      ['receive', null],
    ],
  );
  assert.deepEqual(readdirSync(into).sort(), ['a (2).txt', 'a.txt', 'tree']);
  assert.equal(readFileSync(join(into, 'a.txt'), 'utf8'), 'mine\n');
  assert.equal(readFileSync(join(into, 'a (2).txt'), 'utf8'), 'hello\n');
  assert.deepEqual(readdirSync(join(into, 'tree')).sort(), ['b.txt', 'empty']);
});

test('receive --auto ends with 0 when it is told to, and tells what failed', async () => {
  folderIn(folder, 'until-told');
  const { running, peer } = await receiving(server, ['until-told']);
  writeFileSync(join(work, 'big'), Buffer.alloc(8 * 1024 * 1024));
  const broken = start(['send', 'big', '--to', peer, '--limit', '1MB/s', '--retry-for', '0'], here);
  await running.until(/"event":"offer".*"accepted":true/);
  broken.child.kill('SIGINT');
  assert.equal((await broken.ended).status, 130);
  await running.until(/"event":"failed".*"direction":"receive"/);
  const again = await run(['send', 'big', '--to', peer], here);
  assert.equal(again.status, 0, again.stderr);
  running.child.kill('SIGTERM');
  const ended = await running.ended;
  assert.equal(ended.status, 0, ended.stderr);
  assert.deepEqual(readdirSync(join(folder, 'until-told')), ['big']);
});

test('a listener that asks nobody refuses with the reason, and one with a rule takes it', async () => {
  const home = join(folder, 'rules-home');
  await acquaint(home);
  {
    await using served = await serve(['--max', '3'], { home });
    const refused = await run(['send', 'a.txt', '--to', served.peer], here);
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /localstream: nobody is there to be asked, and no rule accepts it\n/);
  }
  const inbox = folderIn(folder, 'ruled');
  {
    await using served = await serve(['--max', '3', '--inbox', inbox, '--offers', 'trusted'], { home });
    assert.equal((await run(['send', 'a.txt', '--to', served.peer], here)).status, 0);
  }
  await using served = await serve(['--max', '3'], { home, env: { LOCALSTREAM_INBOX_ACCEPT: 'trusted' } });
  assert.equal((await run(['send', 'a.txt', '--to', served.peer], here)).status, 0);
  const { stdout } = await served.stop();
  assert.match(stdout, /"event":"receipt".*"direction":"receive"/);
  assert.deepEqual(readdirSync(inbox), ['a.txt']);
  assert.deepEqual(readdirSync(join(home, 'inbox')), ['a.txt']);
});

test('several peers have each their own outcome; some failures are 5, all alike are theirs', async () => {
  const homes = ['one-home', 'two-home'].map((name) => join(folder, name));
  for (const home of homes) await acquaint(home);
  const [one = '', two = ''] = homes;
  await using taking = await serve(['--max', '3', '--offers', 'trusted'], { home: one });
  await using refusing = await serve(['--max', '3'], { home: two });
  const closed = `127.0.0.1:${await freePort()}`;
  const words = ['send', 'a.txt', '--to', taking.peer, '--to', refusing.peer, '--to', closed];
  const mixed = await run([...words, '--json'], here);
  assert.equal(mixed.status, 5, mixed.stderr);
  const events = eventsOf(mixed);
  assert.deepEqual(
    eventsNamed(events, 'receipt').map(({ peer, code }) => [peer.name, code]),
    [['one-home', 'OK']],
  );
  assert.deepEqual(
    eventsNamed(events, 'failed')
      .map(({ peer, code, transferId }) => [peer, code, transferId === null])
      .sort(),
    [
      [refusing.peer, 'NOT_ALLOWED', false],
      [closed, 'UNREACHABLE', true],
    ].sort(),
  );
  assert.match(mixed.stderr, /sent to 1 of 3 peers/);
  assert.deepEqual(readdirSync(join(one, 'inbox')), ['a.txt']);
  // By its name, which leads to the address where it was met last.
  const named = await run(['send', 'links', '--to', 'one-home'], here);
  assert.equal(named.status, 0, named.stderr);
  assert.match(named.stdout, /^-{64} {2}links\/link {2}\(link\)$/m);
  assert.match(named.stdout, /^-{64} {2}links\/leaving {2}\(skipped: .*\)$/m);
  const alike = await run(['send', 'a.txt', '--to', closed, '--to', 'localhost:9'], here);
  assert.equal(alike.status, 4, alike.stderr);
});

test('a key that is not known or has changed is never taken unseen', async () => {
  const home = join(folder, 'unseen-home');
  await using served = await serve(['--open', '--max', '3'], { home });
  const unknown = await run(['send', 'a.txt', '--to', served.peer], here);
  assert.equal(unknown.status, 3);
  assert.match(unknown.stderr, /is not known here; compare it .* then use --fingerprint, or trust it/);
  const wrong = await run(
    ['send', 'a.txt', '--to', served.peer, '--fingerprint', await keyOf({ home: server })],
    here,
  );
  assert.equal(wrong.status, 6, wrong.stderr);
  assert.equal((await run(['send', 'a.txt', '--to', served.peer, '--accept-new'], here)).status, 2);
});

test('what makes no sense is wrong usage, before anybody is asked', async () => {
  const wrongs: [string[], RegExp][] = [
    [['send', 'a.txt', '--to', 'x', '--codes', '2'], /--codes is of no use with --to/],
    [['send', 'a.txt', '--to', 'x', '--hidden'], /--hidden is of no use with --to/],
    [['send', 'a.txt', '--user', 'x'], /--user is of no use without --to/],
    [['send', 'a.txt', '--to', 'x', '--to', 'x'], /x is named twice/],
    [['send', '-', '--to', 'x', '--to', 'y'], /standard input can be sent to one peer only/],
    [['send', 'a.txt', '--to', 'x:y:z'], /./],
    [['receive', '--auto', '.', '--overwrite'], /--overwrite is of no use with --auto/],
    [['receive', '--auto', '7-acid-abyss', '.'], /with --auto there is a folder and no code/],
    [['receive', '.', '--count', '2'], /--count is of use with --auto only/],
    [['serve', '--offers', 'all'], /"all" is not a rule for offers/],
  ];
  for (const [words, message] of wrongs) {
    const { status, stderr } = await run(words, here);
    assert.match(stderr, message);
    assert.equal(status, 2, stderr);
  }
  const missing = await run(['send', 'none', '--to', '127.0.0.1:9'], here);
  assert.deepEqual([missing.status, /none/.test(missing.stderr)], [1, true], missing.stderr);
  const nowhere = await run(['serve', '--inbox', 'none', '--port', '1'], here);
  assert.equal(nowhere.status, 1, nowhere.stderr);
});

describe('in a terminal', needs('tmux'), () => {
  test('an offer is asked about above the line being typed, and answered by its number', async () => {
    const home = join(folder, 'asked-home');
    await acquaint(home);
    const port = await freePort();
    using shell = new Terminal([], { home, cwd: folder, columns: 140 });
    await shell.until(/localstream[^>\n]*>/);
    shell.type(`add_local_connection 127.0.0.1 ${port} 5`);
    shell.press('Enter');
    await shell.until(/listening on/);
    shell.type('help exit # half typed');
    const to = ['--to', `127.0.0.1:${port}`];
    const first = start(['send', 'a.txt', 'tree', ...to], here);
    await shell.until(
      /\[1\] desk \(127\.0\.0\.1:\d+\) offers a\.txt \(6 B\), tree\/: 2 files, 12 B\n +its key +SHA256:\S+, trusted\n +the inbox +\S+inbox\n +accept 1 takes it, accept 1 PATH puts it elsewhere, reject 1 refuses it\n/,
    );
    await shell.until(/localstream[^>\n]*> help exit # half typed$/);
    shell.press('Enter');
    await shell.until(/Close everything and leave/);
    shell.type('status');
    shell.press('Enter');
    await shell.until(/waiting for an answer:\n +\[1\] desk .* offers a\.txt/);
    shell.type('accept 1');
    shell.press('Enter');
    assert.equal((await first.ended).status, 0);
    await shell.until(/received 2 files from desk/);
    assert.deepEqual(readdirSync(join(home, 'inbox')).sort(), ['a.txt', 'tree']);
    assert.equal(shell.lines.join('\n').match(/received 2 files/g)?.length, 1, 'it is told once');

    const second = start(['send', 'a.txt', ...to], here);
    await shell.until(/\[2\] desk /);
    shell.type('reject 2');
    shell.press('Enter');
    const rejected = await second.ended;
    assert.equal(rejected.status, 3);
    assert.match(rejected.stderr, /the other side said no/);

    const third = start(['send', 'a.txt', ...to], here);
    await shell.until(/\[3\] desk /);
    const elsewhere = folderIn(folder, 'elsewhere');
    shell.type('accept 3 nowhere/; accept 3 elsewhere/');
    shell.press('Enter');
    await shell.until(/localstream: there is no folder 'nowhere\/'/);
    shell.type('accept 3 elsewhere/ &');
    shell.press('Enter');
    assert.equal((await third.ended).status, 0);
    await shell.until(/job 1 is done/);
    assert.deepEqual(readdirSync(elsewhere), ['a.txt']);

    const fourth = start(['send', 'a.txt', ...to], here);
    await shell.until(/\[4\] desk /);
    fourth.child.kill('SIGINT');
    assert.equal((await fourth.ended).status, 130);
    await shell.until(/\[4\] is withdrawn/);
    shell.type('accept 4');
    shell.press('Enter');
    await shell.until(/there is no open question 4/);
  });

  test('a server in the foreground asks, too', async () => {
    const home = join(folder, 'foreground-home');
    await acquaint(home);
    const port = await freePort();
    using terminal = new Terminal(['serve', '--host', '127.0.0.1', '--port', String(port), '--max', '3'], {
      home,
      cwd: folder,
      columns: 140,
    });
    await terminal.until(/listening on/);
    const taken = start(['send', 'a.txt', '--to', `127.0.0.1:${port}`], here);
    await terminal.until(/offers a\.txt \(6 B\)\. Take it\?/);
    terminal.press('Enter');
    assert.equal((await taken.ended).status, 0);
    await terminal.until(/received 1 file from desk/);
    const refused = start(['send', 'a.txt', '--to', `127.0.0.1:${port}`], here);
    await terminal.until(/Take it\?[\s\S]*Take it\? \(Y\/n\)\s*$/);
    terminal.type('n');
    terminal.press('Enter');
    assert.equal((await refused.ended).status, 3);
    assert.deepEqual(readdirSync(join(home, 'inbox')), ['a.txt']);
  });
});
