/**
 * A local network of hosts on this machine: each host a network namespace, all on one switch in a namespace of its own,
 * so that the machine's own network is never touched. Needs root on Linux.
 */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const NAMESPACE = /^localstream-(?<pid>\d+)-\d+-/;
let networks = 0;

/** What a host's link does to its traffic, each way. */
export interface Shape {
  /** Added on the way in and on the way out, so that a round trip takes twice this longer. */
  readonly delayMilliseconds?: number;
  /** The fraction of frames that vanish, 0 to 1. */
  readonly loss?: number;
  readonly bytesPerSecond?: number;
}

async function ip(...words: readonly string[]): Promise<string> {
  const { stdout } = await execute('ip', words);
  return stdout;
}

/** Runs lines of `ip` in one namespace, in one process. */
async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  const running = execute('ip', ['-n', namespace, '-batch', '-']);
  running.child.stdin?.end(`${lines.join('\n')}\n`);
  await running;
}

/** One computer on the network. */
export class Host {
  readonly namespace: string;
  #address: string;
  readonly #port: string;
  readonly #switchboard: string;
  #wire: ChildProcess | undefined;

  /** Made by {@link Network.create}. */
  constructor(namespace: string, switchboard: string, number: number) {
    this.namespace = namespace;
    this.#switchboard = switchboard;
    this.#port = `p${number}`;
    this.#address = `10.77.0.${number}`;
  }

  /** IPv4 address, as text. */
  get address(): string {
    return this.#address;
  }

  /** Starts a program on this host. `env` is added to this process's own. */
  spawn(
    command: string,
    args: readonly string[] = [],
    env: Record<string, string> = {},
    options: SpawnOptions = {},
  ): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.namespace, command, ...args], {
      ...options,
      env: { ...process.env, ...env },
    });
  }

  /** Runs a program on this host to its end. Throws unless it ends with 0. */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('ip', ['netns', 'exec', this.namespace, command, ...args]);
    return stdout;
  }

  /** Pulls the cable out: the host sees it, and connections stay as they are. */
  async linkDown(): Promise<void> {
    await ip('-n', this.#switchboard, 'link', 'set', this.#port, 'down');
  }

  /** Puts the cable in again. */
  async linkUp(): Promise<void> {
    await ip('-n', this.#switchboard, 'link', 'set', this.#port, 'up');
  }

  /** Gives the host another IPv4 address, as a new DHCP lease would; the old one is gone. */
  async changeAddress(address: string): Promise<void> {
    await ipBatch(this.namespace, [
      `address del ${this.#address}/24 dev eth0`,
      `address add ${address}/24 dev eth0`,
    ]);
    this.#address = address;
  }

  /** Makes the host's link slow, narrow or unreliable from now on; `{}` makes it perfect again. */
  async shape(shape: Shape): Promise<void> {
    const wire = this.#wire ?? (await this.#insertWire());
    const { delayMilliseconds = 0, loss = 0, bytesPerSecond = 0 } = shape;
    const answered = nextLine(wire);
    wire.stdin?.write(`${delayMilliseconds / 1000} ${loss} ${bytesPerSecond}\n`);
    await answered;
  }

  /** Puts a program between the host's port and the switch. Not every kernel has netem; every one has TAP devices. */
  async #insertWire(): Promise<ChildProcess> {
    const [near, far, joint] = [`${this.#port}near`, `${this.#port}far`, `${this.#port}joint`];
    const script = join(import.meta.dirname, 'wire.py');
    const words = ['netns', 'exec', this.#switchboard, 'python3', script, near, far];
    const wire = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#wire = wire;
    await nextLine(wire);
    await ipBatch(this.#switchboard, [
      `link add ${joint} type bridge mcast_snooping 0`,
      `link set ${near} master ${joint} txqueuelen 10000 up`,
      `link set ${far} master switch txqueuelen 10000 up`,
      `link set ${joint} up`,
      `link set ${this.#port} nomaster`,
      `link set ${this.#port} master ${joint}`,
    ]);
    return wire;
  }

  /** Ends the wire, if there is one. */
  async close(): Promise<void> {
    const wire = this.#wire;
    if (wire === undefined || wire.exitCode !== null) return;
    wire.stdin?.end();
    await once(wire, 'exit');
  }
}

async function nextLine(wire: ChildProcess): Promise<void> {
  if (wire.stdout === null) throw new Error('the wire has no output');
  const lines = createInterface({ input: wire.stdout });
  const ended = new AbortController();
  const exited = once(wire, 'exit', { signal: ended.signal }).then(() => {
    throw new Error('the wire broke');
  });
  await Promise.race([once(lines, 'line'), exited]);
  exited.catch(() => {});
  ended.abort();
  lines.close();
}

/** A switch and its hosts, 10.77.0.1 and up, each with an IPv6 address as well (fd77::1 and up). */
export class Network implements AsyncDisposable {
  readonly hosts: readonly Host[];
  readonly #switchboard: string;

  private constructor(switchboard: string, hosts: readonly Host[]) {
    this.#switchboard = switchboard;
    this.hosts = hosts;
  }

  /** Builds a network. Removes first what dead processes have left behind. */
  static async create(count: number): Promise<Network> {
    await removeStale();
    networks += 1;
    const name = `localstream-${process.pid}-${networks}-`;
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    const switchboard = `${name}switch`;
    const network = new Network(
      switchboard,
      numbers.map((number) => new Host(`${name}host${number}`, switchboard, number)),
    );
    try {
      await network.#build();
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  async #build(): Promise<void> {
    await ip('netns', 'add', this.#switchboard);
    await ipBatch(this.#switchboard, ['link add switch type bridge mcast_snooping 0', 'link set switch up']);
    for (const [index, host] of this.hosts.entries()) {
      const number = index + 1;
      await ip('netns', 'add', host.namespace);
      await ipBatch(this.#switchboard, [
        `link add p${number} type veth peer name eth0 netns ${host.namespace}`,
        `link set p${number} master switch up`,
      ]);
      await ipBatch(host.namespace, [
        'link set lo up',
        'link set eth0 up',
        `address add ${host.address}/24 dev eth0`,
        // Without this the address would be unusable for a second, while the kernel looks for a duplicate.
        `address add fd77::${number}/64 dev eth0 nodad`,
      ]);
    }
  }

  /** Ends every program on the network and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
    for (const namespace of [...this.hosts.map((host) => host.namespace), this.#switchboard]) {
      await removeNamespace(namespace);
    }
  }
}

/** The namespaces on this machine that belong to networks of ours. */
async function namespaces(): Promise<{ readonly name: string; readonly pid: number }[]> {
  const names = (await ip('netns', 'list')).split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.flatMap((name) => {
    const pid = NAMESPACE.exec(name)?.groups?.['pid'];
    return pid === undefined ? [] : [{ name, pid: Number(pid) }];
  });
}

async function removeStale(): Promise<void> {
  for (const { name, pid } of await namespaces()) if (!isAlive(pid)) await removeNamespace(name);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A namespace lives on while a program runs in it, and so would its devices. */
async function removeNamespace(name: string): Promise<void> {
  while ((await namespaces()).some((namespace) => namespace.name === name)) {
    try {
      const pids = (await ip('netns', 'pids', name)).split('\n').filter((line) => line !== '');
      for (const pid of pids) if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
      if (pids.length === 0) await ip('netns', 'del', name);
      else await delay(20);
    } catch (error) {
      // Another process that cleans up as well may have been faster.
      if ((await namespaces()).some((namespace) => namespace.name === name)) throw error;
    }
  }
}
