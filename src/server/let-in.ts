/** From a TLS connection to a peer that was let in: the handshake, then the decision about its key. */
import type { KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { SESSION_EXPORTER_LABEL, type SessionKeys, sessionExporter } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { ControlChannel, connectionError } from '../net/control-channel.ts';
import { checkPeer, exportSecret } from '../net/tls.ts';
import { answerHandshake } from '../protocol/handshake.ts';
import { type Decide, introduce, sayBye } from '../session/introduce.ts';
import type { PeerInfo } from '../session/report.ts';
import type { TrustStore } from '../store/trust-store.ts';

/** Somebody who has proven to hold a key. Whether we want to know that key is not decided. */
export interface Stranger {
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly key: KeyObject;
  readonly fingerprint: Fingerprint;
  readonly cipher: string;
  readonly address: string;
  readonly port: number;
}

export interface LetInOptions {
  /** Our name. */
  readonly name: string;
  readonly trust: TrustStore;
  readonly open: boolean;
  readonly decide: Decide | undefined;
  /** Milliseconds that the people have. */
  readonly patience: number;
  /** It has shown a name and waits: no half-open connection any more. */
  readonly proven: () => void;
  /** Makes room for a question; what it returns ends that. Throws BUSY. */
  readonly ask: () => () => void;
  /** Takes a place, last of all. Throws FULL. */
  readonly enter: () => void;
}

/** Runs the handshake of a control connection within `milliseconds`. Throws BAD_HANDSHAKE, TIMEOUT, BUSY, CLOSED. */
export async function proveStranger(
  socket: TLSSocket,
  identity: Identity,
  milliseconds: number,
): Promise<Stranger> {
  const { fingerprint, key, cipher } = checkPeer(socket);
  const address = socket.remoteAddress ?? '';
  const port = socket.remotePort ?? 0;
  const channel = new ControlChannel(socket);
  socket.resume();
  const late = setTimeout(() => channel.fail(errorOf('TIMEOUT')), milliseconds);
  try {
    const exporter = sessionExporter(exportSecret(socket, SESSION_EXPORTER_LABEL));
    const input = { identity, exporter, peerKey: key, peerFingerprint: fingerprint };
    const keys = await answerHandshake(channel, input);
    return { channel, keys, key, fingerprint, cipher, address, port };
  } catch (error) {
    turnAway(channel, error);
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/**
 * Decides whether a stranger may stay: its key is pinned, or everybody may, or a person says so. Throws NOT_TRUSTED,
 * REJECTED, TIMEOUT, or what the other side says.
 */
export async function letIn(stranger: Stranger, options: LetInOptions): Promise<PeerInfo> {
  const { channel, keys, fingerprint, cipher, address, port } = stranger;
  const { name, trust, open, decide, patience } = options;
  const known = await trust.get(fingerprint);
  let trusted = known !== undefined;
  const ask = async (claimedName: string, signal: AbortSignal) => {
    if (!decide) throw errorOf('NOT_TRUSTED');
    const answered = options.ask();
    try {
      const { checkNumber } = keys;
      options.proven();
      const answer = await decide({ role: 'client', claimedName, fingerprint, checkNumber, address }, signal);
      if (answer !== 'once' && answer !== 'trust') throw errorOf('REJECTED');
      // It may have left, or the time been over, while the answer was on its way.
      if (signal.aborted) throw signal.reason;
      if (answer === 'once') return;
      await trust.trust({ fingerprint, name: claimedName, how: 'operator' });
      trusted = true;
    } finally {
      answered();
    }
  };
  const { claimedName, group } = await introduce({
    channel,
    name,
    asks: !trusted && !open && decide !== undefined,
    patience,
    decide: async (claimedName, signal) => {
      if (!trusted && !open) await ask(claimedName, signal);
      options.enter();
    },
  });
  options.proven();
  const id = keys.id.toString('hex');
  const since = new Date();
  return { id, name: known?.name ?? claimedName, trusted, fingerprint, address, port, group, cipher, since };
}

/** Tells the other side why it ends, and ends it. */
export function turnAway(channel: ControlChannel, error: unknown): void {
  const reason = error instanceof LocalstreamError ? error : connectionError(error);
  sayBye(channel, reason);
  channel.fail(reason);
}
