import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { socketPath } from '../../src/cli/daemon/socket.ts';
import type { StatusEvent } from '../../src/cli/events.ts';
import { resolveHome } from '../../src/store/home.ts';
import { eventsNamed, eventsOf, freePort, type RunOptions, run } from './cli-process.ts';

/** A server without a terminal, ended when the test is over. */
export interface Daemon extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly log: string;
  readonly fingerprint: string;
  /** `127.0.0.1:PORT`. */
  readonly peer: string;
  status(): Promise<StatusEvent>;
}

/** Starts one on 127.0.0.1 and resolves when the command has returned. */
export async function daemon(words: readonly string[], options: RunOptions): Promise<Daemon> {
  const place = words.includes('--port') ? [] : ['--port', String(await freePort())];
  const ran = await run(['serve', '--daemon', '--json', '--host', '127.0.0.1', ...place, ...words], options);
  assert.equal(ran.status, 0, ran.stderr);
  const [started] = eventsNamed(eventsOf(ran), 'server');
  const [listening] = eventsNamed(eventsOf(ran), 'listening');
  assert.ok(started?.log && listening);
  const { pid, log } = started;
  const { port, fingerprint } = listening;
  return {
    port,
    pid,
    log,
    fingerprint,
    peer: `127.0.0.1:${port}`,
    status: async () => await statusOf(options),
    [Symbol.asyncDispose]: async () => {
      if (isAlive(pid)) process.kill(pid, 'SIGTERM');
      await until(() => !isAlive(pid), 'the server never ended');
    },
  };
}

/** What the server of a home says. */
export async function statusOf(options: RunOptions): Promise<StatusEvent> {
  const ran = await run(['status', '--json'], options);
  const [status] = eventsNamed(eventsOf(ran), 'status');
  assert.ok(status, ran.stderr);
  return status;
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Waits until something holds. */
export async function until(holds: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await holds())) {
    assert.ok(performance.now() < end, otherwise);
    await pause(50);
  }
}

/** A raw connection to the socket of a home. */
export async function dialRaw(home: string): Promise<Socket> {
  const socket = connect(socketPath(resolveHome({}, home)));
  await once(socket, 'connect');
  return socket;
}

/** Says something on the socket of a home; resolves with all that comes back, when it is closed. */
export async function say(home: string, words: string | Buffer): Promise<string> {
  const socket = await dialRaw(home);
  // It may be closed before everything is written.
  socket.on('error', () => {});
  socket.write(words);
  return await text(socket).catch(() => '');
}
