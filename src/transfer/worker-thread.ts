/** A thread for the file work of transfers. See `worker.ts` for what runs in it. */
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { dataForWorker } from './claims.ts';

/** Megabytes: a walk of a million entries fits, a leak does not. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };

let ahead: Worker | undefined;

/**
 * Starts a thread for the first who asks for one. Loading it takes as long as loading the rest of the program, so a
 * process that is sure to move files starts it first and has both at once.
 */
export function startAhead(): void {
  ahead ??= start();
}

/** A thread that keeps no process alive: the one that was started ahead, or a new one. */
export function takeThread(): Worker {
  const thread = ahead ?? start();
  ahead = undefined;
  return thread;
}

function start(): Worker {
  // In the checkout this file is TypeScript, in the package it is not; the worker lies beside it either way.
  const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  const worker = new Worker(new URL(file, import.meta.url), {
    resourceLimits: RESOURCE_LIMITS,
    env: environment(),
    // What the program was started with, as `--input-type`, is meant for its own first file.
    execArgv: [],
    workerData: dataForWorker(),
  });
  worker.unref();
  return worker;
}

/** A worker does not inherit the compile cache of its parent, and would translate every file anew: 100 ms of its start. */
function environment(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  return folder === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(folder) };
}
