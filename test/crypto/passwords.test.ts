import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  HASH_POLICY,
  isPasswordHash,
  MOST_PASSWORD_BYTES,
  PasswordHasher,
  passwordFault,
} from '../../src/crypto/passwords.ts';
import { UnavailableError, UsageError } from '../../src/errors.ts';
import vectors from '../vectors/phc.json' with { type: 'json' };

const CHEAP = { memory: 64, passes: 1, lanes: 1 };
const hasher = new PasswordHasher({ policy: CHEAP });

function pairOf(vector: readonly string[]): [string, string] {
  const [password, stored] = vector;
  assert.ok(password !== undefined && stored !== undefined);
  return [password, stored];
}

describe('phc.json', () => {
  for (const [name, vector] of Object.entries(vectors.verified)) {
    it(name, async () => {
      const [password, stored] = pairOf(vector);
      assert.ok(isPasswordHash(stored));
      assert.equal(await hasher.verify(password, stored), true);
      assert.equal(await hasher.verify(`x${password}`, stored), false);
      assert.equal(await hasher.verifyNothing(password, stored), false);
    });
  }

  for (const [name, vector] of Object.entries(vectors.mustFail)) {
    it(`must fail: ${name}`, async () => {
      const [password, stored] = pairOf(vector);
      assert.equal(await hasher.verify(password, stored), false);
    });
  }
});

it('meets what OWASP asks of argon2id at least', () => {
  assert.ok(HASH_POLICY.memory >= 19_456 && HASH_POLICY.passes >= 2 && HASH_POLICY.lanes === 1);
});

it('hashes with the policy and a salt of its own', async () => {
  const [one, two] = await Promise.all([hasher.hash('pässwörd'), hasher.hash('pässwörd')]);
  assert.match(one, /^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one, two);
  for (const stored of [one, two]) {
    assert.equal(await hasher.verify('pässwörd', stored), true);
    assert.equal(await hasher.verify('password', stored), false);
  }
});

it('takes no password that is empty, endless, malformed or cut by a NUL', async () => {
  const unfit = [
    '',
    'a\0',
    '\ud800',
    'a'.repeat(MOST_PASSWORD_BYTES + 1),
    'é'.repeat(MOST_PASSWORD_BYTES / 2 + 1),
  ];
  for (const password of unfit) {
    assert.notEqual(passwordFault(password), undefined);
    await assert.rejects(hasher.hash(password), UsageError);
  }
  const longest = 'é'.repeat(MOST_PASSWORD_BYTES / 2);
  assert.equal(await hasher.verify(longest, await hasher.hash(longest)), true);
});

it('renews what is weaker than the policy, and only that', async () => {
  const strict = new PasswordHasher({ policy: { memory: 128, passes: 2, lanes: 1 } });
  assert.equal(strict.needsRehash(await strict.hash('x')), false);
  assert.equal(hasher.needsRehash(await strict.hash('x')), false);
  assert.equal(strict.needsRehash(await hasher.hash('x')), true);
  for (const [name, [, stored = '']] of Object.entries(vectors.verified)) {
    const isStrong = ['argon2id', 'argon2id, 64 MiB'].includes(name);
    assert.equal(strict.needsRehash(stored), !isStrong, name);
  }
});

it('spends on a user that does not exist what the hash beside it costs', async (t) => {
  const costly = new PasswordHasher({ policy: { memory: 16_384, passes: 4, lanes: 1 } });
  const stored = await costly.hash('secret');
  const time = async (work: () => Promise<boolean>) => {
    const start = performance.now();
    assert.equal(await work(), false);
    return performance.now() - start;
  };
  const times: Record<string, number[]> = { wrong: [], unknown: [], 'unknown, like': [], unreadable: [] };
  for (let round = 0; round < 6; round++) {
    times['wrong']?.push(await time(() => costly.verify('guess', stored)));
    times['unknown']?.push(await time(() => costly.verifyNothing('guess')));
    times['unknown, like']?.push(await time(() => hasher.verifyNothing('guess', stored)));
    times['unreadable']?.push(await time(() => costly.verify('guess', '*')));
  }
  for (const [name, all] of Object.entries(times)) {
    t.diagnostic(`${name}: ${all.toSorted((a, b) => a - b)[2]?.toFixed(1)} ms`);
  }
});

it('leaves the main thread alone and turns away what is too much', async () => {
  const narrow = new PasswordHasher({
    policy: { memory: 32_768, passes: 4, lanes: 1 },
    width: 1,
    maxWaiting: 1,
  });
  await narrow.hash('loads the native part');
  let done = 0;
  const both = [narrow.hash('one'), narrow.hash('two')].map((hash) => hash.then(() => (done += 1)));
  await nextTurn();
  await nextTurn();
  assert.equal(done, 0, 'the loop turned while both hashes were under way');
  await assert.rejects(narrow.verify('three', await hasher.hash('three')), UnavailableError);
  await Promise.all(both);
  assert.equal(await narrow.verifyNothing('four'), false);
});
