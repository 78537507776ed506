/** Lines at the bottom of a terminal that are drawn again and again in the same place. */
import { clearScreenDown, cursorTo, moveCursor } from 'node:readline';
import type { Overlay, Screen } from './screen.ts';
import { cut, widthOf } from './text-width.ts';

/** Stays as it was drawn last when it is disposed of. */
export class LiveLines implements Overlay, Disposable {
  readonly #screen: Screen;
  readonly #place: Disposable;
  #lines: readonly string[] = [];
  /** As they stand on the screen, cut to the columns that it had. */
  #drawn: readonly string[] = [];
  readonly #onResize = () => {
    this.hide();
    this.show();
  };

  constructor(screen: Screen) {
    this.#screen = screen;
    this.#place = screen.occupy(this);
    screen.stderr.on('resize', this.#onResize);
  }

  /** Columns that a line may have: a full one makes terminals wrap. */
  get columns(): number {
    return Math.max(1, this.#screen.columns - 1);
  }

  /** Draws these in place of the last ones. */
  set(lines: readonly string[]): void {
    this.hide();
    this.#lines = lines;
    this.show();
  }

  hide(): void {
    const { stderr, columns } = this.#screen;
    // A terminal that got narrower has broken them.
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / Math.max(1, columns))),
      0,
    );
    moveCursor(stderr, 0, -rows);
    cursorTo(stderr, 0);
    clearScreenDown(stderr);
    this.#drawn = [];
  }

  show(): void {
    const { stderr } = this.#screen;
    // What has left the screen at its top can't be drawn again; the cursor has a row of its own below.
    const room = (stderr.rows ?? Number.POSITIVE_INFINITY) - 1;
    this.#drawn = this.#lines.slice(0, Math.max(1, room)).map((line) => cut(line, this.columns));
    for (const line of this.#drawn) stderr.write(`${line}\n`);
  }

  [Symbol.dispose](): void {
    this.#screen.stderr.off('resize', this.#onResize);
    this.#place[Symbol.dispose]();
  }
}
