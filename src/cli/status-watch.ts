/** status --watch: the same again and again, with the speed of all transfers as a line that goes on. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from './context.ts';
import type { StatusEvent, TransferDetail } from './events.ts';
import { sparkline } from './sparkline.ts';
import { isUnicode } from './unicode.ts';
import { formatRate } from './units.ts';

/** Milliseconds between two looks. */
const STEP = 1000;
/** Figures that are remembered: more than a screen has columns for. */
const MOST_FIGURES = 500;
/** Columns that the words beside the line take. */
const WORDS = 'speed   999.9 MB/s, at most 999.9 MB/s'.length;

/** What `status` shows: the event, and the same as lines. */
export interface StatusLook {
  readonly event: StatusEvent;
  readonly lines: readonly string[];
}

/** Bytes a second of all transfers together, from one look to the next. */
export class Throughput {
  readonly #before = new Map<string, number>();
  #at: number | undefined;
  readonly figures: number[] = [];

  /** Takes in a look at some time, in milliseconds of any clock. The first one has nothing to compare with. */
  take({ listeners, session }: StatusEvent, at: number): void {
    const transfers = [...listeners.flatMap((listener) => listener.transfers), ...(session?.transfers ?? [])];
    let bytes = 0;
    for (const transfer of transfers) {
      const moved = movedBytes(transfer);
      // What began since the last look has moved all that it has since then.
      bytes += Math.max(0, moved - (this.#before.get(transfer.transferId) ?? 0));
    }
    const seconds = this.#at === undefined ? 0 : (at - this.#at) / 1000;
    this.#before.clear();
    for (const transfer of transfers) this.#before.set(transfer.transferId, movedBytes(transfer));
    this.#at = at;
    if (seconds <= 0) return;
    this.figures.push(bytes / seconds);
    if (this.figures.length > MOST_FIGURES) this.figures.shift();
  }
}

/** Bytes that had to cross. */
function movedBytes({ bytes, bytesSkipped }: TransferDetail): number {
  return Math.max(0, bytes - bytesSkipped);
}

/** Shows what `look` gives, once a second, until the command is stopped, which is its proper end. */
export async function watchStatus(
  { output, signal }: Context,
  look: () => Promise<StatusLook>,
): Promise<void> {
  const { screen, json } = output;
  const throughput = new Throughput();
  const isHere = screen.stderr.isTTY === true && screen.stdout.isTTY === true;
  using live = !json && isHere ? new (await import('./live-lines.ts')).LiveLines(screen) : undefined;
  let drawn = 0;
  while (!signal.aborted && !screen.isGone) {
    const { event, lines } = await look();
    throughput.take(event, performance.now());
    const columns = live?.columns ?? Math.max(1, screen.columns - 1);
    const shown = [...lines, speedLine(throughput, columns)];
    if (json) output.event(event);
    else if (live !== undefined) live.set(shown);
    else if (output.isTerminal) drawn = await drawAgain(output, shown, drawn, columns);
    else screen.out(`${shown.join('\n')}\n\n`);
    await screen.ready();
    await delay(STEP, undefined, { signal }).catch(() => {});
  }
}

/**
 * Draws over the last lines in the terminal of whoever has this server run the command: its size is known, but not when that
 * changes.
 */
async function drawAgain(
  { screen }: Context['output'],
  lines: readonly string[],
  before: number,
  columns: number,
): Promise<number> {
  const { cut } = await import('./text-width.ts');
  const back = before === 0 ? '' : `\x1b[${before}A\x1b[J`;
  screen.out(`${back}${lines.map((line) => `${cut(line, columns)}\n`).join('')}`);
  return lines.length;
}

function speedLine({ figures }: Throughput, columns: number): string {
  const now = figures.at(-1) ?? 0;
  const shown = figures.slice(-Math.max(1, columns - WORDS));
  const most = Math.max(0, ...shown);
  const line = sparkline(shown, shown.length, isUnicode());
  return `speed  ${line}  ${formatRate(now)}, at most ${formatRate(most)}`;
}
