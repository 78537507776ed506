import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { freeNames } from '../../src/transfer/free-name.ts';
import {
  checkName,
  checkPath,
  collisionKey,
  decodeName,
  encodeName,
  fsPath,
  pathText,
} from '../../src/transfer/name.ts';

const PLATFORMS = ['linux', 'darwin', 'win32'] as const;
const badName = { code: 'BAD_NAME' };

/** Names that no system may take. */
const NEVER = [
  '',
  '.',
  '..',
  '/',
  '/etc/passwd',
  '../x',
  'a/b',
  'a/../../b',
  'a/',
  '\0',
  'a\0.txt',
  'x'.repeat(256),
  'é'.repeat(128),
  '..\\x',
  'a\\..\\..\\b',
  'a\\..',
  'a\\.. \\b',
  'a\\...\\b',
  '\\\\server\\share',
  '\\\\?\\C:\\x',
  '\\\\.\\COM1',
  'C:\\Windows',
  'z:\\',
  '\ud800',
  'a\udc7f',
  '\udf00',
];

/** Names that Windows would read as something else, and that are ordinary names on Linux. */
const NOT_ON_WINDOWS = [
  ...['a\\b', 'a:b', 'C:x', 'a*', 'a?', 'a"b', 'a<b', 'a>b', 'a|b', 'a\nb', 'a\x1fb', 'file.txt::$DATA'],
  ...['a.', 'a ', 'a. .', '...', 'CON', 'con', 'Prn', 'AUX', 'NUL', 'nul.txt', 'CON .txt', 'aux.tar.gz'],
  ...['COM0', 'COM1', 'com9.log', 'LPT0', 'LPT9', 'COM¹', 'LPT³.txt', 'com².a', 'CONIN$', 'conout$'],
];

/** Names that look odd and are names everywhere. */
const ORDINARY = [
  ...['%2F', '..%2f..%2fetc', '%00', '..a', 'a..', 'a..b', '.bashrc', '-rf', '~', '~root', '$HOME', '`id`'],
  ...['a b', "it's", 'COM10', 'COM', 'CONSOLE', 'xCON', 'con-1', 'LPT', 'nul_', '😀', 'e\u0301', 'é', 'ａ'],
  ...['x'.repeat(255), 'é'.repeat(127), '\u202egpj.exe', 'a\u200bb'],
].filter((name) => !name.endsWith('.'));

suite('names', () => {
  test('what is never a name is refused on every platform', () => {
    for (const name of NEVER)
      for (const platform of PLATFORMS)
        assert.throws(() => checkName(name, platform), badName, `${platform} ${JSON.stringify(name)}`);
  });

  test('what Windows reads otherwise is refused there and a name on Linux', () => {
    for (const name of NOT_ON_WINDOWS) {
      assert.throws(() => checkName(name, 'win32'), badName, JSON.stringify(name));
      assert.equal(checkName(name, 'linux'), name);
    }
  });

  test('odd but harmless names are taken everywhere, and nothing in them is decoded', () => {
    for (const name of ORDINARY)
      for (const platform of PLATFORMS) assert.equal(checkName(name, platform), name);
  });

  test('bytes that are not UTF-8 are a name on Linux and nowhere else', () => {
    const name = decodeName(Buffer.from([0x61, 0xff, 0x62]));
    assert.equal(checkName(name, 'linux'), name);
    assert.throws(() => checkName(name, 'darwin'), badName);
    assert.throws(() => checkName(name, 'win32'), badName);
  });

  test('a colon is a name on macOS', () => assert.equal(checkName('12:30', 'darwin'), '12:30'));

  test('a second spelling of a name is refused', () => {
    // As bytes this is é: two names of one manifest would be one file.
    assert.throws(() => checkName('\udcc3\udca9', 'linux'), badName);
    assert.equal(decodeName(encodeName('\udcc3\udca9')), 'é');
  });

  test('255 bytes are counted, not characters', () => {
    const name = `${'\udcff'.repeat(255)}`;
    assert.equal(checkName(name, 'linux'), name);
    assert.throws(() => checkName(`${name}a`, 'linux'), badName);
  });

  test('the message shows a hostile name escaped and cut', () => {
    assert.throws(
      () => checkName(`\x1b]0;${'x'.repeat(5000)}`, 'linux'),
      (error: Error) => error.message.length < 300 && !/\p{Cc}/u.test(error.message),
    );
  });

  test('whatever is accepted names exactly one new entry of the folder', () => {
    const base = mkdtempSync(join(tmpdir(), 'localstream-test-'));
    try {
      let number = 0;
      const hostile = fc.oneof(
        fc.constantFrom(...NEVER, ...NOT_ON_WINDOWS, ...ORDINARY),
        fc.string({ unit: 'binary', maxLength: 20 }),
        fc.string({ unit: fc.constantFrom('.', '/', '\\', ' ', 'a', ':', '\0', '\udcff'), maxLength: 8 }),
      );
      fc.assert(
        fc.property(hostile, (text) => {
          let name: string;
          try {
            name = checkName(text);
          } catch {
            return;
          }
          number += 1;
          const folder = join(base, String(number), 'in');
          mkdirSync(folder, { recursive: true });
          writeFileSync(fsPath(`${folder}/${name}`), '');
          const found = readdirSync(folder, { encoding: 'buffer' });
          assert.deepEqual(found, [encodeName(text)]);
          assert.deepEqual(readdirSync(join(base, String(number))), ['in']);
        }),
      );
      assert.ok(number > 0);
    } finally {
      rmSync(base, { recursive: true });
    }
  });
});

