/** What a stranger learns, and what one in the middle gets: every byte that the other side decrypts is looked at. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { LocalstreamError } from '../../src/errors.ts';
import { contextOptions } from '../../src/net/tls.ts';
import { ALPN } from '../../src/protocol/limits.ts';
import { identities } from '../crypto/fixed.ts';
import { dialControl, dialTls, type RawControl } from './wire-dialler.ts';
import { RawListener } from './wire-listener.ts';
import { afterwards, folderOf, machine, serve, until } from './wire-machines.ts';

const { alice, bob, mallory } = identities;
const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

/** What nobody but a peer may ever see: a share, a file, a size, a folder, another peer. */
const SECRETS = ['secret-share', 'secret-file', '48151623', 'localstream-test-', 'trusted-peer'];

function assertSilent(bytes: readonly Buffer[], what: string): void {
  const text = Buffer.concat([...bytes]).toString('latin1');
  for (const secret of SECRETS) assert.ok(!text.includes(secret), `${what}: ${secret} in ${text}`);
}

async function secretListener(t: TestContext, options: Parameters<typeof serve>[1] = {}) {
  const folder = folderOf(t, { 'secret-file': Buffer.alloc(48_151_623) });
  const served = await serve(
    t,
    { open: false, shares: [{ name: 'secret-share', folder, mode: 'rw' }], maxConnections: 2, ...options },
    { name: 'nas' },
  );
  await served.bob.trust.trust({ fingerprint: alice.fingerprint, name: 'trusted-peer', how: 'operator' });
  return served;
}

/** Everything that a stranger may try before anybody lets it in. */
const REQUESTS = [
  { type: 'list', request: 1, path: '/' },
  { type: 'list', request: 1, path: '/secret-share' },
  { type: 'get', transfer: '0'.repeat(32), paths: ['/secret-share/secret-file'], lanes: 1, chunk: 1024 },
  {
    type: 'put',
    transfer: '0'.repeat(32),
    target: '/secret-share/',
    roots: [{ name: 'x', type: 'file', size: 1 }],
    lanes: 1,
    chunk: 1024,
    existing: 'overwrite',
  },
  { type: 'accept', transfer: '0'.repeat(32) },
  { type: 'ping', request: 1 },
];

suite('what a stranger learns', () => {
  test('a stranger that is refused: versions, keys and the device name', async (t) => {
    const served = await secretListener(t);
    for (const request of [undefined, ...REQUESTS]) {
      const control = await dialControl(served.listener.port, mallory);
      await control.handshake();
      control.send(request ?? { type: 'introduce', name: 'mallory', waiting: false });
      control.send({ type: 'admit' });
      if (request) control.send(request);
      const types: unknown[] = [];
      for (let message = await control.next(); message; message = await control.next())
        types.push(message.type);
      assert.ok(['introduce,bye', 'bye'].includes(types.join()), `${request?.type}: ${types}`);
      assertSilent(control.reader.all, `refused, ${request?.type}`);
    }
    assert.equal(served.listener.peers.length, 0);
    assert.deepEqual(served.failed, []);
  });

  test('a stranger about whom a person is being asked, and who asks meanwhile', async (t) => {
    const answer = Promise.withResolvers<'reject'>();
    let asked = 0;
    const served = await secretListener(t, {
      decide: async () => {
        asked += 1;
        return await answer.promise;
      },
    });
    const controls: RawControl[] = [];
    for (const request of REQUESTS.slice(0, 4)) {
      const control = await dialControl(served.listener.port, mallory);
      controls.push(control);
      await control.handshake();
      control.send({ type: 'introduce', name: 'mallory', waiting: false });
      control.send({ type: 'admit' });
      control.send(request);
    }
    await until(() => asked === 4);
    answer.resolve('reject');
    for (const control of controls) {
      await control.reader.ended();
      assertSilent(control.reader.all, 'waiting');
    }
    assert.deepEqual(served.listener.peers, []);
  });

  test('a stranger at each step before: nothing at all that is ours', async (t) => {
    const served = await secretListener(t);
    const { port } = served.listener;
    const silent = await dialTls(port, mallory);
    const lane = await dialTls(port, undefined);
    lane.socket.write(Buffer.concat([Buffer.from('LS1 LANE'), randomBytes(52)]));
    await lane.ended();
    assert.equal(Buffer.concat(lane.all).length, 0);
    const control = await dialControl(port, mallory);
    control.send({ type: 'list', request: 1, path: '/secret-share' });
    await control.reader.ended();
    for (const reader of [silent, lane, control.reader]) assertSilent(reader.all, 'before');
    assert.equal(Buffer.concat(silent.all).length, 0);
    silent.socket.destroy();
  });

  test('a stranger past the last place hears that it is full, and not of whom', async (t) => {
    const served = await secretListener(t, { open: true, maxConnections: 1 });
    const client = await machine(t, 'alice');
    const session = await client.connect({ host: '127.0.0.1', port: served.listener.port, acceptNew: true });
    const control = await dialControl(served.listener.port, mallory);
    await control.handshake();
    control.send({ type: 'introduce', name: 'mallory', waiting: false });
    await control.reader.ended();
    const text = Buffer.concat(control.reader.all).toString('latin1');
    assert.match(text, /full \(1 of 1\)/);
    assertSilent(control.reader.all, 'full');
    await session.close();
  });

  test('a server that we do not trust learns nothing but our key, and one with a changed key not even a message', async (t) => {
    const fake = await RawListener.open(t, mallory);
    const client = await machine(t, 'alice', { name: 'laptop' });
    const port = { host: '127.0.0.1', port: fake.port };
    await assert.rejects(client.connect(port), isCode('NOT_TRUSTED'));
    await client.trust.trust({
      fingerprint: bob.fingerprint,
      name: 'nas',
      how: 'confirmed',
      address: { host: '127.0.0.1', port: fake.port },
    });
    await assert.rejects(client.connect(port), isCode('KEY_CHANGED'));
    await assert.rejects(client.connect({ ...port, fingerprint: bob.fingerprint }), isCode('KEY_CHANGED'));
    await until(() => fake.ended === 3);
    // Not the preface either: the key is looked at before anything is sent.
    for (const { reader } of fake.accepted) assert.equal(Buffer.concat(reader.all).length, 0);
  });

  test('a server about which a person is being asked learns our name and no more', async (t) => {
    const fake = await RawListener.open(t, mallory);
    const client = await machine(t, 'alice', { name: 'laptop' });
    const asked = Promise.withResolvers<void>();
    const connecting = client.connect({
      host: '127.0.0.1',
      port: fake.port,
      decide: async () => {
        asked.resolve();
        return 'reject';
      },
    });
    connecting.catch(() => {});
    const control = await fake.next();
    await control.handshake();
    control.send({ type: 'introduce', name: 'x', waiting: false });
    control.send({ type: 'admit' });
    control.send({ type: 'list', request: 1, path: '/' });
    await asked.promise;
    await assert.rejects(connecting, isCode('REJECTED'));
    await control.reader.ended();
    const text = Buffer.concat(control.reader.all).toString('latin1');
    assert.match(text, /"introduce","name":"laptop"/);
    assertSilent(control.reader.all, 'asked');
  });
});

