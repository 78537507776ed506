/** One port being served: who comes in, who may stay, and what they are served. */
import { EventEmitter } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { LANE_EXPORTER_LABEL, laneExporter, laneProof, sameBytes } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import { connectionError } from '../net/control-channel.ts';
import type { Limiter } from '../net/limiter.ts';
import { readExactly } from '../net/read-exactly.ts';
import { checkChannel, contextOptions, exportSecret, hasCertificate } from '../net/tls.ts';
import { LANE_REQUEST_BYTES, readLaneRequest } from '../protocol/lane-proof.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE, MIN_CHUNK, PREFACE_BYTES } from '../protocol/messages.ts';
import { Connection } from '../session/connection.ts';
import { Continuations } from '../session/continuations.ts';
import type { Decide } from '../session/introduce.ts';
import type { Recorder } from '../session/recorder.ts';
import type { PeerInfo, Progress, Receipt, TransferInfo } from '../session/report.ts';
import { cancelled, newTransferId, typed } from '../session/transfers.ts';
import type { Settings } from '../settings.ts';
import type { ErrorLog } from '../store/error-log.ts';
import type { TrustStore } from '../store/trust-store.ts';
import { filterRules } from '../transfer/path-filter.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import { namedRoots } from '../transfer/source.ts';
import { Approvals } from './approvals.ts';
import { letIn, proveStranger, type Stranger, turnAway } from './let-in.ts';
import { type Share, type ShareOptions, Shares } from './shares.ts';
import { Strangers } from './strangers.ts';

/** What every listener of a machine works with. */
export interface ListenerHost {
  readonly identity: Identity;
  readonly name: string;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly pool: WorkerPool;
  readonly limiter: Limiter | undefined;
  readonly recorder: Recorder;
  readonly log: ErrorLog;
}

export interface ListenOptions {
  /** 1 to 65535; 0 takes a free one, which {@link Listener.port} tells. */
  readonly port: number;
  /** Address to bind; all interfaces by default. */
  readonly host?: string;
  /** Peers that may be connected at once; the setting `maxConnections` by default. */
  readonly maxConnections?: number;
  readonly shares?: readonly ShareOptions[];
  /** Everybody is let in. */
  readonly open?: boolean;
  /** Asked for each unknown key. Absent: unknown keys are refused. */
  readonly decide?: Decide;
}

export interface SendOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** File bytes in a frame, 1024 to 4194304. */
  readonly chunk?: number;
  readonly lanes?: number;
  /** Lines of a `.gitignore` file: what they match is left out; later ones win, `!` takes back. */
  readonly exclude?: readonly string[];
  /** `.gitignore` files in what is sent count too. */
  readonly gitignore?: boolean;
  /** Bytes a second at the most. */
  readonly limit?: number;
  /** How long a peer whose connection broke is waited for, in milliseconds; the setting `retryFor` by default. */
  readonly retryFor?: number;
}

/** Round trips above this many milliseconds are worth several lanes. */
const LONG_ROUND_TRIP = 10;
const LANES_FOR_DISTANCE = 4;

/** How often a listener tells of running transfers, in milliseconds. */
const PROGRESS_EVERY = 250;
const BACKLOG = 511;

interface ListenerEvents {
  /** Somebody was let in. */
  peer: [PeerInfo];
  left: [PeerInfo, LocalstreamError];
  /** Running transfers, now and then. */
  progress: [TransferInfo];
  /** Somebody was not let in, or was none of ours. */
  refused: [{ readonly address: string; readonly error: LocalstreamError }];
  /** A transfer with a peer has begun; look at {@link Listener.transfers} for how it goes. */
  transfer: [TransferInfo];
  receipt: [Receipt];
  failed: [{ readonly transfer: TransferInfo; readonly error: LocalstreamError }];
}

