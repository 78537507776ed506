/** Shows how transfers go: bars in a terminal, events with `--json`, nothing otherwise. */
import type { Progress } from '../index.ts';
import type { ProgressEvent } from './events.ts';
import type { Output } from './output.ts';
import { Meters, type ProgressReporter } from './progress-meters.ts';
import type { Screen } from './screen.ts';

/** Milliseconds between two progress events of one transfer. */
const EVENT_STEP = 250;
/** A transfer that is over sooner, in milliseconds, is not worth a bar that flashes by. */
const BAR_DELAY = 200;

/** The reporter that suits an output. */
export function createProgress(output: Output, env: NodeJS.ProcessEnv = process.env): ProgressReporter {
  if (output.json) return new EventProgress(output);
  const isTerminal = output.screen.stderr.isTTY === true && env['TERM'] !== 'dumb' && !env['CI'];
  return isTerminal ? new BarProgress(output.screen) : { report() {}, [Symbol.dispose]() {} };
}

/** NDJSON: not more than four events a second for each transfer. */
class EventProgress implements ProgressReporter {
  readonly #output: Output;
  readonly #meters = new Meters();
  readonly #last = new Map<string, number>();

  constructor(output: Output) {
    this.#output = output;
  }

  report(progress: Progress): void {
    const now = performance.now();
    const measured = this.#meters.update(progress, now);
    const last = this.#last.get(progress.transferId);
    if (last !== undefined && now - last < EVENT_STEP) return;
    this.#last.set(progress.transferId, now);
    this.#output.event(progressEvent(progress, measured));
  }

  [Symbol.dispose](): void {}
}

/** The event of a report. */
function progressEvent(
  progress: Progress,
  measured: { readonly perSecond: number | undefined; readonly secondsLeft: number | undefined },
): ProgressEvent {
  const { transferId, peer, direction, phase, files, filesTotal, bytes, bytesTotal } = progress;
  const { totalsKnown, bytesSkipped } = progress;
  return {
    event: 'progress',
    transferId,
    peer,
    direction,
    phase,
    files,
    filesTotal,
    bytes,
    bytesTotal,
    totalsKnown,
    bytesSkipped,
    bytesPerSecond: measured.perSecond === undefined ? null : Math.round(measured.perSecond),
    secondsLeft: measured.secondsLeft === undefined ? null : Math.round(measured.secondsLeft),
    current: progress.current ?? null,
  };
}

/** Bars, loaded when a transfer has lasted long enough to want one. */
class BarProgress implements ProgressReporter {
  readonly #screen: Screen;
  readonly #latest = new Map<string, Progress>();
  #timer: NodeJS.Timeout | undefined;
  #bars: ProgressReporter | undefined;
  #isOver = false;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  report(progress: Progress): void {
    this.#latest.set(progress.transferId, progress);
    this.#bars?.report(progress);
    this.#timer ??= setTimeout(() => void this.#start(), BAR_DELAY).unref();
  }

  async #start(): Promise<void> {
    const { TerminalBars } = await import('./progress-bars.ts');
    if (this.#isOver) return;
    this.#bars = new TerminalBars(this.#screen);
    for (const progress of this.#latest.values()) this.#bars.report(progress);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#bars?.[Symbol.dispose]();
    this.#bars = undefined;
  }
}
