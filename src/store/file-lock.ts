import { stat } from 'node:fs/promises';
import { errorOf, systemCode } from '../errors.ts';
import { unusable } from './home.ts';

/** A lock whose holder has not renewed it for so long belongs to a dead process, in milliseconds. */
const STALE = 5000;
/** How long a lock is waited for, in milliseconds: longer than a dead holder's lock lives. */
const PATIENCE = 15_000;
const PAUSE = { least: 4, most: 120 };

/** A held lock. */
export interface HeldLock {
  /** Whether the lock is still ours; a process that was stopped for long may have lost it. */
  isHeld(): Promise<boolean>;
}

/** Milliseconds after which a server that was dialled has got something to think about. */
const DIALLED = 4;

/** Loads what the first lock needs: while a server answers it costs nothing, at the end of a program it does. */
export function prepareLocks(): void {
  setTimeout(() => void loadLock(), DIALLED).unref();
}

/** A start that only reads stays fast. */
function loadLock() {
  return import('proper-lockfile');
}

const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while no other localstream, of this or another process, holds the lock of `path`. The lock is the
 * folder `path.lock`; one that a killed process left is taken over after some seconds.
 * @throws BUSY when the lock is not to be had for {@link PATIENCE} (or `patience`) milliseconds, STATE when it can't be made.
 */
export function withFileLock<R>(
  path: string,
  work: (lock: HeldLock) => Promise<R>,
  patience = PATIENCE,
): Promise<R> {
  // Callers of one process take turns here: they would only slow each other down by polling.
  const previous = queues.get(path) ?? Promise.resolve();
  const turn = previous.then(() => lockAndRun(path, work, patience));
  const settled = turn
    .catch(() => {})
    .then(() => {
      if (queues.get(path) === settled) queues.delete(path);
    });
  queues.set(path, settled);
  return turn;
}

async function lockAndRun<R>(
  path: string,
  work: (lock: HeldLock) => Promise<R>,
  patience: number,
): Promise<R> {
  let lost = false;
  const release = await acquire(path, patience, () => {
    lost = true;
  });
  const mark = await markOf(path);
  try {
    return await work({ isHeld: async () => !lost && mark !== undefined && mark === (await markOf(path)) });
  } finally {
    // A lock that another has taken over is no longer ours to release.
    if (!lost && mark === (await markOf(path))) await release().catch(() => {});
  }
}

async function acquire(
  path: string,
  patience: number,
  onCompromised: () => void,
): Promise<() => Promise<void>> {
  const { lock } = await loadLock();
  const end = Date.now() + patience;
  for (let pause = PAUSE.least; ; pause = Math.min(PAUSE.most, pause * 1.5)) {
    try {
      return await lock(path, { realpath: false, stale: STALE, update: 1000, retries: 0, onCompromised });
    } catch (error) {
      if (systemCode(error) !== 'ELOCKED') throw unusable(`${path}.lock`, error);
      if (Date.now() >= end) {
        throw errorOf('BUSY', `another localstream keeps ${path} locked`, {
          hint: 'try again',
          cause: error,
        });
      }
    }
    // Uneven pauses, so that two waiting processes do not stay in step.
    await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random())));
  }
}

/** What tells this lock from one that another process made in its place. */
async function markOf(path: string): Promise<string | undefined> {
  try {
    return String((await stat(`${path}.lock`, { bigint: true })).ino);
  } catch {
    return undefined;
  }
}
