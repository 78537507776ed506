/**
 * One transfer of a big file whose ends are killed again and again, or whose receiver's disk loses its power. Everything is
 * real: the program as people start it, SIGKILL, and a relay between the ends that counts what crosses.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { environment, freePort, LAUNCHER } from '../cli/cli-process.ts';
import { Relay } from './relay.ts';

const MEBIBYTE = 1024 * 1024;
const POLL_MILLISECONDS = 5;
const PARTIAL = /^\.localstream-[0-9a-f]{16}-\d+\.part$/;
/** Of all kills, those that come at any moment after a start, so that handshakes, checks and ends are hit as well. */
const BLIND_SHARE = 0.2;
const BLIND_MILLISECONDS = 1000;
/** A guard against a transfer that never ends. */
const PATIENCE_MILLISECONDS = 120_000;

export type Side = 'client' | 'server';
export type Direction = 'get' | 'put';

/** The power of the disk that the receiver's folder lies on. */
export interface Power {
  /** Everything is lost that is not on the disk. */
  cut(): void;
  /** Only to be called when no process has anything open there any more. */
  restore(): void;
}

export interface InterruptedOptions {
  /** A folder for everything, made and removed by the caller. */
  readonly folder: string;
  readonly direction: Direction;
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes of each of the small files beside it, none unless given. */
  readonly small?: readonly number[];
  /** SIGKILLs, spread over the whole transfer. */
  readonly kills: number;
  /** With it the receiver is always the one that is killed, and its disk loses its power with it. */
  readonly power?: Power;
  /** From 0 to below 1, as `Math.random`. */
  readonly random: () => number;
  readonly told?: (line: string) => void;
}

/** What became of it. */
export interface Interrupted {
  readonly kills: { readonly client: number; readonly server: number };
  /** Times that the command had to be given. */
  readonly starts: number;
  /** Starts of the command that ended by themselves with another status than 0, and what they said. */
  readonly refusals: readonly string[];
  /** Bytes that crossed towards the receiver, with all that TLS adds. */
  readonly crossed: number;
  /** For each kill: bytes that had crossed by then and are not in the partial. */
  readonly lost: readonly number[];
  /** For each cut of the power: bytes of the big file that had been written and were not on the disk. */
  readonly dropped: readonly number[];
  /** Whether what arrived is byte for byte what was sent. */
  readonly identical: boolean;
  /** Partials that are left when all is done. */
  readonly partials: readonly string[];
  readonly seconds: number;
}

/** The two ends and the relay between them. */
export class Ends implements AsyncDisposable {
  readonly #folder: string;
  readonly #serverPort: number;
  readonly relay: Relay;
  #server: ChildProcess | undefined;

  private constructor(folder: string, serverPort: number, relay: Relay) {
    this.#folder = folder;
    this.#serverPort = serverPort;
    this.relay = relay;
  }

  /** Makes the folders `shared`, `inbox` and `outbox` and starts a server that shows the first two. */
  static async start(folder: string): Promise<Ends> {
    for (const name of ['shared', 'inbox', 'outbox']) mkdirSync(join(folder, name), { recursive: true });
    const port = await freePort();
    const ends = new Ends(folder, port, await Relay.start(port));
    await ends.startServer();
    return ends;
  }

  get peer(): string {
    return `127.0.0.1:${this.relay.port}`;
  }

