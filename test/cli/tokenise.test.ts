import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { quoteWord, type TokeniseOptions, tokenise } from '../../src/cli/tokenise.ts';
import { refused } from './refused.ts';

function wordsOf(line: string, options?: TokeniseOptions): string[][] {
  const { commands, isOpen } = tokenise(line, options);
  assert.equal(isOpen, false, `open: ${line}`);
  return commands.map(({ words }) => words.map(({ text }) => text));
}

test('words, quotes, escapes, comments and parts', () => {
  const table: [string, string[][]][] = [
    ['', []],
    ['   \t ', []],
    ['ls', [['ls']]],
    ['get a b', [['get', 'a', 'b']]],
    ['get  "a b"\tc', [['get', 'a b', 'c']]],
    ["get 'a b' c", [['get', 'a b', 'c']]],
    ['get a\\ b', [['get', 'a b']]],
    ['get a"b"\'c\'d', [['get', 'abcd']]],
    ['get ""', [['get', '']]],
    ["get ''", [['get', '']]],
    ['"a\\"b" "a\\\\b" "a\\nb" "a\\$b"', [['a"b', 'a\\b', 'a\\nb', 'a$b']]],
    ["'a\\b'", [['a\\b']]],
    ['a;b', [['a'], ['b']]],
    [';;a ; ;b;', [['a'], ['b']]],
    ['a "b;c" d\\;e', [['a', 'b;c', 'd;e']]],
    ['a # b ; c', [['a']]],
    ['# all of it', []],
    ['a#b "#c" \\#d', [['a#b', '#c', '#d']]],
    ['a # b\nc', [['a'], ['c']]],
    ['a "b\nc" d', [['a', 'b\nc', 'd']]],
    ['a \\\nb', [['a', 'b']]],
    ['a\\\nb', [['ab']]],
    ['$HOME "$HOME" `ls` $(ls) *.txt ?', [['$HOME', '$HOME', '`ls`', '$(ls)', '*.txt', '?']]],
    ['a | b > c < d', [['a', '|', 'b', '>', 'c', '<', 'd']]],
    ["$'a\\nb' $'\\x41\\u00e9\\u{1F600}' $'it\\'s' $'\\\\'", [['a\nb', 'Aé😀', "it's", '\\']]],
    ["$'\\xc3\\xa9' $'\\xff'", [['é', '\udcff']]],
    ['get "😀 é.txt" ünï', [['get', '😀 é.txt', 'ünï']]],
    ['\\😀', [['😀']]],
    ['a\u00a0b', [['a\u00a0b']]],
  ];
  for (const [line, words] of table) assert.deepEqual(wordsOf(line), words, JSON.stringify(line));
});

test('a line that ends within quotes or after a backslash is open', () => {
  for (const line of ['"', "'", 'get "a b', "get 'a", "get $'a", 'get a\\', 'a; "b', '"a\\"', "$'\\'"]) {
    assert.equal(tokenise(line).isOpen, true, line);
  }
});

test('an & after a command makes it a job; any other must be quoted', () => {
  const jobsOf = (line: string) => tokenise(line).commands.map(({ words, isJob }) => [words.length, isJob]);
  assert.deepEqual(jobsOf('get a &'), [[2, true]]);
  assert.deepEqual(jobsOf('get a&'), [[2, true]]);
  assert.deepEqual(jobsOf('get a & get b c; ls & # d'), [
    [2, true],
    [3, false],
    [1, true],
  ]);
  assert.deepEqual(jobsOf('get a &\nls'), [
    [2, true],
    [1, false],
  ]);
  assert.deepEqual(wordsOf('get "AT&T.pdf" a\\&b'), [['get', 'AT&T.pdf', 'a&b']]);
  for (const line of ['get AT&T.pdf', '&', 'ls; &', 'get a && ls', 'get a &&'])
    refused(() => tokenise(line), /background/);
});

test('a ! where a command begins hands the rest of its line on, as it is', () => {
  const outsideOf = (line: string) => tokenise(line).commands.map(({ outside }) => outside);
  assert.deepEqual(outsideOf('! ls "a | wc; # b'), ['ls "a | wc; # b']);
  assert.deepEqual(outsideOf('ls; !pwd\nls !'), [undefined, 'pwd', undefined]);
  assert.deepEqual(outsideOf('!'), ['']);
});

test('only a leading ~ stands for the home', () => {
  const options = { home: '/home/me' };
  assert.deepEqual(wordsOf('put ~ ~/a a~ "~/b" \\~/c /x/~ ~other nas:~', options), [
    ['put', '/home/me', '/home/me/a', 'a~', '~/b', '~/c', '/x/~', '~other', 'nas:~'],
  ]);
  assert.deepEqual(wordsOf('put ~;ls ~', options), [
    ['put', '/home/me'],
    ['ls', '/home/me'],
  ]);
  assert.deepEqual(wordsOf('put ~/a'), [['put', '~/a']]);
});

test('on Windows a backslash is part of a path', () => {
  assert.deepEqual(wordsOf('put C:\\Users\\me\\a.txt "C:\\Program Files\\b"', { backslash: 'literal' }), [
    ['put', 'C:\\Users\\me\\a.txt', 'C:\\Program Files\\b'],
  ]);
});

test('words know their place in the line', () => {
  const line = 'get "a b"  c\\ d;ls';
  assert.deepEqual(
    tokenise(line)
      .commands.flatMap(({ words }) => words)
      .map(({ start, end }) => line.slice(start, end)),
    ['get', '"a b"', 'c\\ d', 'ls'],
  );
});

const anyWord = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      ...' \t\n\r;#&\'"\\$~`*?!|<>()[]{}=',
      'a',
      'é',
      '日',
      '😀',
      '\x1b',
      '\x00',
      '\x7f',
      '\u202e',
      '\u200d',
    ),
    // Bytes that are not UTF-8, as names hold them.
    fc.integer({ min: 0xdc80, max: 0xdcff }).map((code) => String.fromCharCode(code)),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2 }),
  ),
  maxLength: 12,
});

/** Escaped bytes that would be valid UTF-8 together are another spelling of a character, which no name has. */
function isName(text: string): boolean {
  return !/[\udc80-\udcff]{2}/.test(text.replaceAll(/[\ud800-\udbff][\udc00-\udfff]/g, ''));
}

test('what quoteWord writes is read back, one word a word', () => {
  fc.assert(
    fc.property(fc.array(anyWord.filter(isName), { minLength: 1, maxLength: 5 }), (words) => {
      assert.deepEqual(wordsOf(words.map(quoteWord).join(' '), { home: '/home/me' }), [words]);
    }),
    { numRuns: 1000 },
  );
});

test('what quoteWord writes shows no control character', () => {
  fc.assert(
    fc.property(anyWord, (word) => {
      assert.doesNotMatch(quoteWord(word), /[\p{Cc}\p{Cf}\p{Cs}]/u);
    }),
  );
});

test('a POSIX shell reads the same words', () => {
  const word = fc.string({
    unit: fc.constantFrom('a', 'b', ' ', "'", '"', '\\', '#', '\t', 'é', '😀'),
    maxLength: 10,
  });
  const lines = fc.sample(word, { numRuns: 150, seed: 7353 }).filter((line) => {
    const { commands, isOpen } = tokenise(line);
    return !isOpen && commands.length === 1;
  });
  assert.ok(lines.length > 20, 'too few lines to compare');
  for (const line of lines) {
    const { stdout } = spawnSync('sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' });
    assert.deepEqual(stdout.split('\0').slice(0, -1), wordsOf(line)[0], JSON.stringify(line));
  }
});
