import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { accountSubject, addressSubject, blockedUntil, deviceSubject } from '../../src/auth/limits.ts';
import { someFingerprint } from '../store/temporary-home.ts';

const rule = { free: 3, first: 1000, most: 60_000, forget: 10_000 };
const now = 1_000_000;

describe('the pause', () => {
  it('begins above the free failures, doubles and ends at the most', () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6, 9, 10, 1000].map((count) =>
      Math.max(0, blockedUntil(rule, { count, last: now }, now) - now),
    );
    assert.deepEqual(pauses, [0, 0, 0, 0, 1000, 2000, 4000, 32_000, 60_000, 60_000]);
    assert.equal(blockedUntil(rule, undefined, now), 0);
  });

  it('counts from the last failure', () => {
    assert.equal(blockedUntil(rule, { count: 5, last: now - 500 }, now), now + 1500);
    assert.ok(blockedUntil(rule, { count: 5, last: now - 2000 }, now) <= now);
  });

  it('counts in what is under way, and what is forgotten by now out', () => {
    assert.ok(blockedUntil(rule, undefined, now, 3) <= now);
    assert.ok(blockedUntil(rule, undefined, now, 4) > now);
    assert.ok(blockedUntil(rule, { count: 3, last: now }, now, 1) > now);
    assert.ok(blockedUntil(rule, { count: 3, last: now - 10_000 }, now, 1) <= now);
  });

  it('never ends later than its most, whatever the clocks say', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.maxSafeInteger(),
        fc.nat(50),
        (count, last, more) => {
          const until = blockedUntil(rule, { count, last }, now, more);
          assert.ok(until <= now + rule.most);
        },
      ),
    );
  });
});

describe('the subjects', () => {
  it('keep no name that was typed', () => {
    assert.match(accountSubject('my password'), /^account:[\w-]{32}$/);
    assert.ok(accountSubject('x'.repeat(1_000_000)).length < 80);
  });

  it('take spellings of one account for one', () => {
    for (const name of ['BOB', 'Bob', 'ｂｏｂ', ' bob '])
      assert.equal(accountSubject(name), accountSubject('bob'));
    assert.notEqual(accountSubject('bob'), accountSubject('bab'));
    assert.equal(deviceSubject('BOB', someFingerprint(1)), deviceSubject('bob', someFingerprint(1)));
    assert.notEqual(deviceSubject('bob', someFingerprint(1)), deviceSubject('bob', someFingerprint(2)));
  });

  it('take an IPv6 network for one address, and a mapped one for its IPv4', () => {
    const subjects = {
      '192.0.2.1': 'address:192.0.2.1',
      '::ffff:192.0.2.1': 'address:192.0.2.1',
      '2001:db8:1:2:3:4:5:6': 'address:2001:db8:1:2::/64',
      '2001:db8:1:2::9': 'address:2001:db8:1:2::/64',
      '2001:DB8:1::9': 'address:2001:db8:1:0::/64',
      'fe80::1%eth0': 'address:fe80:0:0:0::/64',
      '::1': 'address:0:0:0:0::/64',
      '::': 'address:0:0:0:0::/64',
    };
    for (const [address, subject] of Object.entries(subjects)) assert.equal(addressSubject(address), subject);
    assert.ok(addressSubject('x'.repeat(10_000)).length <= 80);
  });
});
