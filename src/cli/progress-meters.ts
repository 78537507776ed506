/** What every way of showing progress is made of. */
import type { Progress } from '../index.ts';
import { RateMeter } from './rate.ts';

/** Is told how transfers go, and shows it until it is disposed of. */
export interface ProgressReporter extends Disposable {
  report(progress: Progress): void;
}

/** Bytes that had to cross, which are what a speed is about. */
function movedBytes({ bytes, bytesSkipped }: Progress): number {
  return Math.max(0, bytes - bytesSkipped);
}

/** Speed and time left of each of several transfers. */
export class Meters {
  readonly #meters = new Map<string, RateMeter>();
  /** How far each was when it last came further, and when that was. */
  readonly #steps = new Map<string, { readonly done: number; readonly at: number }>();

  /** Takes in a report; gives what can be told now. */
  update(
    progress: Progress,
    now: number,
  ): {
    perSecond: number | undefined;
    secondsLeft: number | undefined;
    idleSeconds: number;
  } {
    const moved = movedBytes(progress);
    let meter = this.#meters.get(progress.transferId);
    if (meter === undefined) {
      meter = new RateMeter(moved, now);
      this.#meters.set(progress.transferId, meter);
    }
    // Time spent waiting for an answer, or for a connection, is not slowness.
    if (progress.phase === 'waiting' || progress.phase === 'reconnecting')
      this.#meters.delete(progress.transferId);
    else meter.update(moved, now);
    const remaining = Math.max(0, progress.bytesTotal - progress.bytes);
    const secondsLeft = progress.totalsKnown ? meter.eta(remaining, now) : undefined;
    return { perSecond: meter.perSecond, secondsLeft, idleSeconds: this.#idleSeconds(progress, now) };
  }

  #idleSeconds({ transferId, phase, files, bytes }: Progress, now: number): number {
    const done = files + bytes;
    const last = this.#steps.get(transferId);
    if (last?.done === done && phase === 'moving') return (now - last.at) / 1000;
    this.#steps.set(transferId, { done, at: now });
    return 0;
  }
}
