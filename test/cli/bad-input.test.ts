/**
 * Every command × everything that can be wrong: one line on stderr, its documented status, and with `--json` one error and
 * the end. Many lines run in one process, each forgiven by the `-` before it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ErrorEvent, OutputEvent } from '../../src/cli/events.ts';
import { errorLine } from '../../src/cli/output.ts';
import { parseWords } from '../../src/cli/program.ts';
import { COMMANDS, commandsFor } from '../../src/cli/table.ts';
import { quoteWord } from '../../src/cli/tokenise.ts';
import { type ErrorCode, errorOf, exitOf } from '../../src/errors.ts';
import { ROWS, type Row, rightWords, wrongUsage } from './bad-lines.ts';
import {
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  type Ran,
  type RunOptions,
  run,
  scratch,
  serve,
} from './cli-process.ts';
import { checkEvent } from './event-schema.ts';
import { refused } from './refused.ts';

const { folder, server: serverHome, client } = scratch();
const docs = folderIn(folder, 'docs');
const inbox = folderIn(folder, 'in');
const work = folderIn(folder, 'work');
const here: RunOptions = { home: client, cwd: work };
const SHARES = ['--share', `docs=${docs}`, '--share', `in=${inbox}:wo`];
for (const place of [docs, work]) writeFileSync(join(place, 'a.txt'), 'hello\n');

/** As `localstream` writes it to stderr. */
function lineOf({ code, message, hint }: ErrorEvent): string {
  return errorLine(errorOf(code, message, hint === null ? {} : { hint }));
}

/** Commands of a script: each may fail, and each tells its own events. */
function forgiving(line: string): string {
  const parts = line.split('; ');
  const [name, ...words] = (parts.pop() ?? '').split(' ');
  return [...parts, [`-${name}`, '--json', ...words].join(' ')].join('; ');
}

/**
 * Runs lines that all have to fail, in one process, and gives the errors in their order. Each has told one event, one line
 * and the end that belongs to it.
 */
async function errorsOf(lines: readonly string[], options: RunOptions, before = ''): Promise<ErrorEvent[]> {
  const ran = await run([], { ...options, input: `${before}\n${lines.join('\n')}\n` });
  assert.equal(ran.status, 0, ran.stderr);
  const events: OutputEvent[] = ran.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  for (const event of events) checkEvent(event);
  const errors = events.filter((event) => event.event === 'error');
  const ends = events.filter((event) => event.event === 'done');
  assert.equal(ends.length, lines.length, 'each has its end');
  const wanted = errors.map(({ code }) => ({ event: 'done', exit: exitOf(code), code }));
  for (const [index, line] of lines.entries()) assert.deepEqual(ends[index], wanted[index], line);
  const told = ran.stderr.split('\n').filter((line) => line.startsWith('localstream: '));
  assert.deepEqual(told, errors.map(lineOf));
  return errors;
}

/** What a command has failed with: one line on stderr and nothing on stdout but the events. */
function errorOfRun(ran: Ran): ErrorEvent {
  const errors = eventsNamed(eventsOf(ran), 'error');
  const [error] = errors;
  assert.ok(error !== undefined && errors.length === 1, ran.stdout);
  assert.equal(ran.status, exitOf(error.code), error.code);
  assert.equal(
    ran.stderr.split('\n').filter((line) => line.startsWith('localstream: ')).length,
    1,
    ran.stderr,
  );
  assert.ok(ran.stderr.endsWith(`${lineOf(error)}\n`), ran.stderr);
  return error;
}

