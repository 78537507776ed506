/** What every user store has to do, whatever it is made of. */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { checkUserName, type UserName, userNameOf } from '../../src/auth/user-name.ts';
import type { Grant, User, UserStore } from '../../src/auth/user-store.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { hostileTexts } from './hostile-texts.ts';

/** A store without users that goes with the test; a second call within a test opens the same one once more. */
export type OpenStore = (t: TestContext) => Promise<UserStore>;

export function code(wanted: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof LocalstreamError, String(error));
    assert.equal(error.code, wanted);
    return true;
  };
}

export const bob = checkUserName('bob');
export const alice = checkUserName('alice');
const HASH = '$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA';

async function namesOf(store: UserStore): Promise<string[]> {
  const users: User[] = [];
  for await (const user of store.list()) users.push(user);
  return users.map(({ name }) => name);
}

function brief(grants: readonly Grant[]): string[] {
  return grants
    .map(({ user, share, right, allowed }) => `${user} ${share} ${allowed ? '+' : '-'}${right}`)
    .sort();
}

export function storeSuite(open: OpenStore): void {
  it('adds, finds, changes and removes users', async (t) => {
    const store = await open(t);
    assert.equal(await store.find(bob), undefined);
    const before = Date.now();
    await store.add(bob, HASH);
    const user = await store.find(bob);
    assert.deepEqual(
      { ...user, created: undefined },
      { name: bob, disabled: false, created: undefined, lastLogin: undefined, hash: HASH },
    );
    assert.ok(user?.created && user.created.getTime() >= before - 1 && user.created.getTime() <= Date.now());
    await assert.rejects(store.add(bob, 'other'), code('USER_EXISTS'));
    await store.setPassword(bob, 'new');
    assert.equal((await store.find(bob))?.hash, 'new');
    await store.renewHash(bob, 'old', 'newer');
    assert.equal((await store.find(bob))?.hash, 'new', 'it had changed meanwhile');
    await store.renewHash(bob, 'new', 'newer');
    assert.equal((await store.find(bob))?.hash, 'newer');
    await store.noteLogin(bob, new Date('2026-02-03T04:05:06.789Z'));
    assert.equal((await store.find(bob))?.lastLogin?.toISOString(), '2026-02-03T04:05:06.789Z');
    await store.remove(bob);
    assert.equal(await store.find(bob), undefined);
    for (const change of [
      () => store.remove(bob),
      () => store.setPassword(bob, 'x'),
      () => store.setDisabled(bob, true),
    ])
      await assert.rejects(change, code('NO_SUCH_USER'));
  });

  it('disables and enables', async (t) => {
    const store = await open(t);
    await store.add(bob, HASH);
    await store.add(alice, HASH);
    const nobody = checkUserName('nobody');
    await store.setDisabled(bob, true);
    assert.equal((await store.find(bob))?.disabled, true);
    assert.deepEqual([...(await store.active([bob, alice, nobody]))], [alice]);
    await store.setDisabled(bob, false);
    assert.equal((await store.find(bob))?.disabled, false);
    assert.deepEqual(await store.active([bob, alice, nobody]), new Set([bob, alice]));
    assert.deepEqual(await store.active([]), new Set());
  });

  it('takes a name for itself alone, to the last byte', async (t) => {
    const store = await open(t);
    await store.add(bob, HASH);
    for (const name of ['Bob', 'BOB', 'böb', 'bob2', 'bo', 'b_b', '%', 'bob\u0301', 'b\u200aob']) {
      const other = checkUserName(name);
      assert.equal(await store.find(other), undefined, name);
      assert.deepEqual(await store.active([other]), new Set());
      await assert.rejects(store.setPassword(other, 'x'), code('NO_SUCH_USER'));
      await assert.rejects(store.remove(other), code('NO_SUCH_USER'));
      assert.deepEqual(await store.grants(other), []);
    }
    await store.add(checkUserName('Bob'), 'another');
    assert.equal((await store.find(bob))?.hash, HASH);
    assert.deepEqual((await namesOf(store)).sort(), ['Bob', 'bob']);
  });

  it('gives rights, denies them, and forgets them with the user', async (t) => {
    const store = await open(t);
    await assert.rejects(store.grant(bob, 'docs', ['read']), code('NO_SUCH_USER'));
    await store.add(bob, HASH);
    await store.add(alice, HASH);
    await store.grant('*', 'docs', ['read', 'list']);
    await store.grant(bob, 'docs', ['write']);
    await store.revoke(bob, 'docs', ['list']);
    await store.grant(alice, 'Docs', ['read']);
    const everyones = ['* docs +list', '* docs +read'];
    assert.deepEqual(brief(await store.grants(bob)), [...everyones, 'bob docs +write', 'bob docs -list']);
    assert.deepEqual(brief(await store.grants(alice)), [...everyones, 'alice Docs +read']);
    await store.grant(bob, 'docs', ['list']);
    await store.revoke('*', 'docs', ['read']);
    assert.deepEqual(brief(await store.allGrants()), [
      '* docs +list',
      'alice Docs +read',
      'bob docs +list',
      'bob docs +write',
    ]);
    await store.remove(bob);
    await store.add(bob, HASH);
    assert.deepEqual(brief(await store.grants(bob)), ['* docs +list']);
    for (const share of ['', ' docs', 'a/b', 'a\nb', 'a\0b', 'x'.repeat(256), '\ud800']) {
      await assert.rejects(store.grant(bob, share, ['read']), code('USAGE'));
    }
  });

  it('counts failures and forgets them little by little', async (t) => {
    const store = await open(t);
    const now = 1_800_000_000_000;
    assert.deepEqual(await store.failures(['a', 'b']), new Map());
    const both = ['a', 'b'].map((subject) => ({ subject, forget: 10_000 }));
    await store.noteFailures(both, now);
    await store.noteFailures(both, now);
    await store.noteFailures(both.slice(0, 1), now + 5000);
    assert.deepEqual(
      await store.failures(['a', 'b', 'c']),
      new Map([
        ['a', { count: 2.5, last: now + 5000 }],
        ['b', { count: 2, last: now }],
      ]),
    );
    await store.noteFailures(both.slice(0, 1), now + 1_000_000);
    assert.deepEqual((await store.failures(['a'])).get('a'), { count: 1, last: now + 1_000_000 });
    // A clock that was set back adds nothing.
    await store.noteFailures(both.slice(0, 1), now);
    assert.deepEqual((await store.failures(['a'])).get('a'), { count: 2, last: now });
    await store.noteFailures(both.slice(0, 1), now + 3337);
    assert.ok(Math.abs(((await store.failures(['a'])).get('a')?.count ?? 0) - 2.6663) < 0.002);
    await store.clearFailures('a', now);
    assert.deepEqual((await store.failures(['a'])).get('a'), { count: 0, last: now });
    await Promise.all(Array.from({ length: 20 }, () => store.noteFailures(both.slice(1), now)));
    assert.equal((await store.failures(['b'])).get('b')?.count, 22, 'none is lost at once');
  });

  it('is the same to another connection, and after it was closed', async (t) => {
    const store = await open(t);
    await store.add(bob, HASH);
    const other = await open(t);
    await other.setDisabled(bob, true);
    assert.equal((await store.find(bob))?.disabled, true);
    await store.noteFailures([{ subject: 'a', forget: 1000 }], 5);
    await store[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    await assert.rejects(store.find(bob), code('NO_USERS'));
    assert.equal((await other.find(bob))?.hash, HASH);
    assert.equal((await other.failures(['a'])).get('a')?.count, 1);
  });

  it('lists page after page', async (t) => {
    const store = await open(t);
    const names = Array.from({ length: 1203 }, (_, number) => `user${String(number).padStart(5, '0')}`);
    for (const name of names.toReversed()) await store.add(checkUserName(name), HASH);
    assert.deepEqual(await namesOf(store), names);
    const active = await store.active(names.map(checkUserName));
    assert.equal(active.size, names.length);
  });

  it('takes every text for a text and none for SQL', async (t) => {
    const store = await open(t);
    await store.add(alice, HASH);
    await store.grant(alice, 'docs', ['read']);
    const users = new Set<string>([alice]);
    for (const text of hostileTexts) {
      const name = userNameOf(text);
      const subject = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 80);
      await store.noteFailures([{ subject, forget: 1000 }], 1);
      assert.equal((await store.failures([subject])).get(subject)?.count, 1, text);
      await store.clearFailures(subject, 1);
      if (name === undefined) continue;
      await assertIsText(store, name, text);
      users.add(name);
    }
    assert.ok(users.size > 20);
    assert.deepEqual(new Set(await namesOf(store)), users);
    assert.equal((await store.find(alice))?.hash, HASH);
    assert.deepEqual(brief(await store.grants(alice)), ['alice docs +read']);
    for (const name of users) await store.remove(checkUserName(name));
    assert.deepEqual(await store.allGrants(), []);
  });

  it('finds what it added, whatever it is', async (t) => {
    const store = await open(t);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 40 }), async (text) => {
        const name = userNameOf(text);
        if (name === undefined) return;
        await store.add(name, HASH);
        assert.equal((await store.find(name))?.name, name);
        await store.remove(name);
        assert.equal(await store.find(name), undefined);
      }),
      { numRuns: 60 },
    );
  });
}

async function assertIsText(store: UserStore, name: UserName, text: string): Promise<void> {
  assert.equal(await store.find(name), undefined, text);
  const hash = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
  await store.add(name, hash);
  assert.equal((await store.find(name))?.hash, hash);
  await store.renewHash(name, hash, `${hash}2`);
  assert.equal((await store.find(name))?.hash, `${hash}2`);
  await store.noteLogin(name, new Date(0));
  const share = text.replaceAll('/', '').trim().slice(0, 60);
  await store.grant(name, share, ['read']);
  const grants = await store.grants(name);
  assert.deepEqual(grants, [{ user: name, share, right: 'read', allowed: true }]);
  assert.deepEqual(await store.active([name]), new Set([name]));
}
