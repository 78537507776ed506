/** Those who come to the port and are none of ours, or not yet: programs of other protocols, many at once, in bits. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { contextOptions } from '../../src/net/tls.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE } from '../../src/protocol/limits.ts';
import { certificateAround } from '../crypto/der.ts';
import { identities } from '../crypto/fixed.ts';
import { needs } from '../needs.ts';
import { dialControl, dialSession, dialTls, Reader } from './wire-dialler.ts';
import { afterwards, folderOf, machine, type Served, serve, until } from './wire-machines.ts';

const { alice, mallory } = identities;

/** A TCP connection that goes with the test. */
async function tcp(t: TestContext, port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  socket.on('error', () => {});
  afterwards(t, () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Resolves when a connection has ended, however. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** That a good peer comes in and gets a file. */
async function isServed(t: TestContext, { listener }: Served): Promise<void> {
  const client = await machine(t, 'alice');
  const session = await client.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
  const names: string[] = [];
  for await (const { name } of session.list('/')) names.push(name);
  assert.deepEqual(names, ['docs']);
  const receipt = await session.get(['/docs/a.txt'], `${folderOf(t, {})}/`);
  assert.equal(receipt.code, 'OK');
  await session.close();
  await client.close();
}

async function withShare(
  t: TestContext,
  options: Parameters<typeof serve>[1] = {},
  flags: Parameters<typeof serve>[2] = {},
): Promise<Served> {
  const folder = folderOf(t, { 'a.txt': 'hello' });
  return await serve(t, { shares: [{ name: 'docs', folder }], ...options }, flags);
}

suite('other programs at our port', () => {
  test('an HTTP client, an SSH client, one that says nothing and one that sends noise', async (t) => {
    const served = await withShare(t, {}, { handshakeTimeout: 300 });
    const { port } = served.listener;
    const http = request({ host: '127.0.0.1', port, path: '/' });
    http.end();
    const [error] = (await once(http, 'error')) as [NodeJS.ErrnoException];
    assert.match(String(error.code), /ECONNRESET|HPE_/);
    for (const text of ['SSH-2.0-OpenSSH_9.2\r\n', '', 'noise'.repeat(20_000), '\x16\x03\x01\xff\xff']) {
      const socket = await tcp(t, port);
      socket.resume();
      socket.write(text);
      await closed(socket);
    }
    await until(() => served.refused.length >= 5);
    await isServed(t, served);
  });

  test('openssl with another protocol, and with ours but nothing to say', needs('openssl'), async (t) => {
    const served = await withShare(t, {}, { handshakeTimeout: 300 });
    const talk = async (...options: string[]): Promise<string> => {
      const child = spawn(
        'openssl',
        ['s_client', '-connect', `127.0.0.1:${served.listener.port}`, ...options],
        {
          stdio: ['pipe', 'pipe', 'pipe'],
        },
      );
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      child.stdin.on('error', () => {});
      child.stdin.write('GET / HTTP/1.0\r\n\r\n');
      await once(child, 'close');
      return output;
    };
    assert.match(await talk('-alpn', 'h2'), /no application protocol/i);
    assert.match(await talk('-alpn', 'localstream/1', '-tls1_2'), /protocol version|alert/i);
    // Anybody may look at the key; what was sent is no preface.
    const shown = await talk('-alpn', 'localstream/1', '-tls1_3');
    assert.match(shown, /ALPN protocol: localstream\/1/);
    assert.doesNotMatch(shown, /docs|a\.txt/);
    await isServed(t, served);
  });
});

suite('TLS at our port', () => {
  /** How a connection with these options ends: by TLS itself, or by the listener after it; what was decrypted. */
  async function ending(port: number, options: ConnectionOptions, first = CONTROL_PREFACE) {
    const socket = connectTls({
      ...contextOptions(alice),
      host: '127.0.0.1',
      port,
      servername: '',
      ALPNProtocols: [ALPN],
      rejectUnauthorized: false,
      ...options,
    });
    const reader = new Reader(socket);
    socket.once('secureConnect', () => socket.write(first));
    await reader.ended();
    return Buffer.concat(reader.all).toString('latin1');
  }

  const pem = (der: Buffer) =>
    `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;

  test('TLS 1.2, other ALPN names, other keys and no key are turned away without a word', async (t) => {
    const served = await withShare(t);
    const { port } = served.listener;
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const credentials = ({ privateKey, publicKey }: typeof rsa) => ({
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      cert: pem(certificateAround(publicKey.export({ type: 'spki', format: 'der' }))),
    });
    const cases: [name: string, options: ConnectionOptions, first?: string][] = [
      ['TLS 1.2', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'DEFAULT' }],
      ['another ALPN name', { ALPNProtocols: ['h2'] }],
      ['no ALPN name', { ALPNProtocols: [] }],
      ['RSA-2048', credentials(rsa)],
      ['an EC key', { ...credentials(ec), sigalgs: 'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256' }],
      ['no certificate', { key: undefined, cert: undefined }],
      ['a certificate on a lane', {}, `${LANE_PREFACE}${'x'.repeat(52)}`],
      ['a preface of another version', {}, 'LS2 CTRL'],
      ['a preface in small letters', {}, 'ls1 ctrl'],
    ];
    for (const [name, options, first] of cases) {
      const before = served.refused.length;
      assert.equal(await ending(port, options, first), '', name);
      await until(() => served.refused.length > before);
    }
    assert.equal(served.listener.peers.length, 0);
    await isServed(t, served);
  });

  test('a ticket gets nobody in: each connection shows its key', async (t) => {
    const served = await withShare(t);
    const { port } = served.listener;
    const first = await dialTls(port, alice, { secureOptions: 0 });
    const tickets: Buffer[] = [];
    first.socket.on('session', (ticket: Buffer) => tickets.push(ticket));
    first.socket.write(CONTROL_PREFACE);
    await until(() => tickets.length > 0 || first.isOver);
    first.socket.destroy();
    assert.ok(tickets.length > 0, 'no ticket came: the test shows nothing');
    for (const session of tickets) {
      const again = await dialTls(port, undefined, { session, secureOptions: 0 });
      assert.equal(again.socket.isSessionReused(), false);
      again.socket.write(CONTROL_PREFACE);
      await again.ended();
      assert.equal(Buffer.concat(again.all).length, 0);
    }
    assert.equal(served.listener.peers.length, 0);
  });
});

suite('strangers in bits', () => {
  test('one that stops, or hangs up, at any step of the way harms nobody', async (t) => {
    const served = await withShare(
      t,
      { maxConnections: 1 },
      { handshakeTimeout: 400, decisionTimeout: 1000 },
    );
    const { port } = served.listener;
    /** Goes so far and no further. */
    const steps: ((end: (socket: Socket) => void) => Promise<void>)[] = [
      async (end) => end(await tcp(t, port)),
      async (end) => {
        const socket = await tcp(t, port);
        socket.write(Buffer.from('16030100', 'hex'));
        end(socket);
      },
      async (end) => end((await dialTls(port, alice)).socket),
      async (end) => {
        const { socket } = await dialTls(port, alice);
        socket.write('LS1 C');
        end(socket);
      },
      async (end) => end((await dialControl(port)).socket),
      async (end) => {
        const control = await dialControl(port);
        control.socket.write(Buffer.from('00000100', 'hex'));
        end(control.socket);
      },
      async (end) => {
        const control = await dialControl(port);
        const handshaking = control.handshake().catch(() => {});
        end(control.socket);
        await handshaking;
      },
      async (end) => {
        const { socket } = await dialTls(port, undefined);
        socket.write(`${LANE_PREFACE}x`);
        end(socket);
      },
    ];
    const left: Socket[] = [];
    for (const step of steps) {
      await step((socket) => left.push(socket));
      await step((socket) => void socket.end());
      await step((socket) => void socket.destroy());
    }
    // Some of them are still there, and none has the one place.
    await isServed(t, served);
    for (const socket of left) {
      socket.resume();
      await closed(socket);
    }
    assert.deepEqual(served.listener.peers, []);
  });

  test('one that does not introduce itself, or never lets the listener in, gives its place back soon', async (t) => {
    // A person would have ten minutes, which no test waits for.
    const served = await withShare(
      t,
      { maxConnections: 1 },
      { handshakeTimeout: 400, decisionTimeout: 600_000 },
    );
    const { port } = served.listener;
    const silent = await dialControl(port);
    await silent.handshake();
    await closed(silent.socket);
    const undecided = await dialControl(port);
    await undecided.handshake();
    undecided.send({ type: 'introduce', name: 'undecided', waiting: false });
    await closed(undecided.socket);
    await isServed(t, served);
    assert.deepEqual(served.listener.peers, []);
  });

  test('a thousand that say nothing, or a byte now and then, leave room for a good peer', async (t) => {
    // With the settings that everybody has, except that those who are slow are given up sooner.
    const folder = folderOf(t, { 'a.txt': 'hello' });
    const served = await serve(
      t,
      { shares: [{ name: 'docs', folder }], maxConnections: 1 },
      { 'strangers.perSecond': 100, 'strangers.perSecondPerAddress': 20, handshakeTimeout: 1000 },
    );
    const { port } = served.listener;
    const early = await machine(t, 'mallory');
    const before = await early.connect({ host: '127.0.0.1', port, acceptNew: true });
    const crowd = Array.from({ length: 1000 }, (_, index) => {
      const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.0.${2 + (index % 3)}` });
      socket.on('error', () => {});
      socket.resume();
      return socket;
    });
    const hello = Buffer.from('1603010200010001fc0303', 'hex');
    let turn = 0;
    const trickle = setInterval(() => {
      turn += 1;
      for (const [index, socket] of crowd.entries())
        if (index % 2 === 0 && socket.writable)
          socket.write(hello.subarray(turn % hello.length, (turn % hello.length) + 1));
    }, 200);
    afterwards(t, () => {
      clearInterval(trickle);
      for (const socket of crowd) socket.destroy();
    });
    await until(() => crowd.some((socket) => socket.closed));
    // The one that is in works on, and keeps its place.
    const shares: string[] = [];
    for await (const { name } of before.list('/')) shares.push(name);
    assert.deepEqual(shares, ['docs']);
    assert.equal(served.listener.peers.length, 1);
    await before.close();
    await until(() => served.listener.peers.length === 0);
    await isServed(t, served);
    // None of the thousand is held for longer than strangers are.
    await until(() => crowd.every((socket) => socket.closed));
  });

  test('one address has its own bounds, and all together theirs', async (t) => {
    const flags = {
      'strangers.handshakesPerAddress': 3,
      'strangers.handshakes': 5,
      handshakeTimeout: 60_000,
    };
    const served = await withShare(t, {}, flags);
    const from = async (address: string) => {
      const socket = await tcp(t, served.listener.port, address);
      socket.resume();
      return socket;
    };
    const first: Socket[] = [];
    for (let count = 0; count < 5; count += 1) first.push(await from('127.0.0.2'));
    await until(() => first.filter((socket) => socket.closed).length === 2);
    const second: Socket[] = [];
    for (let count = 0; count < 3; count += 1) second.push(await from('127.0.0.3'));
    // Of the six that are left one is too many: the oldest of all.
    await until(() => first.filter((socket) => socket.closed).length === 3);
    assert.deepEqual(
      [...first, ...second].map((socket) => socket.closed),
      [true, true, true, false, false, false, false, false],
    );
  });

  test('one address that comes too often is not let near TLS, another one is', async (t) => {
    const served = await withShare(t, {}, { 'strangers.perSecondPerAddress': 1 });
    const sockets: Socket[] = [];
    for (let count = 0; count < 20; count += 1) {
      const socket = await tcp(t, served.listener.port, '127.0.0.2');
      socket.resume();
      sockets.push(socket);
    }
    // Two at once and one a second: most of them are gone at once, and without a word in the log.
    await until(() => sockets.filter((socket) => socket.closed).length >= 10);
    assert.deepEqual(served.refused, []);
    await isServed(t, served);
  });

  test('newcomers never take the place of who is in, however many there are', async (t) => {
    const served = await withShare(t);
    const { port } = served.listener;
    const session = await dialSession(port);
    const others = await Promise.all(
      Array.from({ length: 100 }, () => dialTls(port, mallory).catch(() => undefined)),
    );
    session.control.send({ type: 'list', request: 1, path: '/' });
    const answer = await session.control.after();
    assert.equal(answer?.type, 'listing');
    for (const other of others) other?.socket.destroy();
  });
});

