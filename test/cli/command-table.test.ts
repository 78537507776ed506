import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Command, GROUPS, kebabCase, namesOf } from '../../src/cli/command.ts';
import { helpOf, parseWords, type Surface } from '../../src/cli/program.ts';
import { COMMANDS, commandsFor } from '../../src/cli/table.ts';
import { tokenise } from '../../src/cli/tokenise.ts';
import { usageOf } from '../../src/cli/usage.ts';

const NAMES = [
  'add_connection',
  'add_local_connection',
  'del_connection',
  'send',
  'receive',
  'pair',
  'seal',
  'open',
  'peers',
  'forget',
  'rename',
  'export',
  'import',
  'send_file',
  'status',
  'login',
  'kick',
  'user',
  'auth',
  'possible_connections',
  'connect',
  'disconnect',
  'receive_file',
  'cd',
  'pwd',
  'lcd',
  'lpwd',
  'lls',
  'sessions',
  'history',
  'config',
  'doctor',
  'completion',
  'jobs',
  'wait',
  'cancel',
  'fg',
  'list_dir',
  'get',
  'put',
  'mget',
  'mput',
  'mkdir',
  'mv',
  'rm',
  'serve',
  'shutdown',
  'identity',
  'trust',
  'verify',
  'accept',
  'reject',
  'help',
  'exit',
];
const GLOBALS = ['json', 'home', 'verbose', 'yes', 'help', 'version'];

function surfacesOf({ scope }: Command): Surface[] {
  return scope === 'both' ? ['shell', 'once'] : [scope];
}

test('the table has every command under its name', () => {
  assert.deepEqual(COMMANDS.map(({ name }) => name).toSorted(), NAMES.toSorted());
});

test('each command answers to its kebab-case form, and no name is taken twice', () => {
  const seen = new Map<string, string>();
  for (const command of COMMANDS) {
    assert.ok(namesOf(command).includes(command.name.replaceAll('_', '-')), command.name);
    for (const name of namesOf(command)) {
      assert.equal(seen.get(name), undefined, `${name} is ${seen.get(name)} and ${command.name}`);
      seen.set(name, command.name);
      assert.match(name, /^[a-z][a-z_-]*$/);
    }
  }
});

test('every command, argument and option is documented in one clause', () => {
  for (const command of COMMANDS) {
    assert.ok(command.group in GROUPS, command.name);
    const clauses = [
      command.summary,
      ...Object.values(command.arguments).map(({ summary }) => summary),
      ...Object.values(command.options).map(({ summary }) => summary),
      ...command.examples.map(({ does }) => does),
    ];
    for (const clause of clauses) assert.match(clause, /^\S.*[^.\s]$/, `${command.name}: ${clause}`);
    assert.match(command.summary, /^[a-z]/, command.name);
    for (const note of command.notes) assert.match(note, /^[A-Z].*\.$/, `${command.name}: ${note}`);
  }
});

test('optional arguments follow the required ones, and no option hides one that every command has', () => {
  for (const command of COMMANDS) {
    const required = Object.values(command.arguments).map((argument) => argument.required);
    assert.deepEqual(
      required,
      required.toSorted((a, b) => Number(b) - Number(a)),
      command.name,
    );
    for (const name of Object.keys(command.options))
      assert.ok(!GLOBALS.includes(name), `${command.name} --${name}`);
  }
});

test('the help of each command names all its arguments, options and examples', () => {
  for (const command of COMMANDS) {
    for (const surface of surfacesOf(command)) {
      const help = helpOf(command.name, surface).text;
      for (const name of Object.keys(command.arguments))
        assert.ok(help.includes(name), `${command.name} ${name}`);
      for (const name of Object.keys(command.options)) {
        assert.ok(help.includes(`--${kebabCase(name)}`), `${command.name} ${name}`);
        assert.ok(usageOf(command).includes(`--${kebabCase(name)}`), `${command.name} ${name}`);
      }
      for (const { line } of command.examples) assert.ok(help.includes(line), `${command.name}: ${line}`);
      for (const line of help.split('\n')) {
        const isExample = command.examples.some((example) => line.includes(example.line));
        assert.ok(isExample || line.length <= 80, `${command.name}: ${line}`);
      }
      for (const alias of namesOf(command)) assert.equal(helpOf(alias, surface).text, help);
    }
  }
});

test('the help of a surface lists exactly its commands', () => {
  for (const surface of ['shell', 'once'] as const) {
    const listed = helpOf(undefined, surface)
      .text.split('\n')
      .map((line) => /^ {2}([a-z_]+) {2}/.exec(line)?.[1])
      .filter((name) => name !== undefined);
    assert.deepEqual(
      listed.toSorted(),
      commandsFor(surface)
        .map(({ name }) => name)
        .toSorted(),
    );
  }
});

test('every example can be typed as it stands', () => {
  for (const command of COMMANDS) {
    for (const surface of surfacesOf(command)) {
      for (const { line } of command.examples) {
        const [typed] = tokenise(line).commands;
        const invocation = parseWords(
          (typed?.words ?? []).map(({ text }) => text),
          surface,
        );
        assert.equal(invocation.kind, 'command', line);
        assert.equal(invocation.kind === 'command' && invocation.command.name, command.name, line);
      }
    }
  }
});
