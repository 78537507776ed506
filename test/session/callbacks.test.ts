/** Callbacks of a transfer that throw: it ends with their error, and nothing else does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as dialTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { ReceiveOptions, TransferOptions } from '../../src/index.ts';
import { tcpServer } from '../server/wire-listener.ts';
import { until } from '../server/wire-machines.ts';
import { noise, pair } from './machines.ts';

const MIB = 1024 * 1024;
const BUG = new TypeError('a bug of the program');
const ways: Readonly<Record<string, () => void>> = {
  throws: () => {
    throw BUG;
  },
  'gives a promise that rejects': async () => {
    throw BUG;
  },
};

for (const [way, bug] of Object.entries(ways))
  suite(`a callback that ${way}`, () => {
    const callbacks: readonly TransferOptions[] = [{ onProgress: bug }, { onTransfer: bug }];

    test('ends what is fetched and sent, and the session goes on', async (t) => {
      const { share, local, listener, session } = await pair(t);
      const path = join(local, 'here');
      for (const file of [path, join(share, 'there')]) writeFileSync(file, noise(4 * MIB));
      const [peer] = listener.peers;
      assert.ok(peer);
      listener.on('offer', (offer) => offer.accept().catch(() => {}));
      session.on('offer', (offer) => offer.accept(join(local, 'offered')).catch(() => {}));
      for (const callback of callbacks) {
        // None of them is over before it is told of.
        const options = { ...callback, limit: MIB };
        const isBug = (error: unknown) => error === BUG;
        await assert.rejects(session.get(['/share/there'], `${local}/`, options), isBug);
        await assert.rejects(session.put([path], '/share/', options), isBug);
        await assert.rejects(session.send([path], options), isBug);
        await assert.rejects(listener.send(peer.id, [path], options), isBug);
        await until(() => listener.transfers.length === 0 && session.transfers.length === 0);
      }
      assert.equal((await session.get(['/share/there'], `${local}/`)).code, 'OK');
    });

    test('ends what was offered and accepted, at either end', async (t) => {
      const { base, local, listener, session } = await pair(t);
      const path = join(local, 'here');
      writeFileSync(path, noise(4 * MIB));
      const [peer] = listener.peers;
      assert.ok(peer);
      for (const callback of callbacks) {
        const options: ReceiveOptions = { ...callback, limit: MIB };
        const isBug = (error: unknown) => error === BUG;
        const sending = assert.rejects(listener.send(peer.id, [path]), { code: 'CLOSED' });
        const offer = await session.nextOffer();
        await assert.rejects(offer.accept(join(base, 'one'), options), isBug);
        await sending;
        const offered = once(listener, 'offer');
        const back = assert.rejects(session.send([path]), { code: 'CLOSED' });
        const [other] = await offered;
        await assert.rejects(other.accept(join(base, 'two'), options), isBug);
        await back;
      }
      assert.equal(session.lost, undefined);
    });

    test('when a lost connection is made again ends its own transfer alone', async (t) => {
      const { local, share, alice, bob, listener } = await pair(t, { alice: { retryFor: 600_000 } });
      const passed = new Set<Socket>();
      const port = await tcpServer(t, (near) => {
        const far = dialTcp(listener.port, '127.0.0.1');
        for (const socket of [near, far]) passed.add(socket.on('error', () => {}));
        near.pipe(far).pipe(near);
      });
      const session = await alice.connect({ host: '127.0.0.1', port, fingerprint: bob.fingerprint });
      writeFileSync(join(share, 'big'), noise(4 * MIB));
      const get = (name: string, options: TransferOptions) =>
        session.get(['/share/big'], join(local, name), { limit: 2 * MIB, ...options });
      const one = assert.rejects(get('one', { onRetry: bug }), (error) => error === BUG);
      const other = get('other', {});
      await until(() => session.transfers.length === 2 && session.transfers.every(({ bytes }) => bytes > 0));
      for (const socket of passed) socket.destroy();
      await one;
      assert.equal((await other).code, 'OK');
    });
  });
