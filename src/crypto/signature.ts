import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { pssSign } from './rsa-padding.ts';

/** What a signature is for. Each purpose has its own prefix, so that no signature counts as one of another kind. */
export type StatementPurpose = 'enc-key' | 'receipt' | 'sealed';

/** Node's default is the longest salt that fits, which other implementations then refuse: 32 is set both ways. */
export const PSS_SALT_BYTES = 32;

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: PSS_SALT_BYTES };

function statement(purpose: StatementPurpose, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`localstream/1 ${purpose}\0`, 'latin1'), body]);
}

/**
 * Signs `localstream/1 PURPOSE\0 ‖ body` with RSA-PSS (SHA-256, MGF1-SHA-256, salt of 32 bytes); 384 bytes. It runs on
 * the thread pool: a synchronous signature would hold up every transfer.
 */
export async function signStatement(
  signingKey: KeyObject,
  purpose: StatementPurpose,
  body: Uint8Array,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  sign('sha256', statement(purpose, body), { key: signingKey, ...PSS }, (error, signature) => {
    if (error) reject(error);
    else resolve(signature);
  });
  return promise;
}

/** As {@link signStatement}, on this thread and with the salt handed in: the same statement has the same signature. */
export function signStatementWith(
  signingKey: KeyObject,
  purpose: StatementPurpose,
  body: Uint8Array,
  salt: Uint8Array,
): Buffer {
  return pssSign(signingKey, statement(purpose, body), salt);
}

/** Whether a signature by {@link signStatement} is right. False for anything malformed; never throws for the peer's bytes. */
export function verifyStatement(
  signer: KeyObject,
  purpose: StatementPurpose,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    return verify('sha256', statement(purpose, body), { key: signer, ...PSS }, signature);
  } catch {
    // OpenSSL throws, instead of answering no, for some broken moduli that the peer can choose.
    return false;
  }
}
