import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorOf } from '../../src/errors.ts';
import { ErrorLog } from '../../src/store/error-log.ts';
import { loadIdentity } from '../../src/store/identity-store.ts';
import { someFingerprint, temporaryHome, warnings } from './temporary-home.ts';

const BOUNDS = { maxBytes: 1024 * 1024, keep: 3 };

function linesOf(path: string) {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('an error is a line with time, peer, code and the chain of its causes', async (t) => {
  const home = temporaryHome(t);
  const log = new ErrorLog(home, BOUNDS);
  assert.deepEqual(readdirSync(home.log), [], 'nothing is made before the first error');
  const bottom = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  const cause = new Error('the socket broke', { cause: bottom });
  log.write({
    error: errorOf('LOST', 'bob is gone', { cause }),
    peer: someFingerprint(1),
    address: '192.0.2.1',
  });
  await log.close();
  const [{ time, ...line }, ...others] = linesOf(home.errorLog);
  assert.deepEqual(others, []);
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.deepEqual(line, {
    level: 'error',
    pid: process.pid,
    peer: someFingerprint(1),
    address: '192.0.2.1',
    name: 'UnavailableError',
    code: 'LOST',
    message: 'bob is gone',
    causes: [
      { name: 'Error', message: 'the socket broke' },
      { name: 'Error', code: 'ECONNRESET', message: 'read ECONNRESET' },
    ],
  });
  assert.equal(statSync(home.errorLog).mode & 0o777, 0o600);
});

test('the stack of an error that nobody foresaw is kept', async (t) => {
  const home = temporaryHome(t);
  const log = new ErrorLog(home, BOUNDS);
  log.write({ error: new TypeError('x is not a function') });
  await log.close();
  log.write({ error: new TypeError('again') });
  await log.close();
  const [first, second] = linesOf(home.errorLog);
  assert.match(first.stack, /error-log\.test\.ts/);
  assert.equal(second.message, 'again', 'a closed log opens again');
});

test('whatever is thrown is taken, and nothing is thrown back', async (t) => {
  const home = temporaryHome(t);
  const log = new ErrorLog(home, BOUNDS);
  const circle = new Error('circle');
  circle.cause = circle;
  const hostile = new Error('hostile');
  Object.defineProperty(hostile, 'message', {
    get: () => {
      throw new Error('no');
    },
  });
  const deep = Array.from({ length: 50 }).reduce<Error>(
    (cause, _, index) => new Error(String(index), { cause }),
    circle,
  );
  for (const error of [undefined, null, 5, 'text', Symbol('s'), {}, circle, hostile, deep])
    log.write({ error });
  await log.close();
  const lines = linesOf(home.errorLog);
  assert.equal(lines.length, 9);
  assert.equal(lines[3].message, 'text');
  assert.equal(lines[8].causes.length, 8);
});

test('controls are escaped, long texts cut, one line an error', async (t) => {
  const home = temporaryHome(t);
  const log = new ErrorLog(home, BOUNDS);
  log.write({
    error: errorOf('IO', 'a\u001b[2J\u009b1m\r\n\u202e'),
    doing: `get ${'x'.repeat(1e6)}`,
    address: '\u0000',
  });
  await log.close();
  const text = readFileSync(home.errorLog, 'utf8');
  assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  assert.equal(linesOf(home.errorLog).length, 1);
  assert.ok(text.length < 5000);
});

test('secrets are not logged', async (t) => {
  const home = temporaryHome(t);
  await loadIdentity(home);
  const { signingKey } = JSON.parse(readFileSync(home.identityFile, 'utf8'));
  const log = new ErrorLog(home, BOUNDS);
  const texts = [
    `bad key ${signingKey}`,
    'connect mysql://admin:hunter2@db/users failed',
    'password="hunter2 hunter2" refused',
    'PASSWD: hunter2',
    `hash $argon2id$v=19$m=1,t=1,p=1$c2FsdA$${'hunter2'}`,
    'code 7-crossword-hunter burned',
  ];
  const withField = Object.assign(new Error('plain', { cause: texts[1] }), {
    password: 'hunter2',
    signingKey,
  });
  for (const error of [...texts.map((text) => errorOf('IO', text)), withField, texts[2]]) {
    log.write({ error, doing: texts[1] ?? '' });
  }
  await log.close();
  const text = readFileSync(home.errorLog, 'utf8');
  assert.equal(linesOf(home.errorLog).length, 8);
  assert.doesNotMatch(text, /hunter/);
  assert.ok(!text.includes(signingKey.slice(100, 140)));
  assert.match(text, /mysql:\/\/admin:\(password\)@db/);
});

test('the log is rotated by size and bounded, private throughout', async (t) => {
  const home = temporaryHome(t);
  const previous = process.umask(0);
  t.after(() => process.umask(previous));
  const log = new ErrorLog(home, { maxBytes: 4096, keep: 2 });
  for (let number = 0; number < 100; number++)
    log.write({ error: errorOf('IO', `${number} ${'x'.repeat(200)}`) });
  await log.close();
  const names = readdirSync(home.log).sort();
  assert.deepEqual(names, ['error.log', 'error.log.1', 'error.log.2']);
  for (const name of names) {
    const { size, mode } = statSync(`${home.log}/${name}`);
    assert.ok(size < 5000, `${name} has ${size} bytes`);
    assert.equal(mode & 0o777, 0o600);
  }
  const messages = names
    .toReversed()
    .flatMap((name) => linesOf(`${home.log}/${name}`).map(({ message }) => Number.parseInt(message, 10)));
  assert.equal(messages.at(-1), 99);
  assert.deepEqual(
    messages,
    messages.toSorted((a, b) => a - b),
  );
});

test('a flood of errors is bounded, and what was left out is counted', async (t) => {
  const home = temporaryHome(t);
  const log = new ErrorLog(home, BOUNDS);
  for (let number = 0; number < 20_000; number++) log.write({ error: errorOf('BAD_HANDSHAKE') });
  await log.close();
  const written = linesOf(home.errorLog).length;
  assert.ok(written >= 200 && written < 2000, String(written));
});

test('a log that cannot be written is told once and stops nobody', async (t) => {
  const home = temporaryHome(t);
  rmSync(home.log, { recursive: true });
  writeFileSync(home.log, 'a file');
  const { warn, told } = warnings();
  const log = new ErrorLog(home, BOUNDS, warn);
  for (let number = 0; number < 5; number++) log.write({ error: new Error('x') });
  await log.close();
  log.write({ error: new Error('x') });
  await log.close();
  assert.equal(told.length, 1);
  assert.ok(existsSync(home.log));
});
