/** Several bars at the bottom of a terminal, drawn by cli-progress on a cursor of our own. */
import { clearScreenDown, cursorTo, moveCursor } from 'node:readline';
import { MultiBar, type Options, type SingleBar } from 'cli-progress';
import type { Progress } from '../index.ts';
import { peerLabel, renderLabelledBar } from './bar-line.ts';
import { Meters, type ProgressReporter } from './progress-meters.ts';
import type { Overlay, Screen, Stream } from './screen.ts';
import { widthOf } from './text-width.ts';

const FRAMES_A_SECOND = 8;

/** Draws until it is disposed of, and then leaves no trace: the receipt is what stays. */
export class TerminalBars implements ProgressReporter, Overlay {
  readonly #stream: Stream;
  readonly #terminal: BarTerminal;
  readonly #bars = new Map<string, SingleBar>();
  readonly #latest = new Map<string, Progress>();
  readonly #meters = new Meters();
  readonly #multiBar: MultiBar;
  /** Several peers have a bar. */
  #isShared = false;
  readonly #place: Disposable;
  readonly #onResize = () => {
    this.#terminal.wipe();
    this.#multiBar.update();
  };

  constructor(screen: Screen) {
    this.#stream = screen.stderr;
    this.#terminal = new BarTerminal(screen.stderr);
    // The types leave `terminal` out. It lets us know where the cursor is, which a resize and a message in between need.
    const options: Options & { terminal: BarTerminal } = {
      terminal: this.#terminal,
      fps: FRAMES_A_SECOND,
      clearOnComplete: true,
      forceRedraw: true,
      gracefulExit: false,
      format: (_options, _parameters, payload: { id: string }) => {
        const progress = this.#latest.get(payload.id);
        if (progress === undefined) return '';
        // Measured as it is drawn: while a connection is lost nothing is reported, and time goes on.
        const state = { progress, ...this.#meters.update(progress, performance.now()) };
        // The last column stays free: a full line makes terminals wrap.
        return renderLabelledBar(this.#labelOf(progress), state, this.#terminal.getWidth() - 1);
      },
    };
    this.#multiBar = new MultiBar(options);
    this.#place = screen.occupy(this);
    this.#stream.on('resize', this.#onResize);
  }

  report(progress: Progress): void {
    const id = progress.transferId;
    this.#latest.set(id, progress);
    // What the bar counts is not shown by cli-progress; the payload finds our own state.
    this.#isShared ||= progress.peer !== this.#latest.values().next().value?.peer;
    if (!this.#bars.has(id)) this.#bars.set(id, this.#multiBar.create(1, 0, { id }));
  }

  #labelOf(progress: Progress): string {
    return this.#isShared ? peerLabel(progress) : '';
  }

  hide(): void {
    this.#terminal.wipe();
  }

  show(): void {
    this.#multiBar.update();
  }

  [Symbol.dispose](): void {
    this.#stream.off('resize', this.#onResize);
    this.#place[Symbol.dispose]();
    if (this.#multiBar.isActive) this.#multiBar.stop();
    this.#terminal.wipe();
  }
}

/**
 * The terminal as cli-progress sees one. It remembers the lines that are drawn, since a terminal that gets narrower
 * breaks them into several.
 */
class BarTerminal {
  readonly #stream: Stream;
  /** The lines drawn, the last one being that of the cursor. */
  #lines: string[] = [''];

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  isTTY(): boolean {
    return true;
  }

  getWidth(): number {
    return this.#stream.columns ?? 80;
  }

  /** Goes back to where the first line began. */
  cursorRelativeReset(): void {
    const columns = Math.max(1, this.getWidth());
    const rows = this.#lines.map((line) => Math.max(1, Math.ceil(widthOf(line) / columns)));
    const above = rows.reduce((sum, count) => sum + count, 0) - 1;
    moveCursor(this.#stream, 0, -above);
    cursorTo(this.#stream, 0);
    this.#lines = [''];
  }

  /** The same, and nothing is left there. */
  wipe(): void {
    this.cursorRelativeReset();
    clearScreenDown(this.#stream);
  }

  write(text: string): void {
    this.#stream.write(text);
    this.#lines[this.#lines.length - 1] = text;
  }

  newline(): void {
    this.#stream.write('\n');
    this.#lines.push('');
  }

  cursorTo(column: number | null): void {
    cursorTo(this.#stream, column ?? 0);
  }

  clearRight(): void {
    this.#stream.write('\x1b[K');
  }

  clearBottom(): void {
    clearScreenDown(this.#stream);
  }

  // The cursor is never hidden and wrapping never switched off: then nothing has to be restored after a crash.
  cursor(): void {}
  lineWrapping(): void {}
}
