/**
 * A session that is open: the control channel after both sides let each other in, and the transfers that it steers.
 * Server and client share it; what a side offers to the other (listing, shares, offers) is handed in.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { Role, SessionKeys } from '../crypto/exchange.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, type FlagName, LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import {
  checkSessionMessage,
  type ExistingPolicy,
  type ListedEntry,
  MAX_LANES,
  type MessageOf,
  type OfferedRoot,
  type Outgoing,
  type SessionMessage,
} from '../protocol/messages.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import type { SourceSpec } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { LaneGrants } from './lane-grants.ts';
import { Listings } from './listings.ts';
import type { FileOutcome, PeerInfo, Progress, Receipt } from './report.ts';
import { TransferEnd } from './transfer.ts';

/** Transfers that one session may have under way. */
const MAX_TRANSFERS = 32;
/** How often a caller hears of progress, in milliseconds. */
const PROGRESS_EVERY = 100;

/** What is asked of whoever owns the session. All may throw typed errors, which the peer is told by their code. */
export interface ConnectionHandlers {
  /** Lists a folder for the peer. */
  list?(path: string): Iterable<ListedEntry>;
  /** The peer wants these paths. */
  get?(message: MessageOf<'get'>): { readonly roots: OfferedRoot[]; readonly specs: SourceSpec[] };
  /** The peer wants to write. */
  put?(message: MessageOf<'put'>): TargetPlace;
  /** The peer offers something; the answer comes by {@link IncomingOffer}. */
  offer?(offer: IncomingOffer): void;
}

export interface ConnectionOptions {
  readonly role: Role;
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly identity: Identity;
  readonly peer: PeerInfo;
  readonly peerKey: KeyObject;
  readonly pool: WorkerPool;
  readonly maxRecords: number;
  readonly receiptFiles: number;
  readonly keepAlive: { readonly interval: number; readonly silence: number };
  readonly handlers: ConnectionHandlers;
  /** The dialler's way to open a lane; absent at the listener. */
  readonly openLane?: (number: number) => Promise<TLSSocket>;
}

export interface TransferRequest {
  readonly chunk: number;
  readonly lanes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

interface ConnectionEvents {
  /** A transfer that the peer asked for, or that we did, has begun. */
  transfer: [TransferEnd];
  settled: [TransferEnd, FileOutcome[]];
  /** A request of the peer was answered with an error. */
  refused: [LocalstreamError];
  /** Its end: a receipt or an error. */
  over: [TransferEnd, Receipt | LocalstreamError];
}

/** Something that the peer wants to send. */
export interface IncomingOffer {
  readonly id: string;
  readonly roots: readonly OfferedRoot[];
  /** Aborted when the peer withdraws it or the session ends. */
  readonly signal: AbortSignal;
  accept(
    place: TargetPlace,
    existing: ExistingPolicy,
    request: Omit<TransferRequest, 'chunk'>,
  ): Promise<Receipt>;
  refuse(flag: FlagName): void;
}

interface Pending {
  readonly resolve: (message: SessionMessage) => void;
  readonly reject: (error: LocalstreamError) => void;
}

export class Connection extends EventEmitter<ConnectionEvents> {
  readonly peer: PeerInfo;
  /** The reason, once the session is over. */
  readonly ended: Promise<LocalstreamError>;
  readonly #options: ConnectionOptions;
  readonly #transfers = new Map<string, TransferEnd>();
  /** Transfers that we asked for and that are not answered. */
  readonly #asked = new Map<string, Pending>();
  /** Offers of the peer that are not answered. */
  readonly #offered = new Map<string, AbortController>();
  readonly #grants = new LaneGrants();
  readonly #listings: Listings;
  #ping: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
    this.peer = options.peer;
    this.ended = options.channel.ended;
    const list = options.handlers.list;
    this.#listings = new Listings((message) => this.#send(message), list);
    options.channel.admit();
    void this.ended.then((reason) => this.#end(reason));
    void this.#run();
    this.#keepAlive();
  }