  async startServer(): Promise<void> {
    const shares = ['shared', 'inbox:rw'].flatMap((share) => ['--share', join(this.#folder, share)]);
    const words = ['serve', '--host', '127.0.0.1', '--port', `${this.#serverPort}`, '--open', ...shares];
    const server = spawn(process.execPath, [LAUNCHER, ...words, '--max', '100', '--json'], {
      env: environment(join(this.#folder, 'server-home')),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#server = server;
    server.stdout.resume();
    await Promise.race([
      once(server.stdout, 'data'),
      once(server, 'exit').then(() => Promise.reject(new Error('the server ended'))),
    ]);
  }

  /** Starts a command of the client with `--json`. */
  startClient(words: readonly string[]): ChildProcess {
    return spawn(process.execPath, [LAUNCHER, ...words, '--json'], {
      env: environment(join(this.#folder, 'client-home')),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  async killServer(): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killServer();
    await this.relay[Symbol.asyncDispose]();
  }
}

/** Runs one transfer to its end through all its kills. */
export async function interruptedTransfer(options: InterruptedOptions): Promise<Interrupted> {
  const { folder, direction, size, small = [], random, power, told = () => {} } = options;
  await using ends = await Ends.start(folder);
  const source = join(folder, 'shared', 'trip');
  const target = join(folder, receivingFolder(direction), 'trip');
  mkdirSync(source);
  fill(join(source, 'big'), size);
  for (const [index, bytes] of small.entries()) fill(join(source, `small-${index}`), bytes);
  // A small file that is named is not on the disk yet: after a power cut it differs, which only this replaces.
  const words = [...transferWords(ends, folder, direction, 'trip'), ...(power ? ['--overwrite'] : [])];

  const started = performance.now();
  const kills = { client: 0, server: 0 };
  const [refusals, lost, dropped]: [string[], number[], number[]] = [[], [], []];
  const arrived = (): number => ends.relay.crossed[direction === 'get' ? 'down' : 'up'];
  const giveUpAt = (): number => performance.now() + PATIENCE_MILLISECONDS;
  let starts = 0;
  let client = await startClient();
  let [crossedBefore, storedBefore] = [0, 0];

  async function startClient(): Promise<Client> {
    starts += 1;
    return new Client(ends.startClient(words));
  }
  /** Gives the command again where it ended without success: the other end may not have noticed yet. */
  async function restartIfOver(): Promise<boolean> {
    if (client.status === undefined) return false;
    if (client.status === 0) return true;
    refusals.push(client.lastError);
    client = await startClient();
    return false;
  }

  for (let kill = 1; kill <= options.kills; kill += 1) {
    // The part that this attempt may move, so that the kills spread over the whole file.
    const until = (size * (kill - random())) / (options.kills + 1);
    const isBlind = random() < BLIND_SHARE;
    const blindUntil = performance.now() + random() * BLIND_MILLISECONDS;
    const giveUp = giveUpAt();
    while (isBlind ? performance.now() < blindUntil : stored(target) < until) {
      if (await restartIfOver()) break;
      if (performance.now() > giveUp) throw new Error(`nothing moves any more before kill ${kill}`);
      await delay(POLL_MILLISECONDS);
    }
    if (client.status === 0) break;
    const side = power ? receiverOf(direction) : random() < 0.5 ? 'client' : 'server';
    kills[side] += 1;
    power?.cut();
    if (side === 'server') {
      await ends.killServer();
    } else {
      await client.kill();
    }
    if (power) {
      const written = stored(target);
      power.restore();
      dropped.push(Math.max(0, written - stored(target)));
    }
    // What the living end still takes from its sockets belongs to this attempt.
    await settled(() => stored(target));
    const [crossedNow, storedNow] = [arrived(), stored(target)];
    lost.push(Math.max(0, crossedNow - crossedBefore - (storedNow - storedBefore)));
    [crossedBefore, storedBefore] = [crossedNow, storedNow];
    told(
      `${power ? 'cut' : 'kill'} ${kill} of the ${side}${isBlind ? ', blind' : ''}: ${Math.floor(storedNow / MEBIBYTE)} MiB stored`,
    );
    if (side === 'server') await ends.startServer();
    else client = await startClient();
  }
  for (const giveUp = giveUpAt(); !(await restartIfOver()); ) {
    if (performance.now() > giveUp) throw new Error('the transfer does not end');
    await delay(POLL_MILLISECONDS);
  }
  return {
    kills,
    starts,
    refusals,
    crossed: arrived(),
    lost,
    dropped,
    identical: same(source, target),
    partials: readdirSync(target).filter((name) => PARTIAL.test(name)),
    seconds: (performance.now() - started) / 1000,
  };
}

/** Below the folder of everything: what the receiver's files go into. */
export function receivingFolder(direction: Direction): string {
  return direction === 'get' ? 'outbox' : 'inbox';
}

function receiverOf(direction: Direction): Side {
  return direction === 'get' ? 'client' : 'server';
}

/** The command that moves what lies in the sender's folder under a name. */
export function transferWords(ends: Ends, folder: string, direction: Direction, name: string): string[] {
  return direction === 'get'
    ? ['get', `${ends.peer}:/shared/${name}`, `${join(folder, receivingFolder(direction))}/`, '--accept-new']
    : ['put', join(folder, 'shared', name), `${ends.peer}:/inbox/`, '--accept-new'];
}

/** A client that runs, and what it last complained of. */
class Client {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #status: number | undefined;
  #text = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      this.#text = (this.#text + piece).slice(-8192);
    });
    this.#ended = once(child, 'close').then(([status, signal]) => {
      this.#status = typeof status === 'number' ? status : -1;
      if (typeof signal === 'string') this.#text += signal;
    });
  }

  /** How it ended, once it has. */
  get status(): number | undefined {
    return this.#status;
  }

  get lastError(): string {
    const lines = this.#text.split('\n').filter((line) => /"event":"(error|receipt)"/.test(line));
    return `${this.#status}: ${lines.at(-1) ?? this.#text}`.slice(0, 400);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** Waits until a number stays the same. */
async function settled(read: () => number): Promise<void> {
  for (let [before, now] = [-1, read()]; before !== now; [before, now] = [now, read()]) await delay(50);
}

/** Bytes of the file that are on the receiver's disk, under whatever name. */
function stored(target: string): number {
  if (!existsSync(target)) return 0;
  const sizes = readdirSync(target).map((name) => {
    if (name !== 'big' && !PARTIAL.test(name)) return 0;
    return statSync(join(target, name), { throwIfNoEntry: false })?.size ?? 0;
  });
  return Math.max(0, ...sizes);
}

/** Makes a file of random bytes. */
export function fill(path: string, size: number): void {
  const file = openSync(path, 'w');
  const piece = Buffer.alloc(8 * MEBIBYTE);
  for (let left = size; left > 0; left -= piece.length) {
    writeSync(file, randomFillSync(piece), 0, Math.min(left, piece.length));
  }
  closeSync(file);
}

/** Compared by another program than ours: two files, or two folders with all that is in them. */
export function same(left: string, right: string): boolean {
  try {
    execFileSync('diff', ['-qr', left, right], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Numbers from 0 to below 1 that a seed repeats. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // Mulberry32: enough to choose moments by.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
