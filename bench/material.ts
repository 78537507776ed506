/** The files that the benchmark moves, and whether they have arrived as they were. */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Task, Workplace } from './contestant.ts';

const MEBIBYTE = 1024 * 1024;
const SMALL_BYTES = 4096;

/** Bytes of the files of the mixed tree, 1 KiB to 4 MiB: few are large, and they have most of it (a thousand: 533 MB). */
function mixedSizes(count: number): number[] {
  const share = (index: number) => (index / Math.max(1, count - 1)) ** 0.94;
  return Array.from({ length: count }, (_, index) => Math.round(1024 * 4096 ** share(index)));
}

/** What the files of a benchmark measure. */
export interface Amounts {
  /** Bytes of the big file. */
  readonly size: number;
  /** Small files of 4 KiB in the tree. */
  readonly files: number;
  /** Files in the mixed tree. */
  readonly mixed: number;
}

/** Makes the folders of a benchmark below `parent`, and in them what the tasks need. */
export function makeWorkplace(
  parent: string,
  { size, files, mixed }: Amounts,
  tasks: readonly Task[],
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
  const needed = (...some: Task[]): boolean => some.some((task) => tasks.includes(task));
  if (needed('get', 'put')) fill(join(shared, 'big'), size);
  fill(join(shared, 'tiny'), 1024);
  if (needed('tree', 'tree-put', 'again', 'again-put'))
    fillTree(join(shared, 'tree'), Array(files).fill(SMALL_BYTES));
  if (needed('mixed', 'mixed-put')) fillTree(join(shared, 'mixed'), mixedSizes(mixed));
  return workplace;
}

/** Files in folders of a hundred. */
function fillTree(root: string, sizes: readonly number[]): void {
  const perFolder = 100;
  for (const [index, size] of sizes.entries()) {
    const branch = join(root, `${Math.floor(index / perFolder)}`);
    if (index % perFolder === 0) mkdirSync(branch, { recursive: true });
    writeFileSync(join(branch, `${index}`), randomFillSync(Buffer.alloc(size)));
  }
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

/** How many bytes of content a task is about. */
export function bytesOf(task: Task, { size, files, mixed: count }: Amounts): number {
  const tree = files * SMALL_BYTES;
  const mixed = mixedSizes(count).reduce((sum, bytes) => sum + bytes, 0);
  return { big: size, tree, mixed, tiny: 1024, nothing: 0 }[materialOf(task)];
}

/** What a task moves. */
function materialOf(task: Task): 'big' | 'tree' | 'mixed' | 'tiny' | 'nothing' {
  if (task === 'get' || task === 'put') return 'big';
  if (task === 'mixed' || task === 'mixed-put') return 'mixed';
  if (task === 'start') return 'tiny';
  return task === 'version' ? 'nothing' : 'tree';
}

function targetOf(task: Task, { inbox, outbox }: Workplace): string {
  return task.endsWith('put') ? inbox : outbox;
}

/** Throws if what has arrived is not what was sent. */
export function verify(task: Task, workplace: Workplace): void {
  if (task === 'version') return;
  const name = materialOf(task);
  const arrived = join(targetOf(task, workplace), name);
  try {
    execFileSync('diff', ['-rq', join(workplace.shared, name), arrived], { stdio: 'ignore' });
  } catch (cause) {
    throw new Error('what arrived is not what was sent', { cause });
  }
}

/** Makes room for the next run: every run writes new files, except where the task is to find them there. */
export function prepare(task: Task, workplace: Workplace): void {
  // By name: a server may keep files of its own beside them.
  for (const folder of [workplace.inbox, workplace.outbox])
    for (const name of ['big', 'tree', 'mixed', 'tiny'])
      rmSync(join(folder, name), { recursive: true, force: true });
  if (task.startsWith('again'))
    execFileSync('cp', ['-a', join(workplace.shared, 'tree'), targetOf(task, workplace)]);
}
