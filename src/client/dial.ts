/** From an address to a server that has proven its key, and the lanes to it. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import {
  LANE_EXPORTER_LABEL,
  laneExporter,
  laneProof,
  SESSION_EXPORTER_LABEL,
  type SessionKeys,
  sameBytes,
  sessionExporter,
} from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, type LocalstreamError, systemCode } from '../errors.ts';
import { ControlChannel, connectionError } from '../net/control-channel.ts';
import { readExactly } from '../net/read-exactly.ts';
import { checkChannel, checkPeer, contextOptions, exportSecret, type TlsPeer } from '../net/tls.ts';
import { dialHandshake, type PeerHello } from '../protocol/handshake.ts';
import { LANE_ANSWER_BYTES, writeLaneRequest } from '../protocol/lane-proof.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE } from '../protocol/limits.ts';
import { escapeText } from '../protocol/text.ts';

/** Where to dial. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface DialOptions extends Address {
  readonly identity: Identity;
  /** Milliseconds for TCP, TLS and the handshake, each. */
  readonly patience: number;
  readonly signal?: AbortSignal | undefined;
  /** Looks at the server's key before anything of ours is sent. Throws to refuse it. */
  readonly checkKey: (fingerprint: Fingerprint) => Promise<void>;
}

/** A server that holds the key which it showed. */
export interface Dialled {
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly server: TlsPeer;
  /** The server's encryption key, certified by its identity key: DER SubjectPublicKeyInfo. */
  readonly encryptionKey: Buffer;
  /** What the server can do beyond the first version of the protocol. */
  readonly capabilities: readonly string[];
  /** The address that answered. */
  readonly remote: Address;
  /** Milliseconds that TCP took to connect: one round trip. */
  readonly roundTrip: number;
}

/**
 * Dials a server and runs the handshake.
 *
 * @throws NO_SUCH_HOST, UNREACHABLE, NOT_LOCALSTREAM, TIMEOUT, BAD_HANDSHAKE, CANCELLED, and what `checkKey` throws.
 */
