/** The shell: lines in, commands of the table out. At a terminal it talks; otherwise it runs a script and stops at the first failure. */

import { homedir } from 'node:os';
import { createInterface } from 'node:readline';
import { errorOf } from '../errors.ts';
import type { Asker } from './asker.ts';
import type { Context, Globals, ShellControl } from './context.ts';
import { endingOf, settle } from './exit.ts';
import { LineReader } from './line-reader.ts';
import type { Output } from './output.ts';
import { peerName, questionEvent, questionLines } from './peer-text.ts';
import { helpOf, parseWords } from './program.ts';
import { createProgress } from './progress.ts';
import { type Borrow, canAsk, terminalAsker } from './question.ts';
import type { Signals } from './signals.ts';
import { tokenise, type Word } from './tokenise.ts';
import type { Workspace } from './workspace.ts';

/** What a shell is made of. */
export interface ShellSetup {
  readonly workspace: Workspace;
  readonly globals: Globals;
  readonly output: Output;
  /** Aborted when the process is to end. */
  readonly signal: AbortSignal;
  readonly signals: Signals;
}

/** Runs the shell until it is left. Throws the error of a script's first failure, and the reason of an abort. */
export async function runShell(setup: ShellSetup): Promise<void> {
  if (canAsk()) await new Terminal(setup).run();
  else await new Script(setup).run();
}

/** What the shell at a terminal and the one of a script have in common. */
abstract class Shell implements ShellControl {
  protected readonly setup: ShellSetup;
  protected isLeaving = false;

  constructor(setup: ShellSetup) {
    this.setup = setup;
  }

  leave(): void {
    this.isLeaving = true;
  }

  protected abstract readonly asker: Asker;

  /** Takes typed text apart; undefined where it goes on in the next line. */
  protected commandsOf(text: string): readonly (readonly Word[])[] | undefined {
    const backslash = process.platform === 'win32' ? 'literal' : 'escapes';
    const { commands, isOpen } = tokenise(text, { home: homedir(), backslash });
    return isOpen ? undefined : commands;
  }

  /** Runs one command to its end. */
  protected async runCommand(words: readonly Word[], signal: AbortSignal): Promise<void> {
    const { workspace, output: background, globals } = this.setup;
    const columns = background.screen.columns;
    const invocation = parseWords(
      words.map(({ text }) => text),
      'shell',
      columns,
    );
    if (invocation.kind === 'help') background.screen.out(invocation.text);
    if (invocation.kind !== 'command') return;
    const { command, input } = invocation;
    const merged: Globals = {
      home: globals.home,
      json: globals.json || invocation.globals.json,
      verbose: globals.verbose || invocation.globals.verbose,
      yes: globals.yes || invocation.globals.yes,
    };
    const output = background.with({ json: merged.json, verbose: merged.verbose });
    const context: Context = {
      shell: this,
      output,
      background,
      signal,
      globals: merged,
      workspace,
      asker: this.asker,
      progress: () => createProgress(output),
      help: (name) => helpOf(name, 'shell', columns),
      openShell: async () => {},
    };
    const ending = await settle(signal, () => command.run(context, input));
    // Who asked for events of this command alone gets their end here.
    const isItsOwn = merged.json && !globals.json;
    if (isItsOwn && ending.error !== undefined) output.error(ending.error);
    if (isItsOwn) output.done(ending.status, ending.error?.code ?? 'OK');
    if (ending.error !== undefined) throw ending.error;
  }
}

/** The shell at a terminal: a failure is told, and the shell lives on. */
class Terminal extends Shell {
  readonly #foreground = new Set<AbortController>();
  #reader: LineReader | undefined;
  #abandon: (() => void) | undefined;
  #isWarned = false;
  #typedBefore = '';
  protected override readonly asker: Asker;

