/** Changes to a share in both directions: folders made, entries moved and removed. One answer to each request. */
import { errorOf, LocalstreamError } from '../errors.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import type { MessageOf, Outgoing } from '../protocol/messages.ts';

type Request = MessageOf<'mkdir'> | MessageOf<'move'> | MessageOf<'remove'>;

/** A change that is wanted. */
export type Change =
  | { readonly type: 'mkdir'; readonly path: string }
  | { readonly type: 'move'; readonly from: string; readonly to: string }
  | { readonly type: 'remove'; readonly path: string; readonly recursive: boolean };

/** What became of it: how many entries it was, and whether that was all. */
export interface Changed {
  readonly entries: number;
  /** False where more is to be removed: the same request goes on. */
  readonly last: boolean;
}

/** Carries a change out for the peer. Throws typed errors, which the peer is told by their code. */
export type ChangeHandler = (change: Change) => Changed;

/** Changes that a peer may have asked for and not heard of. */
const MOST_WAITING = 8;

export interface ChangesOptions {
  readonly send: (message: Outgoing) => void;
  /** The number of the next request; listings take theirs from the same row, since `failed` answers both. */
  readonly number: () => number;
  /** Absent: nothing can be changed here. */
  readonly handler: ChangeHandler | undefined;
  /** Whether the peer knows these messages: another one would take them for a violation. */
  readonly isUnderstood: boolean;
}

export class Changes {
  readonly #options: ChangesOptions;
  readonly #asked = new Map<number, PromiseWithResolvers<Changed>>();
  readonly #waiting: Request[] = [];
  #over: LocalstreamError | undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /**
   * Asks the peer for a change; of a big folder for the next part of it.
   *
   * @throws NOT_SUPPORTED where the peer can't, CANCELLED (what was asked for may happen all the same), what the peer
   *   answers, or why the session is over.
   */
  async ask(change: Change, signal?: AbortSignal): Promise<Changed> {
    if (this.#over) throw this.#over;
    if (signal?.aborted) throw errorOf('CANCELLED');
    const { isUnderstood, number, send } = this.#options;
    if (!isUnderstood)
      throw errorOf('NOT_SUPPORTED', 'the server is an older one, which changes nothing in its shares', {
        hint: 'update localstream there',
      });
    const request = number();
    const answer = Promise.withResolvers<Changed>();
    this.#asked.set(request, answer);
    const stop = () => answer.reject(errorOf('CANCELLED'));
    signal?.addEventListener('abort', stop, { once: true });
    try {
      send({ ...change, request });
      return await answer.promise;
    } finally {
      this.#asked.delete(request);
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Takes a message about changes. Answers to what was given up here are passed over. Throws BAD_MESSAGE. */
  take(message: Request | MessageOf<'changed'> | MessageOf<'failed'>): void {
    if (message.type === 'changed') {
      // The same would be asked for again, without end.
      if (message.entries === 0 && !message.last)
        throw errorOf('BAD_MESSAGE', 'the server says that there is more to remove, and has removed nothing');
      this.#asked.get(message.request)?.resolve(message);
    } else if (message.type === 'failed')
      this.#asked.get(message.request)?.reject(errorFromPeer(message.flag, message.detail));
    else this.#queue(message);
  }

  /** The session is over: what waits is not carried out any more. */
  end(reason: LocalstreamError): void {
    this.#over = reason;
    this.#waiting.length = 0;
    for (const answer of this.#asked.values()) answer.reject(reason);
  }

  #queue(message: Request): void {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#fail(message.request, errorOf('BUSY', 'too many changes are asked for at once'));
      return;
    }
    this.#waiting.push(message);
    if (this.#waiting.length === 1) setImmediate(() => this.#next());
  }

  /** One change, and then others have their turn. */
  #next(): void {
    const [message] = this.#waiting;
    if (message === undefined) return;
    try {
      const { handler, send } = this.#options;
      if (!handler) throw errorOf('NOT_SUPPORTED', 'nothing can be changed here');
      const { entries, last } = handler(changeOf(message));
      send({ type: 'changed', request: message.request, entries, last });
    } catch (error) {
      this.#fail(message.request, error);
    }
    this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
  }

  #fail(request: number, error: unknown): void {
    const flag = flagNumber(flagOfError(error));
    const detail = error instanceof LocalstreamError ? error.message.slice(0, 500) : undefined;
    try {
      this.#options.send({ type: 'failed', request, flag, detail });
    } catch {
      // The session has ended.
    }
  }
}

function changeOf(message: Request): Change {
  if (message.type === 'mkdir') return { type: 'mkdir', path: message.path };
  if (message.type === 'move') return { type: 'move', from: message.from, to: message.to };
  return { type: 'remove', path: message.path, recursive: message.recursive ?? false };
}
