import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { SessionStore } from '../../src/store/session-store.ts';
import { otherProcess, someFingerprint, temporaryHome, warnings } from './temporary-home.ts';

const BOUNDS = { keep: 1000, transfers: 20, paths: 5 };
const BOB = {
  role: 'server',
  peer: { fingerprint: someFingerprint(2), name: 'bob', trusted: true },
  address: '192.0.2.2',
  port: 40_000,
  listener: 7353,
} as const;

test('a session is written with who, from where, what crossed and how it ended', async (t) => {
  const home = temporaryHome(t);
  const store = new SessionStore(home, BOUNDS);
  const id = store.begin(BOB);
  const paths = (function* () {
    for (let number = 0; ; number++) yield `docs/${number}.pdf`;
  })();
  store.transfer(id, { id: 'a1', direction: 'send', paths, files: 9, bytes: 100, digest: 'd1', code: 'OK' });
  store.transfer(id, { id: 'a2', direction: 'receive', paths: ['b'], files: 1, bytes: 7, code: 'LOST' });
  store.end(id, { code: 'LOST', reason: 'no answer for 30 s' });
  store.end(id, { code: 'OK' });
  await store.close();
  const [session, ...others] = await new SessionStore(home, BOUNDS).list();
  assert.deepEqual(others, []);
  assert.deepEqual({ ...session, ...BOB }, session);
  assert.deepEqual(
    [session?.sent, session?.received],
    [
      { files: 9, bytes: 100 },
      { files: 1, bytes: 7 },
    ],
  );
  const [first, second] = session?.transfers ?? [];
  assert.deepEqual(first?.paths, ['docs/0.pdf', 'docs/1.pdf', 'docs/2.pdf', 'docs/3.pdf', 'docs/4.pdf']);
  assert.deepEqual([first?.digest, second?.digest, second?.code], ['d1', null, 'LOST']);
  assert.deepEqual([session?.end?.code, session?.end?.reason], ['LOST', 'no answer for 30 s']);
  assert.equal(statSync(home.sessionsFile).mode & 0o777, 0o600);
});

test('what is not written yet is listed, and since leaves out the older', async (t) => {
  const store = new SessionStore(temporaryHome(t), BOUNDS);
  const id = store.begin(BOB);
  assert.equal((await store.list())[0]?.id, id);
  assert.equal((await store.list())[0]?.end, null);
  assert.deepEqual(await store.list({ since: new Date(Date.now() + 60_000) }), []);
  await store.close();
  assert.equal((await store.list())[0]?.end?.code, 'CLOSED');
});

test('a busy server writes by itself, but not for each note', async (t) => {
  const home = temporaryHome(t);
  await using store = new SessionStore(home, BOUNDS);
  const id = store.begin(BOB);
  const versions = new Set<bigint>();
  let crossed = 0;
  // Until it has been written three times, each time as another file.
  while (versions.size < 3) {
    store.transfer(id, { id: 'a', direction: 'send', paths: ['p'], files: 1, bytes: 1, code: 'OK' });
    crossed += 1;
    if (existsSync(home.sessionsFile)) versions.add(statSync(home.sessionsFile, { bigint: true }).mtimeNs);
    await pause(2);
  }
  assert.ok(crossed > 10 * versions.size, `${crossed} notes in ${versions.size} writes`);
  await store.flush();
  assert.equal(JSON.parse(readFileSync(home.sessionsFile, 'utf8')).sessions[0].sent.files, crossed);
});

test('the history is bounded: sessions, transfers, paths, the length of a name, and the whole', async (t) => {
  const home = temporaryHome(t);
  const store = new SessionStore(home, { keep: 5, transfers: 2, paths: 1 });
  for (let number = 0; number < 12; number++) {
    const id = store.begin({ ...BOB, port: number, peer: { ...BOB.peer, name: 'n'.repeat(1e6) } });
    for (const transfer of ['a', 'b', 'c']) {
      const paths = ['p'.repeat(1e6), 'q'];
      store.transfer(id, { id: transfer, direction: 'send', paths, files: 2, bytes: 1, code: 'OK' });
    }
    store.end(id, { code: 'OK', reason: 'r'.repeat(1e6) });
    await store.flush();
  }
  const sessions = await store.list();
  assert.deepEqual(
    sessions.map(({ port }) => port),
    [11, 10, 9, 8, 7],
  );
  assert.deepEqual(
    sessions[0]?.transfers.map(({ id }) => id),
    ['b', 'c'],
  );
  assert.equal(sessions[0]?.sent.files, 6);
  assert.equal(sessions[0]?.transfers[0]?.paths.length, 1);
  assert.ok(statSync(home.sessionsFile).size < 20_000);

  const large = new SessionStore(home, { keep: 100_000, transfers: 1000, paths: 1000 });
  const paths = Array.from({ length: 1000 }, () => 'p'.repeat(250));
  for (let number = 0; number < 20; number++) {
    large.transfer(large.begin(BOB), {
      id: 'a',
      direction: 'send',
      paths,
      files: 1000,
      bytes: 1,
      code: 'OK',
    });
  }
  await large.close();
  assert.ok(statSync(home.sessionsFile).size < 5 * 1024 * 1024);
  assert.ok((await large.list()).length >= 5);
});

test('several processes write at once and all their sessions are there', async (t) => {
  const home = temporaryHome(t);
  const runs = await Promise.all([1, 2, 3].map(() => otherProcess(['sessions', home.data, '20'])));
  assert.deepEqual(
    runs.map((run) => run.output + run.errors),
    ['', '', ''],
  );
  const sessions = await new SessionStore(home, BOUNDS).list();
  assert.equal(sessions.length, 60);
  assert.equal(new Set(sessions.map(({ pid }) => pid)).size, 3);
});

