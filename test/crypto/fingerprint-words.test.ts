import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fingerprintOfBytes } from '../../src/crypto/fingerprint.ts';
import { fingerprintWords } from '../../src/crypto/fingerprint-words.ts';
import { pairingWords } from '../../src/crypto/word-list.ts';

const words = (bytes: Uint8Array): string[] => fingerprintWords(fingerprintOfBytes(bytes));

suite('a fingerprint in words', () => {
  test('is these words, on every machine and in every version', () => {
    assert.equal(
      words(Buffer.from('9aa51997c7d35bad2bc2661a01854e03ea09e9ba26f07fcfabf5b83fe362e848', 'hex')).join(' '),
      'nemesis unarmored favorite unjustly aghast datebook mummy urgent llama again announcer nuclear',
    );
    assert.deepEqual(
      words(Buffer.alloc(32)),
      Array.from({ length: 12 }, () => 'aardvark'),
    );
    assert.deepEqual(
      words(Buffer.alloc(32, 0xff)),
      Array.from({ length: 12 }, () => pairingWords.at(-1)),
    );
  });

  test('holds the first 124 bits: who has other words has another key, and no two words are alike', () => {
    assert.equal(new Set(pairingWords).size, 1296);
    const bits = Math.log2(1296) * 12;
    assert.ok(bits > 124 && bits < 125);
    const base = Buffer.alloc(32, 0x5a);
    const plain = words(base).join(' ');
    for (let bit = 0; bit < 124; bit += 1) {
      const other = Buffer.from(base);
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      assert.notEqual(words(other).join(' '), plain, `bit ${bit}`);
    }
  });

  test('is read back to where the key lies among all that there are', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => (seed * 31 + index * 97) & 0xff));
      const digits = words(bytes).map((word) => BigInt(pairingWords.indexOf(word)));
      const number = digits.reduce((sum, digit) => sum * 1296n + digit, 0n);
      const value = BigInt(`0x${bytes.toString('hex')}`);
      // number / 1296^12 <= value / 2^256 < (number + 1) / 1296^12
      assert.ok(number << 256n <= value * 1296n ** 12n);
      assert.ok(value * 1296n ** 12n < (number + 1n) << 256n);
    }
  });
});
