/**
 * Carries the frames of one end of a transfer between its lanes and its worker. Slots are the back-pressure both ways:
 * what has not been taken keeps its slot, and without a free one nothing is read.
 */
import type { TLSSocket } from 'node:tls';
import { errorOf } from '../errors.ts';
import { CreditWindow, SourceCredit } from '../net/credit.ts';
import { LaneGroup, type LaneGroupEvents } from '../net/lane-group.ts';
import type { Slot } from '../net/lane-socket.ts';
import type { Limiter, Pace } from '../net/limiter.ts';
import { HEADER_BYTES, MAX_META_PAYLOAD, maxPayload, OFFSET_BYTES } from '../protocol/frame.ts';
import type { WorkerLine } from '../transfer/pool.ts';
import {
  type FromWorker,
  planMemory,
  SharedCounters,
  type SharedPlan,
  slotBytes,
} from '../transfer/worker-messages.ts';
import type { Direction } from './report.ts';

/** Slots of one end, in bytes, unless the lanes need more. */
const SLOT_MEMORY = 64 * 1024 * 1024;
const SLOT_ALIGN = 64;
/** Bytes of answers that the other end has not taken, above which none of its frames is taken either. */
const MOST_UNTAKEN = 4 * 1024 * 1024;

export interface FrameRelayOptions {
  readonly direction: Direction;
  readonly chunk: number;
  readonly lanes: number;
  /** TLS records after which a lane is replaced. */
  readonly maxRecords: number;
  /** What bounds the bytes of files, each in its turn. Answers are not held back. */
  readonly limiters: readonly Limiter[];
  /** Sets so many bytes of memory aside; what it returns gives them back. Throws BUSY. */
  reserve(bytes: number): () => void;
}

/** What a worker says of frames. */
export type WorkerFrame = Extract<FromWorker, { kind: 'frame' | 'slot' | 'emit' | 'taken' }>;

export class FrameRelay {
  /** Sending: what the other end lets leave. */
  readonly credit = new SourceCredit();
  /** Receiving under a bound: what the other end may send. */
  readonly window: CreditWindow | undefined;
  readonly #options: FrameRelayOptions;
  /** No slots until memory for them is set aside. */
  #plan: SharedPlan = planMemory(0, 0);
  #counters = new SharedCounters(this.#plan);
  #giveBack = () => {};
  readonly #lanes: LaneGroup;
  readonly #pace: readonly Pace[];
  #line: WorkerLine | undefined;
  /** Receiving answers: the slots whose frames the worker has not taken, the oldest first. */
  readonly #answerSlots: Slot[] = [];
  #queued = 0;
  /** Bytes of answers that no socket has taken yet, and the slots that are not free before it has. */
  #untaken = 0;
  readonly #withheld: number[] = [];
  #closed = false;

  /** Throws BUSY. */
  constructor(options: FrameRelayOptions, events: Omit<LaneGroupEvents, 'frame'>) {
    const { direction, chunk, maxRecords, limiters } = options;
    this.#options = options;
    // A receiver starts at once. A sender waits for an answer first, and what was only asked for keeps nobody out.
    if (direction === 'receive') this.reserve(chunk);
    // Credit comes first: what waits for the other end takes nothing from those who could send.
    this.#pace = direction === 'send' ? [this.credit, ...limiters.map((limiter) => limiter.flow())] : [];
    if (direction === 'receive' && limiters.length > 0)
      this.window = new CreditWindow(limiters, HEADER_BYTES + OFFSET_BYTES + chunk);
    this.#lanes = new LaneGroup(
      {
        limit: maxPayload(chunk),
        slots: this.#incomingSlots(),
        maxRecords,
        pace: this.#pace,
      },
      { ...events, frame: (slot) => this.#takeFrame(slot) },
    );
  }

  /** The memory that the worker sees too. */
  get plan(): SharedPlan {
    return this.#plan;
  }

  get counters(): SharedCounters {
    return this.#counters;
  }

  get hasLane(): boolean {
    return this.#lanes.size > 0;
  }

  /** Bytes of frames that the worker has made and no socket has taken yet. */
  get queued(): number {
    return this.#queued;
  }

  /** Sets memory for frames of this chunk aside. Throws BUSY. */
  reserve(chunk: number): void {
    const { lanes, reserve } = this.#options;
    const { count, bytes } = slotsFor(lanes, chunk);
    this.#giveBack = reserve(count * bytes);
    this.#plan = planMemory(count, bytes);
    this.#counters = new SharedCounters(this.#plan);
  }

  /** From now on frames have a worker to go to. */
  join(line: WorkerLine): void {
    this.#line = line;
  }

  /** Takes a lane whose proof has been exchanged. */
  addLane(socket: TLSSocket, number: number): void {
    this.#lanes.add(socket, number);
  }

  take(message: WorkerFrame): void {
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
      }
    }
  }

  /** Closes the lanes: no frame crosses any more. `isComplete`: none was on its way. */
  close(isComplete = false): void {
    this.#closed = true;
    this.#lanes.close();
    for (const pace of this.#pace) pace.close();
    this.window?.close(isComplete);
  }

  /** The worker does not use the memory any more. */
  release(): void {
    this.#giveBack();
  }

  /** A sender takes answers into small private slots, a receiver takes files into the memory that its worker sees. */
  #incomingSlots(): Slot[] {
    const { direction, lanes } = this.#options;
    if (direction === 'receive')
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
    if (this.#options.direction === 'receive') {
      const pass = () => line.post({ kind: 'frame', transfer: line.transfer, slot: slot.number, length });
      // What waits there keeps its slot: there is none left to read into, and TCP stops the sender.
      if (this.window) this.window.take(length, pass);
      else pass();
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

  #sendSlot(slot: number, length: number): void {
    const line = this.#line;
    this.#queued += length;
    this.#lanes.send(slotBytes(this.#plan, slot).subarray(0, length), () => {
      this.#queued -= length;
      if (!this.#closed) line?.post({ kind: 'slot', transfer: line.transfer, slot });
    });
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
}

function slotsFor(lanes: number, chunk: number): { readonly count: number; readonly bytes: number } {
  const bytes = Math.ceil((HEADER_BYTES + maxPayload(chunk)) / SLOT_ALIGN) * SLOT_ALIGN;
  const wanted = lanes * 2 + 4;
  return { count: Math.max(lanes + 2, Math.min(wanted, Math.floor(SLOT_MEMORY / bytes))), bytes };
}
