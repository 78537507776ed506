import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { checkUserName, EVERYONE, userNameOf } from '../../src/auth/user-name.ts';
import { UsageError } from '../../src/errors.ts';

it('takes names of people and programs', () => {
  for (const name of [
    'bob',
    'bob@example.org',
    'Bob Smith',
    "o'neil",
    '名前',
    'a'.repeat(255),
    '😀'.repeat(255),
    '**',
  ]) {
    assert.equal(userNameOf(name), name);
    assert.equal(checkUserName(name), name);
  }
  assert.equal(userNameOf('bo\u0308b'), 'böb');
});

it('takes none that hides something, is endless or empty, or is the word for all', () => {
  const unfit = [
    '',
    ' ',
    ' bob',
    'bob ',
    'bob\n',
    'bob\r\nadmin',
    'bob\0',
    '\u001b[2Jbob',
    'bob\u202e',
    'bob\u200b',
    '\u2028',
    '\ud800',
    EVERYONE,
    'a'.repeat(256),
    'a'.repeat(1025),
    'a'.repeat(1_000_000),
    '\u0085',
    '\u009b31m',
  ];
  for (const text of unfit) {
    assert.equal(userNameOf(text), undefined, JSON.stringify(text.slice(0, 20)));
    assert.throws(() => checkUserName(text), UsageError);
  }
});

it('takes a name that it made once more, unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const name = userNameOf(text);
      if (name === undefined) return;
      assert.equal(userNameOf(name), name);
      assert.ok(Buffer.byteLength(name) <= 1024 && !/[\r\n\0]/.test(name));
    }),
  );
});
