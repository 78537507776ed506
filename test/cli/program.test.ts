import assert from 'node:assert/strict';
import { test } from 'node:test';
import { helpOf, type Invocation, parseWords, type Surface } from '../../src/cli/program.ts';
import { commandsFor } from '../../src/cli/table.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { refused } from './refused.ts';

function parsed(words: string[], surface: Surface = 'once'): Extract<Invocation, { kind: 'command' }> {
  const invocation = parseWords(words, surface);
  assert.equal(invocation.kind, 'command', words.join(' '));
  if (invocation.kind !== 'command') throw new Error('not a command');
  return invocation;
}

test('arguments and options reach their command, checked', () => {
  const { command, input } = parsed(['send-file', '7353', 'a b.pdf', '64K', '--to', 'alice', '--open']);
  assert.equal(command.name, 'send_file');
  assert.deepEqual(input.arguments, { port: 7353, paths: ['a b.pdf', '64K'] });
  assert.equal(input.options['to'], 'alice');
  assert.equal(input.options['open'], true);
  assert.equal(input.options['chunk'], undefined);
});

test('--share is repeated and swallows no argument', () => {
  const { input } = parsed(['add_connection', '--share', 'a', '7353', '--share', 'b=c:rw', '5']);
  assert.deepEqual(input.arguments, { port: 7353, max: 5 });
  assert.deepEqual(input.options['share'], [{ folder: 'a' }, { name: 'b', folder: 'c', mode: 'rw' }]);
  assert.deepEqual(parsed(['serve']).input.options['share'], []);
});

test('global options stand before the command or after it', () => {
  const globals = { json: true, home: '/h', verbose: true, yes: true };
  const flags = ['--json', '--home', '/h', '--verbose', '--yes'];
  assert.deepEqual(parsed([...flags, 'status']).globals, globals);
  assert.deepEqual(parsed(['status', ...flags]).globals, globals);
  assert.deepEqual(parsed(['--json', 'status', '--home', '/h', '--yes', '--verbose']).globals, globals);
  const none = { json: false, home: undefined, verbose: false, yes: false };
  assert.deepEqual(parsed(['status']).globals, none);
  assert.deepEqual(parseWords([], 'once'), { kind: 'shell', globals: none, hidden: false });
  assert.deepEqual(parseWords(flags, 'once'), { kind: 'shell', globals, hidden: false });
});

test('words after -- are no options', () => {
  assert.deepEqual(parsed(['put', '--to', 'nas', '--', '--overwrite']).input.arguments['paths'], [
    '--overwrite',
  ]);
  assert.deepEqual(parsed(['put', '--', '-x', 'nas:/in/']).input.arguments['paths'], ['-x', 'nas:/in/']);
});

test('help and version are understood anywhere', () => {
  assert.deepEqual(parseWords(['-V'], 'once'), { kind: 'version' });
  assert.deepEqual(parseWords(['--json', '--version'], 'once'), { kind: 'version' });
  for (const words of [['--help'], ['-h']]) {
    const invocation = parseWords(words, 'once');
    assert.equal(invocation.kind === 'help' && invocation.help.text, helpOf(undefined, 'once').text);
  }
  for (const surface of ['once', 'shell'] as const) {
    const invocation = parseWords(['get', '--help'], surface);
    assert.equal(invocation.kind === 'help' && invocation.help.text, helpOf('get', surface).text);
  }
});