  /** The session's id, hex. */
  get id(): string {
    return this.peer.id;
  }

  get keys(): SessionKeys {
    return this.#options.keys;
  }

  get transfers(): readonly TransferEnd[] {
    return [...this.#transfers.values()];
  }

  /** Lists a folder of the peer, page by page. Throws what the peer answers: NOT_FOUND, NOT_ALLOWED, … */
  list(path: string, signal?: AbortSignal): AsyncGenerator<ListedEntry> {
    return this.#listings.ask(path, signal);
  }

  /** Fetches paths of the peer. `place` says where the roots that it offers go. */
  async get(
    paths: readonly string[],
    existing: ExistingPolicy,
    place: (roots: readonly OfferedRoot[]) => TargetPlace,
    request: TransferRequest,
  ): Promise<Receipt> {
    const id = newTransferId();
    const { chunk, lanes } = request;
    const ask: Outgoing = { type: 'get', transfer: id, paths: [...paths], lanes, chunk };
    const answer = await this.#ask(ask, id, request.signal);
    if (answer.type !== 'offer') throw errorOf('BAD_MESSAGE', 'the server answered something else');
    const transfer = this.#begin(
      id,
      'receive',
      Math.min(chunk, answer.chunk),
      Math.max(1, answer.lanes.length),
    );
    try {
      transfer.startTarget(place(answer.roots), existing);
      this.#send({ type: 'accept', transfer: id });
      await this.#openLanes(transfer, answer.lanes);
    } catch (error) {
      await transfer.cancel(typed(error));
      throw error;
    }
    return await this.#follow(transfer, request);
  }

  /** Writes to a path of the peer. */
  async put(
    specs: readonly SourceSpec[],
    roots: readonly OfferedRoot[],
    target: string,
    options: { readonly existing: ExistingPolicy; readonly durable: boolean },
    request: TransferRequest,
  ): Promise<Receipt> {
    const id = newTransferId();
    const { chunk, lanes } = request;
    const ask: Outgoing = { type: 'put', transfer: id, target, roots: [...roots], lanes, chunk, ...options };
    const answer = await this.#ask(ask, id, request.signal);
    if (answer.type !== 'accept') throw errorOf('BAD_MESSAGE', 'the server answered something else');
    const transfer = this.#begin(id, 'send', chunk, lanes);
    transfer.startSource(specs);
    try {
      await this.#openLanes(transfer, answer.lanes ?? []);
    } catch (error) {
      await transfer.cancel(typed(error));
      throw error;
    }
    return await this.#follow(transfer, request);
  }

  /** Offers something to the peer and sends it once it is accepted. The listener's side. */
  async offer(
    specs: readonly SourceSpec[],
    roots: readonly OfferedRoot[],
    request: TransferRequest,
  ): Promise<Receipt> {
    const id = newTransferId();
    const { chunk, lanes } = request;
    const transfer = this.#begin(id, 'send', chunk, lanes);
    const granted = this.#grants.grant(id, lanes);
    const followed = this.#follow(transfer, request);
    followed.catch(() => {});
    try {
      const answer = await this.#ask(
        { type: 'offer', transfer: id, roots: [...roots], lanes: granted, chunk },
        id,
        request.signal,
      );
      if (answer.type !== 'accept') throw errorOf('BAD_MESSAGE', 'the peer answered something else');
      transfer.startSource(specs);
    } catch (error) {
      await transfer.cancel(typed(error));
    }
    return await followed;
  }

  /** Which transfer a lane number was granted for; each number is good once. */
  claimLane(number: number): TransferEnd | undefined {
    const id = this.#grants.claim(number);
    return id === undefined ? undefined : this.#transfers.get(id);
  }

  /** A lane that the dialler opened has been proven. */
  laneOpened(transfer: TransferEnd, socket: TLSSocket, number: number): void {
    transfer.addLane(socket, number);
  }

