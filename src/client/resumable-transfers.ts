/**
 * The transfers of a session, which outlive its connection: one that breaks is replaced once for all of them, and each
 * goes on there. The session is over with its connection, unless a transfer wants another one.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { Connection } from '../session/connection.ts';
import { Continuations } from '../session/continuations.ts';
import { laneCount } from '../session/lane-count.ts';
import type { RetryNotice, TransferOptions } from '../session/options.ts';
import type { Progress, Receipt } from '../session/report.ts';
import { cancelled, newTransferId, type TransferRequest, typed } from '../session/transfers.ts';
import type { Settings } from '../settings.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { isBroken, type Link } from './link.ts';
import { retry } from './reconnect.ts';

/** With the number that the transfer has on the connection of this moment. */
type NumberedRequest = TransferRequest & { readonly id: string };

export class ResumableTransfers {
  /** Settles when the session is over; undefined when it was closed from this side. */
  readonly closed: Promise<LocalstreamError | undefined>;
  readonly #link: Link;
  readonly #settings: Settings;
  readonly #continuations = new Continuations();
  /** The server that was connected to; another one may go on in its place. */
  readonly #origin: Fingerprint;
  readonly #over = Promise.withResolvers<LocalstreamError | undefined>();
  readonly #end = new AbortController();
  /** Why it was ended from this side, where nobody closed it. */
  #stopped: LocalstreamError | undefined;
  #reconnecting: Promise<void> | undefined;
  /** Transfers that want the connection back when it breaks. */
  #active = 0;
  /** Why the present connection broke, while another one may take its place. */
  #lost: LocalstreamError | undefined;

  constructor(link: Link, settings: Settings) {
    this.#link = link;
    this.#settings = settings;
    this.#origin = link.connection.peer.fingerprint;
    this.closed = this.#over.promise;
    this.#watch();
  }

  /** Runs a transfer; when its connection breaks, on another one, until it ends or the time for that is over. */
  async run(
    options: TransferOptions,
    on: (connection: Connection, request: NumberedRequest) => Promise<Receipt>,
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
          const receipt = await on(connection, request);
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
      // Broken, and nobody who waited for another connection is left: the session is over, and none is made any more.
      const lost = this.#active === 0 ? this.#lost : undefined;
      if (lost) {
        this.#end.abort(lost);
        void Promise.allSettled([this.#reconnecting]).then(() => this.#over.resolve(lost));
      }
    }
  }

  /** Names that the transfer which broke off has given in place of taken ones: they pass to the one that goes on. */
  takeRenamed(continues: string | undefined, id: string): TargetPlace['renamed'] {
    return this.#continuations.take(continues, id, this.#origin);
  }

  /** Ends the session and all in it. */
  async close(reason: LocalstreamError | undefined): Promise<void> {
    // First: a connection that breaks now is not made again, and why it is over is known.
    this.#end.abort(reason ?? errorOf('CLOSED'));
    this.#stopped ??= reason;
    await this.#link.connection.close(reason);
    // What is being made in its place is gone too, once this resolves.
    await Promise.allSettled([this.#reconnecting]);
    this.#over.resolve(this.#stopped);
  }

  /** Follows the present connection to its end, which is the session's unless a transfer wants another one. */
  #watch(): void {
    const { connection } = this.#link;
    connection.on('settled', (transfer, _, names) => {
      if (transfer.direction === 'receive') this.#continuations.note(transfer, this.#origin, names);
    });
    void connection.ended.then((reason) => {
      if (this.#end.signal.aborted) this.#over.resolve(this.#stopped);
      else if (!isBroken(reason) || this.#active === 0) this.#over.resolve(reason);
      else this.#lost = reason;
    });
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
      const { peer } = this.#link.connection;
      if (peer.fingerprint !== old.peer.fingerprint) options.onElsewhere?.(peer);
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
      // Nobody may want it any more by the time that this goes on.
      if (signal.aborted) await this.#link.connection.close();
      signal.throwIfAborted();
      this.#lost = undefined;
      this.#watch();
    } catch (error) {
      // Whoever has ended it knows why.
      if (signal.aborted) throw typed(signal.reason);
      this.#over.resolve(typed(error));
      throw error;
    }
  }

  #request(options: TransferOptions, shownId: string): TransferRequest {
    const { chunk = this.#settings.chunk, limit, signal, discard, onProgress } = options;
    const lanes = options.lanes ?? laneCount(this.#settings.lanes, this.#link.roundTrip);
    // For whoever looks on it is one transfer, however often its connection broke.
    const progress = onProgress && ((now: Progress) => onProgress({ ...now, transferId: shownId }));
    return { chunk, lanes, limit, signal, discard, onProgress: progress };
  }
}
