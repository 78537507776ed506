/** A session whose connection breaks while nothing goes on: it is not over, and the next call makes another one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { connect as dialTcp, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { PutOptions, Session } from '../../src/index.ts';
import { tcpServer } from '../server/wire-listener.ts';
import { until } from '../server/wire-machines.ts';
import { machine, noise, pair, sceneFolder } from './machines.ts';

const MIB = 1024 * 1024;
/** Far above the time of a test: nothing but what is looked at ends a connection. */
const PATIENT = {
  retryFor: 600_000,
  handshakeTimeout: 600_000,
  'keepAlive.silence': 600_000,
  'discovery.enabled': 'off',
};

/** A session over a way that can be cut, closed, and held up. */
async function place(t: TestContext) {
  const all = await pair(t, { alice: PATIENT });
  const { alice, bob, listener } = all;
  const way = {
    passed: new Set<Socket>(),
    held: [] as Socket[],
    is: 'open' as 'open' | 'silent' | 'shut' | 'cut off' | 'torn',
    dialled: 0,
    /** How many were ended by the way. */
    ended: 0,
    to: listener.port,
    /** Bytes that come over a lane before it breaks, and the channel with it where the way is torn. */
    lane: Number.POSITIVE_INFINITY,
  };
  const port = await tcpServer(t, (near) => {
    way.dialled += 1;
    if (way.is === 'shut') {
      way.ended += 1;
      return near.resetAndDestroy();
    }
    if (way.is === 'silent') return way.held.push(near.on('error', () => {}).resume());
    const isLane = [...way.passed].some((socket) => !socket.destroyed);
    const far = dialTcp(way.to, '127.0.0.1');
    if (isLane)
      far.on('data', () => {
        if (far.bytesRead < way.lane || near.destroyed) return;
        way.ended += 1;
        for (const socket of way.is === 'torn' ? way.passed : [near, far]) socket.destroy();
      });
    for (const socket of [near, far]) way.passed.add(socket.on('error', () => {}));
    if (way.is === 'cut off') {
      far.pipe(near);
      // TLS stands, and what is sent over it comes to nobody.
      return near.once('data', (hello) => {
        far.write(hello);
        near.once('data', () => {
          way.ended += 1;
          near.end();
        });
      });
    }
    return near.pipe(far).pipe(near);
  });
  const session = await alice.connect({ host: '127.0.0.1', port, fingerprint: bob.fingerprint });
  const cut = async () => {
    const lost = once(session, 'lost');
    for (const socket of way.passed) socket.destroy();
    assert.equal((await lost)[0].code, 'LOST');
    assert.equal(session.lost?.code, 'LOST');
  };
  return { ...all, session, way, cut };
}

async function names(session: Session): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of session.list('/share')) found.push(name);
  return found;
}

async function isOpen(session: Session): Promise<boolean> {
  return await Promise.race([
    session.closed.then(() => false),
    new Promise<true>((done) => setImmediate(done, true)),
  ]);
}

