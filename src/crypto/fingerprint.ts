import { createHash } from 'node:crypto';
import { errorOf } from '../errors.ts';
import type { Branded } from './brand.ts';

/**
 * The name of a key: `SHA256:` and the SHA-256 digest of its DER SubjectPublicKeyInfo in base64 without padding, as
 * OpenSSH writes it (50 characters). There is exactly one such text for each digest, so `===` compares keys.
 */
export type Fingerprint = Branded<string, 'Fingerprint'>;

/** Bytes of a fingerprint in binary form. */
export const FINGERPRINT_BYTES = 32;

const PREFIX = 'SHA256:';

/** The fingerprint of a key, from its DER SubjectPublicKeyInfo as OpenSSL encodes it. */
export function fingerprintOfSpki(der: Uint8Array): Fingerprint {
  return fingerprintOfBytes(createHash('sha256').update(der).digest());
}

/** Writes 32 digest bytes as a fingerprint. Throws a RangeError for any other length. */
export function fingerprintOfBytes(bytes: Uint8Array): Fingerprint {
  if (bytes.length !== FINGERPRINT_BYTES) {
    throw new RangeError(`a fingerprint has ${FINGERPRINT_BYTES} bytes, not ${bytes.length}`);
  }
  // 32 bytes always end in one padding character.
  return `${PREFIX}${Buffer.from(bytes).toString('base64').slice(0, -1)}` as Fingerprint;
}

/** The 32 bytes that a fingerprint stands for. */
export function fingerprintBytes(fingerprint: Fingerprint): Buffer {
  return Buffer.from(fingerprint.slice(PREFIX.length), 'base64');
}

/**
 * Whether a value is a fingerprint in its one canonical form. A decoder forgives stray bits in the last character, so
 * without the comparison four texts would name one key.
 */
export function isFingerprint(value: unknown): value is Fingerprint {
  if (typeof value !== 'string' || value.length !== 50 || !value.startsWith(PREFIX)) return false;
  const bytes = Buffer.from(value.slice(PREFIX.length), 'base64');
  return bytes.length === FINGERPRINT_BYTES && fingerprintOfBytes(bytes) === value;
}

/** Checks a fingerprint that a person typed. Throws a {@link UsageError} that does not repeat the text. */
export function parseFingerprint(text: string): Fingerprint {
  if (isFingerprint(text)) return text;
  throw errorOf('USAGE', 'that is not a fingerprint', {
    hint: 'write "SHA256:" and 43 characters, as "localstream identity" shows it on the other machine',
  });
}
