/** Sealed files over a server: who can read them there and afterwards, what becomes of changed ones, and how they go on. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect as dialTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { headerBytes } from '../../src/crypto/envelope.ts';
import { type Localstream, LocalstreamError, openLocalstream, type Session } from '../../src/index.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { Relay } from '../soak/relay.ts';
import { noise, type Pair, pair, TEST_FLAGS } from './machines.ts';

const MIB = 1024 * 1024;

interface Scene extends Pair {
  /** Somebody else, whose key alice trusts and who trusts hers. */
  readonly carol: Localstream;
  readonly carolsSession: Session;
  readonly carolsFolder: string;
}

/** Alice and carol trust each other; bob only keeps what they leave with him. */
async function scene(t: TestContext): Promise<Scene> {
  const all = await pair(t);
  const { alice, base, listener } = all;
  const carol = await openLocalstream({ home: join(base, 'carol'), flags: TEST_FLAGS });
  afterwards(t, () => carol.close());
  const meeting = await carol.listen({ port: 0, host: '127.0.0.1', open: true });
  await alice.trust.trust({ fingerprint: carol.fingerprint, name: 'carol', how: 'manual' });
  await carol.trust.trust({ fingerprint: alice.fingerprint, name: 'alice', how: 'manual' });
  await (await alice.connect({ host: '127.0.0.1', port: meeting.port })).close();
  await meeting.close();
  const carolsSession = await carol.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
  const carolsFolder = join(base, 'carols');
  mkdirSync(carolsFolder);
  return { ...all, carol, carolsSession, carolsFolder };
}

const visible = (folder: string) => readdirSync(folder).filter((name) => !name.startsWith('.'));

test('the server keeps what it cannot read; a reader gets content, name, time and mode', async (t) => {
  const all = await scene(t);
  const sealFor = [all.carol.fingerprint];
  const [small, big] = [Buffer.from('top secret words'), noise(3 * MIB + 5)];
  const tree = join(all.local, 'plans');
  mkdirSync(join(tree, 'deeper'), { recursive: true });
  writeFileSync(join(tree, 'small.txt'), small, { mode: 0o640 });
  writeFileSync(join(tree, 'deeper', 'big.bin'), big);
  writeFileSync(join(tree, 'deeper', 'empty'), '');
  symlinkSync('small.txt', join(tree, 'link'));
  chmodSync(join(tree, 'deeper', 'big.bin'), 0o751);
  for (const name of ['small.txt', 'deeper/big.bin'])
    utimesSync(join(tree, name), 1_600_000_000, 1_600_000_000);
  const put = await all.session.put([tree], '/share/', { sealFor });
  assert.deepEqual([put.code, put.files], ['OK', 3]);
  const kept = join(all.share, 'plans');
  assert.deepEqual(readdirSync(kept).sort(), ['deeper', 'link', 'small.txt.sealed']);
  assert.deepEqual(readdirSync(join(kept, 'deeper')).sort(), ['big.bin.sealed', 'empty.sealed']);
  assert.equal(readFileSync(join(kept, 'small.txt.sealed')).includes('secret'), false);
  assert.equal(statSync(join(kept, 'small.txt.sealed')).mode & 0o777, 0o644, 'its mode is within');

  const got = await all.carolsSession.get(['/share/plans'], `${all.carolsFolder}/`);
  assert.deepEqual([got.code, got.files, got.failed], ['OK', 3, 0]);
  assert.deepEqual(got.opened?.map(({ name, outcome, sealer }) => [name, outcome, sealer]).sort(), [
    ['big.bin', 'opened', all.alice.fingerprint],
    ['empty', 'opened', all.alice.fingerprint],
    ['small.txt', 'opened', all.alice.fingerprint],
  ]);
  const here = join(all.carolsFolder, 'plans');
  assert.deepEqual(readdirSync(here).sort(), ['deeper', 'link', 'small.txt']);
  assert.deepEqual(readdirSync(join(here, 'deeper')).sort(), ['big.bin', 'empty']);
  assert.deepEqual(readFileSync(join(here, 'link')), small);
  assert.deepEqual(readFileSync(join(here, 'deeper', 'big.bin')), big);
  assert.deepEqual(
    [statSync(join(here, 'small.txt')).mode & 0o777, statSync(join(here, 'deeper/big.bin')).mode & 0o777],
    [0o640, 0o751],
  );
  assert.equal(statSync(join(here, 'small.txt')).mtimeMs, 1_600_000_000_000);

  // The same again is there already, and the sealed file does not come back for it.
  const again = await all.carolsSession.get(['/share/plans/small.txt.sealed'], `${here}/`);
  assert.deepEqual([again.code, again.opened?.[0]?.outcome], ['OK', 'same']);
  const named = await all.carolsSession.get(['/share/plans/small.txt.sealed'], join(here, 'mine.txt'));
  assert.equal(named.opened?.[0]?.name, 'mine.txt');
  assert.deepEqual(readdirSync(here).sort(), ['deeper', 'link', 'mine.txt', 'small.txt']);
  // Who has sealed it can't open it, nor can the server; it stays as it is.
  const own = await all.session.get(['/share/plans/small.txt.sealed'], `${all.local}/`);
  assert.deepEqual([own.code, own.opened?.[0]?.outcome], ['OK', 'kept']);
  assert.ok(existsSync(join(all.local, 'small.txt.sealed')));
  const asIs = await all.carolsSession.get(['/share/plans/small.txt.sealed'], `${all.carolsFolder}/`, {
    keepSealed: true,
  });
  assert.equal(asIs.opened, undefined);
  assert.deepEqual(
    readFileSync(join(all.carolsFolder, 'small.txt.sealed')),
    readFileSync(join(kept, 'small.txt.sealed')),
  );
});

