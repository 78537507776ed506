/** The client's side of one connection: list, get, put, and take what the server offers. */
import { EventEmitter } from 'node:events';
import { homedir } from 'node:os';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { ExistingPolicy, ListedEntry, OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import { Connection, type IncomingOffer, type TransferRequest } from '../session/connection.ts';
import { type Decide, introduce, type TrustQuestion } from '../session/introduce.ts';
import type { Recorder } from '../session/recorder.ts';
import type { PeerInfo, Progress, Receipt, TransferInfo } from '../session/report.ts';
import type { Settings } from '../settings.ts';
import type { TrustStore } from '../store/trust-store.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import { namedRoots } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { localPlace } from '../transfer/target-place.ts';
import { dial, dialLane } from './dial.ts';
import { ServerTrust } from './trust-server.ts';

/** What a session works with. */
export interface SessionHost {
  readonly identity: Identity;
  readonly name: string;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly pool: WorkerPool;
  readonly recorder: Recorder;
}

export interface ConnectOptions {
  readonly host: string;
  /** The setting `port` by default. */
  readonly port?: number;
  /** The key that the server must have; it is pinned. */
  readonly fingerprint?: Fingerprint;
  /** Pins an unknown key unseen. It stays unverified: nobody has compared anything. */
  readonly acceptNew?: boolean;
  /** Asked about an unknown key. Absent, with neither of the above: it is refused. */
  readonly decide?: Decide;
  readonly signal?: AbortSignal;
  /** The server's operator is being asked; the check number can be compared meanwhile. */
  readonly onWaiting?: (question: TrustQuestion) => void;
}

interface CommonOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly lanes?: number;
  /** File bytes in a frame, 1024 to 4194304; the setting `chunk` by default. */
  readonly chunk?: number;
  /** What becomes of a target that exists and differs; the setting `existing` by default. */
  readonly existing?: ExistingPolicy;
  /** The receiver brings everything to the disk before it counts as committed. */
  readonly durable?: boolean;
}
export type PutOptions = CommonOptions;
export interface ReceiveOptions extends CommonOptions {
  /** Nobody was asked about the names: hidden files are not written into the user's home folder. */
  readonly unattended?: boolean;
}

/** A file or folder of the server. */
export interface Entry {
  /** Unescaped. */
  readonly name: string;
  readonly type: 'file' | 'folder' | 'link' | 'other' | 'share';
  /** Bytes. */
  readonly size: number;
  readonly mtime: Date;
  /** Permission bits. */
  readonly mode: number;
  readonly shareMode?: 'ro' | 'rw' | 'wo';
  /** Where a link points. */
  readonly target?: string;
}

/** Something that the server wants to send. */
export interface Offer {
  readonly id: string;
  readonly from: PeerInfo;
  /** Names are unescaped. */
  readonly roots: readonly OfferedRoot[];
  /** Aborted when it is withdrawn. */
  readonly signal: AbortSignal;
  /** Receives it into a folder, or under a name: see {@link Session.get}. */
  accept(target: string, options?: ReceiveOptions): Promise<Receipt>;
  reject(): Promise<void>;
}

interface SessionEvents {
  offer: [Offer];
}

export class Session extends EventEmitter<SessionEvents> implements AsyncDisposable {
  readonly peer: PeerInfo;
  /** Settles when the session is over; undefined when it was closed from this side. */
  readonly closed: Promise<LocalstreamError | undefined>;
  readonly #connection: Connection;
  readonly #settings: Settings;
  readonly #offers = new Map<string, Offer>();
  #closing = false;

