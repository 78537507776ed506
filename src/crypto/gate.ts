import { errorOf } from '../errors.ts';

/** Lets a few tasks run at once and some more wait, first come first served; the rest is turned away at once. */
export class Gate {
  readonly #width: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** At most `width` tasks at once, at most `maxWaiting` behind them. */
  constructor(width: number, maxWaiting: number) {
    this.#width = width;
    this.#maxWaiting = maxWaiting;
  }

  /** Runs a task as soon as there is room. Throws an {@link UnavailableError} `BUSY` where too many wait already. */
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#running < this.#width) {
      this.#running += 1;
    } else {
      if (this.#waiting.length >= this.#maxWaiting) throw errorOf('BUSY');
      // Whoever ends hands its place on, so `#running` stays and no newcomer can overtake.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