test('what is there already follows the same rules as every get', async (t) => {
  const all = await scene(t);
  writeFileSync(join(all.local, 'a'), 'new');
  utimesSync(join(all.local, 'a'), 1_600_000_000, 1_600_000_000);
  await all.session.put([join(all.local, 'a')], '/share/', { sealFor: [all.carol.fingerprint] });
  const mine = join(all.carolsFolder, 'a');
  writeFileSync(mine, 'old');
  const get = (existing: 'fail' | 'skip' | 'update' | 'rename' | 'overwrite') =>
    all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`, { existing });
  const failed = await get('fail');
  assert.deepEqual([failed.code, failed.failed, failed.files], ['EXISTS', 1, 0]);
  assert.equal(readFileSync(mine, 'utf8'), 'old');
  for (const [existing, reason] of [
    ['skip', undefined],
    ['update', 'it is there, and not older'],
  ] as const) {
    // The seal itself is there as well, where it was not opened.
    rmSync(`${mine}.sealed`, { force: true });
    const left = await get(existing);
    assert.deepEqual([left.skipped, left.opened?.[0]?.reason], [1, reason]);
  }
  assert.equal(readFileSync(mine, 'utf8'), 'old');
  const renamed = await get('rename');
  assert.equal(renamed.opened?.[0]?.name, 'a (2)');
  assert.equal((await get('overwrite')).code, 'OK');
  assert.equal(readFileSync(mine, 'utf8'), 'new');
  assert.deepEqual(visible(all.carolsFolder).sort(), ['a', 'a (2)']);
});

for (const existing of ['overwrite', 'skip', 'update', 'rename'] as const)
  test(`two that are called the same within are two files, also under ${existing}`, async (t) => {
    const all = await scene(t);
    const sealFor = [all.carol.fingerprint];
    for (const words of ['one', 'another']) {
      writeFileSync(join(all.local, 'a.txt'), words);
      utimesSync(join(all.local, 'a.txt'), 1_600_000_000, 1_600_000_000);
      const put = await all.session.put([join(all.local, 'a.txt')], '/share/', {
        sealFor,
        existing: 'rename',
      });
      assert.equal(put.code, 'OK');
    }
    assert.deepEqual(readdirSync(all.share).sort(), ['a.txt (2).sealed', 'a.txt.sealed']);
    const paths = ['/share/a.txt.sealed', '/share/a.txt (2).sealed'];
    const runs = existing === 'overwrite' ? 2 : 1;
    for (let run = 0; run < runs; run += 1) {
      const got = await all.carolsSession.get(paths, `${all.carolsFolder}/`, { existing });
      assert.equal(got.code, 'OK');
      assert.deepEqual(got.opened?.map(({ name }) => name).sort(), ['a (2).txt', 'a.txt']);
      const contents = visible(all.carolsFolder).map((name) =>
        readFileSync(join(all.carolsFolder, name), 'utf8'),
      );
      assert.deepEqual(contents.sort(), ['another', 'one']);
    }
  });

test('into a drop-box, where another has the name already, and under --only and --exclude', async (t) => {
  const all = await scene(t);
  const box = join(all.base, 'box');
  mkdirSync(box);
  const shares = [{ name: 'box', folder: box, mode: 'wo' as const }];
  const drop = await all.bob.listen({ port: 0, host: '127.0.0.1', open: true, shares });
  const session = await all.alice.connect({ host: '127.0.0.1', port: drop.port });
  const sealFor = [all.carol.fingerprint];
  for (const [folder, text] of [
    ['one', 'first'],
    ['two', 'second'],
  ] as const) {
    mkdirSync(join(all.local, folder));
    writeFileSync(join(all.local, folder, 'a.txt'), text);
    writeFileSync(join(all.local, folder, 'b.tmp'), text);
    assert.equal((await session.put([join(all.local, folder, 'a.txt')], '/box/', { sealFor })).code, 'OK');
  }
  assert.deepEqual(readdirSync(box).sort(), ['a.txt (2).sealed', 'a.txt.sealed']);
  // Rules are for the names as they are here; outcomes, by which a second pass is asked for, have the others.
  const put = (more: object) => all.session.put([join(all.local, 'one')], '/share/', { sealFor, ...more });
  assert.equal((await put({ exclude: ['*.tmp'] })).files, 1);
  assert.equal((await put({ only: ['one/b.tmp.sealed'] })).files, 1);
  assert.deepEqual(readdirSync(join(all.share, 'one')).sort(), ['a.txt.sealed', 'b.tmp.sealed']);
});

test('a link and a folder that are called like a sealed file are none', async (t) => {
  const all = await scene(t);
  const tree = join(all.local, 'tree');
  mkdirSync(join(tree, 'folder.sealed'), { recursive: true });
  writeFileSync(join(tree, 'folder.sealed', 'a'), 'x');
  symlinkSync('folder.sealed/a', join(tree, 'link.sealed'));
  symlinkSync('nowhere', join(tree, 'dangling.sealed'));
  await all.session.put([tree], '/share/', { sealFor: [all.carol.fingerprint] });
  const kept = join(all.share, 'tree');
  assert.deepEqual(readdirSync(kept).sort(), ['dangling.sealed', 'folder.sealed', 'link.sealed']);
  // The first time, and where all of it is there already.
  for (const outcome of ['opened', 'same']) {
    const got = await all.carolsSession.get(['/share/tree'], `${all.carolsFolder}/`);
    assert.deepEqual([got.code, got.failed], ['OK', 0]);
    const opened = got.opened?.map((file) => [file.path, file.outcome]);
    assert.deepEqual(opened, [['tree/folder.sealed/a.sealed', outcome]]);
  }
  const here = join(all.carolsFolder, 'tree');
  assert.equal(readlinkSync(join(here, 'link.sealed')), 'folder.sealed/a');
  assert.equal(readlinkSync(join(here, 'dangling.sealed')), 'nowhere');
  assert.deepEqual(readdirSync(join(here, 'folder.sealed')), ['a']);
});

test('a sealed file that was there before stays, whatever comes of opening it', async (t) => {
  const all = await scene(t);
  writeFileSync(join(all.local, 'a'), 'x');
  await all.session.put([join(all.local, 'a')], '/share/', { sealFor: [all.carol.fingerprint] });
  const kept = join(all.carolsFolder, 'a.sealed');
  const get = (more: object = {}) => all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`, more);
  await get({ keepSealed: true });
  const seal = readFileSync(kept);
  // Opened, the same, and in the way of what is within.
  assert.equal((await get()).opened?.[0]?.outcome, 'opened');
  assert.equal((await get()).opened?.[0]?.outcome, 'same');
  writeFileSync(join(all.carolsFolder, 'a'), 'mine');
  assert.equal((await get()).code, 'EXISTS');
  assert.equal((await get({ existing: 'overwrite' })).opened?.[0]?.outcome, 'opened');
  assert.deepEqual(readdirSync(all.carolsFolder).sort(), ['a', 'a.sealed']);
  // By a sealer that is not trusted, and broken.
  await all.carol.trust.forget(all.alice.fingerprint);
  assert.equal((await get()).code, 'NOT_TRUSTED');
  assert.deepEqual(readFileSync(kept), seal);
  for (const folder of [all.share, all.carolsFolder])
    writeFileSync(join(folder, 'a.sealed'), seal.subarray(0, -1));
  assert.equal((await get({ fromAnyone: true })).code, 'INTEGRITY');
  assert.deepEqual(readFileSync(kept), seal.subarray(0, -1));
});

