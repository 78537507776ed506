/**
 * A bound on bytes a second, shared fairly: of the flows that wait, the one that has had the least goes first
 * (start-time fair queueing), whatever the size of its frames.
 */

/** Bytes may be sent ahead of the clock by what this many milliseconds allow: timers are late, the bound holds anyway. */
const BURST = 50;

interface Waiting {
  readonly flow: LimitedFlow;
  readonly bytes: number;
  readonly go: () => void;
}

export class Limiter {
  readonly #bytesPerSecond: number;
  readonly #waiting: Waiting[] = [];
  /** When the bytes that were granted so far are paid for, by `performance.now()`. */
  #paid = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #virtual = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** A new taker, who starts level with the others. */
  flow(): LimitedFlow {
    return new LimitedFlow(this);
  }

  /** @internal */
  wait(flow: LimitedFlow, bytes: number, go: () => void): void {
    flow.served = Math.max(flow.served, this.#virtual);
    this.#waiting.push({ flow, bytes, go });
    this.#next();
  }

  #next(): void {
    if (this.#timer !== undefined || this.#waiting.length === 0) return;
    const now = performance.now();
    this.#paid = Math.max(this.#paid, now - BURST);
    const early = this.#paid - now;
    if (early > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#next();
      }, early);
      return;
    }
    let chosen = 0;
    for (const [index, { flow }] of this.#waiting.entries())
      if (flow.served < (this.#waiting[chosen]?.flow.served ?? 0)) chosen = index;
    const [next] = this.#waiting.splice(chosen, 1);
    if (!next) return;
    this.#virtual = next.flow.served;
    next.flow.served += next.bytes;
    this.#paid += (next.bytes / this.#bytesPerSecond) * 1000;
    next.go();
    this.#next();
  }
}

/** One taker of a {@link Limiter}; it asks for one frame at a time. */
export class LimitedFlow {
  readonly #limiter: Limiter;
  /** @internal Bytes on the limiter's own clock. */
  served = 0;

  /** @internal See {@link Limiter.flow}. */
  constructor(limiter: Limiter) {
    this.#limiter = limiter;
  }

  /** Calls `go` when `bytes` may be sent. */
  request(bytes: number, go: () => void): void {
    this.#limiter.wait(this, bytes, go);
  }
}

/** The largest frame with which a limit still is a flow and not a row of bursts, in bytes. */
export function pacedChunk(chunk: number, smallest: number, bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return chunk;
  return Math.max(smallest, Math.min(chunk, Math.floor(bytesPerSecond / 20)));
}
