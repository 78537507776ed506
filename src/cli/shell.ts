/** What the shell at a terminal and the one of a script have in common: typed text in, commands of the table out. */
import { homedir } from 'node:os';
import { errorOf } from '../errors.ts';
import type { Asker } from './asker.ts';
import type { Command, Input } from './command.ts';
import type { Context, Globals, ShellControl } from './context.ts';
import { runInShell } from './dispatch.ts';
import { endingOf, settle } from './exit.ts';
import { type Job, type JobRun, tellJob } from './jobs.ts';
import type { Output } from './output.ts';
import { type Invocation, isAskedFor } from './parser.ts';
import { helpOf, parseWords } from './program.ts';
import { createProgress } from './progress.ts';
import type { ProgressReporter } from './progress-meters.ts';
import type { Signals } from './signals.ts';
import { quoteWord, type TypedCommand, tokenise } from './tokenise.ts';
import type { Workspace } from './workspace.ts';

/** What a shell is made of. */
export interface ShellSetup {
  readonly workspace: Workspace;
  readonly globals: Globals;
  readonly output: Output;
  /** Aborted when the process is to end. */
  readonly signal: AbortSignal;
  readonly signals: Signals;
  /** The listener of the shell is not made known. */
  readonly hidden?: boolean;
  /** Whether it says at its start who this machine is and who is near. */
  readonly greets?: boolean;
}

/** A command of the table with its input and everything that it is given besides. */
interface Ready {
  readonly command: Command;
  readonly input: Input;
  readonly context: Context;
  readonly words: readonly string[];
  /** Events were asked for this command alone, and it gets an end of its own. */
  readonly isItsOwn: boolean;
}

export abstract class Shell implements ShellControl {
  protected readonly setup: ShellSetup;
  protected isLeaving = false;
  protected abstract readonly asker: Asker;

  constructor(setup: ShellSetup) {
    this.setup = setup;
    setup.workspace.jobs.onChange = (job) => this.onJob(job);
  }

  abstract leave(): Promise<void>;

  /** Runs a line of the system's shell. */
  protected abstract runOutside(line: string): Promise<void>;

  /** A job has begun or is over. */
  protected onJob(job: Job): void {
    // Who waits for it is told by the command that waits.
    if (!job.isCancelled || !job.isCollected) tellJob(this.setup.output, job);
  }

  /** The server of the home is there. */
  protected async onServer(): Promise<void> {}

  /** Takes typed text apart; undefined where it goes on in the next line. */
  protected commandsOf(text: string): readonly TypedCommand[] | undefined {
    const backslash = process.platform === 'win32' ? 'literal' : 'escapes';
    const { commands, isOpen } = tokenise(text, { home: homedir(), backslash });
    return isOpen ? undefined : commands;
  }

  /** Runs one command: to its end, or as a job in the background. */
  protected async runTyped(
    typed: TypedCommand,
    words: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    if (typed.outside !== undefined) await this.runOutside(typed.outside);
    else if (typed.isJob) this.#startJob(words);
    else await this.#runForeground(words, signal);
  }

  async #runForeground(words: readonly string[], signal: AbortSignal): Promise<void> {
    const ready = this.#ready(words, { signal, asker: this.asker });
    if (ready !== undefined) await run(ready);
  }

  /** A shell that has opened a listener of its own goes on with that. */
  async #forward(words: readonly string[], context: Context): Promise<boolean> {
    const { workspace, globals } = this.setup;
    if ((workspace.opened?.listeners ?? []).length > 0) return false;
    const { findServer, runThere } = await import('./daemon/remote.ts');
    const socket = await findServer(globals.home);
    if (socket === undefined) return false;
    await this.onServer();
    await runThere(socket, words, context);
    return true;
  }

  #startJob(words: readonly string[]): void {
    const { workspace, signal } = this.setup;
    // Understood before it begins, so that wrong usage is no failed job.
    const command = this.#ready(words, { signal, asker: {} })?.command;
    if (command === undefined) return;
    if (!command.background) {
      throw errorOf('USAGE', `${command.name} can't run in the background`, { hint: 'leave out the &' });
    }
    const runJob = async (given: JobRun) => {
      // A question would take the prompt away from whoever is typing: a job refuses instead.
      const ready = this.#ready(words, { ...given, asker: {} });
      if (ready !== undefined) await run(ready);
    };
    workspace.jobs.start(words.map(quoteWord).join(' '), runJob, signal);
  }

  /** What can't be understood and asked for events gets them all the same: the error and the end. */
  #understood(words: readonly string[], columns: number): Invocation {
    const { output: background, globals, signal } = this.setup;
    try {
      return parseWords(words, 'shell', columns);
    } catch (thrown) {
      const { error, status } = endingOf(thrown, signal);
      if (globals.json || error === undefined || !isAskedFor('--json', words)) throw thrown;
      const output = background.with({ json: true });
      output.error(error);
      output.done(status, error.code);
      throw error;
    }
  }

  /** Understands a command; undefined where that was all, as for `--help`. */
  #ready(
    typed: readonly string[],
    given: Pick<Context, 'signal' | 'asker'> & Partial<JobRun>,
  ): Ready | undefined {
    const { workspace, output: background, globals } = this.setup;
    const columns = background.screen.columns;
    const words = withoutProgram(typed);
    const invocation = this.#understood(words, columns);
    if (invocation.kind === 'help') background.results(invocation.help.events, invocation.help.text);
    if (invocation.kind !== 'command') return undefined;
    const merged: Globals = {
      home: globals.home,
      json: globals.json || invocation.globals.json,
      verbose: globals.verbose || invocation.globals.verbose,
      yes: globals.yes || invocation.globals.yes,
    };
    const output = background.with({ json: merged.json, verbose: merged.verbose });
    const { progress } = given;
    const context: Context = {
      shell: this,
      output,
      background,
      signal: given.signal,
      ...(given.discard === undefined ? {} : { discard: given.discard }),
      globals: merged,
      workspace,
      asker: given.asker,
      progress: () => (progress === undefined ? createProgress(output) : jobProgress(progress(), output)),
      help: async (name) => helpOf(name, 'shell', columns),
      completion: async (shell) => (await import('./completion/script.ts')).completionScript(shell),
      openShell: async () => {},
      forward: (others = words) => this.#forward(others, context),
    };
    const { command, input } = invocation;
    return { command, input, context, words, isItsOwn: merged.json && !globals.json };
  }
}

/** A line that is meant for another shell, as `send` shows one, can be pasted here as it is. */
function withoutProgram(words: readonly string[]): readonly string[] {
  return words[0] === 'localstream' && words.length > 1 ? words.slice(1) : words;
}

async function run({ command, input, context, words, isItsOwn }: Ready): Promise<void> {
  const { output, signal } = context;
  const ending = await settle(signal, () => runInShell(context, { command, input, words }));
  if (isItsOwn && ending.error !== undefined) output.error(ending.error);
  if (isItsOwn) output.done(ending.status, ending.error?.code ?? 'OK');
  if (ending.error !== undefined) throw ending.error;
}

/** What the job itself keeps of the reports, and the events where they are wanted. */
function jobProgress(kept: ProgressReporter, output: Output): ProgressReporter {
  if (!output.json) return kept;
  const events = createProgress(output);
  return {
    report: (progress) => {
      kept.report(progress);
      events.report(progress);
    },
    [Symbol.dispose]: () => {
      kept[Symbol.dispose]();
      events[Symbol.dispose]();
    },
  };
}
