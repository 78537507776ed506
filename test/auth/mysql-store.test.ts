import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { accountSubject, addressSubject, type LimitRule } from '../../src/auth/limits.ts';
import { Logins } from '../../src/auth/login.ts';
import { openUserStore } from '../../src/auth/open-store.ts';
import { checkUserName } from '../../src/auth/user-name.ts';
import type { User, UserStore } from '../../src/auth/user-store.ts';
import { settleSettings } from '../../src/config.ts';
import { PasswordHasher } from '../../src/crypto/passwords.ts';
import type { LocalstreamError } from '../../src/errors.ts';
import { needs } from '../needs.ts';
import { someFingerprint, temporaryFolder } from '../store/temporary-home.ts';
import phc from '../vectors/phc.json' with { type: 'json' };
import { hostileTexts } from './hostile-texts.ts';
import { Cutter, Mariadb, PASSWORD } from './mariadb.ts';
import { alice, bob, code, storeSuite } from './store-suite.ts';

const hasher = new PasswordHasher({ policy: { memory: 64, passes: 1, lanes: 1 } });
const device = someFingerprint(1);
const address = '192.0.2.1';

let server: Mariadb;
let tables = 0;
const tableOf = new WeakMap<TestContext, string>();

/** Milliseconds: far more than a busy machine takes, so that only what is stalled on purpose is ever late. */
const PATIENCE = 20_000;

function authSettings(flags: Record<string, unknown> = {}) {
  const url = `mysql://localstream@localhost/users?socket=${server.socket}`;
  const values = { 'auth.url': url, 'auth.password': PASSWORD, 'auth.timeout': PATIENCE, ...flags };
  return settleSettings({ flags: values }).settings.auth;
}

async function openWith(t: TestContext, flags: Record<string, unknown>): Promise<UserStore> {
  const store = await openUserStore(join(temporaryFolder(t), 'users.db'), authSettings(flags));
  t.after(() => store[Symbol.asyncDispose]());
  return store;
}

/** A store on tables of its own, made by its own migration. */
async function open(t: TestContext, flags: Record<string, unknown> = {}): Promise<UserStore> {
  const known = tableOf.get(t);
  const table = known ?? `auth_${++tables}`;
  tableOf.set(t, table);
  const store = await openWith(t, { 'auth.table': table, ...flags });
  if (known === undefined) {
    assert.equal((await store.migration()).length, 4);
    await store.migrate();
  }
  return store;
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, 'close');
  return port;
}

