/** From a TLS connection to a peer that was let in: the handshake, then the decision about its key. */
import type { KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { SESSION_EXPORTER_LABEL, type SessionKeys, sessionExporter } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { ControlChannel, connectionError } from '../net/control-channel.ts';
import { checkPeer, exportSecret } from '../net/tls.ts';
import type { RawMessage } from '../protocol/control-codec.ts';
import { answerHandshake } from '../protocol/handshake.ts';
import { PAIR, type PairRequest, readMessage } from '../protocol/messages.ts';
import { type Decide, introduce, sayBye } from '../session/introduce.ts';
import { RUN_PATIENCE } from '../session/pair.ts';
import type { PeerInfo } from '../session/report.ts';
import type { PeerRights } from '../store/peer-rights.ts';
import type { TrustStore } from '../store/trust-store.ts';
import type { Claim } from './codes.ts';

/** Somebody who has proven to hold a key. Whether we want to know that key is not decided. */
export interface Stranger {
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly key: KeyObject;
  readonly fingerprint: Fingerprint;
  /** Certified by its identity key: DER SubjectPublicKeyInfo. */
  readonly encryptionKey: Buffer;
  readonly cipher: string;
  readonly address: string;
  readonly port: number;
}

export interface LetInOptions {
  /** Our name. */
  readonly name: string;
  readonly trust: TrustStore;
  /** Nobody is asked about an unknown key: everybody may in, or a login decides. */
  readonly open: boolean;
  readonly decide: Decide | undefined;
  /** Milliseconds that the people have. */
  readonly patience: number;
  /** Milliseconds for what no person has to think about. */
  readonly promptness: number;
  /** It has shown a name and waits: no half-open connection any more. */
  readonly proven: () => void;
  /** Makes room for a question; what it returns ends that. Throws BUSY. */
  readonly ask: () => () => void;
  /** Takes a place, last of all. Throws FULL. */
  readonly enter: () => void;
  /** Answers who names a pairing code. Where it is there, nobody else is let in unless the listener is open. */
  readonly claim: ((request: PairRequest) => Promise<Claim>) | undefined;
}

/** Somebody who is in, and the code by which it came. */
export interface Entry {
  readonly peer: PeerInfo;
  /** Of its key. */
  readonly rights: PeerRights;
  readonly claim: Claim | undefined;
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
    let encryptionKey: Buffer = Buffer.alloc(0);
    const keys = await answerHandshake(channel, {
      identity,
      exporter,
      peerKey: key,
      peerFingerprint: fingerprint,
      onHello: (hello) => {
        encryptionKey = hello.encryptionKey;
      },
    });
    return { channel, keys, key, fingerprint, encryptionKey, cipher, address, port };
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
export async function letIn(stranger: Stranger, options: LetInOptions): Promise<Entry> {
  const { channel } = stranger;
  if (options.claim === undefined) return await meet(stranger, options, {});
  const received = await firstMessage(channel);
  const request = readMessage(PAIR, received.value);
  if (request === undefined) {
    if (!options.open) throw errorOf('NOT_TRUSTED', 'a pairing code is wanted here');
    return await meet(stranger, options, { received });
  }
  const claim = await options.claim(request);
  try {
    return await meet(stranger, options, { claim });
  } catch (error) {
    claim.fail(error instanceof LocalstreamError ? error : connectionError(error));
    throw error;
  }
}

/** What a stranger says first. The time for it is that of a run over a code. */
async function firstMessage(channel: ControlChannel): Promise<RawMessage> {
  const late = setTimeout(() => channel.fail(errorOf('TIMEOUT')), RUN_PATIENCE);
  try {
    return await channel.receive();
  } finally {
    clearTimeout(late);
  }
}

/** What came before the introductions. */
interface Before {
  readonly received?: RawMessage;
  readonly claim?: Claim;
}

async function meet(stranger: Stranger, options: LetInOptions, { received, claim }: Before): Promise<Entry> {
  const { channel, keys, fingerprint, cipher, address, port } = stranger;
  const { name, trust, decide, patience, promptness } = options;
  const open = options.open || claim !== undefined;
  let known = await trust.get(fingerprint);
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
      // Whoever answered may have pinned it already, under a name of its own.
      const isPinned = (await trust.get(fingerprint)) !== undefined;
      known = await trust.trust({ fingerprint, ...(!isPinned && { name: claimedName }), how: 'operator' });
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
    promptness,
    received,
    decide: async (claimedName, signal) => {
      if (!trusted && !open) await ask(claimedName, signal);
      options.enter();
      if (claim?.purpose !== 'pair') return;
      known = await trust.trust({ fingerprint, name: claimedName, how: 'paired' });
      trusted = true;
    },
  });
  options.proven();
  // Sealing files for it needs the key; a home that can't be written keeps nobody out.
  await trust.noteEncryptionKey(fingerprint, stranger.encryptionKey).catch(() => {});
  const id = keys.id.toString('hex');
  const since = new Date();
  const shown = known?.name ?? claimedName;
  const peer = { id, name: shown, trusted, fingerprint, address, port, group, cipher, since };
  return { peer, rights: known?.rights ?? 'all', claim };
}

/** Tells the other side why it ends, and ends it. */
export function turnAway(channel: ControlChannel, error: unknown): void {
  const reason = error instanceof LocalstreamError ? error : connectionError(error);
  sayBye(channel, reason);
  channel.fail(reason);
}
