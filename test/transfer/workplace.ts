/** Where the tests of the transfer's files work: folders of their own, small disks, other processes. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { Folder } from '../../src/transfer/folder.ts';
import type { FolderAnchor } from '../../src/transfer/folder-handle.ts';
import { checkName } from '../../src/transfer/name.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';

const steps = new WeakMap<TestContext, (() => unknown)[]>();

/** Does something after a test, the last first: the runner itself would remove a folder before what is mounted in it. */
export function afterwards(t: TestContext, step: () => unknown): void {
  const known = steps.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const list = [step];
  steps.set(t, list);
  t.after(async () => {
    for (const one of list.reverse()) await one();
  });
}

/** A new folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'localstream-test-')));
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An open root that goes with the test, with the folder around it. */
export function temporaryRoot(
  t: TestContext,
  anchor?: FolderAnchor,
): { base: string; path: string; root: Folder } {
  const base = temporaryFolder(t);
  const path = join(base, 'root');
  mkdirSync(path);
  const root = Folder.open(path, anchor === undefined ? {} : { anchor });
  afterwards(t, () => root.close());
  return { base, path, root };
}

/** A file system in memory of this size, mounted for the test. Needs root. */
export function smallDisk(t: TestContext, size: string): string {
  const place = realpathSync(mkdtempSync(join(tmpdir(), 'localstream-test-')));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'localstream-test', place]);
  afterwards(t, () => {
    execFileSync('umount', ['-l', place]);
    rmdirSync(place);
  });
  return place;
}

/** Names in a folder, sorted. */
export function namesIn(path: string): string[] {
  return readdirSync(path).sort();
}

/** Everything below a folder with what a stranger could change of it, contents included. */
export function picture(path: string): unknown {
  const stat = lstatSync(path, { bigint: true });
  const seen = {
    mode: stat.mode,
    mtime: stat.mtimeNs,
    size: stat.isDirectory() ? 0n : stat.size,
    inode: stat.ino,
  };
  if (stat.isFile()) return { ...seen, text: readFileSync(path, 'latin1') };
  if (!stat.isDirectory()) return seen;
  return { ...seen, entries: namesIn(path).map((name) => [name, picture(join(path, name))]) };
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

export interface ReceiveOptions {
  readonly mode?: number;
  readonly mtime?: number;
  readonly policy?: 'fail' | 'overwrite' | 'rename';
  readonly durable?: boolean;
}

/** Receives a whole file at once. Returns the name that it got. */
export function receive(
  folder: Folder,
  name: string,
  content: string | Uint8Array,
  options: ReceiveOptions = {},
): string {
  const bytes = Buffer.from(content);
  const { mode = 0o644, mtime = 1_700_000_000_000_000, policy = 'fail', durable = false } = options;
  const file = TargetFile.open(folder, checkName(name), { size: bytes.length, durable });
  try {
    file.writeAt(bytes, 0);
    return file.commit({ mode, mtime, policy }).name;
  } finally {
    file.discard();
  }
}

const OTHER = fileURLToPath(new URL('./other-process.ts', import.meta.url));
const ANSWER = v.object({
  code: v.optional(v.string()),
  message: v.optional(v.string()),
  value: v.optional(v.unknown()),
});

/** Has another process do an action of `other-process.ts` and gives what it answered. */
export function elsewhere(
  words: readonly string[],
  wrapper: readonly string[] = [],
): v.InferOutput<typeof ANSWER> {
  const [program = process.execPath, ...rest] = [...wrapper, process.execPath, OTHER, ...words];
  const { stdout, stderr, status } = spawnSync(program, rest, { encoding: 'utf8' });
  const line = stdout.split('\n').findLast((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`the other process ended with ${status}: ${stdout}${stderr}`);
  return v.parse(ANSWER, JSON.parse(line));
}

/** Starts an action that goes on until it is killed; resolves once it has said its first word. */
export async function startElsewhere(t: TestContext, words: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [OTHER, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  afterwards(t, () => killHard(child));
  await once(child.stdout, 'data');
  return child;
}

/** Kills a process that was started and waits for its end. */
export async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
