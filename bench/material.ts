/** The files that the benchmark moves, and whether they have arrived as they were. */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Task, Workplace } from './contestant.ts';

const MEBIBYTE = 1024 * 1024;
const SMALL_BYTES = 4096;

/** Makes the folders of a benchmark below `parent`, with a big file of `size` bytes and `count` small ones of 4 KiB. */
export function makeWorkplace(
  parent: string,
  size: number,
  count: number,
): Workplace & { readonly root: string } {
  const root = mkdtempSync(join(parent, 'localstream-bench-'));
  const folder = (name: string): string => {
    mkdirSync(join(root, name));
    return join(root, name);
  };
  const workplace = {
    root,
    shared: folder('shared'),
    inbox: folder('inbox'),
    outbox: folder('outbox'),
    scratch: folder('scratch'),
  };
  const { shared } = workplace;
  fill(join(shared, 'big'), size);
  fill(join(shared, 'tiny'), 1024);
  const perFolder = 100;
  for (let index = 0; index < count; index += 1) {
    const branch = join(shared, 'tree', `${Math.floor(index / perFolder)}`);
    if (index % perFolder === 0) mkdirSync(branch, { recursive: true });
    writeFileSync(join(branch, `${index}`), randomFillSync(Buffer.alloc(SMALL_BYTES)));
  }
  return workplace;
}

/** Random, so that nothing gains by compressing it. */
function fill(path: string, size: number): void {
  const file = openSync(path, 'w');
  const piece = Buffer.alloc(Math.min(size, 16 * MEBIBYTE));
  for (let left = size; left > 0; left -= piece.length) {
    randomFillSync(piece);
    writeSync(file, piece, 0, Math.min(left, piece.length));
  }
  closeSync(file);
}

/** How many bytes of content a task moves. */
export function bytesOf(task: Task, size: number, count: number): number {
  return { get: size, put: size, small: count * SMALL_BYTES, start: 1024, version: 0 }[task];
}

/** Throws if what has arrived is not what was sent. */
export function verify(task: Task, { shared, inbox, outbox }: Workplace): void {
  if (task === 'version') return;
  const name = { get: 'big', put: 'big', small: 'tree', start: 'tiny' }[task];
  const arrived = join(task === 'put' ? inbox : outbox, name);
  try {
    if (task === 'small') execFileSync('diff', ['-rq', join(shared, name), arrived], { stdio: 'ignore' });
    else execFileSync('cmp', ['-s', join(shared, name), arrived]);
  } catch (cause) {
    throw new Error('what arrived is not what was sent', { cause });
  }
}

/** Makes room for the next run: every run writes new files. */
export function clear({ inbox, outbox }: Workplace): void {
  rmSync(join(inbox, 'big'), { force: true });
  for (const name of readdirSync(outbox)) rmSync(join(outbox, name), { recursive: true });
}
