import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadIdentity } from '../../src/store/identity-store.ts';
import { otherProcess, temporaryHome } from './temporary-home.ts';

test('an identity is made on first use and is the same afterwards', async (t) => {
  const home = temporaryHome(t);
  const first = await loadIdentity(home);
  const bytes = readFileSync(home.identityFile);
  assert.equal((await loadIdentity(home)).fingerprint, first.fingerprint);
  assert.deepEqual(readFileSync(home.identityFile), bytes);
});

test('processes that start at once on a new home get one identity', async (t) => {
  const home = temporaryHome(t);
  const runs = await Promise.all([1, 2, 3].map(() => otherProcess(['identity', home.data])));
  const said = runs.map((run) => run.output.trim());
  assert.match(said[0] ?? '', /^SHA256:.{43}$/, runs[0]?.errors);
  assert.deepEqual(new Set(said), new Set([(await loadIdentity(home)).fingerprint]));
});

test('a damaged or newer identity is refused, with what to do, and never replaced', async (t) => {
  const home = temporaryHome(t);
  await loadIdentity(home);
  const good = readFileSync(home.identityFile, 'utf8');
  const { signingKey } = JSON.parse(good);
  const bad = {
    empty: '',
    'cut short': good.slice(0, good.length / 2),
    garbage: '\u0000'.repeat(good.length),
    'no key': JSON.stringify({ ...JSON.parse(good), signingKey: undefined }),
    'another key': JSON.stringify({ ...JSON.parse(good), encryptionKey: signingKey }),
    'a flipped letter': good.replace('MII', 'MJI'),
    newer: JSON.stringify({ ...JSON.parse(good), version: 2 }),
    'only a version': '{"version":1}',
    'an empty object': '{}',
  };
  for (const [name, content] of Object.entries(bad)) {
    writeFileSync(home.identityFile, content);
    await assert.rejects(
      loadIdentity(home),
      (error: { code?: string; message?: string; hint?: string; cause?: unknown }) => {
        assert.equal(error.code, 'STATE', name);
        assert.ok(error.message?.includes(home.identityFile), error.message);
        assert.ok(error.hint, name);
        const chain = JSON.stringify([error.message, error.hint, String(error.cause)]);
        assert.ok(!chain.includes(signingKey.slice(100, 140)), 'the key is not quoted');
        return true;
      },
    );
    assert.equal(readFileSync(home.identityFile, 'utf8'), content, name);
  }
  assert.deepEqual(
    readdirSync(home.data).filter((name) => name.startsWith('identity')),
    ['identity.json'],
  );
});
