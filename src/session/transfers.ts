/** The transfers of one session: those that are asked for, those that run, and the lanes that belong to them. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { errorOf, LocalstreamError } from '../errors.ts';
import { pacedChunk } from '../net/limiter.ts';
import { errorFromPeer, flagNumber } from '../protocol/flags.ts';
import { MAX_LANES, MIN_CHUNK } from '../protocol/limits.ts';
import type { MessageOf, Outgoing } from '../protocol/messages.ts';
import type { SavedNames } from './continuations.ts';
import type { LaneGrants } from './lane-grants.ts';
import type { FileOutcome, PeerInfo, Progress, Receipt } from './report.ts';
import {
  cancelledBy,
  type SourceHow,
  TransferEnd,
  type TransferHost,
  type TransferOptions,
} from './transfer.ts';

/** Transfers that one session may have under way. */
export const MAX_TRANSFERS = 32;
/** How often a caller hears of progress, in milliseconds. */
const PROGRESS_EVERY = 100;
/** Milliseconds after which a channel still stands that does not break together with its lanes. */
const CHANNEL_GRACE = 500;

/** What a caller may say of a transfer. */
export interface TransferRequest extends SourceHow {
  readonly chunk: number;
  readonly lanes: number;
  /** Bytes a second. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Aborted too: what is there of unfinished files is removed, not kept for a resume. */
  readonly discard?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Told of what is received as it is settled. */
  readonly onSettled?: ((outcomes: readonly FileOutcome[]) => void) | undefined;
  /** Told, when it breaks off, how far it had come. */
  readonly onBroken?: ((progress: Progress) => void) | undefined;
  /** Its number; a new one by default. */
  readonly id?: string;
  /** The transfer that broke off and goes on by this one. */
  readonly continues?: string | undefined;
}

export interface TransfersOptions {
  readonly host: Omit<TransferHost, 'peer' | 'send' | 'moreLanes' | 'settled'>;
  /** The other end as it is known now: with its user, once that has logged in. */
  readonly peer: () => PeerInfo;
  readonly grants: LaneGrants;
  /** The dialler's way to open a lane; absent at the listener. */
  readonly openLane: ((number: number) => Promise<TLSSocket>) | undefined;
  send(message: Outgoing): void;
  begun(transfer: TransferEnd): void;
  settled(transfer: TransferEnd, outcomes: FileOutcome[], names: SavedNames): void;
  over(transfer: TransferEnd, result: Receipt | LocalstreamError): void;
}

/** What a transfer that was asked for may be answered with. */
export type Answer = MessageOf<'offer'> | MessageOf<'accept'>;

interface Asked {
  readonly resolve: (message: Answer) => void;
  readonly reject: (error: LocalstreamError) => void;
}

