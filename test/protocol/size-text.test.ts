import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatBytes } from '../../src/protocol/size-text.ts';

test('bytes are written in decimal units with three digits', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [1024, '1.02 kB'],
    [9994, '9.99 kB'],
    [9996, '10.0 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [1_000_000, '1.00 MB'],
    [1_048_576, '1.05 MB'],
    [14_200_000, '14.2 MB'],
    [2 ** 31, '2.15 GB'],
    [1e12, '1.00 TB'],
    [Number.MAX_SAFE_INTEGER, '9.01 PB'],
  ];
  for (const [bytes, text] of table) assert.equal(formatBytes(bytes), text);
});

test('no size takes more than seven characters', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      assert.match(formatBytes(bytes), /^\d[\d.]{0,3} [kMGTP]?B$/);
    }),
    { examples: [[999], [9995], [99_950], [999_499], [999_950], [999_999]] },
  );
});
