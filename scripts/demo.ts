/**
 * `npm run demo`: two machines, each a process with a state folder of its own, trust each other's key and move a big
 * file and some small ones both ways. What arrives is compared byte by byte.
 */
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import * as v from 'valibot';

const MEBIBYTE = 1024 * 1024;
const launcher = join(import.meta.dirname, '..', 'bin', 'localstream.js');

const { values: options } = parseArgs({ options: { mebibytes: { type: 'string', default: '1024' } } });
const bigBytes = Number(options.mebibytes) * MEBIBYTE;

/** What the demo reads of the events that a machine prints. */
const Event = v.variant('event', [
  v.object({ event: v.literal('identity'), fingerprint: v.string() }),
  v.object({ event: v.literal('progress'), bytes: v.number(), bytesTotal: v.number() }),
  v.object({ event: v.literal('receipt'), bytes: v.number(), seconds: v.number(), digest: v.string() }),
]);

function eventOf(line: string): v.InferOutput<typeof Event> | undefined {
  const parsed = v.safeParse(Event, JSON.parse(line));
  return parsed.success ? parsed.output : undefined;
}

const work = mkdtempSync(join(roomyFolder(), 'localstream-demo-'));
const children = new Set<ChildProcess>();
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopped = true;
    for (const child of children) child.kill('SIGTERM');
  });
}
try {
  await demonstrate();
} catch (error) {
  if (!stopped) throw error;
  process.exitCode = 130;
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Memory where it is large enough, so that a slow disk does not hide the speed of the transfer. */
function roomyFolder(): string {
  for (const folder of ['/dev/shm', tmpdir()]) {
    try {
      const { bavail, bsize } = statfsSync(folder);
      if (bavail * bsize > 4 * bigBytes) return folder;
    } catch {
      // Not every system has the first.
    }
  }
  throw new Error(`there is no room for ${4 * Number(options.mebibytes)} MiB in ${tmpdir()}`);
}

async function demonstrate(): Promise<void> {
  const [attic, desk] = [join(work, 'attic'), join(work, 'desk')];
  for (const folder of [`${attic}/shared`, `${attic}/inbox`, `${desk}/files`]) {
    mkdirSync(folder, { recursive: true });
  }
  const notes = { 'a note.txt': 'Hello.\n', 'déjà vu ☕.txt': 'Names may be anything.\n', 'empty.txt': '' };
  for (const [name, text] of Object.entries(notes)) writeFileSync(join(attic, 'shared', name), text);
  say(`The work is done in ${work}; a file of ${options.mebibytes} MiB is made.`);
  await pipeline(Readable.from(randomPieces(bigBytes)), createWriteStream(join(attic, 'shared', 'film.bin')));

  say('\nTwo machines, attic and desk, make their keys and let each other in.');
  const [atticKey, deskKey] = [identity(attic), identity(desk)];
  say(`attic  ${atticKey}\ndesk   ${deskKey}`);
  run(attic, 'trust', deskKey, '--name', 'desk');
  run(desk, 'trust', atticKey, '--name', 'attic');

  const port = await freePort();
  const shares = ['--share', `shared=${attic}/shared`, '--share', `inbox=${attic}/inbox:rw`];
  const serve = ['serve', '--host', '127.0.0.1', '--port', `${port}`, ...shares, '--json'];
  const server = start(attic, serve, ['ignore', 'pipe', 'inherit']);
  try {
    if (server.stdout === null) throw new Error('the server has no output');
    await Promise.race([once(server.stdout, 'data'), failed(server)]);
    server.stdout.resume();

    const files = ['film.bin', ...Object.keys(notes)];
    for (const name of files) {
      await move(`attic → desk  ${name}`, desk, [
        'get',
        `127.0.0.1:${port}:/shared/${name}`,
        `${desk}/files/`,
      ]);
    }
    for (const name of files) {
      await move(`desk → attic  ${name}`, desk, [
        'put',
        `${desk}/files/${name}`,
        `127.0.0.1:${port}:/inbox/`,
      ]);
    }
    for (const name of files) {
      const source = join(attic, 'shared', name);
      for (const copy of [join(desk, 'files', name), join(attic, 'inbox', name)]) {
        if (!(await sameBytes(source, copy))) throw new Error(`${copy} is not what was sent`);
      }
    }
    say(`\nAll ${files.length} files went there and back and are the same, byte for byte.`);
  } finally {
    if (children.has(server)) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
  }
}

function say(text: string): void {
  console.log(text);
}

function start(machine: string, words: readonly string[], stdio: StdioOptions): ChildProcess {
  if (stopped) throw new Error('the demo was stopped');
  const child = spawn(process.execPath, [launcher, ...words], {
    env: { ...process.env, LOCALSTREAM_HOME: join(machine, 'state') },
    stdio,
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function run(machine: string, ...words: readonly string[]): string {
  const env = { ...process.env, LOCALSTREAM_HOME: join(machine, 'state') };
  return execFileSync(process.execPath, [launcher, ...words], { env, encoding: 'utf8' });
}

function identity(machine: string): string {
  const event = run(machine, 'identity', '--json').trim().split('\n').map(eventOf)[0];
  if (event?.event !== 'identity') throw new Error('the identity is not told');
  return event.fingerprint;
}

/** One command of the client: with its own bars in a terminal, else with a line for each quarter. */
async function move(title: string, machine: string, words: readonly string[]): Promise<void> {
  say(`\n${title}`);
  const inTerminal = process.stdout.isTTY && process.stderr.isTTY;
  const client = inTerminal
    ? start(machine, words, 'inherit')
    : start(machine, [...words, '--json'], ['ignore', 'pipe', 'inherit']);
  const end = once(client, 'exit');
  let quarters = 0;
  if (client.stdout !== null) {
    for await (const line of createInterface({ input: client.stdout })) {
      const event = eventOf(line);
      if (event?.event === 'progress' && event.bytesTotal >= MEBIBYTE) {
        for (; quarters < Math.floor((4 * event.bytes) / event.bytesTotal); quarters += 1) {
          say(`  ${(quarters + 1) * 25} %`);
        }
      } else if (event?.event === 'receipt') {
        const speed = ` (${(event.bytes / 1e6 / event.seconds).toFixed(0)} MB/s)`;
        say(`  ${event.bytes} bytes in ${event.seconds.toFixed(2)} s${event.bytes < MEBIBYTE ? '' : speed}`);
        say(`  BLAKE3 ${event.digest}`);
      }
    }
  }
  const [status] = await end;
  if (status !== 0) throw new Error(`${words[0]} ended with ${status}`);
}

async function failed(child: ChildProcess): Promise<never> {
  const [status] = await once(child, 'exit');
  throw new Error(`the server ended with ${status}`);
}

/** Random, so that neither end nor any disk can gain by compressing it. */
function* randomPieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= 8 * MEBIBYTE) {
    yield randomFillSync(Buffer.allocUnsafe(Math.min(left, 8 * MEBIBYTE)));
  }
}

async function sameBytes(first: string, second: string): Promise<boolean> {
  await using a = await open(first);
  await using b = await open(second);
  if ((await a.stat()).size !== (await b.stat()).size) return false;
  const [left, right] = [Buffer.alloc(8 * MEBIBYTE), Buffer.alloc(8 * MEBIBYTE)];
  for (let position = 0; ; ) {
    const [{ bytesRead }] = await Promise.all([
      a.read(left, 0, left.length, position),
      b.read(right, 0, left.length, position),
    ]);
    if (bytesRead === 0) return true;
    if (!left.subarray(0, bytesRead).equals(right.subarray(0, bytesRead))) return false;
    position += bytesRead;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('the port is not known');
  return address.port;
}
