import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/** Bits of every RSA modulus. */
export const RSA_BITS = 3072;
/** Bytes of an RSA signature and of an OAEP ciphertext. */
export const RSA_BYTES = RSA_BITS / 8;
/** The one public exponent. */
export const RSA_EXPONENT = 65537;

/**
 * What is wrong with a key for use here, or undefined. Only plain RSA with 3072 bits and e = 65537 is right: shorter is
 * weak, longer lets a stranger buy our processor time, and a PSS-only key would fail in TLS.
 */
export function rsaFault(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType !== 'rsa') return `the key is ${key.asymmetricKeyType ?? 'no key pair'}, not RSA`;
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== RSA_BITS) return `the RSA key has ${bits} bits, not ${RSA_BITS}`;
  const exponent = key.asymmetricKeyDetails?.publicExponent;
  if (exponent !== BigInt(RSA_EXPONENT)) return `the RSA exponent is ${exponent}, not ${RSA_EXPONENT}`;
  return undefined;
}

/** The DER SubjectPublicKeyInfo of a public key, or of the public half of a private key, as OpenSSL encodes it. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}

function numberOf(text: string | undefined): bigint {
  const digits = Buffer.from(text ?? '', 'base64url').toString('hex');
  return digits === '' ? 0n : BigInt(`0x${digits}`);
}

/**
 * Whether the numbers of a private RSA key fit together. OpenSSL loads a key with a flipped bit without a word and fails
 * only when it is used, which then looks like the peer's fault.
 */
export function isConsistentPrivateKey(key: KeyObject): boolean {
  const jwk: JsonWebKey = key.export({ format: 'jwk' });
  const [n, e, d, p, q] = [jwk.n, jwk.e, jwk.d, jwk.p, jwk.q].map(numberOf) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const [dp, dq, qi] = [jwk.dp, jwk.dq, jwk.qi].map(numberOf) as [bigint, bigint, bigint];
  if (p < 2n || q < 2n || p * q !== n) return false;
  const fitsPrimes = (e * d) % (p - 1n) === 1n && (e * d) % (q - 1n) === 1n;
  return fitsPrimes && dp === d % (p - 1n) && dq === d % (q - 1n) && (qi * q) % p === 1n;
}
