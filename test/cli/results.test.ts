/** Every command that does its work: results on stdout, all else on stderr, and with `--json` nothing but events to the end. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { OutputEvent } from '../../src/cli/events.ts';
import { COMMANDS } from '../../src/cli/table.ts';
import { folderIn, freePort, run, scratch, serve } from './cli-process.ts';
import { checkEvent } from './event-schema.ts';

const { folder, server } = scratch();
const KEY = 'SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM';

/** A line of each command, in an order in which all succeed. */
function linesOf(peer: string, port: number): Readonly<Record<string, string>> {
  return {
    add_connection: `add_connection ${port} 2 --hidden`,
    del_connection: `del_connection ${port}`,
    add_local_connection: `add_local_connection 127.0.0.1 ${port} 1`,
    status: 'status',
    connect: `connect ${peer} --accept-new`,
    list_dir: 'list_dir /docs',
    cd: 'cd /docs',
    pwd: 'pwd',
    lcd: 'lcd .',
    lpwd: 'lpwd',
    lls: 'lls',
    get: 'get a.txt fetched.txt',
    mget: 'mget *.bin',
    put: 'put fetched.txt sent.txt --overwrite',
    mput: 'mput here.txt --overwrite',
    mkdir: 'mkdir new',
    mv: 'mv sent.txt new/',
    rm: 'rm -r --force new',
    jobs: 'jobs',
    wait: 'wait',
    seal: 'seal here.txt --for nas --output here.sealed',
    verify: 'verify fetched.txt',
    identity: 'identity',
    trust: `trust ${KEY} --name ann`,
    rename: 'rename ann anna',
    export: 'export anna',
    peers: 'peers',
    forget: 'forget anna',
    import: `import ${KEY} bob`,
    user: 'user list',
    auth: 'auth migrate',
    sessions: 'sessions',
    history: 'history',
    config: 'config list',
    help: 'help get',
    disconnect: 'disconnect',
    exit: 'exit',
  };
}

/** Commands that want a second machine, a person or minutes, by the file that reads their events. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  accept: 'test/cli/daemon.test.ts',
  cancel: 'test/cli/jobs.test.ts',
  completion: 'test/cli/shell-completion.test.ts',
  doctor: 'test/cli/doctor-path.test.ts',
  fg: 'test/cli/jobs.test.ts',
  kick: 'test/cli/users.test.ts',
  login: 'test/cli/users.test.ts',
  open: 'test/cli/seal.test.ts',
  pair: 'test/cli/codes.test.ts',
  possible_connections: 'test/lan/discovery-cli.test.ts',
  receive: 'test/cli/codes.test.ts',
  receive_file: 'test/cli/commands.test.ts',
  reject: 'test/cli/daemon.test.ts',
  send: 'test/cli/codes.test.ts',
  send_file: 'test/cli/commands.test.ts',
  serve: 'test/cli/cli-process.ts',
  shutdown: 'test/cli/daemon.test.ts',
};

/** What stderr may say beside results. */
const NOTES = [
  /^pinned SHA256:\S+ of .*, unverified$/,
  /^1 file intact, 0 changed, 0 missing, 0 unreadable$/,
  /is connected on|left \d+$/,
];

function workIn(name: string): string {
  const work = folderIn(folder, name);
  writeFileSync(join(work, 'here.txt'), 'here\n');
  return work;
}

test('every command is run here, or where it can be', () => {
  const names = [...Object.keys(linesOf('', 0)), ...Object.keys(ELSEWHERE)];
  assert.deepEqual(names.toSorted(), COMMANDS.map(({ name }) => name).toSorted());
  for (const [name, path] of Object.entries(ELSEWHERE)) {
    const text = readFileSync(join(import.meta.dirname, '../..', path), 'utf8');
    assert.match(text, new RegExp(`\\b${name}\\b`), `${path} has no ${name}`);
  }
});

test('a command that succeeds prints its result on stdout and tells the rest on stderr', async () => {
  const docs = folderIn(folder, 'docs');
  writeFileSync(join(docs, 'a.txt'), 'hello\n');
  writeFileSync(join(docs, 'b.bin'), 'bytes');
  const options = { home: server, env: { LOCALSTREAM_NAME: 'nas' } };
  await using served = await serve(['--open', '--max', '9', '--share', `docs=${docs}:rw`], options);
  const lines = Object.entries(linesOf(served.peer, await freePort()));

  const asEvents = await run([], {
    home: join(folder, 'events-home'),
    cwd: workIn('events'),
    input: lines.map(([, line]) => `${line} --json\n`).join(''),
  });
  assert.deepEqual([asEvents.stderr, asEvents.status], ['', 0], asEvents.stdout);
  const events: OutputEvent[] = asEvents.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const event of events) checkEvent(event);
  assert.deepEqual(
    events.filter(({ event }) => event === 'error'),
    [],
  );
  assert.equal(events.filter(({ event }) => event === 'done').length, lines.length, 'each has its end');

  const asText = await run([], {
    home: join(folder, 'text-home'),
    cwd: workIn('text'),
    input: lines.map(([, line]) => `${line}\n`).join(''),
  });
  assert.equal(asText.status, 0, asText.stderr);
  for (const line of asText.stderr.split('\n').filter((one) => one !== '')) {
    assert.ok(
      NOTES.some((note) => note.test(line)),
      `on stderr: ${line}`,
    );
  }
  for (const line of asText.stdout.split('\n')) {
    assert.ok(
      !NOTES.some((note) => note.test(line)) && !line.startsWith('localstream:'),
      `on stdout: ${line}`,
    );
  }
  const results = [
    /^listening on 127/m,
    /^closed /m,
    /^connected to nas/m,
    /^received 1 file /m,
    /^sent 1 file /m,
  ];
  for (const wanted of [
    ...results,
    /^SHA256:/m,
    /^trusted: ann/m,
    /^forgotten: anna/m,
    /^made /m,
    /^sealed: /m,
  ]) {
    assert.match(asText.stdout, wanted);
  }
});
