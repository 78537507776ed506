/** Looks at who answers at an address, as any stranger can: nothing of ours is shown, and nothing is trusted or kept. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { checkPeer } from '../net/tls.ts';
import { type Address, dialTls } from './dial.ts';

/** What a listener shows to anybody. */
export interface Probed {
  /** Of the key that the server has shown, and in TLS has proven to hold. */
  readonly fingerprint: Fingerprint;
  readonly cipher: string;
  readonly group: string;
  /** Milliseconds that TCP took to connect: one round trip. */
  readonly roundTrip: number;
}

/**
 * Connects as far as TLS, without a certificate of ours, and hangs up.
 *
 * @throws NO_SUCH_HOST, UNREACHABLE, NOT_LOCALSTREAM, BAD_HANDSHAKE, CANCELLED.
 */
export async function probe(address: Address, patience: number, signal: AbortSignal): Promise<Probed> {
  const { socket, roundTrip } = await dialTls(address, undefined, patience, signal);
  try {
    const { fingerprint, cipher, group } = checkPeer(socket);
    return { fingerprint, cipher, group, roundTrip };
  } finally {
    socket.destroy();
  }
}
