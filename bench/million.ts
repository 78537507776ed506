/**
 * `node bench/million.ts`: trees of 1,000 to 1,000,000 small files, fetched whole by a new process from a new server. It
 * prints what a file costs and the most memory that either end has held, its workers included. Nothing is asserted.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, ServerProcess } from './contestant.ts';
import { treeCpuSeconds, treePeakBytes } from './process-usage.ts';

const LAUNCHER = join(import.meta.dirname, '../bin/localstream.js');
const FILES_PER_FOLDER = 1000;
const SAMPLING_MILLISECONDS = 100;

const USAGE = `usage: node bench/million.ts [options]
  --files COUNTS   separated by commas (default 1000,10000,100000,1000000)
  --bytes COUNT    of each file (default 100; a file in memory takes 5 KiB at each end all the same)
  --direction D    get or put (default get)
  --again          once more over what is there already, too
  --folder FOLDER  where the files lie (default /dev/shm)`;

const { values: options } = parseArgs({
  options: {
    files: { type: 'string', default: '1000,10000,100000,1000000' },
    bytes: { type: 'string', default: '100' },
    direction: { type: 'string', default: 'get' },
    again: { type: 'boolean', default: false },
    folder: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(USAGE);
else {
  console.log('   files       run  seconds  µs a file  CPU µs a file  RSS MiB here  RSS MiB there  load');
  for (const count of options.files.split(',')) await measure(Number(count));
}

async function measure(count: number): Promise<void> {
  const folder = mkdtempSync(join(options.folder, 'localstream-million-'));
  try {
    const [shared, other] = [join(folder, 'shared'), join(folder, 'other')];
    mkdirSync(other);
    fill(join(shared, 'tree'), count);
    const port = await freePort();
    const shares = ['--share', `shared=${shared}`, '--share', `other=${other}:rw`];
    await using server = await new ServerProcess(
      process.execPath,
      [LAUNCHER, 'serve', '--port', `${port}`, '--host', '127.0.0.1', '--open', ...shares],
      port,
      { LOCALSTREAM_HOME: join(folder, 'server'), LOCALSTREAM_DISCOVERY_ENABLED: 'off' },
    ).ready();
    const peer = `127.0.0.1:${port}`;
    const words =
      options.direction === 'put'
        ? ['put', join(shared, 'tree'), `${peer}:/other/`]
        : ['get', `${peer}:/shared/tree`, `${other}/`];
    // Keys are made and pinned outside the measurement.
    await run(['list_dir', `${peer}:/`, '--accept-new'], folder);
    for (const round of options.again ? ['first', 'again'] : ['first']) {
      const cpuBefore = treeCpuSeconds(server.pid ?? 0);
      const { seconds, cpuSeconds, peak } = await run(words, folder);
      const cpu = cpuSeconds + treeCpuSeconds(server.pid ?? 0) - cpuBefore;
      execFileSync('diff', ['-rq', join(shared, 'tree'), join(other, 'tree')]);
      const cells = [
        `${count}`.padStart(8),
        round.padStart(8),
        seconds.toFixed(2).padStart(7),
        ((seconds / count) * 1e6).toFixed(0).padStart(9),
        ((cpu / count) * 1e6).toFixed(0).padStart(13),
        mebibytes(peak).padStart(12),
        mebibytes(treePeakBytes(server.pid ?? 0)).padStart(13),
        (loadavg()[0] ?? 0).toFixed(1).padStart(4),
      ];
      console.log(cells.join('  '));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Ran {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peak: number;
}

async function run(words: readonly string[], folder: string): Promise<Ran> {
  const started = performance.now();
  const client = spawn(process.execPath, [LAUNCHER, ...words], {
    env: { ...process.env, LOCALSTREAM_HOME: join(folder, 'client') },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let [peak, cpuSeconds] = [0, 0];
  const sampling = setInterval(() => {
    if (client.pid === undefined) return;
    peak = Math.max(peak, treePeakBytes(client.pid));
    cpuSeconds = Math.max(cpuSeconds, treeCpuSeconds(client.pid));
  }, SAMPLING_MILLISECONDS);
  const [status] = await once(client, 'exit');
  clearInterval(sampling);
  if (status !== 0) throw new Error(`${words[0]} ended with ${status}`);
  return { seconds: (performance.now() - started) / 1000, cpuSeconds, peak };
}

function fill(root: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const branch = join(root, `${Math.floor(index / FILES_PER_FOLDER)}`);
    if (index % FILES_PER_FOLDER === 0) mkdirSync(branch, { recursive: true });
    writeFileSync(join(branch, `${index}`), `${index}`.padStart(Number(options.bytes)));
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
