import assert from 'node:assert/strict';
import { constants, createPublicKey, privateDecrypt, randomBytes, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Reader, sealedBytes } from '../../src/crypto/envelope.ts';
import { openSeal } from '../../src/crypto/envelope-open.ts';
import {
  RepeatedSeal,
  type RepeatedSealOptions,
  SEAL_SECRET_BYTES,
  type SealSecret,
} from '../../src/crypto/envelope-repeat.ts';
import { oaepEncrypt, pssSign } from '../../src/crypto/rsa-padding.ts';
import { identities, type KeyName } from './fixed.ts';

const { alice, bob } = identities;
const metadata = { name: 'plan.txt', mtime: 1_700_000_000_123, mode: 0o600 };
const secret = Buffer.alloc(SEAL_SECRET_BYTES, 7) as SealSecret;

function readerOf(name: KeyName): Reader {
  const identity = identities[name];
  return { fingerprint: identity.fingerprint, encryptionKey: createPublicKey(identity.encryptionKey) };
}

function options(changes: Partial<RepeatedSealOptions> = {}): RepeatedSealOptions {
  const readers = [readerOf('bob'), readerOf('mallory')];
  return { readers, identity: alice, metadata, secret, marks: '1 2 3', pieceBits: 12, ...changes };
}

/** The parts of a seal, each piece by itself. */
function sealed(data: Buffer, changes: Partial<RepeatedSealOptions> = {}): Buffer[] {
  const seal = new RepeatedSeal(options(changes));
  const parts = [seal.start];
  for (let at = 0; at < data.length; at += seal.pieceBytes)
    parts.push(Buffer.concat(seal.piece(data.subarray(at, at + seal.pieceBytes))));
  return [...parts, Buffer.concat(seal.end())];
}

const nonceOf = (part: Buffer | undefined) => part?.subarray(0, 12).toString('hex');

describe('padding with the random part handed in', () => {
  it('is what OpenSSL decrypts and verifies', () => {
    for (const length of [0, 1, 32, 318]) {
      const [message, label] = [randomBytes(length), Buffer.from('label')];
      const encrypted = oaepEncrypt(createPublicKey(bob.encryptionKey), message, label, randomBytes(32));
      const opened = privateDecrypt(
        {
          key: bob.encryptionKey,
          padding: constants.RSA_PKCS1_OAEP_PADDING,
          oaepHash: 'sha256',
          oaepLabel: label,
        },
        encrypted,
      );
      assert.deepEqual(opened, message);
      const salt = randomBytes(32);
      const signature = pssSign(alice.signingKey, message, salt);
      assert.deepEqual(signature, pssSign(alice.signingKey, message, salt));
      const key = { key: alice.signingKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
      assert.equal(verify('sha256', message, key, signature), true);
      assert.equal(verify('sha256', Buffer.concat([message, Buffer.of(0)]), key, signature), false);
    }
  });

  it('refuses too long a message and another length of the random part', () => {
    const key = createPublicKey(bob.encryptionKey);
    assert.throws(() => oaepEncrypt(key, randomBytes(319), Buffer.alloc(0), randomBytes(32)), RangeError);
    assert.throws(() => oaepEncrypt(key, randomBytes(32), Buffer.alloc(0), randomBytes(31)), RangeError);
    assert.throws(() => pssSign(alice.signingKey, randomBytes(32), randomBytes(33)), RangeError);
  });
});

describe('a seal that comes out the same', () => {
  for (const size of [0, 1, 4096, 4097, 20_000]) {
    it(`opens for each reader, ${size} bytes`, async () => {
      const data = randomBytes(size);
      const bytes = Buffer.concat(sealed(data));
      assert.equal(bytes.length, sealedBytes(size, 2, 12));
      for (const who of ['bob', 'mallory'] as const) {
        const accept = (key: string) => key === alice.fingerprint;
        const seal = await openSeal([bytes], { identity: identities[who], accept });
        assert.deepEqual(seal.metadata, metadata);
        const parts: Buffer[] = [];
        for await (const part of seal.data) parts.push(part);
        assert.deepEqual(Buffer.concat(parts), data);
      }
    });
  }

  it('is the same for the same file and secret, and another in every part for another', () => {
    const data = randomBytes(10_000);
    const first = sealed(data);
    assert.deepEqual(sealed(data), first);
    const others = [
      { secret: Buffer.alloc(SEAL_SECRET_BYTES, 8) as SealSecret },
      { marks: '1 2 4' },
      { metadata: { ...metadata, name: 'plan2.txt' } },
      { readers: [readerOf('bob')] },
      { identity: bob },
    ];
    for (const change of others) {
      const other = sealed(data, change);
      assert.equal(other.length, first.length);
      for (const [index, part] of other.entries()) {
        assert.notDeepEqual(part, first[index]);
        if (index > 0) assert.notEqual(nonceOf(part), nonceOf(first[index]));
      }
    }
  });

  it('repeats no nonce for other data, though the file claims to be the same', () => {
    const data = randomBytes(10_000);
    const edited = Buffer.from(data);
    edited.writeUInt8(edited.readUInt8(5000) ^ 1, 5000);
    const [one, other] = [sealed(data), sealed(edited)];
    assert.deepEqual(other.slice(0, 2), one.slice(0, 2), 'the same up to the change');
    for (const index of [2, 3, 4]) assert.notEqual(nonceOf(other[index]), nonceOf(one[index]));
    const nonces = one.slice(1).map(nonceOf);
    assert.equal(new Set(nonces).size, nonces.length);
  });
});
