/** The worker threads, started when the first transfer needs one. A transfer stays with the worker it was given. */
import type { Worker } from 'node:worker_threads';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf } from '../errors.ts';
import { releaseThread } from './claims.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';
import { takeThread } from './worker-thread.ts';

/** Memory for frames of all transfers, in bytes: over a hundred of the usual size. */
const MOST_RESERVED = 768 * 1024 * 1024;

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
  readonly #groups = new Map<number, WeakRef<Thread>>();
  #next = 1;
  #lastGroup = 0;
  readonly #reserved = new Map<Fingerprint, number>();
  #closed = false;

  /** `size`: threads at the most. */
  constructor(size: number) {
    this.#size = size;
  }

  /**
   * Sets memory for frames aside for a transfer with a peer; what it returns gives it back. The peer says how much its
   * transfer takes, so all transfers of the process together are bounded, and those of one peer leave half of what is
   * left to others. Throws BUSY.
   */
  reserve(bytes: number, peer: Fingerprint): () => void {
    const theirs = this.#reserved.get(peer) ?? 0;
    let others = -theirs;
    for (const held of this.#reserved.values()) others += held;
    if (theirs + bytes > (MOST_RESERVED - others) / 2)
      throw errorOf('BUSY', 'too many transfers run here at once');
    this.#add(peer, bytes);
    let held = true;
    return () => {
      if (held) this.#add(peer, -bytes);
      held = false;
    };
  }

  /** A number for transfers of the same files: see {@link line}. */
  newGroup(): number {
    this.#lastGroup += 1;
    // Those whose transfers are over need no place any more.
    for (const [group, thread] of this.#groups)
      if (thread.deref()?.handlers.size === 0) this.#groups.delete(group);
    return this.#lastGroup;
  }

  /** Starts a first thread ahead of its need. */
  warm(): void {
    if (this.#threads.length === 0 && !this.#closed) this.#start();
  }

  /** Gives a transfer its line. `handler` gets what the worker says; a dead worker says `failed`, then `closed`. */
  line(handler: Handler, group?: number): WorkerLine {
    if (this.#closed) throw errorOf('SHUTTING_DOWN');
    const thread = this.#choose(group);
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

  #add(peer: Fingerprint, bytes: number): void {
    const now = (this.#reserved.get(peer) ?? 0) + bytes;
    if (now === 0) this.#reserved.delete(peer);
    else this.#reserved.set(peer, now);
  }

  /** The thread with the least to do; one group stays together, since it shares what is read. */
  #choose(group: number | undefined): Thread {
    if (group !== undefined) {
      const theirs = this.#groups.get(group)?.deref();
      if (theirs && this.#threads.includes(theirs)) return theirs;
      const thread = this.#choose(undefined);
      this.#groups.set(group, new WeakRef(thread));
      return thread;
    }
    const byLoad = [...this.#threads].sort((a, b) => a.handlers.size - b.handlers.size);
    const [idlest] = byLoad;
    if (idlest && (idlest.handlers.size === 0 || this.#threads.length >= this.#size)) return idlest;
    return this.#start();
  }

  #start(): Thread {
    const worker = takeThread();
    const { threadId } = worker;
    const thread: Thread = { worker, handlers: new Map() };
    worker.on('message', (message: FromWorker) => thread.handlers.get(message.transfer)?.(message));
    worker.on('error', (error) => this.#died(thread, error));
    worker.on('exit', () => {
      releaseThread(threadId);
      this.#died(thread, undefined);
    });
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
