import type { KeyObject } from 'node:crypto';
import type { Identity } from './identity.ts';
import { signStatement, verifyStatement } from './signature.ts';

/**
 * Signs the exact bytes of a receipt: RSA-PSS over `localstream/1 receipt\0 ‖ body`, 384 bytes. It proves that this key
 * claimed it, not the hour and not a person.
 */
export function signReceipt(identity: Pick<Identity, 'signingKey'>, body: Uint8Array): Promise<Buffer> {
  return signStatement(identity.signingKey, 'receipt', body);
}

/** Whether `signer` (a public key, from `checkCertificate`) signed exactly this receipt. Never throws for the peer's bytes. */
export function verifyReceipt(signer: KeyObject, body: Uint8Array, signature: Uint8Array): boolean {
  return verifyStatement(signer, 'receipt', body, signature);
}
