/** Writes down what happens in a session: the history, the receipts, the log of errors. Never fails the session. */
import { LocalstreamError } from '../errors.ts';
import { hardwareAddress } from '../net/hardware-address.ts';
import type { ErrorLog } from '../store/error-log.ts';
import type { ReceiptEnd } from '../store/receipt-lines.ts';
import type { ReceiptStore, ReceiptWriter } from '../store/receipt-store.ts';
import type { SessionStore } from '../store/session-store.ts';
import type { Change, Changed } from './changes.ts';
import type { Connection } from './connection.ts';
import type { FileOutcome, Receipt } from './report.ts';
import type { TransferEnd } from './transfer.ts';

export interface RecorderStores {
  readonly sessions: SessionStore;
  readonly receipts: ReceiptStore;
  readonly log: ErrorLog;
}

/** Paths of one transfer that the history keeps; the receipt has all. */
const HISTORY_PATHS = 16;

interface Entry {
  readonly writer: Promise<ReceiptWriter | undefined>;
  chain: Promise<void>;
  readonly paths: string[];
}

export class Recorder {
  readonly #stores: RecorderStores;
  readonly #entries = new Map<TransferEnd, Entry>();
  readonly #pending = new Set<Promise<void>>();

  constructor(stores: RecorderStores) {
    this.#stores = stores;
  }

  /** Follows a session from its beginning to its end. `listener`: the port it came in by. */
  follow(connection: Connection, role: 'client' | 'server', listener?: number): void {
    const { sessions, log } = this.#stores;
    const { id, name, fingerprint, trusted, user, address, port } = connection.peer;
    const peer = { fingerprint, name, trusted };
    sessions.begin({
      id,
      role,
      peer,
      address,
      port,
      ...(user !== undefined && { user }),
      ...(listener !== undefined && { listener }),
    });
    connection.on('login', (logged) => sessions.login(id, logged));
    this.#keep(
      hardwareAddress(address).then((mac) => {
        if (mac !== undefined) sessions.hardware(id, mac);
      }),
    );
    const running = new Set<TransferEnd>();
    connection.on('transfer', (transfer) => {
      running.add(transfer);
      this.#begin(connection, transfer);
    });
    connection.on('settled', (transfer, outcomes) => this.#settled(transfer, outcomes));
    connection.on('over', (transfer, result) => {
      running.delete(transfer);
      this.#over(connection, transfer, result);
    });
    connection.on('refused', (error) => log.write({ error, peer: fingerprint, address, doing: 'a request' }));
    const end = async (reason: LocalstreamError) => {
      // A transfer that ends with its session is put away first, and stands in it.
      await Promise.allSettled([...running].map(({ receipt }) => receipt));
      const code = reason.code === 'CLOSED' ? 'OK' : reason.code;
      sessions.end(id, { code, reason: reason.message });
      if (code !== 'OK') log.write({ error: reason, peer: fingerprint, address, doing: 'the session' });
    };
    void connection.ended.then((reason) => this.#keep(end(reason)));
  }

  /** The peer of a session has changed something in a share here. */
  changed({ id }: Connection, change: Change, { entries }: Changed): void {
    const { sessions } = this.#stores;
    if (change.type === 'move')
      sessions.changed(id, { action: 'mv', path: change.from, to: change.to, entries });
    else {
      const action = change.type === 'mkdir' ? 'mkdir' : 'rm';
      sessions.changed(id, { action, path: change.path, to: null, entries });
    }
  }

  /** Waits until everything that has ended is written. */
  async flush(): Promise<void> {
    // What ends meanwhile has something of its own to write.
    while (this.#pending.size > 0) await Promise.allSettled([...this.#pending]);
  }

  #begin(connection: Connection, transfer: TransferEnd): void {
    const { receipts, log } = this.#stores;
    const { fingerprint, name } = connection.peer;
    const { id, direction, startedAt } = transfer;
    const writer = receipts
      .create({ transferId: id, direction, peer: { fingerprint, name }, started: startedAt })
      .catch((error: unknown) => {
        log.write({ error, doing: 'the receipt' });
        return undefined;
      });
    this.#entries.set(transfer, { writer, chain: Promise.resolve(), paths: [] });
  }

  #settled(transfer: TransferEnd, outcomes: readonly FileOutcome[]): void {
    const entry = this.#entries.get(transfer);
    if (!entry) return;
    for (const { path, outcome } of outcomes)
      if (outcome !== 'skipped' && entry.paths.length < HISTORY_PATHS) entry.paths.push(path);
    entry.chain = entry.chain.then(async () => {
      const writer = await entry.writer;
      await writer?.files(outcomes);
    });
    // Reported when the receipt is finished.
    entry.chain.catch(() => {});
  }

  #over(connection: Connection, transfer: TransferEnd, result: Receipt | LocalstreamError): void {
    const entry = this.#entries.get(transfer);
    this.#entries.delete(transfer);
    const { sessions, log } = this.#stores;
    const { fingerprint, address } = connection.peer;
    const progress = transfer.progress();
    const failed = result instanceof LocalstreamError;
    if (failed)
      log.write({ error: result, peer: fingerprint, address, doing: `${transfer.direction} ${transfer.id}` });
    // The history is what crossed.
    if (!transfer.isDryRun)
      sessions.transfer(connection.id, {
        id: transfer.id,
        direction: transfer.direction,
        // Where nothing was settled or all was left out, what it was to be.
        paths: entry && entry.paths.length > 0 ? entry.paths : transfer.names.slice(0, HISTORY_PATHS),
        files: failed ? progress.files : result.files,
        bytes: failed ? progress.bytes : result.bytes,
        code: result.code,
        ...(!failed && { digest: result.digest }),
      });
    if (!entry) return;
    const written = this.#finish(entry, result, progress.files, targetOf(transfer)).catch((error: unknown) =>
      log.write({ error, doing: 'the receipt' }),
    );
    this.#keep(written);
  }

  /** Has {@link flush} wait for it. */
  #keep(work: Promise<void>): void {
    this.#pending.add(work);
    void work.finally(() => this.#pending.delete(work));
  }

  async #finish(
    entry: Entry,
    result: Receipt | LocalstreamError,
    filesSoFar: number,
    target: ReceiptEnd['target'],
  ): Promise<void> {
    const writer = await entry.writer;
    await entry.chain;
    if (!writer) return;
    if (result instanceof LocalstreamError) {
      const none = { failed: 0, skipped: 0, bytes: 0, bytesMoved: 0, seconds: 0, digest: '' };
      await writer.finish({ ended: new Date(), code: result.code, files: filesSoFar, ...none });
      return;
    }
    const { code, files, failed, skipped, bytes, bytesMoved, seconds, digest, body, signature, signedBy } =
      result;
    await writer.finish(
      {
        ended: new Date(),
        code,
        files,
        failed,
        skipped,
        bytes,
        bytesMoved,
        seconds,
        digest,
        ...(target && { target }),
      },
      { body: Buffer.from(body).toString('base64'), signature, signedBy },
    );
  }
}

/** Where a transfer was received to; nothing for one that was sent, or that went into a pipe. */
function targetOf({ place, renamedRoots }: TransferEnd): ReceiptEnd['target'] {
  if (!place || place.stream || place.dryRun) return undefined;
  const folder = [place.folder, ...place.below].join('/');
  return {
    folder,
    names: place.names.map(([offered, name]) => [offered, renamedRoots.get(offered) ?? name]),
  };
}
