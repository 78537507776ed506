import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressesAround } from '../../src/client/scan.ts';

test('goes through small networks whole, and of wide ones through what is around', () => {
  assert.deepEqual(addressesAround([]), []);
  assert.deepEqual(addressesAround(['10.0.0.1/30']), ['10.0.0.2', '10.0.0.3']);
  const small = addressesAround(['192.168.7.20/24']);
  assert.equal(small.length, 253);
  assert.ok(small.every((address) => /^192\.168\.7\.\d+$/.test(address) && address !== '192.168.7.20'));
  const wide = addressesAround(['10.1.2.3/8']);
  assert.equal(wide.length, 253);
  assert.ok(wide.every((address) => address.startsWith('10.1.2.')));
});

test('never tries itself, the broadcast address, or more than a few networks', () => {
  assert.ok(
    !addressesAround(['10.0.0.1/24', '10.0.0.2/24']).some((address) => /\.[0-2]$|\.255$/.test(address)),
  );
  const many = Array.from({ length: 50 }, (_, index) => `10.0.${index}.1/24`);
  assert.equal(addressesAround(many).length, 4 * 253);
  assert.deepEqual(addressesAround(['fe80::1/64']), []);
});
