import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { newShare, sessionExporter, shareLabel, unwrapShare, wrapShare } from '../../src/crypto/exchange.ts';
import {
  certifiedEncryptionKey,
  createIdentity,
  type Identity,
  parseIdentity,
  serializeIdentity,
} from '../../src/crypto/identity.ts';
import { signReceipt, verifyReceipt } from '../../src/crypto/receipt.ts';
import { FailedError } from '../../src/errors.ts';
import { oddNumber, rsaSpki } from './der.ts';
import { flip, identities, isBadHandshake, signingPublicKey } from './fixed.ts';

const { alice, bob, mallory } = identities;
const record = serializeIdentity(alice);

function isState(error: unknown): true {
  assert.ok(error instanceof FailedError);
  assert.equal(error.code, 'STATE');
  assert.ok(error.hint);
  return true;
}

function certify(identity: Identity, spki: Uint8Array): Buffer {
  const statement = Buffer.concat([Buffer.from('localstream/1 enc-key\0'), spki]);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return sign('sha256', statement, { key: identity.signingKey, padding, saltLength: 32 });
}

function pkcs8(identity: Identity, which: 'signingKey' | 'encryptionKey'): Buffer {
  return identity[which].export({ type: 'pkcs8', format: 'der' });
}

describe('createIdentity', () => {
  it('makes two different RSA-3072 keys that work, and survives being stored as JSON', async () => {
    const made = await createIdentity();
    for (const key of [made.signingKey, made.encryptionKey]) {
      assert.equal(key.type, 'private');
      assert.equal(key.asymmetricKeyType, 'rsa');
      assert.deepEqual(key.asymmetricKeyDetails, { modulusLength: 3072, publicExponent: 65537n });
    }
    assert.ok(!made.signingSpki.equals(made.encryptionSpki));
    assert.notEqual(made.fingerprint, alice.fingerprint);

    const read = parseIdentity(JSON.parse(JSON.stringify(serializeIdentity(made))));
    assert.deepEqual(serializeIdentity(read), serializeIdentity(made));
    assert.equal(read.fingerprint, made.fingerprint);
    assert.deepEqual(read.signingSpki, made.signingSpki);
    assert.deepEqual(read.encryptionSpki, made.encryptionSpki);

    const signer = createPublicKey(read.signingKey);
    const receipt = Buffer.from('receipt');
    assert.ok(verifyReceipt(signer, receipt, await signReceipt(made, receipt)));
    const encryptionKey = certifiedEncryptionKey(signer, made.encryptionSpki, made.encryptionSignature);
    const exporter = sessionExporter(Buffer.alloc(32));
    const label = shareLabel('c', bob.fingerprint, made.fingerprint, exporter);
    const share = newShare();
    assert.deepEqual(await unwrapShare(read, wrapShare(encryptionKey, share, label), label), share);
  });
});

