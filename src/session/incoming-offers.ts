/** The offers of a peer that are not answered yet. An answer is given once; after that they are transfers like others. */
import { errorOf, type FlagName } from '../errors.ts';
import { flagNumber, flagOfError } from '../protocol/flags.ts';
import type { ExistingPolicy, MessageOf, OfferedRoot, OfferedTotal, Outgoing } from '../protocol/messages.ts';
import type { TargetPlace } from '../transfer/target.ts';
import type { Receipt } from './report.ts';
import { MAX_TRANSFERS, type TransferRequest, type Transfers, typed } from './transfers.ts';

/** Something that the peer wants to send. */
export interface IncomingOffer {
  readonly id: string;
  readonly roots: readonly OfferedRoot[];
  readonly total: OfferedTotal | undefined;
  /** It claims to be a text. */
  readonly text: boolean;
  /** The transfer that broke off and goes on by this one. */
  readonly continues: string | undefined;
  /** Aborted when the peer withdraws it or the session ends. */
  readonly signal: AbortSignal;
  /** Receives it. Throws CLOSED when it was withdrawn or answered before, BUSY, and what ends transfers. */
  accept(
    place: TargetPlace,
    existing: ExistingPolicy,
    request: Omit<TransferRequest, 'chunk'>,
  ): Promise<Receipt>;
  /** @param detail is for the peer's eyes. */
  refuse(flag: FlagName, detail?: string): void;
}

export interface IncomingOffersOptions {
  readonly transfers: Transfers;
  /** Whether this side dialled, and so opens the lanes. */
  readonly isDialler: boolean;
  /** Sends a message; throws when the session is over. */
  send(message: Outgoing): void;
  /** Absent: all offers are refused. */
  readonly take: ((offer: IncomingOffer) => void) | undefined;
}

export class IncomingOffers {
  readonly #options: IncomingOffersOptions;
  readonly #open = new Map<string, AbortController>();

  constructor(options: IncomingOffersOptions) {
    this.#options = options;
  }

  /** An offer has come. Throws BAD_MESSAGE for one that came before. */
  take(message: MessageOf<'offer'>): void {
    const { take, send } = this.#options;
    const { transfer: id, roots, total, text = false, continues } = message;
    if (!take || this.#open.size >= MAX_TRANSFERS) {
      send({ type: 'refuse', transfer: id, flag: flagNumber(take ? 'BUSY' : 'NOT_SUPPORTED') });
      return;
    }
    if (this.#open.has(id)) throw errorOf('BAD_MESSAGE', 'an offer came twice');
    const withdrawn = new AbortController();
    this.#open.set(id, withdrawn);
    take({
      id,
      roots,
      total,
      text,
      continues,
      signal: withdrawn.signal,
      accept: (place, existing, request) => this.#accept(message, place, existing, request),
      refuse: (flag, detail) => {
        if (this.#open.delete(id)) this.#refuse(id, flag, detail);
      },
    });
  }

  /** The peer has withdrawn one. */
  withdraw(id: string): void {
    const offer = this.#open.get(id);
    this.#open.delete(id);
    offer?.abort(errorOf('CLOSED', 'the offer was withdrawn'));
  }

  /** The session is over. */
  end(reason: Error): void {
    for (const offer of this.#open.values()) offer.abort(reason);
    this.#open.clear();
  }

  async #accept(
    message: MessageOf<'offer'>,
    place: TargetPlace,
    existing: ExistingPolicy,
    request: Omit<TransferRequest, 'chunk'>,
  ): Promise<Receipt> {
    const { transfers, isDialler } = this.#options;
    const { transfer: id } = message;
    if (!this.#open.delete(id)) throw errorOf('CLOSED', 'the offer was withdrawn');
    const lanes = Math.max(1, isDialler ? message.lanes.length : (message.wanted ?? 1));
    const transfer = this.#begin(message, lanes, request.limit);
    try {
      transfer.startTarget(place, existing, isDialler ? undefined : transfers.grant(id, lanes));
    } catch (error) {
      await transfer.cancel(typed(error));
      throw error;
    }
    if (isDialler) await transfers.openLanes(transfer, message.lanes);
    return await transfers.follow(transfer, request);
  }

  #begin({ transfer: id, roots, chunk }: MessageOf<'offer'>, lanes: number, limit: number | undefined) {
    const { transfers } = this.#options;
    try {
      const paced = transfers.pacedChunk({ chunk, limit });
      return transfers.begin({ id, direction: 'receive', roots, chunk: paced, lanes, limit });
    } catch (error) {
      this.#refuse(id, flagOfError(error), undefined);
      throw error;
    }
  }

  #refuse(transfer: string, flag: FlagName, detail: string | undefined): void {
    try {
      this.#options.send({ type: 'refuse', transfer, flag: flagNumber(flag), detail });
    } catch {
      // The session is over, and the offer with it.
    }
  }
}
