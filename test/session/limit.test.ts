import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Progress, Receipt } from '../../src/index.ts';
import { noise, pair } from './machines.ts';

const LIMIT = 2_000_000;
const SIZE = 1_500_000;
/** What may cross ahead of the clock: 50 milliseconds' worth, and a frame of as much at each transfer. */
const AHEAD = 400_000;

/** Follows transfers by what has crossed; a slow machine moves less, and none more than the bound allows. */
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
    const { share, local, session } = await pair(t, { alice: { limit: LIMIT } });
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
  });

  test('holds for what is put into a share of it', async (t) => {
    const { local, session } = await pair(t, { bob: { limit: LIMIT } });
    writeFileSync(join(local, 'x'), noise(SIZE));
    const { held } = meter();
    // Only the receipt says what has passed: what has left the sender may still wait.
    held([await session.put([join(local, 'x')], '/share/', { chunk: 16_384 })]);
  });
});

test('the bound of one transfer holds for an offer that is accepted', async (t) => {
  const { base, local, session, listener } = await pair(t);
  writeFileSync(join(base, 'x'), noise(SIZE));
  const offered = session.nextOffer();
  const [peer] = listener.peers;
  assert.ok(peer);
  const sending = listener.send(peer.id, [join(base, 'x')], { chunk: 16_384 });
  const offer = await offered;
  const { options, held } = meter();
  held([await offer.accept(`${local}/`, { ...options(0), limit: LIMIT })]);
  await sending;
});
