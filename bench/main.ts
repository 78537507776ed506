/**
 * `npm run bench`: our `get` and `put` beside the programs that people use today, on the loopback, with files in memory.
 * The contestants take turns, because a machine drifts more within an hour than they differ. Nothing is asserted.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { installPackages, isInstalled } from '../scripts/system-packages.ts';
import { type Contestant, type Running, TASKS, type Task, type Workplace } from './contestant.ts';
import { cp } from './contestants/cp.ts';
import { localstream } from './contestants/localstream.ts';
import { nginx } from './contestants/nginx.ts';
import { node } from './contestants/node.ts';
import { rsync } from './contestants/rsync.ts';
import { rsyncChecksumOverSsh, rsyncOverSsh, scp, tarOverSsh } from './contestants/ssh.ts';
import { type Amounts, bytesOf, makeWorkplace, prepare, verify } from './material.ts';
import { endedChildrenCpuSeconds, treeCpuSeconds, treePeakBytes } from './process-usage.ts';
import { type Sample, type Series, table } from './results.ts';

const CONTESTANTS: readonly Contestant[] = [
  localstream,
  scp,
  tarOverSsh,
  rsyncOverSsh,
  rsyncChecksumOverSsh,
  nginx,
  rsync,
  cp,
  node,
];
const SAMPLING_MILLISECONDS = 200;

const USAGE = `usage: npm run bench -- [options]
  --size SIZE      of the big file (default 2GiB)
  --files COUNT    of 4 KiB in the tree of small files (default 10000)
  --mixed COUNT    of files in the mixed tree (default 1000: 533 MB)
  --runs COUNT     timed runs of each; one more before them is not timed (default 5)
  --only TASKS     of ${TASKS.join(',')} (default all)
  --programs NAMES those whose name contains one of these (default all that are installed)
  --folder FOLDER  where the files lie (default /dev/shm)
  --out FILE       the figures as JSON (default bench/results/<date>.json)
  --install        install the programs that are missing (Debian, as root)`;

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '2GiB' },
    files: { type: 'string', default: '10000' },
    mixed: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: TASKS.join(',') },
    programs: { type: 'string', default: '' },
    folder: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    out: {
      type: 'string',
      default: join(import.meta.dirname, 'results', `${new Date().toISOString()}.json`),
    },
    install: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const amounts = {
    size: parseSize(options.size),
    files: Number(options.files),
    mixed: Number(options.mixed),
  };
  const runs = Number(options.runs);
  const tasks = TASKS.filter((task) => options.only.split(',').includes(task));
  const names = options.programs.split(',');
  const wanted = CONTESTANTS.filter((contestant) => names.some((name) => contestant.name.includes(name)));
  if (options.install) install(wanted);
  const present = wanted.filter(isPresent);
  for (const { name, packages } of wanted.filter((contestant) => !present.includes(contestant))) {
    console.log(`${name} is left out: not installed (--install, or install ${packages.join(' ')})`);
  }

  const workplace = makeWorkplace(options.folder, amounts, tasks);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(workplace.root, { recursive: true, force: true }));
  process.once('SIGINT', () => {
    void cleanup.disposeAsync().finally(() => process.exit(130));
  });

  const running = new Map<Contestant, Running>();
  for (const contestant of present) {
    try {
      running.set(contestant, cleanup.use(await contestant.start(workplace)));
    } catch (error) {
      console.log(`${contestant.name} is left out: ${error instanceof Error ? error.message : error}`);
    }
  }

  const all: Series[] = [];
  for (const task of tasks) {
    const bytes = bytesOf(task, amounts);
    const entries = [...running].flatMap(([{ name }, contestant]) => {
      const command = contestant.command(task);
      const series: Series = { task, name, bytes, samples: [] };
      return command === undefined ? [] : [{ contestant, command, series }];
    });
    all.push(...entries.map(({ series }) => series));
    for (let run = 0; run <= runs; run += 1) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${task}: run ${run} of ${runs}`);
      for (const { contestant, command, series } of entries) {
        if (series.failure !== undefined) continue;
        try {
          const sample = await timed(task, command, contestant, workplace);
          if (run > 0) series.samples.push(sample);
        } catch (error) {
          series.failure = error instanceof Error ? error.message : String(error);
        }
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  report(all, amounts, runs);
}

/** One run: the time that the client takes from start to end, and what both ends used. */
async function timed(
  task: Task,
  command: readonly string[],
  { serverPid, environment }: Running,
  workplace: Workplace,
): Promise<Sample> {
  prepare(task, workplace);
  const serverCpu = (): number => (serverPid === undefined ? 0 : treeCpuSeconds(serverPid));
  const cpuBefore = endedChildrenCpuSeconds() + serverCpu();
  let clientPeakBytes = 0;
  let said = '';

  const started = performance.now();
  const [program = '', ...args] = command;
  const client = spawn(program, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  client.stderr.on('data', (piece) => {
    said += piece;
  });
  const sampling = setInterval(() => {
    if (client.pid !== undefined) clientPeakBytes = Math.max(clientPeakBytes, treePeakBytes(client.pid));
  }, SAMPLING_MILLISECONDS);
  let status: unknown;
  try {
    [status] = await once(client, 'exit');
  } finally {
    clearInterval(sampling);
  }
  const seconds = (performance.now() - started) / 1000;

  if (status !== 0) throw new Error(`ended with ${status}: ${said.trim().split('\n').at(-1) ?? ''}`);
  // The far end may still be putting its session away.
  await delay(50);
  const cpuSeconds = endedChildrenCpuSeconds() + serverCpu() - cpuBefore;
  const serverPeakBytes = serverPid === undefined ? undefined : treePeakBytes(serverPid);
  verify(task, workplace);
  return { seconds, cpuSeconds, clientPeakBytes, serverPeakBytes };
}

function report(all: readonly Series[], amounts: Amounts, runs: number): void {
  console.log(table(all));
  const machine = { node: process.version, cores: cpus().length, model: cpus()[0]?.model };
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(
    options.out,
    `${JSON.stringify({ machine, ...amounts, runs, load: loadavg(), series: all }, null, 2)}\n`,
  );
  console.log(
    `\nload average at the end: ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
  );
  console.log(`written to ${options.out}`);
}

function parseSize(text: string): number {
  const match = /^(?<number>\d+)(?<unit>[KMG]i?B?)?$/i.exec(text);
  if (match === null) throw new Error(`"${text}" is not a size: write it as 2GiB`);
  const exponent = ' KMG'.indexOf(match.groups?.['unit']?.[0]?.toUpperCase() ?? ' ');
  return Number(match.groups?.['number']) * 1024 ** exponent;
}

function isPresent({ programs }: Contestant): boolean {
  return programs.every((program) => (program.startsWith('/') ? existsSync(program) : isInstalled(program)));
}

function install(contestants: readonly Contestant[]): void {
  const packages = contestants
    .filter((contestant) => !isPresent(contestant))
    .flatMap((contestant) => contestant.packages);
  if (packages.length === 0) return;
  const failure = installPackages([...new Set(packages)]);
  console.log(failure === undefined ? `installed ${packages.join(', ')}` : `nothing installed: ${failure}`);
}
