/**
 * One lane: a TLS socket that carries frames. Payloads are decrypted straight into slots of shared memory, where a
 * worker finds them: no copy and no allocation a frame.
 *
 * Node offers that (`onread`) for sockets that are dialled, not for those that are accepted. This file, and no other,
 * reaches for the private fields behind it; where they are missing, `data` events and one copy do the same, slower.
 */
import type { TLSSocket } from 'node:tls';
import { errorOf, type LocalstreamError } from '../errors.ts';
import {
  FRAME,
  type FrameHeader,
  HEADER_BYTES,
  readHeader,
  sequenceDistance,
  stampSequence,
} from '../protocol/frame.ts';
import { connectionError } from './control-channel.ts';

/** A place for one frame. */
export interface Slot {
  readonly number: number;
  readonly bytes: Buffer;
}

export interface LaneEvents {
  /**
   * A free slot for the frame that begins, or undefined: then the lane pauses until {@link LaneSocket.resume}. Throws for
   * a frame that may not come now.
   */
  takeSlot(header: FrameHeader): Slot | undefined;
  frame(lane: LaneSocket, slot: Slot, header: FrameHeader): void;
  /** The other side writes no more frames on this lane. */
  retired(lane: LaneSocket): void;
  ended(lane: LaneSocket, reason: LocalstreamError): void;
}

/** Decrypted bytes that can still arrive after a pause: three TLS records and a little. */
const SPILL_BYTES = 64 * 1024;
const RECORD_BYTES = 16_384;

type Field = 'kBuffer' | 'kBufferCb' | 'kBufferGen';

/** The private fields of a net.Socket that `onread` sets, if this Node has them. */
function userBufferFields(socket: TLSSocket): Record<Field, symbol> | undefined {
  const found = new Map(Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]));
  const [kBuffer, kBufferCb, kBufferGen] = [
    found.get('kBuffer'),
    found.get('kBufferCb'),
    found.get('kBufferGen'),
  ];
  return kBuffer && kBufferCb && kBufferGen ? { kBuffer, kBufferCb, kBufferGen } : undefined;
}

interface NativeHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

function nativeHandle(socket: TLSSocket): NativeHandle | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) return undefined;
  return typeof handle.useUserBuffer === 'function' ? (handle as NativeHandle) : undefined;
}

export class LaneSocket {
  /** The number that was granted for it. */
  readonly number: number;
  /** True when payloads are decrypted into slots, false on the slower way over `data` events. */
  readonly direct: boolean;
  /** TLS records written and read: OpenSSL never changes keys by itself, so a lane is replaced in time. */
  records = 0;
  /** No more frames are written on it. */
  retiring = false;
  /** The other end writes no more frames on it. */
  peerRetired = false;
  /** Number of the last frame that began on it. */
  last: number | undefined;
  readonly #socket: TLSSocket;
  readonly #events: LaneEvents;
  readonly #limit: number;
  /** Headers have a place of their own: what a frame is must be known before it is given a slot. */
  readonly #head = Buffer.allocUnsafeSlow(HEADER_BYTES);
  readonly #spillBuffer = Buffer.allocUnsafeSlow(SPILL_BYTES);
  #spill: Buffer[] = [];
  #slot: Slot | undefined;
  /** Bytes of the present frame that are here. */
  #filled = 0;
  #header: FrameHeader | undefined;
  #target: Buffer;
  /** It takes its own frames apart, or hands one over: whoever calls back meanwhile must not do the same. */
  #busy = false;
  #writing = false;
  /** Why it ends once what came before is taken. */
  #fate: LocalstreamError | undefined;
  #ended = false;

