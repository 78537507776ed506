/**
 * The lanes of one transfer as one ordered stream of frames in each direction. A frame goes out on whichever lane is
 * idle and is put back into its place by its sequence number.
 */
import type { TLSSocket } from 'node:tls';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { type FrameHeader, SEQUENCE_MODULUS, sequenceDistance } from '../protocol/frame.ts';
import { type LaneEvents, LaneSocket, type Slot } from './lane-socket.ts';
import { type Pace, passAll } from './limiter.ts';

export interface LaneGroupEvents {
  /** Frames of the other end, in order. The slot is free again after {@link LaneGroup.release}. */
  frame(slot: Slot, header: FrameHeader): void;
  /** A lane has carried as many records as it may: the dialler opens another, which takes its place when it is added. */
  worn(): void;
  /** A lane broke. */
  ended(reason: LocalstreamError): void;
}

export interface LaneGroupOptions {
  /** Largest payload of a frame, in bytes. */
  readonly limit: number;
  /** Where incoming frames are put: more than there will be lanes, one of which may be on its way out. */
  readonly slots: readonly Slot[];
  /** TLS records after which a lane is replaced. */
  readonly maxRecords: number;
  /** What each frame that is sent has to pass. */
  readonly pace?: readonly Pace[];
  /** How long there may be no lane that could bring the next frame, in milliseconds. */
  readonly patience?: number;
}

/** The other end may use a lane, or retire the one before it, some moments before it has been proven here. */
const PATIENCE = 10_000;

export class LaneGroup implements LaneEvents {
  readonly #options: LaneGroupOptions;
  readonly #events: LaneGroupEvents;
  readonly #lanes = new Set<LaneSocket>();
  readonly #worn = new Set<LaneSocket>();
  /** One lane is replaced at a time, so that there is never more than one too many. */
  #replacing = false;
  #stuck: NodeJS.Timeout | undefined;
  readonly #free: Slot[];
  readonly #waiting = new Map<number, { readonly slot: Slot; readonly header: FrameHeader }>();
  readonly #outgoing: { readonly frame: Buffer; readonly done: () => void }[] = [];
  /** The frame at the head of the line: not asked for yet, being waited for, or free to go. */
  #head: 'new' | 'waiting' | 'free' = 'new';
  #sent = 0;
  #expected = 0;
  #closed = false;

  constructor(options: LaneGroupOptions, events: LaneGroupEvents) {
    this.#options = options;
    this.#events = events;
    this.#free = [...options.slots];
  }

