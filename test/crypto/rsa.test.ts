import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { isConsistentPrivateKey, rsaFault, spkiOf } from '../../src/crypto/rsa.ts';
import { identities } from './fixed.ts';

const { signingKey, signingSpki } = identities.alice;
const jwk = signingKey.export({ format: 'jwk' });

type PrivateNumber = 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi';

function numberOf(name: PrivateNumber): bigint {
  return BigInt(`0x${Buffer.from(jwk[name] ?? '', 'base64url').toString('hex')}`);
}

function textOf(number: bigint): string {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

function consistentWith(changes: Partial<Record<PrivateNumber, bigint>>): boolean {
  const texts: JsonWebKey = { ...jwk };
  for (const [name, number] of Object.entries(changes)) texts[name] = textOf(number);
  return isConsistentPrivateKey(createPrivateKey({ key: texts, format: 'jwk' }));
}

describe('isConsistentPrivateKey', () => {
  it('is true of a key as it was made', () => {
    assert.equal(consistentWith({}), true);
  });

  it('is false where any one number is off', () => {
    for (const name of ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      assert.equal(consistentWith({ [name]: numberOf(name) + 2n }), false, name);
    }
  });

  it('is false where the exponents agree with one another but fit one prime only', () => {
    const [p, q, d] = [numberOf('p') - 1n, numberOf('q') - 1n, numberOf('d')];
    assert.equal(consistentWith({ d: d + q, dp: (d + q) % p }), false);
    assert.equal(consistentWith({ d: d + p, dq: (d + p) % q }), false);
  });
});

describe('rsaFault and spkiOf', () => {
  it('take both halves of a pair alike', () => {
    const publicKey = createPublicKey(signingKey);
    assert.equal(rsaFault(publicKey), undefined);
    assert.equal(rsaFault(signingKey), undefined);
    assert.deepEqual(spkiOf(publicKey), signingSpki);
    assert.deepEqual(spkiOf(signingKey), signingSpki);
  });

  it('find fault with what is no key pair', () => {
    assert.match(rsaFault(createSecretKey(Buffer.alloc(32))) ?? '', /not RSA/);
  });
});
