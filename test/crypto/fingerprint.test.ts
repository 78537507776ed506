import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  fingerprintBytes,
  fingerprintOfBytes,
  fingerprintOfSpki,
  isFingerprint,
  parseFingerprint,
} from '../../src/crypto/fingerprint.ts';
import { UsageError } from '../../src/errors.ts';
import { flip, identities } from './fixed.ts';

describe('fingerprint', () => {
  it('is the digest of the key in base64 without padding, as OpenSSH writes it', () => {
    // The digest of no bytes at all is in FIPS 180-4's own examples.
    assert.equal(fingerprintOfSpki(new Uint8Array()), 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU');
    assert.match(identities.alice.fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('turns any 32 bytes to text and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const fingerprint = fingerprintOfBytes(bytes);
        assert.equal(fingerprint.length, 50);
        assert.ok(isFingerprint(fingerprint));
        assert.equal(parseFingerprint(fingerprint), fingerprint);
        assert.deepEqual(fingerprintBytes(fingerprint), Buffer.from(bytes));
      }),
    );
  });

  it('has one text for one key: another text is no fingerprint, or that of another key', () => {
    const bytes = fingerprintBytes(identities.alice.fingerprint);
    fc.assert(
      fc.property(
        fc.nat(49),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        (index, character) => {
          const { fingerprint } = identities.alice;
          const changed = fingerprint.slice(0, index) + character + fingerprint.slice(index + 1);
          if (changed === fingerprint || !isFingerprint(changed)) return;
          assert.notDeepEqual(fingerprintBytes(changed), bytes);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('refuses every other length of bytes', () => {
    for (const length of [0, 31, 33, 64]) {
      assert.throws(() => fingerprintOfBytes(new Uint8Array(length)), RangeError);
    }
  });

  it('differs for keys that differ in one bit', () => {
    fc.assert(
      fc.property(fc.nat(), (place) => {
        const { signingSpki, fingerprint } = identities.alice;
        assert.notEqual(fingerprintOfSpki(flip(signingSpki, place)), fingerprint);
      }),
    );
  });

  it('refuses what is not text', () => {
    for (const value of [undefined, null, 42, {}, [identities.alice.fingerprint]]) {
      assert.equal(isFingerprint(value), false);
    }
  });

  it('does not repeat in its error what was typed, for it may be anything', () => {
    const typed = '\u001b]0;owned\u0007';
    assert.throws(
      () => parseFingerprint(typed),
      (error) => {
        assert.ok(error instanceof UsageError);
        assert.equal(error.code, 'USAGE');
        assert.match(error.hint ?? '', /SHA256:/);
        assert.ok(!`${error.message}${error.hint}`.includes(typed));
        return true;
      },
    );
  });
});
