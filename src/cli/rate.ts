/**
 * Share done, speed and time left, smoothed. The clock is an argument, so that it can be tested without one.
 */
import type { Progress } from '../index.ts';

/** Milliseconds after which a past speed counts half. */
const HALF_LIFE = 2000;
/** Samples closer together than this are one: a burst of events says nothing about speed. */
const SHORTEST_SAMPLE = 100;
/** Before this, milliseconds, a speed is a guess. */
const WARM_UP = 500;
/** Within this share of the shown time left, it only counts down: an estimate that dances can't be read. */
const ETA_SLACK = 0.15;

/** Follows the bytes of one transfer. */
export class RateMeter {
  #bytes: number;
  #at: number;
  readonly #startBytes: number;
  readonly #startAt: number;
  /** Weighted sums of bytes and of milliseconds; their quotient is unbiased from the first sample on. */
  #moved = 0;
  #elapsed = 0;
  #eta: { readonly seconds: number; readonly at: number } | undefined;

  /** @param now Milliseconds of any monotonic clock. */
  constructor(bytes: number, now: number) {
    this.#bytes = this.#startBytes = bytes;
    this.#at = this.#startAt = now;
  }

  /** Takes in that `bytes` have crossed in all. */
  update(bytes: number, now: number): void {
    const span = now - this.#at;
    if (span < SHORTEST_SAMPLE) return;
    const decay = 0.5 ** (span / HALF_LIFE);
    this.#moved = this.#moved * decay + Math.max(0, bytes - this.#bytes);
    this.#elapsed = this.#elapsed * decay + span;
    this.#bytes = bytes;
    this.#at = now;
  }

  /** Bytes a second lately; undefined while too little has been seen. */
  get perSecond(): number | undefined {
    if (this.#at - this.#startAt < WARM_UP) return undefined;
    return (this.#moved / this.#elapsed) * 1000;
  }

  /** Bytes a second since the start. */
  average(now: number): number {
    return now > this.#startAt ? ((this.#bytes - this.#startBytes) / (now - this.#startAt)) * 1000 : 0;
  }

  /** Seconds left for `remaining` bytes; undefined while it can't be told. */
  eta(remaining: number, now: number): number | undefined {
    const rate = this.perSecond;
    if (rate === undefined || rate <= 0) return undefined;
    const fresh = remaining / rate;
    const shown = this.#eta === undefined ? undefined : this.#eta.seconds - (now - this.#eta.at) / 1000;
    const isSteady =
      shown !== undefined && shown > 0 && Math.abs(fresh - shown) <= Math.max(1, shown * ETA_SLACK);
    if (isSteady) return shown;
    this.#eta = { seconds: fresh, at: now };
    return fresh;
  }
}

/** A share of 100, which only a receipt completes: 100 % is said when the receiver has committed. */
export function percentOf({
  bytes,
  bytesTotal,
  files,
  filesTotal,
  totalsKnown,
}: Progress): number | undefined {
  if (!totalsKnown) return undefined;
  const share = bytesTotal > 0 ? bytes / bytesTotal : filesTotal > 0 ? files / filesTotal : 0;
  return Math.min(99, Math.floor(share * 100));
}