  constructor(setup: ShellSetup) {
    super(setup);
    const { output, workspace } = setup;
    const borrow: Borrow = async (use) => {
      using _held = output.screen.hold();
      return await (this.#reader?.borrow(use) ?? use());
    };
    const inTerminal = terminalAsker({ output, borrow, onInterrupt: () => this.#interrupt() });
    this.asker = {
      ...inTerminal,
      // A stranger must not take the prompt away from whoever is typing.
      client: (question, signal) =>
        workspace.pending.ask(question, signal, {
          asked: (number) => {
            const answers = `accept ${number}, trust ${number} (for good) or reject ${number}`;
            const label = output.style.errorPaint.warn(`[${number}] an unknown ${question.role} wants in`);
            const text = [`${label}: ${answers}`, ...questionLines(question)].join('\n');
            output.note(text, questionEvent(question, 'here', number));
          },
          withdrawn: (number) =>
            output.note(`[${number}] is withdrawn: the peer has gone, or the time to answer is over`),
        }),
    };
  }

  async run(): Promise<void> {
    const { output, signal, signals, globals } = this.setup;
    const { resolveHome } = await import('../store/home.ts');
    const { openHistory } = await import('./history.ts');
    const history = await openHistory(resolveHome(process.env, globals.home));
    using reader = new LineReader({
      screen: output.screen,
      input: process.stdin,
      history: (await history?.load()) ?? [],
      onInterrupt: () => this.#interrupt(),
    });
    this.#reader = reader;
    this.setup.workspace.onSession = () => {
      if (this.#typedBefore === '') reader.setPrompt(this.#prompt());
    };
    using _interrupts = signals.onInterrupt(() => this.#interrupt());
    const end = () => reader.end();
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    while (!this.isLeaving) {
      const line = await reader.next(this.#typedBefore === '' ? this.#prompt() : '> ');
      if (line === undefined) break;
      this.#isWarned = false;
      void history?.add(line);
      await this.#take(line);
    }
    signal.removeEventListener('abort', end);
    signal.throwIfAborted();
  }

  #prompt(): string {
    const { session } = this.setup.workspace;
    const name = session === undefined ? 'localstream' : peerName(session.peer);
    return `${this.setup.output.style.errorPaint.strong(name)}> `;
  }

  async #take(line: string): Promise<void> {
    const text = this.#typedBefore + line;
    this.#typedBefore = '';
    let commands: readonly (readonly Word[])[] | undefined;
    try {
      commands = this.commandsOf(text);
    } catch (error) {
      this.#tell(error, this.setup.signal);
      return;
    }
    if (commands === undefined) {
      this.#typedBefore = `${text}\n`;
      return;
    }
    for (const words of commands) {
      if (!(await this.#runForeground(words)) || this.isLeaving) return;
    }
  }

  /** Runs a command and tells its failure. Says whether the rest of the line is to run as well. */
  async #runForeground(words: readonly Word[]): Promise<boolean> {
    const controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, this.setup.signal]);
    this.#foreground.add(controller);
    const abandoned = new Promise<'abandoned'>((resolve) => {
      this.#abandon = () => resolve('abandoned');
    });
    try {
      const outcome = await Promise.race([this.runCommand(words, signal), abandoned]);
      if (outcome === 'abandoned') this.setup.output.note('left it to end by itself');
      return outcome !== 'abandoned';
    } catch (error) {
      this.#tell(error, signal);
      return false;
    } finally {
      this.#foreground.delete(controller);
      this.#abandon = undefined;
    }
  }

  #tell(error: unknown, signal: AbortSignal): void {
    const ending = endingOf(error, signal);
    if (ending.error !== undefined) this.setup.output.error(ending.error);
  }

  #interrupt(): void {
    const [running] = this.#foreground;
    if (running !== undefined) {
      if (running.signal.aborted) this.#abandon?.();
      else running.abort(errorOf('CANCELLED', 'cancelled'));
      return;
    }
    const reader = this.#reader;
    if (reader === undefined) return;
    const isEmpty = reader.typed === '' && this.#typedBefore === '';
    if (isEmpty && this.#isWarned) {
      reader.end();
      return;
    }
    this.#typedBefore = '';
    reader.clear();
    reader.setPrompt(this.#prompt());
    this.#isWarned = isEmpty;
    if (isEmpty) this.setup.output.screen.err('Ctrl-C again, or Ctrl-D, leaves\n');
  }
}

/** The shell without a terminal: no prompt, no question, and the first failure is the end. */
class Script extends Shell {
  protected override readonly asker: Asker = {};

  async run(): Promise<void> {
    const { signal } = this.setup;
    const lines = createInterface({ input: process.stdin, terminal: false });
    const close = () => lines.close();
    signal.addEventListener('abort', close);
    if (signal.aborted) close();
    let before = '';
    try {
      for await (const line of lines) {
        const commands = this.commandsOf(before + line);
        before = commands === undefined ? `${before}${line}\n` : '';
        for (const words of commands ?? []) {
          await this.runCommand(words, signal);
          if (this.isLeaving) return;
        }
      }
      signal.throwIfAborted();
      if (before !== '') {
        throw errorOf('USAGE', 'the script ends within a quote', {
          hint: 'close it, or write a \\ before it',
        });
      }
    } finally {
      signal.removeEventListener('abort', close);
      lines.close();
      process.stdin.destroy();
    }
  }
}
