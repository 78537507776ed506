import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { OutputEvent } from '../../src/cli/events.ts';
import { eventsNamed, eventsOf, LAUNCHER, type Ran } from '../cli/cli-process.ts';
import { needs } from '../needs.ts';
import { type Host, Network } from './network.ts';

const MEBIBYTE = 1024 * 1024;
const PORT = 7353;
/** A peer that says nothing for so long is lost: short, so that a test need not wait for it. */
const SILENCE = { LOCALSTREAM_KEEP_ALIVE_INTERVAL: '300ms', LOCALSTREAM_KEEP_ALIVE_SILENCE: '1200ms' };
/** Makes a transfer last long enough for something to happen to it. */
const SLOWLY = { LOCALSTREAM_LIMIT: '3M' };

/** How a command tells that a connection is lost and will be dialled again. */
const RETRY = /"event":"retry"/;

/** A command that runs on a host. */
interface Command {
  readonly ended: Promise<Ran>;
  /** Waits until it has printed what fits. */
  until(pattern: RegExp): Promise<void>;
}

/** A person on a host, with a home and a folder of its own. */
class Machine {
  readonly host: Host;
  readonly folder: string;
  readonly #env: Record<string, string>;

  constructor(t: TestContext, host: Host, name: string, env: Record<string, string> = {}) {
    this.host = host;
    this.folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#env = {
      LOCALSTREAM_HOME: join(this.folder, 'home'),
      LOCALSTREAM_NAME: name,
      LOCALSTREAM_DISCOVERY_ENABLED: 'off',
      ...env,
    };
  }

  start(...words: readonly string[]): Command {
    const child = this.host.spawn(process.execPath, [LAUNCHER, ...words, '--json'], this.#env, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.folder,
    });
    const text = { stdout: '', stderr: '' };
    const watchers = new Set<() => void>();
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (piece: string) => {
        text[name] += piece;
        for (const watcher of watchers) watcher();
      });
    }
    const ended = once(child, 'close').then(() => ({ ...text, status: child.exitCode }));
    const until = (pattern: RegExp) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if (!pattern.test(text.stdout)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
        void ended.then(() => reject(new Error(`ended before: ${text.stdout}${text.stderr}`)));
      });
    return { ended, until };
  }

  /** Runs a command that has to succeed. */
  async run(...words: readonly string[]): Promise<OutputEvent[]> {
    const ran = await this.start(...words).ended;
    assert.equal(ran.status, 0, ran.stderr);
    return eventsOf(ran);
  }

  /** Serves its folders `shared` and `inbox` until the network is gone. */
  async serve(): Promise<void> {
    const shares = ['shared', 'inbox:rw'].flatMap((share) => ['--share', join(this.folder, share)]);
    for (const name of ['shared', 'inbox']) mkdirSync(join(this.folder, name), { recursive: true });
    const words = ['serve', '--host', this.host.address, '--port', `${PORT}`, '--open', '--max', '4'];
    await this.start(...words, ...shares).until(/"event":"listening"/);
  }
}

