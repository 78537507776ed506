/** Users over real sessions: who may in, who may do what, and what ends it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, connect as dialTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { checkUserName } from '../../src/auth/user-name.ts';
import { type Grant, RIGHTS, type Right } from '../../src/auth/user-store.ts';
import { PasswordHasher } from '../../src/crypto/passwords.ts';
import { LocalstreamError } from '../../src/errors.ts';
import {
  type Listener,
  type ListenOptions,
  type Localstream,
  openLocalstream,
  type Session,
  type ShareMode,
} from '../../src/index.ts';
import { PASSWORD as DATABASE_PASSWORD, Mariadb } from '../auth/mariadb.ts';
import { identities } from '../crypto/fixed.ts';
import { needs } from '../needs.ts';
import { dialSession } from '../server/wire-dialler.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { machine, noise, sceneFolder, TEST_FLAGS } from './machines.ts';

const PASSWORD = 'correct horse 🔋';
const ann = checkUserName('ann');
const hash = await new PasswordHasher({ policy: { memory: 8192, passes: 1, lanes: 1 } }).hash(PASSWORD);

const code = (wanted: string) => (error: unknown) =>
  error instanceof LocalstreamError && error.code === wanted;

/** Rejects with this code; resolves with the message. */
async function failure(promise: Promise<unknown>, wanted: string): Promise<string> {
  let message = '';
  await assert.rejects(promise, (error: unknown) => {
    message = error instanceof Error ? error.message : '';
    assert.ok(code(wanted)(error), `${wanted} expected: ${error}`);
    return true;
  });
  return message;
}

interface Place {
  readonly base: string;
  readonly share: string;
  readonly local: string;
  readonly bob: Localstream;
  readonly alice: Localstream;
  readonly listener: Listener;
  /** Codes of those who were turned away. */
  readonly refused: string[];
}

/** Bob asks for passwords and has a user ann; alice has not connected yet. */
async function place(
  t: TestContext,
  listen: Partial<ListenOptions> = {},
  flags: Readonly<Record<string, unknown>> = {},
): Promise<Place> {
  const base = sceneFolder(t);
  const [share, local] = [join(base, 'share'), join(base, 'local')];
  for (const folder of [share, local]) mkdirSync(folder);
  const bob = await machine(t, base, 'bob', flags);
  const alice = await machine(t, base, 'alice');
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    auth: 'password',
    maxConnections: 10,
    shares: [{ name: 'share', folder: share, mode: 'rw' }],
    ...listen,
  });
  const refused: string[] = [];
  listener.on('refused', ({ error }) => refused.push(error.code));
  if (flags['auth.url'] === undefined) await (await bob.users()).add(ann, hash);
  return { base, share, local, bob, alice, listener, refused };
}

/** Somebody else, with a key that was made just now. */
async function fresh(t: TestContext, base: string): Promise<Localstream> {
  const opened = await openLocalstream({ home: join(base, 'fresh'), flags: TEST_FLAGS });
  afterwards(t, () => opened.close());
  return opened;
}

/** Alice connects to bob, whose key she knows. */
function connect({ alice, bob, listener }: Pick<Place, 'alice' | 'bob' | 'listener'>): Promise<Session> {
  return alice.connect({ host: '127.0.0.1', port: listener.port, fingerprint: bob.fingerprint });
}

async function names(session: Session, path = '/'): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of session.list(path)) found.push(name);
  return found;
}

