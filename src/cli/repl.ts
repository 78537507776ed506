/** The shell at a terminal, which talks. Without one it runs a script: see `script.ts`. */
import { CancelledError, errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Asker } from './asker.ts';
import type { Watch } from './daemon/watch.ts';
import type { OutputEvent } from './events.ts';
import { endingOf } from './exit.ts';
import type { JobBars } from './job-bars.ts';
import { type Job, jobCount } from './jobs.ts';
import { LineReader } from './line-reader.ts';
import { runOutside } from './outside.ts';
import { peerName, shownName } from './peer-text.ts';
import { inboxAsker, pendingAsker } from './pending-asker.ts';
import { type Borrow, canAsk, terminalAsker } from './question.ts';
import { forgiven, Script } from './script.ts';
import { Shell, type ShellSetup } from './shell.ts';
import type { TypedCommand } from './tokenise.ts';

/** Milliseconds between two looks at how far the jobs are. */
const JOB_STEP = 250;

/** Runs the shell until it is left. Throws the error of a script's first failure, and the reason of an abort. */
export async function runShell(setup: ShellSetup): Promise<void> {
  if (canAsk()) await new Terminal(setup).run();
  else await new Script(setup).runStdin();
}

/** The shell at a terminal: a failure is told, and the shell lives on. */
class Terminal extends Shell {
  readonly #foreground = new Set<AbortController>();
  readonly #borrow: Borrow = async (use) => {
    using _held = this.setup.output.screen.hold();
    return await (this.#reader?.borrow(use) ?? use());
  };
  #reader: LineReader | undefined;
  #abandon: (() => void) | undefined;
  /** Aborted when the shell is left. */
  readonly #left = new AbortController();
  #isWarned = false;
  #typedBefore = '';
  #bars: JobBars | undefined;
  #server: Watch | undefined;
  #timer: NodeJS.Timeout | undefined;
  protected override readonly asker: Asker;

