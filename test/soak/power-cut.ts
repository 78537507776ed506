/**
 * `npm run soak:power`: the disk that is received to loses its power, again and again, during a transfer and right after a
 * receipt. The disk is an image with ext4 whose shutdown loses all that was not brought to it; what the disk itself would
 * lose of what it was told to keep is not shown. The homes of both ends lie elsewhere. Root on Linux, with python3.
 */
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { environment, run } from '../cli/cli-process.ts';
import { allowance, IN_FLIGHT_BYTES, PIECE_BYTES, UNSYNCED_BYTES } from './allowance.ts';
import {
  type Direction,
  Ends,
  fill,
  type Interrupted,
  interruptedTransfer,
  randomFrom,
  receivingFolder,
  same,
  transferWords,
} from './interrupted-transfer.ts';
import { LossyDisk, runInNamespaces } from './lossy-disk.ts';

const [KIBIBYTE, MEBIBYTE] = [1024, 1024 * 1024];
/** Beside the big file: some that travel in packs and some that do not, all named before they are on the disk. */
const SMALL = Array.from({ length: 24 }, (_, index) => (index % 3 === 0 ? 400 : index) * KIBIBYTE + 1);
const SMALL_BYTES = SMALL.reduce((sum, bytes) => sum + bytes, 0);
/** What is there when the power goes after a receipt: on both sides of the size from which on a file is synced. */
const RECEIVED = [10, 4 * KIBIBYTE, 300 * KIBIBYTE, 1000 * KIBIBYTE, 3 * MEBIBYTE, 20 * MEBIBYTE];

/** What became of a file that a receipt speaks of. */
type Remains = 'whole' | 'missing' | 'wrong';

/** What is done about a transfer whose receipt is followed by a cut. */
interface Care {
  readonly name: string;
  readonly options: readonly string[];
  /** Whether another program brings a file of its own to that disk before the cut, and with it the names of ours. */
  readonly neighbourSyncs: boolean;
}

const CARES: readonly Care[] = [
  { name: '', options: [], neighbourSyncs: false },
  { name: ', after a sync of another file', options: [], neighbourSyncs: true },
  { name: ' --durable', options: ['--durable'], neighbourSyncs: false },
];

const USAGE = `usage: npm run soak:power -- [options]
  --mebibytes COUNT  of the big file (default 1024)
  --cuts COUNT       during one transfer (default 20)
  --receipts COUNT   transfers whose receipt is followed by a cut, with --durable and without (default 5)
  --only DIRECTION   get or put (default both)
  --seed NUMBER      repeats a run's choices (default by the clock)
  --folder FOLDER    where the files and the image lie (default /dev/shm)`;

const { values: options } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '1024' },
    cuts: { type: 'string', default: '20' },
    receipts: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    folder: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    /** Given by the first process to the one that it starts in namespaces. */
    inside: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) say(USAGE);
else if (process.platform !== 'linux' || process.getuid?.() !== 0)
  fail('only root on Linux can mount a disk');
else if (options.inside === undefined) await outside();
else await inside(options.inside);

/** Removes the folder when nothing is mounted below it any more. */
async function outside(): Promise<void> {
  const folder = mkdtempSync(join(options.folder, 'localstream-power-'));
  try {
    const args = [...process.argv.slice(2), '--inside', folder];
    process.exitCode = await runInNamespaces(import.meta.filename, args);
  } finally {
    // Interrupted, those in the namespaces are about to end.
    rmSync(folder, { recursive: true, force: true, maxRetries: 50 });
  }
}

