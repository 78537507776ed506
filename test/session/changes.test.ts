import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Entry } from '../../src/index.ts';
import { identities } from '../crypto/fixed.ts';
import { dialSession } from '../server/wire-dialler.ts';
import { RawListener } from '../server/wire-listener.ts';
import { machine, pair, sceneFolder } from './machines.ts';

async function all(listing: AsyncIterable<Entry>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of listing) entries.push(entry);
  return entries;
}

suite('a change in a share', () => {
  test('is not even asked of a server that does not know it', async (t) => {
    const raw = await RawListener.open(t, identities.bob);
    const alice = await machine(t, sceneFolder(t), 'alice');
    const connecting = alice.connect({ host: '127.0.0.1', port: raw.port, acceptNew: true });
    const server = await raw.next();
    await server.session([]);
    const session = await connecting;
    for (const change of [
      () => session.makeFolder('/docs/new'),
      () => session.move('/docs/a', '/docs/b'),
      () => session.remove('/docs/a'),
    ])
      await assert.rejects(change(), { code: 'NOT_SUPPORTED', message: /the server is an older one/ });
    // The session goes on, and the next that the server hears is a listing.
    const listing = session.list('/').next();
    const message = await server.after();
    assert.equal(message?.type, 'list');
    server.send({ type: 'listing', request: message?.['request'], entries: [], last: true });
    assert.deepEqual(await listing, { done: true, value: undefined });
  });

  test('is carried out one after the other, and a crowd of them is turned away', async (t) => {
    const { share, listener } = await pair(t);
    const { control } = await dialSession(listener.port, identities.mallory);
    for (let request = 0; request < 20; request += 1)
      control.send({ type: 'mkdir', request, path: `/share/${request}` });
    const flags = new Map<unknown, unknown>();
    while (flags.size < 20) {
      const answer = await control.after();
      flags.set(answer?.['request'], answer?.['flag'] ?? answer?.['entries']);
    }
    const made = [...flags].filter(([, value]) => value === 1).map(([request]) => String(request));
    assert.deepEqual(readdirSync(share).sort(), made.sort());
    assert.ok(made.length >= 8, 'some are done');
    for (const value of flags.values()) assert.ok(value === 1 || value === 422, String(value));
  });

  test('may be asked for and listed side by side, and ends with the session', async (t) => {
    const { share, session } = await pair(t);
    mkdirSync(join(share, 'old'));
    const [entries] = await Promise.all([
      all(session.list('/share/old')),
      session.makeFolder('/share/new'),
      assert.rejects(session.makeFolder('/share/old'), { code: 'EXISTS' }),
      assert.rejects(all(session.list('/share/none')), { code: 'NOT_FOUND' }),
    ]);
    assert.deepEqual(entries, []);
    const stopped = AbortSignal.abort();
    await assert.rejects(session.makeFolder('/share/x', { signal: stopped }), { code: 'CANCELLED' });
    const late = session.makeFolder('/share/late');
    await Promise.all([assert.rejects(late, { code: 'CLOSED' }), session.close()]);
    await assert.rejects(session.makeFolder('/share/x'), { code: 'CLOSED' });
    assert.ok(!readdirSync(share).includes('x'));
  });
});
