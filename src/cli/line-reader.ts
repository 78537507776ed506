/**
 * Reads lines in a terminal, with editing and history. What is printed meanwhile goes above the line being typed. While
 * a command runs, keys are still read, so that Ctrl-C works and lines typed ahead are kept, but nothing is echoed.
 */
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Completed } from './completer.ts';
import { HISTORY_LINES } from './history.ts';
import { HistorySearch } from './history-search.ts';
import { KeySource } from './key-source.ts';
import type { Overlay, Screen, Stream } from './screen.ts';
import { widthOf } from './text-width.ts';

/** Ctrl-R, Ctrl-G and Escape. */
const [SEARCH_KEY, GIVE_UP_KEY, ESCAPE_KEY] = ['\x12', '\x07', '\x1b'];

/** What a {@link LineReader} is made of. */
export interface LineReaderOptions {
  readonly screen: Screen;
  readonly input: NodeJS.ReadStream;
  /** Earlier lines, the latest first. */
  readonly history: readonly string[];
  /** Ctrl-C. */
  readonly onInterrupt: () => void;
  /** Tab: what becomes of the word at the end of the text before the cursor. */
  readonly complete?: (text: string) => Promise<Completed>;
  /** Lines that stand above the prompt while something is typed, none wider than the columns given. */
  readonly above?: (columns: number) => readonly string[];
}