  /** Lanes that carry frames. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Takes a socket whose proof has been exchanged. */
  add(socket: TLSSocket, number: number): void {
    if (this.#closed || this.#lanes.size >= this.#options.slots.length) {
      socket.destroy();
      if (!this.#closed) this.#events.ended(errorOf('LIMIT', 'there are too many lanes'));
      return;
    }
    this.#lanes.add(new LaneSocket(socket, number, this.#options.limit, this));
    this.#watch();
    for (const worn of this.#worn) {
      if (worn.retiring) continue;
      worn.retire();
      break;
    }
    this.#flush();
  }

  /** Puts a frame in line; `done` is called when the socket has taken its bytes. */
  send(frame: Buffer, done: () => void = () => {}): void {
    if (this.#closed) return;
    this.#outgoing.push({ frame, done });
    this.#flush();
  }

  /** A slot may be used again. */
  release(slot: Slot): void {
    if (this.#closed) return;
    this.#free.push(slot);
    this.#resume();
  }

  /** Closes all lanes at once. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#stuck);
    for (const lane of this.#lanes) lane.destroy();
    this.#lanes.clear();
    this.#outgoing.length = 0;
  }

  takeSlot(header: FrameHeader): Slot | undefined {
    const ahead = this.#ahead(header);
    // The last slot is for the frame that all others wait for, on whichever lane it comes.
    return ahead === 0 || this.#free.length > 1 ? this.#free.pop() : undefined;
  }

  frame(lane: LaneSocket, slot: Slot, header: FrameHeader): void {
    this.#wear(lane);
    // Asked again: the same number may have come by another lane meanwhile.
    this.#ahead(header);
    this.#waiting.set(header.sequence, { slot, header });
    let next = this.#waiting.get(this.#expected);
    if (!next) {
      this.#watch();
      return;
    }
    while (next && !this.#closed) {
      this.#waiting.delete(this.#expected);
      this.#expected = (this.#expected + 1) % SEQUENCE_MODULUS;
      this.#events.frame(next.slot, next.header);
      next = this.#waiting.get(this.#expected);
    }
    this.#watch();
    // Another frame is the one that may have the last slot now.
    this.#resume();
  }

  retired(lane: LaneSocket): void {
    lane.retire();
    this.#lanes.delete(lane);
    this.#worn.delete(lane);
    this.#replacing = false;
    for (const worn of this.#worn) this.#replace(worn);
    this.#watch();
    this.#flush();
  }

  ended(lane: LaneSocket, reason: LocalstreamError): void {
    const carried = this.#lanes.delete(lane);
    // That a retired lane is closed is as it should be.
    if (this.#closed || (!carried && reason.code === 'LOST')) return;
    this.#events.ended(reason);
  }

  /** How far ahead of its turn a frame is. Throws BAD_MESSAGE for one that has come already. */
  #ahead({ sequence }: FrameHeader): number {
    const ahead = sequenceDistance(this.#expected, sequence);
    if (ahead < 0 || this.#waiting.has(sequence))
      throw errorOf('BAD_MESSAGE', 'a frame is out of its sequence');
    return ahead;
  }

  /** Each lane keeps its order: where all are past the next frame, only one that is not here yet can bring it. */
  #watch(): void {
    const stuck = [...this.#lanes].every(
      ({ last }) => last !== undefined && sequenceDistance(this.#expected, last) > 0,
    );
    if (!stuck || this.#closed) {
      clearTimeout(this.#stuck);
      this.#stuck = undefined;
      return;
    }
    this.#stuck ??= setTimeout(
      () => this.#events.ended(errorOf('BAD_MESSAGE', 'a frame is missing')),
      this.#options.patience ?? PATIENCE,
    ).unref();
  }

  #resume(): void {
    for (const lane of this.#lanes) lane.resume();
  }

  #flush(): void {
    while (this.#outgoing.length > 0) {
      const lane = this.#idleLane();
      if (!lane || !this.#mayGo()) return;
      const next = this.#outgoing.shift();
      if (!next) return;
      this.#head = 'new';
      const sequence = this.#sent;
      this.#sent = (this.#sent + 1) % SEQUENCE_MODULUS;
      lane.write(next.frame, sequence, () => {
        this.#wear(lane);
        next.done();
        this.#flush();
      });
    }
  }

  /** Whether the frame at the head has passed all that; asks for it otherwise. */
  #mayGo(): boolean {
    const { pace } = this.#options;
    if (!pace || pace.length === 0 || this.#head === 'free') return true;
    if (this.#head === 'waiting') return false;
    this.#head = 'waiting';
    const bytes = this.#outgoing[0]?.frame.length ?? 0;
    passAll(pace, bytes, () => {
      this.#head = 'free';
      this.#flush();
    });
    return (this.#head as string) === 'free';
  }

  #idleLane(): LaneSocket | undefined {
    for (const lane of this.#lanes) if (lane.idle) return lane;
    return undefined;
  }

  #wear(lane: LaneSocket): void {
    if (lane.records < this.#options.maxRecords || lane.retiring || this.#worn.has(lane)) return;
    this.#worn.add(lane);
    this.#replace(lane);
  }

  #replace(lane: LaneSocket): void {
    if (this.#replacing || lane.retiring) return;
    this.#replacing = true;
    this.#events.worn();
  }
}
