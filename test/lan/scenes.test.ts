/** What happens to machines on a network, seen through the program itself. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FoundEvent } from '../../src/cli/events.ts';
import { eventsNamed, eventsOf, LAUNCHER } from '../cli/cli-process.ts';
import { needs } from '../needs.ts';
import { printed } from './neighbour.ts';
import { type Host, Network } from './network.ts';

const MEBIBYTE = 1024 * 1024;

/** A person on a host. */
class Machine {
  readonly folder: string;
  readonly #host: Host;
  readonly #env: Record<string, string>;

  constructor(t: TestContext, host: Host, name: string, env: Record<string, string> = {}) {
    this.#host = host;
    this.folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#env = {
      LOCALSTREAM_HOME: join(this.folder, 'home'),
      LOCALSTREAM_NAME: name,
      NO_COLOR: '1',
      ...env,
    };
  }

  start(...words: readonly string[]): ChildProcess {
    return this.#host.spawn(process.execPath, [LAUNCHER, ...words], this.#env, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.folder,
    });
  }

  async serve(...words: readonly string[]): Promise<ChildProcess> {
    const serving = this.start('serve', '--open', '--max', '4', ...words);
    await printed(serving, /listening on/);
    return serving;
  }

  async run(...words: readonly string[]) {
    const child = this.start(...words, '--json');
    assert.ok(child.stdout && child.stderr);
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { stdout, stderr, status: child.exitCode };
  }

  watch(): Watcher {
    return new Watcher(this.start('possible_connections', '--watch', '--json'));
  }
}

/** `possible_connections --watch` in a second terminal. */
class Watcher {
  readonly told: FoundEvent[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.#child = child;
    assert.ok(child.stdout);
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.told.push(JSON.parse(line));
      for (const look of this.#waiting) look();
    });
  }

  /** The next change of this kind of a peer of this name, from the one with this number on. */
  async until(change: FoundEvent['change'], name: string, from = 0): Promise<FoundEvent> {
    for (;;) {
      const found = this.told.slice(from).find((event) => event.change === change && event.name === name);
      if (found) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
      this.#waiting.delete(resolve);
    }
  }

  /** It ends with success when it is told to. */
  async end(): Promise<void> {
    this.#child.kill('SIGINT');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    assert.equal(this.#child.exitCode, 0);
  }
}

function hostsOf(network: Network): [Host, Host, Host] {
  const [first, second, third] = network.hosts;
  assert.ok(first && second && third);
  return [first, second, third];
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await once(child, 'exit');
}

