import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { FLAG_LAST, FRAME } from '../../src/protocol/frame.ts';
import { ANSWER, encodeDone } from '../../src/protocol/manifest.ts';
import { dialSession, type RawSession } from '../server/wire-dialler.ts';
import { entry, manifest, pack, putting, wordOf } from '../server/wire-frames.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { Relay } from '../soak/relay.ts';
import { noise, type Pair, pair, sceneFolder, verified } from './machines.ts';

const MIB = 1024 * 1024;

/** Bob has a share and a drop-box, in both of which somebody has left an `a`. */
async function boxed(t: TestContext): Promise<Pair & { readonly box: string }> {
  const base = sceneFolder(t);
  const [box, share] = [join(base, 'box'), join(base, 'share')];
  mkdirSync(box);
  writeFileSync(join(box, 'a'), 'older');
  const shares = [
    { name: 'box', folder: box, mode: 'wo' as const },
    { name: 'share', folder: share, mode: 'rw' as const },
  ];
  const opened = await pair(t, { base, listen: { shares } });
  writeFileSync(join(share, 'a'), 'older and longer');
  return { ...opened, box };
}

/** Puts an `a` of five bytes to the end, and never says that the receipt has come. */
async function putWithoutWord(session: RawSession, target: string): Promise<string> {
  const { transfer, lane } = await putting(session, { target, existing: 'rename' });
  const batch = manifest(entry('a'));
  lane.frame(FRAME.manifest, batch, { flags: FLAG_LAST });
  assert.equal((await lane.next())?.payload[0], ANSWER.send);
  lane.frame(FRAME.pack, pack(0, Buffer.from('hello')));
  lane.frame(FRAME.done, encodeDone(1, 1, digestOf(batch)), { batch: 1 });
  assert.equal((await wordOf(session, transfer))?.type, 'receipt');
  session.control.socket.destroy();
  return transfer;
}

/** What a put of an `a` of five bytes that continues another one is answered. */
async function answerTo(session: RawSession, target: string, continues: string): Promise<Buffer | undefined> {
  const { lane } = await putting(session, { target, existing: 'rename', continues });
  lane.frame(FRAME.manifest, manifest(entry('a')), { flags: FLAG_LAST });
  return (await lane.next())?.payload;
}

test('what got another name in a drop-box is known by it when it is verified', async (t) => {
  const { base, box, alice, bob, session } = await boxed(t);
  mkdirSync(join(box, 'folder'));
  writeFileSync(join(box, 'folder', 'b'), 'older');
  const out = join(base, 'out');
  mkdirSync(join(out, 'folder'), { recursive: true });
  writeFileSync(join(out, 'a'), 'mine');
  writeFileSync(join(out, 'folder', 'b'), 'mine, too');
  const { outcomes } = await session.put([join(out, 'a'), join(out, 'folder')], '/box/');
  assert.ok(
    outcomes.every(({ savedAs }) => savedAs === undefined),
    'whoever sends is not told',
  );
  assert.equal(readFileSync(join(box, 'folder (2)', 'b'), 'utf8'), 'mine, too');
  await alice.close();
  await bob.close();
  assert.deepEqual(await verified(bob, box), [
    ['a (2)', 'intact'],
    ['b', 'intact'],
  ]);
});

suite('two who put the same name into a drop-box at once', () => {
  for (const size of [100, 2 * MIB])
    test(`are both served, and neither learns of the other: ${size} bytes beside many`, async (t) => {
      const { base, box, alice, session, listener } = await boxed(t);
      const other = await alice.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
      const paths = [size, 6 * MIB].map((bytes) => {
        const folder = join(base, `of ${bytes}`);
        mkdirSync(folder);
        writeFileSync(join(folder, 'b'), noise(bytes, bytes));
        return join(folder, 'b');
      });
      const [short = '', long = ''] = paths;
      const slow = session.put([long], '/box/', { limit: 4 * MIB });
      slow.catch(() => {});
      await until(() => readdirSync(box).some((name) => name.endsWith('.part')));
      for (const { code, outcomes } of [await other.put([short], '/box/'), await slow])
        assert.deepEqual([code, outcomes[0]?.outcome, outcomes[0]?.savedAs], ['OK', 'committed', undefined]);
      assert.deepEqual(readdirSync(box).sort(), ['a', 'b', 'b (2)']);
      assert.deepEqual(readFileSync(join(box, 'b')), readFileSync(short));
      assert.deepEqual(readFileSync(join(box, 'b (2)')), readFileSync(long));
    });
});

suite('what goes on into a drop-box', () => {
  test('is stored once, whatever name it got there, and its sender learns no name', async (t) => {
    const { base, box, alice, listener } = await boxed(t);
    const relay = await Relay.start(listener.port);
    afterwards(t, () => relay[Symbol.asyncDispose]());
    const session = await alice.connect({ host: '127.0.0.1', port: relay.port, acceptNew: true });
    const source = join(base, 'source');
    mkdirSync(join(source, 'tree', 'below'), { recursive: true });
    for (const path of ['a', 'b', 'tree/c', 'tree/below/d']) writeFileSync(join(source, path), path);
    symlinkSync('c', join(source, 'tree', 'link'));
    writeFileSync(join(source, 'large'), noise(2 * MIB));
    writeFileSync(join(source, 'last'), noise(6 * MIB));
    let retries = 0;
    const paths = ['a', 'b', 'tree', 'large', 'last'].map((name) => join(source, name));
    const sending = session.put(paths, '/box/', {
      limit: 2 * MIB,
      chunk: 65_536,
      retryFor: 60_000,
      onRetry: () => {
        retries += 1;
      },
    });
    sending.catch(() => {});
    await until(() => readdirSync(box).includes('large'));
    relay.cut();
    const { code, outcomes } = await sending;
    assert.equal(code, 'OK');
    assert.ok(retries > 0);
    assert.ok(outcomes.every(({ savedAs }) => savedAs === undefined));
    assert.deepEqual(readdirSync(box).sort(), ['a', 'a (2)', 'b', 'large', 'last', 'tree']);
    assert.deepEqual(readdirSync(join(box, 'tree')).sort(), ['below', 'c', 'link']);
    assert.deepEqual(readdirSync(join(box, 'tree', 'below')), ['d']);
    assert.equal(readlinkSync(join(box, 'tree', 'link')), 'c');
    assert.equal(readFileSync(join(box, 'a'), 'utf8'), 'older');
    assert.equal(readFileSync(join(box, 'a (2)'), 'utf8'), 'a');
    assert.ok(readFileSync(join(box, 'last')).equals(noise(6 * MIB)));
  });

  test('is stored once also where only the receipt was lost', async (t) => {
    const { box, listener } = await boxed(t);
    const transfer = await putWithoutWord(await dialSession(listener.port), '/box/');
    assert.deepEqual(readdirSync(box).sort(), ['a', 'a (2)']);
    const answer = await answerTo(await dialSession(listener.port), '/box/', transfer);
    assert.ok(answer?.equals(Buffer.concat([Buffer.of(ANSWER.compare), digestOf(Buffer.from('hello'))])));
  });

  test('learns nothing there by a transfer into another share', async (t) => {
    const { box, share, listener } = await boxed(t);
    writeFileSync(join(box, 'a (2)'), 'other');
    const transfer = await putWithoutWord(await dialSession(listener.port), '/share/');
    assert.deepEqual(readdirSync(share).sort(), ['a', 'a (2)']);
    const answer = await answerTo(await dialSession(listener.port), '/box/', transfer);
    assert.deepEqual(answer, Buffer.of(ANSWER.send));
  });
});