test('a sealed file that could not be opened goes with the get that opens it, unless somebody touched it', async (t) => {
  const all = await scene(t);
  writeFileSync(join(all.local, 'a'), 'new');
  await all.session.put([join(all.local, 'a')], '/share/', { sealFor: [all.carol.fingerprint] });
  const [mine, kept] = [join(all.carolsFolder, 'a'), join(all.carolsFolder, 'a.sealed')];
  const get = (existing: 'fail' | 'overwrite') =>
    all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`, { existing });
  const replace = () => {
    copyFileSync(kept, `${kept}.copy`);
    renameSync(`${kept}.copy`, kept);
  };
  for (const [touch, left] of [
    [() => {}, ['a']],
    [replace, ['a', 'a.sealed']],
  ] as const) {
    writeFileSync(mine, 'old');
    assert.equal((await get('fail')).code, 'EXISTS');
    touch();
    const got = await get('overwrite');
    assert.deepEqual([got.code, got.outcomes[0]?.outcome], ['OK', 'same']);
    assert.deepEqual(readdirSync(all.carolsFolder).sort(), left);
  }
});

describe('a server that changes what it keeps', () => {
  const size = 2 * MIB + 10;
  const header = headerBytes(1);
  const piece = MIB + 28;
  const first = header + 4096 + 28;
  const changes: Record<string, (seal: Buffer, other: Buffer) => Buffer> = {
    'a bit of the header': (seal) => flip(seal, header - 1),
    'a bit of the salt': (seal) => flip(seal, 20),
    'a bit of the wrapped key': (seal) => flip(seal, 100),
    'a bit of the metadata': (seal) => flip(seal, header + 50),
    'a bit of the data': (seal) => flip(seal, first + 1000),
    'a bit of the last piece': (seal) => flip(seal, seal.length - 1),
    'the end cut off': (seal) => seal.subarray(0, -1),
    'the final piece cut off': (seal) => seal.subarray(0, -452),
    'nothing but the header': (seal) => seal.subarray(0, header),
    'something behind it': (seal) => Buffer.concat([seal, Buffer.alloc(1)]),
    'two pieces in each other’s place': (seal) =>
      Buffer.concat([
        seal.subarray(0, first),
        seal.subarray(first + piece, first + 2 * piece),
        seal.subarray(first, first + piece),
        seal.subarray(first + 2 * piece),
      ]),
    'a piece twice': (seal) => Buffer.concat([seal.subarray(0, first + piece), seal.subarray(first)]),
    'a piece of another seal': (seal, other) =>
      Buffer.concat([
        seal.subarray(0, first),
        other.subarray(first, first + piece),
        seal.subarray(first + piece),
      ]),
    'the header of another seal': (seal, other) =>
      Buffer.concat([other.subarray(0, header), seal.subarray(header)]),
  };
  test('is found out: refused, and nothing is left, nor is what was there replaced', async (t) => {
    const all = await scene(t);
    for (const [name, seed] of [
      ['a', 1],
      ['b', 2],
    ] as const)
      writeFileSync(join(all.local, name), noise(size, seed));
    await all.session.put([join(all.local, 'a'), join(all.local, 'b')], '/share/', {
      sealFor: [all.carol.fingerprint],
    });
    const [seal, other] = [
      readFileSync(join(all.share, 'a.sealed')),
      readFileSync(join(all.share, 'b.sealed')),
    ];
    writeFileSync(join(all.carolsFolder, 'a'), 'mine');
    for (const [what, change] of Object.entries(changes)) {
      writeFileSync(join(all.share, 'a.sealed'), change(seal, other));
      for (const target of [`${all.carolsFolder}/`, join(all.carolsFolder, 'a')]) {
        const got = await all.carolsSession.get(['/share/a.sealed'], target, { existing: 'overwrite' });
        assert.deepEqual([got.code, got.failed, got.files], ['INTEGRITY', 1, 0], what);
        assert.deepEqual(readdirSync(all.carolsFolder), ['a'], what);
        assert.equal(readFileSync(join(all.carolsFolder, 'a'), 'utf8'), 'mine', what);
      }
    }
    // Under another name it is what it says within.
    renameSync(join(all.share, 'b.sealed'), join(all.share, 'a.sealed'));
    const swapped = await all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`);
    assert.equal(swapped.opened?.[0]?.name, 'b');
  });

  test('and names a seal as the file within is named: that file takes its place, and stays', async (t) => {
    const all = await scene(t);
    writeFileSync(join(all.local, 'a.sealed'), 'x');
    await all.session.put([join(all.local, 'a.sealed')], '/share/', { sealFor: [all.carol.fingerprint] });
    renameSync(join(all.share, 'a.sealed.sealed'), join(all.share, 'a.sealed'));
    const existing = 'overwrite';
    const got = await all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`, { existing });
    assert.deepEqual([got.code, got.opened?.[0]?.name], ['OK', 'a.sealed']);
    assert.equal(readFileSync(join(all.carolsFolder, 'a.sealed'), 'utf8'), 'x');
  });

  test('a sealer that is not trusted is refused, and taken where anybody is', async (t) => {
    const all = await scene(t);
    writeFileSync(join(all.local, 'a'), 'x');
    await all.session.put([join(all.local, 'a')], '/share/', { sealFor: [all.carol.fingerprint] });
    await all.carol.trust.forget(all.alice.fingerprint);
    const refused = await all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`);
    assert.equal(refused.code, 'NOT_TRUSTED');
    assert.deepEqual(readdirSync(all.carolsFolder), []);
    const taken = await all.carolsSession.get(['/share/a.sealed'], `${all.carolsFolder}/`, {
      fromAnyone: true,
    });
    assert.equal(taken.opened?.[0]?.name, 'a');
  });
});

