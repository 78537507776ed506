/**
 * A session that is open: the control channel after both sides let each other in, and the transfers that it steers.
 * Server and client share it; what a side offers to the other (listing, shares, offers) is handed in.
 */
import type { KeyObject } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { SessionKeys } from '../crypto/exchange.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import type { Limiter } from '../net/limiter.ts';
import type { Measured, SpeedBounds } from '../net/pour.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import {
  checkSessionMessage,
  type ExistingPolicy,
  type ListedEntry,
  type MessageOf,
  type OfferedRoot,
  type Outgoing,
  type SessionMessage,
} from '../protocol/messages.ts';
import type { Offered } from '../transfer/offered.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import type { SourceSpec } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { type Change, type Changed, type ChangeHandler, Changes } from './changes.ts';
import type { SavedNames } from './continuations.ts';
import { type IncomingOffer, IncomingOffers } from './incoming-offers.ts';
import { LaneGrants } from './lane-grants.ts';
import { Listings } from './listings.ts';
import { type LoginAnswer, LoginExchange, type LoginHandler } from './logins.ts';
import type { FileOutcome, PeerInfo, Receipt } from './report.ts';
import { type SpeedDirection, type SpeedHandler, SpeedTests } from './speed-tests.ts';
import type { TransferEnd, TransferOptions } from './transfer.ts';
import { type Answer, newTransferId, type TransferRequest, Transfers, typed } from './transfers.ts';

/** How long the peer may take to accept what it has asked for itself, in milliseconds. */
const ACCEPT_PATIENCE = 30_000;

/** What is asked of whoever owns the session. All may throw typed errors, which the peer is told by their code. */
export interface ConnectionHandlers {
  /** Lists a folder for the peer. */
  list?(path: string): Iterable<ListedEntry>;
  /** Carries out a change in a share for the peer. */
  change?: ChangeHandler;
  /** Allows the peer to test the speed. */
  speed?: SpeedHandler;
  /** The peer wants these paths. */
  get?(message: MessageOf<'get'>): { readonly roots: OfferedRoot[]; readonly specs: SourceSpec[] };
  /** The peer wants to write. */
  put?(message: MessageOf<'put'>): TargetPlace;
  /** The peer offers something; the answer comes by {@link IncomingOffer}. */
  offer?(offer: IncomingOffer): void;
  /** The peer wants to log in. */
  login?: LoginHandler;
  /** A transfer that broke off is to go on: what is left of it must have ended first. */
  supersede?(transfer: string): Promise<void>;
}

export interface ConnectionOptions {
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly identity: Identity;
  readonly peer: PeerInfo;
  readonly peerKey: KeyObject;
  readonly pool: WorkerPool;
  /** The bound of the whole process. */
  readonly limiter: Limiter | undefined;
  readonly maxRecords: number;
  readonly receiptFiles: number;
  readonly keepAlive: { readonly interval: number; readonly silence: number };
  readonly handlers: ConnectionHandlers;
  /** Whether the peer carries out changes. */
  readonly canChange?: boolean;
  /** Whether the peer answers tests of the speed. */
  readonly canMeasure?: boolean;
  /** The dialler's way to open a lane; absent at the listener. */
  readonly openLane?: (number: number) => Promise<TLSSocket>;
}

interface ConnectionEvents {
  /** A transfer that the peer asked for, or that we did, has begun. */
  transfer: [TransferEnd];
  settled: [TransferEnd, FileOutcome[], SavedNames];
  /** This side has logged in there, as the user of that name. */
  login: [string];
  /** A request of the peer was answered with an error. */
  refused: [LocalstreamError];
  /** Its end: a receipt or an error. */
  over: [TransferEnd, Receipt | LocalstreamError];
}

/** How the peer is to write what it is sent. */
export type PutHow = Pick<MessageOf<'put'>, 'existing' | 'durable' | 'dryRun' | 'trustMtime' | 'verify'>;

export class Connection extends EventEmitter<ConnectionEvents> {
  /** The other end; its user once somebody has logged in. */
  peer: PeerInfo;
  /** The reason, once the session is over. */
  readonly ended: Promise<LocalstreamError>;
  /** The last measured round trip, in milliseconds; undefined until the first answer. */
  roundTrip: number | undefined;
  readonly #options: ConnectionOptions;
  readonly #transfers: Transfers;
  readonly #offers: IncomingOffers;
  readonly #listings: Listings;
  readonly #changes: Changes;
  readonly #logins: LoginExchange;
  readonly #grants = new LaneGrants();
  readonly #speedTests: SpeedTests;
  #ping: { readonly timer: NodeJS.Timeout; number: number; sentAt: number } | undefined;
  #over = false;