describe('MariaDB', needs('mariadbd'), () => {
  before(async () => {
    server = await Mariadb.start();
  });
  after(() => server[Symbol.asyncDispose]());

  describe('a store in a database', () => storeSuite(open));

  it('shows the SQL that makes the tables, and nothing once they are there', async (t) => {
    const store = await openWith(t, { 'auth.table': 'fresh' });
    const statements = await store.migration();
    assert.deepEqual(
      statements.map((statement) => /^CREATE TABLE `(\w+)`/.exec(statement)?.[1]),
      ['fresh', 'fresh_rights', 'fresh_limits', 'fresh_servers'],
    );
    await assert.rejects(store.find(bob), (error: LocalstreamError) => {
      assert.equal(error.code, 'NO_USERS');
      assert.match(error.hint ?? '', /auth migrate/);
      return true;
    });
    for (const statement of statements) await server.sql('USE users', statement).catch(() => {});
    await store.migrate();
    assert.deepEqual(await store.migration(), []);
    await store.add(bob, 'x');
    assert.equal((await store.find(bob))?.hash, 'x');
  });

  it('completes a table that was there before', async (t) => {
    await server.sql(
      'CREATE TABLE users.old (id INT AUTO_INCREMENT PRIMARY KEY, username VARCHAR(50), password VARCHAR(60)) COLLATE utf8mb4_general_ci',
      `INSERT INTO users.old (username, password) VALUES ('Bob', '${phc.verified['bcrypt 2y'][1]}'), ('', ''), ('ghost', NULL)`,
    );
    const store = await openWith(t, { 'auth.table': 'old' });
    const [change] = await store.migration();
    assert.match(change ?? '', /^ALTER TABLE `old` MODIFY COLUMN `password` .*ADD COLUMN `disabled`/);
    await store.migrate();
    assert.deepEqual(await store.migration(), []);
    const logins = new Logins(store, { hasher, step: 0 });
    const login = (name: string, password: string) => logins.login({ name, password, address, device });
    assert.equal((await login('Bob', 'password')).name, 'Bob');
    // The collation takes them for one, and the login does not.
    await assert.rejects(login('bob', 'password'), code('LOGIN_FAILED'));
    await store.add(bob, 'x');
    await store.setPassword(bob, 'y');
    await store.setDisabled(bob, true);
    assert.equal((await login('Bob', 'password')).name, 'Bob');
    await store.remove(bob);
    for (const name of ['ghost', '']) {
      for (const password of ['', ' ', 'NULL', 'password']) {
        await assert.rejects(login(name, password), code('LOGIN_FAILED'));
      }
    }
    const renewed = (await store.find(checkUserName('Bob')))?.hash ?? '';
    assert.match(renewed, /^\$argon2id\$/, 'our own table: the old hash was renewed');
    assert.equal(await hasher.verify('password', renewed), true);
  });

  it("reads another program's users, and writes nothing there", async (t) => {
    const [bcrypt, argon2] = [phc.verified['bcrypt 2y'][1], phc.verified['argon2i'][1]];
    await server.sql(
      'CREATE TABLE other.people (login VARBINARY(100), secret VARCHAR(100), locked BIT(1), mail TEXT)',
      `INSERT INTO other.people VALUES ('bob', '${bcrypt}', 0, ''), ('alice', '${argon2}', 0, ''), ('carol', '${argon2}', 1, '')`,
      'CREATE USER reader@localhost',
      'GRANT SELECT (login, secret, locked) ON other.people TO reader@localhost',
    );
    const folder = temporaryFolder(t);
    const settings = authSettings({
      'auth.url': `mysql://reader@localhost/other?socket=${server.socket}`,
      'auth.password': null,
      'auth.table': 'people',
      'auth.columns': 'username=login,password=secret,disabled=locked',
    });
    const store = await openUserStore(join(folder, 'users.db'), settings);
    t.after(() => store[Symbol.asyncDispose]());
    assert.equal(store.writable, false);
    assert.deepEqual(await store.migration(), []);
    const logins = new Logins(store, { hasher, step: 0 });
    const login = (name: string, password = 'password') => logins.login({ name, password, address, device });
    assert.equal((await login('bob')).name, 'bob');
    assert.equal((await login('alice')).name, 'alice');
    await assert.rejects(login('carol'), code('LOGIN_FAILED'));
    await assert.rejects(login('bob', 'guess'), code('LOGIN_FAILED'));
    assert.equal((await store.find(bob))?.hash, bcrypt, 'it was not renewed');
    assert.ok((await store.find(bob))?.lastLogin, 'kept here');

    for (const change of [
      () => store.add(bob, 'x'),
      () => store.setPassword(bob, 'x'),
      () => store.remove(bob),
    ])
      await assert.rejects(change, code('NOT_SUPPORTED'));
    await store.grant(bob, 'docs', ['read']);
    await assert.rejects(store.grant(checkUserName('nobody'), 'docs', ['read']), code('NO_SUCH_USER'));
    assert.equal((await login('bob')).grants.length, 1);
    await store.setDisabled(bob, true);
    await assert.rejects(login('bob'), code('LOGIN_FAILED'));
    assert.deepEqual(await store.active([bob, alice, checkUserName('carol')]), new Set([alice]));
    const users: User[] = [];
    for await (const user of store.list()) users.push(user);
    assert.deepEqual(
      users.map(({ name, disabled }) => [name, disabled]),
      [
        ['alice', false],
        ['bob', true],
        ['carol', true],
      ],
    );
    // The row that keeps what is ours is no way in when the table is no longer another's.
    await using own = await openUserStore(join(folder, 'users.db'), settleSettings({}).settings.auth);
    const ownLogins = new Logins(own, { hasher, step: 0 });
    for (const password of ['*', 'password']) {
      await assert.rejects(
        ownLogins.login({ name: 'alice', password, address, device }),
        code('LOGIN_FAILED'),
      );
    }
  });

  it('takes the password from a file, and says which user was refused', async (t) => {
    const file = join(temporaryFolder(t), 'password');
    writeFileSync(file, `${PASSWORD}\n`, { mode: 0o600 });
    const store = await open(t, { 'auth.password': null, 'auth.passwordFile': file });
    assert.equal(await store.find(bob), undefined);
    const wrong = await openWith(t, { 'auth.password': 'wrong' });
    await assert.rejects(wrong.find(bob), (error: LocalstreamError) => {
      assert.equal(error.code, 'NO_USERS');
      assert.match(error.message, /Access denied for user 'localstream'/);
      assert.doesNotMatch(error.message + String(error.hint), /wrong/);
      return true;
    });
    const missing = openWith(t, { 'auth.passwordFile': join(file, 'none') });
    await assert.rejects(missing, code('BAD_SETTING'));
  });

  it('asks for TLS where it is wanted, and takes nothing less', async (t) => {
    for (const tls of ['verify', 'encrypt']) {
      const store = await openWith(t, { 'auth.tls': tls });
      await assert.rejects(store.find(bob), code('NO_USERS'));
    }
  });

  it('checks whose certificate it is', needs('openssl'), async (t) => {
    const folder = temporaryFolder(t);
    const [key, certificate, other] = ['key.pem', 'certificate.pem', 'other.pem'].map((name) =>
      join(folder, name),
    );
    assert.ok(key && certificate && other);
    for (const [file, name] of [
      [other, 'DNS:elsewhere'],
      [certificate, 'DNS:localhost'],
    ] as const) {
      const words: string[] = [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        key,
        '-out',
        file,
        '-days',
        '9',
      ];
      const subject = ['-subj', '/CN=database', '-addext', `subjectAltName=${name}`];
      assert.equal(spawnSync('openssl', [...words, ...subject]).status, 0);
    }
    const port = await freePort();
    await server.kill();
    t.after(async () => {
      await server.kill();
      await server.run();
    });
    await server.run([
      `--ssl-cert=${certificate}`,
      `--ssl-key=${key}`,
      '--bind-address=127.0.0.1',
      '--skip-name-resolve',
      `--port=${port}`,
    ]);
    await server.sql(
      `CREATE USER localstream@'127.0.0.1' IDENTIFIED BY '${PASSWORD.replaceAll("'", "''")}' REQUIRE SSL`,
      "GRANT ALL ON users.* TO localstream@'127.0.0.1'",
    );
    const url = (host: string) => `mysql://localstream@${host}:${port}/users`;
    const find = async (flags: Record<string, unknown>, host = 'localhost') => {
      const store = await open(t, { 'auth.url': url(host), ...flags });
      return store.find(bob);
    };
    tableOf.set(t, 'auth_1');
    assert.equal(await find({ 'auth.tls': 'encrypt' }), undefined);
    assert.equal(await find({ 'auth.tls': 'verify', 'auth.caFile': certificate }), undefined);
    await assert.rejects(
      find({ 'auth.tls': 'verify' }),
      code('NO_USERS'),
      'signed by nobody that is trusted',
    );
    await assert.rejects(find({ 'auth.tls': 'verify', 'auth.caFile': other }), code('NO_USERS'));
    await assert.rejects(
      find({ 'auth.tls': 'verify', 'auth.caFile': certificate }, '127.0.0.1'),
      code('BAD_SETTING'),
    );
    await assert.rejects(
      find({}, '192.0.2.1'),
      code('BAD_SETTING'),
      'verify is the default beyond this machine',
    );
    await assert.rejects(find({ 'auth.tls': 'off' }), code('NO_USERS'));
  });

  describe('when it fails', () => {
    it('goes on after its connections were cut', async (t) => {
      const store = await open(t);
      await store.add(bob, 'x');
      for (let round = 0; round < 5; round++) {
        await Promise.all(Array.from({ length: 6 }, () => store.find(bob)));
        await server.cut();
        assert.equal((await store.find(bob))?.name, bob);
      }
    });

    it('survives a cut after any number of bytes', async (t) => {
      await open(t);
      const path = join(temporaryFolder(t), 'cut');
      await using cutter = new Cutter(server.socket, path);
      const flags = {
        'auth.table': tableOf.get(t),
        'auth.url': `mysql://localstream@localhost/users?socket=${path}`,
      };
      const plain = await openWith(t, { 'auth.table': tableOf.get(t) });
      await plain.add(bob, await hasher.hash('secret'));
      let refused = 0;
      for (let left = 0; left < 1600; left += 37) {
        cutter.left = left;
        const store = await openWith(t, flags);
        const logins = new Logins(store, { hasher, step: 0 });
        const attempt = logins.login({
          name: 'bob',
          password: 'wrong',
          address: `10.0.0.${left % 250}`,
          device,
        });
        const failed = await attempt.then(
          () => 'let in',
          (error: LocalstreamError) => error.code,
        );
        assert.ok(failed === 'LOGIN_LATER' || failed === 'LOGIN_FAILED', failed);
        if (failed === 'LOGIN_LATER') refused += 1;
        cutter.left = Number.POSITIVE_INFINITY;
        const again = await logins
          .login({ name: 'bob', password: 'secret', address: '10.1.1.1', device })
          .catch((error: LocalstreamError) => error);
        assert.ok(!(again instanceof Error) || again.code === 'LOGIN_LATER');
        if (again instanceof Error) await plain.clearFailures(`all`, 0);
        await store[Symbol.asyncDispose]();
      }
      assert.ok(refused > 5);
    });

    it('refuses while it is down, says why to the operator alone, and comes back by itself', async (t) => {
      const store = await open(t, { 'auth.timeout': 1500 });
      await store.add(bob, await hasher.hash('secret'));
      const told: string[] = [];
      const logins = new Logins(store, {
        hasher,
        step: 0,
        onTrouble: (error) => told.push(error.message),
        onRecovered: () => told.push('recovered'),
      });
      const login = () => logins.login({ name: 'bob', password: 'secret', address, device });
      const refused = (error: LocalstreamError): true => {
        assert.equal(error.code, 'LOGIN_LATER');
        assert.equal(error.cause, undefined);
        assert.doesNotMatch(error.message + String(error.hint), /mysql|socket|ECONN|ENOENT/);
        return true;
      };
      await login();
      await server.kill();
      await assert.rejects(login(), refused);
      await assert.rejects(login(), refused);
      assert.equal(told.length, 1, 'once an outage');
      assert.match(told[0] ?? '', /^the user store mysql:\/\/.* failed: /);
      await server.run();
      assert.equal((await login()).name, 'bob');
      assert.deepEqual(told.slice(1), ['recovered']);

      server.stall();
      const start = performance.now();
      await Promise.all(Array.from({ length: 8 }, () => assert.rejects(login(), refused)));
      t.diagnostic(
        `8 logins at a stalled database were refused in ${(performance.now() - start).toFixed(0)} ms`,
      );
      assert.match(told[2] ?? '', /no answer in 1500 ms/);
      server.resume();
      assert.equal((await login()).name, 'bob');

      const many = Array.from({ length: 12 }, () =>
        login().then(
          () => 'in',
          (error: LocalstreamError) => error.code,
        ),
      );
      await pause(2);
      await server.cut();
      for (const result of await Promise.all(many)) assert.ok(['in', 'LOGIN_LATER'].includes(result), result);
      assert.equal((await login()).name, 'bob');
    });

    it('does not wait for what never answers', async (t) => {
      const folder = temporaryFolder(t);
      const silent = createServer(() => {});
      const path = join(folder, 'silent');
      silent.listen(path);
      t.after(() => silent.close());
      const store = await openWith(t, {
        'auth.url': `mysql://localstream@localhost/users?socket=${path}`,
        'auth.timeout': 200,
      });
      await Promise.all(Array.from({ length: 10 }, () => assert.rejects(store.find(bob), code('NO_USERS'))));
      const gone = await openWith(t, { 'auth.url': 'mysql://localstream@127.0.0.1:1/users' });
      await assert.rejects(gone.find(bob), code('NO_USERS'));
    });
  });

  it('lets nobody in by a name or a password that is SQL, and changes nothing for it', async (t) => {
    const store = await open(t);
    await store.add(bob, await hasher.hash('secret'));
    const free: LimitRule = { free: 1e6, first: 1, most: 1, forget: 1 };
    const rules = { account: free, address: free, device: free, all: free };
    const logins = new Logins(store, { hasher, step: 0, rules });
    for (const text of hostileTexts) {
      for (const said of [
        { name: text, password: 'secret' },
        { name: 'bob', password: text },
        { name: text, password: text },
      ]) {
        const result = logins.login({ ...said, address, device });
        await assert.rejects(result, code('LOGIN_FAILED'), JSON.stringify(text.slice(0, 40)));
      }
    }
    assert.equal((await logins.login({ name: 'bob', password: 'secret', address, device })).name, 'bob');
    assert.deepEqual(await store.migration(), [], 'every table is still there');
  });

  it('takes what servers call themselves for a text and none for SQL', async (t) => {
    const { servers } = await open(t);
    assert.ok(servers);
    const now = Date.now();
    const self = someFingerprint(0);
    for (const [index, text] of hostileTexts.entries()) {
      const fingerprint = someFingerprint(index + 1);
      const name = text.slice(0, 60).toWellFormed();
      const sent = { fingerprint, name, addresses: [text.slice(0, 200).toWellFormed()] };
      await servers.note(sent, now + index);
      assert.deepEqual(await servers.others(self, now + index), [sent], JSON.stringify(name));
      await servers.remove(fingerprint);
    }
    assert.deepEqual(await servers.others(self, now), []);
    // Who was not heard of for two minutes is named no more, nor is anybody to itself.
    await servers.note({ fingerprint: self, name: 'old', addresses: [] }, now);
    assert.deepEqual(await servers.others(self, now), []);
    assert.equal((await servers.others(someFingerprint(1), now + 119_000)).length, 1);
    assert.deepEqual(await servers.others(someFingerprint(1), now + 121_000), []);
  });

  it('keeps failures by account, address and in all, whoever is started again', async (t) => {
    const rule = (free: number): LimitRule => ({
      free,
      first: 3_600_000,
      most: 3_600_000,
      forget: 3_600_000,
    });
    const never = rule(1e6);
    for (const kind of ['account', 'address', 'all'] as const) {
      const store = await openWith(t, { 'auth.table': 'auth_kept' });
      if ((await store.migration()).length > 0) await store.migrate();
      const rules = { account: never, address: never, device: never, all: never, [kind]: rule(2) };
      const guess = (from: UserStore, number: number) =>
        new Logins(from, { hasher, step: 0, rules }).login({
          name: kind === 'account' ? 'nobody' : `nobody ${kind} ${number}`,
          password: 'guess',
          address: kind === 'address' ? '10.9.9.9' : `10.8.${kind.length}.${number}`,
          device: someFingerprint(number),
        });
      for (let number = 1; number <= 3; number += 1)
        await assert.rejects(guess(store, number), code('LOGIN_FAILED'), `${kind} ${number}`);
      await assert.rejects(guess(store, 4), code('LOGIN_LATER'), kind);
      await store[Symbol.asyncDispose]();
      // The program is started again, and then the database.
      const again = await openWith(t, { 'auth.table': 'auth_kept' });
      await assert.rejects(guess(again, 5), code('LOGIN_LATER'), `${kind}, another process`);
      await server.kill();
      await server.run();
      await assert.rejects(guess(again, 6), code('LOGIN_LATER'), `${kind}, another database process`);
      // For the next kind.
      for (const subject of [accountSubject('nobody'), addressSubject('10.9.9.9'), 'all'])
        await again.clearFailures(subject, 0);
    }
  });

  it('finds one of 10,000 users in no time', async (t) => {
    const store = await open(t);
    const rows = Array.from({ length: 10_000 }, (_, number) => `('user${number}', '${'x'.repeat(97)}')`);
    await server.sql(`INSERT INTO users.${tableOf.get(t)} (username, password) VALUES ${rows.join(',')}`);
    await store.find(bob);
    const start = performance.now();
    for (let number = 0; number < 1000; number++) {
      const name = checkUserName(`user${(number * 7919) % 10_000}`);
      assert.equal((await store.find(name))?.name, name);
    }
    t.diagnostic(`look-up among 10,000: ${(performance.now() - start).toFixed(0)} µs`);
  });
});