function flip(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
  return flipped;
}

describe('a sealed transfer that breaks off', () => {
  test('goes on where it stood, by another connection and in another run, and what is there is not sent again', async (t) => {
    const all = await scene(t);
    const sealFor = [all.carol.fingerprint];
    const bytes = noise(12 * MIB + 77);
    const file = join(all.local, 'big');
    writeFileSync(file, bytes);
    const sockets = new Set<Socket>();
    const between = createServer((near) => {
      const far = dialTcp(all.listener.port, '127.0.0.1');
      for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    afterwards(t, () => {
      for (const socket of sockets) socket.destroy();
      between.close();
    });
    const way = between.address();
    assert.ok(typeof way === 'object' && way !== null);
    const { fingerprint } = all.bob;
    const session = await all.alice.connect({ host: '127.0.0.1', port: way.port, fingerprint });
    let skipped = 0;
    let cut = false;
    const put = session.put([file], '/share/', {
      sealFor,
      limit: 6 * MIB,
      retryFor: 60_000,
      onProgress: ({ bytesSkipped }) => {
        skipped = Math.max(skipped, bytesSkipped);
      },
      onRetry: () => {
        cut = true;
      },
    });
    await until(() => all.listener.transfers.some((transfer) => transfer.bytes > 5 * MIB));
    for (const socket of sockets) socket.destroy();
    assert.equal((await put).code, 'OK');
    assert.ok(cut);
    assert.ok(skipped >= 3 * MIB, `${skipped} bytes were kept`);
    await session.close();

    // Once more, in another run: it is there, byte for byte.
    const again = await all.session.put([file], '/share/', { sealFor });
    assert.deepEqual([again.code, again.outcomes[0]?.outcome], ['OK', 'same']);
    // A run that was stopped, and another one.
    const second = join(all.local, 'second');
    writeFileSync(second, noise(8 * MIB, 3));
    const stop = new AbortController();
    await until(() => all.listener.transfers.length === 0);
    const stopped = all.session.put([second], '/share/', { sealFor, limit: 6 * MIB, signal: stop.signal });
    const result = assert.rejects(stopped, (error: unknown) => error instanceof LocalstreamError);
    await until(() => all.listener.transfers.some((transfer) => transfer.bytes > 4 * MIB));
    stop.abort();
    await result;
    const home = all.alice.home.data;
    await all.alice.close();
    const later = await openLocalstream({ home, flags: TEST_FLAGS });
    afterwards(t, () => later.close());
    const next = await later.connect({ host: '127.0.0.1', port: all.listener.port, fingerprint });
    let kept = 0;
    const receipt = await next.put([second], '/share/', {
      sealFor,
      limit: 6 * MIB,
      onProgress: ({ bytesSkipped }) => {
        kept = Math.max(kept, bytesSkipped);
      },
    });
    assert.equal(receipt.code, 'OK');
    assert.ok(kept >= 2 * MIB, `${kept} bytes were kept`);
    const got = await all.carolsSession.get(
      ['/share/big.sealed', '/share/second.sealed'],
      `${all.carolsFolder}/`,
    );
    assert.equal(got.code, 'OK');
    assert.deepEqual(readFileSync(join(all.carolsFolder, 'big')), bytes);
    assert.deepEqual(readFileSync(join(all.carolsFolder, 'second')), noise(8 * MIB, 3));
  });

  test('a get that is stopped goes on too, and opens what had arrived', async (t) => {
    const all = await scene(t);
    const bytes = noise(8 * MIB, 5);
    writeFileSync(join(all.local, 'big'), bytes);
    await all.session.put([join(all.local, 'big')], '/share/', { sealFor: [all.carol.fingerprint] });
    const stop = new AbortController();
    const target = `${all.carolsFolder}/`;
    const stopped = all.carolsSession.get(['/share/big.sealed'], target, {
      limit: 6 * MIB,
      signal: stop.signal,
    });
    const result = assert.rejects(stopped);
    await until(() => all.carolsSession.transfers.some((transfer) => transfer.bytes > 4 * MIB));
    stop.abort();
    await result;
    assert.deepEqual(visible(all.carolsFolder), []);
    let kept = 0;
    const got = await all.carolsSession.get(['/share/big.sealed'], target, {
      limit: 6 * MIB,
      onProgress: ({ bytesSkipped }) => {
        kept = Math.max(kept, bytesSkipped);
      },
    });
    assert.equal(got.code, 'OK');
    assert.ok(kept >= 2 * MIB, `${kept} bytes were kept`);
    assert.deepEqual(readFileSync(join(all.carolsFolder, 'big')), bytes);
    assert.deepEqual(readdirSync(all.carolsFolder), ['big']);
  });

  test('a get opens each file once, on whichever connection it came', async (t) => {
    const all = await scene(t);
    const names = ['a', 'b', 'c', 'big'];
    for (const name of names) writeFileSync(join(all.local, name), name === 'big' ? noise(8 * MIB) : name);
    const paths = names.map((name) => join(all.local, name));
    await all.session.put(paths, '/share/', { sealFor: [all.carol.fingerprint] });
    // One was taken, and its new name has to be known on the next connection too.
    writeFileSync(join(all.carolsFolder, 'b.sealed'), 'mine');
    const relay = await Relay.start(all.listener.port);
    afterwards(t, () => relay[Symbol.asyncDispose]());
    const { fingerprint } = all.bob;
    const session = await all.carol.connect({ host: '127.0.0.1', port: relay.port, fingerprint });
    let tries = 0;
    const getting = session.get(
      names.map((name) => `/share/${name}.sealed`),
      `${all.carolsFolder}/`,
      {
        existing: 'rename',
        limit: 4 * MIB,
        retryFor: 60_000,
        onRetry: () => {
          tries += 1;
        },
      },
    );
    await until(() => existsSync(join(all.carolsFolder, 'c.sealed')));
    relay.cut();
    const got = await getting;
    assert.ok(tries > 0);
    assert.deepEqual([got.code, got.files, got.failed], ['OK', 4, 0]);
    assert.deepEqual(
      got.opened?.map(({ path, outcome }) => [path, outcome]),
      names.map((name) => [`${name}.sealed`, 'opened']),
    );
    assert.deepEqual(readdirSync(all.carolsFolder).sort(), ['a', 'b', 'b.sealed', 'big', 'c']);
    assert.equal(readFileSync(join(all.carolsFolder, 'b.sealed'), 'utf8'), 'mine');
  });
});

describe('a get that is stopped', () => {
  const names = ['a', 'b', 'c', 'big'];
  const paths = names.map((name) => `/share/${name}.sealed`);

  /** Bob keeps four sealed files for carol; `b.sealed` lies at hers before any get that opens something. */
  async function kept(t: TestContext) {
    const all = await scene(t);
    for (const [seed, name] of names.entries())
      writeFileSync(join(all.local, name), noise(name === 'big' ? 12 * MIB : 100, seed));
    const local = names.map((name) => join(all.local, name));
    const put = await all.session.put(local, '/share/', { sealFor: [all.carol.fingerprint] });
    assert.equal(put.files, 4);
    const here = `${all.carolsFolder}/`;
    await all.carolsSession.get(['/share/b.sealed'], here, { keepSealed: true });
    return { ...all, here, list: () => visible(all.carolsFolder).sort() };
  }

  /** While the last file is on its way: the others have arrived. */
  async function stoppedOnTheWay(all: Awaited<ReturnType<typeof kept>>): Promise<void> {
    const stop = new AbortController();
    const get = all.carolsSession.get(paths, all.here, { signal: stop.signal, limit: 2 * MIB });
    const ended = assert.rejects(get, { code: 'CANCELLED' });
    await until(() => existsSync(join(all.carolsFolder, 'c.sealed')));
    stop.abort();
    await ended;
    assert.deepEqual(all.list(), ['a.sealed', 'b.sealed', 'c.sealed']);
  }

  /** The same again in another run. */
  async function again(all: Awaited<ReturnType<typeof kept>>): Promise<void> {
    await all.carol.close();
    const carol = await openLocalstream({ home: join(all.base, 'carol'), flags: TEST_FLAGS });
    try {
      const session = await carol.connect({ host: '127.0.0.1', port: all.listener.port });
      const got = await session.get(paths, all.here);
      assert.deepEqual([got.code, got.files, got.failed], ['OK', 4, 0]);
      for (const { outcome } of got.opened ?? []) assert.match(outcome, /^(opened|same)$/);
      assert.equal(got.opened?.length, 4);
    } finally {
      await carol.close();
    }
  }

  test('leaves what another run ends as one without a stop: only what was there before stays', async (t) => {
    const all = await kept(t);
    await stoppedOnTheWay(all);
    await again(all);
    assert.deepEqual(all.list(), ['a', 'b', 'b.sealed', 'big', 'c']);
  });

  test('also where it opened them already', async (t) => {
    const all = await kept(t);
    const stop = new AbortController();
    const { trust } = all.carol;
    const look = trust.get.bind(trust);
    // Each seal is opened after a look at its sealer.
    t.mock.method(trust, 'get', (fingerprint: Parameters<typeof look>[0]) => {
      if (existsSync(join(all.carolsFolder, 'a'))) stop.abort();
      return look(fingerprint);
    });
    const get = all.carolsSession.get(paths, all.here, { signal: stop.signal });
    await assert.rejects(get, { code: 'CANCELLED' });
    assert.deepEqual(all.list(), ['a', 'b.sealed', 'big.sealed', 'c.sealed']);
    await again(all);
    assert.deepEqual(all.list(), ['a', 'b', 'b.sealed', 'big', 'c']);
  });

  test('what somebody has touched since stays', async (t) => {
    const all = await kept(t);
    await stoppedOnTheWay(all);
    const mine = join(all.carolsFolder, 'c.sealed');
    copyFileSync(mine, `${mine}.copy`);
    renameSync(`${mine}.copy`, mine);
    chmodSync(join(all.carolsFolder, 'a.sealed'), 0o640);
    await again(all);
    assert.deepEqual(all.list(), ['a', 'a.sealed', 'b', 'b.sealed', 'big', 'c', 'c.sealed']);
  });

  test('so does what was asked for as it is since', async (t) => {
    const all = await kept(t);
    await stoppedOnTheWay(all);
    await all.carolsSession.get(['/share/c.sealed'], all.here, { keepSealed: true });
    await again(all);
    assert.deepEqual(all.list(), ['a', 'b', 'b.sealed', 'big', 'c', 'c.sealed']);
  });

  test('and everything does where nothing could be noted', async (t) => {
    const all = await kept(t);
    mkdirSync(join(all.base, 'carol', 'unopened.json'));
    await stoppedOnTheWay(all);
    await again(all);
    assert.deepEqual(all.list(), ['a', 'a.sealed', 'b', 'b.sealed', 'big', 'c', 'c.sealed']);
  });
});

test('nothing is sealed for who is not trusted or was never met, nor for nobody', async (t) => {
  const all = await scene(t);
  writeFileSync(join(all.local, 'a'), 'x');
  const put = (sealFor: Parameters<Session['put']>[2]) =>
    all.session.put([join(all.local, 'a')], '/share/', sealFor);
  const code = (wanted: string) => (error: unknown) =>
    error instanceof LocalstreamError && error.code === wanted;
  await assert.rejects(put({ sealFor: [] }), code('USAGE'));
  await all.alice.trust.forget(all.carol.fingerprint);
  await assert.rejects(put({ sealFor: [all.carol.fingerprint] }), code('NOT_TRUSTED'));
  await all.alice.trust.trust({ fingerprint: all.carol.fingerprint, how: 'manual' });
  await assert.rejects(put({ sealFor: [all.carol.fingerprint] }), code('NOT_FOUND'));
  assert.deepEqual(readdirSync(all.share), []);
});