test('help shows no default of what may be given again', () => {
  for (const { name } of commandsFor('once'))
    assert.doesNotMatch(helpOf(name, 'once').text, /\(default/, name);
});

test('wrong usage is told in one line with what would be right', () => {
  const table: [Surface, string[], RegExp][] = [
    ['once', ['gett'], /^there is no command gett \(did you mean get\?\)$/],
    ['once', ['frobnicate'], /^there is no command frobnicate$/],
    ['once', ['a\x1b[2Jb'], /^there is no command a\\x1b\[2Jb$/],
    ['shell', ['statsu'], /did you mean status\?/],
    ['shell', ['lsit'], /^there is no command lsit \(did you mean ls\?\)$/],
    ['shell', ['sl'], /\(did you mean ls\?\)$/],
    ['shell', ['qiut'], /\(did you mean quit\?\)$/],
    ['shell', ['ptu'], /\(did you mean put\?\)$/],
    ['shell', ['listdir'], /\(did you mean list_dir\?\)$/],
    ['shell', ['--lsit'], /unknown option '--lsit'/],
    ['once', ['--', '--gte'], /^there is no command --gte \(did you mean get\?\)$/],
    ['once', ['disconnect'], /^disconnect works in the shell only$/],
    ['once', ['exit'], /^exit works in the shell only$/],
    ['shell', ['serve'], /^serve works outside the shell only$/],
    ['once', ['--bogus'], /^unknown option '--bogus'$/],
    ['once', ['--hom', 'x'], /unknown option '--hom' \(did you mean --home\?\)/],
    ['once', ['get'], /^get: missing required argument 'paths'$/],
    ['once', ['connect', 'a', '2', 'c'], /^connect: too many arguments: 2 expected, 3 given$/],
    [
      'once',
      ['get', 'nas:/a', '--overwrit'],
      /^get: unknown option '--overwrit' \(did you mean --overwrite\?\)$/,
    ],
    ['once', ['serve', '--port'], /^serve: option '--port <P>' needs a value$/],
    ['once', ['serve', '--port', 'abc'], /"abc" is not a port/],
    ['once', ['serve', '--share', ''], /no folder/],
    ['once', ['get', ''], /a path is empty/],
    ['once', ['connect', 'nas:0'], /no port 0/],
    ['once', ['trust', 'SHA256:abc'], /not a fingerprint/],
    ['once', ['--home', '', 'status'], /--home is empty/],
    ['shell', ['accept', 'x'], /"x" is not the number of a question/],
    ['once', ['--home'], /option '--home <dir>' needs a value/],
  ];
  for (const [surface, words, message] of table) refused(() => parseWords(words, surface), message);
  refused(() => helpOf('gett', 'once'), /there is no command gett \(did you mean get\?\)$/);
});

test('options that other programs want are answered with how it is done here', () => {
  const hintOf = (words: string[]) => {
    try {
      parseWords(words, 'once');
    } catch (error) {
      return error instanceof LocalstreamError ? error.hint : undefined;
    }
    return undefined;
  };
  for (const option of ['-r', '-R', '-a', '-ra', '-p', '-rp', '--recursive'])
    assert.match(hintOf(['get', option, 'nas:/docs', '.']) ?? '', /^leave it out: folders go whole/);
  for (const option of ['-p', '-P'])
    assert.match(hintOf(['list_dir', option, '22', 'nas:']) ?? '', /^write a port behind the host/);
  for (const option of ['-p', '--parents'])
    assert.match(
      hintOf(['mkdir', option, 'nas:/docs/2027/may']) ?? '',
      /^name each folder, the outer one first/,
    );
  for (const option of ['--gitignore', '--follow'])
    assert.match(hintOf(['get', option, 'nas:/docs', '.']) ?? '', /^it is for those who send/);
  for (const option of ['-l', '-la', '-lh', '-al'])
    assert.match(hintOf(['ls', option, 'nas:']) ?? '', /^leave it out: type, size and time/);
  assert.equal(hintOf(['list_dir', '-r', 'nas:']), 'see "help list_dir"');
  assert.equal(hintOf(['verify', '-p', 'x']), 'see "help verify"');
});

test('every command refuses an unknown option and too many arguments', () => {
  for (const surface of ['once', 'shell'] as const) {
    for (const { name, arguments: positional } of commandsFor(surface)) {
      refused(() => parseWords([name, '--no-such-option'], surface), /unknown option/);
      if (Object.values(positional).some(({ kind }) => kind === 'rest')) continue;
      refused(() => parseWords([name, ...Array(9).fill('1')], surface), /too many|is not|names no peer/);
    }
  }
});