export async function dial(options: DialOptions): Promise<Dialled> {
  const { identity, patience, signal, checkKey } = options;
  const { socket, roundTrip } = await dialTls(options, identity, patience, signal);
  try {
    const server = checkPeer(socket);
    await checkKey(server.fingerprint);
    socket.write(CONTROL_PREFACE);
    const channel = new ControlChannel(socket);
    socket.resume();
    const proven = await prove(channel, socket, identity, server, patience, signal);
    const remote = { host: socket.remoteAddress ?? options.host, port: socket.remotePort ?? options.port };
    const { keys, encryptionKey, capabilities } = proven;
    return { channel, keys, server, encryptionKey, capabilities, remote, roundTrip };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function prove(
  channel: ControlChannel,
  socket: TLSSocket,
  identity: Identity,
  server: TlsPeer,
  patience: number,
  signal: AbortSignal | undefined,
): Promise<Pick<Dialled, 'keys' | keyof PeerHello>> {
  const stop = () => channel.fail(errorOf('CANCELLED'));
  signal?.addEventListener('abort', stop, { once: true });
  const late = setTimeout(
    () => channel.fail(errorOf('TIMEOUT', 'the server did not finish the handshake')),
    patience,
  );
  try {
    const exporter = sessionExporter(exportSecret(socket, SESSION_EXPORTER_LABEL));
    let said: PeerHello = { encryptionKey: Buffer.alloc(0), capabilities: [] };
    const keys = await dialHandshake(channel, {
      identity,
      exporter,
      peerKey: server.key,
      peerFingerprint: server.fingerprint,
      onHello: (hello) => {
        said = hello;
      },
    });
    return { keys, ...said };
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', stop);
  }
}

/** Opens lane `number` of a session: no certificate of ours, the server's key checked, a proof each way. */
export async function dialLane(
  remote: Address,
  server: Fingerprint,
  keys: SessionKeys,
  number: number,
  patience: number,
): Promise<TLSSocket> {
  const { socket } = await dialTls(remote, undefined, patience, undefined);
  try {
    if (checkPeer(socket).fingerprint !== server)
      throw errorOf('BAD_HANDSHAKE', 'another key answers for the lane');
    const exporter = laneExporter(exportSecret(socket, LANE_EXPORTER_LABEL));
    const proof = laneProof('c', keys, exporter, keys.id, number);
    socket.write(
      Buffer.concat([Buffer.from(LANE_PREFACE), writeLaneRequest({ id: keys.id, number, proof })]),
    );
    const answer = await readExactly(socket, LANE_ANSWER_BYTES, patience);
    if (!sameBytes(answer, laneProof('s', keys, exporter, keys.id, number)))
      throw errorOf('BAD_HANDSHAKE', 'the lane could not be proven');
    return socket;
  } catch (error) {
    socket.destroy();
    throw connectionError(error);
  }
}

/**
 * TCP and TLS; no byte of the protocol yet. Throws as {@link dial} does, but for what the handshake says: UNREACHABLE too
 * where the other side hangs up or is silent before TLS stands, NOT_LOCALSTREAM only where it has said something else.
 */
export async function dialTls(
  address: Address,
  identity: Identity | undefined,
  patience: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly socket: TLSSocket; readonly roundTrip: number }> {
  const where = `${escapeText(address.host)}, port ${address.port}`;
  const { raw, roundTrip } = await dialTcp(address, patience, signal);
  const socket = connectTls({
    ...contextOptions(identity),
    socket: raw,
    servername: '',
    ALPNProtocols: [ALPN],
    rejectUnauthorized: false,
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(errorOf('CANCELLED'));
  const fail = (what: string, cause?: unknown) => {
    // Whoever has said nothing that is not TLS may well be localstream, and only be ending, overrun or stuck.
    const isForeign = isTlsError(cause) || (raw.bytesRead > 0 && raw.bytesRead < TLS_RECORD_HEADER);
    if (isForeign) reject(errorOf('NOT_LOCALSTREAM', `${where} is not localstream`, { cause }));
    else reject(errorOf('UNREACHABLE', `${where} ${what}`, { cause, hint: HINT_UNFINISHED }));
  };
  const late = setTimeout(() => fail('accepts connections and does not answer'), patience);
  socket.once('secureConnect', resolve);
  socket.once('error', (cause) => fail('hung up during the handshake', cause));
  socket.once('close', () => fail('hung up during the handshake'));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await promise;
    checkChannel(socket);
    socket.on('error', () => {});
    return { socket, roundTrip };
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', stop);
    socket.removeAllListeners('close');
  }
}

/** A TCP connection, and the milliseconds of one round trip. Throws NO_SUCH_HOST, UNREACHABLE, CANCELLED. */
export async function dialTcp(
  address: Address,
  patience: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly raw: Socket; readonly roundTrip: number }> {
  if (signal?.aborted) throw errorOf('CANCELLED');
  const { host, port } = address;
  const where = `${escapeText(host)}, port ${port}`;
  const socket = connectTcp({ host, port, noDelay: true });
  // From the first packet, not from the look-up of the name.
  let dialledAt = performance.now();
  socket.on('connectionAttempt', () => {
    dialledAt = performance.now();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(errorOf('CANCELLED'));
  const late = setTimeout(
    () => reject(errorOf('UNREACHABLE', `${where} does not answer`, { hint: HINT_SILENT })),
    patience,
  );
  socket.once('connect', resolve);
  socket.once('error', (cause) => reject(dialError(cause, address)));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await promise;
    return { raw: socket, roundTrip: performance.now() - dialledAt };
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', stop);
  }
}

/** Bytes by which TLS knows its own, and refuses all else. */
const TLS_RECORD_HEADER = 5;
const HINT_UNFINISHED = 'it may be ending or busy, or no localstream: look there, or try again';

/** Whether what came was no TLS, or a word of TLS against ours: not that the connection broke. */
function isTlsError(cause: unknown): boolean {
  const code = systemCode(cause);
  return code === 'EPROTO' || (code?.startsWith('ERR_SSL_') ?? false);
}

const HINT_SILENT = 'is it switched on, on this network, and does its firewall let the port through?';

function dialError(cause: unknown, { host, port }: Address): LocalstreamError {
  const name = escapeText(host);
  // Where several addresses were tried, the first failure says as much as any.
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  switch (systemCode(first)) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
      return errorOf('NO_SUCH_HOST', `'${name}' does not resolve`, {
        cause,
        hint: 'check the name, or use the address',
      });
    case 'ECONNREFUSED':
      return errorOf('UNREACHABLE', `nothing listens on ${name}, port ${port}`, {
        cause,
        hint: 'start a listener there: add_connection or serve',
      });
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return errorOf('UNREACHABLE', `there is no way to ${name}`, { cause, hint: 'is it on this network?' });
    default:
      return errorOf('UNREACHABLE', `${name}, port ${port} can't be reached`, { cause });
  }
}
