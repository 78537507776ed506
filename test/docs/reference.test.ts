/** The reference is what the tables of the program say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referencePage } from '../../scripts/reference.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { allCodes } from '../../src/errors.ts';
import { textOf } from './markdown.ts';

test('docs/reference.md is up to date', () => {
  assert.equal(textOf('docs/reference.md'), referencePage(), 'run node scripts/reference.ts');
});

test('it has every command, exit status and code', () => {
  const page = referencePage();
  for (const { name } of COMMANDS) assert.ok(page.includes(`\n### ${name}\n`), name);
  for (const { code, exit } of allCodes()) {
    assert.match(page, new RegExp(`^\\| \`${code}\` \\| ${exit} \\| `, 'm'));
    assert.match(page, new RegExp(`^\\| ${exit} \\| `, 'm'));
  }
});
