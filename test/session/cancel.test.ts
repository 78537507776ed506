import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite, test } from 'node:test';
import { LocalstreamError, type Receipt } from '../../src/index.ts';
import { isPartialName } from '../../src/transfer/partial.ts';
import { until } from '../server/wire-machines.ts';
import { noise, type Pair, pair } from './machines.ts';

const MIB = 1024 * 1024;
/** Slow enough that a transfer of 20 MiB does not end before it is cancelled. */
const SLOWLY = 8 * MIB;

/** Puts what takes a while into a folder: a big file, small ones. */
function plant(folder: string): void {
  mkdirSync(join(folder, 'tree'));
  writeFileSync(join(folder, 'tree', 'big'), noise(20 * MIB));
  for (let number = 0; number < 50; number += 1)
    writeFileSync(join(folder, 'tree', `small ${number}`), noise(3000, number));
}

/** Starts a transfer in each way; `signal` is that of one end. */
type Way = (
  pair: Pair,
  signals: { sender?: AbortSignal; receiver?: AbortSignal },
) => {
  readonly sender: Promise<Receipt> | undefined;
  readonly receiver: Promise<Receipt> | undefined;
  readonly target: string;
};

const get: Way = ({ share, local, session }, { receiver }) => {
  plant(share);
  const options = { limit: SLOWLY, ...(receiver && { signal: receiver }) };
  return {
    sender: undefined,
    receiver: session.get(['/share/tree'], join(local, 'tree'), options),
    target: local,
  };
};
const put: Way = ({ share, local, session }, { sender }) => {
  plant(local);
  const options = { limit: SLOWLY, ...(sender && { signal: sender }) };
  return {
    sender: session.put([join(local, 'tree')], '/share/', options),
    receiver: undefined,
    target: share,
  };
};
const offer: Way = ({ base, local, session, listener }, { sender, receiver }) => {
  mkdirSync(join(base, 'offered'));
  plant(join(base, 'offered'));
  const taken = session.nextOffer();
  const sent = listener.send(listener.peers[0]?.id ?? '', [join(base, 'offered', 'tree')], {
    limit: SLOWLY,
    ...(sender && { signal: sender }),
  });
  const received = taken.then((one) => one.accept(join(local, 'tree'), receiver ? { signal: receiver } : {}));
  return { sender: sent, receiver: received, target: local };
};

async function codeOf(promise: Promise<unknown> | undefined): Promise<string | undefined> {
  try {
    await promise;
    return promise && 'OK';
  } catch (error) {
    assert.ok(error instanceof LocalstreamError, String(error));
    return error.code;
  }
}

const partialsIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => isPartialName(basename(path)));

/** After a cancelled transfer both ends are at rest, what is left is a partial at most, and the session goes on. */
async function assertClean({ session, listener, share, local }: Pair, target: string): Promise<void> {
  await until(() => listener.transfers.length === 0 && session.transfers.length === 0);
  assert.ok(partialsIn(target).length <= 1);
  writeFileSync(join(share, 'after'), 'after');
  const id = session.peer.id;
  assert.equal((await session.get(['/share/after'], join(local, `after ${Math.random()}`))).code, 'OK');
  assert.equal(session.peer.id, id, 'the session is another one');
}

/** Whether a good part of the big file is there. */
function isUnderWay(target: string): boolean {
  const tree = join(target, 'tree');
  if (!existsSync(tree)) return false;
  return readdirSync(tree).some(
    (name) =>
      isPartialName(name) && (statSync(join(tree, name), { throwIfNoEntry: false })?.size ?? 0) > 2 * MIB,
  );
}

