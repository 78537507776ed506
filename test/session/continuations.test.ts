/** What is kept of transfers that broke off is bounded, and is for the same peer and the same drop-box only. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Continuations } from '../../src/session/continuations.ts';
import { NO_EARLIER_PART } from '../../src/transfer/target.ts';
import { identities } from '../crypto/fixed.ts';
import { placeFor } from '../transfer/engine-run.ts';

const { fingerprint: alice } = identities.alice;
const { fingerprint: mallory } = identities.mallory;
const place = placeFor('/in', []);
const startedAt = new Date(1000);
const noted = (id: number) => ({ id: String(id), place, startedAt });

suite('what a transfer that broke off leaves', () => {
  test('passes on with each part, as of the first one', () => {
    const kept = new Continuations();
    kept.note(noted(1), alice, [['a', 'a (2)']]);
    assert.deepEqual(kept.take('1', '2', alice), { renamed: [['a', 'a (2)']], since: 1000 });
    kept.note({ ...noted(2), startedAt: new Date(5000) }, alice, [['b', 'b (2)']]);
    const both = [
      ['a', 'a (2)'],
      ['b', 'b (2)'],
    ];
    assert.deepEqual(kept.take('2', '3', alice), { renamed: both, since: 1000 });
    assert.deepEqual(kept.take('2', '4', alice), NO_EARLIER_PART, 'it was taken');
    kept.forget('3');
    assert.deepEqual(kept.take('3', '5', alice), NO_EARLIER_PART);
  });

  test('is for the same peer, and the same drop-box', () => {
    const kept = new Continuations();
    kept.note({ ...noted(1), place: { ...place, blind: true } }, alice, [['a', 'a (2)']]);
    for (const [peer, box] of [
      [mallory, '/in'],
      [alice, undefined],
      [alice, '/other'],
    ] as const)
      assert.deepEqual(kept.take('1', '2', peer, box), NO_EARLIER_PART);
    assert.equal(kept.take('1', '2', alice, '/in').since, 1000);
  });

  test('is bounded: the oldest go first', () => {
    const kept = new Continuations();
    for (let id = 0; id <= 1000; id += 1) kept.note(noted(id), alice, []);
    assert.deepEqual(kept.take('0', 'x', alice), NO_EARLIER_PART);
    assert.equal(kept.take('1', 'y', alice).since, 1000);

    const many = Array.from({ length: 20_000 }, (_, index): [string, string] => [`${index}`, `${index} (2)`]);
    for (let id = 2000; id < 2020; id += 1) kept.note(noted(id), alice, many);
    const left = (id: number) => kept.take(String(id), `after ${id}`, alice).renamed.length;
    assert.equal(left(2009), 0);
    assert.deepEqual([left(2010), left(2019)], [10_000, 10_000]);
    for (let id = 2010; id < 2020; id += 1) kept.forget(`after ${id}`);
    kept.note(noted(3000), alice, many);
    kept.note(noted(3001), alice, [['a', 'b']]);
    assert.deepEqual([left(3000), left(3001)], [10_000, 1], 'what is forgotten makes room');
  });

  test('is bounded by the length of its paths, too', () => {
    const kept = new Continuations();
    const deep = 'x'.repeat(4000);
    const many = Array.from({ length: 2000 }, (_, index): [string, string] => [`${deep}${index}`, 'x']);
    for (let id = 0; id < 5; id += 1) kept.note(noted(id), alice, many);
    const left = [2, 3, 4].map((id) => kept.take(String(id), `after ${id}`, alice).renamed.length);
    assert.deepEqual(left, [0, 2000, 2000]);
  });

  test('makes room also where one goes on under a number that another had', () => {
    const kept = new Continuations();
    const many = Array.from({ length: 10_000 }, (_, index): [string, string] => [`${index}`, 'x']);
    for (const count of [...Array<number>(9).fill(10_000), 9000, 900]) {
      kept.note(noted(1), alice, many.slice(0, count));
      kept.note(noted(2), alice, [['a', 'a (2)']]);
      assert.equal(kept.take('2', '1', alice).renamed.length, 1);
      kept.forget('1');
    }
    kept.note(noted(3), alice, many);
    assert.equal(kept.take('3', '4', alice).renamed.length, 10_000);
  });
});
