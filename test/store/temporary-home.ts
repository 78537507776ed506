import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Fingerprint, fingerprintOfBytes } from '../../src/crypto/fingerprint.ts';
import { ensureHome, type Home, resolveHome } from '../../src/store/home.ts';

/** A new folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A new home that goes with the test. */
export function temporaryHome(t: TestContext): Home {
  const home = resolveHome({}, join(temporaryFolder(t), 'home'));
  ensureHome(home);
  return home;
}

/** Some fingerprint, the same for the same number. */
export function someFingerprint(number: number): Fingerprint {
  return fingerprintOfBytes(Buffer.alloc(32, number));
}

/** Everything that comes, in an array. */
export async function gather<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

/** Gathers warnings. */
export function warnings(): { readonly warn: (message: string) => void; readonly told: string[] } {
  const told: string[] = [];
  return { warn: (message) => void told.push(message), told };
}

/** Every file and folder below one, with its permission bits. */
export function modesBelow(
  folder: string,
): { readonly path: string; readonly mode: number; readonly isFolder: boolean }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return { path, mode: statSync(path).mode & 0o7777, isFolder: entry.isDirectory() };
  });
}

/** What a process of its own said and how it ended. */
export interface Run {
  readonly output: string;
  readonly errors: string;
  readonly status: number | null;
}

/** Runs `test/store/other-process.ts`; `onStart` gets the process, to kill it. */
export function otherProcess(
  args: readonly string[],
  options: {
    readonly env?: NodeJS.ProcessEnv;
    readonly onOutput?: (text: string, kill: () => void) => void;
  } = {},
): Promise<Run> {
  const program = fileURLToPath(import.meta.resolve('./other-process.ts'));
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    options.onOutput?.(output, () => void child.kill('SIGKILL'));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<Run>();
  child.once('error', reject).once('close', (status) => resolve({ output, errors, status }));
  return promise;
}
