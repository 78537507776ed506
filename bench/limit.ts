/**
 * `node bench/limit.ts`: how well bounds on bytes a second are kept, and how they are shared. Server and clients are the
 * program; a relay in front of the server for each transfer counts what crosses, with all that TLS adds. Nothing is asserted.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseRate } from '../src/cli/values.ts';
import { fill } from '../test/soak/interrupted-transfer.ts';
import { Relay } from '../test/soak/relay.ts';
import { freePort, ServerProcess } from './contestant.ts';

const LAUNCHER = join(import.meta.dirname, '../bin/localstream.js');
const WINDOW_MILLISECONDS = 10_000;
const POLL_MILLISECONDS = 50;
/** More than the handshakes of a transfer: what comes after is the file. */
const BEGUN_BYTES = 64 * 1024;

const USAGE = `usage: node bench/limit.ts [options]
  --limits RATES   separated by commas (default 5MB/s,20MB/s,60MB/s)
  --seconds COUNT  that each row is watched for, 10 or more (default 30)
  --folder FOLDER  where the files lie (default /dev/shm)`;

const { values: options } = parseArgs({
  options: {
    limits: { type: 'string', default: '5MB/s,20MB/s,60MB/s' },
    seconds: { type: 'string', default: '30' },
    folder: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

/** One transfer of a row, and options of its own. */
interface Transfer {
  readonly direction: 'get' | 'put';
  readonly options?: readonly string[];
}

interface Row {
  readonly name: string;
  /** Bounds each transfer, or all that the server moves. */
  readonly bound: '--limit' | 'setting';
  readonly transfers: readonly Transfer[];
}

const GET: Transfer = { direction: 'get' };
const PUT: Transfer = { direction: 'put' };
const SMALL_CHUNKS: Transfer = { direction: 'get', options: ['--chunk', '16384'] };
const ROWS: readonly Row[] = [
  { name: 'get --limit', bound: '--limit', transfers: [GET] },
  { name: 'put --limit', bound: '--limit', transfers: [PUT] },
  { name: 'limit, put', bound: 'setting', transfers: [PUT] },
  { name: 'limit, 2 x get', bound: 'setting', transfers: [GET, GET] },
  { name: 'limit, 2 x put', bound: 'setting', transfers: [PUT, PUT] },
  { name: 'limit, 4 x get', bound: 'setting', transfers: [GET, GET, GET, GET] },
  { name: 'limit, 2 x get, 2 x put', bound: 'setting', transfers: [GET, GET, PUT, PUT] },
  { name: 'limit, get, get --chunk 16384', bound: 'setting', transfers: [GET, SMALL_CHUNKS] },
];

/** What had crossed for each transfer at a moment, in bytes. */
interface Sample {
  readonly at: number;
  readonly crossed: readonly number[];
}

if (options.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const folder = mkdtempSync(join(options.folder, 'localstream-limit-'));
  const limits = options.limits.split(',').map(parseRate);
  const milliseconds = Number(options.seconds) * 1000;
  try {
    mkdirSync(join(folder, 'shared'));
    // More than a row can carry while it is watched.
    fill(join(folder, 'shared', 'big'), Math.ceil(Math.max(...limits) * (milliseconds / 1000 + 10)));
    console.log(`${options.seconds} s each; in any 10 s of it, as a part of the limit`);
    console.log(
      `${'limit'.padStart(10)}  ${'what'.padEnd(30)}  mean %  most %  least %  shares of the sum, %`,
    );
    for (const limit of limits) {
      for (const row of ROWS) {
        const samples = await watch(row, limit, folder, milliseconds);
        console.log(
          `${`${limit / 1e6} MB/s`.padStart(10)}  ${row.name.padEnd(30)}  ${figures(samples, limit)}`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const load = loadavg().map((average) => average.toFixed(1));
  console.log(`load average at the end: ${load.join(' ')}`);
}

/** Runs the transfers of a row at once, from the moment when all of them move until the time is over. */
async function watch(row: Row, limit: number, folder: string, milliseconds: number): Promise<Sample[]> {
  await using cleanup = new AsyncDisposableStack();
  const port = await freePort();
  const inbox = join(folder, 'inbox');
  const shares = ['--share', join(folder, 'shared'), '--share', `${inbox}:rw`];
  mkdirSync(inbox);
  cleanup.defer(() => rmSync(inbox, { recursive: true }));
  const serve = [
    'serve',
    '--host',
    '127.0.0.1',
    '--port',
    `${port}`,
    '--open',
    '--max',
    '9',
    '--json',
    ...shares,
  ];
  const server = new ServerProcess(process.execPath, [LAUNCHER, ...serve], port, {
    LOCALSTREAM_HOME: join(folder, 'server'),
    LOCALSTREAM_DISCOVERY_ENABLED: 'off',
    ...(row.bound === 'setting' && { LOCALSTREAM_LIMIT: `${limit}` }),
  });
  cleanup.use(await server.ready());
  const relays: Relay[] = [];
  /** What those clients said that have ended, which none may before the time is over. */
  const endings: string[] = [];
  for (const [number, transfer] of row.transfers.entries()) {
    const relay = cleanup.use(await Relay.start(port));
    relays.push(relay);
    mkdirSync(join(folder, `outbox-${number}`));
    const own = row.bound === '--limit' ? ['--limit', `${limit}`] : [];
    const words = [...wordsOf(transfer, number, relay, folder), ...own, '--accept-new'];
    const client = spawn(process.execPath, [LAUNCHER, ...words], {
      env: {
        ...process.env,
        LOCALSTREAM_HOME: join(folder, `client-${number}`),
        LOCALSTREAM_DISCOVERY_ENABLED: 'off',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    client.stderr.on('data', (piece) => {
      said += piece;
    });
    const ended = once(client, 'close').then(() => {
      endings.push(said.trim());
    });
    cleanup.defer(async () => {
      client.kill('SIGKILL');
      await ended;
      rmSync(join(folder, `outbox-${number}`), { recursive: true });
    });
  }

  const samples: Sample[] = [];
  const now = (): Sample => ({
    at: performance.now(),
    crossed: row.transfers.map(({ direction }, number) => {
      const { up = 0, down = 0 } = relays[number]?.crossed ?? {};
      return direction === 'get' ? down : up;
    }),
  });
  const wait = async (): Promise<void> => {
    await delay(POLL_MILLISECONDS);
    if (endings.length > 0) throw new Error(`${row.name}: ${endings.join('; ')}`);
  };
  while (now().crossed.some((bytes) => bytes < BEGUN_BYTES)) await wait();
  const first = now();
  samples.push(first);
  while ((samples.at(-1)?.at ?? 0) < first.at + milliseconds) {
    await wait();
    samples.push(now());
  }
  return samples;
}

function wordsOf(
  { direction, options: own = [] }: Transfer,
  number: number,
  relay: Relay,
  folder: string,
): string[] {
  const peer = `127.0.0.1:${relay.port}`;
  return direction === 'get'
    ? ['get', `${peer}:/shared/big`, join(folder, `outbox-${number}`, 'big'), ...own]
    : ['put', join(folder, 'shared', 'big'), `${peer}:/inbox/big-${number}`, ...own];
}

function figures(samples: readonly Sample[], limit: number): string {
  const sumOf = ({ crossed }: Sample) => crossed.reduce((sum, bytes) => sum + bytes, 0);
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return 'nothing crossed';
  const rate = (from: Sample, to: Sample) => ((sumOf(to) - sumOf(from)) / (to.at - from.at)) * 1000;
  const windows: number[] = [];
  let start = 0;
  for (const sample of samples) {
    // The shortest window that ends here and is not shorter than it has to be.
    while (sample.at - (samples[start + 1]?.at ?? sample.at) >= WINDOW_MILLISECONDS) start += 1;
    const from = samples[start];
    if (from !== undefined && sample.at - from.at >= WINDOW_MILLISECONDS) windows.push(rate(from, sample));
  }
  const percent = (bytesPerSecond: number) => ((bytesPerSecond / limit) * 100).toFixed(1);
  const cells = [
    percent(rate(first, last)).padStart(6),
    percent(Math.max(...windows)).padStart(6),
    percent(Math.min(...windows)).padStart(7),
  ];
  const all = sumOf(last) - sumOf(first);
  const shares = last.crossed.map((bytes, number) =>
    (((bytes - (first.crossed[number] ?? 0)) / all) * 100).toFixed(1),
  );
  return `${cells.join('  ')}  ${shares.length > 1 ? shares.join(' ') : ''}`.trimEnd();
}