  constructor(setup: ShellSetup) {
    super(setup);
    const { output, workspace } = setup;
    const inTerminal = terminalAsker({ output, borrow: this.#borrow, onInterrupt: () => this.#interrupt() });
    // A stranger must not take the prompt away from whoever is typing.
    this.asker = {
      ...inTerminal,
      client: pendingAsker(workspace.pending, output),
      inbox: inboxAsker(workspace.pending, output),
    };
  }

  async run(): Promise<void> {
    const { output, signal, signals, globals } = this.setup;
    const { resolveHome } = await import('../store/home.ts');
    const { openHistory } = await import('./history.ts');
    const history = await openHistory(resolveHome(process.env, globals.home), (message) =>
      output.note(`localstream: ${escapeText(message, 1000)}`),
    );
    using reader = new LineReader({
      screen: output.screen,
      input: process.stdin,
      history: (await history?.load()) ?? [],
      onInterrupt: () => this.#interrupt(),
      complete: async (text) => {
        const { complete } = await import('./completer.ts');
        return await complete(this.#typedBefore + text, this.setup.workspace);
      },
      above: (columns) => this.#bars?.lines(columns - 1) ?? [],
    });
    this.#reader = reader;
    this.setup.workspace.onSession = () => this.#showPrompt();
    using _interrupts = signals.onInterrupt(() => this.#interrupt());
    const end = () => reader.end();
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    await this.#openDoor();
    while (!this.isLeaving) {
      const line = await reader.next(this.#typedBefore === '' ? this.#prompt() : '> ');
      if (line === undefined) {
        if (await this.#mayLeave()) break;
        reader.resume();
        continue;
      }
      this.#isWarned = false;
      void history?.add(line);
      await this.#take(line);
    }
    signal.removeEventListener('abort', end);
    clearInterval(this.#timer);
    this.#left.abort();
    this.#server?.[Symbol.dispose]();
    await this.setup.workspace.jobs.cancelAll();
    signal.throwIfAborted();
  }

  override async leave(): Promise<void> {
    this.isLeaving = await this.#mayLeave();
  }

  /** Whether the jobs, if any, are done with. */
  async #mayLeave(): Promise<boolean> {
    const { workspace, signal } = this.setup;
    const { running } = workspace.jobs;
    if (running.length === 0 || signal.aborted || this.asker.leave === undefined) return true;
    try {
      return await this.asker.leave(`${jobCount(running)} still running. Cancel and leave?`, signal);
    } catch (error) {
      if (error instanceof CancelledError) return signal.aborted;
      throw error;
    }
  }

  /** Where the server of the home is running, the shell works with that one. */
  protected override async onServer(): Promise<void> {
    if (this.#server !== undefined) return;
    const { workspace, output, globals } = this.setup;
    const { Watch } = await import('./daemon/watch.ts');
    const changed = () => {
      if (this.#server?.isGone) {
        this.#server = undefined;
        output.note('the server of this home has ended');
      }
      workspace.serverPorts = this.#server?.state.ports ?? [];
      this.#showPrompt();
    };
    const note = (text: string, event: OutputEvent | null) => output.note(text, event ?? undefined);
    this.#server = await Watch.begin(globals.home, { note, changed });
    changed();
  }

  /** Lets others find this machine; in the background, since the first start makes keys. */
  async #openDoor(): Promise<void> {
    const { workspace, output, hidden = false, greets = false, signal } = this.setup;
    const { isDoorWanted, openDoor } = await import('./door.ts');
    const { doorText, introduce } = await import('./greeting.ts');
    if (greets) void introduce({ workspace, output, signal: AbortSignal.any([signal, this.#left.signal]) });
    await this.onServer().catch((error: unknown) => this.#tell(error, signal));
    if (this.#server !== undefined) {
      output.note(doorText({ kind: 'server', state: this.#server.state }, output.screen.columns));
      return;
    }
    if (!(await isDoorWanted(workspace))) {
      output.note(doorText({ kind: 'off' }, output.screen.columns));
      return;
    }
    void openDoor({ workspace, output, asker: this.asker, hidden }).then((door) => {
      // Whoever has left already is not told that nobody can come.
      if (this.isLeaving || signal.aborted) return;
      output.note(doorText(door, output.screen.columns));
      this.#showPrompt();
      if (door.kind === 'open') void door.listener.closed.then(() => this.#showPrompt());
    });
  }

  protected override async runOutside(line: string): Promise<void> {
    await this.#borrow(() => runOutside(line, { reads: true, aside: this.setup.output.json }));
  }

  protected override onJob(job: Job): void {
    super.onJob(job);
    const { jobs } = this.setup.workspace;
    if (jobs.running.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#reader?.redraw(), JOB_STEP).unref();
      if (!this.setup.output.json) void this.#loadBars();
    }
    this.#showPrompt();
  }

  async #loadBars(): Promise<void> {
    const { JobBars } = await import('./job-bars.ts');
    this.#bars ??= new JobBars(this.setup.workspace.jobs);
  }

  #showPrompt(): void {
    if (this.#typedBefore === '') this.#reader?.setPrompt(this.#prompt());
  }

  #prompt(): string {
    const { session, folder, jobs, opened, serverPorts } = this.setup.workspace;
    const place = folder === '/' ? '' : `:${shownName(folder)}`;
    const name = session === undefined ? 'localstream' : `${peerName(session.peer)}${place}`;
    const own = (opened?.listeners ?? []).map(({ port }) => port);
    const ports = portsText(own.length > 0 ? own : serverPorts);
    const running = jobs.running.length === 0 ? '' : ` [${jobCount(jobs.running)}]`;
    return `${this.setup.output.style.errorPaint.strong(name)}${ports}${running}> `;
  }

  async #take(line: string): Promise<void> {
    const text = this.#typedBefore + line;
    this.#typedBefore = '';
    let commands: readonly TypedCommand[] | undefined;
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
    for (const typed of commands) {
      if (!(await this.#runForeground(typed)) || this.isLeaving) return;
    }
  }

  /** Runs a command and tells its failure. Says whether the rest of the line is to run as well. */
  async #runForeground(typed: TypedCommand): Promise<boolean> {
    const { words, isForgiven } = forgiven(typed.words.map(({ text }) => text));
    const controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, this.setup.signal]);
    this.#foreground.add(controller);
    const abandoned = new Promise<'abandoned'>((resolve) => {
      this.#abandon = () => resolve('abandoned');
    });
    try {
      const outcome = await Promise.race([this.runTyped(typed, words, signal), abandoned]);
      if (outcome === 'abandoned') this.setup.output.note('left it to end by itself');
      return outcome !== 'abandoned';
    } catch (error) {
      this.#tell(error, signal);
      return isForgiven && !signal.aborted;
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

/** Ports that are named in the prompt. */
const MOST_PORTS = 2;

/** Where others can come in: ` :7353`. */
function portsText(ports: readonly number[]): string {
  if (ports.length === 0) return '';
  const more = ports.length > MOST_PORTS ? `+${ports.length - MOST_PORTS}` : '';
  return ` :${ports.slice(0, MOST_PORTS).join(',')}${more}`;
}
