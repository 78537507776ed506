/** What peers offer to a listener: asked about, or accepted by a rule; and gone on with when a connection broke. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { guardCallbacks } from '../session/callbacks.ts';
import type { Continuations } from '../session/continuations.ts';
import type { IncomingOffer } from '../session/incoming-offers.ts';
import {
  IN_MEMORY,
  insideOf,
  isSameOffer,
  isText,
  type Offer,
  type ReceivedText,
  receivedPlace,
  receivedText,
  type Target,
} from '../session/offer.ts';
import type { ReceiveOptions } from '../session/options.ts';
import type { PeerInfo, Receipt } from '../session/report.ts';
import { cancelled, typed } from '../session/transfers.ts';
import { checkOptions, type Settings, TRANSFER_OPTIONS } from '../settings.ts';
import type { TrustedPeer, TrustStore } from '../store/trust-store.ts';
import { NO_EARLIER_PART } from '../transfer/target.ts';
import { type OfferRule, offerAnswer } from './access.ts';

/** What becomes of offers to a listener. */
export interface InboxOptions {
  /** Where they go that are accepted without a place of their own; {@link Localstream.inbox} by default. */
  readonly folder?: string;
  /** `trusted`: those of peers whose key is trusted are accepted; the setting `inbox.accept` by default. */
  readonly accept?: OfferRule;
}

export interface InboxHost {
  readonly folder: string;
  readonly accept: OfferRule;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly continuations: Continuations;
  /** Whether anybody is there to be asked, and asks. */
  readonly hasPerson: () => boolean;
  readonly ask: (offer: Offer) => void;
  /** An offer is accepted by the rule. */
  readonly accepted: (offer: Offer) => void;
  /** Whether somebody shows the texts that the rule accepts, and does. */
  readonly showsTexts: () => boolean;
  readonly showText: (offer: Offer, received: ReceivedText) => void;
  /** What the rule accepts can't be put where it belongs. */
  readonly failed: (error: LocalstreamError, peer: PeerInfo) => void;
}

/** Offers that wait for an answer: of all peers together, and of one session. */
const MOST_OPEN = 16;
const MOST_OPEN_OF_ONE = 4;
/** Offers of one session that came to nothing: more are somebody's joke. */
const MOST_IDLE = 32;
/** How long an offer that was accepted is remembered when all of it has arrived: the sender may not have heard, milliseconds. */
const GRACE = 60_000;
const MOST_KEPT = 64;

/** An offer that was accepted, by the number of its present transfer. */
interface Kept {
  readonly fingerprint: Fingerprint;
  readonly roots: readonly OfferedRoot[];
  /** Takes it up again. */
  readonly goOn: (again: IncomingOffer) => void;
}

/** The offers of one session. */
interface Visitor {
  open: number;
  idle: number;
}

export class Inbox {
  readonly #host: InboxHost;
  readonly #visitors = new Map<string, Visitor>();
  readonly #kept = new Map<string, Kept>();
  readonly #closing = new AbortController();
  readonly #waiting = new Set<Offer>();
  /** Settles when all that came so far are looked up. */
  #lookedUp: Promise<void> = Promise.resolve();

  constructor(host: InboxHost) {
    this.#host = host;
  }

  get folder(): string {
    return this.#host.folder;
  }

