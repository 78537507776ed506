import assert from 'node:assert/strict';
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { OutputEvent } from '../../src/cli/events.ts';
import { checkEvent } from './event-schema.ts';

/** The program as people start it. */
export const LAUNCHER = fileURLToPath(import.meta.resolve('../../bin/localstream.js'));

/** What a run printed and how it ended. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** A run that has begun. */
export interface Running {
  readonly child: ChildProcess;
  /** Resolves when stdout or stderr holds a match. Rejects when the process ends without one. */
  until(pattern: RegExp): Promise<void>;
  readonly ended: Promise<Ran>;
}

export interface RunOptions {
  /** Of this machine. */
  readonly home: string;
  readonly cwd?: string;
  /** Read as stdin, which is empty otherwise. */
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** What was started and has not ended. */
const running = new Set<ChildProcess>();

/** A folder for a file of tests, with two homes: nothing of the person who runs them is read or written. */
export function scratch(): { readonly folder: string; readonly server: string; readonly client: string } {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-cli-'));
  after(() => {
    // What a test that failed has left running would keep its file from ending.
    for (const child of running) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, server: join(folder, 'server-home'), client: join(folder, 'client-home') };
}

/** The environment of a run: without what would colour or steer it. */
export function environment(home: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, XDG_CACHE_HOME } = process.env;
  // Nobody on the network shall see what a test has opened.
  const quiet = {
    LANG: 'C.UTF-8',
    LOCALSTREAM_HOME: home,
    LOCALSTREAM_DISCOVERY_ENABLED: 'off',
    LOCALSTREAM_SHELL_LISTEN: 'off',
  };
  return { PATH, HOME, TMPDIR, XDG_CACHE_HOME, ...quiet, ...more };
}

/** Starts a command. */
export function start(words: readonly string[], { home, cwd, input = '', env }: RunOptions): Running {
  const options: SpawnOptions = { cwd, env: environment(home, env), stdio: ['pipe', 'pipe', 'pipe'] };
  const child = spawn(process.execPath, [LAUNCHER, ...words], options);
  return follow(child, input);
}

/** Follows a process that was started. */
function follow(child: ChildProcess, input = ''): Running {
  const text = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  running.add(child);
  child.once('exit', () => running.delete(child));
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (piece: string) => {
      text[name] += piece;
      for (const watcher of watchers) watcher();
    });
  }
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const ended = once(child, 'close').then(([status]) => ({ ...text, status: status as number | null }));
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!pattern.test(text.stdout) && !pattern.test(text.stderr)) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
      void ended.then(() => reject(new Error(`ended without ${pattern}:\n${text.stdout}${text.stderr}`)));
    });
  return { child, until, ended };
}

/** Runs a command to its end. */
export function run(words: readonly string[], options: RunOptions): Promise<Ran> {
  return start(words, options).ended;
}

/** The events of a run with `--json`, each as its schema says. The last one says how it ended, and agrees with the exit status. */
export function eventsOf({ stdout, status }: Ran): OutputEvent[] {
  const events: OutputEvent[] = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  for (const event of events) checkEvent(event);
  const last = events.at(-1);
  assert.equal(last?.event, 'done', stdout);
  assert.equal(last?.event === 'done' && last.exit, status);
  assert.equal(events.filter(({ event }) => event === 'done').length, 1);
  return events;
}

/** The events of one kind. */
export function eventsNamed<Name extends OutputEvent['event']>(
  events: readonly OutputEvent[],
  name: Name,
): Extract<OutputEvent, { event: Name }>[] {
  return events.filter((event): event is Extract<OutputEvent, { event: Name }> => event.event === name);
}

/** The system takes ports above these for connections that go out, and could take a listener's in between. */
const [LOWEST_PORT, PORTS] = [20_000, 12_000];

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** A server that is ready, stopped by a signal when the test is over. */
export interface Served extends AsyncDisposable {
  readonly port: number;
  readonly fingerprint: string;
  /** `127.0.0.1:PORT`. */
  readonly peer: string;
  readonly running: Running;
  /** Asks it to end, and gives what it printed. */
  stop(signal?: NodeJS.Signals): Promise<Ran>;
}

/** Serves with `--json` until it is disposed of. */
export async function serve(words: readonly string[], options: RunOptions): Promise<Served> {
  const port = await freePort();
  const running = start(
    ['serve', '--json', '--host', '127.0.0.1', '--port', String(port), ...words],
    options,
  );
  await running.until(/"event":"listening".*\n/);
  const identity = eventsNamed(eventsOf(await run(['identity', '--json'], options)), 'identity');
  const fingerprint = identity[0]?.fingerprint ?? '';
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    running.child.kill(signal);
    return await running.ended;
  };
  return {
    port,
    fingerprint,
    peer: `127.0.0.1:${port}`,
    running,
    stop,
    [Symbol.asyncDispose]: async () => {
      if (running.child.exitCode === null) await stop();
    },
  };
}

/** A folder below another, made. */
export function folderIn(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  return path;
}