export class Transfers {
  readonly #options: TransfersOptions;
  readonly #running = new Map<string, TransferEnd>();
  readonly #asked = new Map<string, Asked>();
  /** Transfers that were given up here while their answer may be on its way. */
  readonly #givenUp = new Set<string>();
  /** Lanes that were asked for and are not granted, by transfer. */
  readonly #wanted = new Map<string, number>();
  #ended: LocalstreamError | undefined;

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  get list(): readonly TransferEnd[] {
    return [...this.#running.values()];
  }

  get(id: string): TransferEnd | undefined {
    return this.#running.get(id);
  }

  /** Frames of at most this size that flow under the bounds which hold: a transfer's own, and that of the process. */
  pacedChunk({ chunk, limit }: Pick<TransferOptions, 'chunk' | 'limit'>): number {
    const bounds = [limit, this.#options.host.limiter?.bytesPerSecond].filter((one) => one !== undefined);
    return pacedChunk(chunk, MIN_CHUNK, bounds.length === 0 ? undefined : Math.min(...bounds));
  }

  /** Begins a transfer. Throws BUSY when too many run, BAD_MESSAGE when its number is taken, or why the session ended. */
  begin(options: TransferOptions): TransferEnd {
    const { id } = options;
    if (this.#ended) throw this.#ended;
    if (this.#running.size >= MAX_TRANSFERS) throw errorOf('BUSY', 'too many transfers run in this session');
    if (this.#running.has(id)) throw errorOf('BAD_MESSAGE', 'a transfer of that number runs');
    const transfer = new TransferEnd(
      {
        ...this.#options.host,
        peer: this.#options.peer(),
        send: (message) => this.#options.send(message),
        moreLanes: (worn) => this.#askForLane(worn),
        settled: (of, outcomes, names) => {
          this.#options.settled(of, outcomes, names);
          options.onSettled?.(outcomes);
        },
      },
      options,
    );
    this.#running.set(id, transfer);
    this.#options.begun(transfer);
    const over = (result: Receipt | LocalstreamError) => {
      this.#running.delete(id);
      // It may end before its answer comes: a lane of it is wrong, or closed. Nobody else would tell who waits for that.
      if (result instanceof LocalstreamError) this.#asked.get(id)?.reject(result);
      this.#asked.delete(id);
      this.#wanted.delete(id);
      this.#options.grants.forget(id);
      this.#options.over(transfer, result);
    };
    transfer.receipt.then(over, (error: unknown) => over(typed(error)));
    return transfer;
  }

  /**
   * Asks the peer for a transfer and waits for its word. `take` is called before any message that comes behind that is
   * looked at. Throws what the peer answers, what `take` throws, CANCELLED, or why the session ended.
   */
  async ask<Taken>(
    id: string,
    message: Outgoing,
    take: (answer: Answer) => Taken,
    signal?: AbortSignal,
  ): Promise<Taken> {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#ended) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<Taken>();
    const taken = (answer: Answer) => {
      try {
        resolve(take(answer));
      } catch (error) {
        reject(error);
      }
    };
    this.#asked.set(id, { resolve: taken, reject });
    const abort = () => {
      this.#sendQuietly({ type: 'cancel', transfer: id, flag: flagNumber('CANCELLED') });
      this.#giveUp(id);
      reject(cancelled(signal));
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      this.#options.send(message);
      return await promise;
    } finally {
      this.#asked.delete(id);
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Waits for one word of the peer without sending any: after an offer that answers its request, where no person there
   * has to think. Rejects with TIMEOUT after so many milliseconds.
   */
  expect(
    id: string,
    milliseconds: number,
    resolve: (accept: MessageOf<'accept'>) => void,
    reject: (error: LocalstreamError) => void,
  ): void {
    const answered = () => {
      clearTimeout(late);
      this.#asked.delete(id);
    };
    const asked: Asked = {
      resolve: (answer) => {
        answered();
        if (answer.type === 'accept') resolve(answer);
        else reject(errorOf('BAD_MESSAGE', 'the other side answered an offer with an offer'));
      },
      reject: (error) => {
        answered();
        reject(error);
      },
    };
    const late = setTimeout(
      () => asked.reject(errorOf('TIMEOUT', 'the other side did not answer the offer')),
      milliseconds,
    ).unref();
    this.#asked.set(id, asked);
  }

  /** Hands an answer to whoever waits for it. False: nobody ever asked. */
  answer(message: Answer): boolean {
    const asked = this.#asked.get(message.transfer);
    asked?.resolve(message);
    return asked !== undefined || this.#givenUp.has(message.transfer);
  }

  refused(message: MessageOf<'refuse'>): void {
    this.#asked.get(message.transfer)?.reject(errorFromPeer(message.flag, message.detail));
  }

  cancelled(message: MessageOf<'cancel'>): void {
    this.#asked.get(message.transfer)?.reject(cancelledBy(message));
    this.#running.get(message.transfer)?.takeCancel(message);
  }

  /** Waits for the end, tells of progress on the way, cancels on demand. */
  async follow(
    transfer: TransferEnd,
    request: Pick<TransferRequest, 'signal' | 'discard' | 'onProgress' | 'onBroken'>,
  ): Promise<Receipt> {
    const { signal, onProgress } = request;
    const cancel = () => void transfer.cancel(cancelled(signal), request.discard?.aborted);
    const timer = onProgress && setInterval(() => onProgress(transfer.progress()), PROGRESS_EVERY);
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    try {
      const receipt = await transfer.receipt;
      onProgress?.(transfer.progress());
      return receipt;
    } catch (error) {
      request.onBroken?.(transfer.progress());
      throw error;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /**
   * Opens granted lanes. One is enough: where others can't be opened the transfer goes on without them. Where none can,
   * it is cancelled, which its receipt tells.
   */
  async openLanes(transfer: TransferEnd, numbers: readonly number[]): Promise<void> {
    const { openLane } = this.#options;
    const opened = await Promise.allSettled(
      numbers.map(async (number) => {
        if (!openLane) throw errorOf('BAD_MESSAGE', 'only the dialler opens lanes');
        transfer.addLane(await openLane(number), number);
      }),
    );
    if (opened.some(({ status }) => status === 'fulfilled')) return;
    const [first] = opened;
    const none = errorOf('BAD_MESSAGE', 'no lane was granted');
    const reason = first?.status === 'rejected' ? typed(first.reason) : none;
    // A server that dies ends lanes before or after the channel breaks. That it broke is what is to be known.
    if (reason.code === 'UNREACHABLE' || reason.code === 'CLOSED') await delay(CHANNEL_GRACE);
    await transfer.noLane(reason);
  }

  /** Numbers for lanes of a transfer: the listener's. */
  grant(transfer: string, count: number): number[] {
    return this.#options.grants.grant(transfer, Math.min(count, MAX_LANES));
  }

  /** The dialler wants more lanes for a transfer. */
  grantMore(message: MessageOf<'lanes'>): void {
    if (this.#options.openLane) throw errorOf('BAD_MESSAGE', 'the listener asked for lanes');
    // It may have ended while the question was on its way.
    if (!this.#running.has(message.transfer)) return;
    // One at a time, in place of one that is worn out: the group refuses what would be too many.
    const lanes = this.grant(message.transfer, 1);
    this.#options.send({ type: 'granted', transfer: message.transfer, lanes });
  }

  granted(message: MessageOf<'granted'>): void {
    const transfer = this.#running.get(message.transfer);
    // It may have ended while the grant was on its way.
    if (!transfer) return;
    const wanted = this.#wanted.get(message.transfer) ?? 0;
    if (message.lanes.length > wanted)
      throw errorOf('BAD_MESSAGE', 'lanes were granted that nobody asked for');
    this.#wanted.set(message.transfer, wanted - message.lanes.length);
    // What went wrong has ended the transfer, which says so to whoever waits for it.
    void this.openLanes(transfer, message.lanes);
  }

  /** The session is over, and so is everything in it. */
  end(reason: LocalstreamError): void {
    this.#ended = reason;
    for (const asked of this.#asked.values()) asked.reject(reason);
    for (const transfer of this.list) transfer.lost(reason);
  }

  #giveUp(id: string): void {
    this.#givenUp.add(id);
    if (this.#givenUp.size <= MAX_TRANSFERS) return;
    const [oldest] = this.#givenUp;
    if (oldest !== undefined) this.#givenUp.delete(oldest);
  }

  #askForLane(transfer: TransferEnd): void {
    this.#wanted.set(transfer.id, (this.#wanted.get(transfer.id) ?? 0) + 1);
    if (this.#options.openLane) this.#sendQuietly({ type: 'lanes', transfer: transfer.id, lanes: 1 });
  }

  #sendQuietly(message: Outgoing): void {
    try {
      this.#options.send(message);
    } catch {
      // The session is over: whoever waits for the answer is told so.
    }
  }
}

/** A number for a new transfer. */
export function newTransferId(): string {
  return randomBytes(16).toString('hex');
}

/** An error that everybody may see, of one that nobody foresaw. */
export function typed(error: unknown): LocalstreamError {
  return error instanceof LocalstreamError
    ? error
    : errorOf('INTERNAL', 'something failed', { cause: error });
}

/** Why a signal was aborted. */
export function cancelled(signal: AbortSignal | undefined): LocalstreamError {
  const reason: unknown = signal?.reason;
  return reason instanceof LocalstreamError ? reason : errorOf('CANCELLED', 'cancelled', { cause: reason });
}
