/**
 * One end of a transfer on the main thread: it joins the lanes to the worker that does the file work, and ends with a
 * receipt that the receiver has signed. The worker decides everything about files, this about connections.
 */
import type { KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { digestOf } from '../crypto/digest.ts';
import type { Identity } from '../crypto/identity.ts';
import { signReceipt, verifyReceipt } from '../crypto/receipt.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { LaneGroup } from '../net/lane-group.ts';
import type { Slot } from '../net/lane-socket.ts';
import { type LimitedFlow, Limiter, passAll } from '../net/limiter.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import { HEADER_BYTES, MAX_META_PAYLOAD, maxPayload } from '../protocol/frame.ts';
import { type ExistingPolicy, encodeBytes, type MessageOf, type Outgoing } from '../protocol/messages.ts';
import type { FilterRules } from '../transfer/filter-rules.ts';
import type { WorkerLine, WorkerPool } from '../transfer/pool.ts';
import type { Settled } from '../transfer/progress.ts';
import type { SealSpec } from '../transfer/sealed-source.ts';
import type { SourceSpec } from '../transfer/source.ts';
import type { TargetPlace } from '../transfer/target.ts';
import {
  type FromWorker,
  planMemory,
  SharedCounters,
  type SharedPlan,
  slotBytes,
} from '../transfer/worker-messages.ts';
import type { SavedNames } from './continuations.ts';
import { Outcomes } from './outcomes.ts';
import { readBody, writeBody } from './receipt-body.ts';
import type { Direction, FileOutcome, PeerInfo, Progress, Receipt, TransferInfo } from './report.ts';

/** Slots of one end, in bytes, unless the lanes need more. */
const SLOT_MEMORY = 64 * 1024 * 1024;
const SLOT_ALIGN = 64;
/** How long the other end may take to open its first lane, and to acknowledge a receipt, in milliseconds. */
const LANE_PATIENCE = 30_000;
/** Whoever ends a transfer closes its lanes and says why on the control channel, where it may come later: milliseconds. */
const WORD_PATIENCE = 2000;

/** Bytes of answers that the other end has not taken, above which none of its frames is taken either. */
const MOST_UNTAKEN = 4 * 1024 * 1024;

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
  readonly chunk: number;
  readonly lanes: number;
  /** Bytes of files a second, whichever way they go. */
  readonly limit?: number | undefined;
  /** The sender has asked the other end to write nothing. */
  readonly dryRun?: boolean | undefined;
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
  readonly chunk: number;
  /** Settles when the transfer has ended and everything of it is put away. */
  readonly receipt: Promise<Receipt>;
  readonly startedAt = new Date();
  /** Where it is received to, once it is known. */
  place: TargetPlace | undefined;
  /** Receiving: the sender has said that it has the receipt, so that it won't go on with this. */
  isAcknowledged = false;
  readonly #isDryRun: boolean;
  readonly #host: TransferHost;
  readonly #wanted: { readonly count: number; readonly bytes: number };
  /** No slots until memory for them is set aside. */
  #plan: SharedPlan = planMemory(0, 0);
  #giveBack = () => {};
  #counters = new SharedCounters(this.#plan);
  readonly #outcomes: Outcomes;
  readonly #lanes: LaneGroup;
  /** What bounds the bytes of files: its own limit, then that of the process. Answers are not held back. */
  readonly #pace: readonly LimitedFlow[];
  readonly #settle: PromiseWithResolvers<Receipt>;
  readonly #answerSlots: Slot[] = [];
  #line: WorkerLine | undefined;
  #phase: Phase = 'waiting';
  #current: string | undefined;
  #text: Buffer | undefined;
  /** Bytes of frames that the worker has made and no socket has taken yet. */
  #queued = 0;
  /** Bytes of answers that no socket has taken yet, and the slots that are not free before it has. */
  #untaken = 0;
  readonly #withheld: number[] = [];
  #movingSince = 0;
  #digests: { readonly manifest: Buffer; readonly outcomes: Buffer } | undefined;
  #theirs: MessageOf<'receipt'> | undefined;
  #ours: { readonly body: string; readonly signature: string } | undefined;
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
    this.#isDryRun = options.dryRun ?? false;
    this.chunk = options.chunk;
    this.#settle = Promise.withResolvers();
    this.receipt = this.#settle.promise;
    // Whoever started it may look at the result later, or never.
    this.receipt.catch(() => {});
    this.#wanted = plan(options.lanes, options.chunk);
    // A receiver starts at once. A sender waits for an answer first, and what was only asked for keeps nobody out.
    if (options.direction === 'receive') this.#reserve();
    this.#outcomes = new Outcomes(host.receiptFiles);
    const limit = maxPayload(options.chunk);
    const slots = this.#incomingSlots(options.lanes);
    const own = options.limit === undefined ? undefined : new Limiter(options.limit);
    this.#pace = [own, host.limiter].flatMap((limiter) => limiter?.flow() ?? []);
    const pace = options.direction === 'send' ? this.#pace : [];
    this.#lanes = new LaneGroup(
      { limit, slots, maxRecords: host.maxRecords, pace },
      {
        frame: (slot) => this.#takeFrame(slot),
        worn: () => host.moreLanes(this),
        ended: (reason) => this.#laneLost(reason),
      },
    );
  }

  /** Starts to read and send. What keeps it from that ends it, which its receipt tells. */
  startSource(roots: readonly SourceSpec[], how: SourceHow = {}): void {
    const { rules, follow = false, group, seal } = how;
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
      plan: this.#plan,
      chunk: this.chunk,
      roots,
      rules,
      follow,
      group,
      seal,
    });
  }

  /** Starts to receive and write. */
  startTarget(place: TargetPlace, existing: ExistingPolicy): void {
    this.place = place;
    const line = this.#open();
    line.post({
      kind: 'target',
      transfer: line.transfer,
      plan: this.#plan,
      chunk: this.chunk,
      existing,
      place,
    });
  }

  /** Takes a lane whose proof has been exchanged. */
  addLane(socket: TLSSocket, number: number): void {
    if (this.#phase === 'over') {
      socket.destroy();
      return;
    }
    clearTimeout(this.#patience);
    this.#lanes.add(socket, number);
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
    if (!this.#digests) await this.cancel(error);
  }

  /** The connection is gone. */
  lost(reason: LocalstreamError): void {
    // A receiver has committed and signed by then: that stands, whether the sender has heard of it or not.
    if (this.direction === 'receive' && this.#ours) this.#finish();
    else this.#fail(reason);
  }

  /** The other side has cancelled it. */
  takeCancel(message: MessageOf<'cancel'>): void {
    const error = errorFromPeer(message.flag, message.detail);
    this.#discard = message.discard ?? false;
    this.#fail(
      error.code === 'CANCELLED' ? errorOf('CLOSED', 'the other side cancelled the transfer') : error,
    );
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
    if (this.direction !== 'receive' || !this.#ours) {
      void this.cancel(errorOf('BAD_MESSAGE', 'an acknowledgement came unasked'));
      return;
    }
    this.isAcknowledged = true;
    this.#finish();
  }

  progress(): Progress {
    const { files, filesTotal, bytesTotal, bytesSkipped, totalsKnown } = this.#counters;
    return {
      transferId: this.id,
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
    return Math.max(0, this.#counters.bytes - this.#counters.bytesSkipped - this.#queued);
  }

  /** Whether nothing is written, as far as this end knows: the sender of a get is not told. */
  get isDryRun(): boolean {
    return this.#isDryRun || (this.place?.dryRun ?? false);
  }

  info(): TransferInfo {
    const progress = this.progress();
    const seconds = this.#movingSince === 0 ? 0 : (performance.now() - this.#movingSince) / 1000;
    const bytesPerSecond = seconds > 0 ? this.bytesMoved / seconds : 0;
    return { ...progress, peer: this.#host.peer.name, bytesPerSecond, startedAt: this.startedAt };
  }

  /** Sets memory for frames aside. Throws BUSY. */
  #reserve(): void {
    const { count, bytes } = this.#wanted;
    const { pool, peer } = this.#host;
    this.#giveBack = pool.reserve(count * bytes, peer.fingerprint);
    this.#plan = planMemory(count, bytes);
    this.#counters = new SharedCounters(this.#plan);
  }

  #open(group?: number): WorkerLine {
    if (this.#phase !== 'waiting') throw errorOf('CLOSED', 'the transfer has begun or ended already');
    if (this.direction === 'send') this.#reserve();
    this.#phase = 'moving';
    this.#movingSince = performance.now();
    this.#line = this.#host.pool.line((message) => this.#fromWorker(message), group);
    if (this.#lanes.size === 0)
      this.#patience = setTimeout(
        () => void this.cancel(errorOf('TIMEOUT', 'the other side opened no lane')),
        LANE_PATIENCE,
      ).unref();
    return this.#line;
  }

  /** A sender takes answers into small private slots, a receiver takes files into the memory that its worker sees. */
  #incomingSlots(lanes: number): Slot[] {
    if (this.direction === 'receive')
      return Array.from({ length: this.#plan.slots }, (_, number) => ({
        number,
        bytes: slotBytes(this.#plan, number),
      }));
    const size = HEADER_BYTES + MAX_META_PAYLOAD;
    return Array.from({ length: lanes + 2 }, (_, number) => ({
      number,
      bytes: Buffer.allocUnsafeSlow(size),
    }));
  }

  #takeFrame(slot: Slot): void {
    const line = this.#line;
    const length = HEADER_BYTES + slot.bytes.readUInt32BE(0);
    if (!line) throw errorOf('BAD_MESSAGE', 'a frame came before its transfer began');
    if (this.direction === 'receive') {
      // What waits here keeps its slot: there is none left to read into, and TCP stops the sender.
      passAll(this.#pace, length, () => {
        line.post({ kind: 'frame', transfer: line.transfer, slot: slot.number, length });
      });
      return;
    }
    if (length > slot.bytes.length) throw errorOf('LIMIT', 'an answer is too long');
    this.#answerSlots.push(slot);
    line.post({
      kind: 'answer',
      transfer: line.transfer,
      frame: new Uint8Array(slot.bytes.subarray(0, length)),
    });
  }

  #fromWorker(message: FromWorker): void {
    switch (message.kind) {
      case 'frame':
        this.#sendSlot(message.slot, message.length);
        return;
      case 'slot':
        this.#withheld.push(message.slot);
        this.#releaseSlots();
        return;
      case 'emit':
        this.#answer(Buffer.from(message.frame.buffer, message.frame.byteOffset, message.frame.byteLength));
        return;
      case 'taken': {
        const slot = this.#answerSlots.shift();
        if (slot) this.#lanes.release(slot);
        return;
      }
      case 'settled':
        this.#host.settled(this, this.#outcomes.add(message.rows), savedNames(message.rows));
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

  /** Whoever sends and never reads what is answered would fill the memory here: it has to wait. */
  #answer(frame: Buffer): void {
    this.#untaken += frame.length;
    this.#lanes.send(frame, () => {
      this.#untaken -= frame.length;
      this.#releaseSlots();
    });
  }

  #releaseSlots(): void {
    if (this.#untaken > MOST_UNTAKEN) return;
    for (const number of this.#withheld.splice(0))
      this.#lanes.release({ number, bytes: slotBytes(this.#plan, number) });
  }

  #sendSlot(slot: number, length: number): void {
    const line = this.#line;
    this.#queued += length;
    this.#lanes.send(slotBytes(this.#plan, slot).subarray(0, length), () => {
      this.#queued -= length;
      if (this.#phase !== 'over') line?.post({ kind: 'slot', transfer: line.transfer, slot });
    });
  }

  #workerFailed(message: Extract<FromWorker, { kind: 'failed' }>): void {
    const cause = message.detail === '' ? undefined : new Error(message.detail);
    void this.cancel(errorOf(message.code, message.message, { cause }));
  }

  #finished(manifest: Buffer, outcomes: Buffer): void {
    if (this.#failure) return;
    this.#digests = { manifest, outcomes };
    this.#phase = 'committing';
    if (this.direction === 'send') this.#conclude();
    else void this.#sign().catch((error) => this.cancel(wrap(error)));
  }

  /** The receiver: signs what was committed and waits until the sender has it. */
  async #sign(): Promise<void> {
    const { identity, peer } = this.#host;
    if (!this.#digests) return;
    const { files, bytes, failed, skipped } = this.#outcomes;
    const body = writeBody(
      {
        session: peer.id,
        transfer: this.id,
        sender: peer.fingerprint,
        receiver: identity.fingerprint,
        manifest: this.#digests.manifest.toString('hex'),
        outcomes: this.#digests.outcomes.toString('hex'),
        files,
        bytes,
        failed,
        skipped,
        at: new Date().toISOString(),
      },
      this.#outcomes.list(),
    );
    const signature = encodeBytes(await signReceipt(identity, Buffer.from(body)));
    if (this.#failure) return;
    this.#ours = { body, signature };
    this.#host.send({ type: 'receipt', transfer: this.id, body, signature });
    // What is committed stays committed, whether the sender hears of it or not.
    this.#patience = setTimeout(() => this.#finish(), LANE_PATIENCE).unref();
  }

  /** The sender: both its worker and the receiver say that all is done; now they must say the same. */
  #conclude(): void {
    const theirs = this.#theirs;
    const digests = this.#digests;
    if (!theirs || !digests) return;
    const { identity, peer, peerKey } = this.#host;
    try {
      if (!verifyReceipt(peerKey, Buffer.from(theirs.body), theirs.signature))
        throw errorOf('INTEGRITY', 'the receipt is not signed by the receiver');
      const body = readBody(theirs.body);
      const same =
        body.session === peer.id &&
        body.transfer === this.id &&
        body.sender === identity.fingerprint &&
        body.receiver === peer.fingerprint &&
        body.manifest === digests.manifest.toString('hex') &&
        body.outcomes === digests.outcomes.toString('hex');
      if (!same) throw errorOf('INTEGRITY', 'the receipt is not about what was sent');
    } catch (error) {
      void this.cancel(wrap(error));
      return;
    }
    this.#ours = { body: theirs.body, signature: encodeBytes(theirs.signature) };
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
    if (this.#digests || this.#broken) return;
    if (reason.code !== 'LOST' && reason.code !== 'CLOSED') {
      void this.cancel(reason);
      return;
    }
    const lost = errorOf('LOST', `the connection was lost: ${reason.message}`, { cause: reason });
    clearTimeout(this.#patience);
    this.#broken = true;
    this.#patience = setTimeout(() => this.#fail(lost), WORD_PATIENCE).unref();
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
    this.#counters.aborted = true;
    this.#closeLanes();
    this.#endWorker();
  }

  #endWorker(): void {
    const line = this.#line;
    if (line) line.post({ kind: 'end', transfer: line.transfer, discard: this.#discard });
    else this.#over();
  }

  #closeLanes(): void {
    this.#lanes.close();
    for (const flow of this.#pace) flow.close();
  }

  #over(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    clearTimeout(this.#patience);
    this.#line?.release();
    this.#giveBack();
    this.#closeLanes();
    if (this.#failure) this.#settle.reject(this.#failure);
    else if (this.#ours && this.#digests) this.#settle.resolve(this.#makeReceipt(this.#ours, this.#digests));
    else this.#settle.reject(errorOf('LOST'));
  }

  #makeReceipt(
    signed: { readonly body: string; readonly signature: string },
    digests: { readonly manifest: Buffer; readonly outcomes: Buffer },
  ): Receipt {
    const { peer, identity } = this.#host;
    const { files, bytes, failed, skipped, linked, entries } = this.#outcomes;
    const outcomes = this.#outcomes.list();
    const only = entries === 1 ? outcomes[0]?.digest : undefined;
    return {
      transferId: this.id,
      direction: this.direction,
      peer,
      files,
      bytes,
      bytesMoved: this.bytesMoved,
      seconds: (performance.now() - this.#movingSince) / 1000,
      digest: only ?? digestOf(Buffer.concat([digests.manifest, digests.outcomes])).toString('hex'),
      outcomes,
      failed,
      skipped,
      linked,
      code: this.#outcomes.code(),
      ...(this.#text && { text: this.#text }),
      signature: signed.signature,
      body: signed.body,
      signedBy: this.direction === 'receive' ? identity.fingerprint : peer.fingerprint,
    };
  }
}

function savedNames(rows: readonly Settled[]): SavedNames {
  return rows.flatMap(({ path, saved }) => (saved === undefined ? [] : [[path, saved] as const]));
}

function wrap(error: unknown): LocalstreamError {
  return error instanceof LocalstreamError
    ? error
    : errorOf('INTERNAL', 'the transfer failed', { cause: error });
}

function plan(lanes: number, chunk: number): { readonly count: number; readonly bytes: number } {
  const bytes = Math.ceil((HEADER_BYTES + maxPayload(chunk)) / SLOT_ALIGN) * SLOT_ALIGN;
  const wanted = lanes * 2 + 2;
  return { count: Math.max(lanes + 2, Math.min(wanted, Math.floor(SLOT_MEMORY / bytes))), bytes };
}
