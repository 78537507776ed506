import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { KEPT_SECRET_BYTES, openKept, sealKept } from '../../src/crypto/kept-secret.ts';
import { identities } from './fixed.ts';

suite('a secret that is kept', () => {
  const { alice, bob } = identities;

  test('is opened by the same identity for the same purpose, and by nothing else', () => {
    for (const length of [0, 32, 318]) {
      const secret = randomBytes(length);
      const sealed = sealKept(alice, 'test', secret);
      assert.equal(sealed.length, KEPT_SECRET_BYTES);
      assert.deepEqual(openKept(alice, 'test', sealed), secret);
      assert.equal(openKept(bob, 'test', sealed), undefined);
      assert.equal(openKept(alice, 'another', sealed), undefined);
      for (const at of [0, 100, KEPT_SECRET_BYTES - 1]) {
        const spoiled = Buffer.from(sealed);
        spoiled[at] = (spoiled[at] ?? 0) ^ 1;
        assert.equal(openKept(alice, 'test', spoiled), undefined);
      }
      assert.equal(openKept(alice, 'test', sealed.subarray(1)), undefined);
    }
    assert.throws(() => sealKept(alice, 'test', Buffer.alloc(319)));
    assert.notDeepEqual(sealKept(alice, 'test', Buffer.alloc(32)), sealKept(alice, 'test', Buffer.alloc(32)));
  });
});
