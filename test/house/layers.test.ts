import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { layerBreaches } from '../../scripts/layers.ts';

function breachesOf(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'localstream-layers-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return layerBreaches(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const LOWER = { 'src/crypto/key.ts': 'export type Key = string; export const key: Key = "";' };

describe('the check of the layers', () => {
  test('finds nothing in this tree', () => {
    assert.deepEqual(layerBreaches(join(import.meta.dirname, '../..')), []);
  });

  test('allows what lies below, the own folder, packages and settings', () => {
    const breaches = breachesOf({
      ...LOWER,
      'src/errors.ts':
        "import flags from '../config/flags.json' with { type: 'json' }; export default flags;",
      'src/config.ts': "import '../src/errors.ts';",
      'src/net/socket.ts': "import '../crypto/key.ts'; import './frame.ts'; import 'node:net';",
      'src/net/frame.ts': "import '../errors.ts';",
      'src/index.ts': "export * from './net/socket.ts';",
      'src/cli/main.ts':
        "import chalk from 'chalk'; import { x } from '../index.ts'; export default chalk(x);",
    });
    assert.deepEqual(breaches, []);
  });

  const forms = {
    'an import': "import { key } from '../server/key.ts'; export default key;",
    'a type-only import': "import type { Key } from '../server/key.ts'; export type Mine = Key;",
    'an inline type import': "import { type Key } from '../server/key.ts'; export type Mine = Key;",
    'an import type': "export type Mine = import('../server/key.ts').Key;",
    'a re-export': "export * from '../server/key.ts';",
    'a named re-export': "export type { Key } from '../server/key.ts';",
    'a dynamic import': "export const load = () => import('../server/key.ts');",
  };
  for (const [name, text] of Object.entries(forms)) {
    test(`catches ${name} of a higher layer, with its line`, () => {
      const breaches = breachesOf({
        'src/server/key.ts': 'export type Key = 1;',
        'src/net/socket.ts': `\n${text}`,
      });
      assert.deepEqual(breaches, [
        'src/net/socket.ts:2 imports src/server/key.ts: net may not import server',
      ]);
    });
  }

  const refused: Record<string, [files: Record<string, string>, breach: RegExp]> = {
    'the layers of one rank apart': [
      { 'src/net/a.ts': "import '../store/b.ts';", 'src/store/b.ts': '' },
      /^src\/net\/a\.ts:1 .*net may not import store$/,
    ],
    'errors from the library above': [
      { 'src/errors.ts': "import './index.ts';", 'src/index.ts': '' },
      /^src\/errors\.ts:1 .*errors\.ts may not import index\.ts$/,
    ],
    'the sources from the tests': [
      { 'src/index.ts': "import '../test/fake.ts';" },
      /^src\/index\.ts:1 .*outside src$/,
    ],
    'the sources from their own package name': [
      { 'src/client/a.ts': "import 'localstream';" },
      /^src\/client\/a\.ts:1 .*from within it$/,
    ],
    'names that cannot be known': [
      { 'src/client/a.ts': "const name = './b.ts'; await import(name);" },
      /^src\/client\/a\.ts:1 .*computed name/,
    ],
    'folders without a rank': [{ 'src/helpers/a.ts': '' }, /^src\/helpers\/a\.ts: .*no rank$/],
    'the terminal from the library': [
      { 'src/server/a.ts': "import chalk from 'chalk'; export default chalk;" },
      /^src\/server\/a\.ts:1 imports chalk, which only cli may$/,
    ],
    'files and sockets from the pure layers': [
      { 'src/protocol/a.ts': "import fs from 'node:fs/promises'; export default fs;" },
      /^src\/protocol\/a\.ts:1 .*protocol does no input or output$/,
    ],
    'circles, even of types alone': [
      {
        'src/net/a.ts': "import type { B } from './b.ts'; export type A = B;",
        'src/net/b.ts': "import type { A } from './a.ts'; export type B = A[];",
      },
      /^a circle: src\/net\/a\.ts → src\/net\/b\.ts → src\/net\/a\.ts$/,
    ],
  };
  for (const [name, [files, breach]] of Object.entries(refused)) {
    test(`keeps ${name}`, () => {
      const breaches = breachesOf(files);
      assert.equal(breaches.length, 1, breaches.join('\n'));
      assert.match(breaches.join(), breach);
    });
  }

  test('refuses an empty tree and a file that it cannot read', () => {
    assert.throws(() => breachesOf({ 'readme.md': '' }), /no source/);
    assert.throws(() => breachesOf({ 'src/net/a.ts': 'import { from;' }), /src\/net\/a\.ts: /);
  });
});
