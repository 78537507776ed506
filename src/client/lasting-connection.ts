/**
 * The connection of a session, which lasts until somebody ends it. One that breaks is only lost: whoever wants something
 * of the server next has another one made, once for all who want it meanwhile.
 */
import { errorOf, exitOf, type LocalstreamError } from '../errors.ts';
import type { Connection } from '../session/connection.ts';
import type { RetryNotice } from '../session/options.ts';
import { cancelled, typed } from '../session/transfers.ts';
import { isBroken, type Link } from './link.ts';
import { retry } from './reconnect.ts';

/** How a lost connection is made again. */
export interface Redial {
  /** Milliseconds that it is tried again; 0 for one try. */
  readonly retryFor: number;
  /** 0 by default, at once. What has just broken waits: a try at once would meet what broke it, and everybody else. */
  readonly attempt?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: ((next: RetryNotice) => void) | undefined;
}

interface Reopening {
  readonly made: Promise<void>;
  readonly retryFor: number;
  readonly unwanted: AbortController;
  readonly waiting: Waiting;
}

/** Those who wait for it, told of each try. */
class Waiting {
  readonly #all = new Set<Redial>();
  #next: RetryNotice | undefined;

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Who comes while a try is waited for hears of it too. */
  join(redial: Redial): void {
    this.#all.add(redial);
    if (this.#next) redial.onRetry?.(this.#next);
  }

  leave(redial: Redial): void {
    this.#all.delete(redial);
  }

  tell(next: RetryNotice): void {
    this.#next = next;
    // Those of this moment: who is told may begin another transfer, which hears of it as it joins.
    for (const { onRetry } of [...this.#all]) onRetry?.(next);
  }

  /** The try is being made. */
  tried(): void {
    this.#next = undefined;
  }
}

export class LastingConnection {
  /** Settles when the session is over; undefined when it was closed from this side. */
  readonly closed: Promise<LocalstreamError | undefined>;
  /** Told of each connection, the first one too. */
  onMade: (connection: Connection) => void = () => {};
  /** Told when one is lost. */
  onLost: () => void = () => {};
  readonly #link: Link;
  readonly #over = Promise.withResolvers<LocalstreamError | undefined>();
  /** Aborted with the reason when the session is over. */
  readonly #end = new AbortController();
  /** Why it was ended from this side, where nobody closed it. */
  #stopped: LocalstreamError | undefined;
  #lost: LocalstreamError | undefined;
  #reopening: Reopening | undefined;

  constructor(link: Link) {
    this.#link = link;
    this.closed = this.#over.promise;
  }

  /** The latest one, which may be lost. */
  get latest(): Connection {
    return this.#link.connection;
  }

  /** Why it is lost; undefined while it is there, and once the session is over. */
  get lost(): LocalstreamError | undefined {
    return this.#end.signal.aborted ? undefined : this.#lost;
  }

  /** Follows the latest connection to its end, which is the session's unless it broke. */
  follow(): void {
    const connection = this.latest;
    this.onMade(connection);
    void connection.ended.then((reason) => {
      if (this.#end.signal.aborted) return;
      if (!isBroken(reason)) return this.#finish(reason);
      this.#lost = reason;
      this.onLost();
    });
  }

  /**
   * A connection that was not lost a moment ago.
   *
   * @throws why the session is over, CANCELLED, or why none could be made: then it may be tried again, unless another key
   *   answers or the server refuses, which ends the session.
   */
  async open(redial: Redial): Promise<Connection> {
    const { signal, retryFor } = redial;
    for (;;) {
      if (this.#end.signal.aborted) throw typed(this.#end.signal.reason);
      const lost = this.#lost;
      if (!lost) return this.latest;
      this.#reopening ??= this.#reopen(lost, redial);
      const reopening = this.#reopening;
      // Those who wanted it have left just now, and it is on its way out.
      if (reopening.unwanted.signal.aborted) {
        await Promise.allSettled([reopening.made]);
        continue;
      }
      try {
        await this.#wait(reopening, redial);
        return this.latest;
      } catch (error) {
        // Who began it may have had less patience.
        if (signal?.aborted || reopening.retryFor >= retryFor) throw error;
      }
    }
  }

  /** It is broken, whether it has noticed that or not: a lane may break before the channel does. */
  async lose(connection: Connection, broken: LocalstreamError): Promise<void> {
    await connection.close(broken);
    await connection.ended;
  }

  /** Ends the session and all in it. */
  async close(reason: LocalstreamError | undefined): Promise<void> {
    // First: a connection that breaks now is not made again, and why it is over is known.
    this.#end.abort(reason ?? errorOf('CLOSED'));
    this.#stopped ??= reason;
    await this.latest.close(reason);
    // What is being made in its place is gone too, once this resolves.
    await Promise.allSettled([this.#reopening?.made]);
    this.#over.resolve(this.#stopped);
  }

  #finish(reason: LocalstreamError): void {
    this.#end.abort(reason);
    this.#over.resolve(reason);
  }

  #reopen(lost: LocalstreamError, redial: Redial): Reopening {
    const unwanted = new AbortController();
    const signal = AbortSignal.any([this.#end.signal, unwanted.signal]);
    const waiting = new Waiting();
    const made = this.#dial(lost, redial, waiting, signal).finally(() => {
      this.#reopening = undefined;
    });
    return { made, retryFor: redial.retryFor, unwanted, waiting };
  }

  async #dial(
    broken: LocalstreamError,
    { retryFor, attempt = 0 }: Redial,
    waiting: Waiting,
    signal: AbortSignal,
  ): Promise<void> {
    const notice = (next: RetryNotice) => waiting.tell(next);
    try {
      const reopen = () => {
        waiting.tried();
        return this.#link.reopen(signal);
      };
      await retry(reopen, { broken, retryFor, attempt, notice, signal });
    } catch (error) {
      // Whoever has ended it knows why.
      if (signal.aborted) throw typed(signal.reason);
      const reason = typed(error);
      if (exitOf(reason.code) !== 4) this.#finish(reason);
      throw reason;
    }
    if (this.#end.signal.aborted) {
      await this.latest.close();
      throw typed(this.#end.signal.reason);
    }
    this.#lost = undefined;
    this.follow();
  }

  /** Waits for another connection; it is given up with the last who waits. */
  async #wait(reopening: Reopening, redial: Redial): Promise<void> {
    const { signal } = redial;
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const stop = () => reject(cancelled(signal));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      reopening.waiting.join(redial);
      await Promise.race([reopening.made, stopped]);
    } finally {
      signal?.removeEventListener('abort', stop);
      reopening.waiting.leave(redial);
      if (reopening.waiting.isEmpty && this.#reopening === reopening)
        reopening.unwanted.abort(errorOf('CANCELLED'));
    }
  }
}
