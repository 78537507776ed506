/**
 * `node bench/discovery.ts`: what it costs to be found, and how long it takes, between hosts in network namespaces. Needs
 * root on Linux. It prints the memory and the processor time of a server that only waits, the packets that it has sent as
 * another host has captured them, how soon a watcher sees a server come and go, and how long 4,000 spoofed services keep
 * the event loop of one who looks. Nothing is asserted.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { announcement } from '../test/discovery/packets.ts';
import { Neighbour, printed } from '../test/lan/neighbour.ts';
import { type Host, Network } from '../test/lan/network.ts';
import { treeCpuSeconds } from './process-usage.ts';

const LAUNCHER = join(import.meta.dirname, '../bin/localstream.js');
/** A start and its announcements are over by then. */
const SETTLED_MILLISECONDS = 20_000;
const SPOOFED = 4000;
const SENDERS = 100;

const USAGE = `usage: node bench/discovery.ts [options]
  --seconds COUNT  that the idle server is watched (default 60)
  --runs COUNT     of coming and going (default 5)`;

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false },
  },
});

/** Every frame to port 5353 that an interface sees: family, sender, and Q for a question or R for an answer. */
const CAPTURE = `
import socket, struct, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
raw.bind(("eth0", 0))
print("ready", flush=True)
while True:
    frame = raw.recv(65536)
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800 and frame[23] == 17:
        head, sender = 14 + (frame[14] & 15) * 4, socket.inet_ntop(socket.AF_INET, frame[26:30])
    elif kind == 0x86DD and frame[20] == 17:
        head, sender = 54, socket.inet_ntop(socket.AF_INET6, frame[22:38])
    else:
        continue
    if struct.unpack("!H", frame[head + 2:head + 4])[0] != 5353:
        continue
    print(6 if kind == 0x86DD else 4, sender, "R" if frame[head + 10] & 128 else "Q", flush=True)
`;

