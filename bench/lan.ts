/**
 * `node bench/lan.ts`: our `get` beside scp between two hosts on a network of namespaces, over ways of several lengths
 * that lose frames. Needs root on Linux. The wire is a program (test/lan/wire.py), so that the first column, a bare TCP
 * connection, is what there is to be had. Rates are of the bytes that are on the receiver's disk, without the handshake.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Host, Network } from '../test/lan/network.ts';
import { median } from './results.ts';

const LAUNCHER = join(import.meta.dirname, '../bin/localstream.js');
const MEBIBYTE = 1024 * 1024;
const POLL_MILLISECONDS = 20;

const USAGE = `usage: node bench/lan.ts [options]
  --delays MS      round trips, separated by commas (default 0,20,100)
  --losses PERCENT separated by commas (default 0,1,3)
  --rate MBITS     of the wire (default 1000)
  --seconds COUNT  that each transfer is watched for at the most (default 8)
  --runs COUNT     of each (default 1)`;

const { values: options } = parseArgs({
  options: {
    delays: { type: 'string', default: '0,20,100' },
    losses: { type: 'string', default: '0,1,3' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '8' },
    runs: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});

/** Bytes that the source has: more than a wire can carry while it is watched. */
const SIZE = Math.min(1024, Number(options.seconds) * 128) * MEBIBYTE;

/** Starts one transfer into a folder that is empty. */
type Start = (target: string) => ChildProcess;

if (options.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  const network = cleanup.use(await Network.create(2));
  const [server, client] = network.hosts;
  if (server === undefined || client === undefined) throw new Error('the network has no hosts');
  const source = join(folder, 'shared', 'big');
  mkdirSync(join(source, '..'));
  writeFileSync(source, '');
  for (let at = 0; at < SIZE; at += 64 * MEBIBYTE) {
    writeFileSync(source, randomFillSync(Buffer.alloc(64 * MEBIBYTE)), { flag: 'a' });
  }
  const contestants: [string, Start][] = [
    ['bare TCP', await bareTcp(server, client, source)],
    ['localstream', await localstream(server, client, folder)],
    ['scp', await scp(server, client, folder, source)],
  ];

  console.log(`MB/s at ${options.rate} Mbit/s at the most`);
  console.log('round trip  loss  bare TCP  localstream     scp  ours is');
  for (const roundTrip of options.delays.split(',').map(Number)) {
    for (const percent of options.losses.split(',').map(Number)) {
      // Frames vanish on the way there and, in the same proportion, on the way back.
      await client.shape({
        delayMilliseconds: roundTrip / 2,
        loss: percent / 100,
        bytesPerSecond: (Number(options.rate) * 1e6) / 8,
      });
      const rates = new Map<string, number[]>();
      for (let run = 0; run < Number(options.runs); run += 1) {
        for (const [name, start] of contestants) {
          rates.set(name, [...(rates.get(name) ?? []), await rateOf(start, join(folder, 'target'))]);
        }
      }
      const [bare = 0, ours = 0, theirs = 0] = contestants.map(([name]) => median(rates.get(name) ?? []));
      const cells = [
        bare.toFixed(1).padStart(8),
        ours.toFixed(1).padStart(11),
        theirs.toFixed(1).padStart(6),
      ];
      const ratio = (ours / theirs).toFixed(2);
      console.log(
        `${roundTrip} ms`.padStart(10),
        `${percent} %`.padStart(5),
        cells.join('  '),
        `${ratio} x as fast`.padStart(15),
      );
    }
  }
  console.log(
    `load average at the end: ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
  );
}

/** Megabytes a second from the first byte that is stored to the last one that was seen. */
async function rateOf(start: Start, target: string): Promise<number> {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  const child = start(target);
  const ended = once(child, 'close');
  let [first, last]: { at: number; bytes: number }[] = [];
  for (const until = performance.now() + 60_000; performance.now() < until; ) {
    const bytes = stored(target);
    const now = { at: performance.now(), bytes };
    if (bytes > 0) first ??= now;
    if (bytes !== last?.bytes) last = now;
    if (first !== undefined && now.at - first.at > Number(options.seconds) * 1000) break;
    if (bytes >= SIZE || child.exitCode !== null) break;
    await delay(POLL_MILLISECONDS);
  }
  child.kill('SIGKILL');
  await ended;
  if (first === undefined || last === undefined || last.at === first.at) return 0;
  return (last.bytes - first.bytes) / 1e3 / (last.at - first.at);
}

function stored(target: string): number {
  const sizes = readdirSync(target).map(
    (name) => statSync(join(target, name), { throwIfNoEntry: false })?.size ?? 0,
  );
  return Math.max(0, ...sizes);
}

async function localstream(server: Host, client: Host, folder: string): Promise<Start> {
  const env = (who: string) => ({
    LOCALSTREAM_HOME: join(folder, who),
    LOCALSTREAM_DISCOVERY_ENABLED: 'off',
  });
  const words = ['serve', '--open', '--max', '9', '--share', join(folder, 'shared')];
  await ready(server.spawn(process.execPath, [LAUNCHER, ...words], env('server')));
  const get = ['get', `${server.address}:/shared/big`];
  return (target) =>
    client.spawn(process.execPath, [LAUNCHER, ...get, `${target}/`, '--accept-new'], env('client'), {
      stdio: 'ignore',
    });
}

async function scp(server: Host, client: Host, folder: string, source: string): Promise<Start> {
  const [hostKey, userKey] = [join(folder, 'host'), join(folder, 'user')];
  for (const key of [hostKey, userKey]) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  }
  const settings = [
    `ListenAddress ${server.address}`,
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${userKey}.pub`,
    'PermitRootLogin yes',
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`);
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  await ready(server.spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')]));
  const known = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  const flags = ['Ciphers=aes128-gcm@openssh.com', ...known].flatMap((option) => ['-o', option]);
  const from = `${userInfo().username}@${server.address}:${source}`;
  return (target) =>
    client.spawn(
      'scp',
      ['-q', '-F', '/dev/null', '-i', userKey, ...flags, from, target],
      {},
      {
        stdio: 'ignore',
      },
    );
}

/** What the wire and one TCP connection can do. */
async function bareTcp(server: Host, client: Host, source: string): Promise<Start> {
  const serve = `require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    require('node:fs').createReadStream(${JSON.stringify(source)}, { highWaterMark: 1048576 }).pipe(socket);
  }).listen(7000, () => console.log('ready'));`;
  await ready(server.spawn(process.execPath, ['-e', serve]));
  const fetch = `require('node:net').connect(7000, process.argv[1])
    .pipe(require('node:fs').createWriteStream(process.argv[2] + '/big'));`;
  return (target) =>
    client.spawn(process.execPath, ['-e', fetch, server.address, target], {}, { stdio: 'ignore' });
}

/** Waits for the first line of a server. */
async function ready(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('a server ended')));
  ended.catch(() => {});
  const said = [child.stdout, child.stderr].flatMap((output) => (output ? [once(output, 'data')] : []));
  await Promise.race([...said, ended]);
  for (const output of [child.stdout, child.stderr]) output?.resume();
}
