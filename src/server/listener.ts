/** One port being served: who comes in, who may stay, and what they are served. */
import { EventEmitter } from 'node:events';
import { resolve } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { LANE_EXPORTER_LABEL, laneExporter, laneProof, sameBytes } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import type { Limiter } from '../net/limiter.ts';
import { exportSecret } from '../net/tls.ts';
import type { LaneRequest } from '../protocol/lane-proof.ts';
import { MIN_CHUNK } from '../protocol/limits.ts';
import type { PairRequest } from '../protocol/messages.ts';
import type { Change, Changed } from '../session/changes.ts';
import { Connection } from '../session/connection.ts';
import { Continuations } from '../session/continuations.ts';
import type { Decide } from '../session/introduce.ts';
import type { LoginAnswer } from '../session/logins.ts';
import type { Offer, ReceivedText } from '../session/offer.ts';
import type { Recorder } from '../session/recorder.ts';
import type { PeerInfo, Progress, Receipt, TransferInfo } from '../session/report.ts';
import type { SpeedPermit } from '../session/speed-tests.ts';
import { cancelled, newTransferId, typed } from '../session/transfers.ts';
import type { TrustedSessions } from '../session/trusted-sessions.ts';
import type { Settings } from '../settings.ts';
import type { ErrorLog } from '../store/error-log.ts';
import type { TrustStore } from '../store/trust-store.ts';
import { Folder } from '../transfer/folder.ts';
import { offeredRoots } from '../transfer/offered.ts';
import { filterRules } from '../transfer/path-filter.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import type { Source } from '../transfer/source.ts';
import { Approvals } from './approvals.ts';
import { type Claim, type CodeOptions, Codes, type OpenCode } from './codes.ts';
import { Entrance } from './entrance.ts';
import { Inbox, type InboxOptions } from './inbox.ts';
import { type Entry, letIn, proveStranger, type Stranger, turnAway } from './let-in.ts';
import { Places } from './places.ts';
import { type Share, type ShareOptions, Shares } from './shares.ts';
import { addressesOf } from './siblings.ts';
import type { Users } from './users.ts';
import { type Auth, Visit } from './visit.ts';

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
  readonly users: Users;
  readonly trusted: TrustedSessions;
  /** Folder of offers that are accepted without a place of their own. */
  readonly inbox: string;
}

/** Where to listen, and who gets in. */
export interface ListenOptions {
  /** 1 to 65535; 0 takes a free one, which {@link Listener.port} tells. */
  readonly port: number;
  /** Address to bind; all interfaces by default. */
  readonly host?: string;
  /** Peers that may be connected at once; the setting `maxConnections` by default. */
  readonly maxConnections?: number;
  readonly shares?: readonly ShareOptions[];
  /** Everybody is let in: `auth` is `none`. */
  readonly open?: boolean;
  /**
   * Who is let in: everybody (`none`), whose key is trusted or whom `decide` lets in (`trusted`, the default), or users
   * who log in (`password`): whatever their key, and trusted keys too.
   */
  readonly auth?: Auth;
  /** Asked for each unknown key. Absent: unknown keys are refused. */
  readonly decide?: Decide;
  /** Opens pairing codes: see {@link Listener.codes}. Then only those come in who know one, trusted or not. */
  readonly codes?: CodeOptions;
  /**
   * What becomes of what peers offer: see {@link Session.send}. Those that no rule accepts are told by the event `offer`,
   * and refused where nobody listens to it. A listener with codes takes no offers.
   */
  readonly inbox?: InboxOptions;
}

/** How files are offered and sent. */
export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Aborted before `signal`: what is there of unfinished files is removed, not kept for a resume. */
  readonly discard?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** File bytes in a frame, 1024 to 4194304. */
  readonly chunk?: number;
  readonly lanes?: number;
  /** Lines of a `.gitignore` file: what they match is left out; later ones win, `!` takes back. */
  readonly exclude?: readonly string[];
  /** `.gitignore` files in what is sent count too. */
  readonly gitignore?: boolean;
  /** Links are sent as what they point at. */
  readonly follow?: boolean;
  /** Bytes a second at the most. */
  readonly limit?: number;
  /** @internal See {@link Listener.sendToAll}. */
  readonly group?: number;
  /** Told the number of the transfer as it begins, and of each that goes on with it after a lost connection. */
  readonly onTransfer?: (transferId: string) => void;
  /** How long a peer whose connection broke is waited for, in milliseconds; the setting `retryFor` by default. */
  readonly retryFor?: number;
}