describe('a listener that asks for users', () => {
  test('serves nothing before the login, and what was granted after it', async (t) => {
    const all = await place(t);
    writeFileSync(join(all.share, 'a.txt'), 'hello');
    const file = join(all.local, 'up.txt');
    writeFileSync(file, 'up');
    const peers: string[] = [];
    all.listener.on('peer', ({ user }) => peers.push(`${user}`));
    const session = await connect(all);
    await failure(names(session), 'NOT_ALLOWED');
    await failure(session.get(['/share/a.txt'], `${all.local}/`), 'NOT_ALLOWED');
    await failure(session.put([file], '/share/'), 'NOT_ALLOWED');
    assert.deepEqual([all.listener.peers, peers], [[], []], 'whoever is nobody is offered nothing');
    assert.equal(await session.login('ann', PASSWORD), 'ann');
    assert.equal(session.peer.user, 'ann');
    assert.deepEqual(
      all.listener.peers.map(({ user }) => user),
      ['ann'],
    );
    assert.deepEqual(peers, ['ann']);
    assert.deepEqual(await names(session), [], 'without a grant there is nothing');
    await failure(names(session, '/share'), 'NOT_FOUND');
    await (await all.bob.users()).grant(ann, 'share', ['read', 'list']);
    while ((await names(session)).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(await names(session, '/share'), ['a.txt']);
    assert.equal((await session.get(['/share/a.txt'], `${all.local}/`)).code, 'OK');
    await failure(session.put([file], '/share/'), 'NOT_ALLOWED');
    await failure(session.login('ann', PASSWORD), 'NOT_ALLOWED');
    assert.equal(existsSync(join(all.share, 'up.txt')), false);
  });

  test('asks trusted keys as well', async (t) => {
    const all = await place(t);
    await all.bob.trust.trust({ fingerprint: all.alice.fingerprint, how: 'manual', name: 'alice' });
    await failure(names(await connect(all)), 'NOT_ALLOWED');
  });

  test('has one answer for an unknown user, a wrong password and a disabled user', async (t) => {
    const all = await place(t);
    const users = await all.bob.users();
    const dan = checkUserName('dan');
    await users.add(dan, hash);
    await users.setDisabled(dan, true);
    const session = await connect(all);
    const answers = [
      await failure(session.login('nobody', PASSWORD), 'LOGIN_FAILED'),
      await failure(session.login('ann', `${PASSWORD}!`), 'LOGIN_FAILED'),
      await failure(session.login('dan', PASSWORD), 'LOGIN_FAILED'),
      await failure(session.login("' OR 1=1 --", "' OR ''='"), 'LOGIN_FAILED'),
    ];
    assert.equal(new Set(answers).size, 1, answers.join());
    assert.deepEqual(all.refused, Array(4).fill('LOGIN_FAILED'), 'the operator sees it');
    assert.deepEqual(all.listener.peers, []);
    assert.equal(await session.login('ann', PASSWORD), 'ann', 'the session is still there');
  });

  test('a name and a password that are too long end the session and nothing else', async (t) => {
    const all = await place(t);
    const { control } = await dialSession(all.listener.port, identities.mallory);
    control.send({ type: 'login', name: 'x'.repeat(1025), password: 'x' });
    const bye = await control.after();
    assert.deepEqual([bye?.type, bye?.['flag']], ['bye', 400]);
    assert.equal(await (await connect(all)).login('ann', PASSWORD), 'ann');
  });

  test('one login at a time, and an answer that nobody asked for is an error', async (t) => {
    const all = await place(t);
    const { control } = await dialSession(all.listener.port, identities.mallory);
    control.send({ type: 'login', name: 'ann', password: 'wrong' });
    control.send({ type: 'login', name: 'ann', password: PASSWORD });
    const answers = [await control.after(), await control.after()];
    assert.deepEqual(answers.map((answer) => answer?.['flag']).sort(), [422, 430]);
    control.send({ type: 'welcome', name: 'ann' });
    assert.equal((await control.after())?.['flag'], 400);
    assert.deepEqual(all.listener.peers, []);
  });

  test('strangers without a login take no place of a user', async (t) => {
    const all = await place(t, { maxConnections: 1 });
    const idle = await dialSession(all.listener.port, identities.mallory);
    const session = await connect(all);
    await session.login('ann', PASSWORD);
    const dora = await fresh(t, all.base);
    await failure(
      connect({ ...all, alice: dora }).then((other) => other.login('ann', PASSWORD)),
      'FULL',
    );
    idle.control.send({ type: 'login', name: 'ann', password: PASSWORD });
    assert.equal((await idle.control.after())?.['flag'], 421);
  });

  test('who does not log in at all is sent away', async (t) => {
    const all = await place(t, {}, { decisionTimeout: 1000 });
    const { control } = await dialSession(all.listener.port, identities.mallory);
    const bye = await control.after();
    assert.deepEqual([bye?.type, bye?.['flag']], ['bye', 423]);
  });

  test('nobody logs in at other listeners, and two ways in are not asked for at once', async (t) => {
    const all = await place(t, { auth: 'none' });
    await failure((await connect(all)).login('ann', PASSWORD), 'NOT_SUPPORTED');
    await failure(all.bob.listen({ port: 0, open: true, auth: 'password' }), 'USAGE');
  });
});

describe('passwords and keys', () => {
  test('no password goes to a key that was taken unseen in this run', async (t) => {
    const all = await place(t);
    let asked = 0;
    const password = async () => {
      asked += 1;
      return PASSWORD;
    };
    const to = { host: '127.0.0.1', port: all.listener.port };
    const first = await all.alice.connect({ ...to, acceptNew: true });
    await failure(first.login('ann', password), 'NOT_TRUSTED');
    await first.close();
    // It is pinned now, and nobody has compared it for that.
    const second = await all.alice.connect(to);
    await failure(second.login('ann', password), 'NOT_TRUSTED');
    // Nor by meaning the peer that has it.
    const third = await all.alice.connect({ ...to, pinned: all.bob.fingerprint });
    await failure(third.login('ann', password), 'NOT_TRUSTED');
    assert.equal(asked, 0, 'nobody types it in vain');
    assert.deepEqual(all.refused, [], 'nothing has been sent');
    await all.alice.trust.trust({ fingerprint: all.bob.fingerprint, how: 'manual' });
    assert.equal(await second.login('ann', password), 'ann');
  });

  test('given by its fingerprint or confirmed by a person it may have the password', async (t) => {
    const all = await place(t);
    const dora = await fresh(t, all.base);
    const to = { host: '127.0.0.1', port: all.listener.port };
    const asked = await dora.connect({ ...to, decide: async () => 'once' });
    assert.equal(await asked.login('ann', PASSWORD), 'ann');
    const unseen = await all.alice.connect({ ...to, acceptNew: true });
    await failure(unseen.login('ann', PASSWORD), 'NOT_TRUSTED');
    await unseen.close();
    assert.equal(await (await connect(all)).login('ann', PASSWORD), 'ann');
  });

  test('a man in the middle learns no password', async (t) => {
    // Mallory has a session of its own with bob and would hand on whatever it is told; it even knows a user of that name.
    const all = await place(t);
    const mallory = await machine(t, all.base, 'mallory');
    await (await mallory.users()).add(ann, hash);
    const trap = await mallory.listen({ port: 0, host: '127.0.0.1', auth: 'password' });
    const heard: string[] = [];
    trap.on('peer', ({ user }) => heard.push(`${user}`));
    trap.on('refused', ({ error }) => heard.push(error.code));
    const to = { host: '127.0.0.1', port: trap.port };
    const pinned = all.alice.connect({ ...to, fingerprint: all.bob.fingerprint });
    await failure(pinned, 'KEY_CHANGED');
    await all.alice.trust.trust({
      fingerprint: all.bob.fingerprint,
      how: 'manual',
      address: to,
    });
    await failure(all.alice.connect({ ...to, acceptNew: true }), 'KEY_CHANGED');
    const dora = await fresh(t, all.base);
    const taken = await dora.connect({ ...to, acceptNew: true });
    await failure(taken.login('ann', PASSWORD), 'NOT_TRUSTED');
    await taken.close();
    assert.ok(!heard.includes('ann') && !heard.includes('LOGIN_FAILED'), heard.join());
    assert.deepEqual(trap.peers, []);
  });
});

describe('sessions of users end', () => {
  for (const [how, end] of [
    ['disabled', async ({ bob }: Place) => (await bob.users()).setDisabled(ann, true)],
    ['removed', async ({ bob }: Place) => (await bob.users()).remove(ann)],
    ['kicked', async ({ listener }: Place) => listener.kick(listener.peers[0]?.id ?? '')],
  ] as const) {
    test(`who is ${how} is out, with what is running`, async (t) => {
      const all = await place(t);
      writeFileSync(join(all.share, 'big'), noise(4_000_000));
      await (await all.bob.users()).grant(ann, 'share', ['read']);
      const session = await connect(all);
      await session.login('ann', PASSWORD);
      const running = session.get(['/share/big'], `${all.local}/`, { limit: 100_000 });
      const result = failure(running, 'REJECTED');
      await until(() => all.listener.transfers.some(({ bytes }) => bytes > 0));
      await end(all);
      await result;
      assert.equal((await session.closed)?.code, 'REJECTED');
      await until(() => all.listener.peers.length === 0);
      assert.deepEqual(
        readdirSync(all.local).filter((name) => !name.startsWith('.')),
        [],
      );
      if (how === 'kicked') assert.equal(await (await connect(all)).login('ann', PASSWORD), 'ann');
      else await failure((await connect(all)).login('ann', PASSWORD), 'LOGIN_FAILED');
    });
  }

  test('a connection that broke is made again, with the login', async (t) => {
    const all = await place(t);
    const bytes = noise(2_000_000);
    writeFileSync(join(all.share, 'big'), bytes);
    await (await all.bob.users()).grant(ann, 'share', ['read']);
    const sockets = new Set<Socket>();
    const between = createServer((near) => {
      const far = dialTcp(all.listener.port, '127.0.0.1');
      for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    const way = between.address();
    assert.ok(typeof way === 'object' && way !== null);
    const { fingerprint } = all.bob;
    const session = await all.alice.connect({ host: '127.0.0.1', port: way.port, fingerprint });
    await session.login('ann', PASSWORD);
    const running = session.get(['/share/big'], `${all.local}/`, { limit: 1_000_000, retryFor: 60_000 });
    await until(() => all.listener.transfers.some((transfer) => transfer.bytes > 200_000));
    for (const socket of sockets) socket.destroy();
    assert.equal((await running).code, 'OK');
    assert.equal(session.peer.user, 'ann');
    assert.deepEqual(readFileSync(join(all.local, 'big')), bytes);
    await session.close();
    for (const socket of sockets) socket.destroy();
    between.close();
  });
});

/** The matrix of the documents, written out: what a mode allows, and which right a verb needs. */
const CEILING: Record<ShareMode, readonly Right[]> = {
  ro: ['list', 'read'],
  rw: ['list', 'read', 'write'],
  wo: ['write'],
};

describe('rights over real sessions', () => {
  for (const mode of ['ro', 'rw', 'wo'] as const) {
    test(`${mode}: every verb by every role`, async (t) => {
      const all = await place(t, {
        auth: 'password',
        shares: [{ name: 'share', folder: join(sceneFolder(t)), mode }],
        maxConnections: 20,
      });
      const [share] = all.listener.shares;
      assert.ok(share);
      writeFileSync(join(share.folder, 'a.txt'), 'there');
      const up = join(all.local, 'up.txt');
      writeFileSync(up, 'up');
      const users = await all.bob.users();
      const subsets: Right[][] = [[]];
      for (const right of RIGHTS) subsets.push(...subsets.map((set) => [...set, right]));
      const roles: { name: string; effective: readonly Right[] }[] = [];
      for (const [index, rights] of subsets.entries()) {
        const own = checkUserName(`own-${index}`);
        const denied = checkUserName(`denied-${index}`);
        for (const name of [own, denied]) {
          await users.add(name, hash);
          await users.grant(name, 'share', rights);
        }
        await users.revoke(denied, 'share', ['write']);
        roles.push({ name: own, effective: rights });
        roles.push({ name: denied, effective: rights.filter((right) => right !== 'write') });
      }
      const session = new Map<string, Session>();
      for (const { name, effective } of roles) {
        const one = await connect(all);
        session.set(name, one);
        await one.login(name, PASSWORD);
        const may = (right: Right) => effective.includes(right) && CEILING[mode].includes(right);
        const isSeen = RIGHTS.some(may);
        const denial = isSeen ? 'NOT_ALLOWED' : 'NOT_FOUND';
        const says = async (right: Right, run: Promise<unknown>) => {
          const result = await run.then(
            () => 'OK',
            (error: unknown) => (error instanceof LocalstreamError ? error.code : `${error}`),
          );
          assert.equal(result, may(right) ? 'OK' : denial, `${mode}, ${name} (${effective}): ${right}`);
        };
        assert.deepEqual(await names(one), isSeen ? ['share'] : [], `${mode}, ${name}`);
        await says('list', names(one, '/share'));
        await says('list', names(one, '/share/a.txt'));
        await says('read', one.get(['/share/a.txt'], join(all.local, `${name}.txt`)));
        await says('write', one.put([up], '/share/', { existing: 'rename' }));
        if (may('write') && !(may('list') && may('read')))
          for (const existing of ['overwrite', 'skip', 'update'] as const)
            await failure(one.put([up], '/share/a.txt', { existing }), 'NOT_ALLOWED');
        await one.close();
      }
      assert.equal(readFileSync(join(share.folder, 'a.txt'), 'utf8'), 'there');
    });
  }

  test('what is granted to all is for users, and a guest of another listener has the mode', async (t) => {
    const all = await place(t);
    writeFileSync(join(all.share, 'a.txt'), 'x');
    await (await all.bob.users()).grant('*', 'share', ['list']);
    const session = await connect(all);
    await session.login('ann', PASSWORD);
    assert.deepEqual(await names(session, '/share'), ['a.txt']);
    const other = await all.bob.listen({
      port: 0,
      host: '127.0.0.1',
      open: true,
      shares: all.listener.shares,
    });
    const guest = await connect({ ...all, listener: other });
    assert.deepEqual(await names(guest, '/share'), ['a.txt']);
    assert.equal((await guest.get(['/share/a.txt'], `${all.local}/`)).code, 'OK');
  });
});

describe('users in a database', needs('mariadbd'), () => {
  test('two servers share users, limits and ends; one is killed, and the client goes on at the other', async (t) => {
    await using database = await Mariadb.start();
    const url = `mysql://localstream@localhost/users?socket=${encodeURIComponent(database.socket)}`;
    const settings = { 'auth.url': url, 'auth.password': DATABASE_PASSWORD };
    const one = await place(t, {}, settings);
    const users = await one.bob.users();
    await users.migrate();
    await users.add(ann, hash);
    await users.grant('*', 'share', ['list', 'read']);
    writeFileSync(join(one.share, 'a.txt'), 'x');
    const second = await machine(t, one.base, 'mallory', settings);
    const listener = await second.listen({
      port: 0,
      host: '127.0.0.1',
      auth: 'password',
      maxConnections: 10,
      shares: one.listener.shares,
    });
    const first = await connect(one);
    await first.login('ann', PASSWORD);
    assert.deepEqual(await names(first, '/share'), ['a.txt']);
    await one.listener.close();
    const other = await connect({ alice: one.alice, bob: second, listener });
    await other.login('ann', PASSWORD);
    assert.deepEqual(await names(other, '/share'), ['a.txt']);

    const trouble: (string | undefined)[] = [];
    listener.on('users', (error) => trouble.push(error?.code));
    await database.kill();
    assert.deepEqual(await names(other, '/share'), ['a.txt'], 'who is in stays in');
    const late = await connect({ alice: one.alice, bob: second, listener });
    await failure(late.login('ann', PASSWORD), 'LOGIN_LATER');
    assert.deepEqual(trouble, ['NO_USERS']);
    await database.run();
    await late.login('ann', PASSWORD);
    assert.deepEqual(trouble, ['NO_USERS', undefined], 'it recovers by itself');

    // By way of the first machine's store, as an administrator would from anywhere.
    await users.setDisabled(ann, true);
    assert.equal((await other.closed)?.code, 'REJECTED');
    assert.equal((await late.closed)?.code, 'REJECTED');
    const grants: Grant[] = await users.allGrants();
    assert.equal(grants.length, 2);
  });
});
