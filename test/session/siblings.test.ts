/** Several servers of one user base: whom a server names, and where a client goes on when it is gone. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { accountSubject, addressSubject, LIMIT_RULES } from '../../src/auth/limits.ts';
import { checkUserName } from '../../src/auth/user-name.ts';
import { PasswordHasher } from '../../src/crypto/passwords.ts';
import {
  type Listener,
  type Localstream,
  LocalstreamError,
  openLocalstream,
  type Session,
} from '../../src/index.ts';
import { PASSWORD as DATABASE_PASSWORD, Mariadb } from '../auth/mariadb.ts';
import { needs } from '../needs.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { Relay } from '../soak/relay.ts';
import { machine, noise, sceneFolder, TEST_FLAGS } from './machines.ts';

const PASSWORD = 'correct horse';
const ann = checkUserName('ann');
const hash = await new PasswordHasher({ policy: { memory: 8192, passes: 1, lanes: 1 } }).hash(PASSWORD);

interface Place {
  readonly base: string;
  readonly share: string;
  readonly local: string;
  readonly alice: Localstream;
  readonly one: Localstream;
  readonly first: Listener;
  /** The way to the first. Without it the first is gone, as a machine that is switched off. */
  readonly way: Relay;
  readonly second: Listener;
  readonly secondKey: Localstream['fingerprint'];
}

