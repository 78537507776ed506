/** Our dialler against what may answer: other programs, and servers that say what no sound one says. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect as dialTcp } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { LocalstreamError } from '../../src/errors.ts';
import type { Session } from '../../src/index.ts';
import { FRAME } from '../../src/protocol/frame.ts';
import { encodeDone, encodeEnd } from '../../src/protocol/manifest.ts';
import { certificateAround } from '../crypto/der.ts';
import { identities } from '../crypto/fixed.ts';
import type { Loose } from './wire-dialler.ts';
import { data, entry, LIMIT, manifest } from './wire-frames.ts';
import { type RawAccepted, RawListener, tcpServer } from './wire-listener.ts';
import { afterwards, folderOf, machine, until } from './wire-machines.ts';

const { bob } = identities;
const isCode =
  (...codes: string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof LocalstreamError, String(error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  };

/** That dialling a port fails with a code. */
async function dialFails(
  t: TestContext,
  port: number,
  codes: string | string[],
  introduced?: string,
): Promise<void> {
  // Only where the time-out is what is looked for may it be short: a busy machine takes its time.
  const handshakeTimeout = codes.includes('TIMEOUT') ? 400 : 20_000;
  const client = await machine(t, 'alice', { handshakeTimeout });
  await assert.rejects(
    client.connect({ host: '127.0.0.1', port, acceptNew: true }),
    isCode(...[codes].flat()),
  );
  // `acceptNew` may pin a key that has been proven and says its name; nothing less.
  const pinned = await client.trust.get(bob.fingerprint);
  assert.ok(pinned === undefined || pinned.name === introduced, 'it is pinned');
  await client.close();
}

