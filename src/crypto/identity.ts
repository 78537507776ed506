import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { errorOf } from '../errors.ts';
import { type KeyPair, selfSign } from './certificate.ts';
import { type Fingerprint, fingerprintOfSpki } from './fingerprint.ts';
import { isConsistentPrivateKey, RSA_BITS, RSA_BYTES, RSA_EXPONENT, rsaFault, spkiOf } from './rsa.ts';
import { signStatement, verifyStatement } from './signature.ts';

/**
 * Who this machine is: two RSA-3072 key pairs. One only signs, the other only decrypts: with one key for both, a padding
 * oracle on the second use would forge the first.
 */
export interface Identity {
  /** Private key for TLS, receipts and statements (RSA-PSS). */
  readonly signingKey: KeyObject;
  /** Private key for shares and sealed files (RSA-OAEP). */
  readonly encryptionKey: KeyObject;
  /** The signing key's self-signed certificate, PEM. */
  readonly certificate: string;
  /** Of the signing key: this is the name by which peers know the machine. */
  readonly fingerprint: Fingerprint;
  /** DER SubjectPublicKeyInfo of the signing key. */
  readonly signingSpki: Buffer;
  /** DER SubjectPublicKeyInfo of the encryption key. */
  readonly encryptionSpki: Buffer;
  /** The signing key's PSS signature over `localstream/1 enc-key\0 ‖ encryptionSpki`. */
  readonly encryptionSignature: Buffer;
}

const RECORD = v.strictObject({
  version: v.literal(1),
  signingKey: v.pipe(v.string(), v.maxLength(8192)),
  encryptionKey: v.pipe(v.string(), v.maxLength(8192)),
  certificate: v.pipe(v.string(), v.maxLength(8192)),
  encryptionSignature: v.pipe(v.string(), v.base64(), v.length((RSA_BYTES / 3) * 4)),
});

/** An identity as it is stored: JSON, the keys as PKCS #8 PEM without a password. It is a secret as a whole. */
export type IdentityRecord = v.InferOutput<typeof RECORD>;

const newPair = promisify(generateKeyPair);

function generatePair(): Promise<KeyPair> {
  return newPair('rsa', { modulusLength: RSA_BITS, publicExponent: RSA_EXPONENT });
}

/** Makes a new identity; between a tenth of a second and some seconds, on the thread pool. */
export async function createIdentity(): Promise<Identity> {
  const [signing, encryption] = await Promise.all([generatePair(), generatePair()]);
  const signingSpki = spkiOf(signing.publicKey);
  const encryptionSpki = spkiOf(encryption.publicKey);
  const [certificate, encryptionSignature] = await Promise.all([
    selfSign(signing),
    signStatement(signing.privateKey, 'enc-key', encryptionSpki),
  ]);
  return {
    signingKey: signing.privateKey,
    encryptionKey: encryption.privateKey,
    certificate,
    fingerprint: fingerprintOfSpki(signingSpki),
    signingSpki,
    encryptionSpki,
    encryptionSignature,
  };
}

/** What to store of an identity. {@link parseIdentity} reads it back. */
export function serializeIdentity(identity: Identity): IdentityRecord {
  return {
    version: 1,
    signingKey: pemOf(identity.signingKey),
    encryptionKey: pemOf(identity.encryptionKey),
    certificate: identity.certificate,
    encryptionSignature: identity.encryptionSignature.toString('base64'),
  };
}

/**
 * Reads a stored identity and checks that its parts belong together, so that a damaged file is reported as such and not
 * as a peer's bad handshake. Throws a {@link FailedError} `STATE`.
 */
export function parseIdentity(record: unknown): Identity {
  const parsed = v.safeParse(RECORD, record);
  if (!parsed.success) throw damaged(newerVersion(record) ?? faultyField(parsed.issues));
  const { certificate } = parsed.output;
  const signingKey = privateKeyOf(parsed.output.signingKey, 'signing');
  const encryptionKey = privateKeyOf(parsed.output.encryptionKey, 'encryption');
  const signingSpki = spkiOf(signingKey);
  const encryptionSpki = spkiOf(encryptionKey);
  const encryptionSignature = Buffer.from(parsed.output.encryptionSignature, 'base64');
  if (!spkiOfCertificate(certificate).equals(signingSpki)) {
    throw damaged('the certificate is not that of the signing key');
  }
  try {
    certifiedEncryptionKey(createPublicKey(signingKey), encryptionSpki, encryptionSignature);
  } catch (cause) {
    throw damaged('the encryption key is not certified by the signing key', cause);
  }
  return {
    signingKey,
    encryptionKey,
    certificate,
    fingerprint: fingerprintOfSpki(signingSpki),
    signingSpki,
    encryptionSpki,
    encryptionSignature,
  };
}

/**
 * The encryption key (DER SubjectPublicKeyInfo) that a peer announces, once it is proven that the holder of the signing
 * key certified it. Throws an {@link AccessError} `BAD_HANDSHAKE` for any fault: another signer, another key type or
 * size, an encoding that is not OpenSSL's own, or the signing key itself.
 */
export function certifiedEncryptionKey(
  signer: KeyObject,
  spki: Uint8Array,
  signature: Uint8Array,
): KeyObject {
  // The signature first: nothing parses what the peer's own key has not vouched for.
  if (!verifyStatement(signer, 'enc-key', spki, signature)) {
    throw badKey(new Error('the encryption key is not certified'));
  }
  const key = publicKeyOf(spki);
  const fault = rsaFault(key);
  if (fault !== undefined) throw badKey(new Error(fault));
  if (!spkiOf(key).equals(spki)) throw badKey(new Error('the encryption key is not in canonical DER'));
  if (key.equals(signer)) throw badKey(new Error('one key for signing and encryption'));
  return key;
}

function publicKeyOf(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), type: 'spki', format: 'der' });
  } catch (cause) {
    throw badKey(cause);
  }
}

function privateKeyOf(pem: string, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw damaged(`the ${name} key cannot be read`, cause);
  }
  const fault = rsaFault(key);
  if (fault !== undefined) throw damaged(`the ${name} key is unfit: ${fault}`);
  if (!isConsistentPrivateKey(key)) throw damaged(`the numbers of the ${name} key do not fit together`);
  return key;
}

function spkiOfCertificate(pem: string): Buffer {
  try {
    return spkiOf(new X509Certificate(pem).publicKey);
  } catch (cause) {
    throw damaged('the certificate cannot be read', cause);
  }
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Names the field only: the issue's own message would quote what the field holds, and that may be a private key. */
function faultyField(issues: readonly v.BaseIssue<unknown>[]): string {
  const names = issues.map((issue) => v.getDotPath(issue));
  const known = Object.keys(RECORD.entries).find((name) => names.includes(name));
  return known === undefined ? 'it is not an identity' : `its field "${known}" is missing or malformed`;
}

function newerVersion(record: unknown): string | undefined {
  const version = v.safeParse(v.object({ version: v.pipe(v.number(), v.minValue(2)) }), record);
  return version.success ? 'it was written by a newer localstream' : undefined;
}

function damaged(why: string, cause?: unknown): Error {
  return errorOf('STATE', `the stored identity cannot be used: ${why}`, {
    hint: 'restore it from a backup, or remove it to become a new peer that nobody trusts yet',
    cause,
  });
}

function badKey(cause: unknown): Error {
  return errorOf('BAD_HANDSHAKE', undefined, { cause });
}
