/** The client's side of a session: list, get, put, and take what the server offers. */
import { EventEmitter } from 'node:events';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { Measured } from '../net/pour.ts';
import type { ExistingPolicy, ListedEntry, OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import type { Connection } from '../session/connection.ts';
import { Continuations } from '../session/continuations.ts';
import type { IncomingOffer } from '../session/incoming-offers.ts';
import {
  IN_MEMORY,
  insideOf,
  isSameOffer,
  isText,
  type Offer,
  receivedPlace,
  receivedText,
  type Target,
} from '../session/offer.ts';
import type {
  GetOptions,
  PutOptions,
  ReceiveOptions,
  RetryNotice,
  SealedPutOptions,
  TransferOptions,
} from '../session/options.ts';
import type { FileOutcome, PeerInfo, Progress, Receipt, TransferInfo } from '../session/report.ts';
import type { SpeedDirection } from '../session/speed-tests.ts';
import { cancelled, newTransferId, type TransferRequest, typed } from '../session/transfers.ts';
import type { Settings } from '../settings.ts';
import { STREAM_PATH } from '../transfer/name.ts';
import { filterRules } from '../transfer/path-filter.ts';
import type { Source } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { type ConnectOptions, isBroken, Link, type SessionHost } from './link.ts';
import { ReceivedSeals } from './received-seals.ts';
import { retry } from './reconnect.ts';
import { sealedRoots, sealFor, unsealedPaths } from './seal-readers.ts';

/** How something is removed from a share. */
export interface RemoveOptions {
  /** Folders too, with all that is in them. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (entries: number) => void;
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

interface SessionEvents {
  offer: [Offer];
}

/** Round trips above this many milliseconds are worth several lanes. */
const LONG_ROUND_TRIP = 10;
const LANES_FOR_DISTANCE = 4;

/** A connection to a server, made by `connect`. It outlives a lost one: the next transfer dials again. */
export class Session extends EventEmitter<SessionEvents> implements AsyncDisposable {
  /** Settles when the session is over; undefined when it was closed from this side. */
  readonly closed: Promise<LocalstreamError | undefined>;
  readonly #link: Link;
  readonly #host: SessionHost;
  readonly #settings: Settings;
  readonly #inbox: string;
  readonly #continuations = new Continuations();
  /** The server that was connected to; another one may go on in its place. */
  readonly #origin: Fingerprint;
  readonly #offers = new Map<string, Offer>();
  /** Offers that were accepted: what breaks off is offered again by its number. */
  readonly #broken = new Map<
    string,
    { readonly roots: readonly OfferedRoot[]; readonly goOn: (offer: IncomingOffer) => void }
  >();
  readonly #over = Promise.withResolvers<LocalstreamError | undefined>();
  readonly #end = new AbortController();
  /** Why it was ended from this side, where nobody closed it. */
  #stopped: LocalstreamError | undefined;
  #reconnecting: Promise<void> | undefined;
  /** Transfers that want the connection back when it breaks. */
  #active = 0;
  /** Why the present connection broke, while another one may take its place. */
  #lost: LocalstreamError | undefined;

  private constructor(link: Link, host: SessionHost) {
    super();
    this.#link = link;
    this.#host = host;
    this.#settings = host.settings;
    this.#inbox = host.inbox;
    this.closed = this.#over.promise;
    this.#watch();
    const { fingerprint, trusted } = this.peer;
    this.#origin = fingerprint;
    const leave = host.trusted.follow({ fingerprint, trusted, end: (reason) => void this.#stop(reason) });
    void this.closed.then(leave);
  }

  /**
   * Connects to a server.
   *
   * @throws NO_SUCH_HOST, UNREACHABLE, NOT_LOCALSTREAM, KEY_CHANGED, NOT_TRUSTED, REJECTED, FULL, TIMEOUT, CANCELLED, …
   */
  static async connect(host: SessionHost, options: ConnectOptions): Promise<Session> {
    const early: IncomingOffer[] = [];
    let take = (offer: IncomingOffer): void => void early.push(offer);
    const link = await Link.open(host, options, { offer: (offer) => take(offer) });
    const session = new Session(link, host);
    take = (offer) => session.#takeOffer(offer);
    early.forEach(take);
    return session;
  }

  /** The server, by its present connection. */
  get peer(): PeerInfo {
    return this.#link.connection.peer;
  }

  get transfers(): readonly TransferInfo[] {
    return this.#link.connection.transfers.map((transfer) => transfer.info());
  }

  /** Offers that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return [...this.#offers.values()];
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
    const text = typeof password === 'string' ? password : await password();
    return await this.#link.login(name, text);
  }

  /**
   * Lists a folder of the server, or its shares for `/`.
   *
   * @throws NOT_FOUND, NOT_ALLOWED, NOT_A_FOLDER, BAD_NAME, LOST.
   */
  async *list(path = '/', options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Entry> {
    for await (const entry of this.#link.connection.list(path, options.signal)) yield toEntry(entry);
  }

  /**
   * Fetches files and folders. A file goes into a `local` that is a folder or ends in `/`; otherwise `local` is its
   * name. A folder goes into a `local` that ends in `/`, `.` or `..`; otherwise `local` is its name. A connection that
   * breaks is made again and the transfer goes on where it stood. What ends in `.sealed` and is sealed for this machine
   * is then opened, and the sealed file goes: see {@link Receipt.opened}.
   *
   * @param remote paths that start with a share: `/docs/a.pdf`.
   * @param local `-` is standard output.
   * @throws NOT_FOUND, NOT_ALLOWED, NO_SPACE, CANCELLED, LOST, … A file that fails alone is in the receipt.
   */
  async get(remote: readonly string[], local: string, options: GetOptions = {}): Promise<Receipt> {
    const wanted = remote.map(lastComponent);
    if (new Set(wanted).size < wanted.length)
      throw errorOf('USAGE', 'two of the paths have the same name', { hint: 'get them one by one' });
    const once = local === STREAM_PATH ? { ...options, retryFor: 0 } : options;
    const seals = this.#seals(local, options);
    const receipt = await this.#lasting(once, async (connection, request) => {
      const place = (roots: readonly OfferedRoot[]) => {
        const asked =
          roots.length === wanted.length && roots.every((root, index) => root.name === wanted[index]);
        if (!asked) throw errorOf('BAD_MESSAGE', 'the server offers something else than what was asked for');
        const found = this.#place(local, roots, options, request);
        return seals?.at(found) ?? found;
      };
      const note = (transfer: { readonly id: string }, outcomes: FileOutcome[]) => {
        if (transfer.id === request.id) seals?.add(outcomes);
      };
      connection.on('settled', note);
      try {
        return await connection.get(remote, this.#existing(options), place, request);
      } finally {
        connection.off('settled', note);
      }
    });
    return (await seals?.open(receipt)) ?? receipt;
  }

  /** What opens the sealed files of a get; nothing where they are to stay as they are. */
  #seals(local: string, options: GetOptions): ReceivedSeals | undefined {
    if (options.keepSealed || options.dryRun || local === STREAM_PATH) return undefined;
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
    });
  }

  /** Sends files and folders into a share, by the same rules. A text becomes a file that holds it. */
  async put(local: readonly Source[], remote: string, options: SealedPutOptions = {}): Promise<Receipt> {
    const seal = options.sealFor && (await sealFor(this.#host, options.sealFor));
    const { namedRoots } = await import('../transfer/source.ts');
    const named = namedRoots(local);
    const { specs } = named;
    const roots = seal ? sealedRoots(named.roots, seal) : named.roots;
    const { durable, dryRun, trustMtime, verify, only, follow } = options;
    const how = { existing: this.#existing(options), durable, dryRun, trustMtime, verify };
    const rules = filterRules({ ...options, ...(seal && only && { only: unsealedPaths(only) }) });
    const once = local.includes(STREAM_PATH) ? { ...options, retryFor: 0 } : options;
    return await this.#lasting(once, (connection, request) =>
      connection.put(specs, roots, remote, how, { ...request, rules, follow, seal }),
    );
  }

  /**
   * Offers files and folders to the server, for its inbox, and sends them once they are accepted: by a person there, or by
   * a rule. Of the options only those apply that say how files are sent, since the receiver decides about what it has. A
   * connection that breaks is made again and the transfer goes on where it stood, without being asked about again.
   *
   * @throws NOT_FOUND, NOT_ALLOWED where nobody can be asked, REJECTED, TIMEOUT, CANCELLED, LOST, …
   */
  async send(local: readonly Source[], options: PutOptions = {}): Promise<Receipt> {
    const { follow, group } = options;
    const rules = filterRules(options);
    const { offeredRoots } = await import('../transfer/offered.ts');
    const { specs, ...offered } = offeredRoots(local, { rules, follow: follow ?? false });
    const once = local.includes(STREAM_PATH) ? { ...options, retryFor: 0 } : options;
    return await this.#lasting(once, (connection, request) =>
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
    await this.#link.connection.change({ type: 'mkdir', path }, options.signal);
  }

  /**
   * Moves or renames something within one share of the server. Nothing is replaced.
   *
   * @param to a folder that is there, or a path that ends in `/`, to go into under its own name; otherwise the new name.
   * @throws EXISTS when anything has the new name; NOT_SUPPORTED from one share to another; as {@link makeFolder}.
   */
  async move(from: string, to: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#link.connection.change({ type: 'move', from, to }, options.signal);
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
    let entries = 0;
    for (;;) {
      const part = await this.#link.connection.change({ type: 'remove', path, recursive }, signal);
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
    return await this.#link.connection.measure(direction, { bytes, milliseconds: time }, options.signal);
  }

  /** The last round trip that was measured, in milliseconds; undefined until the first answer. */
  get roundTrip(): number | undefined {
    return this.#link.connection.roundTrip;
  }

  /** The oldest offer that waits, or the next that comes. Throws CANCELLED, or why the session is over. */
  async nextOffer(options: { readonly signal?: AbortSignal } = {}): Promise<Offer> {
    const [waiting] = this.offers;
    if (waiting) return waiting;
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<Offer>();
    const stop = () => reject(errorOf('CANCELLED'));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    this.once('offer', resolve);
    void this.closed.then((reason) => reject(reason ?? errorOf('CLOSED')));
    try {
      return await promise;
    } finally {
      this.off('offer', resolve);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the session and the transfers in it. */
  async close(): Promise<void> {
    await this.#stop(undefined);
  }

  async #stop(reason: LocalstreamError | undefined): Promise<void> {
    // First: a connection that breaks now is not made again, and why it is over is known.
    this.#end.abort(reason ?? errorOf('CLOSED'));
    this.#stopped ??= reason;
    await this.#link.connection.close(reason);
    this.#over.resolve(this.#stopped);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Follows the present connection to its end, which is the session's unless a transfer wants another one. */
  #watch(): void {
    const { connection } = this.#link;
    connection.on('settled', (transfer, outcomes) => {
      if (transfer.direction === 'receive') this.#continuations.note(transfer.id, this.#origin, outcomes);
    });
    void connection.ended.then((reason) => {
      if (this.#end.signal.aborted) this.#over.resolve(this.#stopped);
      else if (!isBroken(reason) || this.#active === 0) this.#over.resolve(reason);
      else this.#lost = reason;
    });
  }

  /** Runs a transfer; when its connection breaks, on another one, until it ends or the time for that is over. */
  async #lasting(
    options: TransferOptions,
    run: (connection: Connection, request: TransferRequest & { readonly id: string }) => Promise<Receipt>,
  ): Promise<Receipt> {
    const first = newTransferId();
    const startedAt = performance.now();
    let id = first;
    let continues: string | undefined;
    let moved = 0;
    const onBroken = (bytesMoved: number) => {
      moved += bytesMoved;
    };
    this.#active += 1;
    try {
      for (;;) {
        const { connection } = this.#link;
        options.onTransfer?.(id);
        try {
          const request = { ...this.#request(options, first), id, continues, onBroken };
          const receipt = await run(connection, request);
          this.#continuations.forget(id);
          if (continues === undefined) return receipt;
          const seconds = (performance.now() - startedAt) / 1000;
          return { ...receipt, seconds, bytesMoved: moved + receipt.bytesMoved };
        } catch (error) {
          await this.#reconnect(connection, typed(error), options);
        }
        continues = id;
        id = newTransferId();
      }
    } finally {
      this.#active -= 1;
      // Broken, and nobody who waited for another connection is left.
      if (this.#active === 0 && this.#lost) this.#over.resolve(this.#lost);
    }
  }

  /** Has the connection replaced, once for all transfers that were on it. Throws `broken` when that is not to be. */
  async #reconnect(old: Connection, broken: LocalstreamError, options: TransferOptions): Promise<void> {
    const forMilliseconds = options.retryFor ?? this.#settings.retryFor;
    // What came through a pipe can't be read again, and what went into one not be taken back.
    if (!isBroken(broken) || forMilliseconds === 0 || this.#end.signal.aborted) throw broken;
    const notice = options.onRetry ?? (() => {});
    // A lane may break before the channel notices: the rest of it goes too.
    await old.close(broken);
    if (this.#link.connection === old)
      this.#reconnecting ??= this.#reopen(broken, forMilliseconds, notice).finally(() => {
        this.#reconnecting = undefined;
      });
    const { signal } = options;
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const stop = () => reject(cancelled(signal));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      await Promise.race([this.#reconnecting, stopped]);
      if (this.peer.fingerprint !== old.peer.fingerprint) options.onElsewhere?.(this.peer);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #reopen(
    broken: LocalstreamError,
    forMilliseconds: number,
    notice: (next: RetryNotice) => void,
  ): Promise<void> {
    const { signal } = this.#end;
    try {
      await retry(() => this.#link.reopen(signal), broken, forMilliseconds, notice, signal);
      this.#lost = undefined;
      this.#watch();
    } catch (error) {
      this.#over.resolve(typed(error));
      throw error;
    }
  }

  #takeOffer(incoming: IncomingOffer): void {
    const broken = incoming.continues === undefined ? undefined : this.#broken.get(incoming.continues);
    if (broken && isSameOffer(broken.roots, incoming.roots)) {
      broken.goOn(incoming);
      return;
    }
    const { id, roots, total, signal } = incoming;
    const offer: Offer = {
      id,
      from: this.peer,
      roots,
      total,
      folder: this.#inbox,
      signal,
      accept: async (target, options = {}) => {
        const into = target ?? insideOf(this.#inbox);
        const how: ReceiveOptions = target === undefined ? { existing: 'rename', ...options } : options;
        // What is wrong with the target shows while the offer still stands.
        this.#place(into, roots, how, {});
        this.#offers.delete(id);
        return await this.#acceptLasting(incoming, into, how);
      },
      reject: async () => {
        this.#offers.delete(id);
        incoming.refuse('REJECTED');
      },
      text: isText(incoming),
      read: async (options = {}) => {
        if (!isText(incoming)) throw errorOf('NOT_SUPPORTED', 'that is no text');
        this.#offers.delete(id);
        return receivedText(await this.#acceptLasting(incoming, IN_MEMORY, options));
      },
    };
    this.#offers.set(id, offer);
    signal.addEventListener('abort', () => this.#offers.delete(id), { once: true });
    this.emit('offer', offer);
  }

  async #acceptLasting(first: IncomingOffer, target: Target, options: ReceiveOptions): Promise<Receipt> {
    let current = first;
    let next = this.#expectAgain(current);
    const { onTransfer, ...rest } = options;
    try {
      return await this.#lasting(rest, async (_connection, request) => {
        if (request.continues !== undefined) {
          current = await this.#offeredAgain(next.offer, options);
          next[Symbol.dispose]();
          next = this.#expectAgain(current);
        }
        onTransfer?.(current.id);
        const place = this.#place(target, current.roots, options, {
          id: current.id,
          continues: current.continues,
        });
        return await current.accept(place, this.#existing(options), request);
      });
    } finally {
      next[Symbol.dispose]();
    }
  }

  /** From the start: once the connection is back, the server may offer again before anybody here has noticed. */
  #expectAgain({ id, roots }: IncomingOffer): Disposable & { readonly offer: Promise<IncomingOffer> } {
    const { promise, resolve } = Promise.withResolvers<IncomingOffer>();
    this.#broken.set(id, { roots, goOn: resolve });
    return { offer: promise, [Symbol.dispose]: () => void this.#broken.delete(id) };
  }

  /** Waits until the server offers again what broke off. */
  async #offeredAgain(next: Promise<IncomingOffer>, options: ReceiveOptions): Promise<IncomingOffer> {
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const patience = options.retryFor ?? this.#settings.retryFor;
    const late = setTimeout(
      () => reject(errorOf('TIMEOUT', 'the server does not go on with its offer')),
      patience,
    );
    try {
      return await Promise.race([next, tooLate]);
    } finally {
      clearTimeout(late);
    }
  }

  #place(
    target: Target,
    roots: readonly OfferedRoot[],
    options: ReceiveOptions,
    request: Pick<TransferRequest, 'id' | 'continues'>,
  ): TargetPlace {
    const { id, continues } = request;
    const renamed = id === undefined ? [] : this.#continuations.take(continues, id, this.#origin);
    return receivedPlace(target, roots, options, renamed, this.#settings);
  }

  #existing(options: TransferOptions): ExistingPolicy {
    return options.existing ?? this.#settings.existing;
  }

  #request(options: TransferOptions, shownId: string): TransferRequest {
    const { chunk = this.#settings.chunk, limit, signal, discard, onProgress } = options;
    const distant = this.#link.roundTrip > LONG_ROUND_TRIP;
    const lanes = options.lanes ?? this.#settings.lanes ?? (distant ? LANES_FOR_DISTANCE : 1);
    // For whoever looks on it is one transfer, however often its connection broke.
    const progress = onProgress && ((now: Progress) => onProgress({ ...now, transferId: shownId }));
    return { chunk, lanes, limit, signal, discard, onProgress: progress };
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
