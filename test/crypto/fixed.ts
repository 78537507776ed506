/** What the tests of this folder share: the identities of the vectors, and the one shape of a refusal. */
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { type Identity, parseIdentity } from '../../src/crypto/identity.ts';
import { AccessError } from '../../src/errors.ts';
import vectors from '../vectors/identity.json' with { type: 'json' };

export type KeyName = keyof typeof vectors.identities;

export const identities: Record<KeyName, Identity> = {
  alice: parseIdentity(vectors.identities.alice.record),
  bob: parseIdentity(vectors.identities.bob.record),
  mallory: parseIdentity(vectors.identities.mallory.record),
};

/** The name of an identity in a vector file, checked. */
export function identityOf(name: string): Identity {
  for (const [known, identity] of Object.entries(identities)) if (known === name) return identity;
  throw new Error(`the vectors hold no identity ${name}`);
}

export function signingPublicKey(name: string): KeyObject {
  return createPublicKey(identityOf(name).signingKey);
}

export function encryptionPublicKey(name: string): KeyObject {
  return createPublicKey(identityOf(name).encryptionKey);
}

export function fromHex(text: string): Buffer {
  const bytes = Buffer.from(text, 'hex');
  assert.equal(bytes.toString('hex'), text);
  return bytes;
}

/** A copy with one bit turned; `place` may be any number. */
export function flip(bytes: Uint8Array, place: number): Buffer {
  const copy = Buffer.from(bytes);
  const index = Math.floor(place / 8) % copy.length;
  copy.writeUInt8(copy.readUInt8(index) ^ (1 << (place % 8)), index);
  return copy;
}

/** For `assert.throws` and `assert.rejects`: the refusal that says nothing of its reason in what a peer may see. */
export function isBadHandshake(error: unknown): true {
  assert.ok(error instanceof AccessError);
  assert.equal(error.code, 'BAD_HANDSHAKE');
  assert.equal(error.message, 'the session could not be proven');
  assert.equal(error.hint, undefined);
  return true;
}
