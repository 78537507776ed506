/** What is under way while a machine is closed: nothing of it is left open. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect as dialTcp } from 'node:net';
import { suite, test } from 'node:test';
import { identities } from '../crypto/fixed.ts';
import { RawListener, tcpServer } from '../server/wire-listener.ts';
import { machine, until } from '../server/wire-machines.ts';

/** A port that is free for now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  server.close();
  await once(server, 'close');
  return address.port;
}

suite('a machine that is closed', () => {
  test('leaves no port open that was being opened', async (t) => {
    const bob = await machine(t, 'bob');
    const port = await freePort();
    const refused = assert.rejects(bob.listen({ port, host: '127.0.0.1', open: true }), {
      code: 'SHUTTING_DOWN',
    });
    await bob.close();
    const [error] = await once(dialTcp(port, '127.0.0.1').on('connect', assert.fail), 'error');
    assert.equal(error.code, 'ECONNREFUSED');
    await refused;
    assert.deepEqual(bob.listeners, []);
  });

  test('gives up a connection that is being made, however far it is', async (t) => {
    // To one that answers nothing, and to one whose key is being decided about.
    let dialled = 0;
    let ended = 0;
    const silent = await tcpServer(t, (socket) => {
      dialled += 1;
      socket.resume().once('close', () => {
        ended += 1;
      });
    });
    // Far above the time of the test: nothing but the closing ends it.
    const patient = { handshakeTimeout: 600_000, decisionTimeout: 600_000 };
    const alice = await machine(t, 'alice', patient);
    const raw = await RawListener.open(t, identities.bob);
    const host = '127.0.0.1';
    let asked = false;
    const decide = () => {
      asked = true;
      return new Promise<never>(() => {});
    };
    const connecting = [
      alice.connect({ host, port: silent, acceptNew: true }),
      alice.connect({ host, port: raw.port, decide }),
    ];
    const refused = Promise.all(connecting.map((one) => assert.rejects(one, { code: 'SHUTTING_DOWN' })));
    const control = await raw.next();
    await control.handshake();
    control.send({ type: 'introduce', name: 'raw', waiting: false });
    await until(() => asked && dialled === 1);
    await alice.close();
    await refused;
    await until(() => ended === 1 && raw.ended === 1);
  });
});