suite('places', () => {
  test('the peer past the last one hears "full (10 of 10)", and comes in when one leaves', async (t) => {
    const served = await withShare(t, { maxConnections: 10 });
    const { port } = served.listener;
    // Connections that have not proven anything take no place.
    for (let count = 0; count < 5; count += 1) {
      await dialTls(port, alice);
      await dialControl(port);
    }
    const sessions = [];
    for (let count = 0; count < 10; count += 1) sessions.push(await dialSession(port));
    await until(() => served.listener.peers.length === 10);
    const client = await machine(t, 'mallory');
    const late = client.connect({ host: '127.0.0.1', port, acceptNew: true });
    await assert.rejects(late, (error) => {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'FULL');
      assert.equal(error.message, 'full (10 of 10)');
      return true;
    });
    sessions[3]?.control.socket.destroy();
    await until(() => served.listener.peers.length === 9);
    const session = await client.connect({ host: '127.0.0.1', port, acceptNew: true });
    await until(() => served.listener.peers.length === 10);
    await session.close();
  });

  test('one about whom a person is being asked takes no place', async (t) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<'once'>();
    const served = await withShare(t, {
      maxConnections: 1,
      open: false,
      decide: async () => {
        asked.resolve();
        return await answer.promise;
      },
    });
    const { port } = served.listener;
    await served.bob.trust.trust({ fingerprint: alice.fingerprint, name: 'alice', how: 'operator' });
    const waiting = await dialControl(port, mallory);
    await waiting.handshake();
    waiting.send({ type: 'introduce', name: 'mallory', waiting: false });
    waiting.send({ type: 'admit' });
    await asked.promise;
    await isServed(t, served);
    // The answer comes when the place is taken again: that decides.
    const taken = await dialSession(port, alice);
    answer.resolve('once');
    assert.equal((await waiting.after('introduce'))?.['flag'], 421);
    taken.control.socket.destroy();
  });
});
