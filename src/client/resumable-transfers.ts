/**
 * The transfers of a session, which outlive its connection: each goes on at the one that is made when the connection breaks.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { LocalstreamError } from '../errors.ts';
import type { Connection } from '../session/connection.ts';
import { Continuations } from '../session/continuations.ts';
import { laneCount } from '../session/lane-count.ts';
import type { TransferOptions } from '../session/options.ts';
import type { Progress, Receipt } from '../session/report.ts';
import { newTransferId, type TransferRequest, typed } from '../session/transfers.ts';
import type { Settings } from '../settings.ts';
import type { EarlierPart } from '../transfer/target.ts';
import type { LastingConnection } from './lasting-connection.ts';
import { isBroken } from './link.ts';
import { Patience } from './patience.ts';

/** With the number that the transfer has on the connection of this moment. */
type NumberedRequest = TransferRequest & { readonly id: string };

export interface ResumableTransfersHost {
  readonly connection: LastingConnection;
  /** Of the first connection, in milliseconds. */
  readonly roundTrip: number;
  readonly settings: Settings;
  /** The connection is lost, and no transfer wants another one. */
  readonly lost: (reason: LocalstreamError) => void;
}

export class ResumableTransfers {
  readonly #host: ResumableTransfersHost;
  readonly #continuations = new Continuations();
  /** The server that was connected to; another one may go on in its place. */
  readonly #origin: Fingerprint;
  #active = 0;
  /** Of this one it has been told that it is lost. */
  #told: Connection | undefined;

  constructor(host: ResumableTransfersHost) {
    const { connection } = host;
    this.#host = host;
    this.#origin = connection.latest.peer.fingerprint;
    connection.onMade = (made) =>
      made.on('settled', (transfer, _, names) => {
        if (transfer.direction === 'receive') this.#continuations.note(transfer, this.#origin, names);
      });
    connection.onLost = () => this.#tellLost();
    connection.follow();
  }

  /** Runs a transfer; when its connection breaks, on another one, until it ends or the time for that is over. */
  async run(
    options: TransferOptions,
    on: (connection: Connection, request: NumberedRequest) => Promise<Receipt>,
  ): Promise<Receipt> {
    const { connection: lasting, settings } = this.#host;
    const { retryFor = settings.retryFor, signal } = options;
    const first = newTransferId();
    const { onProgress, onRetry } = told(options, first);
    const startedAt = performance.now();
    let server = lasting.latest.peer.fingerprint;
    let id = first;
    let continues: string | undefined;
    let moved = 0;
    const patience = new Patience(retryFor);
    let redial = { attempt: 0, retryFor };
    const onBroken = (progress: Progress) => {
      moved += progress.bytes - progress.bytesSkipped;
      patience.reached(progress);
    };
    this.#active += 1;
    try {
      for (;;) {
        const connection = await lasting.open({ ...redial, signal, onRetry });
        const { peer } = connection;
        if (peer.fingerprint !== server) options.onElsewhere?.(peer);
        server = peer.fingerprint;
        options.onTransfer?.(id);
        try {
          const request = { ...this.#request(options), onProgress, id, continues, onBroken };
          const receipt = await on(connection, request);
          this.#continuations.forget(id);
          if (continues === undefined) return receipt;
          const seconds = (performance.now() - startedAt) / 1000;
          return { ...receipt, seconds, bytesMoved: moved + receipt.bytesMoved };
        } catch (error) {
          const broken = typed(error);
          // What came through a pipe can't be read again, and what went into one not be taken back.
          if (!isBroken(broken) || retryFor === 0) throw broken;
          await lasting.lose(connection, broken);
          redial = patience.next();
          if (redial.retryFor <= 0) throw broken;
        }
        continues = id;
        id = newTransferId();
      }
    } finally {
      this.#active -= 1;
      this.#tellLost();
    }
  }

  /** What the transfer which broke off has left: it passes to the one that goes on. */
  takeEarlier(continues: string | undefined, id: string): EarlierPart {
    return this.#continuations.take(continues, id, this.#origin);
  }

  #tellLost(): void {
    const { connection, lost } = this.#host;
    if (this.#active > 0 || !connection.lost || this.#told === connection.latest) return;
    this.#told = connection.latest;
    lost(connection.lost);
  }

  #request(options: TransferOptions): TransferRequest {
    const { settings, roundTrip } = this.#host;
    const { chunk = settings.chunk, limit, signal, discard } = options;
    const lanes = options.lanes ?? laneCount(settings.lanes, roundTrip);
    return { chunk, lanes, limit, signal, discard };
  }
}

/** For whoever looks on it is one transfer, however often its connection breaks: it stands where it was meanwhile. */
function told(
  { onProgress, onRetry }: TransferOptions,
  transferId: string,
): Pick<TransferRequest, 'onProgress'> & Pick<TransferOptions, 'onRetry'> {
  if (onProgress === undefined) return onRetry === undefined ? {} : { onRetry };
  let last: Progress | undefined;
  return {
    onProgress: (now) => {
      last = { ...now, transferId };
      onProgress(last);
    },
    onRetry: (next) => {
      onRetry?.(next);
      if (last) onProgress({ ...last, phase: 'reconnecting', nextTry: next.at.getTime() });
    },
  };
}