  /** `limit` is the largest payload of a frame; the socket's proof has been exchanged and nothing read beyond it. */
  constructor(socket: TLSSocket, number: number, limit: number, events: LaneEvents) {
    this.#socket = socket;
    this.number = number;
    this.#limit = limit;
    this.#events = events;
    this.#target = this.#head;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.#closed(connectionError(error)));
    socket.on('end', () => this.#closed(errorOf('LOST', 'the lane was closed')));
    socket.on('close', () => this.#closed(errorOf('LOST', 'the lane was closed')));
    this.direct = this.#install();
    socket.resume();
  }

  /** True while a frame waits for a slot. */
  get #paused(): boolean {
    return this.#header !== undefined && this.#slot === undefined;
  }

  /** True while no write is under way. */
  get idle(): boolean {
    return !this.#writing && !this.#ended && !this.retiring;
  }

  /** Writes one finished frame; `done` follows when the socket has taken it. One at a time. */
  write(frame: Buffer, sequence: number, done: () => void): void {
    stampSequence(frame, sequence);
    this.#writing = true;
    this.records += Math.ceil(frame.length / RECORD_BYTES);
    this.#socket.write(frame, () => {
      this.#writing = false;
      done();
    });
  }

  /** Says that no frame follows on this lane; it closes once the other end has said so too. */
  retire(): void {
    if (this.retiring || this.#ended) return;
    this.retiring = true;
    const frame = Buffer.alloc(HEADER_BYTES);
    frame.writeUInt8(FRAME.retire, 4);
    this.#socket.write(frame, () => this.#closeIfRetired());
  }

  #closeIfRetired(): void {
    if (!this.retiring || !this.peerRetired || this.#writing || this.#ended) return;
    this.#ended = true;
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), 1000).unref();
  }

  /** A slot may be free again: goes on reading if the lane had paused. */
  resume(): void {
    if (this.#ended || this.#busy || !this.#paused) return;
    this.#advance(0);
    while (!this.#paused && !this.#ended && this.#spill.length > 0) this.#consumeSpill();
    if (this.#paused || this.#ended) return;
    if (this.#fate) this.#finish(this.#fate);
    else this.#socket.resume();
  }

  /** Closes at once; what was not taken by the other end is lost. */
  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #install(): boolean {
    const fields = userBufferFields(this.#socket);
    const handle = nativeHandle(this.#socket);
    if (!fields || !handle) {
      this.#socket.on('data', (chunk: Buffer) => this.#spillOver(chunk));
      return false;
    }
    const callback = (count: number, buffer: Uint8Array): boolean => {
      // The buffer is the one that was current when the read began: after a pause that is the spill.
      if (buffer.buffer === this.#spillBuffer.buffer)
        this.#spillOver(Buffer.from(this.#spillBuffer.subarray(0, count)));
      else this.#advance(count);
      return !this.#paused;
    };
    Reflect.set(this.#socket, fields.kBuffer, this.#target);
    Reflect.set(this.#socket, fields.kBufferGen, () => this.#target);
    Reflect.set(this.#socket, fields.kBufferCb, callback);
    handle.useUserBuffer(this.#target);
    return true;
  }

  /** `count` bytes have been placed at the target. */
  #advance(count: number): void {
    if (this.#ended || this.#busy) return;
    this.#filled += count;
    if (count > 1024) this.records += 1;
    this.#busy = true;
    try {
      this.#takeApart();
    } catch (error) {
      this.#finish(connectionError(error));
    } finally {
      this.#busy = false;
      // Until the socket is closed, what still comes must not land in memory that belongs to others by now.
      if (this.#ended) this.#target = this.#spillBuffer;
    }
  }

  /** Hands over what is whole, and chooses where the next bytes go: header, payload, or the spill where no slot is free. */
  #takeApart(): void {
    while (!this.#ended) {
      if (!this.#header) {
        this.#target = this.#head.subarray(this.#filled);
        if (this.#target.length > 0) return;
        this.#filled = 0;
        this.#header = this.#readHeader();
        continue;
      }
      if (!this.#slot && !this.#seat(this.#header)) {
        this.#target = this.#spillBuffer;
        return;
      }
      const slot = this.#slot;
      if (!slot) return;
      const end = HEADER_BYTES + this.#header.length;
      this.#target = slot.bytes.subarray(HEADER_BYTES + this.#filled, end);
      if (this.#target.length > 0) return;
      const header = this.#header;
      this.#slot = undefined;
      this.#header = undefined;
      this.#filled = 0;
      this.#events.frame(this, slot, header);
    }
  }

  /** Gives the frame that begins its slot, if there is one. */
  #seat(header: FrameHeader): boolean {
    const slot = this.#events.takeSlot(header);
    if (!slot) return false;
    // A frame that no slot could hold would otherwise wait for bytes that have no place.
    if (HEADER_BYTES + header.length > slot.bytes.length)
      throw errorOf('LIMIT', `a frame claims ${header.length} bytes, which are too many here`);
    this.#head.copy(slot.bytes);
    this.#slot = slot;
    return true;
  }

  #readHeader(): FrameHeader | undefined {
    const header = readHeader(this.#head, this.#limit);
    if (this.peerRetired) throw errorOf('BAD_MESSAGE', 'a frame came after the end of its lane');
    if (header.type === FRAME.retire) {
      if (header.length !== 0) throw errorOf('BAD_MESSAGE', 'a retire frame carries bytes');
      this.peerRetired = true;
      this.#events.retired(this);
      this.#closeIfRetired();
      return undefined;
    }
    if (this.last !== undefined && sequenceDistance(this.last, header.sequence) <= 0)
      throw errorOf('BAD_MESSAGE', 'a frame is out of its sequence');
    this.last = header.sequence;
    return header;
  }

  #spillOver(chunk: Buffer): void {
    if (this.#ended) return;
    this.#spill.push(chunk);
    while (!this.#paused && !this.#ended && this.#spill.length > 0) this.#consumeSpill();
    if (this.#paused && !this.direct) this.#socket.pause();
  }

  #consumeSpill(): void {
    const chunk = this.#spill.shift();
    if (!chunk) return;
    const count = chunk.copy(this.#target);
    if (count < chunk.length) this.#spill.unshift(chunk.subarray(count));
    this.#advance(count);
  }

  /** The socket has ended. Frames that came before that count, the one among them that retires the lane above all. */
  #closed(reason: LocalstreamError): void {
    if (this.#spill.length > 0) this.#fate ??= reason;
    else this.#finish(reason);
  }

  #finish(reason: LocalstreamError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#events.ended(this, reason);
  }
}