suite('what answers and is not localstream', () => {
  test('an HTTP server', async (t) => {
    const server = createHttpServer((_request, response) => response.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    afterwards(t, () => server.close());
    await dialFails(t, (server.address() as AddressInfo).port, 'NOT_LOCALSTREAM');
  });

  test('an SSH server, one that echoes, one that sends noise', async (t) => {
    const ssh = await tcpServer(t, (socket) => socket.write('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'));
    await dialFails(t, ssh, 'NOT_LOCALSTREAM');
    const echo = await tcpServer(t, (socket) => socket.pipe(socket));
    await dialFails(t, echo, 'NOT_LOCALSTREAM');
    const noise = await tcpServer(t, (socket) => socket.write(randomBytes(100_000)));
    await dialFails(t, noise, 'NOT_LOCALSTREAM');
  });

  test('one that trickles, and one that says a word and hangs up', async (t) => {
    const trickling = await tcpServer(t, (socket) => {
      const timer = setInterval(() => socket.write(Buffer.of(0x16)), 100);
      socket.on('close', () => clearInterval(timer));
    });
    await dialFails(t, trickling, 'NOT_LOCALSTREAM');
    for (const word of ['no\n', '220 hello\r\n']) {
      const short = await tcpServer(t, (socket) => socket.resume().end(word));
      await dialFails(t, short, 'NOT_LOCALSTREAM');
    }
  });

  test('nobody at all', async (t) => {
    const port = await tcpServer(t, () => {});
    const free = await new Promise<number>((resolve) => {
      const server = createHttpServer().listen(0, '127.0.0.1', () => {
        const { port: found } = server.address() as AddressInfo;
        server.close(() => resolve(found));
      });
    });
    assert.notEqual(port, free);
    await dialFails(t, free, 'UNREACHABLE');
  });

  test('an HTTPS server, with our kind of key and with another', async (t) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const der = certificateAround(publicKey.export({ type: 'spki', format: 'der' }));
    const keys = [
      { key: bob.signingKey.export({ type: 'pkcs8', format: 'pem' }), cert: bob.certificate },
      {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`,
      },
    ];
    for (const key of keys) {
      const server = createHttpsServer(key, (_request, response) => response.end('hello'));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      afterwards(t, () => server.close());
      await dialFails(t, (server.address() as AddressInfo).port, 'NOT_LOCALSTREAM');
    }
  });

  test('TLS without ALPN, TLS 1.2, and a weak key', async (t) => {
    const none = await RawListener.open(t, bob, { ALPNProtocols: [] });
    await dialFails(t, none.port, 'NOT_LOCALSTREAM');
    const old = await RawListener.open(t, bob, {
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: 'DEFAULT',
    });
    await dialFails(t, old.port, 'NOT_LOCALSTREAM');
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const der = certificateAround(publicKey.export({ type: 'spki', format: 'der' }));
    const weak = await RawListener.open(t, bob, {
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      cert: `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`,
    });
    await dialFails(t, weak.port, 'BAD_HANDSHAKE');
  });
});

suite('what may be localstream, and does not get through the handshake', () => {
  test('one that hangs up or resets without a word is unreachable, and so is one that says nothing', async (t) => {
    const gone = await tcpServer(t, (socket) => socket.destroy());
    await dialFails(t, gone, 'UNREACHABLE');
    const ended = await tcpServer(t, (socket) => socket.resume().end());
    await dialFails(t, ended, 'UNREACHABLE');
    const reset = await tcpServer(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
    await dialFails(t, reset, 'UNREACHABLE');
    const silent = await tcpServer(t, () => {});
    const client = await machine(t, 'alice', { handshakeTimeout: 400 });
    const dialling = client.connect({ host: '127.0.0.1', port: silent, acceptNew: true });
    await assert.rejects(dialling, isCode('UNREACHABLE'));
  });

  test('one that dies amid the handshake is unreachable, however far it was', async (t) => {
    const real = await RawListener.open(t, bob);
    for (const bytes of [5, 6, 100, 1000])
      for (const end of ['destroy', 'resetAndDestroy'] as const) {
        const dying = await tcpServer(t, (near) => {
          const far = dialTcp(real.port, '127.0.0.1').on('error', () => {});
          near.on('error', () => {}).on('close', () => far.destroy());
          near.pipe(far);
          far.once('data', (answer: Buffer) => {
            assert.ok(answer.length >= bytes);
            near.write(answer.subarray(0, bytes), () => near[end]());
          });
        });
        await dialFails(t, dying, 'UNREACHABLE');
      }
  });
});

suite('a server that breaks off', () => {
  test('at each step: an error by name, and no key is pinned that was not proven', async (t) => {
    const steps: [codes: string[], run: (control: RawAccepted) => unknown, introduced?: string][] = [
      [['LOST', 'CLOSED'], ({ socket }) => void socket.destroy()],
      [['LOST', 'CLOSED'], ({ socket }) => void socket.end()],
      [['TIMEOUT'], () => {}],
      [['BAD_MESSAGE'], (control) => control.sendBody(Buffer.from('HTTP/1.1 400'))],
      [['BAD_MESSAGE'], (control) => void control.socket.write(Buffer.alloc(4, 0xff))],
      [['BAD_MESSAGE'], (control) => void control.send({ type: 'admit' })],
      [['BUSY'], (control) => void control.send({ type: 'bye', flag: 422 })],
      [['INTERNAL'], (control) => void control.send({ type: 'bye', flag: 200, detail: 'all is well' })],
      [
        ['LOST'],
        async (control) => {
          await control.handshake();
          control.socket.destroy();
        },
      ],
      [
        ['FULL'],
        async (control) => {
          await control.handshake();
          control.send({ type: 'bye', flag: 421, detail: 'full (10 of 10)' });
        },
      ],
      [
        ['NOT_TRUSTED'],
        async (control) => {
          await control.handshake();
          control.send({ type: 'introduce', name: 'x', waiting: false });
          control.send({ type: 'bye', flag: 403 });
        },
        'x',
      ],
      [
        ['BAD_MESSAGE'],
        async (control) => {
          await control.handshake();
          control.send({ type: 'introduce', name: 'x', waiting: false });
          control.send({ type: 'introduce', name: 'x', waiting: false });
        },
        'x',
      ],
    ];
    for (const [codes, run, introduced] of steps) {
      const fake = await RawListener.open(t, bob);
      const failing = dialFails(t, fake.port, codes, introduced);
      // Whatever it does, it may find the connection closed by then.
      void Promise.resolve(run(await fake.next())).catch(() => {});
      await failing;
    }
  });
});

/** A client with a session to a raw listener. */
async function sessionTo(
  t: TestContext,
  flags = {},
  capabilities?: readonly string[],
): Promise<{ session: Session; control: RawAccepted; fake: RawListener }> {
  const fake = await RawListener.open(t, bob);
  const client = await machine(t, 'alice', { retryFor: 0, ...flags });
  const connecting = client.connect({ host: '127.0.0.1', port: fake.port, acceptNew: true });
  const control = await fake.next();
  await control.session(capabilities);
  return { session: await connecting, control, fake };
}

const roots = [{ name: 'a', type: 'file', size: 5 }];

suite('a server that lies', () => {
  test('an offer of something else than was asked for: nothing is written, it is told', async (t) => {
    const { session, control } = await sessionTo(t);
    const offers: [codes: string[], fields: Loose][] = [
      [['BAD_MESSAGE'], { roots: [{ name: 'b', type: 'file', size: 5 }] }],
      [['BAD_MESSAGE'], { roots: [...roots, { name: 'b', type: 'file', size: 5 }] }],
      [['BAD_MESSAGE'], { roots: [{ name: '../a', type: 'file', size: 5 }] }],
      [['BAD_MESSAGE'], { lanes: [] }],
    ];
    for (const [codes, fields] of offers) {
      const out = folderOf(t, {});
      const getting = session.get(['/docs/a'], `${out}/`);
      getting.catch(() => {});
      const get = await control.after();
      assert.equal(get?.type, 'get');
      control.send({ type: 'offer', transfer: get['transfer'], roots, lanes: [1], chunk: 1024, ...fields });
      await assert.rejects(getting, isCode(...codes));
      for (
        let word = await control.after('accept', 'pong');
        word?.type !== 'cancel';
        word = await control.after()
      )
        assert.ok(word, 'it was not told');
      assert.deepEqual(readdirSync(out), []);
    }
  });

  test('an answer of another kind, a refusal that is none, and words about nothing', async (t) => {
    const { session, control } = await sessionTo(t);
    const answers: [codes: string[], answer: Loose][] = [
      [['BAD_MESSAGE'], { type: 'accept', lanes: [1] }],
      [['INTERNAL'], { type: 'refuse', flag: 200 }],
      [['NOT_ALLOWED'], { type: 'refuse', flag: 405, detail: '' }],
      [['INTERNAL'], { type: 'refuse', flag: 999 }],
    ];
    for (const [codes, answer] of answers) {
      const getting = session.get(['/docs/a'], `${folderOf(t, {})}/`);
      getting.catch(() => {});
      const get = await control.after('cancel');
      control.send({ ...answer, transfer: get?.['transfer'] });
      await assert.rejects(getting, isCode(...codes));
    }
    const nobody = { transfer: 'f'.repeat(32) };
    for (const message of [
      { type: 'accept', ...nobody },
      { type: 'refuse', flag: 405, ...nobody },
      { type: 'credit', bytes: 1, ...nobody },
      { type: 'cancel', flag: 425, ...nobody },
      { type: 'granted', lanes: [1, 2, 3], ...nobody },
      { type: 'receipt', body: '{}', signature: Buffer.alloc(384).toString('base64'), ...nobody },
      { type: 'received', ...nobody },
      { type: 'listing', request: 77, entries: [], last: true },
      { type: 'failed', request: 77, flag: 406 },
      { type: 'get', paths: ['/home'], lanes: 1, chunk: 1024, ...nobody },
      { type: 'put', target: '/home/', roots, lanes: 1, chunk: 1024, existing: 'overwrite', ...nobody },
      { type: 'list', request: 1, path: '/' },
    ])
      control.send(message);
    control.send({ type: 'ping', request: 4 });
    const words: unknown[] = [];
    for (
      let word = await control.after('cancel');
      word?.type !== 'pong' && word;
      word = await control.after('cancel')
    )
      words.push([word.type, word['flag']]);
    // Nothing of ours can be fetched, written or listed by a server.
    assert.deepEqual(words, [
      ['refuse', 427],
      ['refuse', 427],
      ['failed', 427],
    ]);
    assert.deepEqual(session.offers, []);
  });

  test('pages of a listing that nobody asked for, or that lead nowhere', async (t) => {
    const entries = [{ name: 'a', type: 'file', size: 1, mtime: 0, mode: 0 }];
    const listed = async () => {
      const { session, control } = await sessionTo(t);
      const listing = session.list('/docs');
      const first = listing.next();
      first.catch(() => {});
      let word = await control.after();
      while (word?.type !== 'list') word = await control.after();
      const { request } = word;
      const page = (more = {}) => control.send({ type: 'listing', request, entries, last: false, ...more });
      const isLeft = async () => {
        assert.equal((await session.closed)?.code, 'BAD_MESSAGE');
        let last = await control.after('ping', 'pong', 'more');
        while (last && last.type !== 'bye') last = await control.after('ping', 'pong', 'more');
        assert.equal(last?.['flag'], 400);
      };
      return { listing, first, control, page, isLeft };
    };
    const greedy = await listed();
    for (let count = 0; count < 2; count += 1) greedy.page();
    await greedy.first;
    // The first page is read to its end: that allows one more, and no two.
    await greedy.listing.next();
    assert.equal((await greedy.control.after('ping', 'pong'))?.type, 'more');
    greedy.page();
    assert.equal((await greedy.listing.next()).value?.name, 'a');
    assert.equal((await greedy.control.after('ping', 'pong'))?.type, 'more');
    for (let count = 0; count < 3; count += 1) greedy.page();
    await greedy.isLeft();

    const empty = await listed();
    empty.page({ entries: [] });
    await empty.isLeft();
    await assert.rejects(empty.first, isCode('BAD_MESSAGE'));

    const endless = await listed();
    for (let count = 0; count < 2; count += 1) endless.page({ last: true });
    await endless.isLeft();
  });

  test('a removal of which nothing is gone and more is left', async (t) => {
    const { session, control } = await sessionTo(t, {}, ['change']);
    const removing = session.remove('/docs/a', { recursive: true });
    removing.catch(() => {});
    for (const entries of [256, 0]) {
      let word = await control.after();
      while (word?.type !== 'remove') word = await control.after();
      control.send({ type: 'changed', request: word['request'], entries, last: false });
    }
    await assert.rejects(removing, isCode('BAD_MESSAGE'));
    assert.equal((await session.closed)?.code, 'BAD_MESSAGE');
  });

  test('a get that was given up leaves nothing, though its offer is on its way', async (t) => {
    const { session, control } = await sessionTo(t);
    const stop = new AbortController();
    const getting = session.get(['/docs/a'], `${folderOf(t, {})}/`, { signal: stop.signal });
    getting.catch(() => {});
    const get = await control.after();
    stop.abort();
    await assert.rejects(getting, isCode('CANCELLED'));
    control.send({ type: 'offer', transfer: get?.['transfer'], roots, lanes: [1], chunk: 1024 });
    control.send({ type: 'ping', request: 4 });
    assert.equal((await control.after('cancel'))?.type, 'pong');
    assert.deepEqual(session.offers, []);
  });

  test('an offer too many is refused, one that comes twice ends the session', async (t) => {
    const { session, control } = await sessionTo(t);
    const offer = (count: number) =>
      control.send({
        type: 'offer',
        transfer: count.toString(16).padStart(32, '0'),
        roots,
        lanes: [1],
        chunk: 1024,
      });
    for (let count = 0; count < 33; count += 1) offer(count);
    const refusal = await control.after();
    assert.deepEqual([refusal?.type, refusal?.['flag']], ['refuse', 422]);
    assert.equal(session.offers.length, 32);
    await session.offers[0]?.reject();
    assert.equal((await control.after())?.['flag'], 404);
    offer(5);
    assert.equal((await control.after())?.['flag'], 400);
    assert.equal((await session.closed)?.code, 'BAD_MESSAGE');
    assert.deepEqual(session.offers, []);
  });

  test('a lane with another proof, another key, or none is not used', async (t) => {
    const { session, control, fake } = await sessionTo(t, { handshakeTimeout: 500 });
    const answers: [codes: string[], run: (lane: RawAccepted) => unknown][] = [
      [['BAD_HANDSHAKE'], (lane) => lane.lane(control.keys, () => Buffer.alloc(32))],
      [['BAD_HANDSHAKE'], (lane) => lane.lane({ ...control.keys, laneS: control.keys.laneC as never })],
      [['CLOSED', 'LOST'], (lane) => void lane.socket.destroy()],
      [['TIMEOUT'], () => {}],
    ];
    for (const [codes, run] of answers) {
      const getting = session.get(['/docs/a'], `${folderOf(t, {})}/`);
      getting.catch(() => {});
      const get = await control.after('accept', 'cancel');
      control.send({ type: 'offer', transfer: get?.['transfer'], roots, lanes: [1], chunk: 1024 });
      await run(await fake.next());
      await assert.rejects(getting, isCode(...codes));
    }
    // The session itself goes on, or was replaced: it is not broken by a lane.
    control.send({ type: 'ping', request: 4 });
    assert.equal((await control.after('accept', 'cancel'))?.type, 'pong');
  });

  test('a grant that comes after the end of its transfer, and one that nobody asked for', async (t) => {
    const { session, control, fake } = await sessionTo(t, { 'lane.maxRecords': 16 });
    const out = folderOf(t, {});
    const getting = session.get(['/docs/a'], `${out}/`, { chunk: 2048 });
    const get = await control.after();
    const content = randomBytes(20 * 2048);
    const announced = manifest(entry('a', { size: content.length }));
    const named = [{ name: 'a', type: 'file', size: content.length }];
    control.send({ type: 'offer', transfer: get?.['transfer'], roots: named, lanes: [1], chunk: 2048 });
    const lane = await (await fake.next()).lane(control.keys);
    lane.frame(FRAME.manifest, announced, { flags: 1 });
    for (let offset = 0; offset < content.length; offset += 2048)
      lane.frame(FRAME.data, data(offset, content.subarray(offset, offset + 2048)));
    lane.frame(FRAME.end, encodeEnd(content.length, digestOf(content)));
    lane.frame(FRAME.done, encodeDone(1, 1, digestOf(announced)));
    const words: unknown[] = [];
    for (let word = await control.after(); word?.type !== 'receipt'; word = await control.after())
      words.push(word?.type);
    assert.ok(words.includes('lanes'), `it asked for no other lane: ${words}`);
    control.send({ type: 'received', transfer: get?.['transfer'] });
    assert.equal((await getting).code, 'OK');
    control.send({ type: 'granted', transfer: get?.['transfer'], lanes: [2] });
    control.send({ type: 'ping', request: 4 });
    assert.equal((await control.after('lanes'))?.type, 'pong');
    const connections = fake.accepted.length;

    const second = session.get(['/docs/a'], `${folderOf(t, {})}/`);
    second.catch(() => {});
    const other = await control.after();
    control.send({ type: 'offer', transfer: other?.['transfer'], roots, lanes: [3], chunk: 1024 });
    await (await fake.next()).lane(control.keys);
    control.send({ type: 'granted', transfer: other?.['transfer'], lanes: [4, 5, 6, 7] });
    await assert.rejects(second);
    assert.equal(fake.accepted.length, connections + 1, 'it opened lanes that it never asked for');
  });

  test('a frame over what was agreed', async (t) => {
    const { session, control, fake } = await sessionTo(t);
    const getting = session.get(['/docs/a'], `${folderOf(t, {})}/`, { chunk: 1024 });
    getting.catch(() => {});
    const get = await control.after();
    // The listener may make the chunk smaller, not larger.
    control.send({ type: 'offer', transfer: get?.['transfer'], roots, lanes: [1], chunk: 4_194_304 });
    const lane = await (await fake.next()).lane(control.keys);
    lane.frame(FRAME.data, Buffer.alloc(70_000));
    const word = await control.after('accept');
    assert.deepEqual([word?.type, word?.['flag']], ['cancel', LIMIT]);
    await assert.rejects(getting, isCode('LIMIT'));
    control.send({ type: 'ping', request: 4 });
    assert.equal((await control.after())?.type, 'pong');
  });

  test('a server that is silent is lost; one that says goodbye is closed', async (t) => {
    const quick = { 'keepAlive.interval': 100, 'keepAlive.silence': 300 };
    const silent = await sessionTo(t, quick);
    // It may be lost by now: a slow machine is longer about opening it.
    if (silent.session.lost === undefined) await once(silent.session, 'lost');
    assert.equal(silent.session.lost?.code, 'LOST');
    const leaving = await sessionTo(t);
    leaving.control.send({ type: 'bye', flag: 426 });
    assert.equal((await leaving.session.closed)?.code, 'SHUTTING_DOWN');
    await until(() => leaving.control.reader.isOver);
  });
});