export class Listener extends EventEmitter<ListenerEvents> implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
  readonly open: boolean;
  /** Settles when the port has been closed. */
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #host: ListenerHost;
  readonly #decide: Decide | undefined;
  readonly #shares: Shares;
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #strangers: Strangers;
  readonly #connections = new Map<string, Connection>();
  readonly #continuations = new Continuations();
  readonly #approvals = new Approvals();
  /** Places that are taken: by connections, and by peers who are just being let in. */
  #taken = 0;
  #closing: Promise<void> | undefined;
  #progress: NodeJS.Timeout | undefined;

  private constructor(host: ListenerHost, options: ListenOptions, shares: Shares, server: Server) {
    super();
    this.#host = host;
    this.closed = this.#closed.promise;
    this.#server = server;
    this.#shares = shares;
    this.#decide = options.decide;
    this.open = options.open ?? false;
    this.maxConnections = options.maxConnections ?? host.settings.maxConnections;
    const { address, port } = server.address() as AddressInfo;
    this.host = address;
    this.port = port;
    this.#strangers = new Strangers(host.settings.strangers);
    this.#tls = createTlsServer({
      ...contextOptions(host.identity),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [ALPN],
      handshakeTimeout: host.settings.handshakeTimeout,
    });
    this.#tls.on('secureConnection', (socket) => void this.#greet(socket));
    this.#tls.on('tlsClientError', (error, socket) =>
      this.#refuse(socket.remoteAddress ?? '', connectionError(error)),
    );
    server.on('connection', (socket) => this.#admit(socket));
    server.on('error', (error) => host.log.write({ error, doing: `listening on ${this.port}` }));
  }

  /** Opens a port. Throws PORT_IN_USE, PORT_DENIED, NO_SUCH_HOST, and what is wrong with the shares. */
  static async start(host: ListenerHost, options: ListenOptions): Promise<Listener> {
    const shares = new Shares(options.shares ?? []);
    const server = createServer({ noDelay: true });
    await bind(server, options.port, options.host);
    return new Listener(host, options, shares, server);
  }

  get shares(): readonly Share[] {
    return this.#shares.list;
  }

  get peers(): readonly PeerInfo[] {
    return [...this.#connections.values()].map((connection) => connection.peer);
  }

  get transfers(): readonly TransferInfo[] {
    return [...this.#connections.values()].flatMap(({ transfers }) =>
      transfers.map((transfer) => transfer.info()),
    );
  }

  /**
   * Offers files to one connected peer and sends them once it accepts.
   *
   * @param peerId {@link PeerInfo.id}
   * @throws NOT_CONNECTED, NOT_FOUND, REJECTED, CANCELLED, LOST, …
   */
  async send(peerId: string, paths: readonly string[], options: SendOptions = {}): Promise<Receipt> {
    const connection = this.#connections.get(peerId);
    if (!connection) throw errorOf('NOT_CONNECTED', 'that peer is not connected');
    const { roots, specs } = namedRoots(paths);
    const { settings } = this.#host;
    const chunk = Math.max(MIN_CHUNK, options.chunk ?? settings.chunk);
    const distant = (connection.roundTrip ?? 0) > LONG_ROUND_TRIP;
    const lanes = options.lanes ?? settings.lanes ?? (distant ? LANES_FOR_DISTANCE : 1);
    const { limit, signal, onProgress, retryFor = settings.retryFor } = options;
    const rules = filterRules(options);
    let current = connection;
    let continues: string | undefined;
    for (;;) {
      const id = newTransferId();
      try {
        return await current.offer(specs, roots, {
          id,
          continues,
          chunk,
          lanes,
          limit,
          rules,
          signal,
          onProgress,
        });
      } catch (error) {
        const broken = typed(error);
        if (broken.code !== 'LOST' || retryFor === 0 || this.#closing) throw broken;
        // The dialler comes back; we can only wait for it.
        await current.close(broken);
        current = await this.#comeBack(current.peer.fingerprint, broken, retryFor, signal);
      }
      continues = id;
    }
  }

  /** Waits until a peer whose connection broke has connected again. */
  async #comeBack(
    fingerprint: Fingerprint,
    broken: LocalstreamError,
    forMilliseconds: number,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const look = () => {
      for (const connection of this.#connections.values())
        if (connection.peer.fingerprint === fingerprint) resolve(connection);
    };
    const stop = () => reject(cancelled(signal));
    const late = setTimeout(() => reject(broken), forMilliseconds);
    this.on('peer', look);
    signal?.addEventListener('abort', stop, { once: true });
    void this.closed.then(() => reject(errorOf('SHUTTING_DOWN')));
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      this.off('peer', look);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the session of a peer at once, running transfers included. */
  async kick(peerId: string): Promise<void> {
    await this.#connections.get(peerId)?.close(errorOf('REJECTED', 'ended by the operator'));
  }

  /** Closes the port and every session on it. The port is free when it resolves. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { promise: freed, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#strangers.close();
    const connections = [...this.#connections.values()];
    await Promise.allSettled(connections.map((connection) => connection.close(errorOf('SHUTTING_DOWN'))));
    this.#strangers.close();
    await freed;
    this.#closed.resolve();
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    // Errors of a socket that goes before TLS has it.
    socket.on('error', () => {});
    if (this.#closing || !this.#strangers.admit(socket, address)) {
      socket.destroy();
      return;
    }
    this.#tls.emit('connection', socket);
  }

  /** TLS stands. What the first bytes say decides what this is. */
  async #greet(socket: TLSSocket): Promise<void> {
    const address = socket.remoteAddress ?? '';
    socket.on('error', () => {});
    try {
      checkChannel(socket);
      const patience = this.#host.settings.handshakeTimeout;
      const preface = (await readExactly(socket, PREFACE_BYTES, patience)).toString('latin1');
      if (preface === CONTROL_PREFACE) await this.#control(socket, address);
      else if (preface === LANE_PREFACE && !hasCertificate(socket)) await this.#lane(socket, patience);
      else throw errorOf('BAD_MESSAGE', 'the connection is neither a session nor a lane');
    } catch (error) {
      socket.destroy();
      this.#refuse(address, connectionError(error));
    }
  }

  async #lane(socket: TLSSocket, patience: number): Promise<void> {
    const request = readLaneRequest(await readExactly(socket, LANE_REQUEST_BYTES, patience));
    const connection = this.#connections.get(request.id.toString('hex'));
    // One error for all: whether the session, the number or the proof was wrong is nobody's business.
    const refused = () => errorOf('BAD_HANDSHAKE', 'a lane could not be proven');
    if (!connection) throw refused();
    const exporter = laneExporter(exportSecret(socket, LANE_EXPORTER_LABEL));
    const { keys } = connection;
    if (!sameBytes(request.proof, laneProof('c', keys, exporter, keys.id, request.number))) throw refused();
    const transfer = connection.claimLane(request.number);
    if (!transfer) throw refused();
    socket.write(laneProof('s', keys, exporter, keys.id, request.number));
    this.#strangers.release(socket, socket.remoteAddress ?? '');
    transfer.addLane(socket, request.number);
  }

  async #control(socket: TLSSocket, address: string): Promise<void> {
    const { identity, settings, trust, name } = this.#host;
    const stranger = await proveStranger(socket, identity, settings.handshakeTimeout);
    const place = this.#takePlace();
    try {
      if (!place) throw errorOf('FULL', `full (${this.#taken} of ${this.maxConnections})`);
      const admitted = await letIn(stranger, {
        name,
        trust,
        open: this.open || this.#approvals.has(stranger.fingerprint),
        decide: this.#decide,
        patience: settings.decisionTimeout,
      });
      this.#strangers.release(socket, address);
      this.#start(stranger, admitted, place);
    } catch (error) {
      place?.();
      turnAway(stranger.channel, error);
      throw error;
    }
  }

  /** Takes one of the places for peers; what it returns gives it back. Undefined when there is none. */
  #takePlace(): (() => void) | undefined {
    if (this.#closing || this.#taken >= this.maxConnections) return undefined;
    this.#taken += 1;
    let taken = true;
    return () => {
      if (taken) this.#taken -= 1;
      taken = false;
    };
  }

  #start(stranger: Stranger, peer: PeerInfo, giveBack: () => void): void {
    const { identity, settings, pool, limiter, recorder } = this.#host;
    const { channel, keys, key } = stranger;
    const connection = new Connection({
      channel,
      keys,
      identity,
      peer,
      peerKey: key,
      pool,
      limiter,
      maxRecords: settings.lane.maxRecords,
      receiptFiles: settings.receiptFiles,
      keepAlive: settings.keepAlive,
      handlers: {
        list: (path) => this.#shares.entries(path),
        get: ({ paths }) => this.#shares.source(paths),
        put: ({ transfer, continues, target, roots, existing, durable, dryRun, trustMtime, verify }) =>
          this.#shares.target(target, roots, existing, {
            durable: durable ?? false,
            dryRun: dryRun ?? false,
            trustMtime: trustMtime ?? false,
            verify: verify ?? false,
            reserve: settings.freeSpaceReserve,
            protectedFolder: undefined,
            rules: undefined,
            renamed: this.#continuations.take(continues, transfer, peer.fingerprint),
          }),
        supersede: (transfer) => this.#supersede(transfer, peer.fingerprint),
      },
    });
    this.#connections.set(peer.id, connection);
    recorder.follow(connection, 'server', this.port);
    connection.on('transfer', (transfer) => {
      this.emit('transfer', transfer.info());
      this.#watch();
    });
    connection.on('settled', (transfer, outcomes) => {
      if (transfer.direction === 'receive') this.#continuations.note(transfer.id, peer.fingerprint, outcomes);
    });
    connection.on('over', (transfer, result) => {
      if (!(result instanceof LocalstreamError)) this.#continuations.forget(transfer.id);
      if (result instanceof LocalstreamError)
        this.emit('failed', { transfer: transfer.info(), error: result });
      else this.emit('receipt', result);
    });
    void connection.ended.then((reason) => {
      this.#connections.delete(peer.id);
      if (reason.code === 'LOST' && !peer.trusted) this.#approvals.keep(peer.fingerprint);
      giveBack();
      this.emit('left', peer, reason);
    });
    this.emit('peer', peer);
  }

  /** A peer is back and goes on with a transfer whose old connection may still look alive here. */
  async #supersede(transfer: string, fingerprint: Fingerprint): Promise<void> {
    for (const connection of this.#connections.values()) {
      if (connection.peer.fingerprint !== fingerprint) continue;
      if (connection.transfers.some(({ id }) => id === transfer))
        await connection.close(errorOf('LOST', 'the peer came back by another connection'));
    }
  }

  /** Tells of progress while there is any. */
  #watch(): void {
    this.#progress ??= setInterval(() => {
      const running = this.transfers;
      for (const transfer of running) this.emit('progress', transfer);
      if (running.length > 0) return;
      clearInterval(this.#progress);
      this.#progress = undefined;
    }, PROGRESS_EVERY).unref();
  }

  #refuse(address: string, error: LocalstreamError): void {
    this.#host.log.write({ error, address, doing: `a connection to port ${this.port}` });
    this.emit('refused', { address, error });
  }
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