/** Lines of a terminal, one at a time. */
export class LineReader implements Overlay, Disposable {
  readonly #options: LineReaderOptions;
  readonly #echo: EchoStream;
  readonly #ahead: string[] = [];
  #history: string[];
  #interface: Interface;
  #keys: KeySource | undefined;
  readonly #decoder = new StringDecoder('utf8');
  /** What is looked for among the earlier lines, while it is. */
  #search: HistorySearch | undefined;
  #prompt = '';
  #waiting: ((line: string | undefined) => void) | undefined;
  #place: Disposable | undefined;
  /** The lines above the prompt as they were drawn. */
  #above: readonly string[] = [];
  /** The text for which Tab was pressed last: pressed again it shows what there is. */
  #tabbed: string | undefined;
  #isEnded = false;
  readonly #onClose = () => {
    this.#echo.write('\n');
    this.end();
  };
  readonly #onContinue = () => {
    // Whoever has the terminal meanwhile, as a question, takes it back by itself.
    const keys = this.#keys;
    if (keys !== undefined) this.#options.screen.clearedFor(() => keys.retake());
  };

  constructor(options: LineReaderOptions) {
    this.#options = options;
    this.#echo = new EchoStream(options.screen.stderr, () => this.#resized());
    this.#history = [...options.history];
    this.#interface = this.#open();
    process.on('SIGCONT', this.#onContinue);
  }

  /** Text that is being typed. */
  get typed(): string {
    return this.#interface.line;
  }

  /** Shows the prompt and resolves with a line, or with undefined after Ctrl-D and {@link end}. */
  async next(prompt: string): Promise<string | undefined> {
    const early = this.#ahead.shift();
    if (early !== undefined) {
      this.#options.screen.err(`${prompt}${early}\n`);
      return early;
    }
    if (this.#isEnded) return undefined;
    return await new Promise((resolve) => {
      this.#waiting = resolve;
      this.#prompt = prompt;
      this.#interface.setPrompt(prompt);
      this.#echo.isMuted = false;
      this.#place = this.#options.screen.occupy(this);
      this.show();
    });
  }

  /** Changes the prompt under which something is being typed; does nothing otherwise. */
  setPrompt(prompt: string): void {
    if (this.#waiting === undefined) return;
    this.#prompt = prompt;
    if (this.#search !== undefined) return;
    this.hide();
    this.#interface.setPrompt(prompt);
    this.show();
  }

  /** Forgets what is being typed. */
  clear(): void {
    this.#interface.write(null, { ctrl: true, name: 'e' });
    this.#interface.write(null, { ctrl: true, name: 'u' });
  }

  /** As Ctrl-D on an empty line. */
  end(): void {
    this.#isEnded = true;
    this.#settle(undefined);
  }

  /** Takes {@link end} back: somebody wants to stay after all. */
  resume(): void {
    this.#isEnded = false;
  }

  /** Draws again what stands above the prompt. */
  redraw(): void {
    if (this.#waiting === undefined) return;
    this.hide();
    this.show();
  }

  hide(): void {
    moveCursor(this.#options.screen.stderr, 0, -this.#interface.getCursorPos().rows - this.#rowsAbove());
    cursorTo(this.#options.screen.stderr, 0);
    clearScreenDown(this.#options.screen.stderr);
  }

  show(): void {
    // readline first goes up to where it believes the first row to be. What it believes is wrong after a paste, so it
    // draws once unseen; then it is the row of the cursor, and that many rows are made for it to go up.
    this.#findCursor();
    this.#echo.isMuted = false;
    this.#above = this.#options.above?.(this.#columns) ?? [];
    for (const line of this.#above) this.#options.screen.stderr.write(`${line}\n`);
    this.#options.screen.stderr.write('\n'.repeat(this.#interface.getCursorPos().rows));
    this.#interface.prompt(true);
  }

  /** Lets go of the terminal while `use` runs; what was typed meanwhile comes back. */
  async borrow<Result>(use: () => Promise<Result>): Promise<Result> {
    const typed = this.#interface.line;
    const isMuted = this.#echo.isMuted;
    this.#echo.isMuted = true;
    this.#close();
    try {
      return await use();
    } finally {
      this.#interface = this.#open();
      if (typed !== '') this.#interface.write(typed);
      this.#echo.isMuted = isMuted;
    }
  }

  [Symbol.dispose](): void {
    process.off('SIGCONT', this.#onContinue);
    this.end();
    this.#close();
  }

  #open(): Interface {
    this.#keys = new KeySource(this.#options.input, (chunk) => this.#take(chunk));
    const lines = createInterface({
      input: this.#keys,
      output: this.#echo,
      terminal: true,
      history: [...this.#history],
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (text: string, done: (error: null, result: [string[], string]) => void) => {
        void this.#complete(text).then((result) => done(null, result));
      },
    });
    lines.on('line', (line) => {
      if (this.#waiting === undefined) this.#ahead.push(line);
      else {
        this.#wipeAbove(line);
        this.#settle(line);
      }
    });
    lines.on('history', (history) => {
      this.#history = [...history];
    });
    lines.on('SIGINT', () => {
      if (this.#waiting === undefined) this.#ahead.length = 0;
      this.#options.onInterrupt();
    });
    lines.on('SIGTSTP', () => this.#options.screen.clearedFor(() => this.#keys?.suspend()));
    lines.on('close', this.#onClose);
    return lines;
  }

  async #complete(text: string): Promise<[string[], string]> {
    if (this.#waiting === undefined || this.#options.complete === undefined) return [[], text];
    const { typed, replacement, choices } = await this.#options.complete(text);
    if (replacement !== undefined) return [[replacement], typed];
    // Printed here and not by readline, which knows nothing of what stands above the prompt.
    if (choices.length > 0 && this.#tabbed === text) {
      const { columnLines } = await import('./columns.ts');
      this.#options.screen.err(`${(await columnLines(choices, this.#columns)).join('\n')}\n`);
    }
    this.#tabbed = text;
    return [[], text];
  }

  #close(): void {
    // Only ours: readline lets go of the keys in a listener of its own.
    this.#interface.off('close', this.#onClose);
    this.#interface.close();
    this.#keys?.release();
    this.#keys = undefined;
  }

  /** Keys that were pressed: those of a search are kept from readline. */
  #take(chunk: Buffer): void {
    const isSearched =
      this.#search !== undefined || (this.#waiting !== undefined && chunk.includes(SEARCH_KEY));
    if (isSearched) this.#searchBy(this.#decoder.write(chunk));
    else this.#keys?.pass(chunk);
    // A paste that wraps leaves readline wrong about its rows, and the next key would draw the line a second time.
    if (this.#waiting !== undefined && this.#search === undefined) this.#findCursor();
  }

  #searchBy(text: string): void {
    let rest = text;
    while (rest !== '') {
      if (this.#search === undefined) {
        const start = rest.indexOf(SEARCH_KEY);
        const before = start < 0 ? rest : rest.slice(0, start);
        if (before !== '') this.#keys?.pass(before);
        if (start < 0) return;
        rest = rest.slice(start + 1);
        this.#search = new HistorySearch(this.#history, this.#interface.line);
        this.#draw(this.#search.prompt, this.#search.line);
        continue;
      }
      const [character = ''] = rest;
      const search = this.#search;
      const outcome = search.take(character);
      if (outcome === 'searching') {
        rest = rest.slice(character.length);
        this.#draw(search.prompt, search.line);
        continue;
      }
      this.#search = undefined;
      this.#draw(this.#prompt, outcome === 'found' ? search.line : search.before);
      // What ended the search does its own work on the line, but a lone Escape has none.
      rest = character === GIVE_UP_KEY || rest === ESCAPE_KEY ? rest.slice(1) : rest;
    }
  }

  /** Shows another line under another prompt. */
  #draw(prompt: string, line: string): void {
    this.hide();
    this.#echo.isMuted = true;
    this.clear();
    this.#interface.write(line);
    this.#interface.setPrompt(prompt);
    this.show();
  }

  get #columns(): number {
    return Math.max(1, this.#options.screen.columns);
  }

  /** Rows of the screen that the lines above the prompt take now: a terminal that got narrower has broken them. */
  #rowsAbove(): number {
    return this.#above.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / this.#columns)), 0);
  }

  /** After a line was entered: what stood above it goes, and the line stays. */
  #wipeAbove(line: string): void {
    if (this.#above.length === 0) return;
    const { stderr } = this.#options.screen;
    const entered = `${this.#interface.getPrompt()}${line}`;
    const rows = Math.floor(widthOf(entered) / this.#columns) + 1;
    moveCursor(stderr, 0, -rows - this.#rowsAbove());
    cursorTo(stderr, 0);
    clearScreenDown(stderr);
    stderr.write(`${entered}\n`);
    this.#above = [];
  }

  /**
   * Before readline hears of a new size, and goes up by the rows that its line had at the old one: the terminal has
   * broken the line anew by then, and in a wider one it would eat what stands above.
   */
  #resized(): void {
    if (this.#waiting !== undefined) this.#findCursor();
  }

  /** Lets readline draw unseen, after which it knows the row that the cursor is in. */
  #findCursor(): void {
    const wasMuted = this.#echo.isMuted;
    this.#echo.isMuted = true;
    this.#interface.prompt(true);
    this.#echo.isMuted = wasMuted;
  }

  #settle(line: string | undefined): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#echo.isMuted = true;
    this.#place?.[Symbol.dispose]();
    this.#place = undefined;
    waiting(line);
  }
}

/** The terminal as readline writes to it, which can be silenced. */
class EchoStream extends Writable {
  isMuted = true;
  readonly isTTY = true;
  readonly #stream: Stream;

  constructor(stream: Stream, resized: () => void) {
    super({ decodeStrings: false });
    this.#stream = stream;
    stream.on('resize', () => {
      resized();
      this.emit('resize');
    });
  }

  get columns(): number | undefined {
    return this.#stream.columns;
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    if (!this.isMuted) this.#stream.write(String(chunk));
    done();
  }
}
