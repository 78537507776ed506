/**
 * A program for a host of a test network: a real discovery, or a sender and recorder of raw packets. It is told what to
 * do by the first line of its input, says what happens as lines of JSON, and ends when its input does.
 */
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { PeerEvent } from '../../src/discovery/browser.ts';
import type { LinkCounts } from '../../src/discovery/link.ts';
import { Discovery } from '../../src/discovery/mdns.ts';
import { someFingerprint } from '../store/temporary-home.ts';
import type { Host } from './network.ts';

/** What a neighbour does. */
export type Task =
  | {
      readonly kind: 'discovery';
      /** Fingerprints differ by it. */
      readonly number: number;
      readonly advertise?: readonly {
        readonly name: string;
        readonly port: number;
        readonly host?: string;
      }[];
      readonly browse?: boolean;
      /** Milliseconds. */
      readonly lifetime?: number;
      readonly interfaces?: string;
      /** Measure how long the event loop is kept waiting, which itself costs. */
      readonly measure?: boolean;
    }
  | {
      readonly kind: 'raw';
      /** Source addresses, used in turn; all have to be on the host. */
      readonly from: readonly string[];
      /** Packets in hexadecimal, and pauses in milliseconds. */
      readonly send: readonly (string | number)[];
    };

/** One line that a neighbour says. */
export type Said =
  | { readonly said: 'ready'; readonly names: readonly string[]; readonly interfaces: readonly string[] }
  | ({ readonly said: 'peer' } & PeerEvent)
  | { readonly said: 'renamed'; readonly name: string }
  | { readonly said: 'warning'; readonly message: string }
  | { readonly said: 'packet'; readonly from: string; readonly hex: string }
  | { readonly said: 'sent' }
  | {
      readonly said: 'end';
      readonly counts: LinkCounts;
      readonly found: number;
      readonly longestDelay: number;
    };

const LONGEST_MILLISECONDS = 40_000;

/** A neighbour that runs. */
export class Neighbour implements AsyncDisposable {
  readonly said: Said[] = [];
  readonly #child: ChildProcess;
  readonly #errors: Promise<string>;
  readonly #waiting = new Set<() => void>();

