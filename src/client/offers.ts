/** What the server offers to a session: it waits for an answer, is received, and gone on with when the connection broke. */
import { errorOf } from '../errors.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { guardCallbacks } from '../session/callbacks.ts';
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
import type { ReceiveOptions } from '../session/options.ts';
import type { PeerInfo, Receipt } from '../session/report.ts';
import { checkOptions, type Settings, TRANSFER_OPTIONS } from '../settings.ts';
import { NO_EARLIER_PART } from '../transfer/target.ts';
import type { ResumableTransfers } from './resumable-transfers.ts';

export interface OffersHost {
  readonly transfers: ResumableTransfers;
  readonly settings: Settings;
  /** Folder of those that are accepted without a place of their own. */
  readonly inbox: string;
  /** The server, by its latest connection. */
  readonly peer: () => PeerInfo;
  /** One is to be answered. */
  readonly ask: (offer: Offer) => void;
}

export class Offers {
  readonly #host: OffersHost;
  readonly #waiting = new Map<string, Offer>();
  /** Offers that were accepted: what breaks off is offered again by its number. */
  readonly #broken = new Map<
    string,
    { readonly roots: readonly OfferedRoot[]; readonly goOn: (offer: IncomingOffer) => void }
  >();

  constructor(host: OffersHost) {
    this.#host = host;
  }

  /** Those that wait for an answer, oldest first. */
  get list(): readonly Offer[] {
    return [...this.#waiting.values()];
  }

  /** One has come. */
  take(incoming: IncomingOffer): void {
    const broken = incoming.continues === undefined ? undefined : this.#broken.get(incoming.continues);
    if (broken && isSameOffer(broken.roots, incoming.roots)) {
      broken.goOn(incoming);
      return;
    }
    const { inbox, settings, peer, ask } = this.#host;
    const { id, roots, total, signal } = incoming;
    const offer: Offer = {
      id,
      from: peer(),
      roots,
      total,
      folder: inbox,
      signal,
      accept: async (target, options = {}) => {
        const into = target ?? insideOf(inbox);
        const how: ReceiveOptions = target === undefined ? { existing: 'rename', ...options } : options;
        // What is wrong with the options or the target shows while the offer still stands.
        checkOptions(TRANSFER_OPTIONS, how);
        receivedPlace(into, roots, how, NO_EARLIER_PART, settings);
        this.#waiting.delete(id);
        return await guardCallbacks(how, (guarded) => this.#receive(incoming, into, guarded));
      },
      reject: async () => {
        this.#waiting.delete(id);
        incoming.refuse('REJECTED');
      },
      text: isText(incoming),
      read: async (options = {}) => {
        if (!isText(incoming)) throw errorOf('NOT_SUPPORTED', 'that is no text');
        checkOptions(TRANSFER_OPTIONS, options);
        this.#waiting.delete(id);
        const receive = (guarded: ReceiveOptions) => this.#receive(incoming, IN_MEMORY, guarded);
        return receivedText(await guardCallbacks(options, receive));
      },
    };
    this.#waiting.set(id, offer);
    signal.addEventListener('abort', () => this.#waiting.delete(id), { once: true });
    ask(offer);
  }

  /** Receives what was accepted. When the connection breaks, the server offers it again; nobody is asked about it again. */
  async #receive(first: IncomingOffer, target: Target, options: ReceiveOptions): Promise<Receipt> {
    const { transfers, settings } = this.#host;
    // What went with its connection would not come back with another one.
    first.signal.throwIfAborted();
    let current = first;
    let next = this.#expectAgain(current);
    const { onTransfer, ...rest } = options;
    try {
      return await transfers.run(rest, async (_connection, request) => {
        if (request.continues !== undefined) {
          current = await this.#offeredAgain(next.offer, options);
          next[Symbol.dispose]();
          next = this.#expectAgain(current);
        }
        onTransfer?.(current.id);
        const earlier = transfers.takeEarlier(current.continues, current.id);
        const place = receivedPlace(target, current.roots, options, earlier, settings);
        return await current.accept(place, options.existing ?? settings.existing, request);
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
    const patience = options.retryFor ?? this.#host.settings.retryFor;
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
}
