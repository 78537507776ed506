/** A command that waits for a pipe hears a signal all the same. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../server/wire-machines.ts';
import { noise, type Pair, pair } from '../session/machines.ts';
import { environment, LAUNCHER, run } from './cli-process.ts';

type Stdio = number | 'pipe' | 'ignore';

/** Starts a command, ends it by a signal once it waits for its pipe, and gives its status. */
async function endedBy(
  signal: NodeJS.Signals,
  { listener, base }: Pair,
  words: readonly string[],
  [input, output]: readonly [Stdio, Stdio],
): Promise<number | null> {
  const child = spawn(process.execPath, [LAUNCHER, ...words, '--accept-new'], {
    env: environment(join(base, 'alice')),
    stdio: [input, output, 'ignore'],
  });
  const exit = once(child, 'exit');
  // Of what is sent a beginning comes and then nothing; of what is fetched a pipe holds the beginning.
  const begun = words[0] === 'get' ? 128 * 1024 : 1024;
  if (input !== 'ignore') {
    const beginning = noise(begun + 1000);
    if (typeof input === 'number') writeSync(input, beginning);
    else child.stdin?.write(beginning);
  }
  await until(() => (listener.transfers[0]?.bytes ?? 0) >= begun);
  child.kill(signal);
  const [status] = await exit;
  await until(() => listener.transfers.length === 0);
  return status;
}

/** A pipe with a name and somebody at its other end, who neither reads nor writes. */
function fifoIn(folder: string, name: string): { readonly descriptor: number } & Disposable {
  const path = join(folder, name);
  execFileSync('mkfifo', [path]);
  const descriptor = openSync(path, 'r+');
  return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) };
}

test('put from a pipe on which nothing comes ends when it is told to', async (t) => {
  const both = await pair(t);
  using fifo = fifoIn(both.base, 'idle');
  const words = ['put', '-', `127.0.0.1:${both.listener.port}:/share/x`, '--chunk', '1024'];
  assert.equal(await endedBy('SIGTERM', both, words, [fifo.descriptor, 'ignore']), 143);
  assert.equal(await endedBy('SIGINT', both, words, [fifo.descriptor, 'ignore']), 130);
  assert.equal(await endedBy('SIGTERM', both, words, ['pipe', 'ignore']), 143, 'a socket');
});

test('get into a pipe that nobody reads ends when it is told to', async (t) => {
  const both = await pair(t);
  writeFileSync(join(both.share, 'big'), noise(8 * 1024 * 1024));
  using fifo = fifoIn(both.base, 'full');
  const words = ['get', `127.0.0.1:${both.listener.port}:/share/big`, '-'];
  assert.equal(await endedBy('SIGTERM', both, words, ['ignore', fifo.descriptor]), 143);
  assert.equal(await endedBy('SIGINT', both, words, ['ignore', 'pipe']), 130, 'a socket');
});

test('get into a pipe reads nothing back, whatever --verify says', async (t) => {
  const { listener, base, share } = await pair(t);
  for (const size of [100, 3_000_000]) {
    writeFileSync(join(share, 'letters'), 'x'.repeat(size));
    const words = ['get', `127.0.0.1:${listener.port}:/share/letters`, '-', '--verify', '--accept-new'];
    const got = await run(words, { home: join(base, 'alice') });
    assert.equal(got.status, 0, got.stderr);
    assert.ok(got.stdout === 'x'.repeat(size));
  }
});
