/**
 * One end of a transfer on the main thread, from its start to its receipt: what ends it, and who is told. The worker
 * decides everything about files.
 */
import type { KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { Limiter } from '../net/limiter.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import type { ExistingPolicy, MessageOf, OfferedRoot, Outgoing } from '../protocol/messages.ts';
import type { FilterRules } from '../transfer/filter-rules.ts';
import type { WorkerLine, WorkerPool } from '../transfer/pool.ts';
import type { Settled } from '../transfer/progress.ts';
import type { SealSpec } from '../transfer/sealed-source.ts';
import type { SourceSpec } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import type { FromWorker } from '../transfer/worker-messages.ts';
import type { SavedNames } from './continuations.ts';
import { FrameRelay } from './frame-relay.ts';
import { Outcomes } from './outcomes.ts';
import type { Direction, FileOutcome, PeerInfo, Progress, Receipt, TransferInfo } from './report.ts';
import {
  checkReceipt,
  type ReceiptSubject,
  type SignedReceipt,
  signOutcomes,
  tellOutcomes,
} from './transfer-receipt.ts';

/** How long the other end may take to open its first lane, and to acknowledge a receipt, in milliseconds. */
const LANE_PATIENCE = 30_000;
/** Whoever ends a transfer closes its lanes and says why on the control channel, where it may come later: milliseconds. */
const WORD_PATIENCE = 2000;

/** What a transfer needs of the session that it runs in. */
export interface TransferHost {
  readonly identity: Identity;
  readonly peer: PeerInfo;
  readonly peerKey: KeyObject;
  readonly pool: WorkerPool;
  /** The bound of the whole process on what crosses, either way. */
  readonly limiter: Limiter | undefined;
  readonly maxRecords: number;
  readonly receiptFiles: number;
  send(message: Outgoing): void;
  /** Opens one lane more; only the dialler can. */
  moreLanes(transfer: TransferEnd): void;
  /** Told of everything that is settled, for the stored receipt. */
  settled(transfer: TransferEnd, outcomes: FileOutcome[], names: SavedNames): void;
}

export interface TransferOptions {
  readonly id: string;
  readonly direction: Direction;
  /** What is offered. */
  readonly roots: readonly Pick<OfferedRoot, 'name'>[];
  readonly chunk: number;
  readonly lanes: number;
  /** Bytes of files a second, whichever way they go. */
  readonly limit?: number | undefined;
  /** The sender has asked the other end to write nothing. */
  readonly dryRun?: boolean | undefined;
  /** Told of what is received as it is settled. */
  readonly onSettled?: ((outcomes: readonly FileOutcome[]) => void) | undefined;
}

/** How a source is read. */
export interface SourceHow {
  readonly rules?: FilterRules | undefined;
  /** Links are sent as what they point at. */
  readonly follow?: boolean | undefined;
  /** Transfers of one group send the same files: see `WorkerPool.newGroup`. */
  readonly group?: number | undefined;
  /** Files are sealed while they are read. */
  readonly seal?: SealSpec | undefined;
}

type Phase = Progress['phase'] | 'over';

export class TransferEnd {
  readonly id: string;
  readonly direction: Direction;
  /** Settles when the transfer has ended and everything of it is put away. */
  readonly receipt: Promise<Receipt>;
  readonly startedAt = new Date();
  /** What its roots are offered as. */
  readonly names: readonly string[];
  /** Where it is received to, once it is known. */
  place: TargetPlace | undefined;
  /** Receiving: names that roots got in place of their own. */
  readonly renamedRoots = new Map<string, string>();
  /** Receiving: the sender has said that it has the receipt, so that it won't go on with this. */
  isAcknowledged = false;
  readonly #isDryRun: boolean;
  #chunk: number;
  readonly #host: TransferHost;
  readonly #outcomes: Outcomes;
  readonly #frames: FrameRelay;
  readonly #settle: PromiseWithResolvers<Receipt>;
  #line: WorkerLine | undefined;
  #phase: Phase = 'waiting';
  #current: string | undefined;
  #text: Buffer | undefined;
  #movingSince = 0;
  /** What the receipt must say, once the worker has done its part. */
  #subject: ReceiptSubject | undefined;
  /** Sending: the receipt as it has come. */
  #theirs: MessageOf<'receipt'> | undefined;
  /** The receipt that stands: signed here, or checked. */
  #signed: SignedReceipt | undefined;
  #failure: LocalstreamError | undefined;
  #concluded = false;
  /** A lane has ended, and why is not known yet. */
  #broken = false;
  #discard = false;
  #patience: NodeJS.Timeout | undefined;

  constructor(host: TransferHost, options: TransferOptions) {
    this.#host = host;
    this.id = options.id;
    this.direction = options.direction;
    this.names = options.roots.map(({ name }) => name);
    this.#isDryRun = options.dryRun ?? false;
    this.#chunk = options.chunk;
    this.#settle = Promise.withResolvers();
    this.receipt = this.#settle.promise;
    // Whoever started it may look at the result later, or never.
    this.receipt.catch(() => {});
    this.#outcomes = new Outcomes(host.receiptFiles);
    const { direction, chunk, lanes, limit } = options;
    const own = limit === undefined ? undefined : new Limiter(limit);
    const limiters = [own, host.limiter].filter((limiter) => limiter !== undefined);
    const reserve = (bytes: number) => host.pool.reserve(bytes, host.peer.fingerprint);
    this.#frames = new FrameRelay(
      { direction, chunk, lanes, maxRecords: host.maxRecords, limiters, reserve },
      { worn: () => host.moreLanes(this), ended: (reason) => this.#laneLost(reason) },
    );
  }

  /** Starts to read and send as it was accepted. What keeps it from that ends it, which its receipt tells. */
  startSource(
    { chunk = this.#chunk, credit }: Pick<MessageOf<'accept'>, 'chunk' | 'credit'>,
    roots: readonly SourceSpec[],
    how: SourceHow = {},
  ): void {
    const { rules, follow = false, group, seal } = how;
    this.#chunk = Math.min(this.#chunk, chunk);
    if (credit) this.#frames.credit.bind();
    let line: WorkerLine;
    try {
      line = this.#open(group);
    } catch (error) {
      void this.cancel(wrap(error));
      return;
    }
    const { transfer } = line;
    line.post({
      kind: 'source',
      transfer,
      plan: this.#frames.plan,
      chunk: this.#chunk,
      roots,
      rules,
      follow,
      group,
      seal,
    });
  }

  /** Starts to receive and write, and accepts it, with lanes where this side grants them. Throws why the session ended. */
  startTarget(place: TargetPlace, existing: ExistingPolicy, lanes?: number[]): void {
    this.place = place;
    const line = this.#open();
    line.post({
      kind: 'target',
      transfer: line.transfer,
      plan: this.#frames.plan,
      chunk: this.#chunk,
      existing,
      place,
    });
    const { window } = this.#frames;
    const bounds = window && { chunk: this.#chunk, credit: true };
    this.#host.send({ type: 'accept', transfer: this.id, lanes, ...bounds });
    window?.open((bytes) => this.#grant(bytes));
  }

  /** Takes a lane whose proof has been exchanged. */
  addLane(socket: TLSSocket, number: number): void {
    if (this.#phase === 'over') {
      socket.destroy();
      return;
    }
    clearTimeout(this.#patience);
    this.#frames.addLane(socket, number);
  }

  /** Ends it from this side; the other side is told. `discard`: nothing stays for a resume. Resolves when everything is put away. */
  async cancel(error: LocalstreamError, discard = false): Promise<void> {
    if (this.#phase === 'over') return;
    this.#discard ||= discard;
    if (!this.#concluded) this.#tell(error);
    this.#fail(error);
    await this.receipt.catch(() => {});
  }

  /** No lane could be opened. Once all frames have crossed, none is needed. */
  async noLane(error: LocalstreamError): Promise<void> {
    if (!this.#subject) await this.cancel(error);
  }

  /** The connection is gone. */
  lost(reason: LocalstreamError): void {
    // A receiver has committed and signed by then: that stands, whether the sender has heard of it or not.
    if (this.direction === 'receive' && this.#signed) this.#finish();
    else this.#fail(reason);
  }

  /** The other side has cancelled it. */
  takeCancel(message: MessageOf<'cancel'>): void {
    this.#discard = message.discard ?? false;
    this.#fail(cancelledBy(message));
  }

  /** The target lets so many bytes more leave. */
  takeCredit(message: MessageOf<'credit'>): void {
    try {
      this.#frames.credit.add(message.bytes);
    } catch (error) {
      void this.cancel(wrap(error));
    }
  }

  takeReceipt(message: MessageOf<'receipt'>): void {
    if (this.direction !== 'send' || this.#theirs) {
      void this.cancel(errorOf('BAD_MESSAGE', 'a receipt came unasked'));
      return;
    }
    this.#theirs = message;
    this.#conclude();
  }

  takeReceived(): void {
    if (this.direction !== 'receive' || !this.#signed) {
      void this.cancel(errorOf('BAD_MESSAGE', 'an acknowledgement came unasked'));
      return;
    }
    this.isAcknowledged = true;
    this.#finish();
  }

  progress(): Progress {
    const { files, filesTotal, bytesTotal, bytesSkipped, totalsKnown } = this.#frames.counters;
    return {
      transferId: this.id,
      peer: this.#host.peer.name,
      direction: this.direction,
      phase: this.#phase === 'over' ? 'committing' : this.#phase,
      files,
      filesTotal,
      bytes: bytesSkipped + this.bytesMoved,
      bytesTotal,
      bytesSkipped,
      totalsKnown,
      current: this.#current,
    };
  }

  /** Bytes of files that have crossed in it: at a sender those that have left it. */
  get bytesMoved(): number {
    const { counters, queued } = this.#frames;
    return Math.max(0, counters.bytes - counters.bytesSkipped - queued);
  }

  /** Whether nothing is written, as far as this end knows: the sender of a get is not told. */
  get isDryRun(): boolean {
    return this.#isDryRun || (this.place?.dryRun ?? false);
  }

  info(): TransferInfo {
    const progress = this.progress();
    const seconds = this.#movingSince === 0 ? 0 : (performance.now() - this.#movingSince) / 1000;
    const bytesPerSecond = seconds > 0 ? this.bytesMoved / seconds : 0;
    const { user } = this.#host.peer;
    const { names, startedAt } = this;
    return { ...progress, ...(user !== undefined && { user }), names, bytesPerSecond, startedAt };
  }

  #open(group?: number): WorkerLine {
    if (this.#phase !== 'waiting') throw errorOf('CLOSED', 'the transfer has begun or ended already');
    if (this.direction === 'send') this.#frames.reserve(this.#chunk);
    this.#phase = 'moving';
    this.#movingSince = performance.now();
    const line = this.#host.pool.line((message) => this.#fromWorker(message), group);
    this.#line = line;
    this.#frames.join(line);
    if (!this.#frames.hasLane)
      this.#patience = setTimeout(
        () => void this.cancel(errorOf('TIMEOUT', 'the other side opened no lane')),
        LANE_PATIENCE,
      ).unref();
    return line;
  }

  #settled(rows: readonly Settled[]): void {
    const names = savedNames(rows);
    for (const [path, name] of names) if (!path.includes('/')) this.renamedRoots.set(path, name);
    this.#host.settled(this, this.#outcomes.add(rows), names);
  }

  #fromWorker(message: FromWorker): void {
    switch (message.kind) {
      case 'frame':
      case 'slot':
      case 'emit':
      case 'taken':
        this.#frames.take(message);
        return;
      case 'settled':
        this.#settled(message.rows);
        return;
      case 'current':
        this.#current = message.path;
        return;
      case 'text':
        this.#text = Buffer.from(message.bytes);
        return;
      case 'finished':
        this.#finished(Buffer.from(message.manifestDigest), Buffer.from(message.outcomeDigest));
        return;
      case 'failed':
        this.#workerFailed(message);
        return;
      case 'closed':
        this.#over();
    }
  }

  #workerFailed(message: Extract<FromWorker, { kind: 'failed' }>): void {
    const cause = message.detail === '' ? undefined : new Error(message.detail);
    void this.cancel(errorOf(message.code, message.message, { cause }));
  }

  #finished(manifest: Buffer, outcomes: Buffer): void {
    if (this.#failure) return;
    const { identity, peer } = this.#host;
    const isSender = this.direction === 'send';
    this.#subject = {
      session: peer.id,
      transfer: this.id,
      sender: isSender ? identity.fingerprint : peer.fingerprint,
      receiver: isSender ? peer.fingerprint : identity.fingerprint,
      manifest: manifest.toString('hex'),
      outcomes: outcomes.toString('hex'),
    };
    this.#phase = 'committing';
    // A lane that has ended is missed no more.
    clearTimeout(this.#patience);
    if (isSender) this.#conclude();
    else void this.#sign(this.#subject).catch((error) => this.cancel(wrap(error)));
  }

  /** The receiver: signs what was committed and waits until the sender has it. */
  async #sign(subject: ReceiptSubject): Promise<void> {
    const signed = await signOutcomes(this.#host.identity, subject, this.#outcomes);
    if (this.#failure) return;
    this.#signed = signed;
    this.#host.send({ type: 'receipt', transfer: this.id, ...signed });
    // What is committed stays committed, whether the sender hears of it or not.
    this.#patience = setTimeout(() => this.#finish(), LANE_PATIENCE).unref();
  }

  /** The sender: both its worker and the receiver say that all is done; now they must say the same. */
  #conclude(): void {
    if (!this.#theirs || !this.#subject) return;
    try {
      this.#signed = checkReceipt(this.#host.peerKey, this.#subject, this.#theirs);
    } catch (error) {
      void this.cancel(wrap(error));
      return;
    }
    this.#host.send({ type: 'received', transfer: this.id });
    this.#finish();
  }

  /** Both ends have what they need: nothing that comes now changes the outcome. */
  #finish(): void {
    clearTimeout(this.#patience);
    this.#concluded = true;
    this.#endWorker();
  }

  #laneLost(reason: LocalstreamError): void {
    // The other end closes the lanes as soon as it has what it needs; the receipt still decides.
    if (this.#subject || this.#broken) return;
    if (reason.code !== 'LOST' && reason.code !== 'CLOSED') {
      void this.cancel(reason);
      return;
    }
    const lost = errorOf('LOST', `the connection was lost: ${reason.message}`, { cause: reason });
    clearTimeout(this.#patience);
    this.#broken = true;
    this.#patience = setTimeout(() => this.#fail(lost), WORD_PATIENCE).unref();
  }

  #grant(bytes: number): void {
    try {
      this.#host.send({ type: 'credit', transfer: this.id, bytes });
    } catch {
      // The session is over, and this with it.
    }
  }

  #tell(error: LocalstreamError): void {
    const flag = flagNumber(flagOfError(error));
    try {
      // The flag alone: the text may name folders of this machine.
      const message = { type: 'cancel' as const, transfer: this.id, flag };
      this.#host.send(this.#discard ? { ...message, discard: true } : message);
    } catch {
      // The channel has gone too: the other side notices by itself.
    }
  }

  #fail(error: LocalstreamError): void {
    if (this.#failure || this.#concluded || this.#phase === 'over') return;
    clearTimeout(this.#patience);
    this.#failure = error;
    this.#frames.counters.aborted = true;
    this.#frames.close();
    this.#endWorker();
  }

  #endWorker(): void {
    const line = this.#line;
    if (line) line.post({ kind: 'end', transfer: line.transfer, discard: this.#discard });
    else this.#over();
  }

  #over(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    clearTimeout(this.#patience);
    this.#line?.release();
    this.#frames.release();
    this.#frames.close(!this.#failure);
    if (this.#failure) this.#settle.reject(this.#failure);
    else if (this.#signed && this.#subject)
      this.#settle.resolve(this.#makeReceipt(this.#signed, this.#subject));
    else this.#settle.reject(errorOf('LOST'));
  }

  #makeReceipt(signed: SignedReceipt, subject: ReceiptSubject): Receipt {
    return {
      transferId: this.id,
      direction: this.direction,
      peer: this.#host.peer,
      bytesMoved: this.bytesMoved,
      seconds: (performance.now() - this.#movingSince) / 1000,
      ...tellOutcomes(subject, this.#outcomes),
      // Also where nothing would be written.
      ...(this.isDryRun && { planned: this.#outcomes.planned }),
      ...(this.#text && { text: this.#text }),
      ...signed,
      signedBy: subject.receiver,
    };
  }
}

/** Why the other side has cancelled it. Its flag alone would read as if it spoke of this side. */
export function cancelledBy({ flag, detail }: MessageOf<'cancel'>): LocalstreamError {
  const error = errorFromPeer(flag, detail);
  if (error.code === 'CLOSED') return error;
  if (error.code === 'CANCELLED') return errorOf('CLOSED', 'the other side cancelled the transfer');
  return errorOf(error.code, `the other side gave up: ${error.message}`);
}

function savedNames(rows: readonly Settled[]): SavedNames {
  return rows.flatMap(({ path, saved }) => (saved === undefined ? [] : [[path, saved] as const]));
}

function wrap(error: unknown): LocalstreamError {
  return error instanceof LocalstreamError
    ? error
    : errorOf('INTERNAL', 'the transfer failed', { cause: error });
}
