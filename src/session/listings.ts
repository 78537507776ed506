/** Listings in both directions, page by page: the asker takes a page, then asks for more. */
import { errorOf, LocalstreamError } from '../errors.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import { MAX_PAGE } from '../protocol/limits.ts';
import type { ListedEntry, MessageOf, Outgoing } from '../protocol/messages.ts';

type ListingMessage = MessageOf<'list'> | MessageOf<'listing'> | MessageOf<'more'> | MessageOf<'failed'>;

/** Listings that a peer may have open at once. */
const MAX_OPEN = 8;
/** Bytes of names and targets in a page: long names make short pages. */
const PAGE_BYTES = 64 * 1024;
/** Pages that are sent ahead of the asker. */
const AHEAD = 2;

interface Asked {
  /** Throws BAD_MESSAGE. */
  page(message: MessageOf<'listing'>): void;
  fail(error: LocalstreamError): void;
}

interface Served {
  readonly entries: Iterator<ListedEntry>;
  credit: number;
  /** Fetched and too large for the last page. */
  held: ListedEntry | undefined;
  running: boolean;
}

export class Listings {
  readonly #send: (message: Outgoing) => void;
  readonly #list: ((path: string) => Iterable<ListedEntry>) | undefined;
  readonly #asked = new Map<number, Asked>();
  readonly #served = new Map<number, Served>();
  readonly #number: () => number;

  /**
   * @param number The number of the next request.
   * @param list Answers the peer's questions; absent: there is nothing to list here.
   */
  constructor(
    send: (message: Outgoing) => void,
    number: () => number,
    list: ((path: string) => Iterable<ListedEntry>) | undefined,
  ) {
    this.#send = send;
    this.#number = number;
    this.#list = list;
  }

  /** Asks the peer. Ending the iteration early ends the listing. */
  async *ask(path: string, signal?: AbortSignal): AsyncGenerator<ListedEntry> {
    const request = this.#number();
    const pages: MessageOf<'listing'>[] = [];
    let failure: LocalstreamError | undefined;
    let wake = Promise.withResolvers<void>();
    let credit = AHEAD;
    this.#asked.set(request, {
      page: (message) => {
        if (credit === 0) throw errorOf('BAD_MESSAGE', 'more of a listing was sent than was asked for');
        // A row of these would never come to an end, and nobody who reads the entries would notice.
        if (message.entries.length === 0 && !message.last)
          throw errorOf('BAD_MESSAGE', 'a page of a listing is empty and not the last');
        // Nothing follows the last one.
        credit = message.last ? 0 : credit - 1;
        pages.push(message);
        wake.resolve();
      },
      fail: (error) => {
        failure = error;
        wake.resolve();
      },
    });
    const abort = () => this.#asked.get(request)?.fail(errorOf('CANCELLED'));
    signal?.addEventListener('abort', abort, { once: true });
    try {
      if (signal?.aborted) throw errorOf('CANCELLED');
      this.#send({ type: 'list', request, path });
      for (;;) {
        const page = pages.shift();
        if (page) {
          yield* page.entries;
          if (page.last) return;
          credit += 1;
          this.#send({ type: 'more', request });
          continue;
        }
        if (failure) throw failure;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      this.#asked.delete(request);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Takes a message about listings. Throws BAD_MESSAGE when the peer may not send it now. */
  take(message: ListingMessage): void {
    switch (message.type) {
      case 'list':
        this.#serve(message);
        return;
      case 'more':
        this.#more(message.request);
        return;
      case 'listing':
        // A page of a listing that was given up here is on its way for a while.
        this.#asked.get(message.request)?.page(message);
        return;
      case 'failed':
        this.#asked.get(message.request)?.fail(errorFromPeer(message.flag, message.detail));
    }
  }

  /** The session is over. */
  end(reason: LocalstreamError): void {
    for (const asked of this.#asked.values()) asked.fail(reason);
    for (const served of this.#served.values()) served.entries.return?.();
    this.#served.clear();
  }

  #serve({ request, path }: MessageOf<'list'>): void {
    if (this.#served.has(request)) throw errorOf('BAD_MESSAGE', 'a listing was asked for twice');
    this.#trim();
    try {
      if (!this.#list) throw errorOf('NOT_SUPPORTED');
      const entries = this.#list(path)[Symbol.iterator]();
      const served: Served = { entries, credit: AHEAD, held: undefined, running: false };
      this.#served.set(request, served);
      this.#continue(request, served);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  /** An asker that has given up does not say so: its oldest listing makes room for a new one. */
  #trim(): void {
    if (this.#served.size < MAX_OPEN) return;
    for (const [oldest, served] of this.#served) {
      served.entries.return?.();
      this.#served.delete(oldest);
      return;
    }
  }

  #more(request: number): void {
    const served = this.#served.get(request);
    if (!served) return;
    if (served.credit >= AHEAD) throw errorOf('BAD_MESSAGE', 'more of a listing was asked for than was sent');
    served.credit += 1;
    this.#continue(request, served);
  }

  /** Sends a page and lets others work before the next one. */
  #continue(request: number, served: Served): void {
    if (served.running || served.credit === 0 || !this.#served.has(request)) return;
    served.running = true;
    setImmediate(() => {
      served.running = false;
      if (!this.#served.has(request)) return;
      try {
        served.credit -= 1;
        const { entries, last } = takePage(served);
        if (last) this.#served.delete(request);
        this.#send({ type: 'listing', request, entries, last });
        this.#continue(request, served);
      } catch (error) {
        this.#fail(request, error);
      }
    });
  }

  #fail(request: number, error: unknown): void {
    this.#served.get(request)?.entries.return?.();
    this.#served.delete(request);
    const flag = flagNumber(flagOfError(error));
    const detail = error instanceof LocalstreamError ? error.message.slice(0, 500) : undefined;
    try {
      this.#send({ type: 'failed', request, flag, detail });
    } catch {
      // The session has ended.
    }
  }
}

function takePage(served: Served): { entries: ListedEntry[]; last: boolean } {
  const entries: ListedEntry[] = [];
  let bytes = 0;
  while (entries.length < MAX_PAGE) {
    const next = served.held ?? nextOf(served.entries);
    served.held = undefined;
    if (!next) return { entries, last: true };
    // Each character may be written as `\u1234`.
    bytes += 6 * (next.name.length + (next.target?.length ?? 0)) + 128;
    if (entries.length > 0 && bytes > PAGE_BYTES) {
      served.held = next;
      break;
    }
    entries.push(next);
  }
  return { entries, last: false };
}

function nextOf(entries: Iterator<ListedEntry>): ListedEntry | undefined {
  const step = entries.next();
  return step.done ? undefined : step.value;
}