  constructor(host: Host, task: Task) {
    const program = fileURLToPath(import.meta.url);
    this.#child = host.spawn(process.execPath, [program], {}, { stdio: 'pipe' });
    this.#child.stdin?.write(`${JSON.stringify(task)}\n`);
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('the neighbour has no output');
    this.#errors = text(stderr);
    createInterface({ input: stdout }).on('line', (line) => {
      this.said.push(JSON.parse(line));
      for (const look of this.#waiting) look();
    });
    this.#child.once('exit', () => {
      for (const look of this.#waiting) look();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first line that fits, of those said and those to come. */
  async until<Line extends Said>(fits: (line: Said) => line is Line): Promise<Line>;
  async until(fits: (line: Said) => boolean): Promise<Said>;
  async until(fits: (line: Said) => boolean): Promise<Said> {
    // A guard against a hang, far above what anything takes.
    const late = setTimeout(() => this.#child.kill('SIGKILL'), LONGEST_MILLISECONDS);
    try {
      return await this.#until(fits);
    } finally {
      clearTimeout(late);
    }
  }

  async #until(fits: (line: Said) => boolean): Promise<Said> {
    for (;;) {
      const line = this.said.find(fits);
      if (line) return line;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`the neighbour never said it: ${fits}\n${await this.#errors}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
      this.#waiting.delete(resolve);
    }
  }

  /** Waits until it is set up; returns the names that it has got. */
  async ready(): Promise<readonly string[]> {
    return (await this.until((line) => line.said === 'ready')).names;
  }

  /** Waits for a change of a peer. */
  async peer(change: PeerEvent['change'], name: string): Promise<PeerEvent> {
    return await this.until(
      (line): line is Said & { said: 'peer' } =>
        line.said === 'peer' && line.change === change && line.peer.name === name,
    );
  }

  /** The peers that are there after all that was said. */
  get present(): string[] {
    const present = new Map<string, number>();
    for (const line of this.said) {
      if (line.said !== 'peer') continue;
      if (line.change === 'vanish') present.delete(line.peer.name);
      else present.set(line.peer.name, 1);
    }
    return [...present.keys()].sort();
  }

  /** Lets it end in order. Fails where it wrote an error or printed anything of its own. */
  async end(): Promise<Said & { said: 'end' }> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    const errors = await this.#errors;
    if (errors !== '') throw new Error(errors);
    return await this.until((line) => line.said === 'end');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function say(line: Said): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function discover(task: Task & { kind: 'discovery' }, over: Promise<unknown>): Promise<void> {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  const discovery = await Discovery.start({
    settings: {
      discovery: {
        enabled: 'on',
        interfaces: task.interfaces ?? null,
        lifetime: task.lifetime ?? 120_000,
      },
    },
    fingerprint: someFingerprint(task.number),
    onWarning: (message) => say({ said: 'warning', message }),
  });
  const browser = task.browse ? discovery.browse() : undefined;
  const told = (async () => {
    for await (const event of browser ?? []) say({ said: 'peer', ...event });
  })();
  const advertisements = await Promise.all(
    (task.advertise ?? []).map((one) =>
      discovery.advertise({
        ...one,
        fingerprint: someFingerprint(task.number),
        login: false,
        onRename: (name) => say({ said: 'renamed', name }),
      }),
    ),
  );
  say({ said: 'ready', names: advertisements.map(({ name }) => name), interfaces: discovery.interfaces });
  if (task.measure) delays.enable();
  await over;
  delays.disable();
  const { counts } = discovery;
  const found = browser?.found().length ?? 0;
  await discovery.stop();
  await told;
  say({ said: 'end', counts, found, longestDelay: delays.max / 1e6 });
}

async function sendRaw({ from, send }: Task & { kind: 'raw' }, over: Promise<unknown>): Promise<void> {
  const sockets = [];
  for (const address of from) {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.bind(5353, address);
    await once(socket, 'listening');
    socket.setMulticastInterface(address);
    sockets.push(socket);
  }
  const ears = createSocket({ type: 'udp4', reuseAddr: true });
  ears.on('message', (bytes, { address }) => {
    if (!from.includes(address)) say({ said: 'packet', from: address, hex: bytes.toString('hex') });
  });
  ears.bind(5353, '0.0.0.0');
  await once(ears, 'listening');
  ears.addMembership('224.0.0.251', from[0]);
  say({ said: 'ready', names: [], interfaces: [] });
  let turn = 0;
  for (const step of send) {
    if (typeof step === 'number') {
      await delay(step);
      continue;
    }
    const socket = sockets[turn % sockets.length];
    turn += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    socket?.send(Buffer.from(step, 'hex'), 5353, '224.0.0.251', () => resolve());
    await promise;
  }
  say({ said: 'sent' });
  await over;
  for (const socket of [...sockets, ears]) socket.close();
  say({ said: 'end', counts: { sent: turn, received: 0, refused: 0 }, found: 0, longestDelay: 0 });
}

/** Starts avahi's daemon on a host, with a bus and a run folder of its own, and then a command that talks to it. */
export function spawnAvahi(host: Host, command: string): ChildProcess {
  const script = `
    mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon || exit 1
    printf '[server]\\nhost-name=neighbour\\nratelimit-burst=10000\\n[publish]\\npublish-workstation=no\\n' >/run/avahi.conf
    dbus-daemon --system --fork --nopidfile >/dev/null 2>&1 || exit 1
    avahi-daemon -f /run/avahi.conf --no-drop-root --no-chroot -D >/dev/null 2>&1 || exit 1
    ${command}`;
  return host.spawn('unshare', ['-m', 'sh', '-c', script], {}, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Waits until a process has printed what fits. */
export async function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  let output = '';
  if (!child.stdout) throw new Error('the process has no output');
  for await (const piece of child.stdout.iterator({ destroyOnReturn: false })) {
    output += String(piece);
    if (pattern.test(output)) return output;
  }
  throw new Error(`${pattern} was not printed: ${output}`);
}

if (import.meta.main) {
  const lines = createInterface({ input: process.stdin });
  // It may end before everything is set up.
  const over = once(process.stdin, 'end');
  const [first] = await once(lines, 'line');
  const task: Task = JSON.parse(String(first));
  await (task.kind === 'raw' ? sendRaw(task, over) : discover(task, over));
}
