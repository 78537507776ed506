import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  completePairingCode,
  newPairingCode,
  pairingCodeText,
  parsePairingCode,
} from '../../src/crypto/pairing-code.ts';
import { pairingWords } from '../../src/crypto/word-list.ts';
import { UsageError } from '../../src/errors.ts';

describe('the list', () => {
  it('has 1,296 words of letters, told apart by three of them', () => {
    assert.equal(pairingWords.length, 1296);
    assert.equal(new Set(pairingWords.map((word) => word.slice(0, 3))).size, 1296);
    for (const word of pairingWords) assert.match(word, /^[a-z]{3,10}$/);
    assert.deepEqual([...pairingWords], [...pairingWords].sort());
  });

  it('is the published one', () => {
    // SHA-256 of the words as they were published, one a line, sorted.
    const lines = pairingWords.map((word) => (word === 'yoyo' ? 'yo-yo' : word)).sort();
    const digest = createHash('sha256')
      .update(`${lines.join('\n')}\n`)
      .digest('hex');
    assert.equal(digest, '7aa57a4d3ecf6581729992bad9575bacdebf7c28378af2aec6a50f11aec326f5');
  });
});

describe('a code', () => {
  it('is drawn from the whole list and reads back', () => {
    const words = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const code = newPairingCode(7);
      for (const word of code.words.split('-')) words.add(word);
      assert.match(pairingCodeText(code), /^7-[a-z]+-[a-z]+$/);
      if (round < 50) assert.deepEqual(parsePairingCode(pairingCodeText(code)), code);
    }
    // Each word is missed by 6,000 draws once in a hundred times.
    assert.ok(words.size > 1250, `${words.size} words in 3,000 codes`);
    for (const nameplate of [0, -1, 1.5, 10_000, Number.NaN])
      assert.throws(() => newPairingCode(nameplate), RangeError);
  });

  it('is read however it is typed', () => {
    const code = { nameplate: 7, words: 'aardvark-yoyo' };
    const typed = [
      '7-aardvark-yoyo',
      ' 7 Aardvark YOYO\n',
      '7_aardvark_yoyo',
      '7 - aardvark – yoyo',
      '７-ａａｒｄｖａｒｋ-yoyo',
      '7.aardvark,yoyo',
      '7-aar-yoy',
      '7-aardv-yoyo',
    ];
    for (const text of typed) assert.deepEqual(parsePairingCode(text), code, text);
  });

  it('is refused here where it is none, and says nothing of what was typed', () => {
    const none = [
      '',
      '7',
      '7-',
      '7-aardvark',
      '7-aardvark-',
      '-aardvark-yoyo',
      'aardvark-yoyo',
      '0-aardvark-yoyo',
      '07-aardvark-yoyo',
      '10000-aardvark-yoyo',
      '7-aardvark-yoyo-abdomen',
      '7-aardvark-xyzzy',
      '7-aa-yoyo',
      '7-aardvark-yoyos',
      '7-aardvark-constructor',
      '7-__proto__-yoyo',
      `7-${'a'.repeat(100_000)}`,
      '7-aardvark-\0',
    ];
    for (const text of none) {
      assert.throws(
        () => parsePairingCode(text),
        (error) => {
          assert.ok(error instanceof UsageError, text.slice(0, 30));
          for (const part of ['xyzzy', 'yoyos', 'constructor']) {
            assert.ok(!`${error.message}`.includes(part));
          }
          return true;
        },
      );
    }
    assert.throws(
      () => parsePairingCode('7-aardvrk-yoyo'),
      (error) => {
        assert.ok(error instanceof UsageError);
        assert.equal(error.hint, "it may be 'aardvark'");
        return true;
      },
    );
  });

  it('completes as it is typed', () => {
    assert.deepEqual(completePairingCode('7-aar'), ['7-aardvark-']);
    assert.deepEqual(completePairingCode('7-aardvark-yoy'), ['7-aardvark-yoyo']);
    assert.deepEqual(completePairingCode('7-ab'), [
      '7-abandoned-',
      '7-abbreviate-',
      '7-abdomen-',
      '7-abhorrence-',
      '7-abiding-',
      '7-abnormal-',
      '7-abrasion-',
      '7-absorbing-',
      '7-abundant-',
      '7-abyss-',
    ]);
    for (const text of ['', '7', 'x-aar', '7-zzz', '7-aardvark-yoyo-a', '7-nothing-yo', '0-aar']) {
      assert.deepEqual(completePairingCode(text), [], text);
    }
  });
});
