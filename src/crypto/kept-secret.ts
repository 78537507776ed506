/** Secrets of this machine that have to lie on the disk: sealed under its identity, so that their file alone is worth nothing. */
import { constants, createPublicKey, privateDecrypt, publicEncrypt } from 'node:crypto';
import type { Identity } from './identity.ts';
import { RSA_BYTES } from './rsa.ts';

/** Bytes of a sealed secret. */
export const KEPT_SECRET_BYTES = RSA_BYTES;

/** A label for each purpose: what was sealed for one can't be passed off as another's, nor as what a peer has sent. */
function oaep(purpose: string) {
  const oaepLabel = Buffer.from(`localstream/1 kept\0${purpose}`);
  return { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel };
}

/** Seals a secret of at most 318 bytes for this identity's own encryption key. */
export function sealKept(identity: Identity, purpose: string, secret: Uint8Array): Buffer {
  return publicEncrypt({ key: createPublicKey(identity.encryptionKey), ...oaep(purpose) }, secret);
}

/** Opens it; undefined for what another identity has sealed, or this one for another purpose. */
export function openKept(identity: Identity, purpose: string, sealed: Uint8Array): Buffer | undefined {
  try {
    return privateDecrypt({ key: identity.encryptionKey, ...oaep(purpose) }, sealed);
  } catch {
    return undefined;
  }
}
