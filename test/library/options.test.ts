/** What a program says wrongly is told to it at once, and costs nobody a session. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Fingerprint, Offer, TransferOptions } from '../../src/index.ts';
import { machine, pair, sceneFolder } from '../session/machines.ts';

/** Each with the words that say what would be right. */
const WRONG: readonly (readonly [unknown, RegExp])[] = [
  [{ limit: Number.NaN }, /^the option limit can't be NaN: it must be bytes a second, 1 or more$/],
  [{ limit: 0 }, /bytes a second, 1 or more$/],
  [{ limit: -1 }, /bytes a second, 1 or more$/],
  [{ limit: 10n }, /can't be 10:/],
  [{ lanes: 0 }, /a whole number, from 1 to 16$/],
  [{ lanes: 1.5 }, /a whole number, from 1 to 16$/],
  [{ lanes: null }, /can't be null: it must be a whole number, from 1 to 16$/],
  [{ chunk: 7 }, /bytes, from 1024 to 4194304$/],
  [{ chunk: '64K' }, /can't be "64K"/],
  [{ existing: 'replace' }, /one of fail, overwrite, skip, rename, update$/],
  [{ retryFor: Number.POSITIVE_INFINITY }, /milliseconds, from 0 to 2147483647$/],
];

function wrongOptions(wrong: unknown): TransferOptions {
  return wrong as TransferOptions;
}

suite('options of transfers that are wrong', () => {
  test('are refused by every call before anything is sent, and the session goes on', async (t) => {
    const { share, local, listener, session, failed } = await pair(t);
    writeFileSync(join(share, 'a'), 'there');
    const path = join(local, 'b');
    writeFileSync(path, 'here');
    const begun: string[] = [];
    listener.on('transfer', () => begun.push('transfer'));
    listener.on('offer', () => begun.push('offer'));
    const [peer] = listener.peers;
    assert.ok(peer);
    for (const [wrong, message] of WRONG) {
      const options = wrongOptions(wrong);
      const refused = { code: 'USAGE', message };
      await assert.rejects(session.get(['/share/a'], `${local}/`, options), refused);
      await assert.rejects(session.put([path], '/share/', options), refused);
      await assert.rejects(session.send([path], options), refused);
      await assert.rejects(listener.send(peer.id, [path], options), refused);
      const [toAll] = await listener.sendToAll([peer.id], [path], options);
      assert.ok(toAll?.status === 'rejected');
      assert.match(toAll.reason.message, message);
    }
    assert.deepEqual([begun, session.offers, failed], [[], [], []]);
    assert.equal((await session.get(['/share/a'], `${local}/`)).code, 'OK');
  });

  test('leave an offer standing, at either end', async (t) => {
    const { base, local, listener, session } = await pair(t);
    const path = join(local, 'b');
    writeFileSync(path, 'here');
    const [peer] = listener.peers;
    assert.ok(peer);
    const accept = async (offer: Offer, name: string) => {
      for (const [wrong, message] of WRONG) {
        const refused = { code: 'USAGE', message };
        await assert.rejects(offer.accept(join(base, name), wrongOptions(wrong)), refused);
      }
      await assert.rejects(offer.read({ retryFor: -1 }), { code: 'USAGE' });
      const { text } = await offer.read({ retryFor: 0 });
      assert.equal(text, 'hello');
    };
    const sending = listener.send(peer.id, [{ text: 'hello' }]);
    await accept(await session.nextOffer(), 'one');
    await sending;

    const offered = once(listener, 'offer');
    const back = session.send([{ text: 'hello' }]);
    const [offer] = await offered;
    await accept(offer, 'two');
    await back;
  });
});

test('options of a port or of a server that are wrong are refused', async (t) => {
  const base = sceneFolder(t);
  const alice = await machine(t, base, 'alice');
  const at = { host: '127.0.0.1', port: 1 };
  for (const port of [99_999, -1, 1.5, Number.NaN]) {
    const refused = {
      code: 'USAGE',
      message: /^the option port can't be .*: it must be a whole number, from/,
    };
    await assert.rejects(alice.listen({ ...at, port }), refused);
    await assert.rejects(alice.connect({ ...at, port }), refused);
    await assert.rejects(alice.scan({ port }).next(), refused);
  }
  await assert.rejects(alice.connect({ ...at, port: 0 }), { code: 'USAGE' });
  await assert.rejects(alice.listen({ ...at, port: 0, maxConnections: 0 }), { code: 'USAGE' });
});

test('a fingerprint that is none is no key that has changed', async (t) => {
  const { bob, alice, listener } = await pair(t);
  const at = { host: '127.0.0.1', port: listener.port };
  const wrong: unknown[] = [bob.fingerprint.slice(0, -1), bob.fingerprint.toLowerCase(), '', 7];
  for (const fingerprint of wrong as Fingerprint[]) {
    const refused = { code: 'USAGE', message: 'that is not a fingerprint' };
    await assert.rejects(alice.connect({ ...at, fingerprint }), refused);
    await assert.rejects(alice.connect({ ...at, pinned: fingerprint }), refused);
  }
  await (await alice.connect({ ...at, fingerprint: bob.fingerprint })).close();
});
