/**
 * The two output streams, and what holds the bottom lines of the terminal: the line being typed, or progress bars.
 * Everything is printed above that and never through it.
 */
import type { Writable } from 'node:stream';
import { systemCode } from '../errors.ts';

/** Holds the bottom lines of the terminal. */
export interface Overlay {
  /** Wipes its lines and leaves the cursor where the first of them began. */
  hide(): void;
  /** Draws them again, from the cursor on. */
  show(): void;
}

/** An output stream, perhaps a terminal. */
export type Stream = Writable & {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
};

/** Columns of a terminal that does not say how many it has. */
const USUAL_COLUMNS = 80;

/** Prints. */
export class Screen {
  readonly stdout: Stream;
  readonly stderr: Stream;
  /** Called once when nobody reads stdout any more. */
  onGone: () => void = () => {};
  #overlay: Overlay | undefined;
  #held: { stream: Stream; text: string }[] | undefined;
  #isGone = false;
  #failure: Error | undefined;

  constructor(stdout: Stream, stderr: Stream) {
    this.stdout = stdout;
    this.stderr = stderr;
    stdout.on('error', (error: Error) => this.#lose(error));
    // Nobody is left to be told.
    stderr.on('error', () => {});
  }

  /** Whether the reader of stdout has gone (`| head`): nothing need be said any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** What made stdout fail, where that was not its reader leaving: a full disk, say. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Columns that may be used. */
  get columns(): number {
    const told = Number(process.env['COLUMNS']);
    return this.stderr.columns ?? (told > 0 ? told : USUAL_COLUMNS);
  }

  /** Gives the bottom of the terminal to an overlay until the result is disposed of. The overlay draws itself. */
  occupy(overlay: Overlay): Disposable {
    const before = this.#overlay;
    this.#overlay = overlay;
    return {
      [Symbol.dispose]: () => {
        if (this.#overlay === overlay) this.#overlay = before;
      },
    };
  }

  /** Wipes what holds the bottom of the terminal while `use` runs. */
  clearedFor(use: () => void): void {
    this.#overlay?.hide();
    use();
    this.#overlay?.show();
  }

  /** Keeps back what would go to a terminal until the result is disposed of: a question is being answered there. */
  hold(): Disposable {
    const held: { stream: Stream; text: string }[] = [];
    this.#held ??= held;
    return {
      [Symbol.dispose]: () => {
        if (this.#held !== held) return;
        this.#held = undefined;
        for (const { stream, text } of held) this.#write(stream, text);
      },
    };
  }

  /** Writes to stdout. Text for a terminal ends in a line end. */
  out(text: string): void {
    if (!this.#isGone) this.#write(this.stdout, text);
  }

  /** Writes to stderr. */
  err(text: string): void {
    this.#write(this.stderr, text);
  }

  /** Resolves when stdout takes more; at once mostly. */
  async ready(): Promise<void> {
    if (!this.stdout.writableNeedDrain || this.#isGone) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        for (const event of ['drain', 'error', 'close']) this.stdout.off(event, settle);
        resolve();
      };
      for (const event of ['drain', 'error', 'close']) this.stdout.once(event, settle);
    });
  }

  /** Resolves when everything written has left this process. */
  async flush(): Promise<void> {
    for (const stream of [this.stdout, this.stderr]) {
      if (stream.writableLength === 0 || stream.destroyed) continue;
      await new Promise<void>((resolve) => stream.write('', () => resolve()));
    }
  }

  #write(stream: Stream, text: string): void {
    if (stream.isTTY === true && this.#held !== undefined) {
      this.#held.push({ stream, text });
      return;
    }
    const overlay = stream.isTTY === true ? this.#overlay : undefined;
    overlay?.hide();
    stream.write(text);
    overlay?.show();
  }

  #lose(error: Error): void {
    if (this.#isGone) return;
    this.#isGone = true;
    // Windows says EOF where others say EPIPE; a terminal that was closed says EIO.
    const isReaderGone = ['EPIPE', 'EOF', 'EIO', 'ERR_STREAM_DESTROYED'].includes(systemCode(error) ?? '');
    if (!isReaderGone) this.#failure = error;
    this.onGone();
  }
}