/** Two servers with one MariaDB and one share, whose keys alice does not know. */
async function place(t: TestContext, database: Mariadb): Promise<Place> {
  const base = sceneFolder(t);
  const [share, local] = [join(base, 'share'), join(base, 'local')];
  for (const folder of [share, local]) mkdirSync(folder);
  const url = `mysql://localstream@localhost/users?socket=${encodeURIComponent(database.socket)}`;
  const flags = { 'auth.url': url, 'auth.password': DATABASE_PASSWORD };
  const one = await machine(t, base, 'bob', flags);
  const two = await machine(t, base, 'mallory', flags);
  const users = await one.users();
  await users.migrate();
  await users.add(ann, hash);
  await users.grant('*', 'share', ['list', 'read', 'write']);
  const options = {
    port: 0,
    host: '127.0.0.1',
    auth: 'password' as const,
    shares: [{ name: 'share', folder: share, mode: 'rw' as const }],
  };
  const [first, second] = [await one.listen(options), await two.listen(options)];
  const alice = await machine(t, base, 'alice');
  const way = await Relay.start(first.port);
  afterwards(t, () => way[Symbol.asyncDispose]());
  while (((await users.servers?.others(one.fingerprint, Date.now())) ?? []).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
  return { base, share, local, alice, one, first, way, second, secondKey: two.fingerprint };
}

/** Alice is in at the first server, whose key she has been given, or lets in for this once. */
async function logIn({ alice, one, way }: Place, isPinned = true): Promise<Session> {
  const session = await alice.connect({
    host: '127.0.0.1',
    port: way.port,
    ...(isPinned ? { fingerprint: one.fingerprint } : { decide: async () => 'once' as const }),
  });
  await session.login('ann', PASSWORD);
  return session;
}

const code = (wanted: string) => (error: unknown) =>
  error instanceof LocalstreamError && error.code === wanted;
const moves = (listener: Listener) => () =>
  listener.transfers.length > 0 && listener.transfers.every(({ bytes }) => bytes > 1_000_000);
const OPTIONS = { limit: 3_000_000, retryFor: 60_000 };

describe('servers of one user base', needs('mariadbd'), () => {
  for (const isPinned of [true, false])
    test(`transfers go on at the other one, which the first, ${isPinned ? 'pinned' : 'let in once'}, has named`, async (t) => {
      await using database = await Mariadb.start();
      const all = await place(t, database);
      const bytes = noise(6_000_000);
      writeFileSync(join(all.share, 'big'), bytes);
      writeFileSync(join(all.local, 'up'), bytes);
      const session = await logIn(all, isPinned);
      const named = [
        { fingerprint: all.secondKey, name: "mallory's device", addresses: [`127.0.0.1:${all.second.port}`] },
      ];
      assert.deepEqual(
        (await all.alice.trust.get(all.one.fingerprint))?.siblings,
        isPinned ? named : undefined,
      );
      assert.equal(await all.alice.trust.get(all.secondKey), undefined, 'it is no trusted peer');
      const elsewhere: string[] = [];
      const got = session.get(['/share/big'], `${all.local}/`, {
        ...OPTIONS,
        onElsewhere: ({ fingerprint }) => elsewhere.push(fingerprint),
      });
      const put = session.put([join(all.local, 'up')], '/share/', OPTIONS);
      await until(moves(all.first));
      await all.way[Symbol.asyncDispose]();
      for (const receipt of await Promise.all([got, put])) {
        assert.equal(receipt.code, 'OK');
        assert.equal(receipt.peer.fingerprint, all.secondKey);
      }
      assert.equal(session.peer.user, 'ann');
      assert.deepEqual(elsewhere, [all.secondKey], 'it is told');
      assert.deepEqual(readFileSync(join(all.local, 'big')), bytes);
      assert.deepEqual(readFileSync(join(all.share, 'up')), bytes);
    });

  test('no other key will do at the address that was named', async (t) => {
    await using database = await Mariadb.start();
    const all = await place(t, database);
    writeFileSync(join(all.share, 'big'), noise(6_000_000));
    const trap = await openLocalstream({ home: join(all.base, 'trap'), flags: TEST_FLAGS });
    afterwards(t, () => trap.close());
    await (await trap.users()).add(ann, hash);
    const caught: string[] = [];
    const port = await trap.listen({ port: 0, host: '127.0.0.1', auth: 'password' });
    port.on('peer', () => caught.push('a peer'));
    port.on('refused', ({ error }) => caught.push(error.code));
    await database.sql(
      `UPDATE users.auth_servers SET addresses = '["127.0.0.1:${port.port}"]' WHERE name LIKE 'mallory%'`,
    );
    const session = await logIn(all);
    const got = session.get(['/share/big'], `${all.local}/`, { ...OPTIONS, retryFor: 2000 });
    const result = assert.rejects(got, code('LOST'));
    await until(moves(all.first));
    await all.way[Symbol.asyncDispose]();
    await result;
    // It was dialled, and nothing was said to it.
    assert.ok(
      caught.length > 0 && !caught.includes('a peer') && !caught.includes('LOGIN_FAILED'),
      caught.join(),
    );
    await session.close();
  });

  test('who is forgotten does not come back by the word of the first; who forgets the first forgets all', async (t) => {
    await using database = await Mariadb.start();
    const all = await place(t, database);
    const { trust } = all.alice;
    await (await logIn(all)).close();
    assert.equal((await trust.namedBy(all.secondKey))?.fingerprint, all.one.fingerprint);
    // Dialled by hand it is known too, as one of the first's; whom it names counts for nothing.
    const to = { host: '127.0.0.1', port: all.second.port };
    const second = await all.alice.connect(to);
    await second.login('ann', PASSWORD);
    assert.equal(await trust.get(all.secondKey), undefined);
    await second.close();
    assert.equal(await trust.forget(all.secondKey), true);
    await assert.rejects(all.alice.connect(to), code('NOT_TRUSTED'));
    await (await logIn(all)).close();
    assert.deepEqual((await trust.get(all.one.fingerprint))?.siblings, []);
    await trust.forget(all.one.fingerprint);
    await (await logIn(all)).close();
    assert.equal((await trust.get(all.one.fingerprint))?.siblings?.length, 1, 'a new beginning');
  });

  test('failed logins at one count at the other, and after a restart of both', async (t) => {
    await using database = await Mariadb.start();
    const all = await place(t, database);
    const session = await all.alice.connect({
      host: '127.0.0.1',
      port: all.way.port,
      fingerprint: all.one.fingerprint,
    });
    await assert.rejects(session.login('ann', 'wrong'), code('LOGIN_FAILED'));
    const subjects = [accountSubject('ann'), addressSubject('127.0.0.1'), 'all'];
    const users = await all.one.users();
    const noted = await users.failures(subjects);
    assert.deepEqual(
      subjects.map((subject) => noted.get(subject)?.count),
      [1, 1, 1],
    );
    // As if there had been many more of them: a pause that outlasts the test.
    const more = { subject: accountSubject('ann'), forget: LIMIT_RULES.account.forget };
    for (let count = 0; count < 20; count += 1) await users.noteFailures([more], Date.now());
    const other = await all.alice.connect({
      host: '127.0.0.1',
      port: all.second.port,
      fingerprint: all.secondKey,
    });
    await assert.rejects(other.login('ann', PASSWORD), code('LOGIN_LATER'));
    const url = `mysql://localstream@localhost/users?socket=${encodeURIComponent(database.socket)}`;
    const third = await openLocalstream({
      home: join(all.base, 'third'),
      flags: { ...TEST_FLAGS, 'auth.url': url, 'auth.password': DATABASE_PASSWORD },
    });
    afterwards(t, () => third.close());
    await all.first.close();
    await all.second.close();
    const listener = await third.listen({ port: 0, host: '127.0.0.1', auth: 'password' });
    const late = await all.alice.connect({
      host: '127.0.0.1',
      port: listener.port,
      fingerprint: third.fingerprint,
    });
    await assert.rejects(late.login('ann', PASSWORD), code('LOGIN_LATER'));
  });

  test('a server that is closed is named no more, and a row that makes no sense keeps nobody out', async (t) => {
    await using database = await Mariadb.start();
    const all = await place(t, database);
    await all.second.close();
    await database.sql(
      `INSERT INTO users.auth_servers VALUES ('SHA256:x', 'x', '[]', ${Date.now()}), ('${all.alice.fingerprint}', 'y', 'no list', ${Date.now()})`,
    );
    const session = await logIn(all);
    assert.deepEqual((await all.alice.trust.get(all.one.fingerprint))?.siblings ?? [], []);
    await session.close();
    await database.sql('DROP TABLE users.auth_servers');
    await (await logIn(all)).close();
  });
});