suite('names and bytes', () => {
  test('any bytes come back from their string', () => {
    const ragged = fc.array(
      fc.constantFrom(
        ...[[0x61], [0xc3, 0xa9], [0xc3], [0xa9], [0xe2, 0x82], [0xf0, 0x9f, 0x98, 0x80], [0xf0, 0x9f, 0x98]],
        ...[
          [0xed, 0xa0, 0x80],
          [0xed, 0xb2, 0x80],
          [0xc0, 0xaf],
          [0xf4, 0x90, 0x80, 0x80],
          [0xff],
          [0xef, 0xbb, 0xbf],
        ],
      ),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      ragged.map((parts) => Uint8Array.from(parts.flat())),
    );
    fc.assert(
      fc.property(bytes, (original) => {
        const name = decodeName(original);
        assert.deepEqual(new Uint8Array(encodeName(name)), original);
        const overJson: unknown = JSON.parse(JSON.stringify(name));
        assert.equal(overJson, name);
        const path = fsPath(name);
        assert.deepEqual(new Uint8Array(Buffer.from(path as string)), original);
      }),
      { numRuns: 3000 },
    );
  });

  test('text that is well-formed is itself', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => decodeName(encodeName(text)) === text));
    assert.equal(decodeName(Buffer.from('\ufeffa')), '\ufeffa');
  });

  test('bytes are escaped one by one, as PEP 383 does', () => {
    assert.equal(decodeName(Buffer.from([0x61, 0xff, 0xc3, 0xa9, 0xe2, 0x82])), 'a\udcffé\udce2\udc82');
  });

  test('half a character that stands for no byte has no bytes', () => {
    for (const name of ['\ud800', '\udc00', '\udc7f', '\udd00', 'a\udfffb'])
      assert.throws(() => encodeName(name), badName);
  });
});

suite('paths', () => {
  test('text and components are the same', () => {
    assert.deepEqual(checkPath('a/b c/%2F', 'linux'), ['a', 'b c', '%2F']);
    assert.deepEqual(checkPath(['a', 'b'], 'linux'), ['a', 'b']);
    assert.deepEqual(checkPath([], 'linux'), []);
    assert.equal(pathText(checkPath('a/b')), 'a/b');
  });

  test('a bad component anywhere is refused', () => {
    for (const name of NEVER)
      for (const path of [[name], ['a', name], [name, 'a'], ['a', name, 'b']])
        for (const platform of PLATFORMS) assert.throws(() => checkPath(path, platform), badName);
    for (const text of ['', '/', '/a', 'a/', 'a//b', '../a', 'a/..', 'a/./b', './a', '..'])
      assert.throws(() => checkPath(text, 'linux'), badName, text);
  });

  test('128 folders and 4096 bytes are the bounds', () => {
    assert.equal(checkPath(Array(128).fill('a')).length, 128);
    assert.throws(() => checkPath(Array(129).fill('a')), badName);
    assert.throws(() => checkPath('a/'.repeat(1e6)), badName);
    const long = [...Array(15).fill('x'.repeat(255)), 'x'.repeat(255)];
    assert.equal(checkPath(long).length, 16);
    assert.throws(() => checkPath([...long, 'x']), badName);
  });
});

suite('names that are one file elsewhere', () => {
  const same: readonly (readonly [string, string])[] = [
    ...([
      ['README', 'readme'],
      ['É', 'e\u0301'],
      ['é', 'E\u0301'],
      ['ﬁ', 'FI'],
      ['Straße', 'STRASSE'],
    ] as const),
    ...([
      ['ΣΑΣ', 'σας'],
      ['K', '\u212a'],
      ['a\u200cb', 'ab'],
      ['ǅ', 'ǆ'],
      ['Ω', '\u2126'],
    ] as const),
  ];

  test('have one key where case and form are folded', () => {
    for (const [one, other] of same) assert.equal(collisionKey(one, true), collisionKey(other, true));
  });

  test('have two where they are not', () => {
    for (const [one, other] of same) assert.notEqual(collisionKey(one, false), collisionKey(other, false));
  });

  test('other names have other keys', () => {
    for (const [one, other] of [
      ['a', 'b'],
      ['a', 'á'],
      ['a.txt', 'a'],
      ['\udcff', '\udcfe'],
      ['1', '１'],
    ] as const)
      assert.notEqual(collisionKey(one, true), collisionKey(other, true));
  });
});

suite('free names', () => {
  const first = (name: string) => freeNames(checkName(name)).next().value;

  test('the number stands before the ending', () => {
    assert.equal(first('a.txt'), 'a (2).txt');
    assert.equal(first('archive.tar.gz'), 'archive (2).tar.gz');
    assert.equal(first('v1.2 final'), 'v1.2 final (2)');
    assert.equal(first('.bashrc'), '.bashrc (2)');
    assert.equal(first('.a.b'), '.a (2).b');
    assert.equal(first('noending'), 'noending (2)');
    assert.equal(first('dot.'), 'dot. (2)');
    assert.deepEqual([...freeNames(checkName('a')).take(3)], ['a (2)', 'a (3)', 'a (4)']);
  });

  test('a name that would get too long is shortened between characters', () => {
    for (const name of ['x'.repeat(255), `${'é'.repeat(125)}.html`, '😀'.repeat(63), '\udcff'.repeat(255)]) {
      const free = first(name);
      assert.ok(free && encodeName(free).length <= 255);
      assert.match(free, / \(2\)/);
      assert.equal(decodeName(encodeName(free)), free);
    }
  });

  test('there are many, but not without end', () => {
    assert.equal([...freeNames(checkName('a'))].length, 9999);
  });
});