if (options.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-bench-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  console.log(
    `load average ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
  );
  await idle(folder);
  await comingAndGoing(folder);
  await flood();
}

function start(host: Host, folder: string, name: string, words: readonly string[]): ChildProcess {
  const env = { LOCALSTREAM_HOME: join(folder, name), LOCALSTREAM_NAME: name, NO_COLOR: '1' };
  return host.spawn(process.execPath, [LAUNCHER, ...words], env, { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function stopped(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null) await once(child, 'exit');
}

function hostsOf(network: Network): [Host, Host, Host] {
  const [first, second, third] = network.hosts;
  if (!first || !second || !third) throw new Error('the network has too few hosts');
  return [first, second, third];
}

/** Memory, processor time and packets of a server that only waits. */
async function idle(folder: string): Promise<void> {
  await using network = await Network.create(3);
  const [first, , third] = hostsOf(network);
  const capture = third.spawn('python3', ['-c', CAPTURE], {}, { stdio: ['ignore', 'pipe', 'inherit'] });
  await printed(capture, /ready/);
  const frames: string[] = [];
  if (capture.stdout) createInterface({ input: capture.stdout }).on('line', (line) => frames.push(line));
  // In a checkout that was changed, the first start translates the sources, and keeps what that took.
  const words = ['serve', '--open', '--share', `docs=${folder}`];
  const early = start(first, folder, 'early', words);
  await printed(early, /listening on/);
  await stopped(early);
  frames.length = 0;
  const server = start(first, folder, 'idle', words);
  await printed(server, /listening on/);
  const { pid } = server;
  if (pid === undefined) throw new Error('the server has no process');
  await delay(SETTLED_MILLISECONDS);
  const seconds = Number(options.seconds);
  const before = { cpu: treeCpuSeconds(pid), frames: frames.length };
  await delay(seconds * 1000);
  const cpu = treeCpuSeconds(pid) - before.cpu;
  console.log(`idle: VmRSS ${mebibytesOf(pid, 'VmRSS')} MiB, VmHWM ${mebibytesOf(pid, 'VmHWM')} MiB`);
  console.log(`idle: ${((cpu / seconds) * 100).toFixed(3)} % of a core in ${seconds} s`);
  console.log(`packets from the start on: ${shown(frames.slice(0, before.frames))}`);
  console.log(`packets in ${seconds} s of waiting: ${shown(frames.slice(before.frames))}`);
  const till = frames.length;
  await stopped(server);
  await delay(1000);
  console.log(`packets at the end: ${shown(frames.slice(till))}`);
  capture.kill();
}

function mebibytesOf(pid: number, key: string): string {
  const [, kilobytes] =
    new RegExp(`${key}:\\s*(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (Number(kilobytes) / 1024).toFixed(1);
}

/** By family and kind. */
function shown(frames: readonly string[]): string {
  const count = (family: string, kind: string) =>
    frames.filter((line) => line.startsWith(family) && line.endsWith(kind)).length;
  return [4, 6]
    .map((family) => `IPv${family} ${count(`${family}`, 'Q')} questions, ${count(`${family}`, 'R')} answers`)
    .join('; ');
}

/** How long after its own line "listening", and after the signal to stop, a watcher tells of it. */
async function comingAndGoing(folder: string): Promise<void> {
  await using network = await Network.create(3);
  const [first, second] = hostsOf(network);
  const watcher = start(second, folder, 'watcher', ['possible_connections', '--watch', '--json']);
  let told = Promise.withResolvers<string>();
  if (watcher.stdout) {
    createInterface({ input: watcher.stdout }).on('line', (line) => {
      const { change, name } = JSON.parse(line);
      if (name === 'nas' && change !== 'change') told.resolve(change);
    });
  }
  await delay(SETTLED_MILLISECONDS / 3);
  const times: { appear: number[]; vanish: number[] } = { appear: [], vanish: [] };
  for (let run = 0; run < Number(options.runs); run += 1) {
    const server = start(first, folder, 'nas', ['serve', '--open']);
    await printed(server, /listening on/);
    for (const change of ['appear', 'vanish'] as const) {
      const since = performance.now();
      if (change === 'vanish') server.kill('SIGTERM');
      while ((await told.promise) !== change) told = Promise.withResolvers();
      times[change].push((performance.now() - since) / 1000);
      told = Promise.withResolvers();
    }
    if (server.exitCode === null) await once(server, 'exit');
  }
  for (const [change, all] of Object.entries(times)) {
    console.log(`${change}: after so many seconds: ${all.map((time) => time.toFixed(2)).join(' ')}`);
  }
  await stopped(watcher);
}

/** The longest that an event loop had to wait, of one who looks and of one who hears nothing, at the same time. */
async function flood(): Promise<void> {
  await using network = await Network.create(3);
  await using quiet = await Network.create(1);
  const [first, second] = hostsOf(network);
  const [alone] = quiet.hosts;
  if (!alone) throw new Error('the network has no hosts');
  const task = { kind: 'discovery', number: 1, browse: true, measure: true } as const;
  await using target = new Neighbour(first, task);
  await using control = new Neighbour(alone, task);
  for (const one of [target, control]) await one.ready();
  const from = Array.from({ length: SENDERS }, (_, index) => `10.77.0.${index + 20}`);
  const lines = from.map((address) => `address add ${address}/24 dev eth0`).join('\n');
  execFileSync('ip', ['-n', second.namespace, '-batch', '-'], { input: lines });
  const send = Array.from({ length: SPOOFED }, (_, index) =>
    announcement({ name: `flood ${index}`, ttl: 0x7fffffff }).toString('hex'),
  );
  await using flooding = new Neighbour(second, { kind: 'raw', from, send });
  await flooding.until((line) => line.said === 'sent');
  await delay(1000);
  const [under, beside] = await Promise.all([target.end(), control.end()]);
  const { received, refused } = under.counts;
  console.log(
    `${SPOOFED} spoofed services: ${under.found} kept, ${received} packets looked at, ${refused} left; ` +
      `event loop at most ${under.longestDelay.toFixed(1)} ms late, ${beside.longestDelay.toFixed(1)} ms where nothing came`,
  );
}