suite('a transfer that is cancelled', () => {
  for (const [name, way, side] of [
    ['get, by the receiver', get, 'receiver'],
    ['put, by the sender', put, 'sender'],
    ['offer, by the sender', offer, 'sender'],
    ['offer, by the receiver', offer, 'receiver'],
  ] as const)
    test(`while bytes move ends at both ends, keeps the partial, and is finished by the next: ${name}`, async (t) => {
      const both = await pair(t);
      const abort = new AbortController();
      const running = way(both, { [side]: abort.signal });
      const ends = Promise.all([codeOf(running.sender), codeOf(running.receiver)]);
      await until(() => isUnderWay(running.target));
      abort.abort();
      const [sender, receiver] = await ends;
      const [own, other] = side === 'sender' ? [sender, receiver] : [receiver, sender];
      assert.equal(own, 'CANCELLED');
      if (other !== undefined) assert.equal(other, 'CLOSED');
      await until(() => both.failed.length > 0);
      assert.deepEqual(both.failed, [way === offer ? sender : 'CLOSED']);
      const names = readdirSync(join(running.target, 'tree'));
      assert.equal(names.filter(isPartialName).length, 1, names.join());
      await assertClean(both, running.target);
      assert.ok(isUnderWay(running.target));
    });

  test('before it begins asks nobody', async (t) => {
    const both = await pair(t);
    const signal = AbortSignal.abort();
    plant(both.share);
    await assert.rejects(both.session.get(['/share/tree'], `${both.local}/`, { signal }), {
      code: 'CANCELLED',
    });
    await assert.rejects(both.session.put([join(both.share, 'tree')], '/share/x', { signal }), {
      code: 'CANCELLED',
    });
    const peer = both.listener.peers[0]?.id ?? '';
    await assert.rejects(both.listener.send(peer, [join(both.share, 'tree')], { signal }), {
      code: 'CANCELLED',
    });
    await assertClean(both, both.local);
    assert.deepEqual(both.session.offers, []);
  });

  test('while the other side has not answered is withdrawn', async (t) => {
    const both = await pair(t);
    plant(both.base);
    const abort = new AbortController();
    const taken = both.session.nextOffer();
    const peer = both.listener.peers[0]?.id ?? '';
    const sending = both.listener.send(peer, [join(both.base, 'tree')], { signal: abort.signal });
    const seen = await taken;
    abort.abort();
    await assert.rejects(sending, { code: 'CANCELLED' });
    await until(() => seen.signal.aborted);
    assert.deepEqual(both.session.offers, []);
    await assert.rejects(seen.accept(`${both.local}/`), { code: 'CLOSED' });
    await assertClean(both, both.local);
  });

  test('by a no', async (t) => {
    const both = await pair(t);
    plant(both.base);
    const taken = both.session.nextOffer();
    const sending = both.listener.send(both.listener.peers[0]?.id ?? '', [join(both.base, 'tree')]);
    sending.catch(() => {});
    await (await taken).reject();
    await assert.rejects(sending, { code: 'REJECTED' });
    await assertClean(both, both.local);
  });

  test('by what fails at one end says at the other whose failure it is', async (t) => {
    const both = await pair(t);
    plant(both.share);
    const failed = once(both.listener, 'failed');
    await assert.rejects(both.session.get(['/share/tree'], join(both.local, 'none', 'x')), {
      code: 'NOT_FOUND',
    });
    const [{ error }] = await failed;
    assert.equal(error.code, 'NOT_FOUND');
    assert.equal(error.message, 'the other side gave up: there is no such file, folder or share');
  });

  test('at any moment at all leaves both ends clean', async (t) => {
    const both = await pair(t);
    plant(both.base);
    const codes = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      const abort = new AbortController();
      const target = join(both.local, `round ${round}`);
      const { session, listener, share, base } = both;
      const ways = [
        () => session.put([join(base, 'tree')], `/share/round ${round}`, { signal: abort.signal }),
        () => session.get(['/share'], target, { signal: abort.signal }),
      ];
      const running = codeOf(ways[round % 2]?.());
      setTimeout(() => abort.abort(), round * 2);
      codes.add((await running) ?? '');
      await until(() => listener.transfers.length === 0 && session.transfers.length === 0);
      for (const folder of [target, join(share, `round ${round}`)]) {
        if (existsSync(folder)) assert.ok(partialsIn(folder).length <= 1);
        rmSync(folder, { recursive: true, force: true });
      }
    }
    for (const code of codes) assert.ok(['OK', 'CANCELLED'].includes(code), code);
    assert.ok(codes.has('CANCELLED'));
    await assertClean(both, both.share);
  });
});

suite('a session that is closed while a transfer runs', () => {
  for (const [name, close] of [
    ['by the client', async ({ session }: Pair) => await session.close()],
    ['by the listener', async ({ listener }: Pair) => await listener.close()],
    ['by a kick', async ({ listener }: Pair) => await listener.kick(listener.peers[0]?.id ?? '')],
    ['by the end of the client’s localstream', async ({ alice }: Pair) => await alice.close()],
    ['by the end of the server’s localstream', async ({ bob }: Pair) => await bob.close()],
  ] as const)
    test(`ends it at both ends: ${name}`, async (t) => {
      const both = await pair(t);
      const running = get(both, {});
      const ended = codeOf(running.receiver);
      await until(() => isUnderWay(running.target));
      await close(both);
      const code = await ended;
      assert.ok(['CLOSED', 'SHUTTING_DOWN', 'REJECTED'].includes(code ?? ''), code);
      await until(() => both.listener.peers.length === 0 && both.session.transfers.length === 0);
      const names = readdirSync(join(both.local, 'tree'));
      assert.equal(names.filter(isPartialName).length, 1, names.join());
    });

  test('says to whoever was kicked that somebody there did it', async (t) => {
    const { listener, session } = await pair(t);
    await listener.kick(listener.peers[0]?.id ?? '');
    const reason = await session.closed;
    assert.equal(reason?.code, 'REJECTED');
    assert.equal(reason.message, 'somebody there has ended the session');
  });

  test('frees the port at once', async (t) => {
    const both = await pair(t);
    const { port } = both.listener;
    const running = get(both, {});
    running.receiver?.catch(() => {});
    await until(() => isUnderWay(running.target));
    await both.listener.close();
    const again = await both.bob.listen({
      port,
      host: '127.0.0.1',
      open: true,
      shares: [{ name: 'share', folder: both.share }],
    });
    assert.equal(again.port, port);
    const session = await both.alice.connect({ host: '127.0.0.1', port });
    const receipt = await session.get(['/share/tree'], join(both.local, 'tree'));
    assert.equal(receipt.code, 'OK');
    // What was there did not cross again.
    assert.ok(receipt.bytesMoved < receipt.bytes);
  });
});
