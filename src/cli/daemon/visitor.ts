/** One command that another process has the server run: what it prints goes back, and its end. */
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { errorOf, type LocalstreamError } from '../../errors.ts';
import type { Progress } from '../../index.ts';
import type { Asker } from '../asker.ts';
import type { Command, Input } from '../command.ts';
import type { Context, Globals } from '../context.ts';
import { type Ending, settle } from '../exit.ts';
import type { Job } from '../jobs.ts';
import { Output } from '../output.ts';
import { paintElsewhere } from '../paint.ts';
import { helpOf, parseWords } from '../program.ts';
import type { ProgressReporter } from '../progress-meters.ts';
import { Screen, type Stream } from '../screen.ts';
import { quoteWord } from '../tokenise.ts';
import type { Workspace } from '../workspace.ts';
import { failureOf, type RunRequest, readSteering, sendLine } from './messages.ts';

/** Milliseconds between two reports of one transfer. */
const REPORT_STEP = 100;

/** What a visitor needs of the server. */
export interface Served {
  readonly workspace: Workspace;
  readonly globals: Globals;
  /** For what happens by itself. */
  readonly output: Output;
  readonly asker: Asker;
  /** Closes everything, the home included. */
  shutdown(): Promise<void>;
}

export class Visitor {
  readonly socket: Socket;
  /** Resolves when the command is over and its end is told. */
  readonly settled: Promise<void>;
  readonly #host: Served;
  readonly #request: RunRequest;
  readonly #stop = new AbortController();
  readonly #leaving = Promise.withResolvers<void>();
  #job: Job | undefined;
  #isOver = false;
  /** It has asked for the end of the server, which does not wait for it then. */
  #endsServer = false;

  constructor(host: Served, socket: Socket, request: RunRequest) {
    this.#host = host;
    this.socket = socket;
    this.#request = request;
    // Nobody is left who could be told: what was asked for is not wanted any more.
    socket.once('close', () => this.stop(errorOf('CANCELLED', 'cancelled')));
    const ran = settle(this.#stop.signal, () => this.#run()).then((ending) => this.#end(ending));
    this.settled = Promise.race([ran, this.#leaving.promise]);
  }

  /** A later line of the other process. Throws BAD_MESSAGE. */
  steer(value: unknown): void {
    const { cancel } = readSteering(value);
    this.stop(errorOf(cancel, cancel === 'CANCELLED' ? 'cancelled' : 'ended by a signal'));
  }

  /** Ends the command. */
  stop(reason: LocalstreamError): void {
    if (this.#endsServer || this.#isOver) return;
    this.#job?.cancel();
    this.#stop.abort(reason);
  }

  async #run(): Promise<void> {
    const { run: words, columns } = this.#request;
    const invocation = parseWords(words, 'once', columns);
    if (invocation.kind !== 'command' || invocation.command.server === undefined)
      throw errorOf('USAGE', 'that is no command for the server', { hint: 'run it here' });
    const { command, input } = invocation;
    const context = await this.#context();
    if (command.background) await this.#runJob(command, input, context);
    else await command.run(context, input);
    await context.output.screen.flush();
  }

  /** Listed by `jobs` and ended by `cancel` of any other terminal, too. */
  async #runJob(command: Command, input: Input, context: Context): Promise<void> {
    const { jobs } = this.#host.workspace;
    const line = this.#request.run.map(quoteWord).join(' ');
    const job = jobs.start(line, (given) => command.run({ ...context, ...given }, input), this.#stop.signal);
    this.#job = job;
    job.isCollected = true;
    using _watch = job.watch(this.#reporter());
    const { error } = await job.ended;
    if (error !== undefined) throw error;
  }

  async #context(): Promise<Context> {
    const { json, verbose, yes, cwd, colour, columns, isTerminal } = this.#request;
    const { workspace, globals, output: background, asker } = this.#host;
    const screen = new Screen(this.#stream('out', columns), this.#stream('err', columns));
    const output = new Output(screen, {
      json,
      verbose,
      paint: await paintElsewhere(colour.out),
      errorPaint: await paintElsewhere(colour.err),
      isTerminal,
    });
    const shutdown = async () => {
      this.#endsServer = true;
      this.#leaving.resolve();
      await this.#host.shutdown();
    };
    return {
      shell: undefined,
      server: { cwd, shutdown },
      output,
      background,
      signal: this.#stop.signal,
      globals: { ...globals, json, verbose, yes },
      workspace,
      asker,
      progress: () => this.#reporter(),
      help: async (name) => helpOf(name, 'once', columns),
      completion: async () => '',
      openShell: async () => {},
    };
  }

  #stream(name: 'out' | 'err', columns: number): Stream {
    const stream = new Writable({
      decodeStrings: false,
      write: (chunk: unknown, _encoding, done) => {
        sendLine(this.socket, { [name]: String(chunk) }, () => done());
      },
    });
    return Object.assign(stream, { columns });
  }

  /** The other process shows it, with the bars of its own terminal. */
  #reporter(): ProgressReporter {
    const last = new Map<string, { readonly at: number; readonly phase: Progress['phase'] }>();
    return {
      report: (progress: Progress) => {
        const { transferId, phase } = progress;
        const at = performance.now();
        const told = last.get(transferId);
        const isSoon = told !== undefined && told.phase === phase && at - told.at < REPORT_STEP;
        if (isSoon || this.socket.writableNeedDrain) return;
        last.set(transferId, { at, phase });
        sendLine(this.socket, { progress });
      },
      [Symbol.dispose]: () => {},
    };
  }

  #end({ error }: Ending): void {
    this.#isOver = true;
    sendLine(this.socket, { ended: true, failure: error === undefined ? null : failureOf(error) });
    this.socket.end();
  }
}
