import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { SEAL_SECRET_BYTES } from '../../src/crypto/envelope-repeat.ts';
import { SealSecrets } from '../../src/store/seal-secret.ts';
import { identities } from '../crypto/fixed.ts';
import { temporaryHome } from './temporary-home.ts';

const DAY = 86_400_000;

test('the secret is the same for some days and in every process, then another, and private', async (t) => {
  const home = temporaryHome(t);
  let now = Date.now();
  const secrets = () => new SealSecrets(home, identities.alice, undefined, () => now);
  const [first, second] = await Promise.all([secrets().get(), secrets().get()]);
  assert.equal(first.length, SEAL_SECRET_BYTES);
  assert.deepEqual(second, first);
  assert.equal(statSync(home.sealingFile).mode & 0o777, 0o600);
  now += 6 * DAY;
  assert.deepEqual(await secrets().get(), first);
  now += 2 * DAY;
  const later = await secrets().get();
  assert.notDeepEqual(later, first);
  // The clock was set back: it is not kept for longer than it would have been.
  now -= 300 * DAY;
  assert.notDeepEqual(await secrets().get(), later);
});

test('the secret does not lie in its file, and is of no use to another identity', async (t) => {
  const home = temporaryHome(t);
  const secret = await new SealSecrets(home, identities.alice).get();
  const text = readFileSync(home.sealingFile);
  const sealed = Buffer.from(JSON.parse(text.toString()).sealed, 'base64');
  for (const form of ['base64', 'base64url', 'hex', 'latin1'] as const)
    for (const bytes of [text, sealed]) assert.ok(!bytes.includes(secret.toString(form), 0, 'latin1'), form);
  assert.deepEqual(await new SealSecrets(home, identities.alice).get(), secret);
  // A home with another identity draws its own; what the first has begun is sent anew.
  const other = await new SealSecrets(home, identities.bob).get();
  assert.notDeepEqual(other, secret);
  assert.deepEqual(await new SealSecrets(home, identities.bob).get(), other);
});
