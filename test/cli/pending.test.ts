import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pending } from '../../src/cli/pending.ts';
import { fingerprintOfBytes } from '../../src/crypto/fingerprint.ts';
import type { TrustQuestion } from '../../src/index.ts';
import { refused } from './refused.ts';

const question: TrustQuestion = {
  role: 'client',
  claimedName: 'alice',
  fingerprint: fingerprintOfBytes(Buffer.alloc(32, 7)),
  checkNumber: '042137',
  address: '10.0.0.5',
};

test('questions are answered by their number, in any order', async () => {
  const pending = new Pending();
  const { signal } = new AbortController();
  const numbers: number[] = [];
  const tell = { asked: (number: number) => numbers.push(number) };
  const first = pending.ask(question, signal, tell);
  const second = pending.ask(question, signal, tell);
  assert.deepEqual(numbers, [1, 2]);
  const answer = (number: number, given: 'once' | 'trust') => {
    const matter = pending.find(number);
    assert.equal(matter.kind, 'peer');
    if (matter.kind === 'peer') matter.answer(given);
  };
  answer(2, 'trust');
  answer(1, 'once');
  assert.deepEqual(await Promise.all([first, second]), ['once', 'trust']);
  assert.deepEqual(pending.matters, []);
});

test('a withdrawn question rejects, and its number is never used again', async () => {
  const pending = new Pending();
  const controller = new AbortController();
  const withdrawn: number[] = [];
  const tell = { asked: () => {}, withdrawn: (number: number) => withdrawn.push(number) };
  const asked = pending.ask(question, controller.signal, tell);
  const reason = new Error('the peer left');
  controller.abort(reason);
  await assert.rejects(asked, reason);
  assert.deepEqual(withdrawn, [1]);
  refused(() => pending.find(1), /no open question 1/);
  let number = 0;
  void pending.ask(question, new AbortController().signal, {
    asked: (given) => {
      number = given;
    },
  });
  assert.equal(number, 2);
  assert.throws(() => pending.ask(question, controller.signal, tell), reason);
});

test('a number that is not open names those that are', () => {
  const pending = new Pending();
  void pending.ask(question, new AbortController().signal, { asked: () => {} });
  assert.throws(() => pending.find(9), { code: 'USAGE', hint: 'open now: 1' });
});
