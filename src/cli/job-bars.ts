/** The lines above the prompt that say how far the jobs are. */
import { type BarState, peerLabel, renderLabelledBar } from './bar-line.ts';
import type { Job, Jobs } from './jobs.ts';
import { Meters } from './progress-meters.ts';
import { cut } from './text-width.ts';

/** More would push the prompt off a small screen. */
const MOST_LINES = 4;

/** Measures the jobs of a shell and writes a line for each. */
export class JobBars {
  readonly #jobs: Jobs;
  readonly #meters = new Meters();

  constructor(jobs: Jobs) {
    this.#jobs = jobs;
  }

  /** One line a running job, none wider than `columns`. */
  lines(columns: number): string[] {
    const running = this.#jobs.running;
    const shown = running.slice(0, running.length > MOST_LINES ? MOST_LINES - 1 : MOST_LINES);
    const lines = shown.map((job) => this.#line(job, columns));
    if (shown.length < running.length)
      lines.push(cut(`and ${running.length - shown.length} more: jobs`, columns));
    return lines;
  }

  #line({ number, transfers, line }: Job, columns: number): string {
    const label = `${number}: `;
    // A job with several receivers is as far as the last of them.
    const [slowest] = [...transfers.values()].sort((a, b) => a.bytes - b.bytes);
    if (slowest === undefined) return cut(`${label}${line.replaceAll(/\p{C}/gu, '?')}`, columns);
    const state: BarState = { progress: slowest, ...this.#meters.update(slowest, performance.now()) };
    const whose = transfers.size > 1 ? peerLabel(slowest) : '';
    return renderLabelledBar(`${label}${whose}`, state, columns);
  }
}
