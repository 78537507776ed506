/**
 * The lanes of one transfer as one ordered stream of frames in each direction. A frame goes out on whichever lane is
 * idle and is put back into its place by its sequence number.
 */
import type { TLSSocket } from 'node:tls';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { FrameHeader } from '../protocol/frame.ts';
import { type LaneEvents, LaneSocket, type Slot } from './lane-socket.ts';
import type { LimitedFlow } from './limiter.ts';

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
  /** Where incoming frames are put. At least one more than there will be lanes. */
  readonly slots: readonly Slot[];
  /** TLS records after which a lane is replaced. */
  readonly maxRecords: number;
  /** Bounds on what is sent; each must let a frame pass. */
  readonly pace?: readonly LimitedFlow[];
}

const SEQUENCE_MODULUS = 2 ** 32;

export class LaneGroup implements LaneEvents {
  readonly #options: LaneGroupOptions;
  readonly #events: LaneGroupEvents;
  readonly #lanes = new Set<LaneSocket>();
  readonly #worn = new Set<LaneSocket>();
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
    const lane = new LaneSocket(socket, number, this.#options.limit, this);
    if (this.#closed) lane.destroy();
    else this.#lanes.add(lane);
    // It asked for a slot before it was in the set.
    lane.resume();
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
    for (const lane of this.#lanes) lane.resume();
  }

  /** Closes all lanes at once. */
  close(): void {
    this.#closed = true;
    for (const lane of this.#lanes) lane.destroy();
    this.#lanes.clear();
    this.#outgoing.length = 0;
  }

  takeSlot(lane: LaneSocket): Slot | undefined {
    // One slot is left for each other lane: the frame that all wait for may come on any of them.
    let others = 0;
    for (const other of this.#lanes)
      if (other !== lane && !other.holdsSlot && !other.peerRetired) others += 1;
    return this.#free.length > others ? this.#free.pop() : undefined;
  }

  frame(lane: LaneSocket, slot: Slot, header: FrameHeader): void {
    this.#wear(lane);
    const ahead = (header.sequence - this.#expected + SEQUENCE_MODULUS) % SEQUENCE_MODULUS;
    if (ahead >= this.#options.slots.length || this.#waiting.has(header.sequence))
      throw errorOf('BAD_MESSAGE', 'a frame is out of its sequence');
    this.#waiting.set(header.sequence, { slot, header });
    for (;;) {
      const next = this.#waiting.get(this.#expected);
      if (!next) return;
      this.#waiting.delete(this.#expected);
      this.#expected = (this.#expected + 1) % SEQUENCE_MODULUS;
      this.#events.frame(next.slot, next.header);
    }
  }

  retired(lane: LaneSocket): void {
    // The other end opened another lane before it said so.
    lane.retire();
    this.#lanes.delete(lane);
    this.#worn.delete(lane);
    if (this.#lanes.size === 0) throw errorOf('BAD_MESSAGE', 'the last lane was retired');
    this.#flush();
  }

  ended(lane: LaneSocket, reason: LocalstreamError): void {
    if (this.#closed || !this.#lanes.delete(lane)) return;
    this.#events.ended(reason);
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

  /** Whether the frame at the head has passed all bounds; asks for it otherwise. */
  #mayGo(): boolean {
    const { pace } = this.#options;
    if (!pace || pace.length === 0 || this.#head === 'free') return true;
    if (this.#head === 'waiting') return false;
    this.#head = 'waiting';
    const bytes = this.#outgoing[0]?.frame.length ?? 0;
    const pass = (index: number): void => {
      const flow = pace[index];
      if (flow) {
        flow.request(bytes, () => pass(index + 1));
        return;
      }
      this.#head = 'free';
      this.#flush();
    };
    pass(0);
    return (this.#head as string) === 'free';
  }

  #idleLane(): LaneSocket | undefined {
    for (const lane of this.#lanes) if (lane.idle) return lane;
    return undefined;
  }

  #wear(lane: LaneSocket): void {
    if (lane.records < this.#options.maxRecords || lane.retiring || this.#worn.has(lane)) return;
    this.#worn.add(lane);
    this.#events.worn();
  }
}
