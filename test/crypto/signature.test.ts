import assert from 'node:assert/strict';
import { constants, createPublicKey, sign, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { signReceipt, verifyReceipt } from '../../src/crypto/receipt.ts';
import { signStatement, verifyStatement } from '../../src/crypto/signature.ts';
import { oddNumber, rsaSpki } from './der.ts';
import { flip, identities, signingPublicKey } from './fixed.ts';

const { alice } = identities;
const signer = signingPublicKey('alice');
const padding = constants.RSA_PKCS1_PSS_PADDING;

describe('signStatement and verifyStatement', () => {
  it('are PSS with a salt of exactly 32 bytes over the prefix and the body', async () => {
    const body = Buffer.from('body');
    const signature = await signStatement(alice.signingKey, 'sealed', body);
    const statement = Buffer.from('localstream/1 sealed\0body');
    const check = (saltLength: number): boolean =>
      verify('sha256', statement, { key: signer, padding, saltLength }, signature);
    assert.equal(signature.length, 384);
    assert.deepEqual([31, 32, 33, 350].map(check), [false, true, false, false]);
  });

  it('refuse any other salt, Node’s default among them', () => {
    const body = Buffer.from('body');
    const statement = Buffer.from('localstream/1 receipt\0body');
    const made = (options: object): boolean =>
      verifyStatement(
        signer,
        'receipt',
        body,
        sign('sha256', statement, { key: alice.signingKey, padding, ...options }),
      );
    assert.equal(made({ saltLength: 32 }), true);
    assert.equal(made({}), false);
    for (const saltLength of [0, 20, 31, 33, 64, 350]) assert.equal(made({ saltLength }), false);
  });

  it('keep the purposes apart', async () => {
    const purposes = ['enc-key', 'receipt', 'sealed'] as const;
    for (const purpose of purposes) {
      const signature = await signStatement(alice.signingKey, purpose, alice.encryptionSpki);
      for (const other of purposes) {
        assert.equal(
          verifyStatement(signer, other, alice.encryptionSpki, signature),
          other === purpose,
          `${purpose} as ${other}`,
        );
      }
    }
    assert.ok(verifyStatement(signer, 'enc-key', alice.encryptionSpki, alice.encryptionSignature));
    assert.ok(!verifyReceipt(signer, alice.encryptionSpki, alice.encryptionSignature));
  });

  it('answer no, and never throw, for any bytes and for a modulus that is none', async () => {
    const body = Buffer.from('body');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (signature) => {
        assert.equal(verifyStatement(signer, 'receipt', body, signature), false);
      }),
    );
    const signature = await signReceipt(alice, body);
    for (const modulus of [oddNumber(3072), oddNumber(3072) - 1n, 1n << 3071n]) {
      const key = createPublicKey({ key: rsaSpki(modulus, 65537n), type: 'spki', format: 'der' });
      assert.equal(verifyStatement(key, 'receipt', body, signature), false);
    }
  });
});

describe('signReceipt and verifyReceipt', () => {
  it('agree on exactly these bytes and this signer', async () => {
    const property = fc.asyncProperty(fc.uint8Array({ minLength: 1 }), fc.nat(), async (body, place) => {
      const signature = await signReceipt(alice, body);
      assert.ok(verifyReceipt(signer, body, signature));
      assert.ok(!verifyReceipt(signer, flip(body, place), signature));
      assert.ok(!verifyReceipt(signer, body, flip(signature, place)));
      assert.ok(!verifyReceipt(signer, Buffer.concat([body, Buffer.alloc(1)]), signature));
      assert.ok(!verifyReceipt(signingPublicKey('bob'), body, signature));
    });
    await fc.assert(property, { numRuns: 25 });
  });

  it('reject, not throw, where the key cannot sign', async () => {
    await assert.rejects(signReceipt({ signingKey: signer }, Buffer.from('body')));
  });
});
