/** The three identities that all vectors share. They are public, and therefore worthless. */
import { constants, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { createIdentity, type Identity, parseIdentity } from '../../src/crypto/identity.ts';
import { VectorFile } from './frozen.ts';

export const KEY_NAMES = ['alice', 'bob', 'mallory'] as const;
export type KeyName = (typeof KEY_NAMES)[number];

export const identityFile = new VectorFile('identity.json');

async function load(name: KeyName): Promise<Identity> {
  const record = identityFile.at('identities', name, 'record');
  return record === undefined ? createIdentity() : parseIdentity(record);
}

const [alice, bob, mallory] = await Promise.all([load('alice'), load('bob'), load('mallory')]);

export const identities: Record<KeyName, Identity> = { alice, bob, mallory };

export const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

/** A signature over a prefix and a body, by default as localstream makes it. */
export function signed(
  key: KeyObject,
  prefix: string,
  body: Uint8Array,
  options: object = PSS,
  hash = 'sha256',
): Buffer {
  return sign(hash, Buffer.concat([Buffer.from(prefix), body]), { key, ...options });
}

/** The modulus of an identity's signing key. */
export function modulusOf(identity: Identity): bigint {
  const jwk = createPublicKey(identity.signingKey).export({ format: 'jwk' });
  return BigInt(`0x${Buffer.from(jwk.n ?? '', 'base64url').toString('hex')}`);
}
