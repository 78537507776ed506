import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { escapeText, SHOWN_CHARACTERS } from '../../src/protocol/text.ts';

/** Code points that must never reach a terminal, a table or a log as they are. */
const FORBIDDEN = [
  ...range(0x00, 0x1f),
  ...range(0x7f, 0x9f),
  0xad,
  0x34f,
  0x61c,
  0x115f,
  0x180e,
  ...range(0x200b, 0x200f),
  ...range(0x2028, 0x202e),
  ...range(0x2060, 0x206f),
  0x3164,
  0xfeff,
  ...range(0xfff9, 0xfffb),
  0xe000,
  ...range(0xe0000, 0xe007f),
  0xe0100,
  0x10ffff,
];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

suite('text made fit to be shown', () => {
  test('plain text, other scripts and emoji stay as they are', () => {
    for (const text of [
      '',
      'a.txt',
      "it's 100% \\o/ `x` $HOME",
      'Zoë, Ærø, Łódź, naïve',
      'ελληνικά, עברית, العربية, हिन्दी, ไทยน้ำ, 日本語',
      'e\u0301 decomposed',
      '👨‍👩‍👧 ❤️ 1️⃣ 👍🏽 🏳️‍🌈',
    ])
      assert.equal(escapeText(text), text);
  });

  test('every control, format, separator and invisible character is spelled out', () => {
    for (const code of FORBIDDEN) {
      const shown = escapeText(`a${String.fromCodePoint(code)}b`);
      assert.match(shown, /^a\\(?:[nrt]|x[0-9a-f]{2}|u\{[0-9a-f]+\})b$/, code.toString(16));
    }
  });

  test('each kind has its spelling', () => {
    assert.equal(escapeText('a\nb\r\t\x1b[31m\x00\x7f'), 'a\\nb\\r\\t\\x1b[31m\\x00\\x7f');
    assert.equal(escapeText('\x9b31m'), '\\u{9b}31m');
    assert.equal(escapeText('photo\u202egpj.exe'), 'photo\\u{202e}gpj.exe');
    assert.equal(escapeText('\udcff\udc80'), '\\xff\\x80');
    assert.equal(escapeText('\ud800x\udfff'), '\\u{d800}x\\u{dfff}');
    assert.equal(escapeText('\u{e0041}'), '\\u{e0041}');
  });

  test('a joiner or a selector outside an emoji is spelled out', () => {
    assert.equal(escapeText('a\u200db'), 'a\\u{200d}b');
    assert.equal(escapeText('👨\u200d'), '👨\\u{200d}');
    assert.equal(escapeText('a\ufe0fb'), 'a\\u{fe0f}b');
    assert.equal(escapeText('a\u200cb'), 'a\\u{200c}b');
  });

  test('marks without a letter, and more of them than any script stacks, are spelled out', () => {
    assert.equal(escapeText('\u0301a'), '\\u{301}a');
    assert.equal(escapeText(`a${'\u0301'.repeat(6)}`), `a${'\u0301'.repeat(4)}\\u{301}\\u{301}`);
  });

  test('a long text keeps both ends', () => {
    const shown = escapeText(`start${'x'.repeat(4096)}.tar.gz`, 40);
    assert.equal(shown, 'startxxxxxxxxxxxxxxx…xxxxxxxxxxxx.tar.gz');
    assert.equal(shown.length, 40);
    assert.equal(escapeText('y'.repeat(4096)).length, SHOWN_CHARACTERS);
    assert.equal(escapeText('y'.repeat(SHOWN_CHARACTERS)), 'y'.repeat(SHOWN_CHARACTERS));
  });

  test('a cut goes through no escape and no emoji', () => {
    assert.equal(escapeText('\x1b'.repeat(100), 11), '\\x1b…\\x1b');
    for (let most = 8; most < 30; most += 1) assert.match(escapeText('😀'.repeat(50), most), /^😀+…😀+$/u);
  });

  test('a megabyte of anything is cut', () => {
    for (const unit of ['\x1b', '\u0301', '😀', '\u202e', '👨\u200d'])
      assert.ok(escapeText(unit.repeat(500_000), 80).length <= 80);
  });

  test('whatever comes in, what comes out is bounded, one line, well-formed and without controls', () => {
    const unit = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
      fc.constantFrom(...FORBIDDEN).map((code) => String.fromCodePoint(code)),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 30 }), fc.integer({ min: 8, max: 300 }), (units, most) => {
        const shown = escapeText(units.join(''), most);
        assert.ok(shown.length <= most);
        assert.ok(shown.isWellFormed());
        assert.doesNotMatch(shown, /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/u);
        assert.doesNotMatch(shown, /\p{M}{5}/u);
      }),
      { numRuns: 2000 },
    );
  });
});