  private constructor(
    connection: Connection,
    settings: Settings,
    offers: (take: (offer: IncomingOffer) => void) => void,
  ) {
    super();
    this.#connection = connection;
    this.#settings = settings;
    this.peer = connection.peer;
    this.closed = connection.ended.then((reason) => (this.#closing ? undefined : reason));
    offers((offer) => this.#takeOffer(offer));
  }

  /**
   * Connects to a server.
   *
   * @throws NO_SUCH_HOST, UNREACHABLE, NOT_LOCALSTREAM, KEY_CHANGED, NOT_TRUSTED, REJECTED, FULL, TIMEOUT, CANCELLED, …
   */
  static async connect(host: SessionHost, options: ConnectOptions): Promise<Session> {
    const { identity, settings, trust, pool, recorder, name } = host;
    const address = { host: options.host, port: options.port ?? settings.port };
    const { fingerprint: expected, acceptNew, decide, signal } = options;
    const serverTrust = new ServerTrust({ trust, address, fingerprint: expected, acceptNew, decide });
    const patience = settings.handshakeTimeout;
    const checkKey = (fingerprint: Fingerprint) => serverTrust.check(fingerprint);
    const { channel, keys, server, remote } = await dial({
      ...address,
      identity,
      patience,
      signal,
      checkKey,
    });
    const { fingerprint, key, group, cipher } = server;
    const question = (claimedName: string): TrustQuestion => ({
      role: 'server',
      claimedName,
      fingerprint,
      checkNumber: keys.checkNumber,
      address: remote.host,
    });
    const stop = () => channel.fail(errorOf('CANCELLED'));
    signal?.addEventListener('abort', stop, { once: true });
    const claimed = await introduce({
      channel,
      name,
      asks: serverTrust.asks,
      patience: settings.decisionTimeout,
      decide: (claimedName, until) => serverTrust.decide(question(claimedName), until),
      onWaiting: (claimedName) => options.onWaiting?.(question(claimedName)),
    }).finally(() => signal?.removeEventListener('abort', stop));
    const peer: PeerInfo = {
      id: keys.id.toString('hex'),
      name: serverTrust.known?.name ?? claimed,
      trusted: serverTrust.known !== undefined,
      fingerprint,
      address: remote.host,
      port: remote.port,
      group,
      cipher,
      since: new Date(),
    };
    let take: (offer: IncomingOffer) => void = () => {};
    const connection = new Connection({
      role: 'c',
      channel,
      keys,
      identity,
      peer,
      peerKey: key,
      pool,
      maxRecords: settings.lane.maxRecords,
      receiptFiles: settings.receiptFiles,
      keepAlive: settings.keepAlive,
      handlers: { offer: (offer) => take(offer) },
      openLane: (number) => dialLane(remote, fingerprint, keys, number, patience),
    });
    recorder.follow(connection, 'client');
    return new Session(connection, settings, (taker) => {
      take = taker;
    });
  }

  get transfers(): readonly TransferInfo[] {
    return this.#connection.transfers.map((transfer) => transfer.info());
  }

  /** Offers that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return [...this.#offers.values()];
  }

  /**
   * Lists a folder of the server, or its shares for `/`.
   *
   * @throws NOT_FOUND, NOT_ALLOWED, NOT_A_FOLDER, BAD_NAME, LOST.
   */
  async *list(path = '/', options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Entry> {
    for await (const entry of this.#connection.list(path, options.signal)) yield toEntry(entry);
  }

  /**
   * Fetches files and folders. A file goes into a `local` that is a folder or ends in `/`; otherwise `local` is its
   * name. A folder goes into a `local` that ends in `/`, `.` or `..`; otherwise `local` is its name.
   *
   * @param remote paths that start with a share: `/docs/a.pdf`.
   * @throws NOT_FOUND, NOT_ALLOWED, NO_SPACE, CANCELLED, LOST, … A file that fails alone is in the receipt.
   */
  async get(remote: readonly string[], local: string, options: ReceiveOptions = {}): Promise<Receipt> {
    const wanted = remote.map(lastComponent);
    const place = (roots: readonly OfferedRoot[]) => {
      const asked =
        roots.length === wanted.length && roots.every((root, index) => root.name === wanted[index]);
      if (!asked) throw errorOf('BAD_MESSAGE', 'the server offers something else than what was asked for');
      return this.#place(local, roots, options);
    };
    // What is wrong with the target shows before the server is asked.
    return await this.#connection.get(remote, this.#existing(options), place, this.#request(options));
  }

  /** Sends files and folders into a share, by the same rules. */
  async put(local: readonly string[], remote: string, options: PutOptions = {}): Promise<Receipt> {
    const { roots, specs } = namedRoots(local);
    const how = { existing: this.#existing(options), durable: options.durable ?? false };
    return await this.#connection.put(specs, roots, remote, how, this.#request(options));
  }

  /** The oldest offer that waits, or the next that comes. */
  async nextOffer(options: { readonly signal?: AbortSignal } = {}): Promise<Offer> {
    const [waiting] = this.offers;
    if (waiting) return waiting;
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<Offer>();
    const stop = () => reject(errorOf('CANCELLED'));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    this.once('offer', resolve);
    void this.#connection.ended.then(reject);
    try {
      return await promise;
    } finally {
      this.off('offer', resolve);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the session and the transfers in it. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #takeOffer(incoming: IncomingOffer): void {
    const offer: Offer = {
      id: incoming.id,
      from: this.peer,
      roots: incoming.roots,
      signal: incoming.signal,
      accept: async (target, options = {}) => {
        const place = this.#place(target, incoming.roots, options);
        this.#offers.delete(incoming.id);
        return await incoming.accept(place, this.#existing(options), this.#request(options));
      },
      reject: async () => {
        this.#offers.delete(incoming.id);
        incoming.refuse('REJECTED');
      },
    };
    this.#offers.set(incoming.id, offer);
    incoming.signal.addEventListener('abort', () => this.#offers.delete(incoming.id), { once: true });
    this.emit('offer', offer);
  }

  #place(target: string, roots: readonly OfferedRoot[], options: ReceiveOptions): TargetPlace {
    return localPlace(target, roots, {
      durable: options.durable ?? false,
      reserve: this.#settings.freeSpaceReserve,
      protectedFolder: options.unattended ? homedir() : undefined,
      blind: false,
    });
  }

  #existing(options: CommonOptions): ExistingPolicy {
    return options.existing ?? this.#settings.existing;
  }

  #request(options: CommonOptions): TransferRequest {
    const { chunk = this.#settings.chunk, lanes = this.#settings.lanes ?? 1, signal, onProgress } = options;
    return { chunk, lanes, signal, onProgress };
  }
}

function lastComponent(path: string): string {
  const name = path.split('/').findLast((part) => part !== '' && part !== '.');
  if (name === undefined)
    throw errorOf('USAGE', `'${escapeText(path)}' names no file`, { hint: 'name a share first' });
  return name;
}

function toEntry(entry: ListedEntry): Entry {
  const { name, type, size, mtime, mode, shareMode, target } = entry;
  return {
    name,
    type,
    size,
    mtime: new Date(mtime / 1000),
    mode,
    ...(shareMode !== undefined && { shareMode }),
    ...(target !== undefined && { target }),
  };
}
