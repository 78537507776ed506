/** A connection that is being made again while nobody wants it any more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as dialTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { identities } from '../crypto/fixed.ts';
import { RawListener, tcpServer } from '../server/wire-listener.ts';
import { folderOf, until } from '../server/wire-machines.ts';
import { machine, noise, pair, sceneFolder } from './machines.ts';

const MIB = 1024 * 1024;
/** Far above the time of a test: nothing but what is looked at ends a connection. */
const PATIENT = {
  retryFor: 600_000,
  handshakeTimeout: 600_000,
  'keepAlive.silence': 600_000,
};

suite('a connection that is being made again', () => {
  test('ends with the last transfer that wants it', async (t) => {
    const { local, alice, bob, listener } = await pair(t, { alice: PATIENT });
    const passed = new Set<Socket>();
    const held: Socket[] = [];
    let isSilent = false;
    const port = await tcpServer(t, (near) => {
      if (isSilent) {
        held.push(near.resume());
        return;
      }
      const far = dialTcp(listener.port, '127.0.0.1');
      for (const socket of [near, far]) passed.add(socket.on('error', () => {}));
      near.pipe(far).pipe(near);
    });
    const { fingerprint } = bob;
    const session = await alice.connect({ host: '127.0.0.1', port, fingerprint });
    writeFileSync(join(local, 'big'), noise(8 * MIB));
    const [one, other] = [new AbortController(), new AbortController()];
    const put = (name: string, { signal }: AbortController) =>
      assert.rejects(session.put([join(local, 'big')], `/share/${name}`, { signal, limit: MIB }), {
        code: 'CANCELLED',
      });
    const transfers = [put('one', one), put('other', other)];
    await until(() => listener.transfers.length === 2 && listener.transfers.every(({ bytes }) => bytes > 0));
    isSilent = true;
    for (const socket of passed) socket.destroy();
    await until(() => held.length === 1);
    const ended = once(held[0] ?? assert.fail(), 'close');
    one.abort();
    await transfers[0];
    assert.equal(held[0]?.destroyed, false, 'the other still wants it');
    other.abort();
    await transfers[1];
    await ended;
    assert.equal(session.lost?.code, 'LOST');
    await alice.close();
    assert.equal(held.length, 1);
  });

  test('and logs in is closed with its session', async (t) => {
    const alice = await machine(t, sceneFolder(t), 'alice', PATIENT);
    const { fingerprint } = identities.bob;
    const server = await RawListener.open(t, identities.bob);
    const connecting = alice.connect({ host: '127.0.0.1', port: server.port, fingerprint });
    const first = await server.next();
    await first.session();
    const session = await connecting;
    const login = session.login('ann', 'a password');
    while ((await first.next())?.type !== 'login');
    first.send({ type: 'welcome', name: 'ann' });
    await login;
    const closed = assert.rejects(session.get(['/docs/a'], `${folderOf(t, {})}/`), { code: 'CLOSED' });
    while ((await first.next())?.type !== 'get');
    first.socket.destroy();
    const second = await server.next();
    await second.session();
    while ((await second.next())?.type !== 'login');
    await alice.close();
    await closed;
    await until(() => server.ended === 2);
    assert.equal(await session.closed, undefined);
  });
});
