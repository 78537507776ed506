import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import flags from '../../config/server_message_flags.json' with { type: 'json' };
import { errorOf } from '../../src/errors.ts';
import { errorFromPeer, failureName, flagName, flagNumber, flagOfError } from '../../src/protocol/flags.ts';

suite('codes on the wire', () => {
  test('each has one number of three digits, and is known by it', () => {
    const rows = Object.entries(flags);
    for (const [name, row] of rows) {
      assert.equal(row.name, name);
      assert.ok(row.number >= 200 && row.number <= 599, name);
      assert.equal(flagName(row.number), name);
    }
    assert.equal(new Set(rows.map(([, { number }]) => number)).size, rows.length);
    assert.equal(flagNumber('OK'), 200);
    assert.equal(flagNumber('BAD_MESSAGE'), 400);
  });

  test('a number that nobody knows is an error of the other side', () => {
    for (const number of [0, 201, 499, 999]) assert.equal(flagName(number), 'INTERNAL');
  });

  test('an error is never called done, whatever the peer says', () => {
    assert.equal(failureName(200), 'INTERNAL');
    assert.equal(errorFromPeer(200, 'all is well').code, 'INTERNAL');
    assert.notEqual(errorFromPeer(200, undefined).exit, 0);
  });

  test('causes of this machine are not told', () => {
    for (const code of ['LOST', 'STATE', 'KEY_CHANGED', 'USAGE'] as const)
      assert.equal(flagOfError(errorOf(code)), 'INTERNAL');
    assert.equal(flagOfError(new TypeError('a defect')), 'INTERNAL');
    assert.equal(flagOfError(errorOf('NO_SPACE')), 'NO_SPACE');
  });

  test('ended by a signal is told as cancelled, not as a defect', () => {
    assert.equal(flagOfError(errorOf('TERMINATED', 'ended by SIGTERM')), 'CANCELLED');
  });

  test('an error of the peer has its text, or the one of its code', () => {
    assert.equal(errorFromPeer(421, 'full (1 of 1)').message, 'full (1 of 1)');
    assert.equal(errorFromPeer(421, undefined).message, flags.FULL.meaning);
    assert.equal(errorFromPeer(421, '').message, flags.FULL.meaning);
  });
});
