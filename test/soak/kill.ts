/**
 * `npm run soak`: `kill -9` of either side, again and again, during one big transfer; afterwards the file must be
 * identical, and no more may have crossed than its size and, for each kill, what was in flight and one piece.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allowance, IN_FLIGHT_BYTES, PIECE_BYTES } from './allowance.ts';
import { type Interrupted, interruptedTransfer, randomFrom } from './interrupted-transfer.ts';

const MEBIBYTE = 1024 * 1024;
const USAGE = `usage: npm run soak -- [options]
  --mebibytes COUNT  of the file (default 2048)
  --kills COUNT      of either side in one transfer (default 100)
  --only DIRECTION   get or put (default both)
  --seed NUMBER      repeats a run's choices (default by the clock)
  --folder FOLDER    where the files lie (default /dev/shm)`;

const { values: options } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '2048' },
    kills: { type: 'string', default: '100' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    folder: { type: 'string', default: existsSync('/dev/shm') ? '/dev/shm' : tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) say(USAGE);
else
  for (const direction of ['get', 'put'] as const)
    if (direction.includes(options.only)) await soak(direction);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function soak(direction: 'get' | 'put'): Promise<void> {
  const folder = mkdtempSync(join(options.folder, 'localstream-soak-'));
  const [size, kills] = [Number(options.mebibytes) * MEBIBYTE, Number(options.kills)];
  say(`${direction}: ${options.mebibytes} MiB, ${kills} kills, seed ${options.seed}`);
  try {
    const result = await interruptedTransfer({
      folder,
      direction,
      size,
      kills,
      random: randomFrom(Number(options.seed)),
      told: (line) => say(`  ${line}`),
    });
    report(size, result);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(size: number, result: Interrupted): void {
  const { kills, lost, crossed, refusals } = result;
  const count = kills.client + kills.server;
  const mebibytes = (bytes: number): string => (bytes / MEBIBYTE).toFixed(1);
  const excess = crossed - size;
  const most = allowance(size, count);
  say(
    `  ${count} kills (${kills.client} of the client, ${kills.server} of the server), ${result.starts} starts, ` +
      `${result.seconds.toFixed(0)} s`,
  );
  for (const refusal of new Set(refusals)) say(`  ended by itself: ${refusal}`);
  say(
    `  crossed ${mebibytes(crossed)} MiB, ${mebibytes(excess)} more than the file: ${mebibytes(excess / count)} a kill, ` +
      `at the most ${mebibytes(Math.max(0, ...lost))} in one; allowed ${mebibytes(IN_FLIGHT_BYTES + PIECE_BYTES)} a kill`,
  );
  const failures = [
    ...(result.identical ? [] : ['what arrived is not what was sent']),
    ...(crossed <= most ? [] : ['more crossed than allowed']),
    ...(result.partials.length === 0 ? [] : [`partials are left: ${result.partials.join(', ')}`]),
    ...(count === Number(options.kills) ? [] : ['the transfer was over before all kills']),
  ];
  say(failures.length === 0 ? '  identical: passed' : `  FAILED: ${failures.join('; ')}`);
  if (failures.length > 0) process.exitCode = 1;
}
