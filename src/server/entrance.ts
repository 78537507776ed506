/**
 * The port itself: TCP, the bounds on strangers, TLS, and the first bytes, which say whether a connection is a session
 * or a lane. Who may stay is decided elsewhere.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, type LocalstreamError, systemCode } from '../errors.ts';
import { connectionError } from '../net/control-channel.ts';
import { readExactly } from '../net/read-exactly.ts';
import { checkChannel, contextOptions, hasCertificate } from '../net/tls.ts';
import { LANE_REQUEST_BYTES, type LaneRequest, readLaneRequest } from '../protocol/lane-proof.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE, PREFACE_BYTES } from '../protocol/limits.ts';
import { type Stranger, type StrangerBounds, Strangers } from './strangers.ts';

/** Connections that the system may hold for us before they are accepted. */
const BACKLOG = 511;

export interface EntranceOptions {
  readonly identity: Identity;
  readonly port: number;
  readonly host: string | undefined;
  readonly strangers: StrangerBounds;
  /** Milliseconds for TLS, and for the first bytes. */
  readonly patience: number;
}

/** What comes in. `known` is to be called once the other end has proven itself: it is no stranger any more. */
export interface EntranceEvents {
  session(socket: TLSSocket, known: () => void): Promise<void>;
  lane(socket: TLSSocket, request: LaneRequest, known: () => void): Promise<void>;
  /** Whether a peer is connected from there. */
  isPeers(address: string): boolean;
  /** Somebody was not let in. */
  refused(address: string, error: LocalstreamError): void;
  /** The port itself fails. */
  failed(error: Error): void;
}

export class Entrance {
  readonly host: string;
  readonly port: number;
  readonly #events: EntranceEvents;
  readonly #patience: number;
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #strangers: Strangers;
  /** By address and port of the other end, which TLS sockets and those below them have in common. */
  readonly #byEnd = new Map<string, Stranger>();
  /** Those whose TLS stands: they have other deadlines. */
  readonly #greeted = new WeakSet<Stranger>();
  #closing = false;
  #freed: Promise<void> | undefined;

  private constructor(server: Server, options: EntranceOptions, events: EntranceEvents) {
    const { address, port } = server.address() as AddressInfo;
    this.host = address;
    this.port = port;
    this.#events = events;
    this.#patience = options.patience;
    this.#server = server;
    this.#strangers = new Strangers(options.strangers);
    this.#tls = createTlsServer({
      ...contextOptions(options.identity),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [ALPN],
      handshakeTimeout: options.patience,
    });
    this.#tls.on('secureConnection', (socket) => void this.#greet(socket));
    this.#tls.on('tlsClientError', (error, socket) =>
      events.refused(socket.remoteAddress ?? '', connectionError(error)),
    );
    server.on('connection', (socket) => this.#admit(socket));
    server.on('error', (error) => events.failed(error));
  }

  /** Opens the port. Throws PORT_IN_USE, PORT_DENIED, NO_SUCH_HOST, IO. */
  static async open(options: EntranceOptions, events: EntranceEvents): Promise<Entrance> {
    const server = createServer({ noDelay: true });
    await bind(server, options.port, options.host);
    return new Entrance(server, options, events);
  }

  /** Takes nobody in any more and ends those who have not proven themselves. */
  stop(): void {
    this.#closing = true;
    // Listened for before anything ends: the last connection may do so at any moment.
    this.#freed ??= new Promise((resolve) => this.#server.once('close', () => resolve()));
    this.#server.close();
    this.#strangers.close();
  }

  /** Resolves when the port is free, after {@link stop}: every connection must have ended by then. */
  async freed(): Promise<void> {
    await this.#freed;
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    // Errors of a socket that goes before TLS has it.
    socket.on('error', () => {});
    const stranger = this.#closing
      ? undefined
      : this.#strangers.admit(socket, address, this.#events.isPeers(address));
    if (!stranger) {
      socket.destroy();
      return;
    }
    const end = endOf(socket);
    this.#byEnd.set(end, stranger);
    // Node's own time limit for the handshake misses sockets that never send a byte.
    const late = setTimeout(() => {
      if (this.#greeted.has(stranger)) return;
      this.#events.refused(address, errorOf('TIMEOUT'));
      socket.destroy();
    }, this.#patience);
    socket.once('close', () => {
      clearTimeout(late);
      this.#strangers.release(stranger);
      this.#byEnd.delete(end);
    });
    this.#tls.emit('connection', socket);
  }

  /** TLS stands. What the first bytes say decides what this is. */
  async #greet(socket: TLSSocket): Promise<void> {
    const address = socket.remoteAddress ?? '';
    const stranger = this.#byEnd.get(endOf(socket));
    if (stranger) this.#greeted.add(stranger);
    const known = () => {
      if (stranger) this.#strangers.release(stranger);
    };
    socket.on('error', () => {});
    try {
      checkChannel(socket);
      const preface = (await readExactly(socket, PREFACE_BYTES, this.#patience)).toString('latin1');
      if (preface === CONTROL_PREFACE) await this.#events.session(socket, known);
      else if (preface === LANE_PREFACE && !hasCertificate(socket)) await this.#lane(socket, known);
      else throw errorOf('BAD_MESSAGE', 'the connection is neither a session nor a lane');
    } catch (error) {
      this.#events.refused(address, connectionError(error));
      // What it was told last still goes out.
      socket.end(() => socket.destroy());
      setTimeout(() => socket.destroy(), 1000).unref();
    }
  }

  async #lane(socket: TLSSocket, known: () => void): Promise<void> {
    const request = readLaneRequest(await readExactly(socket, LANE_REQUEST_BYTES, this.#patience));
    await this.#events.lane(socket, request, known);
  }
}

function endOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`;
}

/** Binds, and says what went wrong in our words. */
async function bind(server: Server, port: number, host: string | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ port, host, backlog: BACKLOG }, resolve);
  try {
    await promise;
  } catch (cause) {
    throw bindError(cause, port, host);
  } finally {
    server.off('error', reject);
  }
}

function bindError(cause: unknown, port: number, host: string | undefined): LocalstreamError {
  const where = host === undefined ? `port ${port}` : `${host}, port ${port}`;
  switch (systemCode(cause)) {
    case 'EADDRINUSE':
      return errorOf('PORT_IN_USE', `${where} is in use`, {
        cause,
        hint: 'choose another port, or close what has it',
      });
    case 'EACCES':
    case 'EPERM':
      return errorOf('PORT_DENIED', `${where} may not be opened by this user`, {
        cause,
        hint: 'choose one above 1023',
      });
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return errorOf('NO_SUCH_HOST', `'${host}' does not resolve`, { cause });
    case 'EADDRNOTAVAIL':
      return errorOf('NO_SUCH_HOST', `'${host}' is no address of this machine`, { cause });
    default:
      return errorOf('IO', `${where} could not be opened`, { cause });
  }
}
