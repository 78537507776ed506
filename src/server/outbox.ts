/** What a listener sends to its peers: offered first, and gone on with when a peer whose connection broke is back. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { guardCallbacks } from '../session/callbacks.ts';
import type { Connection } from '../session/connection.ts';
import { laneCount } from '../session/lane-count.ts';
import type { Progress, Receipt } from '../session/report.ts';
import { cancelled, newTransferId, typed } from '../session/transfers.ts';
import { checkOptions, type Settings, TRANSFER_OPTIONS } from '../settings.ts';
import { filterRules } from '../transfer/filter-rules.ts';
import { offeredRoots } from '../transfer/offered.ts';
import type { Source } from '../transfer/source.ts';
import type { Peers } from './peers.ts';

/** How files are offered and sent. */
export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Aborted before `signal`: what is there of unfinished files is removed, not kept for a resume. */
  readonly discard?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** File bytes in a frame, 1024 to 4194304. */
  readonly chunk?: number;
  /** TCP connections that carry the bytes, 1 to 16. */
  readonly lanes?: number;
  /** Lines of a `.gitignore` file: what they match is left out; later ones win, `!` takes back. */
  readonly exclude?: readonly string[];
  /** `.gitignore` files in what is sent count too. */
  readonly gitignore?: boolean;
  /** Links are sent as what they point at. */
  readonly follow?: boolean;
  /** Bytes a second at the most, 1 at least. */
  readonly limit?: number;
  /** @internal See {@link Listener.sendToAll}. */
  readonly group?: number;
  /** Told the number of the transfer as it begins, and of each that goes on with it after a lost connection. */
  readonly onTransfer?: (transferId: string) => void;
  /** How long a peer whose connection broke is waited for, in milliseconds; the setting `retryFor` by default. */
  readonly retryFor?: number;
}

export interface OutboxHost {
  readonly settings: Settings;
  readonly peers: Peers;
  /** Whether the listener is being closed: nobody comes back to it. */
  readonly isClosing: () => boolean;
  /** Settles when the port has been closed. */
  readonly closed: Promise<void>;
}

export class Outbox {
  readonly #host: OutboxHost;

  constructor(host: OutboxHost) {
    this.#host = host;
  }

  /** Offers files to a peer and sends them: see {@link Listener.send}. */
  async send(peerId: string, paths: readonly Source[], options: SendOptions): Promise<Receipt> {
    checkOptions(TRANSFER_OPTIONS, options);
    return await guardCallbacks(options, (guarded) => this.#send(peerId, paths, guarded));
  }

  async #send(peerId: string, paths: readonly Source[], options: SendOptions): Promise<Receipt> {
    const { settings, peers, isClosing } = this.#host;
    const connection = peers.get(peerId);
    if (!connection) throw errorOf('NOT_CONNECTED', 'that peer is not connected');
    const rules = filterRules(options);
    const { specs, ...offered } = offeredRoots(paths, { rules, follow: options.follow ?? false });
    const { chunk = settings.chunk } = options;
    const lanes = options.lanes ?? laneCount(settings.lanes, connection.roundTrip ?? 0);
    const { limit, signal, onProgress, retryFor = settings.retryFor } = options;
    let current = connection;
    let continues: string | undefined;
    for (;;) {
      const id = newTransferId();
      options.onTransfer?.(id);
      try {
        return await current.offer(specs, offered, {
          id,
          continues,
          chunk,
          lanes,
          limit,
          rules,
          follow: options.follow,
          group: options.group,
          signal,
          discard: options.discard,
          onProgress,
        });
      } catch (error) {
        const broken = typed(error);
        if (broken.code !== 'LOST' || retryFor === 0 || isClosing()) throw broken;
        // The dialler comes back; we can only wait for it.
        await current.close(broken);
        current = await this.#comeBack(current.peer.fingerprint, broken, retryFor, signal);
      }
      continues = id;
    }
  }

  /** Waits until a peer whose connection broke has connected again. */
  async #comeBack(
    fingerprint: Fingerprint,
    broken: LocalstreamError,
    forMilliseconds: number,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    const { peers, closed } = this.#host;
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const stop = () => reject(cancelled(signal));
    const late = setTimeout(() => reject(broken), forMilliseconds);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    void closed.then(() => reject(errorOf('SHUTTING_DOWN')));
    const forget = peers.whenBack(fingerprint, resolve);
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      forget();
      signal?.removeEventListener('abort', stop);
    }
  }
}
