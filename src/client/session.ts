/** A session with a server, and what is asked of the server in it: to list, get, put, take, change, measure. */
import { EventEmitter } from 'node:events';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { Measured } from '../net/pour.ts';
import { MAX_PATHS } from '../protocol/limits.ts';
import type { ExistingPolicy, OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import { guardCallbacks } from '../session/callbacks.ts';
import type { Connection } from '../session/connection.ts';
import type { IncomingOffer } from '../session/incoming-offers.ts';
import { type Offer, receivedPlace } from '../session/offer.ts';
import type { GetOptions, PutOptions, SealedPutOptions, TransferOptions } from '../session/options.ts';
import type { FileOutcome, PeerInfo, Receipt, TransferInfo } from '../session/report.ts';
import type { SpeedDirection } from '../session/speed-tests.ts';
import { checkOptions, type Settings, TRANSFER_OPTIONS } from '../settings.ts';
import { filterRules } from '../transfer/filter-rules.ts';
import { STREAM_PATH } from '../transfer/name.ts';
import type { Source } from '../transfer/source.ts';
import { type Entry, toEntry } from './entry.ts';
import { LastingConnection } from './lasting-connection.ts';
import { type ConnectOptions, Link, type SessionHost } from './link.ts';
import { Offers } from './offers.ts';
import { ReceivedSeals } from './received-seals.ts';
import { ResumableTransfers } from './resumable-transfers.ts';

/** How something is removed from a share. */
export interface RemoveOptions {
  /** Folders too, with all that is in them. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (entries: number) => void;
}

interface SessionEvents {
  offer: [Offer];
  /** The connection is lost, and no transfer is under way that has it made again: the next call does. */
  lost: [LocalstreamError];
}

/**
 * What is asked of a server, made by `connect`. It lasts until one side closes it, and so longer than a connection: while
 * that is lost, the next call has it made again first, to the same key and with the same login, and throws why that did
 * not succeed. What is under way when a connection breaks throws LOST, save transfers, which go on.
 */
export class Session extends EventEmitter<SessionEvents> implements AsyncDisposable {
  /** Settles when the session is over; undefined when it was closed from this side. Not while a connection is {@link lost}. */
  readonly closed: Promise<LocalstreamError | undefined>;
  readonly #link: Link;
  readonly #connection: LastingConnection;
  readonly #host: SessionHost;
  readonly #settings: Settings;
  readonly #transfers: ResumableTransfers;
  readonly #offers: Offers;

  private constructor(link: Link, host: SessionHost) {
    super();
    this.#link = link;
    this.#host = host;
    this.#settings = host.settings;
    this.#connection = new LastingConnection(link);
    this.closed = this.#connection.closed;
    this.#transfers = new ResumableTransfers({
      connection: this.#connection,
      roundTrip: link.roundTrip,
      settings: host.settings,
      lost: (reason) => this.emit('lost', reason),
    });
    this.#offers = new Offers({
      transfers: this.#transfers,
      settings: host.settings,
      inbox: host.inbox,
      peer: () => this.peer,
      ask: (offer) => this.emit('offer', offer),
    });
    const { fingerprint, trusted } = this.peer;
    const end = (reason: LocalstreamError) => void this.#connection.close(reason);
    const leave = host.trusted.follow({ fingerprint, trusted, end });
    void this.closed.then(leave);
  }

  /**
   * Connects to a server.
   *
   * @throws USAGE for a port or a fingerprint that is none; NO_SUCH_HOST, UNREACHABLE, NOT_LOCALSTREAM, KEY_CHANGED,
   *   NOT_TRUSTED, REJECTED, FULL, TIMEOUT, CANCELLED, …
   */
  static async connect(host: SessionHost, options: ConnectOptions): Promise<Session> {
    const early: IncomingOffer[] = [];
    let take = (offer: IncomingOffer): void => void early.push(offer);
    const link = await Link.open(host, options, { offer: (offer) => take(offer) });
    const session = new Session(link, host);
    take = (offer) => session.#offers.take(offer);
    early.forEach(take);
    return session;
  }

  /** The server, by its latest connection. */
  get peer(): PeerInfo {
    return this.#connection.latest.peer;
  }

  /** Why the connection is lost; undefined while it is there, and once the session is over. */
  get lost(): LocalstreamError | undefined {
    return this.#connection.lost;
  }

  get transfers(): readonly TransferInfo[] {
    return this.#connection.latest.transfers.map((transfer) => transfer.info());
  }

  /** Offers that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return this.#offers.list;
  }

  /**
   * Logs in as a user of the server. The password is kept in memory until the session is closed, for a connection that
   * has to be made again.
   *
   * @param password or who asks for it, once it is sure that it may be sent.
   * @returns the user's name as the server has it.
   * @throws NOT_TRUSTED when the server's key was accepted unseen in this run: no password goes there; LOGIN_FAILED,
   *   LOGIN_LATER, NOT_SUPPORTED where nobody logs in, FULL.
   */
  async login(name: string, password: string | (() => Promise<string>)): Promise<string> {
    await this.#link.requireConfirmed();
    // Nobody is asked for a password that can't be sent.
    await this.#open();
    const text = typeof password === 'string' ? password : await password();
    // Whoever types it takes a while.
    await this.#open();
    return await this.#link.login(name, text);
  }

  /**
   * Lists a folder of the server, or its shares for `/`.
   *
   * @throws NOT_FOUND, NOT_ALLOWED, NOT_A_FOLDER, BAD_NAME, LOST.
   */
  async *list(path = '/', options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Entry> {
    const connection = await this.#open(options.signal);
    for await (const entry of connection.list(path, options.signal)) yield toEntry(entry);
  }

  /**
   * Fetches files and folders. A file goes into a `local` that is a folder or ends in `/`; otherwise `local` is its
   * name. A folder goes into a `local` that ends in `/`, `.` or `..`; otherwise `local` is its name. A connection that
   * breaks is made again and the transfer goes on where it stood. What ends in `.sealed` and is sealed for this machine
   * is then opened, and the sealed file goes unless it was there before: see {@link Receipt.opened}.
   *
   * @param remote paths that start with a share: `/docs/a.pdf`.
   * @param local `-` is standard output.
   * @throws USAGE for no path or too many, and for options that are wrong; NOT_FOUND, NOT_ALLOWED, NO_SPACE, CANCELLED, LOST,
   *   … A file that fails alone is in the receipt.
   */
  async get(remote: readonly string[], local: string, options: GetOptions = {}): Promise<Receipt> {
    checkOptions(TRANSFER_OPTIONS, options);
    // The other side would take it for a breach of the protocol, and end the session.
    if (remote.length === 0 || remote.length > MAX_PATHS)
      throw errorOf('USAGE', `one to ${MAX_PATHS} paths can be fetched at once`, {
        hint: 'get the folder they are in',
      });
    const wanted = remote.map(lastComponent);
    if (new Set(wanted).size < wanted.length)
      throw errorOf('USAGE', 'two of the paths have the same name', { hint: 'get them one by one' });
    const once = local === STREAM_PATH ? { ...options, retryFor: 0 } : options;
    const seals = this.#seals(local, options);
    const run = this.#run(once, async (connection, request) => {
      const place = (roots: readonly OfferedRoot[]) => {
        const asked =
          roots.length === wanted.length && roots.every((root, index) => root.name === wanted[index]);
        if (!asked) throw errorOf('BAD_MESSAGE', 'the server offers something else than what was asked for');
        const earlier = this.#transfers.takeEarlier(request.continues, request.id);
        const found = receivedPlace(local, roots, options, earlier, this.#settings);
        return seals?.at(found) ?? found;
      };
      const onSettled = (outcomes: readonly FileOutcome[]) => seals?.add(outcomes);
      return await connection.get(remote, this.#existing(options), place, { ...request, onSettled });
    });
    return await (seals?.follow(run) ?? run);
  }

  async #run(options: TransferOptions, on: Parameters<ResumableTransfers['run']>[1]): Promise<Receipt> {
    return await guardCallbacks(options, (guarded) => this.#transfers.run(guarded, on));
  }

  /** What becomes of the sealed files of a get; undefined where none is written. */
  #seals(local: string, options: GetOptions): ReceivedSeals | undefined {
    if (options.dryRun || local === STREAM_PATH) return undefined;
    const { identity, trust } = this.#host;
    return new ReceivedSeals({
      identity,
      trust,
      fromAnyone: options.fromAnyone ?? false,
      existing: this.#existing(options),
      durable: options.durable ?? false,
      unattended: options.unattended ?? false,
      bound: this.#settings.receiptFiles,
      signal: options.signal,
      keep: options.keepSealed ?? false,
      unopened: this.#host.unopenedSeals,
    });
  }

  /** Sends files and folders into a share, by the same rules. A text becomes a file that holds it. Throws as {@link get}. */
  async put(local: readonly Source[], remote: string, options: SealedPutOptions = {}): Promise<Receipt> {
    checkOptions(TRANSFER_OPTIONS, options);
    const sealing = options.sealFor && (await this.#sealing(options.sealFor));
    const { namedRoots } = await import('../transfer/source.ts');
    const named = namedRoots(local);
    const { specs } = named;
    const roots = sealing?.roots(named.roots) ?? named.roots;
    const { durable, dryRun, trustMtime, verify, only, follow } = options;
    const how = { existing: this.#existing(options), durable, dryRun, trustMtime, verify };
    const rules = filterRules({ ...options, ...(sealing && only && { only: sealing.paths(only) }) });
    const once = local.includes(STREAM_PATH) ? { ...options, retryFor: 0 } : options;
    return await this.#run(once, (connection, request) =>
      connection.put(specs, roots, remote, how, { ...request, rules, follow, seal: sealing?.spec }),
    );
  }

  /** How the files of a put are sealed, and what they and their paths are called then. */
  async #sealing(readers: readonly Fingerprint[]) {
    const { sealedRoots, sealFor, unsealedPaths } = await import('./seal-readers.ts');
    const spec = await sealFor(this.#host, readers);
    return { spec, roots: (roots: readonly OfferedRoot[]) => sealedRoots(roots, spec), paths: unsealedPaths };
  }

  /**
   * Offers files and folders to the server, for its inbox, and sends them once they are accepted: by a person there, or by
   * a rule. Of the options only those apply that say how files are sent, since the receiver decides about what it has. A
   * connection that breaks is made again and the transfer goes on where it stood, without being asked about again.
   *
   * @throws USAGE, NOT_FOUND, NOT_ALLOWED where nobody can be asked, REJECTED, TIMEOUT, CANCELLED, LOST, …
   */
  async send(local: readonly Source[], options: PutOptions = {}): Promise<Receipt> {
    checkOptions(TRANSFER_OPTIONS, options);
    const { follow, group } = options;
    const rules = filterRules(options);
    const { offeredRoots } = await import('../transfer/offered.ts');
    const { specs, ...offered } = offeredRoots(local, { rules, follow: follow ?? false });
    const once = local.includes(STREAM_PATH) ? { ...options, retryFor: 0 } : options;
    return await this.#run(once, (connection, request) =>
      connection.offer(specs, offered, { ...request, rules, follow, group }),
    );
  }

  /**
   * Makes a folder in a share of the server.
   *
   * @param path starts with a share: `/docs/new`. The folder that it is to be in must be there.
   * @throws EXISTS when anything has that name, NOT_FOUND, NOT_ALLOWED, BAD_NAME, UNWRITABLE, LOST; NOT_SUPPORTED where
   *   the server is an older one.
   */
  async makeFolder(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await (await this.#open(options.signal)).change({ type: 'mkdir', path }, options.signal);
  }

  /**
   * Moves or renames something within one share of the server. Nothing is replaced.
   *
   * @param to a folder that is there, or a path that ends in `/`, to go into under its own name; otherwise the new name.
   * @throws EXISTS when anything has the new name; NOT_SUPPORTED from one share to another; as {@link makeFolder}.
   */
  async move(from: string, to: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await (await this.#open(options.signal)).change({ type: 'move', from, to }, options.signal);
  }

  /**
   * Removes a file or a link, or with `recursive` a folder and all that is in it. It can't be taken back.
   *
   * @param options.signal ends the removal of a folder between two parts of it; what is gone stays gone.
   * @param options.onProgress is told how many entries are gone.
   * @returns how many entries were removed.
   * @throws IS_A_FOLDER for one without `recursive`, BUSY while something is received there; as {@link makeFolder}.
   */
  async remove(path: string, options: RemoveOptions = {}): Promise<number> {
    const { recursive = false, signal, onProgress } = options;
    const connection = await this.#open(signal);
    let entries = 0;
    for (;;) {
      const part = await connection.change({ type: 'remove', path, recursive }, signal);
      entries += part.entries;
      onProgress?.(entries);
      if (part.last) return entries;
    }
  }

  /**
   * Tests how fast bytes cross to the server (`up`) or from it (`down`). They are thrown away; the server's setting
   * `speedTest.bytes` and `speedTest.time` bound them too.
   *
   * @returns bytes and milliseconds, as the end that took them has measured.
   * @throws NOT_ALLOWED where the server does not let us: strangers never; NOT_SUPPORTED where it is an older one; BUSY
   *   while another test runs there, CANCELLED, LOST.
   */
  async measure(
    direction: SpeedDirection,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Measured> {
    const { bytes, time } = this.#settings.speedTest;
    if (bytes === 0) throw errorOf('NOT_ALLOWED', 'the setting speedTest.bytes is 0: nothing is tested here');
    const connection = await this.#open(options.signal);
    return await connection.measure(direction, { bytes, milliseconds: time }, options.signal);
  }

  /** The last round trip that was measured, in milliseconds; undefined until the first answer. */
  get roundTrip(): number | undefined {
    return this.#connection.latest.roundTrip;
  }

  /** The oldest offer that waits, or the next that comes. Throws CANCELLED, LOST, or why the session is over. */
  async nextOffer(options: { readonly signal?: AbortSignal } = {}): Promise<Offer> {
    const { signal } = options;
    await this.#open(signal);
    const [waiting] = this.offers;
    if (waiting) return waiting;
    const { promise, resolve, reject } = Promise.withResolvers<Offer>();
    const stop = () => reject(errorOf('CANCELLED'));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    this.once('offer', resolve);
    this.once('lost', reject);
    void this.closed.then((reason) => reject(reason ?? errorOf('CLOSED')));
    try {
      return await promise;
    } finally {
      this.off('offer', resolve);
      this.off('lost', reject);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the session and the transfers in it. */
  async close(): Promise<void> {
    await this.#connection.close(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A connection for what is asked once. */
  #open(signal?: AbortSignal): Promise<Connection> {
    return this.#connection.open({ retryFor: 0, signal });
  }

  #existing(options: TransferOptions): ExistingPolicy {
    return options.existing ?? this.#settings.existing;
  }
}

function lastComponent(path: string): string {
  const name = path.split('/').findLast((part) => part !== '' && part !== '.');
  if (name === undefined)
    throw errorOf('USAGE', `'${escapeText(path)}' names no file`, { hint: 'name a share first' });
  return name;
}