describe('parseIdentity', () => {
  it('refuses what is no record, without quoting it', () => {
    const secret = 'localstream-secret';
    const bad: unknown[] = [
      undefined,
      null,
      'text',
      [],
      {},
      { ...record, version: 0 },
      { ...record, version: '1' },
      { ...record, more: secret },
      { ...record, signingKey: undefined },
      { ...record, signingKey: 7 },
      { ...record, signingKey: secret },
      { ...record, encryptionKey: secret.repeat(1000) },
      { ...record, certificate: secret },
      { ...record, encryptionSignature: secret },
      { ...record, encryptionSignature: '' },
    ];
    for (const value of bad) {
      assert.throws(
        () => parseIdentity(value),
        (error: Error) => isState(error) && !error.message.includes(secret),
      );
    }
  });

  it('says so where a newer version wrote it', () => {
    assert.throws(() => parseIdentity({ ...record, version: 2, keys: [] }), /newer localstream/);
  });

  it('refuses parts that do not belong together', () => {
    const other = serializeIdentity(mallory);
    for (const field of ['signingKey', 'encryptionKey', 'certificate', 'encryptionSignature'] as const) {
      assert.throws(() => parseIdentity({ ...record, [field]: other[field] }), isState, field);
    }
  });

  it('refuses one key for both uses', () => {
    const encryptionSignature = certify(alice, alice.signingSpki).toString('base64');
    const merged = { ...record, encryptionKey: record.signingKey, encryptionSignature };
    assert.throws(() => parseIdentity(merged), isState);
  });

  it('refuses keys of other kinds and sizes, and public ones', () => {
    const pem = { type: 'pkcs8', format: 'pem' } as const;
    const keys = {
      'RSA-2048': generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem),
      'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem),
      public: signingPublicKey('alice').export({ type: 'spki', format: 'pem' }),
    };
    for (const [name, key] of Object.entries(keys)) {
      assert.throws(() => parseIdentity({ ...record, signingKey: key }), isState, name);
      assert.throws(() => parseIdentity({ ...record, encryptionKey: key }), isState, name);
    }
  });

  it('refuses a private key in which any number is damaged', () => {
    const jwk = alice.encryptionKey.export({ format: 'jwk' });
    const whole = pkcs8(alice, 'encryptionKey');
    for (const name of ['n', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      const number = Buffer.from(jwk[name] ?? '', 'base64url');
      const start = whole.indexOf(number);
      assert.ok(number.length >= 190 && start > 0, name);
      const damaged = Buffer.concat([
        whole.subarray(0, start),
        flip(number, 801),
        whole.subarray(start + number.length),
      ]);
      const encryptionKey = `-----BEGIN PRIVATE KEY-----\n${damaged.toString('base64')}\n-----END PRIVATE KEY-----\n`;
      assert.throws(() => parseIdentity({ ...record, encryptionKey }), isState, name);
    }
  });

  it('never takes a damaged record for another identity', () => {
    const fields = ['signingKey', 'encryptionKey', 'certificate', 'encryptionSignature'] as const;
    const place = fc.constantFrom(...fields).chain((field) =>
      fc.record({
        field: fc.constant(field),
        index: fc.nat(record[field].length - 1),
        character: fc.constantFrom(...'ABCDwxyz0189+/=-\n '),
      }),
    );
    fc.assert(
      fc.property(place, ({ field, index, character }) => {
        const text = record[field].slice(0, index) + character + record[field].slice(index + 1);
        let parsed: Identity;
        try {
          parsed = parseIdentity({ ...record, [field]: text });
        } catch (error) {
          isState(error);
          return;
        }
        // Names, dates and signature of the certificate count for nothing, so some damage there is none.
        assert.deepEqual(pkcs8(parsed, 'signingKey'), pkcs8(alice, 'signingKey'));
        assert.deepEqual(pkcs8(parsed, 'encryptionKey'), pkcs8(alice, 'encryptionKey'));
        assert.deepEqual(parsed.encryptionSignature, alice.encryptionSignature);
      }),
      { numRuns: 300 },
    );
  });
});

describe('certifiedEncryptionKey', () => {
  const signer = signingPublicKey('alice');

  it('returns the key that the signer certified', () => {
    const key = certifiedEncryptionKey(signer, alice.encryptionSpki, alice.encryptionSignature);
    assert.ok(key.equals(createPublicKey(alice.encryptionKey)));
  });

  it('refuses a key that another identity certified', () => {
    const { encryptionSpki, encryptionSignature } = mallory;
    assert.throws(() => certifiedEncryptionKey(signer, encryptionSpki, encryptionSignature), isBadHandshake);
    const claimed = certify(mallory, alice.encryptionSpki);
    assert.throws(() => certifiedEncryptionKey(signer, alice.encryptionSpki, claimed), isBadHandshake);
  });

  it('refuses well certified keys of other sizes, other kinds and other encodings', () => {
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    const keys = {
      'RSA-1024': rsaSpki(oddNumber(1024), 65537n),
      'RSA-4096': rsaSpki(oddNumber(4096), 65537n),
      'RSA-8192': rsaSpki(oddNumber(8192), 65537n),
      'e = 3': rsaSpki(oddNumber(3072), 3n),
      'P-256': curve.export({ type: 'spki', format: 'der' }),
      'no parameters': rsaSpki(oddNumber(3072), 65537n, Buffer.alloc(0)),
      'trailing byte': Buffer.concat([alice.encryptionSpki, Buffer.alloc(1)]),
      'the signing key': alice.signingSpki,
      PEM: Buffer.from(createPublicKey(alice.encryptionKey).export({ type: 'spki', format: 'pem' })),
      nothing: Buffer.alloc(0),
    };
    for (const [name, spki] of Object.entries(keys)) {
      assert.throws(() => certifiedEncryptionKey(signer, spki, certify(alice, spki)), isBadHandshake, name);
    }
  });

  it('refuses every flipped bit of key and signature', () => {
    const { encryptionSpki, encryptionSignature } = alice;
    fc.assert(
      fc.property(fc.nat(), (place) => {
        const [spki, signature] = [flip(encryptionSpki, place), flip(encryptionSignature, place)];
        assert.throws(() => certifiedEncryptionKey(signer, spki, encryptionSignature), isBadHandshake);
        assert.throws(() => certifiedEncryptionKey(signer, encryptionSpki, signature), isBadHandshake);
      }),
    );
  });
});
