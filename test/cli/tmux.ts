import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { environment, LAUNCHER } from './cli-process.ts';

/** Milliseconds after which a screen that never shows what is waited for fails its test instead of hanging it. */
const PATIENCE = 60_000;

/** The program in a real terminal. */
export class Terminal implements Disposable {
  readonly #socket: string;

  /** Starts `localstream WORDS` in a terminal of that size; when it has ended the screen says `ended STATUS`. */
  constructor(
    words: readonly string[],
    options: {
      home: string;
      cwd: string;
      columns?: number;
      rows?: number;
      /** What is started instead of `localstream`, as a shell of the system. */
      program?: readonly string[];
      env?: NodeJS.ProcessEnv;
    },
  ) {
    const { home, cwd, columns = 100, rows = 30, program = [process.execPath, LAUNCHER] } = options;
    this.#socket = `localstream-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const script = '"$0" "$@"; echo "ended $?"; exec sleep 600';
    const env = environment(home, { TERM: 'screen-256color', ...options.env });
    execFileSync(
      'tmux',
      [
        ...['-L', this.#socket, '-f', '/dev/null', 'new-session', '-d', '-c', cwd],
        ...['-x', String(columns), '-y', String(rows), '--'],
        ...['sh', '-c', script, ...program, ...words],
      ],
      { env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)) },
    );
  }

  /** The lines on the screen, without the empty ones at its end. */
  get lines(): string[] {
    return this.#tmux('capture-pane', '-p').trimEnd().split('\n');
  }

  /** The screen with its colours. */
  get painted(): string {
    return this.#tmux('capture-pane', '-p', '-e');
  }

  /** As {@link lines}, with what has left the screen at its top; rows that the terminal has broken are whole. */
  get scrollback(): string[] {
    return this.#tmux('capture-pane', '-p', '-J', '-S', '-').trimEnd().split('\n');
  }

  /** Types text as it is. */
  type(text: string): void {
    this.#tmux('send-keys', '-l', '--', text);
  }

  /** Presses keys by their names: `Enter`, `C-c`, `Down`. */
  press(...keys: string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  /** Clears the screen down to the prompt, so that nothing older can be taken for what is waited for. */
  async clear(): Promise<void> {
    const end = performance.now() + PATIENCE;
    // Something may be said right after it, which is cleared by the next one.
    while (!/^[^\n]*>$/.test(this.lines.join('\n'))) {
      assert.ok(performance.now() < end, `never cleared:\n${this.lines.join('\n')}`);
      this.press('C-l');
      await pause(200);
    }
  }

  resize(columns: number, rows = 30): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Waits until the screen, its lines joined, matches. */
  async until(pattern: RegExp): Promise<void> {
    await this.untilLines((lines) => pattern.test(lines.join('\n')), String(pattern));
  }

  /** Waits until the lines of the screen are as they have to be. */
  async untilLines(holds: (lines: readonly string[]) => boolean, wanted: string): Promise<void> {
    const end = performance.now() + PATIENCE;
    while (!holds(this.lines)) {
      assert.ok(performance.now() < end, `never showed ${wanted}:\n${this.lines.join('\n')}`);
      await pause(50);
    }
  }

  [Symbol.dispose](): void {
    this.#tmux('kill-server');
  }

  #tmux(...words: string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, ...words], { encoding: 'utf8' });
  }
}