  /** Ends the session. Transfers end with it; the peer is told why. */
  async close(reason: LocalstreamError = errorOf('CLOSED')): Promise<void> {
    const transfers = this.transfers;
    if (!this.#over) {
      try {
        this.#send({ type: 'bye', flag: flagNumber(flagOfError(reason)) });
      } catch {
        // It is gone already.
      }
      this.#options.channel.fail(reason);
    }
    await Promise.allSettled(transfers.map((transfer) => transfer.receipt));
  }

  #send(message: Outgoing): void {
    this.#options.channel.send(message);
  }

  #begin(id: string, direction: 'send' | 'receive', chunk: number, lanes: number): TransferEnd {
    if (this.#over) throw errorOf('CLOSED');
    if (this.#transfers.size >= MAX_TRANSFERS)
      throw errorOf('BUSY', 'too many transfers run in this session');
    if (this.#transfers.has(id)) throw errorOf('BAD_MESSAGE', 'a transfer of that number runs');
    const { identity, peer, peerKey, pool, maxRecords, receiptFiles } = this.#options;
    const transfer = new TransferEnd(
      {
        identity,
        peer,
        peerKey,
        pool,
        maxRecords,
        receiptFiles,
        send: (message) => this.#send(message),
        moreLanes: (worn) => this.#replaceLane(worn),
        settled: (of, outcomes) => this.emit('settled', of, outcomes),
      },
      { id, direction, chunk, lanes },
    );
    this.#transfers.set(id, transfer);
    this.emit('transfer', transfer);
    const over = (result: Receipt | LocalstreamError) => {
      this.#transfers.delete(id);
      this.#grants.forget(id);
      this.emit('over', transfer, result);
    };
    transfer.receipt.then(over, (error: unknown) => over(typed(error)));
    return transfer;
  }

  /** Waits for the end, tells of progress on the way, cancels on demand. */
  async #follow(transfer: TransferEnd, request: Omit<TransferRequest, 'chunk' | 'lanes'>): Promise<Receipt> {
    const { signal, onProgress } = request;
    const cancel = () => void transfer.cancel(cancelled(signal));
    const timer = onProgress && setInterval(() => onProgress(transfer.progress()), PROGRESS_EVERY);
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    try {
      const receipt = await transfer.receipt;
      onProgress?.(transfer.progress());
      return receipt;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Asks the peer for a transfer and waits for its word. */
  async #ask(message: Outgoing, id: string, signal?: AbortSignal): Promise<SessionMessage> {
    if (signal?.aborted) throw cancelled(signal);
    const { promise, resolve, reject } = Promise.withResolvers<SessionMessage>();
    if (this.#over) throw errorOf('CLOSED');
    this.#asked.set(id, { resolve, reject });
    const abort = () => {
      this.#sendQuietly({ type: 'cancel', transfer: id, flag: flagNumber('CANCELLED') });
      reject(cancelled(signal));
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      this.#send(message);
      return await promise;
    } finally {
      this.#asked.delete(id);
      signal?.removeEventListener('abort', abort);
    }
  }

  async #openLanes(transfer: TransferEnd, numbers: readonly number[]): Promise<void> {
    const { openLane } = this.#options;
    if (!openLane) throw errorOf('BAD_MESSAGE', 'only the dialler opens lanes');
    if (numbers.length === 0) throw errorOf('BAD_MESSAGE', 'no lane was granted');
    await Promise.all(numbers.map(async (number) => transfer.addLane(await openLane(number), number)));
  }

  /** A lane has carried its share: the dialler asks for another one, the old one ends when that stands. */
  #replaceLane(transfer: TransferEnd): void {
    if (!this.#options.openLane) return;
    this.#sendQuietly({ type: 'lanes', transfer: transfer.id, lanes: 1 });
  }

  #sendQuietly(message: Outgoing): void {
    try {
      this.#send(message);
    } catch {
      // The session is over: whoever waits for the answer is told so.
    }
  }

  #keepAlive(): void {
    const { interval, silence } = this.#options.keepAlive;
    let count = 0;
    this.#ping = setInterval(() => {
      const quiet = performance.now() - this.#options.channel.lastHeard;
      if (quiet > silence) {
        this.#options.channel.fail(errorOf('LOST', `nothing was heard for ${Math.round(quiet / 1000)} s`));
        return;
      }
      this.#sendQuietly({ type: 'ping', request: count });
      count = (count + 1) % 2 ** 31;
    }, interval).unref();
  }

  async #run(): Promise<void> {
    const { channel } = this.#options;
    try {
      while (!this.#over) this.#take(checkSessionMessage((await channel.receive()).value));
    } catch (error) {
      const reason = typed(error);
      if (!this.#over) this.#sendQuietly({ type: 'bye', flag: flagNumber(flagOfError(reason)) });
      channel.fail(reason);
    }
  }

  #take(message: SessionMessage): void {
    switch (message.type) {
      case 'ping':
        this.#send({ type: 'pong', request: message.request });
        return;
      case 'pong':
        return;
      case 'list':
      case 'listing':
      case 'more':
      case 'failed':
        this.#listings.take(message);
        return;
      case 'get':
        this.#serve(message.transfer, () => this.#serveGet(message));
        return;
      case 'put':
        this.#serve(message.transfer, () => this.#servePut(message));
        return;
      case 'offer':
        this.#takeOffer(message);
        return;
      case 'accept':
        this.#takeAccept(message);
        return;
      case 'refuse':
        this.#asked.get(message.transfer)?.reject(errorFromPeer(message.flag, message.detail));
        return;
      case 'lanes':
        this.#grantLanes(message);
        return;
      case 'granted':
        void this.#takeGrants(message);
        return;
      case 'cancel':
        this.#takeCancel(message);
        return;
      case 'receipt':
        this.#transfers.get(message.transfer)?.takeReceipt(message);
        return;
      case 'received':
        this.#transfers.get(message.transfer)?.takeReceived();
        return;
      case 'bye':
        throw errorFromPeer(message.flag, message.detail);
    }
  }

  /** Answers a request; what it fails with is told to the peer and ends nothing else. */
  #serve(transfer: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      const reason = typed(error);
      if (reason.code === 'BAD_MESSAGE') throw reason;
      const detail = reason.code === 'INTERNAL' ? undefined : reason.message.slice(0, 500);
      this.#send({ type: 'refuse', transfer, flag: flagNumber(flagOfError(reason)), detail });
      this.emit('refused', reason);
    }
  }

  #serveGet(message: MessageOf<'get'>): void {
    const { get } = this.#options.handlers;
    if (!get) throw errorOf('NOT_SUPPORTED');
    const { roots, specs } = get(message);
    const transfer = this.#begin(message.transfer, 'send', message.chunk, message.lanes);
    const lanes = this.#grants.grant(message.transfer, message.lanes);
    this.#asked.set(message.transfer, {
      resolve: () => {
        this.#asked.delete(message.transfer);
        transfer.startSource(specs);
      },
      reject: (error) => void transfer.cancel(error),
    });
    this.#send({ type: 'offer', transfer: message.transfer, roots, lanes, chunk: message.chunk });
  }

  #servePut(message: MessageOf<'put'>): void {
    const { put } = this.#options.handlers;
    if (!put) throw errorOf('NOT_SUPPORTED');
    const place = put(message);
    const transfer = this.#begin(message.transfer, 'receive', message.chunk, message.lanes);
    const lanes = this.#grants.grant(message.transfer, message.lanes);
    transfer.startTarget(place, message.existing);
    this.#send({ type: 'accept', transfer: message.transfer, lanes });
  }

  #takeOffer(message: MessageOf<'offer'>): void {
    const asked = this.#asked.get(message.transfer);
    if (asked) {
      asked.resolve(message);
      return;
    }
    const { offer } = this.#options.handlers;
    if (!offer || !this.#options.openLane || this.#offered.size >= MAX_TRANSFERS) {
      this.#send({ type: 'refuse', transfer: message.transfer, flag: flagNumber('NOT_SUPPORTED') });
      return;
    }
    if (this.#offered.has(message.transfer)) throw errorOf('BAD_MESSAGE', 'an offer came twice');
    const withdrawn = new AbortController();
    this.#offered.set(message.transfer, withdrawn);
    offer({
      id: message.transfer,
      roots: message.roots,
      signal: withdrawn.signal,
      accept: (place, existing, request) => this.#acceptOffer(message, place, existing, request),
      refuse: (flag) => {
        if (!this.#offered.delete(message.transfer)) return;
        this.#sendQuietly({ type: 'refuse', transfer: message.transfer, flag: flagNumber(flag) });
      },
    });
  }

  async #acceptOffer(
    message: MessageOf<'offer'>,
    place: TargetPlace,
    existing: ExistingPolicy,
    request: Omit<TransferRequest, 'chunk'>,
  ): Promise<Receipt> {
    if (!this.#offered.delete(message.transfer)) throw errorOf('CLOSED', 'the offer was withdrawn');
    const transfer = this.#begin(
      message.transfer,
      'receive',
      message.chunk,
      Math.max(1, message.lanes.length),
    );
    try {
      transfer.startTarget(place, existing);
      this.#send({ type: 'accept', transfer: message.transfer });
      await this.#openLanes(transfer, message.lanes);
    } catch (error) {
      await transfer.cancel(typed(error));
      throw error;
    }
    return await this.#follow(transfer, request);
  }

  #takeAccept(message: MessageOf<'accept'>): void {
    const asked = this.#asked.get(message.transfer);
    if (asked) asked.resolve(message);
    // Otherwise it was cancelled here while the answer was on its way.
  }

  #grantLanes(message: MessageOf<'lanes'>): void {
    if (this.#options.openLane) throw errorOf('BAD_MESSAGE', 'the listener asked for lanes');
    const transfer = this.#transfers.get(message.transfer);
    // It ended while the question was on its way.
    if (!transfer) return;
    const lanes = this.#grants.grant(message.transfer, Math.min(message.lanes, MAX_LANES));
    this.#send({ type: 'granted', transfer: message.transfer, lanes });
  }

  async #takeGrants(message: MessageOf<'granted'>): Promise<void> {
    const transfer = this.#transfers.get(message.transfer);
    if (!transfer) return;
    try {
      await this.#openLanes(transfer, message.lanes);
    } catch (error) {
      await transfer.cancel(typed(error));
    }
  }

  #takeCancel(message: MessageOf<'cancel'>): void {
    const offer = this.#offered.get(message.transfer);
    this.#offered.delete(message.transfer);
    offer?.abort(errorOf('CLOSED', 'the offer was withdrawn'));
    this.#asked.get(message.transfer)?.reject(errorFromPeer(message.flag, message.detail));
    this.#transfers.get(message.transfer)?.takeCancel(message);
  }

  #end(reason: LocalstreamError): void {
    this.#over = true;
    clearInterval(this.#ping);
    for (const asked of this.#asked.values()) asked.reject(reason);
    for (const offer of this.#offered.values()) offer.abort(reason);
    this.#offered.clear();
    this.#listings.end(reason);
    for (const transfer of this.transfers) transfer.lost(reason);
  }
}

function newTransferId(): string {
  return randomBytes(16).toString('hex');
}

function typed(error: unknown): LocalstreamError {
  return error instanceof LocalstreamError
    ? error
    : errorOf('INTERNAL', 'something failed', { cause: error });
}

function cancelled(signal: AbortSignal | undefined): LocalstreamError {
  const reason: unknown = signal?.reason;
  return reason instanceof LocalstreamError ? reason : errorOf('CANCELLED', 'cancelled', { cause: reason });
}
