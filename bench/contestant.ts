/** What every program that takes part in the benchmark has in common. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * What is timed: one big file each way; a tree of many small ones, a tree of files of all sizes, and the first tree once
 * more when it is there already, each fetched and sent; one tiny file from a cold start; and saying the version.
 */
export const TASKS = [
  'get',
  'put',
  'tree',
  'tree-put',
  'mixed',
  'mixed-put',
  'again',
  'again-put',
  'start',
  'version',
] as const;
export type Task = (typeof TASKS)[number];

/** The folders of a benchmark, all in memory. */
export interface Workplace {
  /** Served read-only: `big`, `tiny` and the folders `tree` and `mixed`. */
  readonly shared: string;
  /** Served for writing: where `put` goes. */
  readonly inbox: string;
  /** Where the client stores what it gets. */
  readonly outbox: string;
  /** Keys and settings. A contestant makes a folder of its own here. */
  readonly scratch: string;
}

/** A contestant whose server, if it has one, is up. */
export interface Running extends AsyncDisposable {
  /** The far end: its process and all below it. */
  readonly serverPid: number | undefined;
  /** The client's command for a task, or undefined where it has none. */
  command(task: Task): readonly string[] | undefined;
  /** Added to the environment of the client. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A program that can move files. */
export interface Contestant {
  readonly name: string;
  /** Programs that have to be there. */
  readonly programs: readonly string[];
  /** The Debian packages that have them. */
  readonly packages: readonly string[];
  start(workplace: Workplace): Promise<Running>;
}

/** A port on the loopback that nothing uses just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the port is not known');
  return address.port;
}

/** A server in the foreground, ended when it is disposed of. */
export class ServerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #port: number;
  #said = '';

  /** Starts a program that will listen on a port. */
  constructor(command: string, args: readonly string[], port: number, env: Record<string, string> = {}) {
    this.#port = port;
    this.#child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output?.on('data', (piece) => {
        this.#said = (this.#said + piece).slice(-2000);
      });
    }
    this.#child.on('error', (error) => {
      this.#said += error.message;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves once the port answers. Throws with what the program said if it ends before, or after ten seconds. */
  async ready(): Promise<this> {
    const end = performance.now() + 10_000;
    while (!(await answers(this.#port))) {
      if (this.#child.exitCode !== null || this.#child.pid === undefined || performance.now() > end) {
        await this[Symbol.asyncDispose]();
        throw new Error(`the server does not come up: ${this.#said.trim()}`);
      }
      await delay(20);
    }
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
