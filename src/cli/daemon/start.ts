/** `serve --daemon`: the same command once more, in a process without a terminal, which says when it is ready. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Writable } from 'node:stream';
import * as v from 'valibot';
import { errorOf } from '../../errors.ts';
import type { Settings } from '../../index.ts';
import { ensureHome, type Home } from '../../store/home.ts';
import { withoutControls } from '../../store/json-text.ts';
import type { ListeningEvent } from '../events.ts';
import { toLocalstreamError } from '../exit.ts';
import { Output } from '../output.ts';
import { Screen } from '../screen.ts';
import { errorOfFailure, failureOf } from './messages.ts';

/** Tells the second process that it is the one. */
const MARK = 'LOCALSTREAM_DAEMON';

/** Whether this is the process that goes on. */
export function isDaemon(): boolean {
  return process.env[MARK] !== undefined && process.send !== undefined;
}

const REPORT = v.union([
  v.object({ ready: v.looseObject({ event: v.literal('listening') }), text: v.string() }),
  v.object({ failure: v.object({ code: v.string(), message: v.string(), hint: v.nullable(v.string()) }) }),
]);

/** A server that has been started. */
export interface Started {
  readonly listening: ListeningEvent;
  readonly text: string;
  readonly pid: number;
}

/** Starts the server and resolves when it is ready. Throws what it throws at its start. */
export async function startDaemon(home: Home, signal: AbortSignal): Promise<Started> {
  signal.throwIfAborted();
  ensureHome(home);
  // What ends Node itself is written there as well.
  const log = openSync(home.serverLog, 'a', 0o600);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', log, 'ipc'],
    env: { ...process.env, [MARK]: '1' },
  });
  closeSync(log);
  const { promise, resolve, reject } = Promise.withResolvers<Started>();
  child.on('error', (cause) =>
    reject(errorOf('IO', `the server can't be started: ${cause.message}`, { cause })),
  );
  child.on('message', (message) => {
    const report = v.safeParse(REPORT, message);
    if (!report.success) return;
    if ('failure' in report.output) reject(errorOfFailure(report.output.failure));
    // Written by this very program, and only printed.
    else
      resolve({
        listening: report.output.ready as unknown as ListeningEvent,
        text: report.output.text,
        pid: child.pid ?? 0,
      });
  });
  child.on('exit', (status, by) =>
    reject(
      errorOf('STATE', `the server ended at its start with ${by ?? `status ${status}`}`, {
        hint: `see ${home.serverLog}`,
      }),
    ),
  );
  const stop = () => {
    child.kill('SIGTERM');
    reject(signal.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** What the process that goes on tells the one that started it. */
export class ReadyTeller implements AsyncDisposable {
  constructor() {
    // Programs that are run from here are not meant.
    delete process.env[MARK];
  }

  /** Opens the log of the server. */
  async openLog(home: Home, settings: Settings): Promise<ServerLog> {
    return await ServerLog.open(home, settings.log);
  }

  /** Others can connect. */
  async ready(listening: ListeningEvent, text: string): Promise<void> {
    await this.#send({ ready: listening, text });
  }

  async failed(error: unknown): Promise<void> {
    await this.#send({ failure: failureOf(toLocalstreamError(error)) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (process.connected) process.disconnect();
  }

  /** Whoever has started it may have gone meanwhile. */
  async #send(message: object): Promise<void> {
    if (process.send === undefined || !process.connected) return;
    await new Promise<void>((resolve) => process.send?.(message, undefined, {}, () => resolve()));
    if ('ready' in message && process.connected) process.disconnect();
  }
}

/** What a server without a terminal prints: a line each, with the time before it, in a file that is rotated by size. */
class ServerLog implements AsyncDisposable {
  readonly output: Output;
  readonly #file: Writable;

  private constructor(file: Writable) {
    this.#file = file;
    // A full disk stops no transfer.
    file.on('error', () => {});
    const lines = new Writable({
      decodeStrings: false,
      write: (chunk: unknown, _encoding, done) => {
        const time = new Date().toISOString();
        for (const line of String(chunk).trimEnd().split('\n'))
          if (!file.destroyed) file.write(`${time} ${withoutControls(line)}\n`);
        done();
      },
    });
    this.output = new Output(new Screen(lines, lines));
  }

  static async open({ log }: Home, bounds: Settings['log']): Promise<ServerLog> {
    const { createStream } = await import('rotating-file-stream');
    const file = createStream((index) => (index ? `server.log.${index}` : 'server.log'), {
      path: log,
      size: `${bounds.maxBytes}B`,
      rotate: bounds.keep,
      mode: 0o600,
    });
    return new ServerLog(file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#file.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#file.once('close', resolve).once('error', () => resolve());
      this.#file.end();
    });
  }
}