  constructor(options: ConnectionOptions) {
    super();
    const { channel, handlers, identity, peer, peerKey, pool, limiter, maxRecords, receiptFiles } = options;
    this.#options = options;
    this.peer = peer;
    this.ended = channel.ended;
    this.#transfers = new Transfers({
      host: { identity, peerKey, pool, limiter, maxRecords, receiptFiles },
      peer: () => this.peer,
      openLane: options.openLane,
      grants: this.#grants,
      send: (message) => this.#send(message),
      begun: (transfer) => this.emit('transfer', transfer),
      settled: (transfer, outcomes, names) => this.emit('settled', transfer, outcomes, names),
      over: (transfer, result) => this.emit('over', transfer, result),
    });
    this.#offers = new IncomingOffers({
      transfers: this.#transfers,
      isDialler: options.openLane !== undefined,
      send: (message) => this.#send(message),
      take: handlers.offer && ((offer) => this.#handOver(offer)),
    });
    let requests = 0;
    const number = () => requests++;
    const send = (message: Outgoing) => this.#send(message);
    this.#listings = new Listings(send, number, handlers.list);
    this.#changes = new Changes({
      send,
      number,
      handler: handlers.change,
      isUnderstood: options.canChange ?? false,
    });
    this.#speedTests = new SpeedTests({
      send,
      number,
      grants: this.#grants,
      limiter,
      handler: handlers.speed,
      openLane: options.openLane,
      isUnderstood: options.canMeasure ?? false,
    });
    this.#logins = new LoginExchange((message) => this.#send(message), handlers.login);
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
    return this.#transfers.list;
  }

  /** Logs in at the peer. Throws LOGIN_FAILED, LOGIN_LATER, NOT_SUPPORTED, or why the session ended. */
  async login(name: string, password: string): Promise<LoginAnswer> {
    const answer = await this.#logins.ask(name, password);
    this.peer = { ...this.peer, user: answer.name };
    this.emit('login', answer.name);
    return answer;
  }

  /** Lists a folder of the peer, page by page. Throws what the peer answers: NOT_FOUND, NOT_ALLOWED, … */
  list(path: string, signal?: AbortSignal): AsyncGenerator<ListedEntry> {
    return this.#listings.ask(path, signal);
  }

  /**
   * Makes a folder, moves or removes something in a share of the peer: see {@link Changes.ask}. Of a folder with more in
   * it than one request removes, the same change goes on with the rest.
   */
  async change(change: Change, signal?: AbortSignal): Promise<Changed> {
    return await this.#changes.ask(change, signal);
  }

  /** Tests the speed in one direction: see {@link SpeedTests.ask}. */
  async measure(direction: SpeedDirection, bounds: SpeedBounds, signal?: AbortSignal): Promise<Measured> {
    return await this.#speedTests.ask(direction, bounds, signal);
  }

  /** Fetches paths of the peer. `place` says where the roots that it offers go. */
  async get(
    paths: readonly string[],
    existing: ExistingPolicy,
    place: (roots: readonly OfferedRoot[]) => TargetPlace,
    request: TransferRequest,
  ): Promise<Receipt> {
    const { id = newTransferId(), lanes, continues, signal } = request;
    const chunk = this.#transfers.pacedChunk(request);
    const ask: Outgoing = { type: 'get', transfer: id, paths: [...paths], lanes, chunk, continues };
    const offer = await this.#transfers.ask(id, ask, offerOf, signal);
    const { roots } = offer;
    const agreed = { id, direction: 'receive' as const, roots, chunk: Math.min(chunk, offer.chunk) };
    const transfer = this.#beginAnswered({
      ...agreed,
      lanes: Math.max(1, offer.lanes.length),
      limit: request.limit,
      onSettled: request.onSettled,
    });
    await this.#receive(transfer, () => place(roots), existing, offer.lanes);
    return await this.#transfers.follow(transfer, request);
  }

  /** Writes to a path of the peer. */
  async put(
    specs: readonly SourceSpec[],
    roots: readonly OfferedRoot[],
    target: string,
    options: PutHow,
    request: TransferRequest,
  ): Promise<Receipt> {
    const { id = newTransferId(), lanes, continues } = request;
    const chunk = this.#transfers.pacedChunk(request);
    const names = [...roots];
    const ask: Outgoing = {
      type: 'put',
      transfer: id,
      target,
      roots: names,
      lanes,
      chunk,
      continues,
      ...options,
    };
    const { dryRun } = options;
    const agreed = { id, direction: 'send' as const, roots, chunk, lanes, limit: request.limit, dryRun };
    return await this.#sendOnceAccepted(ask, agreed, specs, request);
  }

  /** Offers something to the peer and sends it once it is accepted. */
  async offer(
    specs: readonly SourceSpec[],
    { roots, total, text }: Omit<Offered, 'specs'>,
    request: TransferRequest,
  ): Promise<Receipt> {
    const { id = newTransferId(), lanes, continues, signal } = request;
    const chunk = this.#transfers.pacedChunk(request);
    const ask = {
      type: 'offer' as const,
      transfer: id,
      roots: [...roots],
      chunk,
      total,
      ...(text && { text }),
      continues,
    };
    const agreed = { id, direction: 'send' as const, roots, chunk, lanes, limit: request.limit };
    if (this.#options.openLane) {
      const wanted: Outgoing = { ...ask, lanes: [], wanted: lanes };
      return await this.#sendOnceAccepted(wanted, agreed, specs, request);
    }
    const transfer = this.#transfers.begin(agreed);
    const granted = this.#transfers.grant(id, lanes);
    const followed = this.#transfers.follow(transfer, request);
    // It is looked at below, whatever happens in between.
    followed.catch(() => {});
    try {
      const offered: Outgoing = { ...ask, lanes: granted };
      const start = (answer: Answer) => transfer.startSource(acceptOf(answer), specs, request);
      await this.#transfers.ask(id, offered, start, signal);
    } catch (error) {
      await transfer.cancel(typed(error));
    }
    return await followed;
  }

  /** What a lane number was granted for; each number is good once. */
  claimLane(number: number): { addLane(socket: TLSSocket, number: number): void } | undefined {
    const purpose = this.#grants.claim(number);
    if (purpose === undefined) return undefined;
    return this.#transfers.get(purpose) ?? this.#speedTests.get(purpose);
  }

  /** Ends the session. Transfers end with it; the peer is told why. */
  async close(reason: LocalstreamError = errorOf('CLOSED')): Promise<void> {
    const { transfers } = this;
    if (!this.#over) {
      this.#sendQuietly({ type: 'bye', flag: flagNumber(flagOfError(reason)) });
      this.#options.channel.fail(reason);
    }
    await Promise.allSettled(transfers.map((transfer) => transfer.receipt));
  }

  /** Begins what the peer has agreed to, and would wait for: where there is no room for it here the peer is told. */
  #beginAnswered(options: TransferOptions): TransferEnd {
    try {
      return this.#transfers.begin(options);
    } catch (error) {
      const flag = flagNumber(flagOfError(error));
      this.#sendQuietly({ type: 'cancel', transfer: options.id, flag });
      throw error;
    }
  }

  /** The dialler's way to send. */
  async #sendOnceAccepted(
    ask: Outgoing,
    options: TransferOptions,
    specs: readonly SourceSpec[],
    request: TransferRequest,
  ): Promise<Receipt> {
    // At once: the first credit may come right behind.
    const start = (answer: Answer) => {
      const accept = acceptOf(answer);
      const transfer = this.#beginAnswered(options);
      transfer.startSource(accept, specs, request);
      return { transfer, lanes: accept.lanes ?? [] };
    };
    const { transfer, lanes } = await this.#transfers.ask(options.id, ask, start, request.signal);
    await this.#transfers.openLanes(transfer, lanes);
    return await this.#transfers.follow(transfer, request);
  }

  #send(message: Outgoing): void {
    this.#options.channel.send(message);
  }

  #sendQuietly(message: Outgoing): void {
    try {
      this.#send(message);
    } catch {
      // The session is over: whoever waits for the answer is told so.
    }
  }

  async #receive(
    transfer: TransferEnd,
    place: () => TargetPlace,
    existing: ExistingPolicy,
    lanes: readonly number[],
  ): Promise<void> {
    try {
      transfer.startTarget(place(), existing);
    } catch (error) {
      await transfer.cancel(typed(error));
      throw error;
    }
    await this.#transfers.openLanes(transfer, lanes);
  }

  /** Says now and then that it is there, measures the round trip, and notices when the other side is gone. */
  #keepAlive(): void {
    const { keepAlive, channel } = this.#options;
    const ping = { timer: setInterval(() => beat(), keepAlive.interval).unref(), number: 0, sentAt: 0 };
    this.#ping = ping;
    const beat = () => {
      const quiet = performance.now() - channel.lastHeard;
      if (quiet > keepAlive.silence) {
        channel.fail(errorOf('LOST', `nothing was heard for ${Math.round(quiet / 1000)} s`));
        return;
      }
      ping.number = (ping.number + 1) % 2 ** 31;
      ping.sentAt = performance.now();
      this.#sendQuietly({ type: 'ping', request: ping.number });
    };
    beat();
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
        if (message.request === this.#ping?.number) this.roundTrip = performance.now() - this.#ping.sentAt;
        return;
      case 'list':
      case 'listing':
      case 'more':
        this.#listings.take(message);
        return;
      case 'mkdir':
      case 'move':
      case 'remove':
      case 'changed':
        this.#changes.take(message);
        return;
      case 'failed':
        this.#listings.take(message);
        this.#changes.take(message);
        this.#speedTests.take(message);
        return;
      case 'speed':
      case 'speed-lane':
      case 'speed-result':
        this.#speedTests.take(message);
        return;
      case 'get':
        this.#serve(message, () => this.#serveGet(message));
        return;
      case 'put':
        this.#serve(message, () => this.#servePut(message));
        return;
      case 'offer':
        if (!this.#transfers.answer(message)) this.#offers.take(message);
        return;
      case 'accept':
        // Nobody waits for it when it was cancelled here while it was on its way.
        this.#transfers.answer(message);
        return;
      case 'refuse':
        this.#transfers.refused(message);
        return;
      case 'lanes':
        this.#transfers.grantMore(message);
        return;
      case 'granted':
        this.#transfers.granted(message);
        return;
      case 'cancel':
        this.#offers.withdraw(message.transfer);
        this.#transfers.cancelled(message);
        return;
      case 'credit':
        this.#transfers.get(message.transfer)?.takeCredit(message);
        return;
      case 'receipt':
        this.#transfers.get(message.transfer)?.takeReceipt(message);
        return;
      case 'received':
        this.#transfers.get(message.transfer)?.takeReceived();
        return;
      case 'login':
      case 'welcome':
      case 'denied':
        this.#logins.take(message);
        return;
      case 'bye':
        throw endedBy(message);
    }
  }

  /** Answers a request; what it fails with is told to the peer and ends nothing else. */
  #serve(message: MessageOf<'get'> | MessageOf<'put'>, run: () => void): void {
    const { supersede } = this.#options.handlers;
    const answer = () => {
      try {
        if (!this.#over) run();
      } catch (error) {
        this.#refuse(message.transfer, typed(error));
      }
    };
    if (message.continues === undefined || !supersede) answer();
    else void supersede(message.continues).then(answer);
  }

  #refuse(transfer: string, reason: LocalstreamError): void {
    const detail = reason.code === 'INTERNAL' ? undefined : reason.message.slice(0, 500);
    this.#sendQuietly({ type: 'refuse', transfer, flag: flagNumber(flagOfError(reason)), detail });
    this.emit('refused', reason);
  }

  #serveGet(message: MessageOf<'get'>): void {
    const { get } = this.#options.handlers;
    if (!get) throw errorOf('NOT_SUPPORTED');
    const { transfer: id, lanes } = message;
    const chunk = this.#transfers.pacedChunk(message);
    const { roots, specs } = get(message);
    const transfer = this.#transfers.begin({ id, direction: 'send', roots, chunk, lanes });
    this.#transfers.expect(
      id,
      ACCEPT_PATIENCE,
      (accept) => transfer.startSource(accept, specs),
      (error) => void transfer.cancel(error),
    );
    this.#send({ type: 'offer', transfer: id, roots, lanes: this.#transfers.grant(id, lanes), chunk });
  }

  #servePut(message: MessageOf<'put'>): void {
    const { put } = this.#options.handlers;
    if (!put) throw errorOf('NOT_SUPPORTED');
    const { transfer: id, roots, lanes, existing } = message;
    const chunk = this.#transfers.pacedChunk(message);
    const place = put(message);
    const transfer = this.#transfers.begin({ id, direction: 'receive', roots, chunk, lanes });
    transfer.startTarget(place, existing, this.#transfers.grant(id, lanes));
  }

  /** What an offer goes on with has to end first. */
  #handOver(offer: IncomingOffer): void {
    const { supersede, offer: take } = this.#options.handlers;
    if (offer.continues === undefined || !supersede) take?.(offer);
    else void supersede(offer.continues).then(() => take?.(offer));
  }

  #end(reason: LocalstreamError): void {
    this.#over = true;
    clearInterval(this.#ping?.timer);
    this.#offers.end(reason);
    this.#listings.end(reason);
    this.#changes.end(reason);
    this.#speedTests.end(reason);
    this.#logins.end(reason);
    this.#transfers.end(reason);
  }
}

/** Throws BAD_MESSAGE. */
function offerOf(answer: Answer): MessageOf<'offer'> {
  if (answer.type !== 'offer') throw errorOf('BAD_MESSAGE', 'the peer answered something else');
  return answer;
}

/** Throws BAD_MESSAGE. */
function acceptOf(answer: Answer): MessageOf<'accept'> {
  if (answer.type !== 'accept') throw errorOf('BAD_MESSAGE', 'the peer answered something else');
  return answer;
}

/** Why the other side ends the session. Whoever was let in is not refused: somebody there ends it. */
function endedBy({ flag, detail }: MessageOf<'bye'>): LocalstreamError {
  const error = errorFromPeer(flag, detail);
  return error.code === 'REJECTED' ? errorOf('REJECTED', 'somebody there has ended the session') : error;
}
