import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkCertificate, selfSign } from '../../src/crypto/certificate.ts';
import { RSA_BITS } from '../../src/crypto/rsa.ts';
import { certificateAround, oddNumber, rsaSpki } from './der.ts';
import { flip, identities, isBadHandshake, signingPublicKey } from './fixed.ts';

const { alice } = identities;
const own = new X509Certificate(alice.certificate).raw;

function sameKeyAgain(): {
  privateKey: typeof alice.signingKey;
  publicKey: ReturnType<typeof signingPublicKey>;
} {
  return { privateKey: alice.signingKey, publicKey: signingPublicKey('alice') };
}

describe('checkCertificate', () => {
  it('returns the key, its encoding and its fingerprint', () => {
    const checked = checkCertificate(own);
    assert.equal(checked.fingerprint, alice.fingerprint);
    assert.deepEqual(checked.spki, alice.signingSpki);
    assert.ok(checked.publicKey.equals(signingPublicKey('alice')));
  });

  it('finds the same identity in every certificate of the same key', async () => {
    const again = new X509Certificate(await selfSign(sameKeyAgain())).raw;
    assert.ok(!again.equals(own), 'PSS is random, so it is another certificate');
    const expired = certificateAround(alice.signingSpki, 'expired', ['70', '71']);
    const future = certificateAround(alice.signingSpki, 'not yet', ['48', '49']);
    for (const der of [again, expired, future]) {
      assert.equal(checkCertificate(der).fingerprint, alice.fingerprint);
    }
  });

  it('takes the fingerprint of the key as encoded here, whatever encoding the certificate holds', () => {
    const modulus = BigInt(`0x${alice.signingSpki.toString('hex').slice(-(768 + 10), -10)}`);
    const bare = rsaSpki(modulus, 65537n, Buffer.alloc(0));
    assert.ok(!bare.equals(alice.signingSpki));
    const checked = checkCertificate(certificateAround(bare));
    assert.equal(checked.fingerprint, alice.fingerprint);
    assert.deepEqual(checked.spki, alice.signingSpki);
  });

  it('takes exactly 3072 bits and e = 65537', () => {
    assert.ok(checkCertificate(certificateAround(rsaSpki(oddNumber(RSA_BITS), 65537n))));
    for (const bits of [512, 1024, 2048, 3064, 3071, 3073, 3080, 4096, 8192, 16384]) {
      const der = certificateAround(rsaSpki(oddNumber(bits), 65537n));
      assert.throws(() => checkCertificate(der), isBadHandshake, `${bits} bits`);
    }
    for (const exponent of [1n, 2n, 3n, 17n, 257n, 65535n, 65539n, 1n << 32n, oddNumber(RSA_BITS) - 2n]) {
      const der = certificateAround(rsaSpki(oddNumber(RSA_BITS), exponent));
      assert.throws(() => checkCertificate(der), isBadHandshake, `e = ${exponent}`);
    }
  });

  it('refuses real keys of other kinds', () => {
    const pairs = {
      'RSA-2048': generateKeyPairSync('rsa', { modulusLength: 2048 }),
      'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      Ed25519: generateKeyPairSync('ed25519'),
      X25519: generateKeyPairSync('x25519'),
      DSA: generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }),
    };
    for (const [name, { publicKey }] of Object.entries(pairs)) {
      const der = certificateAround(publicKey.export({ type: 'spki', format: 'der' }));
      assert.throws(() => checkCertificate(der), isBadHandshake, name);
    }
  });

  it('keeps the reason for the log', () => {
    const der = certificateAround(rsaSpki(oddNumber(2048), 65537n));
    assert.throws(
      () => checkCertificate(der),
      (error: Error) => error.cause instanceof Error && error.cause.message.includes('2048'),
    );
  });

  it('has, for any bytes at all, the one answer', () => {
    const check = (bytes: Uint8Array): void => {
      try {
        checkCertificate(bytes);
      } catch (error) {
        isBadHandshake(error);
      }
    };
    fc.assert(fc.property(fc.uint8Array(), (bytes) => check(bytes)));
    fc.assert(fc.property(fc.nat(), (place) => check(flip(own, place))));
    fc.assert(fc.property(fc.nat(own.length - 1), (length) => check(own.subarray(0, length))));
  });

  it('never finds the fingerprint of a key that a flipped bit has changed', () => {
    const start = own.indexOf(alice.signingSpki);
    const modulus = own.subarray(start + 40, start + 400);
    assert.ok(start > 0);
    fc.assert(
      fc.property(fc.nat(), (place) => {
        const der = Buffer.concat([
          own.subarray(0, start + 40),
          flip(modulus, place),
          own.subarray(start + 400),
        ]);
        assert.notEqual(checkCertificate(der).fingerprint, alice.fingerprint);
      }),
    );
  });
});

describe('selfSign', () => {
  it('says nothing of the machine: constant names, numbers and dates', async () => {
    const first = new X509Certificate(alice.certificate);
    const second = new X509Certificate(identities.bob.certificate);
    for (const certificate of [first, second, new X509Certificate(await selfSign(sameKeyAgain()))]) {
      assert.equal(certificate.subject, 'CN=localstream');
      assert.equal(certificate.issuer, 'CN=localstream');
      assert.equal(certificate.serialNumber, '01');
      assert.equal(certificate.validFromDate.toISOString(), '2000-01-01T00:00:00.000Z');
      assert.equal(certificate.validToDate.toISOString(), '9999-12-31T23:59:59.000Z');
      assert.equal(certificate.subjectAltName, undefined);
    }
  });

  it('signs with PSS, which is all that the identity key is for', () => {
    const certificate = new X509Certificate(alice.certificate);
    assert.equal(certificate.signatureAlgorithm, 'rsassaPss');
    assert.ok(certificate.verify(signingPublicKey('alice')));
    // id-mgf1 with SHA-256, and [2] INTEGER 32: the salt's length.
    assert.ok(certificate.raw.includes(Buffer.from('a203020120', 'hex')));
  });
});
