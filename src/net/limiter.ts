/**
 * A bound on bytes a second, shared fairly: of the flows that wait, the one that has had the least goes first
 * (start-time fair queueing), whatever the size of its frames.
 */

/** Bytes may cross ahead of the clock by what this many milliseconds allow: timers are late, the bound holds anyway. */
const BURST = 50;
/** What is asked for ahead of its bytes may be ahead of them by what so many milliseconds allow, at all flows together. */
const AHEAD = 200;
/**
 * A flow has one frame under way at a time: it asks for the next one when that has left, some moments later. For so many
 * milliseconds those who have had more wait for it, or small frames would never get their share beside large ones.
 */
const COMEBACK = 20;

interface Waiting {
  readonly flow: LimitedFlow;
  readonly bytes: number;
  readonly go: () => void;
}

/** Something that lets bytes pass, in the order in which it was asked. */
export interface Pace {
  /** Calls `go` when `bytes` may cross. */
  request(bytes: number, go: () => void): void;
  /** Takes back what is still waited for. */
  close(): void;
}

export class Limiter {
  readonly bytesPerSecond: number;
  #waiting: Waiting[] = [];
  /** Flows that were let through a moment ago, and until when they are waited for. */
  readonly #expected = new Map<LimitedFlow, number>();
  /** When the bytes that were granted so far are paid for, by `performance.now()`. */
  #paid = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #virtual = 0;
  /** Flows that ask ahead. */
  readonly #ahead = new Set<LimitedFlow>();

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }

  /** A new taker, who starts level with the others. */
  flow(): LimitedFlow {
    return new LimitedFlow(this);
  }

  /** A taker that asks before its bytes come. */
  flowAhead(): LimitedFlow {
    const flow = this.flow();
    this.#ahead.add(flow);
    return flow;
  }

  /** @internal */
  get windowBytes(): number {
    return (this.bytesPerSecond * AHEAD) / 1000 / Math.max(1, this.#ahead.size);
  }

  /** @internal */
  wait(flow: LimitedFlow, bytes: number, go: () => void): void {
    // Whoever was away has no claim to what it did not use meanwhile.
    if ((this.#expected.get(flow) ?? 0) < performance.now())
      flow.served = Math.max(flow.served, this.#virtual);
    this.#expected.delete(flow);
    this.#waiting.push({ flow, bytes, go });
    this.#next();
  }

  /** @internal */
  leave(flow: LimitedFlow, unused: number): void {
    this.#ahead.delete(flow);
    this.#paid -= (unused / this.bytesPerSecond) * 1000;
    this.#expected.delete(flow);
    this.#waiting = this.#waiting.filter((waiting) => waiting.flow !== flow);
    this.#next();
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (;;) {
      const chosen = this.#leastServed();
      if (!chosen) return;
      const now = performance.now();
      this.#paid = Math.max(this.#paid, now - BURST);
      const from = Math.max(this.#paid, this.#comeback(chosen.flow, now));
      if (from > now) {
        // Whoever was let through may have asked again, and set one meanwhile.
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#next(), from - now);
        return;
      }
      this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
      const { flow, bytes } = chosen;
      this.#virtual = flow.served;
      flow.served += bytes;
      this.#paid += (bytes / this.bytesPerSecond) * 1000;
      this.#expected.set(flow, now + COMEBACK);
      chosen.go();
    }
  }

  #leastServed(): Waiting | undefined {
    let least = this.#waiting[0];
    for (const waiting of this.#waiting)
      if (least && waiting.flow.served < least.flow.served) least = waiting;
    return least;
  }

  /** Until when a flow has to wait for one that has had less and is about to ask. */
  #comeback(flow: LimitedFlow, now: number): number {
    let until = 0;
    for (const [other, time] of this.#expected) {
      if (time <= now) this.#expected.delete(other);
      else if (other.served < flow.served) until = Math.max(until, time);
    }
    return until;
  }
}

/** One taker of a {@link Limiter}. */
export class LimitedFlow implements Pace {
  readonly #limiter: Limiter;
  /** @internal Bytes on the limiter's own clock. */
  served = 0;

  /** @internal See {@link Limiter.flow}. */
  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Bytes by which it may be ahead: an equal part of what all that ask ahead may be together. */
  get windowBytes(): number {
    return this.#limiter.windowBytes;
  }

  request(bytes: number, go: () => void): void {
    this.#limiter.wait(this, bytes, go);
  }

  /**
   * Takes back what it still waits for: nobody else is held up by it, nor the end of the process. `unused` are bytes that
   * it was let through with and that will not cross: they are for others.
   */
  close(unused = 0): void {
    this.#limiter.leave(this, unused);
  }
}

/** Calls `go` when `bytes` have passed all of these, one after the other. */
export function passAll(paces: readonly Pace[], bytes: number, go: () => void): void {
  const [pace, ...rest] = paces;
  if (pace) pace.request(bytes, () => passAll(rest, bytes, go));
  else go();
}

/** The largest frame with which a limit still is a flow and not a row of bursts, in bytes. */
export function pacedChunk(chunk: number, smallest: number, bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return chunk;
  return Math.max(smallest, Math.min(chunk, Math.floor(bytesPerSecond / 20)));
}