suite('a session whose connection is lost', () => {
  test('is not over: each call makes another one first, once for all who ask meanwhile', async (t) => {
    const { session, cut, way, local, share, listener } = await place(t);
    writeFileSync(join(share, 'a'), noise(1000));
    const calls: (() => Promise<unknown>)[] = [
      () => session.get(['/share/a'], `${local}/`),
      () => session.put([join(local, 'a')], '/share/b'),
      () => names(session),
      () => session.makeFolder('/share/folder'),
      () => session.move('/share/b', '/share/c'),
      () => session.remove('/share/c'),
      () => Promise.all([names(session), names(session), session.get(['/share/a'], join(local, 'again'))]),
    ];
    for (const call of calls) {
      await cut();
      await until(() => listener.peers.length === 1);
      const dialled = way.passed.size;
      await call();
      assert.equal(session.lost, undefined);
      assert.ok(await isOpen(session));
      assert.ok(way.passed.size > dialled);
      await until(() => listener.peers.length === 2);
    }
    assert.deepEqual(readFileSync(join(local, 'again')), noise(1000));
  });

  test('tells why it can not be made, and can be asked again', async (t) => {
    const { session, cut, way } = await place(t);
    way.is = 'shut';
    await cut();
    for (const call of [
      () => names(session),
      () => session.makeFolder('/share/b'),
      () => session.nextOffer(),
    ])
      await assert.rejects(call, { exit: 4 });
    assert.equal(session.lost?.code, 'LOST');
    assert.ok(await isOpen(session));
    way.is = 'open';
    assert.deepEqual(await names(session), []);
  });

  test('a transfer tries again for as long as it may', async (t) => {
    const { session, cut, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(1000));
    way.is = 'shut';
    await cut();
    let told = 0;
    session.on('lost', () => {
      told += 1;
    });
    await assert.rejects(session.get(['/share/a'], `${local}/`, { retryFor: 1 }), { code: 'LOST' });
    await assert.rejects(session.get(['/share/a'], `${local}/`, { retryFor: 0 }), { exit: 4 });
    const attempts: number[] = [];
    const onRetry = ({ attempt }: { attempt: number }) => {
      attempts.push(attempt);
      way.is = 'open';
    };
    const receipt = await session.get(['/share/a'], `${local}/`, { onRetry });
    assert.deepEqual([receipt.code, attempts, told], ['OK', [1], 0]);
  });

  for (const is of ['shut', 'cut off'] as const)
    test(`a transfer goes on, too, whose lanes are ${is} before the channel breaks`, async (t) => {
      const { session, way, share, local } = await place(t);
      writeFileSync(join(share, 'a'), noise(1000));
      let told = 0;
      session.on('lost', () => {
        told += 1;
      });
      way.is = is;
      const ended = way.ended;
      const receipt = session.get(['/share/a'], `${local}/`);
      await until(() => way.ended > ended);
      // Long enough for it to arrive first.
      await delay(50);
      way.is = 'open';
      for (const socket of way.passed) socket.destroy();
      assert.deepEqual([(await receipt).code, told], ['OK', 0]);
      assert.deepEqual(readFileSync(join(local, 'a')), noise(1000));
    });

  for (const [what, is, lane] of [
    ['lanes always break', 'open', 16 * 1024],
    ['connection always breaks at the same place', 'torn', 512 * 1024],
  ] as const)
    test(`a transfer ends whose ${what}`, async (t) => {
      const { session, way, share, local } = await place(t);
      writeFileSync(join(share, 'a'), noise(8 * MIB));
      Object.assign(way, { is, lane });
      await assert.rejects(session.get(['/share/a'], `${local}/`, { retryFor: 500 }), { code: 'LOST' });
      assert.equal(existsSync(join(local, 'a')), false);
    });

  for (const existing of ['skip', 'update'] as const)
    test(`what a transfer under ${existing} has brought before is done, and not left out`, async (t) => {
      const { session, way, local, share, base } = await place(t);
      const [brought, fetched] = [join(share, 'got'), join(base, 'got')];
      for (const folder of [brought, fetched]) {
        mkdirSync(folder);
        writeFileSync(join(folder, 'left'), 'was there before');
      }
      const sources = ['small', 'left', 'big'].map((name) => join(local, name));
      writeFileSync(join(local, 'small'), 'small');
      writeFileSync(join(local, 'left'), 'is new');
      writeFileSync(join(local, 'big'), noise(2 * MIB));
      for (const name of sources) utimesSync(name, 1_000_000, 1_000_000);
      for (const [target, run] of [
        [brought, (options: PutOptions) => session.put(sources, '/share/got/', options)],
        [
          fetched,
          async (options: PutOptions) => {
            for (const name of sources)
              cpSync(name, join(share, basename(name)), { preserveTimestamps: true });
            const paths = sources.map((name) => `/share/${basename(name)}`);
            return await session.get(paths, `${fetched}/`, options);
          },
        ],
      ] as const) {
        const tries: unknown[] = [];
        const running = run({ existing, limit: MIB, onRetry: (next) => tries.push(next) });
        await until(() => existsSync(join(target, 'small')));
        for (const socket of way.passed) socket.destroy();
        const receipt = await running;
        assert.ok(tries.length > 0);
        const outcomes = receipt.outcomes.map(({ path, outcome }) => [path, outcome]).sort();
        assert.deepEqual(outcomes, [
          ['big', 'committed'],
          ['left', 'skipped'],
          ['small', 'same'],
        ]);
        assert.deepEqual([receipt.files, receipt.skipped, receipt.code], [2, 1, 'OK']);
        assert.equal(readFileSync(join(target, 'left'), 'utf8'), 'was there before');
      }
    });

  test('a transfer that comes no further is tried less and less often', async (t) => {
    const { session, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(8 * MIB));
    Object.assign(way, { is: 'torn', lane: 16 * 1024 });
    const stop = new AbortController();
    const attempts: number[] = [];
    const onRetry = ({ attempt }: { attempt: number }) => {
      attempts.push(attempt);
      if (attempts.length === 2) stop.abort();
    };
    const { signal } = stop;
    await assert.rejects(session.get(['/share/a'], `${local}/`, { signal, onRetry }), { code: 'CANCELLED' });
    assert.deepEqual(attempts, [1, 2]);
  });

  test('a transfer goes on for longer than it may be tried where each try leads further', async (t) => {
    const { session, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(16 * MIB));
    Object.assign(way, { is: 'torn', lane: 3 * MIB });
    const receipt = await session.get(['/share/a'], `${local}/`, { retryFor: 500 });
    assert.equal(receipt.code, 'OK');
    // Each of them was waited after, as long as all tries may take that lead no further.
    assert.ok(way.ended > 2);
    assert.ok(readFileSync(join(local, 'a')).equals(noise(16 * MIB)));
  });

  test('tells all transfers that wait for another one of each try', async (t) => {
    const { session, cut, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(1000));
    way.is = 'shut';
    await cut();
    const heard: string[] = [];
    const get = async (name: string, onRetry: (attempt: number) => void = () => {}) => {
      const told = ({ attempt }: { attempt: number }) => {
        heard.push(`${name} ${attempt}`);
        onRetry(attempt);
      };
      const { code } = await session.get(['/share/a'], join(local, name), { onRetry: told });
      assert.equal(code, 'OK');
    };
    let late: Promise<void> | undefined;
    const first = get('first', (attempt) => {
      if (attempt === 2) way.is = 'open';
      // While the first try is waited for.
      else late = get('late');
    });
    await Promise.all([first, get('other')]);
    await late;
    const all = ['first 1', 'first 2', 'late 1', 'late 2', 'other 1', 'other 2'];
    assert.deepEqual(heard.toSorted(), all);
  });

  test('is not given up with those who began to make it again, and had less patience', async (t) => {
    const { session, cut, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(1000));
    await cut();
    way.is = 'silent';
    const listing = assert.rejects(names(session), { code: 'UNREACHABLE' });
    await until(() => way.held.length === 1);
    const receipt = session.get(['/share/a'], `${local}/`);
    way.is = 'open';
    for (const socket of way.held) socket.destroy();
    await listing;
    assert.equal((await receipt).code, 'OK');
  });

  test('waits for no offer over it', async (t) => {
    const { session, cut } = await place(t);
    const waiting = assert.rejects(session.nextOffer(), { code: 'LOST' });
    await cut();
    await waiting;
  });

  test('has no offer that came over it', async (t) => {
    const { session, cut, listener, way, share, local } = await place(t);
    writeFileSync(join(share, 'a'), noise(1000));
    const taken = session.nextOffer();
    await until(() => listener.peers.length === 2);
    const [, peer = assert.fail()] = listener.peers;
    const sent = assert.rejects(listener.send(peer.id, [join(share, 'a')], { retryFor: 0 }), {
      code: 'LOST',
    });
    const offer = await taken;
    const { dialled } = way;
    await cut();
    await assert.rejects(offer.accept(local), { code: 'LOST' });
    await sent;
    assert.deepEqual([way.dialled, session.offers], [dialled, []]);
  });

  test('is over where another key answers then', async (t) => {
    const { session, cut, way } = await place(t);
    const other = await machine(t, sceneFolder(t), 'mallory');
    way.to = (await other.listen({ port: 0, host: '127.0.0.1', open: true })).port;
    await cut();
    await assert.rejects(names(session), { code: 'KEY_CHANGED' });
    assert.equal((await session.closed)?.code, 'KEY_CHANGED');
    assert.equal(session.lost, undefined);
    await assert.rejects(names(session), { code: 'KEY_CHANGED' });
  });

  test('goes no further once it is forgotten', async (t) => {
    const { session, cut, alice, bob, way } = await place(t);
    await cut();
    await alice.trust.forget(bob.fingerprint);
    assert.equal((await session.closed)?.code, 'REJECTED');
    const { dialled } = way;
    await assert.rejects(names(session), { code: 'REJECTED' });
    assert.equal(way.dialled, dialled);
  });

  test('is closed with its machine, and so is what is being made', async (t) => {
    const { session, cut, alice, way, local } = await place(t);
    await cut();
    way.is = 'silent';
    const calls = [names(session), session.get(['/share/a'], `${local}/`)];
    const refused = Promise.all(calls.map((call) => assert.rejects(call, { code: 'CLOSED' })));
    await until(() => way.held.length === 1);
    const ended = once(way.held[0] ?? assert.fail(), 'close');
    await alice.close();
    await refused;
    await ended;
    assert.equal(await session.closed, undefined);
    await assert.rejects(names(session), { code: 'CLOSED' });
    assert.equal(way.held.length, 1);
    assert.equal(existsSync(join(local, 'a')), false);
  });

  test('and has come back is closed with its machine too', async (t) => {
    const { session, cut, alice, listener } = await place(t);
    await cut();
    await until(() => listener.peers.length === 1);
    await names(session);
    await until(() => listener.peers.length === 2);
    await alice.close();
    assert.equal(await session.closed, undefined);
    await until(() => listener.peers.length === 0);
    await assert.rejects(names(session), { code: 'CLOSED' });
  });

  test('gives up what nobody waits for any more, and begins anew for who comes then', async (t) => {
    const { session, cut, way } = await place(t);
    await cut();
    way.is = 'silent';
    const stop = new AbortController();
    const listing = session.list('/share', { signal: stop.signal }).next();
    const cancelled = assert.rejects(listing, { code: 'CANCELLED' });
    await until(() => way.held.length === 1);
    const ended = once(way.held[0] ?? assert.fail(), 'close');
    stop.abort();
    await cancelled;
    way.is = 'open';
    assert.deepEqual(await names(session), []);
    await ended;
  });
});
