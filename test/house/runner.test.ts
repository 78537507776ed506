import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'localstream-runner-'));
after(() => rmSync(scratch, { recursive: true }));

/** Runs the runner over a suite of its own; returns its last line and its status. */
function runOver(
  files: Record<string, string>,
  { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {},
): { last: string | undefined; status: number | null; output: string } {
  const folder = mkdtempSync(join(scratch, 'suite-'));
  cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true });
  for (const [name, body] of Object.entries(files)) {
    const path = join(folder, 'test', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `import { before, describe, test } from 'node:test';\n${body}`);
  }
  // A runner inside a runner believes itself a child of it and reports in another form.
  const { NODE_TEST_CONTEXT: _context, CI: _ci, ...inherited } = process.env;
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, 'scripts/test.ts'), ...args], {
    env: { ...inherited, ...env },
    encoding: 'utf8',
  });
  return { last: stdout.trimEnd().split('\n').at(-1), status, output: stdout + stderr };
}

const TWO_PASS = `test('a', () => {}); describe('in', () => { test('b', () => {}); });`;

describe('the test runner', () => {
  test('counts tests over all files, and no suites', () => {
    const { last, status } = runOver({
      'one.test.ts': TWO_PASS,
      'deep/two.test.ts': TWO_PASS,
      'not.ts': 'throw 1',
    });
    assert.deepEqual([last, status], ['4 passed, 0 failed', 0]);
  });

  const failures: Record<string, [body: string, last: string]> = {
    'a test that throws': [`${TWO_PASS} test('c', () => { throw new Error('no'); });`, '2 passed, 1 failed'],
    'a promise that rejects': [`test('c', async () => { throw new Error('no'); });`, '0 passed, 1 failed'],
    'a file that does not parse': ['const = 1;', '0 passed, 1 failed'],
    'a file that throws': [`throw new Error('no');`, '0 passed, 1 failed'],
    'a hook that throws': [
      `describe('in', () => { before(() => { throw new Error('no'); }); test('a', () => {}); });`,
      '0 passed, 1 failed',
    ],
    'a process that dies': [`test('c', () => process.exit(0)); test('d', () => {});`, '0 passed, 1 failed'],
    'a process that dies later': [
      `test('a', () => new Promise((done) => setTimeout(done, 200)));
       test('c', () => new Promise(() => setTimeout(() => process.exit(0), 200)));`,
      '1 passed, 1 failed',
    ],
    'a file without tests': ['', '0 passed, 1 failed'],
  };
  for (const [name, [body, expected]] of Object.entries(failures)) {
    test(`fails because of ${name}`, () => {
      const { last, status, output } = runOver({ 'one.test.ts': body });
      assert.deepEqual([last, status], [expected, 1], output);
    });
  }

  test('fails where nothing ran', () => {
    for (const files of [{}, { 'one.test.ts': `test('a', { skip: true }, () => {});` }]) {
      const { last, status, output } = runOver(files);
      assert.deepEqual([last, status], ['0 passed, 0 failed', 1], output);
    }
  });

  test('names what was skipped, and fails for it in CI', () => {
    const files = { 'one.test.ts': `${TWO_PASS} test('c', { skip: 'needs a thing' }, () => {});` };
    const here = runOver(files);
    assert.deepEqual([here.last, here.status], ['2 passed, 0 failed', 0]);
    assert.match(here.output, /one\.test\.ts: c \(needs a thing\)/);
    const inCi = runOver(files, { env: { CI: 'true' } });
    assert.deepEqual([inCi.last, inCi.status], ['2 passed, 1 failed', 1]);
  });

  test('runs the files that were asked for', () => {
    const files = { 'one.test.ts': TWO_PASS, 'net/two.test.ts': `test('c', () => {});` };
    assert.equal(runOver(files, { args: ['net'] }).last, '1 passed, 0 failed');
    assert.equal(runOver(files, { args: ['./test/one.test.ts', 'net'] }).last, '3 passed, 0 failed');
    const none = runOver(files, { args: ['nothing-like-it'] });
    assert.deepEqual([none.last, none.status], ['0 passed, 0 failed', 1]);
  });

  test('keeps the settings of the person who runs it away from the tests', () => {
    const body = `test('a', () => { if (process.env.LOCALSTREAM_HOME !== undefined) throw new Error('seen'); });`;
    const { last } = runOver({ 'one.test.ts': body }, { env: { LOCALSTREAM_HOME: '/nowhere' } });
    assert.equal(last, '1 passed, 0 failed');
  });
});
