/** The shell without a terminal: no prompt, no question, and the first failure is the end. */
import { createInterface } from 'node:readline';
import { errorOf } from '../errors.ts';
import type { Asker } from './asker.ts';
import { endingOf } from './exit.ts';
import { jobCount } from './jobs.ts';
import { runOutside } from './outside.ts';
import { Shell } from './shell.ts';

/** Runs lines until they end, one fails or a command leaves, and then waits for the jobs. */
export class Script extends Shell {
  protected override readonly asker: Asker = {};

  /**
   * Runs lines.
   * @throws the error of the first command that failed, else of the first job.
   */
  async run(lines: AsyncIterable<string> | Iterable<string>): Promise<void> {
    const { workspace, signal } = this.setup;
    try {
      await this.#runLines(lines);
    } finally {
      await Promise.all(workspace.jobs.all.map(({ ended }) => ended));
    }
    signal.throwIfAborted();
    const { failure } = workspace.jobs;
    if (failure !== undefined) throw failure;
  }

  /** Runs what is read from stdin. */
  async runStdin(): Promise<void> {
    const { signal } = this.setup;
    const lines = createInterface({ input: process.stdin, terminal: false });
    const close = () => lines.close();
    signal.addEventListener('abort', close);
    if (signal.aborted) close();
    try {
      await this.run(lines);
    } finally {
      signal.removeEventListener('abort', close);
      lines.close();
      process.stdin.destroy();
    }
  }

  override async leave(): Promise<void> {
    const { running } = this.setup.workspace.jobs;
    if (running.length > 0) {
      throw errorOf('BUSY', `${jobCount(running)} still running`, {
        hint: 'wait for them or cancel them; the end of a script waits by itself',
      });
    }
    this.isLeaving = true;
  }

  protected override async runOutside(line: string): Promise<void> {
    await runOutside(line, { reads: false, aside: this.setup.output.json });
  }

  async #runLines(lines: AsyncIterable<string> | Iterable<string>): Promise<void> {
    const { signal } = this.setup;
    let before = '';
    for await (const line of lines) {
      const commands = this.commandsOf(before + line);
      before = commands === undefined ? `${before}${line}\n` : '';
      for (const typed of commands ?? []) {
        await this.#runOne(typed);
        if (this.isLeaving) return;
      }
    }
    signal.throwIfAborted();
    if (before !== '') {
      throw errorOf('USAGE', 'the script ends within a quote', {
        hint: 'close it, or write a \\ before it',
      });
    }
  }

  async #runOne(typed: Parameters<Shell['runTyped']>[0]): Promise<void> {
    const { output, signal } = this.setup;
    signal.throwIfAborted();
    const { words, isForgiven } = forgiven(typed.words.map(({ text }) => text));
    try {
      await this.runTyped(typed, words, signal);
      const begun = typed.isJob ? this.setup.workspace.jobs.all.at(-1) : undefined;
      if (begun !== undefined && isForgiven) begun.isCollected = true;
    } catch (error) {
      if (!isForgiven || signal.aborted) throw error;
      const { error: told } = endingOf(error, signal);
      if (told !== undefined) output.error(told);
    }
  }
}

/** A `-` before a command ignores its failure; it may stand alone. */
export function forgiven(words: readonly string[]): {
  readonly words: readonly string[];
  readonly isForgiven: boolean;
} {
  const [first = '', ...others] = words;
  if (first === '-') return { words: others, isForgiven: true };
  if (/^-[a-z]/.test(first)) return { words: [first.slice(1), ...others], isForgiven: true };
  return { words, isForgiven: false };
}
