/** The worker threads, started when the first transfer needs one. A transfer stays with the worker it was given. */
import { Worker } from 'node:worker_threads';
import { errorOf } from '../errors.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

/** Megabytes: a walk of a million entries fits, a leak does not. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };

type Handler = (message: FromWorker) => void;

interface Thread {
  readonly worker: Worker;
  readonly handlers: Map<number, Handler>;
}

/** One transfer's line to its worker. */
export interface WorkerLine {
  readonly transfer: number;
  post(message: ToWorker, transferList?: ArrayBuffer[]): void;
  /** Frees the place. The worker has answered `closed` by then, or has died. */
  release(): void;
}

export class WorkerPool {
  readonly #size: number;
  readonly #threads: Thread[] = [];
  #next = 1;
  #closed = false;

  /** `size`: threads at the most. */
  constructor(size: number) {
    this.#size = size;
  }

  /** Starts a first thread ahead of its need. */
  warm(): void {
    if (this.#threads.length === 0 && !this.#closed) this.#start();
  }

  /** Gives a transfer its line. `handler` gets what the worker says; a dead worker says `failed`, then `closed`. */
  line(handler: Handler): WorkerLine {
    if (this.#closed) throw errorOf('SHUTTING_DOWN');
    const thread = this.#choose();
    const transfer = this.#next;
    this.#next += 1;
    thread.handlers.set(transfer, handler);
    thread.worker.ref();
    return {
      transfer,
      post: (message, transferList) => thread.worker.postMessage(message, transferList),
      release: () => {
        thread.handlers.delete(transfer);
        // An idle thread does not keep the process alive.
        if (thread.handlers.size === 0) thread.worker.unref();
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.splice(0).map((thread) => thread.worker.terminate()));
  }

  #choose(): Thread {
    const byLoad = [...this.#threads].sort((a, b) => a.handlers.size - b.handlers.size);
    const [idlest] = byLoad;
    if (idlest && (idlest.handlers.size === 0 || this.#threads.length >= this.#size)) return idlest;
    return this.#start();
  }

  #start(): Thread {
    // In the checkout this file is TypeScript, in the package it is not; the worker lies beside it either way.
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const worker = new Worker(new URL(file, import.meta.url), { resourceLimits: RESOURCE_LIMITS });
    const thread: Thread = { worker, handlers: new Map() };
    worker.unref();
    worker.on('message', (message: FromWorker) => thread.handlers.get(message.transfer)?.(message));
    worker.on('error', (error) => this.#died(thread, error));
    worker.on('exit', () => this.#died(thread, undefined));
    this.#threads.push(thread);
    return thread;
  }

  #died(thread: Thread, error: Error | undefined): void {
    const place = this.#threads.indexOf(thread);
    if (place >= 0) this.#threads.splice(place, 1);
    for (const [transfer, handler] of thread.handlers) {
      const detail = error?.stack ?? '';
      handler({
        transfer,
        kind: 'failed',
        code: 'INTERNAL',
        message: 'the worker of this transfer died',
        detail,
      });
      handler({ transfer, kind: 'closed' });
    }
    thread.handlers.clear();
  }
}
