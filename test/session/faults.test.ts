import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { isPartialName } from '../../src/transfer/partial.ts';
import { needs } from '../needs.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { homeOf, machine, noise, pair, sceneFolder } from './machines.ts';

const MIB = 1024 * 1024;
const NOBODY = 65_534;
const PROGRAM = fileURLToPath(new URL('./peer-process.ts', import.meta.url));
const WORD = v.object({
  port: v.optional(v.number()),
  connected: v.optional(v.boolean()),
  code: v.optional(v.string()),
  bytes: v.optional(v.number()),
  bytesMoved: v.optional(v.number()),
  peak: v.optional(v.number()),
});

interface Other {
  readonly child: ChildProcess;
  /** The next thing that it says. */
  next(): Promise<v.InferOutput<typeof WORD>>;
}

/** Starts `peer-process.ts`. */
function startPeer(t: TestContext, words: readonly (string | number)[]): Other {
  const child = spawn(process.execPath, [PROGRAM, ...words.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  afterwards(t, () => killHard(child));
  const lines: string[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return {
    child,
    next: async () => {
      await until(() => lines.length > 0);
      return v.parse(WORD, JSON.parse(lines.shift() ?? ''));
    },
  };
}

async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const partialsIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
        isPartialName(basename(path)),
      )
    : [];

/** Bytes that are held in partials. */
function held(folder: string): number {
  return partialsIn(folder).reduce(
    (sum, path) => sum + (statSync(join(folder, path), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

suite('a peer that is killed', () => {
  test('as a server in mid-get: the get fails as lost, its partial is kept and used', async (t) => {
    const base = sceneFolder(t);
    const [share, local] = [join(base, 'share'), join(base, 'local')];
    for (const folder of [share, local]) mkdirSync(folder);
    writeFileSync(join(share, 'big'), noise(24 * MIB));
    const home = homeOf(base, 'bob');
    const alice = await machine(t, base, 'alice');
    const first = startPeer(t, ['serve', home, 0, share]);
    const { port = 0 } = await first.next();
    const session = await alice.connect({ host: '127.0.0.1', port, acceptNew: true });
    const running = session.get(['/share/big'], `${local}/`, { limit: 24 * MIB });
    running.catch(() => {});
    await until(() => held(local) > 4 * MIB);
    await killHard(first.child);
    await assert.rejects(running, { code: 'LOST' });
    assert.equal(session.lost?.code, 'LOST');
    const before = held(local);
    assert.deepEqual(readdirSync(local).map(isPartialName), [true]);

    const second = startPeer(t, ['serve', home, port, share]);
    await second.next();
    const again = await alice.connect({ host: '127.0.0.1', port });
    const receipt = await again.get(['/share/big'], `${local}/`);
    assert.equal(receipt.code, 'OK');
    assert.ok(receipt.bytesMoved <= 24 * MIB - Math.floor(before / MIB) * MIB);
    assert.ok(readFileSync(join(local, 'big')).equals(noise(24 * MIB)));
    assert.deepEqual(readdirSync(local), ['big']);
    const log = readFileSync(alice.home.errorLog, 'utf8');
    assert.match(log, /LOST/);
  });

  test('again and again, and comes back: one get that never ends but well', async (t) => {
    const base = sceneFolder(t);
    const [share, local] = [join(base, 'share'), join(base, 'local')];
    for (const folder of [share, local]) mkdirSync(folder);
    writeFileSync(join(share, 'big'), noise(24 * MIB));
    const home = homeOf(base, 'bob');
    const alice = await machine(t, base, 'alice');
    let server = startPeer(t, ['serve', home, 0, share]);
    const { port = 0 } = await server.next();
    const session = await alice.connect({ host: '127.0.0.1', port, acceptNew: true });
    let tries = 0;
    const running = session.get(['/share/big'], `${local}/`, {
      limit: 24 * MIB,
      retryFor: 60_000,
      onRetry: () => {
        tries += 1;
      },
    });
    running.catch(() => {});
    let bytes = 0;
    for (let kill = 1; kill <= 2; kill += 1) {
      await until(() => held(local) > bytes + 3 * MIB);
      await killHard(server.child);
      bytes = held(local);
      server = startPeer(t, ['serve', home, port, share]);
      await server.next();
    }
    const receipt = await running;
    assert.equal(receipt.code, 'OK');
    assert.ok(tries >= 2);
    assert.ok(readFileSync(join(local, 'big')).equals(noise(24 * MIB)));
    assert.deepEqual(readdirSync(local), ['big']);
  });

  for (const action of ['get', 'put'] as const)
    test(`as a client in mid-${action} again and again: the listener goes on, nothing verified crosses twice`, async (t) => {
      const base = sceneFolder(t);
      const [share, local] = [join(base, 'share'), join(base, 'local')];
      const [source, target] = action === 'get' ? [share, local] : [local, share];
      for (const folder of [share, local]) mkdirSync(folder);
      writeFileSync(join(source, 'big'), noise(32 * MIB));
      const bob = await machine(t, base, 'bob');
      const listener = await bob.listen({
        port: 0,
        host: '127.0.0.1',
        open: true,
        maxConnections: 5,
        shares: [{ name: 'share', folder: share, mode: 'rw' }],
      });
      const failed: string[] = [];
      listener.on('failed', ({ error }) => failed.push(error.code));
      const home = homeOf(base, 'alice');
      const words = action === 'get' ? ['/share/big', `${local}/`] : [join(local, 'big'), '/share/'];
      let kept = 0;
      let kills = 0;
      for (; kills < 2; kills += 1) {
        const client = startPeer(t, [action, home, listener.port, ...words]);
        await client.next();
        await until(() => held(target) > kept + 3 * MIB || existsSync(join(target, 'big')));
        await killHard(client.child);
        await until(() => listener.transfers.length === 0 && listener.peers.length === 0);
        if (existsSync(join(target, 'big'))) break;
        assert.ok(held(target) >= kept, 'a resume has lost what was there');
        kept = held(target);
        assert.equal(partialsIn(target).length, 1);
      }
      const last = startPeer(t, [action, home, listener.port, ...words]);
      await last.next();
      const { code, bytesMoved = 0 } = await last.next();
      assert.equal(code, 'OK');
      assert.ok(kills === 0 || bytesMoved <= 32 * MIB - Math.floor(kept / MIB) * MIB);
      assert.deepEqual(readdirSync(target), ['big']);
      assert.ok(readFileSync(join(target, 'big')).equals(noise(32 * MIB)));
      for (const one of failed) assert.ok(['LOST', 'CLOSED'].includes(one), one);
    });
});

suite('a source that changes while it is sent', () => {
  for (const [what, change] of [
    ['shrinks', (path: string) => truncateSync(path, MIB)],
    ['grows', (path: string) => appendFileSync(path, 'more')],
    ['vanishes', (path: string) => unlinkSync(path)],
  ] as const)
    test(`fails by name when it ${what}, the others arrive, and the next run finishes`, async (t) => {
      const { share, local, session } = await pair(t);
      mkdirSync(join(share, 'tree'));
      for (const name of ['a', 'b', 'z']) writeFileSync(join(share, 'tree', name), noise(100_000));
      writeFileSync(join(share, 'tree', 'big'), noise(20 * MIB));
      const running = session.get(['/share/tree'], join(local, 'tree'), { limit: 16 * MIB });
      running.catch(() => {});
      await until(() => held(local) > 2 * MIB);
      change(join(share, 'tree', 'big'));
      const receipt = await running;
      assert.deepEqual([receipt.code, receipt.failed, receipt.files], ['PARTIAL', 1, 3]);
      const [failure] = receipt.outcomes;
      assert.deepEqual(
        [failure?.path, failure?.outcome, failure?.code],
        ['tree/big', 'failed', 'SOURCE_CHANGED'],
      );
      for (const name of ['a', 'b', 'z'])
        assert.ok(readFileSync(join(local, 'tree', name)).equals(noise(100_000)));
      assert.ok(!existsSync(join(local, 'tree', 'big')));
      writeFileSync(join(share, 'tree', 'big'), noise(21 * MIB, 5));
      const again = await session.get(['/share/tree'], join(local, 'tree'));
      assert.equal(again.code, 'OK');
      assert.ok(readFileSync(join(local, 'tree', 'big')).equals(noise(21 * MIB, 5)));
      assert.deepEqual(partialsIn(local), []);
    });
});

suite('a disk that is too small', needs('root'), () => {
  /** A share on a disk of its own. */
  async function onDisk(t: TestContext, size: string) {
    const base = sceneFolder(t);
    const share = join(base, 'disk');
    mkdirSync(share);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'localstream-test', share]);
    const shares = [{ name: 'share', folder: share, mode: 'rw' as const }];
    afterwards(t, () => execFileSync('umount', ['-l', share]));
    const both = await pair(t, { base, listen: { shares } });
    return { ...both, share };
  }

  test('says so when the file is announced, before its bytes, and takes the others', async (t) => {
    const { share, local, session } = await onDisk(t, '8m');
    mkdirSync(join(local, 'tree'));
    writeFileSync(join(local, 'tree', 'big'), noise(20 * MIB));
    for (let number = 0; number < 20; number += 1)
      writeFileSync(join(local, 'tree', `s${number}`), noise(5000, number));
    const receipt = await session.put([join(local, 'tree')], '/share/tree');
    assert.deepEqual([receipt.code, receipt.failed, receipt.files], ['PARTIAL', 1, 20]);
    assert.deepEqual([receipt.outcomes[0]?.path, receipt.outcomes[0]?.code], ['tree/big', 'NO_SPACE']);
    assert.match(
      receipt.outcomes[0]?.reason ?? '',
      /^there is not enough free space: 21\.0 MB are needed, 8\.\d\d MB are left above freeSpaceReserve$/,
    );
    assert.ok(receipt.bytesMoved < MIB);
    assert.deepEqual(partialsIn(share), []);
  });

  test('takes a sparse file by what it stores, and not by its length', async (t) => {
    const { share, local, session } = await onDisk(t, '8m');
    for (const [name, data] of [
      ['thin', MIB],
      ['thick', 20 * MIB],
    ] as const) {
      writeFileSync(join(local, name), noise(data));
      truncateSync(join(local, name), 64 * MIB);
    }
    const thin = await session.put([join(local, 'thin')], '/share/thin');
    assert.equal(thin.code, 'OK');
    const { size, blocks } = statSync(join(share, 'thin'));
    assert.equal(size, 64 * MIB);
    assert.ok(blocks * 512 < 2 * MIB);
    const thick = await session.put([join(local, 'thick')], '/share/thick');
    assert.equal(thick.code, 'NO_SPACE');
    assert.equal(thick.bytesMoved, 0);
    assert.match(thick.outcomes[0]?.reason ?? '', /: 21\.0 MB are needed/);
  });

  test('or becomes so meanwhile: the file fails by name, the old one stays', async (t) => {
    const { share, local, session } = await onDisk(t, '24m');
    writeFileSync(join(share, 'big'), 'old');
    writeFileSync(join(local, 'big'), noise(16 * MIB));
    const running = session.put([join(local, 'big')], '/share/', { existing: 'overwrite', limit: 12 * MIB });
    running.catch(() => {});
    await until(() => held(share) > 2 * MIB);
    writeFileSync(join(share, 'filler'), noise(14 * MIB));
    const receipt = await running;
    assert.deepEqual([receipt.code, receipt.failed], ['NO_SPACE', 1]);
    assert.match(
      receipt.outcomes[0]?.reason ?? '',
      /^cannot write 'big': no space left on device: \d[\d.]* [km]?B more are needed, \d+ B are free$/i,
    );
    assert.equal(readFileSync(join(share, 'big'), 'utf8'), 'old');
    // With room again the next run goes on from what is there.
    const before = held(share);
    assert.ok(before > 2 * MIB);
    unlinkSync(join(share, 'filler'));
    const again = await session.put([join(local, 'big')], '/share/', { existing: 'overwrite' });
    assert.equal(again.code, 'OK');
    assert.ok(again.bytesMoved <= 16 * MIB - Math.floor(before / MIB) * MIB);
    assert.deepEqual(readdirSync(share), ['big']);
  });

  test('is large enough for a resume, of which most is there', async (t) => {
    const { share, local, session } = await onDisk(t, '20m');
    writeFileSync(join(local, 'big'), noise(16 * MIB));
    const stop = new AbortController();
    const cut = session.put([join(local, 'big')], '/share/', { limit: 24 * MIB, signal: stop.signal });
    cut.catch(() => {});
    await until(() => held(share) > 10 * MIB);
    stop.abort();
    await assert.rejects(cut, { code: 'CANCELLED' });
    const receipt = await session.put([join(local, 'big')], '/share/');
    assert.deepEqual([receipt.code, receipt.files], ['OK', 1]);
    assert.ok(readFileSync(join(share, 'big')).equals(noise(16 * MIB)));
  });
});

suite('rights that are lost', needs('root'), () => {
  test('while bytes come fail what they touch, by name', async (t) => {
    const base = sceneFolder(t);
    chmodSync(base, 0o755);
    const [share, local] = [join(base, 'share'), join(base, 'local')];
    for (const folder of [share, local, join(local, 'tree')]) mkdirSync(folder);
    for (const folder of ['open', 'shut']) mkdirSync(join(local, 'tree', folder));
    for (const folder of ['open', 'shut']) writeFileSync(join(local, 'tree', folder, 'file'), noise(6 * MIB));
    for (const folder of [
      share,
      join(share, 'tree'),
      join(share, 'tree', 'open'),
      join(share, 'tree', 'shut'),
    ]) {
      if (folder !== share) mkdirSync(folder);
      chownSync(folder, NOBODY, NOBODY);
    }
    const alice = await machine(t, base, 'alice');
    const home = homeOf(base, 'bob');
    for (const path of [home, join(home, 'identity.json')]) chownSync(path, NOBODY, NOBODY);
    const server = startPeer(t, ['serve', home, 0, share, '', NOBODY]);
    const { port = 0 } = await server.next();
    const session = await alice.connect({ host: '127.0.0.1', port, acceptNew: true });
    const running = session.put([join(local, 'tree')], '/share/tree', { limit: 8 * MIB });
    running.catch(() => {});
    await until(() => held(share) > MIB);
    chmodSync(join(share, 'tree', 'shut'), 0o555);
    const receipt = await running;
    const shut = receipt.outcomes.find(({ path }) => path === 'tree/shut/file');
    assert.deepEqual([receipt.code, receipt.failed, receipt.files], ['PARTIAL', 1, 1]);
    assert.deepEqual([shut?.outcome, shut?.code], ['failed', 'UNWRITABLE']);
    assert.ok(readFileSync(join(share, 'tree', 'open', 'file')).equals(noise(6 * MIB)));
    // And what may not be read is not sent.
    writeFileSync(join(share, 'tree', 'open', 'secret'), 'secret', { mode: 0o600 });
    const got = await session.get(['/share/tree/open'], join(local, 'got'));
    assert.deepEqual([got.code, got.failed, got.files], ['PARTIAL', 1, 1]);
    assert.deepEqual([got.outcomes[0]?.path, got.outcomes[0]?.code], ['open/secret', 'UNREADABLE']);
    const alone = await session.get(['/share/tree/open/secret'], `${local}/`);
    assert.deepEqual([alone.code, alone.files], ['UNREADABLE', 0]);
  });
});