  /** Those that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return [...this.#waiting];
  }

  get accept(): OfferRule {
    return this.#host.accept;
  }

  /** An offer has come. `isKnown`: whoever sends it is somebody, where that takes a login. */
  take(incoming: IncomingOffer, peer: PeerInfo, isKnown: boolean): void {
    const kept = incoming.continues === undefined ? undefined : this.#kept.get(incoming.continues);
    if (
      kept !== undefined &&
      kept.fingerprint === peer.fingerprint &&
      isSameOffer(kept.roots, incoming.roots)
    ) {
      kept.goOn(incoming);
      return;
    }
    this.#decide(incoming, peer, isKnown).catch((error: unknown) => {
      // Where trust can't be looked up nobody is trusted. What is wrong there is not for the peer.
      incoming.refuse('BUSY');
      this.#host.failed(typed(error), peer);
    });
  }

  /** A session is over. */
  left(session: string): void {
    this.#visitors.delete(session);
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#closing.abort(errorOf('SHUTTING_DOWN'));
    this.#kept.clear();
  }

  async #decide(incoming: IncomingOffer, peer: PeerInfo, isKnown: boolean): Promise<void> {
    const { accept: rule, hasPerson } = this.#host;
    const known = await this.#lookUp(peer.fingerprint);
    if (incoming.signal.aborted) return;
    const isTrusted = known !== undefined;
    const from = { ...peer, trusted: isTrusted, name: known?.name ?? peer.name };
    // A key that was taken unseen may be that of somebody in the middle.
    const isConfirmed = known !== undefined && known.how !== 'accept-new';
    const answer = offerAnswer(rule, { isKnown, isTrusted: isConfirmed }, hasPerson());
    if (answer === 'ask') this.#ask(incoming, from);
    else if (answer === 'accept') await this.#acceptByRule(incoming, from);
    else
      incoming.refuse(
        'NOT_ALLOWED',
        isKnown ? 'nobody is there to be asked, and no rule accepts it' : 'log in before offering anything',
      );
  }

  /** Whom we trust as it is now: a peer may have been trusted, or forgotten, since it came in. Answered in order. */
  async #lookUp(fingerprint: Fingerprint): Promise<TrustedPeer | undefined> {
    const found = this.#host.trust.get(fingerprint);
    const before = this.#lookedUp;
    this.#lookedUp = Promise.allSettled([before, found]).then(() => {});
    await before;
    return await found;
  }

  async #acceptByRule(incoming: IncomingOffer, from: PeerInfo): Promise<void> {
    const { accepted, failed, showsTexts, showText } = this.#host;
    const offer = this.#offer(incoming, from, incoming.signal, () => accepted(offer));
    try {
      // Where nobody shows it, a text is kept like any file.
      if (offer.text && showsTexts()) showText(offer, await offer.read());
      else await offer.accept(undefined, { unattended: true });
    } catch (error) {
      // A transfer that fails tells both sides by itself; where there is none yet it is told here.
      incoming.refuse('UNWRITABLE', "the inbox can't be used there");
      failed(typed(error), from);
    }
  }

  #ask(incoming: IncomingOffer, peer: PeerInfo): void {
    const visitor = this.#visitors.get(peer.id) ?? { open: 0, idle: 0 };
    this.#visitors.set(peer.id, visitor);
    if (this.#waiting.size >= MOST_OPEN || visitor.open >= MOST_OPEN_OF_ONE || visitor.idle >= MOST_IDLE) {
      incoming.refuse('BUSY', 'too many offers wait for an answer, or came to nothing');
      return;
    }
    visitor.open += 1;
    const late = new AbortController();
    const timer = setTimeout(() => {
      incoming.refuse('TIMEOUT', 'nobody has answered the offer');
      late.abort(errorOf('TIMEOUT', 'nobody has answered in time'));
    }, this.#host.settings.decisionTimeout).unref();
    let isAnswered = false;
    const answered = (isTaken: boolean) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      this.#waiting.delete(offer);
      visitor.open -= 1;
      if (!isTaken) visitor.idle += 1;
    };
    const signal = AbortSignal.any([incoming.signal, late.signal]);
    signal.addEventListener('abort', () => answered(false), { once: true });
    const offer = this.#offer(incoming, peer, signal, answered);
    this.#waiting.add(offer);
    this.#host.ask(offer);
  }

  #offer(
    incoming: IncomingOffer,
    from: PeerInfo,
    signal: AbortSignal,
    answered: (isTaken: boolean) => void,
  ): Offer {
    const { id, roots, total } = incoming;
    const { folder, settings } = this.#host;
    let isOver = false;
    const requireOpen = () => {
      if (isOver || signal.aborted) throw errorOf('CLOSED', 'the offer was withdrawn or answered before');
    };
    return {
      id,
      from,
      roots,
      total,
      folder,
      signal,
      accept: async (target, options = {}) => {
        requireOpen();
        const into = target ?? insideOf(folder);
        const how: ReceiveOptions = target === undefined ? { existing: 'rename', ...options } : options;
        // What is wrong with the options or the target shows while the offer still stands.
        checkOptions(TRANSFER_OPTIONS, how);
        receivedPlace(into, roots, how, NO_EARLIER_PART, settings);
        isOver = true;
        answered(true);
        const receive = (guarded: ReceiveOptions) => this.#receive(incoming, from.fingerprint, into, guarded);
        return await guardCallbacks(how, receive);
      },
      reject: async () => {
        isOver = true;
        answered(false);
        incoming.refuse('REJECTED');
      },
      text: isText(incoming),
      read: async (options = {}) => {
        requireOpen();
        if (!isText(incoming)) throw errorOf('NOT_SUPPORTED', 'that is no text');
        checkOptions(TRANSFER_OPTIONS, options);
        isOver = true;
        answered(true);
        const receive = (guarded: ReceiveOptions) =>
          this.#receive(incoming, from.fingerprint, IN_MEMORY, guarded);
        return receivedText(await guardCallbacks(options, receive));
      },
    };
  }

  /** Receives what was accepted. When the connection breaks, the sender comes back with it; it is not asked about again. */
  async #receive(
    first: IncomingOffer,
    fingerprint: Fingerprint,
    target: Target,
    options: ReceiveOptions,
  ): Promise<Receipt> {
    const { settings, continuations } = this.#host;
    const { limit, signal, discard, onProgress, onTransfer, retryFor = settings.retryFor } = options;
    const existing = options.existing ?? settings.existing;
    let current = first;
    for (;;) {
      const { id, roots, continues } = current;
      const again = Promise.withResolvers<IncomingOffer>();
      this.#keep(id, { fingerprint, roots, goOn: again.resolve });
      onTransfer?.(id);
      try {
        const earlier = continuations.take(continues, id, fingerprint);
        const place = receivedPlace(target, roots, options, earlier, settings);
        const request = { lanes: 1, limit, signal, discard, onProgress };
        const receipt = await current.accept(place, existing, request);
        this.#remember(id, fingerprint, roots, target, options);
        return receipt;
      } catch (error) {
        const broken = typed(error);
        if (broken.code !== 'LOST' || retryFor === 0 || this.#closing.signal.aborted) {
          this.#kept.delete(id);
          throw broken;
        }
        current = await this.#comeBack(again.promise, broken, retryFor, signal).finally(() =>
          this.#kept.delete(id),
        );
      }
    }
  }

  /** All has arrived. Should the sender not have heard of it, it may offer it once more without anybody being asked. */
  #remember(
    id: string,
    fingerprint: Fingerprint,
    roots: readonly OfferedRoot[],
    target: Target,
    options: ReceiveOptions,
  ): void {
    const { signal, discard, onProgress, ...how } = options;
    const goOn = (incoming: IncomingOffer) => {
      this.#kept.delete(id);
      // Its end is told like that of any transfer, and it is not remembered again.
      this.#receive(incoming, fingerprint, target, how).then(
        () => this.#kept.delete(incoming.id),
        () => {},
      );
    };
    this.#keep(id, { fingerprint, roots, goOn });
    setTimeout(() => this.#kept.delete(id), GRACE).unref();
  }

  #keep(id: string, kept: Kept): void {
    this.#kept.set(id, kept);
    if (this.#kept.size <= MOST_KEPT) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  /** Waits until a sender whose connection broke offers it again. */
  async #comeBack(
    again: Promise<IncomingOffer>,
    broken: LocalstreamError,
    forMilliseconds: number,
    signal: AbortSignal | undefined,
  ): Promise<IncomingOffer> {
    const { promise, reject } = Promise.withResolvers<never>();
    const late = setTimeout(() => reject(broken), forMilliseconds);
    const stop = () => reject(cancelled(signal));
    const close = () => reject(this.#closing.signal.reason);
    signal?.addEventListener('abort', stop, { once: true });
    this.#closing.signal.addEventListener('abort', close, { once: true });
    if (signal?.aborted) stop();
    try {
      return await Promise.race([again, promise]);
    } finally {
      clearTimeout(late);
      signal?.removeEventListener('abort', stop);
      this.#closing.signal.removeEventListener('abort', close);
    }
  }
}
