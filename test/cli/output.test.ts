import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EntryEvent } from '../../src/cli/events.ts';
import { encodeEvent, errorLine, Output } from '../../src/cli/output.ts';
import { Screen } from '../../src/cli/screen.ts';
import { errorOf } from '../../src/errors.ts';

function screenOf(): { screen: Screen; out: () => string; err: () => string } {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const read = (stream: PassThrough) => () => String(stream.read() ?? '');
  return { screen: new Screen(stdout, stderr), out: read(stdout), err: read(stderr) };
}

function entry(name: string): EntryEvent {
  return { event: 'entry', name, type: 'file', size: 1, mtime: new Date(0).toISOString(), mode: 0o644 };
}

test('for people results go to stdout and the rest to stderr', () => {
  const { screen, out, err } = screenOf();
  const output = new Output(screen);
  output.result(entry('a'), () => 'a');
  output.note('careful', { event: 'notice', message: 'careful' });
  output.event(entry('b'));
  output.detail('hidden');
  output.done(0, 'OK');
  assert.equal(out(), 'a\n');
  assert.equal(err(), 'careful\n');
});

test('with --json everything is an event on stdout, and errors are on stderr besides', () => {
  const { screen, out, err } = screenOf();
  const output = new Output(screen, { json: true });
  output.result(entry('a'), () => assert.fail('no text is made'));
  output.note('careful');
  const error = errorOf('NOT_FOUND', 'a.pdf: there is no such file', { hint: 'check the path' });
  output.error(error);
  output.error(error);
  output.done(1, 'NOT_FOUND');
  const events = out()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(events, [
    entry('a'),
    { event: 'notice', message: 'careful' },
    {
      event: 'error',
      code: 'NOT_FOUND',
      exit: 1,
      message: 'a.pdf: there is no such file',
      hint: 'check the path',
    },
    { event: 'done', exit: 1, code: 'NOT_FOUND' },
  ]);
  assert.equal(err(), 'localstream: a.pdf: there is no such file; check the path\n');
});

test('an error is one line, whatever its message holds', () => {
  const error = errorOf('IO', 'a\nb\r\x1b[2J\u202e', { hint: 'c\nd' });
  assert.equal(errorLine(error), 'localstream: a\\nb\\r\\x1b[2J\\u{202e}; c\\nd');
});

test('--verbose tells the causes', () => {
  const { screen, err } = screenOf();
  const cause = new Error('the disk said no', { cause: new Error('it is old') });
  new Output(screen, { verbose: true }).error(errorOf('IO', 'it failed', { cause }));
  const text = err();
  assert.match(text, /^localstream: it failed\n {2}Error: the disk said no\n/);
  assert.match(text, /it is old/);
});

test('an event is one line of exact JSON that no terminal acts on', () => {
  const character = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom(
      '\n',
      '\x1b',
      '\x7f',
      '\x9b',
      '\u2028',
      '\u202e',
      '\ufeff',
      '\u200b',
      '\udcff',
      '\ud83d',
      '😀',
      '"',
    ),
    fc.constant('\u{e0041}'),
  );
  fc.assert(
    fc.property(fc.string({ unit: character }), (name) => {
      const line = encodeEvent(entry(name));
      assert.equal(JSON.parse(line).name, name);
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
  );
});

test('after its reader has gone, output is dropped and told once', async () => {
  const { screen } = screenOf();
  let told = 0;
  screen.onGone = () => {
    told += 1;
  };
  screen.stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  screen.stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  screen.out('lost\n');
  await screen.ready();
  assert.equal(told, 1);
  assert.equal(screen.isGone, true);
  assert.equal(screen.failure, undefined);
});

test('a full disk under stdout is a failure', () => {
  const { screen } = screenOf();
  screen.stdout.emit('error', Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' }));
  assert.match(screen.failure?.message ?? '', /ENOSPC/);
});

test('what is held back for a question is printed after it, in order', () => {
  const [stdout, stderr] = [
    Object.assign(new PassThrough(), { isTTY: true }),
    Object.assign(new PassThrough(), { isTTY: true }),
  ];
  const screen = new Screen(stdout, stderr);
  {
    using _held = screen.hold();
    screen.err('one\n');
    screen.err('two\n');
    assert.equal(stderr.read(), null);
  }
  assert.equal(String(stderr.read()), 'one\ntwo\n');
});