/** Waits until so many bytes of a file under way are on the receiver's disk: a sender only knows what has left. */
async function stored(folder: string, bytes: number): Promise<void> {
  for (;;) {
    const sizes = readdirSync(folder).map(
      (name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0,
    );
    if (Math.max(0, ...sizes) >= bytes) return;
    await delay(10);
  }
}

function randomFile(path: string, size: number): void {
  writeFileSync(path, randomFillSync(Buffer.alloc(size)));
}

/** Two machines on a network; the first serves a file `big` of a size. */
async function pair(
  t: TestContext,
  network: Network,
  size: number,
  env: Record<string, string> = {},
): Promise<{ server: Machine; client: Machine; source: string; peer: string }> {
  const [first, second] = network.hosts;
  assert.ok(first && second);
  const server = new Machine(t, first, 'server', env);
  const client = new Machine(t, second, 'client', env);
  await server.serve();
  const source = join(server.folder, 'shared', 'big');
  randomFile(source, size);
  return { server, client, source, peer: first.address };
}

/** Asserts that it is one transfer that ended well, whatever happened to its connection, and that the file is there. */
async function assertWhole(command: Command, source: string, target: string): Promise<OutputEvent[]> {
  const ran = await command.ended;
  assert.equal(ran.status, 0, ran.stderr);
  const events = eventsOf(ran);
  const receipts = eventsNamed(events, 'receipt');
  assert.equal(receipts.length, 1);
  assert.equal(receipts[0]?.code, 'OK');
  assert.equal(receipts[0]?.files, 1);
  const transfers = new Set(eventsNamed(events, 'progress').map(({ transferId }) => transferId));
  assert.equal(transfers.size, 1, 'progress of one transfer');
  execFileSync('cmp', [source, target]);
  const partials = readdirSync(join(target, '..')).filter((name) => name.startsWith('.localstream-'));
  assert.deepEqual(partials, []);
  return events;
}

describe('transfers on a network', needs('root', 'ip', 'python3'), () => {
  test('carry a tree there and back, between two homes', async (t) => {
    await using network = await Network.create(2);
    const { server, client, peer } = await pair(t, network, MEBIBYTE);
    const tree = join(client.folder, 'tree');
    mkdirSync(join(tree, 'empty', 'deep'), { recursive: true });
    for (const [name, size] of [
      ['none', 0],
      ['one', 1],
      ['some', 300_000],
      ['żółć', 5 * MEBIBYTE],
    ] as const) {
      randomFile(join(tree, name), size);
    }
    await client.run('put', 'tree', `${peer}:/inbox/`, '--accept-new');
    execFileSync('diff', ['-r', tree, join(server.folder, 'inbox', 'tree')]);
    await client.run('get', `${peer}:/inbox/tree`, 'back');
    execFileSync('diff', ['-r', tree, join(client.folder, 'back')]);
    const [ours, theirs] = [client, server].map(({ folder }) => join(folder, 'home', 'identity.json'));
    assert.ok(ours && theirs && existsSync(ours));
    assert.notDeepEqual(readFileSync(ours), readFileSync(theirs));
  });

  test('go on by themselves when the cable was out', async (t) => {
    await using network = await Network.create(2);
    const { client, source, peer } = await pair(t, network, 16 * MEBIBYTE, { ...SILENCE, ...SLOWLY });
    const into = join(client.folder, 'into');
    mkdirSync(into);
    const command = client.start('get', `${peer}:/shared/big`, 'into/', '--accept-new');
    await stored(into, 8 * MEBIBYTE);
    await client.host.linkDown();
    await command.until(RETRY);
    await client.host.linkUp();
    const events = await assertWhole(command, source, join(into, 'big'));
    const moved = eventsNamed(events, 'receipt')[0]?.bytesMoved ?? 0;
    // All of it has crossed, and what was under way as the link broke once more.
    assert.ok(moved >= 16 * MEBIBYTE && moved < 22 * MEBIBYTE, `not from the beginning: ${moved}`);
  });

  test('go on from another address', async (t) => {
    await using network = await Network.create(2);
    const { server, client, peer } = await pair(t, network, MEBIBYTE, { ...SILENCE, ...SLOWLY });
    const source = join(client.folder, 'big');
    randomFile(source, 16 * MEBIBYTE);
    const command = client.start('put', 'big', `${peer}:/inbox/`, '--accept-new');
    await stored(join(server.folder, 'inbox'), 8 * MEBIBYTE);
    await client.host.changeAddress('10.77.0.99');
    await command.until(RETRY);
    const events = await assertWhole(command, source, join(server.folder, 'inbox', 'big'));
    const moved = eventsNamed(events, 'receipt')[0]?.bytesMoved ?? 0;
    // All of it has crossed, and what was under way as the link broke once more.
    assert.ok(moved >= 16 * MEBIBYTE && moved < 22 * MEBIBYTE, `not from the beginning: ${moved}`);
  });

  test('come through where one frame in twenty is lost', async (t) => {
    await using network = await Network.create(2);
    const { client, source, peer } = await pair(t, network, 4 * MEBIBYTE);
    await client.host.shape({ loss: 0.05 });
    const command = client.start('get', `${peer}:/shared/big`, 'big', '--accept-new');
    await assertWhole(command, source, join(client.folder, 'big'));
  });

  test('use several connections where the way is long', async (t) => {
    await using network = await Network.create(2);
    const { client, source, peer } = await pair(t, network, 16 * MEBIBYTE, SLOWLY);
    await client.host.shape({ delayMilliseconds: 15 });
    const into = join(client.folder, 'into');
    mkdirSync(into);
    const command = client.start('get', `${peer}:/shared/big`, 'into/', '--accept-new');
    await stored(into, 4 * MEBIBYTE);
    const table = await client.host.run('cat', '/proc/net/tcp');
    const established = table.split('\n').filter((line) => {
      const [, , remote = '', state] = line.trim().split(/\s+/);
      return state === '01' && remote.endsWith(`:${PORT.toString(16).toUpperCase()}`);
    });
    // One for the session, four for the bytes.
    assert.equal(established.length, 5);
    await assertWhole(command, source, join(into, 'big'));
  });
});