/** Four processes at a time. */
async function each<Item>(items: readonly Item[], use: (item: Item) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await use(item);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

/** The lines of one column of the table. */
function column<Key extends 'alone' | 'forbidden'>(key: Key): (readonly [line: string, code: ErrorCode])[] {
  return Object.values(ROWS).flatMap((row) => {
    const cell: Row[Key] = row[key];
    return cell === undefined ? [] : [cell];
  });
}

test('every command has a row, and dials where it can be told how', () => {
  assert.deepEqual(
    Object.keys(ROWS).toSorted(),
    COMMANDS.map(({ name }) => name).toSorted(),
    'a new command needs a row in bad-lines.ts',
  );
  for (const { name, options, scope } of COMMANDS) {
    const row = ROWS[name];
    if ('acceptNew' in options && scope !== 'shell') assert.ok(row?.dials, `${name} dials`);
    for (const line of [row?.alone?.[0], row?.dials, row?.forbidden?.[0]]) {
      if (line !== undefined) assert.ok(line.split('; ').at(-1)?.startsWith(`${name}`), line);
    }
  }
});

describe('wrong usage', () => {
  test('in the shell: no arguments, too many, wrong ones, unknown options', async () => {
    const all = commandsFor('shell').flatMap(wrongUsage);
    assert.ok(all.length > 300, String(all.length));
    const lines = all.map(({ words: [name = '', ...words] }) =>
      [`-${name}`, '--json', ...words.map(quoteWord)].join(' '),
    );
    const errors = await errorsOf(lines, here);
    for (const [index, { why, words }] of all.entries()) {
      assert.equal(errors[index]?.exit, 2, `${why}: ${words.join(' ')}: ${errors[index]?.message}`);
    }
  });

  test('outside the shell it is the same', async () => {
    for (const { words } of commandsFor('once').flatMap(wrongUsage)) {
      refused(() => parseWords(words, 'once'), /./);
    }
    await each(commandsFor('once'), async (command) => {
      const [unknown] = wrongUsage(command);
      const error = errorOfRun(await run([...(unknown?.words ?? []), '--json'], here));
      assert.equal(error.code, 'USAGE');
      assert.equal(error.message, `${command.name}: unknown option '--no-such-option'`);
    });
  });

  test('a command of the other side says where it works', async () => {
    const shellOnly = COMMANDS.filter(({ scope }) => scope === 'shell').map(({ name }) => name);
    for (const name of shellOnly) refused(() => parseWords([name], 'once'), /works in the shell only/);
    const [first = ''] = shellOnly;
    assert.equal(errorOfRun(await run([first, '--json'], here)).code, 'USAGE');
    const onceOnly = COMMANDS.filter(({ scope }) => scope === 'once').map(({ name }) => name);
    const errors = await errorsOf(onceOnly.map(forgiving), here);
    for (const error of errors) assert.match(error.message, /works outside the shell only/);
  });
});

test('where nothing is open, each says what is missing', async () => {
  const cells = column('alone');
  const errors = await errorsOf(
    cells.map(([line]) => forgiving(line)),
    here,
  );
  for (const [index, [line, code]] of cells.entries()) {
    assert.equal(errors[index]?.code, code, `${line}: ${errors[index]?.message}`);
  }
});

test('what is here and is not what it should be is told without the words of the system', async () => {
  const cases: readonly (readonly [line: string, code: ErrorCode])[] = [
    ['lcd a.txt', 'NOT_A_FOLDER'],
    ['lls a.txt/x', 'NOT_A_FOLDER'],
    ['send_file 7353 nowhere.txt', 'NO_SERVER'],
    ['receive nowhere/', 'NOT_FOUND'],
    ['receive a.txt', 'NOT_A_FOLDER'],
    ['seal a.txt', 'USAGE'],
    ['open nowhere.sealed', 'NOT_FOUND'],
    ['seal . --for nobody', 'USAGE'],
  ];
  const errors = await errorsOf(
    cases.map(([line]) => forgiving(line)),
    here,
  );
  for (const [index, [line, code]] of cases.entries()) {
    assert.equal(errors[index]?.code, code, `${line}: ${errors[index]?.message}`);
    assert.doesNotMatch(errors[index]?.message ?? '', /\bE[A-Z]{4,}\b/, line);
  }
});

test('outside the shell, commands for a server say that none is running', async () => {
  const forServer = commandsFor('once').filter(({ server }) => server?.once === 'needed');
  assert.ok(forServer.length > 0);
  await each(forServer, async (command) => {
    const error = errorOfRun(await run([...rightWords(command), '--json'], here));
    assert.deepEqual([error.code, error.exit], ['NO_SERVER', 1], command.name);
  });
});

test('where the home can not be used, each that needs it says so', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const lines = Object.values(ROWS).flatMap(({ alone, dials, homeless }) => {
    const line = dials?.replaceAll('PEER', '127.0.0.1:1') ?? alone?.[0];
    return line === undefined || homeless ? [] : [line];
  });
  const errors = await errorsOf(lines.map(forgiving), { ...here, home: join(file, 'home') });
  for (const [index, line] of lines.entries()) {
    assert.equal(errors[index]?.code, 'STATE', `${line}: ${errors[index]?.message}`);
  }
});

describe('a server', () => {
  const dialling = Object.values(ROWS).flatMap(({ dials }) => (dials === undefined ? [] : [dials]));
  const at = (line: string, peer: string) => [...line.replaceAll('PEER', peer).split(' '), '--json'];

  test('that is not there is told by each command that dials', async () => {
    const peer = `127.0.0.1:${await freePort()}`;
    await each(dialling, async (line) => {
      assert.equal(errorOfRun(await run(at(line, peer), here)).code, 'UNREACHABLE', line);
    });
  });

  test('that does not know this machine lets none of them in', async () => {
    await using served = await serve(['--max', '20', ...SHARES], { home: serverHome });
    await each(dialling, async (line) => {
      const isCode = line.includes('7-nebula-duffel');
      const words = [...at(line, served.peer), ...(isCode ? [] : ['--fingerprint', served.fingerprint])];
      const error = errorOfRun(await run(words, here));
      assert.equal(error.exit, 3, `${line}: ${error.code}`);
    });
  });

  test('that does not allow it refuses, and that is gone is missed', async () => {
    await using served = await serve(['--open', '--max', '20', ...SHARES], { home: serverHome });
    const visitor = { ...here, home: join(folder, 'visitor-home') };
    const connect = `connect ${served.peer} --accept-new`;
    const cells = column('forbidden');
    const errors = await errorsOf(
      cells.map(([line]) => forgiving(line)),
      visitor,
      connect,
    );
    for (const [index, [line, code]] of cells.entries()) {
      assert.equal(errors[index]?.code, code, `${line}: ${errors[index]?.message}`);
    }
    const lost = [
      'list_dir /docs',
      'cd /docs/x',
      'get /docs/a.txt --retry-for 0',
      'mkdir /docs/x',
      'login ann',
    ];
    const gone = await errorsOf(
      lost.map(forgiving),
      visitor,
      `${connect}\n!kill -9 ${served.running.child.pid}`,
    );
    for (const [index, line] of lost.entries()) {
      const { code = '' } = gone[index] ?? {};
      assert.ok(['NOT_CONNECTED', 'LOST', 'UNREACHABLE'].includes(code), `${line}: ${code}`);
    }
    await served.running.ended;
  });
});
