/**
 * Credit: how many bytes of frames may leave the source of a transfer. A target that only stops reading bounds what it
 * takes, but not what is on its way: the buffers of both systems fill first. So it says beforehand what may come.
 */
import { errorOf } from '../errors.ts';
import { type Limiter, type Pace, passAll } from './limiter.ts';

/** The least that is granted at once, in bytes. */
const LEAST_QUANTUM = 1024;
/** Parts in which a window is granted: what has come is granted anew while the rest is on its way. */
const QUANTA = 4;

/** The source's end. Until it is bound all may go. */
export class SourceCredit implements Pace {
  #balance = Number.POSITIVE_INFINITY;
  #waiting: { readonly bytes: number; readonly go: () => void } | undefined;

  /** From now on it waits for credit. */
  bind(): void {
    this.#balance = 0;
  }

  /** The target has granted so much. Throws BAD_MESSAGE where none is waited for, and for more than can be counted. */
  add(bytes: number): void {
    if (this.#balance + bytes > Number.MAX_SAFE_INTEGER)
      throw errorOf('BAD_MESSAGE', 'credit came unasked, or too much of it');
    this.#balance += bytes;
    this.#next();
  }

  /** One frame at a time. It goes when there is any credit, and the next ones wait for what is missing: all sizes get through. */
  request(bytes: number, go: () => void): void {
    this.#waiting = { bytes, go };
    this.#next();
  }

  close(): void {
    this.#waiting = undefined;
  }

  #next(): void {
    const waiting = this.#waiting;
    if (!waiting || this.#balance <= 0) return;
    this.#waiting = undefined;
    this.#balance -= waiting.bytes;
    waiting.go();
  }
}

/** The target's end: asks bounds for bytes before they come, grants them, and holds back what comes without a grant. */
export class CreditWindow {
  readonly #flows: readonly ReturnType<Limiter['flowAhead']>[];
  /** Bytes by which a source may overdraw. They are paid for beforehand and not granted. */
  readonly #overdraft: number;
  #grant: ((bytes: number) => void) | undefined;
  #asking = false;
  /** Bytes that have passed the bounds so far, and that have come. */
  #passed = 0;
  #arrived = 0;
  /** Frames that came ahead of what has passed: how many bytes had come with each. */
  readonly #held: { readonly arrived: number; readonly go: () => void }[] = [];

  /** @param frame is the length of the largest frame of file data, in bytes. */
  constructor(limiters: readonly Limiter[], frame: number) {
    this.#flows = limiters.map((limiter) => limiter.flowAhead());
    this.#overdraft = frame;
  }

  /** Begins to grant: the source knows that it has to wait. */
  open(grant: (bytes: number) => void): void {
    this.#grant = grant;
    this.#ask();
  }

  /** A frame of so many bytes has come: `go` is called when they have passed. */
  take(bytes: number, go: () => void): void {
    this.#arrived += bytes;
    this.#held.push({ arrived: this.#arrived, go });
    this.#release();
    this.#ask();
  }

  /** @param isComplete says that nothing is on its way any more: what was granted in vain is for others. */
  close(isComplete: boolean): void {
    this.#grant = undefined;
    const unused = isComplete ? Math.max(0, this.#passed - this.#arrived) : 0;
    for (const flow of this.#flows) flow.close(unused);
  }

  #ask(): void {
    const window = Math.min(...this.#flows.map(({ windowBytes }) => windowBytes));
    const quantum = Math.max(LEAST_QUANTUM, Math.floor(window / QUANTA));
    const outstanding = this.#passed - this.#arrived - this.#overdraft;
    if (!this.#grant || this.#asking || outstanding + quantum > Math.max(window, quantum)) return;
    this.#asking = true;
    const bytes = this.#passed === 0 ? this.#overdraft + quantum : quantum;
    passAll(this.#flows, bytes, () => {
      this.#asking = false;
      this.#passed += bytes;
      this.#grant?.(quantum);
      this.#release();
      this.#ask();
    });
  }

  #release(): void {
    for (;;) {
      const [next] = this.#held;
      if (!next || next.arrived > this.#passed) return;
      this.#held.shift();
      next.go();
    }
  }
}
