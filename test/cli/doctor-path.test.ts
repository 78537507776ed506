/** doctor HOST:PORT, against listeners on the loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CheckEvent } from '../../src/cli/events.ts';
import { PATH_CHECKS } from '../../src/doctor/finding.ts';
import { eventsNamed, eventsOf, freePort, run, scratch, serve } from './cli-process.ts';

const scene = scratch();
const here = { home: scene.client };
const there = { home: scene.server };

async function lookAt(peer: string, home = scene.client) {
  const ran = await run(['doctor', peer, '--json'], { home });
  const events = eventsOf(ran);
  const checks = eventsNamed(events, 'check');
  return { status: ran.status, checks, code: eventsNamed(events, 'done')[0]?.code };
}

const grades = (checks: readonly CheckEvent[]) => checks.map(({ id, grade }) => `${id} ${grade}`);

async function fingerprintOf(home: string): Promise<string> {
  const [identity] = eventsNamed(eventsOf(await run(['identity', '--json'], { home })), 'identity');
  return identity?.fingerprint ?? '';
}

test('shows nothing of ours to a stranger, and trusts nobody', async () => {
  await using server = await serve(['--open', '--max', '4'], there);
  const { status, code, checks } = await lookAt(server.peer);
  assert.deepEqual([status, code], [5, 'WARNED']);
  assert.deepEqual(grades(checks), [
    'resolve ok',
    'reach ok',
    'handshake ok',
    'key warning',
    'round-trip ok',
    'session unknown',
    'send-rate unknown',
    'receive-rate unknown',
  ]);
  assert.equal(checks[3]?.text, `${server.fingerprint} is not known here`);
  const peers = eventsNamed(eventsOf(await run(['peers', '--json'], here)), 'trust');
  assert.deepEqual(peers, []);
  const seen = eventsNamed(eventsOf(await server.stop()), 'peer');
  assert.deepEqual(seen, [], 'nobody came in');
});

test('measures with a peer that trusts this machine, and says so where it does not', async () => {
  await using server = await serve(['--open', '--max', '4'], there);
  const listed = await run(['list_dir', `${server.peer}:/`, '--accept-new'], here);
  assert.equal(listed.status, 0, listed.stderr);
  const known = readFileSync(join(scene.client, 'trust.json'), 'utf8');
  const stranger = await lookAt(server.peer);
  assert.deepEqual([stranger.status, stranger.code], [0, 'OK']);
  assert.deepEqual(grades(stranger.checks), [
    ...PATH_CHECKS.slice(0, 6).map((id) => `${id} ok`),
    'send-rate unknown',
    'receive-rate unknown',
  ]);
  assert.match(
    stranger.checks.at(-1)?.text ?? '',
    /not measured: .*it tests with trusted keys and users only/,
  );
  assert.equal((await run(['trust', await fingerprintOf(scene.client), '--yes'], there)).status, 0);
  const friend = await lookAt(server.peer);
  assert.deepEqual(
    grades(friend.checks),
    PATH_CHECKS.map((id) => `${id} ok`),
  );
  for (const { bytesPerSecond } of friend.checks.slice(-2)) assert.ok((bytesPerSecond ?? 0) > 0);
  const trusted = (text: string) => JSON.parse(text).peers?.length ?? Object.keys(JSON.parse(text)).length;
  assert.equal(trusted(readFileSync(join(scene.client, 'trust.json'), 'utf8')), trusted(known));
});

test('ends with what is in the way: nobody, another program, a closed door, another key', async () => {
  const port = await freePort();
  const nobody = await lookAt(`127.0.0.1:${port}`);
  assert.deepEqual([nobody.status, nobody.code], [4, 'UNREACHABLE']);
  assert.deepEqual(grades(nobody.checks), ['resolve ok', 'reach warning', 'handshake problem']);
  const other = createServer((socket) => socket.on('error', () => {}).end('220 hello\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(other, 'listening');
  const stranger = await lookAt(`127.0.0.1:${(other.address() as AddressInfo).port}`);
  other.close();
  assert.deepEqual([stranger.status, stranger.code], [4, 'NOT_LOCALSTREAM']);
  const home = join(scene.folder, 'closed-home');
  await using closed = await serve([], { home });
  const nowhere = await run(['trust', closed.fingerprint, '--yes'], here);
  assert.equal(nowhere.status, 0, nowhere.stderr);
  const shut = await lookAt(closed.peer);
  assert.deepEqual([shut.status, shut.code], [3, 'NOT_TRUSTED']);
  assert.equal(shut.checks.at(-1)?.id, 'session');
  const address = `127.0.0.1:${closed.port}`;
  await closed.stop();
  // The same port, and another machine behind it.
  const mine = { home: join(scene.folder, 'mine') };
  const first = await serve(['--open'], { home: join(scene.folder, 'first') });
  assert.equal((await run(['list_dir', `${first.peer}:/`, '--accept-new'], mine)).status, 0);
  await first.stop();
  const impostor = await serve(['--open', '--port', String(first.port)], {
    home: join(scene.folder, 'second'),
  });
  const changed = await lookAt(first.peer, mine.home);
  await impostor.stop();
  assert.deepEqual([changed.status, changed.code], [6, 'KEY_CHANGED'], address);
});