describe('machines on a network', { concurrency: true, timeout: 120_000, ...needs('root', 'ip') }, () => {
  test('come and go before the eyes of who watches: by a goodbye on every signal to stop', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    // So long that nothing but a goodbye can make it vanish here.
    const nas = new Machine(t, first, 'nas', { LOCALSTREAM_DISCOVERY_LIFETIME: '75m' });
    const watcher = new Machine(t, second, 'me').watch();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const from = watcher.told.length;
      const serving = await nas.serve();
      await watcher.until('appear', 'nas', from);
      await ended(serving, signal);
      await watcher.until('vanish', 'nas', from);
    }
    await watcher.end();
  });

  test('are forgotten when their time is over, if they are killed', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const nas = new Machine(t, first, 'nas', { LOCALSTREAM_DISCOVERY_LIFETIME: '4s' });
    const watcher = new Machine(t, second, 'me').watch();
    const serving = await nas.serve();
    await watcher.until('appear', 'nas');
    await ended(serving, 'SIGKILL');
    await watcher.until('vanish', 'nas');
    await watcher.end();
  });

  test('of one name are two, and each is reached by its own', async (t) => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const machines = [new Machine(t, first, 'nas'), new Machine(t, second, 'nas')];
    const me = new Machine(t, third, 'me');
    const watcher = me.watch();
    for (const [index, machine] of machines.entries()) {
      writeFileSync(join(machine.folder, 'who.txt'), String(index));
      await machine.serve('--share', `docs=${machine.folder}`);
      await watcher.until('appear', index === 0 ? 'nas' : 'nas (2)');
    }
    for (const [index, name] of ['nas', 'nas-(2)'].entries()) {
      const got = await me.run('get', `${name}:/docs/who.txt`, `who${index}`, '--accept-new');
      assert.equal(got.status, 0, got.stderr);
      assert.equal(readFileSync(join(me.folder, `who${index}`), 'utf8'), String(index));
    }
    await watcher.end();
  });

  test('that get another address in the middle of a transfer are found again, and it goes on', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const hasty = {
      LOCALSTREAM_KEEP_ALIVE_INTERVAL: '300ms',
      LOCALSTREAM_KEEP_ALIVE_SILENCE: '1500ms',
      LOCALSTREAM_LIMIT: '3M',
    };
    const nas = new Machine(t, first, 'nas', hasty);
    const me = new Machine(t, second, 'me', hasty);
    const source = randomFillSync(Buffer.alloc(16 * MEBIBYTE));
    writeFileSync(join(nas.folder, 'big'), source);
    await nas.serve('--share', `docs=${nas.folder}`);
    const into = join(me.folder, 'into');
    mkdirSync(into);
    const running = me.run('get', 'nas:/docs/big', 'into/', '--accept-new');
    const stored = () =>
      Math.max(
        0,
        ...readdirSync(into).map((name) => statSync(join(into, name), { throwIfNoEntry: false })?.size ?? 0),
      );
    while (stored() < 4 * MEBIBYTE) await delay(20);
    await first.changeAddress('10.77.0.99');
    const ran = await running;
    assert.equal(ran.status, 0, ran.stderr);
    const events = eventsOf(ran);
    assert.ok(eventsNamed(events, 'retry').length > 0, 'it was lost in between');
    assert.ok(source.equals(readFileSync(join(into, 'big'))));
    const moved = eventsNamed(events, 'receipt')[0]?.bytesMoved ?? 0;
    // All of it has crossed, and what was under way as the address changed once more.
    assert.ok(moved >= 16 * MEBIBYTE && moved < 20 * MEBIBYTE, `not from the beginning: ${moved}`);
    const skipped = Math.max(...eventsNamed(events, 'progress').map(({ bytesSkipped }) => bytesSkipped));
    assert.ok(skipped >= 3 * MEBIBYTE, `what was there was taken: ${skipped}`);
    // Where it is now is remembered.
    const [trusted] = eventsNamed(eventsOf(await me.run('peers')), 'trust');
    assert.ok(
      trusted?.addresses.some(
        (address) => address.includes('10.77.0.99') || address.includes('fe80') || address.includes('fd77'),
      ),
    );
  });

  test('on two subnets hear only their own, and are reached through the router all the same', async (t) => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    // The second host has an interface in each; the third is behind it alone.
    await third.linkDown();
    await second.run(
      'ip',
      'link',
      'add',
      'eth1',
      'type',
      'veth',
      'peer',
      'name',
      'eth1',
      'netns',
      third.namespace,
    );
    for (const [host, address] of [
      [second, '10.78.0.2/24'],
      [third, '10.78.0.3/24'],
    ] as const) {
      await host.run('ip', 'link', 'set', 'eth1', 'up');
      await host.run('ip', 'address', 'add', address, 'dev', 'eth1');
    }
    await third.run('ip', 'address', 'flush', 'dev', 'eth0');
    await third.run('ip', 'route', 'add', '10.77.0.0/24', 'via', '10.78.0.2');
    await first.run('ip', 'route', 'add', '10.78.0.0/24', 'via', '10.77.0.2');
    await second.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward');
    const far = new Machine(t, third, 'far');
    const middle = new Machine(t, second, 'middle');
    const me = new Machine(t, first, 'me');
    await far.serve('--share', `docs=${far.folder}`);
    await middle.serve();
    const watcher = me.watch();
    const seen = await watcher.until('appear', 'middle');
    assert.deepEqual(
      seen.addresses.filter(({ family }) => family === 4).map(({ host }) => host),
      ['10.77.0.2'],
      'each network is told of its own address',
    );
    const between = middle.watch();
    await between.until('appear', 'far');
    assert.ok(!watcher.told.some(({ name }) => name === 'far'));
    const listed = await me.run('list_dir', '10.78.0.3:/', '--accept-new');
    assert.equal(listed.status, 0, listed.stderr);
    const byName = await me.run('list_dir', 'far:/');
    assert.equal(byName.status, 0, byName.stderr);
    await watcher.end();
    await between.end();
  });
});
