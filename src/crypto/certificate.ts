import { type KeyObject, type webcrypto, X509Certificate } from 'node:crypto';
import { errorOf } from '../errors.ts';
import { type Fingerprint, fingerprintOfSpki } from './fingerprint.ts';
import { rsaFault, spkiOf } from './rsa.ts';
import { PSS_SALT_BYTES } from './signature.ts';

/** What counts in a peer's certificate: its key. */
export interface CertifiedKey {
  readonly fingerprint: Fingerprint;
  /** DER SubjectPublicKeyInfo, encoded again by us. */
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
}

/** An RSA key pair as Node generates it. */
export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/**
 * Writes the certificate that carries a key through TLS, as PEM. Subject and dates are the same for everybody: they would
 * only tell strangers the machine's name and age. The signature is PSS, the one thing the identity key ever does.
 */
export async function selfSign(keyPair: KeyPair): Promise<string> {
  // Loaded here because it costs more than 100 ms, and only the first run needs it.
  await import('reflect-metadata');
  const { X509CertificateGenerator } = await import('@peculiar/x509');
  const algorithm: webcrypto.RsaHashedImportParams & webcrypto.RsaPssParams = {
    name: 'RSA-PSS',
    hash: 'SHA-256',
    saltLength: PSS_SALT_BYTES,
  };
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=localstream',
    notBefore: new Date('2000-01-01T00:00:00Z'),
    notAfter: new Date('9999-12-31T23:59:59Z'),
    signingAlgorithm: algorithm,
    keys: {
      privateKey: keyPair.privateKey.toCryptoKey(algorithm, false, ['sign']),
      publicKey: keyPair.publicKey.toCryptoKey(algorithm, true, ['verify']),
    },
  });
  return `${certificate.toString('pem').trimEnd()}\n`;
}

/**
 * Takes the key out of a peer's certificate (DER). The key has to be RSA with exactly 3072 bits and e = 65537; names,
 * dates and signature count for nothing, and the fingerprint is that of the key as we encode it, so that the same key in
 * a new certificate, or in another encoding, is the same peer. Throws an {@link AccessError} `BAD_HANDSHAKE`.
 *
 * Ask a socket for the certificate once and keep it: on the dialling side Node 24 takes it out of the chain as it hands it
 * out, and `getPeerX509Certificate()` and `getPeerCertificate()` find none from then on.
 */
export function checkCertificate(der: Uint8Array): CertifiedKey {
  const publicKey = keyOfCertificate(der);
  const fault = rsaFault(publicKey);
  if (fault !== undefined) throw errorOf('BAD_HANDSHAKE', undefined, { cause: new Error(fault) });
  const spki = spkiOf(publicKey);
  return { fingerprint: fingerprintOfSpki(spki), spki, publicKey };
}

function keyOfCertificate(der: Uint8Array): KeyObject {
  try {
    return new X509Certificate(der).publicKey;
  } catch (cause) {
    throw errorOf('BAD_HANDSHAKE', undefined, { cause });
  }
}