/** Round trips above this many milliseconds are worth several lanes. */
const LONG_ROUND_TRIP = 10;
const LANES_FOR_DISTANCE = 4;

/** How often a listener tells of running transfers, in milliseconds. */
const PROGRESS_EVERY = 250;

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
  /** A peer has made a folder, moved or removed something; of a big folder one part after the other. */
  changed: [Changed & { readonly peer: PeerInfo; readonly change: Change }];
  failed: [{ readonly transfer: TransferInfo; readonly error: LocalstreamError }];
  /** A peer wants to send something, and is to be answered. */
  offer: [Offer];
  /** An offer is accepted by the rule of the inbox. */
  accepted: [Offer];
  /** A text that the rule has accepted. Where nobody listens to this, texts go into the inbox like files. */
  text: [Offer, ReceivedText];
  /** Why users can't log in for now; nothing once they can again. */
  users: [LocalstreamError | undefined];
}

/** An open port with its shares and peers, made by `listen`. */
export class Listener extends EventEmitter<ListenerEvents> implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
  readonly open: boolean;
  readonly auth: Auth;
  /** Settles when the port has been closed. */
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #host: ListenerHost;
  readonly #decide: Decide | undefined;
  readonly #shares: Shares;
  readonly #entrance: Entrance;
  readonly #places: Places;
  readonly #codes: Codes | undefined;
  readonly #inbox: Inbox | undefined;
  readonly #connections = new Map<string, Connection>();
  /** Those whose user is not known yet. */
  readonly #waiting = new Set<Connection>();
  readonly #continuations = new Continuations();
  readonly #approvals = new Approvals();
  /** Those who have proven their key and are being let in. */
  readonly #meeting = new Set<ControlChannel>();
  #closing: Promise<void> | undefined;
  /** Tells the other servers of its users that it is closed. */
  #leave: () => Promise<void> = async () => {};
  #isTesting = false;
  #progress: NodeJS.Timeout | undefined;

  private constructor(
    host: ListenerHost,
    options: ListenOptions,
    shares: Shares,
    entrance: Entrance,
    codes: Codes | undefined,
  ) {
    super();
    this.#host = host;
    this.closed = this.#closed.promise;
    this.#entrance = entrance;
    this.#shares = shares;
    this.#decide = options.decide;
    this.auth = options.auth ?? (options.open ? 'none' : 'trusted');
    this.open = this.auth === 'none';
    this.maxConnections = options.maxConnections ?? host.settings.maxConnections;
    this.#places = new Places(this.maxConnections);
    this.#codes = codes;
    this.#inbox = codes === undefined ? this.#openInbox(options.inbox ?? {}) : undefined;
    this.host = entrance.host;
    this.port = entrance.port;
    if (this.auth === 'password') {
      const quiet = host.users.onTrouble((error) => this.emit('users', error));
      void this.closed.then(quiet);
      const { name, identity } = host;
      const addresses = addressesOf(this.host, this.port);
      this.#leave = host.users.siblings.join({ fingerprint: identity.fingerprint, name }, addresses);
    }
  }

  /** Opens a port. Throws PORT_IN_USE, PORT_DENIED, NO_SUCH_HOST, and what is wrong with the shares. */
  static async start(host: ListenerHost, options: ListenOptions): Promise<Listener> {
    if (options.open && options.auth !== undefined && options.auth !== 'none')
      throw errorOf('USAGE', `a listener can't be open to everybody and ask for ${options.auth}`);
    const shares = new Shares(options.shares ?? []);
    const { folder, accept = host.settings.inbox.accept } = options.inbox ?? {};
    // Where nobody is asked, what is wrong with it has to show now.
    if (folder !== undefined || accept === 'trusted') Folder.open(folder ?? host.inbox).close();
    const codes = options.codes && new Codes(options.codes);
    const { identity, settings, log } = host;
    const listening = Promise.withResolvers<Listener>();
    let peers = (): readonly PeerInfo[] => [];
    const entrance = await Entrance.open(
      {
        identity,
        port: options.port,
        host: options.host,
        strangers: settings.strangers,
        patience: settings.handshakeTimeout,
      },
      {
        session: async (socket, known) => await (await listening.promise).#greet(socket, known),
        lane: async (socket, request, known) => (await listening.promise).#addLane(socket, request, known),
        isPeers: (address) => peers().some((peer) => peer.address === address),
        refused: (address, error) => {
          log.write({ error, address, doing: `a connection to port ${entrance.port}` });
          void listening.promise.then((listener) => listener.emit('refused', { address, error }));
        },
        failed: (error) => log.write({ error, doing: `listening on port ${entrance.port}` }),
      },
    );
    const listener = new Listener(host, options, shares, entrance, codes);
    peers = () => listener.peers;
    listening.resolve(listener);
    return listener;
  }

  /** Where offers go that are accepted without a place of their own, and by which rule; undefined where there are codes. */
  get inbox(): Required<InboxOptions> | undefined {
    return this.#inbox && { folder: this.#inbox.folder, accept: this.#inbox.accept };
  }

  /** Offers of peers that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return this.#inbox?.offers ?? [];
  }

  get shares(): readonly Share[] {
    return this.#shares.list;
  }

  /** The pairing codes that were opened with it, used or not. */
  get codes(): readonly OpenCode[] {
    return this.#codes?.list ?? [];
  }

  /** Settles when the last pairing code is used, burnt or too old. */
  get codesOver(): Promise<void> {
    return this.#codes?.over ?? Promise.resolve();
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
  async send(peerId: string, paths: readonly Source[], options: SendOptions = {}): Promise<Receipt> {
    const connection = this.#connections.get(peerId);
    if (!connection) throw errorOf('NOT_CONNECTED', 'that peer is not connected');
    const { settings } = this.#host;
    const rules = filterRules(options);
    const { specs, ...offered } = offeredRoots(paths, { rules, follow: options.follow ?? false });
    const chunk = Math.max(MIN_CHUNK, options.chunk ?? settings.chunk);
    const distant = (connection.roundTrip ?? 0) > LONG_ROUND_TRIP;
    const lanes = options.lanes ?? settings.lanes ?? (distant ? LANES_FOR_DISTANCE : 1);
    const { limit, signal, onProgress, retryFor = settings.retryFor } = options;
    let current = connection;
    let continues: string | undefined;
    for (;;) {
      const id = newTransferId();
      options.onTransfer?.(id);
      try {
        return await current.offer(specs, offered, {
          id,
          continues,
          chunk,
          lanes,
          limit,
          rules,
          follow: options.follow,
          group: options.group,
          signal,
          discard: options.discard,
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

  /**
   * Offers the same files to several peers at once. They are read and hashed once for those who are near each other;
   * one that is slow or fails holds up nobody else.
   *
   * @returns how it ended for each, in their order; see {@link send} for the reasons.
   */
  async sendToAll(
    peerIds: readonly string[],
    paths: readonly Source[],
    options: Omit<SendOptions, 'group'> = {},
  ): Promise<PromiseSettledResult<Receipt>[]> {
    const group = this.#host.pool.newGroup();
    return await Promise.allSettled(peerIds.map((peerId) => this.send(peerId, paths, { ...options, group })));
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
    this.#entrance.stop();
    this.#codes?.close();
    this.#inbox?.close();
    // Somebody may think about these for minutes.
    for (const channel of this.#meeting) turnAway(channel, errorOf('SHUTTING_DOWN'));
    const connections = [...this.#connections.values(), ...this.#waiting];
    await Promise.allSettled(connections.map((connection) => connection.close(errorOf('SHUTTING_DOWN'))));
    await Promise.all([this.#entrance.freed(), this.#leave()]);
    this.#closed.resolve();
  }

  /** A lane is opened. Whether the session, the number or the proof was wrong is nobody's business: one error for all. */
  #addLane(socket: TLSSocket, request: LaneRequest, known: () => void): void {
    const refused = () => errorOf('BAD_HANDSHAKE', 'a lane could not be proven');
    const connection = this.#connections.get(request.id.toString('hex'));
    if (!connection) throw refused();
    const exporter = laneExporter(exportSecret(socket, LANE_EXPORTER_LABEL));
    const { keys } = connection;
    if (!sameBytes(request.proof, laneProof('c', keys, exporter, keys.id, request.number))) throw refused();
    const transfer = connection.claimLane(request.number);
    if (!transfer) throw refused();
    known();
    socket.write(laneProof('s', keys, exporter, keys.id, request.number));
    transfer.addLane(socket, request.number);
  }

  async #greet(socket: TLSSocket, known: () => void): Promise<void> {
    const { identity, settings, trust, name } = this.#host;
    const stranger = await proveStranger(socket, identity, settings.handshakeTimeout);
    let giveBack = () => {};
    let claim: Claim | undefined;
    this.#meeting.add(stranger.channel);
    try {
      if (this.#closing) throw errorOf('SHUTTING_DOWN');
      this.#places.requireFree();
      const entry = await letIn(stranger, {
        name,
        trust,
        open: this.auth !== 'trusted' || this.#approvals.has(stranger.fingerprint),
        decide: this.#decide,
        patience: settings.decisionTimeout,
        promptness: settings.handshakeTimeout,
        proven: known,
        ask: () => this.#places.ask(stranger.address),
        enter: () => {
          // Who has not logged in takes no user's place, and there are not many of them.
          const isAwaited = this.auth === 'password';
          giveBack = isAwaited ? this.#places.awaitLogin(stranger.address) : this.#places.take();
        },
        claim: this.#codes && ((request) => this.#claim(stranger, request, known)),
      });
      claim = entry.claim;
      if (this.#closing) throw errorOf('SHUTTING_DOWN');
      this.#start(stranger, entry, giveBack);
      claim?.grant(entry.peer);
    } catch (error) {
      claim?.fail(typed(error));
      giveBack();
      turnAway(stranger.channel, error);
      throw error;
    } finally {
      this.#meeting.delete(stranger.channel);
    }
  }

  async #claim(stranger: Stranger, request: PairRequest, known: () => void): Promise<Claim> {
    if (!this.#codes) throw errorOf('WRONG_CODE');
    // While it has the code to itself, others must not push it out: that would burn the code.
    known();
    return await this.#codes.claim(stranger, this.#host.identity.fingerprint, request);
  }

  #openInbox({ folder, accept }: InboxOptions): Inbox {
    const { inbox, settings, trust, log } = this.#host;
    return new Inbox({
      folder: folder === undefined ? inbox : resolve(folder),
      accept: accept ?? settings.inbox.accept,
      settings,
      trust,
      continuations: this.#continuations,
      hasPerson: () => this.listenerCount('offer') > 0,
      ask: (offer) => this.emit('offer', offer),
      accepted: (offer) => this.emit('accepted', offer),
      showsTexts: () => this.listenerCount('text') > 0,
      showText: (offer, received) => this.emit('text', offer, received),
      failed: (error, { address, fingerprint: peer }) =>
        log.write({ error, address, peer, doing: `an offer on port ${this.port}` }),
    });
  }

  #start(stranger: Stranger, { peer, rights }: Entry, giveBack: () => void): void {
    const { identity, settings, pool, limiter } = this.#host;
    const { channel, keys, key } = stranger;
    const visit = new Visit(this.auth, rights);
    const connection: Connection = new Connection({
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
        list: (path) => this.#shares.entries(path, visit.visitor),
        change: (change) => this.#change(connection, change, visit),
        speed: () => this.#allowTest(connection),
        get: ({ paths }) => this.#shares.source(paths, visit.visitor),
        put: ({ transfer, continues, target, roots, existing, durable, dryRun, trustMtime, verify }) =>
          this.#shares.target(
            target,
            roots,
            existing,
            {
              durable: durable ?? false,
              dryRun: dryRun ?? false,
              trustMtime: trustMtime ?? false,
              verify: verify ?? false,
              reserve: settings.freeSpaceReserve,
              protectedFolder: undefined,
              rules: undefined,
              renamed: this.#continuations.take(continues, transfer, peer.fingerprint),
            },
            visit.visitor,
          ),
        ...(this.auth === 'password' && {
          login: (name, password) => this.#login(connection, visit, { name, password }, giveBack),
        }),
        offer: (offer) => {
          if (this.#inbox) this.#inbox.take(offer, connection.peer, visit.isKnown);
          else offer.refuse('NOT_ALLOWED', 'nothing can be offered where a code is waited for');
        },
        supersede: (transfer) => this.#supersede(transfer, peer.fingerprint),
      },
    });
    if (visit.isKnown) this.#enter(connection, giveBack);
    else this.#await(connection, giveBack);
    const { fingerprint, trusted } = peer;
    const leave = this.#host.trusted.follow({
      fingerprint,
      trusted,
      update: (now) => visit.mayNow(now),
      end: (reason) => void connection.close(reason),
    });
    void connection.ended.then(leave);
  }

  /** Bytes for nothing are for those whom somebody trusts, one at a time. Throws NOT_ALLOWED, BUSY. */
  #allowTest({ peer }: Connection): SpeedPermit {
    const { bytes, time } = this.#host.settings.speedTest;
    if (bytes === 0) throw errorOf('NOT_ALLOWED', 'its setting speedTest.bytes is 0');
    if (!peer.trusted && peer.user === undefined)
      throw errorOf('NOT_ALLOWED', 'it tests with trusted keys and users only');
    if (this.#isTesting) throw errorOf('BUSY', 'it is being tested by another peer');
    this.#isTesting = true;
    const done = () => {
      this.#isTesting = false;
    };
    return { bytes, milliseconds: time, done };
  }

  #change(connection: Connection, change: Change, visit: Visit): Changed {
    const changed = this.#shares.change(change, visit.visitor);
    this.#host.recorder.changed(connection, change, changed);
    this.emit('changed', { peer: connection.peer, change, ...changed });
    return changed;
  }

  /** Until its user is known there is nothing but time for it to say who that is. */
  #await(connection: Connection, giveBack: () => void): void {
    this.#waiting.add(connection);
    const { decisionTimeout } = this.#host.settings;
    const late = setTimeout(() => {
      if (this.#waiting.has(connection)) void connection.close(errorOf('TIMEOUT', 'nobody logged in'));
    }, decisionTimeout).unref();
    void connection.ended.then(() => {
      clearTimeout(late);
      if (this.#waiting.delete(connection)) giveBack();
    });
  }

  /** Somebody says who it is. Throws LOGIN_FAILED, LOGIN_LATER, FULL, BUSY, NOT_ALLOWED. */
  async #login(
    connection: Connection,
    visit: Visit,
    said: { readonly name: string; readonly password: string },
    giveBack: () => void,
  ): Promise<LoginAnswer> {
    const { users, log, identity } = this.#host;
    const { address, fingerprint } = connection.peer;
    if (visit.isKnown) throw errorOf('NOT_ALLOWED', 'somebody is logged in already; connect again');
    this.#places.requireFree();
    const user = await users.login({ ...said, address, device: fingerprint }).catch((reason: unknown) => {
      const error = typed(reason);
      log.write({ error, address, peer: fingerprint, doing: `a login on port ${this.port}` });
      this.emit('refused', { address, error });
      throw error;
    });
    const siblings = await users.siblings.others(identity.fingerprint);
    // It may have left, or the listener been closed, while the password was looked at.
    if (!this.#waiting.has(connection)) throw errorOf('CLOSED');
    const leave = this.#places.take();
    this.#waiting.delete(connection);
    giveBack();
    visit.become(user.name, user.grants);
    connection.peer = { ...connection.peer, user: user.name };
    const forget = users.follow({
      name: user.name,
      update: (grants) => visit.become(user.name, grants),
      end: (reason) => void connection.close(reason),
    });
    void connection.ended.then(forget);
    this.#enter(connection, leave);
    return { name: user.name, siblings };
  }

  /** A peer is in. */
  #enter(connection: Connection, giveBack: () => void): void {
    const { peer } = connection;
    this.#connections.set(peer.id, connection);
    this.#host.recorder.follow(connection, 'server', this.port);
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
      this.#inbox?.left(peer.id);
      if (reason.code === 'LOST' && (!peer.trusted || this.#codes)) this.#approvals.keep(peer.fingerprint);
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
}