/** One between a client and bob: TLS to each with its own key, and whatever it makes of what passes. */
async function middle(
  t: TestContext,
  port: number,
  pass: (from: TLSSocket, to: TLSSocket) => void,
): Promise<number> {
  const server = createServer({
    ...contextOptions(mallory),
    ALPNProtocols: [ALPN],
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on('secureConnection', async (towardsClient) => {
    towardsClient.on('error', () => {});
    const { socket } = await dialTls(port, mallory);
    socket.removeAllListeners('data');
    pass(towardsClient, socket);
    pass(socket, towardsClient);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterwards(t, () => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

suite('one in the middle', () => {
  test('who passes everything on is found out by both ends, before anybody trusts it', async (t) => {
    const served = await secretListener(t, { open: true });
    const seen: Buffer[] = [];
    const port = await middle(t, served.listener.port, (from, to) => {
      from.on('data', (chunk: Buffer) => {
        seen.push(chunk);
        to.write(chunk);
      });
      from.on('close', () => to.destroy());
    });
    const client = await machine(t, 'alice');
    // Even with everybody let in on both sides.
    await assert.rejects(
      client.connect({ host: '127.0.0.1', port, acceptNew: true }),
      isCode('BAD_HANDSHAKE'),
    );
    await until(() => served.refused.length > 0);
    assert.deepEqual(served.listener.peers, []);
    assert.equal(await client.trust.get(mallory.fingerprint), undefined);
    assertSilent(seen, 'passed on');
  });

  test('who has two sessions of its own shows two check numbers', async (t) => {
    const numbers: string[] = [];
    const served = await secretListener(t, {
      decide: async ({ checkNumber }) => {
        numbers.push(checkNumber);
        return 'reject';
      },
    });
    const fake = await RawListener.open(t, mallory);
    const client = await machine(t, 'alice');
    const connecting = client.connect({
      host: '127.0.0.1',
      port: fake.port,
      decide: async ({ checkNumber }) => {
        numbers.push(checkNumber);
        return 'reject';
      },
    });
    const towardsClient = await fake.next();
    await towardsClient.handshake();
    towardsClient.send({ type: 'introduce', name: 'nas', waiting: true });
    await assert.rejects(connecting, isCode('REJECTED'));
    const towardsServer = await dialControl(served.listener.port, mallory);
    await towardsServer.handshake();
    towardsServer.send({ type: 'introduce', name: 'laptop', waiting: true });
    await towardsServer.reader.ended();
    assert.equal(numbers.length, 2);
    assert.notEqual(numbers[0], numbers[1]);
  });

  test('who holds a pinned name but not its key is refused before a byte is sent', async (t) => {
    const served = await secretListener(t, { open: true });
    let bytes = 0;
    const port = await middle(t, served.listener.port, (from) => {
      from.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
    });
    const client = await machine(t, 'alice');
    await client.trust.trust({
      fingerprint: bob.fingerprint,
      name: 'nas',
      how: 'confirmed',
      address: { host: '127.0.0.1', port },
    });
    await assert.rejects(client.connect({ host: '127.0.0.1', port, acceptNew: true }), isCode('KEY_CHANGED'));
    assert.equal(bytes, 0);
  });
});