test('a session whose process was killed shows as lost', async (t) => {
  const home = temporaryHome(t);
  await otherProcess(['session-left', home.data]);
  assert.equal(JSON.parse(readFileSync(home.sessionsFile, 'utf8')).sessions[0].end, null);
  assert.equal((await new SessionStore(home, BOUNDS).list())[0]?.end?.code, 'LOST');
});

test('sessions are forgotten: chosen ones, or all that ended', async (t) => {
  const store = new SessionStore(temporaryHome(t), BOUNDS);
  const [first, second, third] = [store.begin(BOB), store.begin(BOB), store.begin(BOB)];
  store.end(second, { code: 'OK' });
  assert.equal(await store.forget([first]), 1);
  store.transfer(first, { id: 'a', direction: 'send', paths: [], files: 1, bytes: 1, code: 'OK' });
  await store.flush();
  assert.deepEqual(new Set((await store.list()).map(({ id }) => id)), new Set([second, third]));
  assert.equal(await store.forget(), 1);
  assert.deepEqual(
    (await store.list()).map(({ id }) => id),
    [third],
  );
  await store.close();
});

test('a history that cannot be written is told once, disturbs nobody and is written later', async (t) => {
  const home = temporaryHome(t);
  mkdirSync(home.sessionsFile);
  const { warn, told } = warnings();
  const store = new SessionStore(home, { ...BOUNDS, keep: 3 }, warn);
  for (let number = 0; number < 10; number++) {
    store.end(store.begin({ ...BOB, port: number }), { code: 'OK' });
    await store.flush();
  }
  assert.equal(told.length, 1);
  rmdirSync(home.sessionsFile);
  await store.close();
  assert.deepEqual(
    (await store.list()).map(({ port }) => port),
    [9, 8, 7],
  );
});

test('a history that could not be written is written by itself as soon as it can be', async (t) => {
  const home = temporaryHome(t);
  mkdirSync(home.sessionsFile);
  const { warn, told } = warnings();
  await using store = new SessionStore(home, BOUNDS, warn);
  store.begin(BOB);
  await store.flush();
  assert.equal(told.length, 1);
  rmdirSync(home.sessionsFile);
  while (!existsSync(home.sessionsFile)) await pause(50);
  assert.equal((await new SessionStore(home, BOUNDS).list()).length, 1);
});

test('sessions that begin in the same millisecond stay in their order', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  const home = temporaryHome(t);
  const store = new SessionStore(home, { ...BOUNDS, keep: 3 });
  for (const numbers of [
    [1, 2],
    [3, 4, 5],
  ]) {
    for (const port of numbers) store.end(store.begin({ ...BOB, port }), { code: 'OK' });
    await store.flush();
  }
  await store.close();
  const ports = (await new SessionStore(home, BOUNDS).list()).map(({ port }) => port);
  assert.deepEqual(ports, [5, 4, 3]);
});

test('a broken history is set aside, a newer one stays, and no note throws', async (t) => {
  const home = temporaryHome(t);
  for (const content of ['', '{"version":1,"sessions":[{]', '{"version":1,"sessions":[{"id":1}]}', 'x']) {
    writeFileSync(home.sessionsFile, content, { mode: 0o600 });
    const { warn, told } = warnings();
    const store = new SessionStore(home, BOUNDS, warn);
    store.begin(BOB);
    await store.close();
    assert.equal(told.length, 1, content);
    assert.equal((await store.list()).length, 1);
  }
  assert.equal(readdirSync(home.data).filter((name) => name.includes('.broken-')).length, 4);
  const newer = '{"version":2,"sessions":[]}';
  writeFileSync(home.sessionsFile, newer);
  const { warn, told } = warnings();
  const store = new SessionStore(home, BOUNDS, warn);
  store.begin(BOB);
  await store.close();
  assert.match(told.join(), /newer/);
  await assert.rejects(store.list(), { code: 'STATE' });
  assert.equal(readFileSync(home.sessionsFile, 'utf8'), newer);
});

test('changes in shares are kept: the last ones, and a folder that goes part by part is one', async (t) => {
  await using store = new SessionStore(temporaryHome(t), { keep: 9, transfers: 3, paths: 5 });
  const id = store.begin(BOB);
  for (const entries of [256, 256, 7]) store.changed(id, { action: 'rm', path: '/a', to: null, entries });
  store.changed(id, { action: 'mv', path: '/b', to: '/c', entries: 1 });
  for (const path of ['/1', 'x'.repeat(5000)])
    store.changed(id, { action: 'mkdir', path, to: null, entries: 1 });
  store.changed('nobody', { action: 'rm', path: '/a', to: null, entries: 1 });
  const [session] = await store.list();
  assert.deepEqual(
    session?.changes.map(({ action, path, to, entries }) => [action, path.length, to, entries]),
    [
      ['mv', 2, '/c', 1],
      ['mkdir', 2, null, 1],
      ['mkdir', 256, null, 1],
    ],
  );
  store.changed(id, { action: 'rm', path: '/a', to: null, entries: 256 });
  store.changed(id, { action: 'rm', path: '/a', to: null, entries: 1 });
  store.end(id, { code: 'OK' });
  store.changed(id, { action: 'rm', path: '/late', to: null, entries: 1 });
  await store.flush();
  const [kept] = await store.list();
  assert.deepEqual(
    [kept?.changes.length, kept?.changes.at(-1)?.entries, kept?.changes.at(-1)?.path],
    [3, 257, '/a'],
  );
});
