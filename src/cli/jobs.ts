/** Transfers in the background of the shell, numbered so that a word and a number wait for them or end them. */
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { Progress } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import type { JobEvent } from './events.ts';
import { type Ending, settle } from './exit.ts';
import type { Output } from './output.ts';
import type { ProgressReporter } from './progress-meters.ts';
import { plural } from './units.ts';

/** Jobs that are over and still listed. */
const MOST_ENDED = 20;

const LONGEST_LINE = 200;

/** What a job is given to run with. */
export interface JobRun {
  readonly signal: AbortSignal;
  readonly discard: AbortSignal;
  /** Told to {@link Job.progress} and to whoever watches. */
  progress(): ProgressReporter;
}

/** One command in the background. */
export class Job {
  readonly number: number;
  /** As it is called: the number, with an s before it where the server runs it. */
  readonly name: string;
  /** As it was typed, without its `&`. */
  readonly line: string;
  readonly startedAt = new Date();
  /** Settles when the command is over. Never rejects. */
  readonly ended: Promise<Ending>;
  /** Undefined while it runs. */
  ending: Ending | undefined;
  /** Whether somebody has been given the outcome, who waited for it or cancelled it. */
  isCollected = false;
  /** The last report of each of its transfers. */
  readonly transfers = new Map<string, Progress>();
  readonly #stop = new AbortController();
  readonly #discard = new AbortController();
  readonly #watchers = new Set<ProgressReporter>();

  constructor(
    number: number,
    isServers: boolean,
    line: string,
    run: (given: JobRun) => Promise<void>,
    outer: AbortSignal,
  ) {
    this.number = number;
    this.name = `${isServers ? 's' : ''}${number}`;
    this.line = line;
    const signal = AbortSignal.any([this.#stop.signal, outer]);
    const progress = (): ProgressReporter => ({
      report: (state) => {
        this.transfers.set(state.transferId, state);
        for (const watcher of this.#watchers) watcher.report(state);
      },
      [Symbol.dispose]: () => {},
    });
    this.ended = settle(signal, () => run({ signal, discard: this.#discard.signal, progress })).then(
      (ending) => {
        this.ending = ending;
        return ending;
      },
    );
  }

  get state(): JobEvent['state'] {
    if (this.ending === undefined) return 'running';
    if (this.ending.error === undefined) return 'done';
    return this.ending.error.code === 'CANCELLED' ? 'cancelled' : 'failed';
  }

  /** Whether it was told to end. */
  get isCancelled(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Ends it. With `discard`, what has arrived of unfinished files is removed instead of kept for the next try. */
  cancel(discard = false): void {
    if (discard) this.#discard.abort();
    this.#stop.abort(errorOf('CANCELLED', 'cancelled'));
  }

  /** Shows how it goes until the result is disposed of. */
  watch(watcher: ProgressReporter): Disposable {
    for (const state of this.transfers.values()) watcher.report(state);
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }
}

/** The jobs of one shell. A number is never used twice. */
export class Jobs {
  #all: Job[] = [];
  #last = 0;
  /** Whether they are those of a server, which a shell tells from its own. */
  isServers = false;
  /** Told when one begins or ends. */
  onChange: (job: Job) => void = () => {};

  /** Those that run, and the last ones that are over, oldest first. */
  get all(): readonly Job[] {
    return this.#all;
  }

  get running(): readonly Job[] {
    return this.#all.filter(({ state }) => state === 'running');
  }

  /** The first failure that nobody was told of who waited for it. */
  get failure(): LocalstreamError | undefined {
    return this.#all.find(({ isCollected, ending }) => !isCollected && ending?.error !== undefined)?.ending
      ?.error;
  }

  /** Begins one. `outer` ends it, too. */
  start(line: string, run: (given: JobRun) => Promise<void>, outer: AbortSignal): Job {
    const job = new Job(++this.#last, this.isServers, line, run, outer);
    this.#all.push(job);
    this.onChange(job);
    void job.ended.then(() => {
      this.onChange(job);
      this.#forgetOldest();
    });
    return job;
  }

  /** The job with a number. Throws USAGE, listing those that there are. */
  find(number: number): Job {
    const job = this.#all.find((candidate) => candidate.number === number);
    if (job !== undefined) return job;
    const numbers = this.#all.map((candidate) => candidate.number);
    throw errorOf('USAGE', `there is no job ${number}`, {
      hint:
        numbers.length === 0
          ? 'get, put or send_file with & at its end begins one'
          : `there are: ${numbers.join(', ')}`,
    });
  }

  /** Ends all of them and resolves when they are over. */
  async cancelAll(): Promise<void> {
    const running = this.running;
    for (const job of running) job.cancel();
    await Promise.all(running.map(({ ended }) => ended));
  }

  #forgetOldest(): void {
    const ended = this.#all.filter(({ state }) => state !== 'running');
    // A failure that nobody knows of yet decides about the status of a script.
    const told = ended.filter(({ isCollected, state }) => isCollected || state === 'done');
    const forgotten = new Set(told.slice(0, Math.max(0, ended.length - MOST_ENDED)));
    if (forgotten.size > 0) this.#all = this.#all.filter((job) => !forgotten.has(job));
  }
}

/** `2 jobs`. */
export function jobCount(jobs: readonly Job[]): string {
  return plural(jobs.length, 'job');
}

/** Says that a job has begun or is over. */
export function tellJob(output: Output, job: Job): void {
  const said = { running: 'has begun', done: 'is done', failed: 'failed', cancelled: 'is cancelled' };
  output.note(`job ${job.name} ${said[job.state]}: ${escapeText(job.line, LONGEST_LINE)}`, jobEvent(job));
  if (job.state === 'failed' && job.ending?.error !== undefined) output.error(job.ending.error);
}

export function jobEvent({ number, name, line, state, startedAt, ending, transfers }: Job): JobEvent {
  return {
    event: 'job',
    number,
    server: name !== String(number),
    line,
    state,
    code: ending?.error?.code ?? null,
    message: ending?.error?.message ?? null,
    startedAt: startedAt.toISOString(),
    transfers: [...transfers.values()].map(
      ({ transferId, direction, phase, files, filesTotal, bytes, bytesTotal, totalsKnown }) => ({
        transferId,
        direction,
        phase,
        files,
        filesTotal,
        bytes,
        bytesTotal,
        totalsKnown,
      }),
    ),
  };
}
