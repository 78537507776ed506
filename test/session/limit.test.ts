import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Progress, Receipt } from '../../src/index.ts';
import { until } from '../server/wire-machines.ts';
import { machine, noise, pair } from './machines.ts';

const LIMIT = 2_000_000;
const SIZE = 1_500_000;
/** What may leave ahead of the clock: 50 milliseconds' worth, and a frame or a quantum of as much at each transfer. */
const AHEAD = 400_000;

/** Follows transfers by what has left the sender; a slow machine moves less, and none more than the bound allows. */
function meter() {
  const start = performance.now();
  const moved = new Map<number, number>();
  let most = Number.NEGATIVE_INFINITY;
  const check = () => {
    const all = [...moved.values()].reduce((sum, bytes) => sum + bytes, 0);
    most = Math.max(most, all - (LIMIT * (performance.now() - start)) / 1000);
  };
  const options = (number: number) => ({
    onProgress: ({ bytes }: Progress) => {
      moved.set(number, bytes);
      check();
    },
  });
  const held = (receipts: readonly Receipt[]) => {
    for (const [number, { code, bytesMoved }] of receipts.entries()) {
      assert.equal(code, 'OK');
      assert.equal(bytesMoved, SIZE);
      moved.set(number, bytesMoved);
    }
    check();
    assert.ok(most <= AHEAD, `${Math.round(most)} bytes more than the bound allows`);
  };
  return { options, held };
}

suite('the bound of a process', () => {
  test('holds for what is fetched', async (t) => {
    const { share, local, session } = await pair(t, { alice: { limit: LIMIT } });
    writeFileSync(join(share, 'x'), noise(SIZE));
    const { options, held } = meter();
    held([await session.get(['/share/x'], `${local}/`, options(0))]);
    assert.deepEqual(readFileSync(join(local, 'x')), noise(SIZE));
  });

  test('is one for all that is fetched and sent at the same time', async (t) => {
    for (const side of ['alice', 'bob']) {
      const { share, local, session } = await pair(t, { [side]: { limit: LIMIT } });
      for (const [number, folder] of [share, share, local].entries())
        writeFileSync(join(folder, `x${number}`), noise(SIZE, number));
      const { options, held } = meter();
      held(
        await Promise.all([
          session.get(['/share/x0'], `${local}/`, options(0)),
          session.get(['/share/x1'], `${local}/`, options(1)),
          session.put([join(local, 'x2')], '/share/', options(2)),
        ]),
      );
    }
  });

  test('holds for what is put into a share of it', async (t) => {
    const { share, local, session } = await pair(t, { bob: { limit: LIMIT } });
    writeFileSync(join(local, 'x'), noise(SIZE));
    const { options, held } = meter();
    held([await session.put([join(local, 'x')], '/share/', options(0))]);
    assert.deepEqual(readFileSync(join(share, 'x')), noise(SIZE));
  });
});

test('the bound of one transfer holds for an offer that is accepted', async (t) => {
  const { base, local, session, listener } = await pair(t);
  writeFileSync(join(base, 'x'), noise(SIZE));
  const offered = session.nextOffer();
  const [peer] = listener.peers;
  assert.ok(peer);
  const { options, held } = meter();
  const sending = listener.send(peer.id, [join(base, 'x')], options(0));
  const offer = await offered;
  await offer.accept(`${local}/`, { limit: LIMIT });
  held([await sending]);
});

test('a receiver with a bound gets what others get at the same time without one', async (t) => {
  const { base, alice, local, session, listener } = await pair(t, { alice: { limit: LIMIT } });
  const mallory = await machine(t, base, 'mallory');
  const at = { host: '127.0.0.1', port: listener.port, acceptNew: true };
  const other = await mallory.connect(at);
  const elsewhere = join(base, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(base, 'x'), noise(SIZE));
  await until(() => listener.peers.length === 2);
  const ids = listener.peers.map(({ id }) => id);
  const offered = [session.nextOffer(), other.nextOffer()];
  const { options, held } = meter();
  const bound = listener.peers.findIndex(({ fingerprint }) => fingerprint === alice.fingerprint);
  const transfers: string[] = [];
  const sending = listener.sendToAll(ids, [join(base, 'x')], {
    onTransfer: (id) => transfers.push(id),
    onProgress: (progress) => {
      if (progress.transferId === transfers[bound]) options(0).onProgress(progress);
    },
  });
  const [mine, theirs] = await Promise.all(offered);
  await Promise.all([mine?.accept(`${local}/`), theirs?.accept(`${elsewhere}/`)]);
  const receipts = (await sending).map((result) => {
    assert.equal(result.status, 'fulfilled');
    return result.value;
  });
  assert.equal(receipts.length, 2);
  held(receipts.filter((_, index) => index === bound));
  for (const folder of [local, elsewhere]) assert.deepEqual(readFileSync(join(folder, 'x')), noise(SIZE));
});