async function inside(folder: string): Promise<void> {
  for (const direction of ['get', 'put'] as const) {
    if (!direction.includes(options.only)) continue;
    const place = join(folder, direction);
    mkdirSync(place);
    await cutDuring(place, direction);
    await cutAfterReceipts(place, direction);
    rmSync(place, { recursive: true });
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function fail(line: string): void {
  say(`FAILED: ${line}`);
  process.exitCode = 1;
}

function mebibytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(1);
}

async function cutDuring(folder: string, direction: Direction): Promise<void> {
  const [size, cuts] = [Number(options.mebibytes) * MEBIBYTE, Number(options.cuts)];
  say(
    `${direction}: ${options.mebibytes} MiB and ${SMALL.length} small files, ${cuts} cuts, seed ${options.seed}`,
  );
  using disk = LossyDisk.create(
    join(folder, 'image'),
    2 * size + 256 * MEBIBYTE,
    join(folder, receivingFolder(direction)),
  );
  const result = await interruptedTransfer({
    folder,
    direction,
    size,
    small: SMALL,
    kills: cuts,
    power: disk,
    random: randomFrom(Number(options.seed)),
    told: (line) => say(`  ${line}`),
  });
  report(size + SMALL_BYTES, cuts, result);
}

function report(size: number, cuts: number, result: Interrupted): void {
  const { kills, lost, dropped, crossed, refusals } = result;
  const count = kills.client + kills.server;
  const excess = crossed - size;
  const each = UNSYNCED_BYTES + SMALL_BYTES;
  const most = Math.max(0, ...dropped);
  say(`  ${count} cuts, ${result.starts} starts, ${result.seconds.toFixed(0)} s`);
  for (const refusal of new Set(refusals)) say(`  ended by itself: ${refusal}`);
  say(`  crossed in vain before each cut, MiB: ${lost.map(mebibytes).join(' ')}`);
  say(
    `  crossed ${mebibytes(crossed)} MiB, ${mebibytes(excess)} more than the files: ${mebibytes(excess / count)} a cut, ` +
      `at the most ${mebibytes(Math.max(0, ...lost))} in one; allowed ${mebibytes(each + IN_FLIGHT_BYTES + PIECE_BYTES)} a cut`,
  );
  say(`  written and not on the disk: at the most ${mebibytes(most)} MiB`);
  const failures = [
    ...(result.identical ? [] : ['what arrived is not what was sent']),
    ...(crossed <= allowance(size, count, each) ? [] : ['more crossed than allowed']),
    ...(most <= UNSYNCED_BYTES + PIECE_BYTES ? [] : ['more was not on the disk than may be']),
    ...(result.partials.length === 0 ? [] : [`partials are left: ${result.partials.join(', ')}`]),
    ...(count === cuts ? [] : ['the transfer was over before all cuts']),
  ];
  for (const failure of failures) fail(failure);
  if (failures.length === 0) say('  identical: passed');
}

async function cutAfterReceipts(folder: string, direction: Direction): Promise<void> {
  mkdirSync(join(folder, 'shared', 'received'));
  for (const [index, bytes] of RECEIVED.entries())
    fill(join(folder, 'shared', 'received', nameOf(index)), bytes);
  for (const [number, care] of CARES.entries()) {
    const image = join(folder, `image-${number}`);
    using disk = LossyDisk.create(image, 256 * MEBIBYTE, join(folder, receivingFolder(direction)));
    const found: Remains[][] = RECEIVED.map(() => []);
    for (let round = 0; round < Number(options.receipts); round += 1) {
      const remains = await cutAfterReceipt(folder, direction, disk, care);
      for (const [index, one] of remains.entries()) found[index]?.push(one);
    }
    say(`${direction}${care.name}, power cut right after the receipt:`);
    for (const [index, states] of found.entries()) {
      const counts = (['whole', 'missing', 'wrong'] as const).map(
        (wanted) => `${states.filter((state) => state === wanted).length} ${wanted}`,
      );
      say(`  ${String(RECEIVED[index]).padStart(9)} bytes: ${counts.join(', ')}`);
    }
    if (care.options.includes('--durable') && found.flat().some((state) => state !== 'whole'))
      fail('--durable has lost a file');
    const synced = found.filter((_, index) => (RECEIVED[index] ?? 0) > MEBIBYTE);
    if (synced.flat().includes('wrong')) fail('a file of more than 1 MiB has its name and not its content');
  }
}

function nameOf(index: number): string {
  return `file-${index}`;
}

/** One transfer, a cut, and what `verify` and the same command make of what is left. */
async function cutAfterReceipt(
  folder: string,
  direction: Direction,
  disk: LossyDisk,
  care: Care,
): Promise<Remains[]> {
  const [source, target] = [
    join(folder, 'shared', 'received'),
    join(folder, receivingFolder(direction), 'received'),
  ];
  rmSync(target, { recursive: true, force: true });
  disk.sync();
  await using ends = await Ends.start(folder);
  const words = [...transferWords(ends, folder, direction, 'received'), ...care.options];
  const client = ends.startClient(words);
  const ended = once(client, 'close');
  let said = '';
  client.stdout?.setEncoding('utf8');
  for await (const piece of client.stdout ?? []) {
    said += piece;
    if (/"event":"receipt".*\n/.test(said)) break;
  }
  if (care.neighbourSyncs) disk.syncFile('neighbour');
  disk.cut();
  if (direction === 'get') client.kill('SIGKILL');
  else await ends.killServer();
  await ended;
  disk.restore();
  if (!/"event":"receipt".*"code":"OK"/.test(said)) fail(`no receipt: ${said}`);
  if (direction === 'put') await ends.startServer();

  const remains = RECEIVED.map((_, index): Remains => {
    const path = join(target, nameOf(index));
    if (!existsSync(path)) return 'missing';
    return same(join(source, nameOf(index)), path) ? 'whole' : 'wrong';
  });
  await checkNoticed(remains, folder, direction, target);

  const home = join(folder, 'client-home');
  const again = await run(words, { home });
  const isSame = same(source, target);
  if (again.status !== 0 || !isSame)
    fail(`the same command ended with ${again.status}, identical: ${isSame}, after ${remains.join(', ')}`);
  const partials = readdirSync(target).filter((name) => name.endsWith('.part'));
  if (partials.length > 0) fail(`partials are left: ${partials.join(', ')}`);
  return remains;
}

/** The receiver's `verify` must find each file as it is. */
async function checkNoticed(
  remains: readonly Remains[],
  folder: string,
  direction: Direction,
  target: string,
): Promise<void> {
  const home = join(folder, direction === 'get' ? 'client-home' : 'server-home');
  const { stdout } = await run(['verify', '--all', target], { home, env: environment(home) });
  const states = { whole: 'intact', missing: 'missing', wrong: 'changed' } as const;
  for (const [index, one] of remains.entries()) {
    const path = join(target, nameOf(index));
    if (!stdout.split('\n').some((line) => line.startsWith(states[one]) && line.endsWith(path)))
      fail(`verify does not say that ${path} is ${states[one]}: ${stdout}`);
  }
}
