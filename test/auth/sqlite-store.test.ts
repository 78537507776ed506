import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it, type TestContext } from 'node:test';
import { openUserStore } from '../../src/auth/open-store.ts';
import { checkUserName } from '../../src/auth/user-name.ts';
import type { UserStore } from '../../src/auth/user-store.ts';
import { settleSettings } from '../../src/config.ts';
import { modesBelow, temporaryFolder } from '../store/temporary-home.ts';
import { bob, code, storeSuite } from './store-suite.ts';

const { auth } = settleSettings({}).settings;
const folders = new WeakMap<TestContext, string>();

async function open(t: TestContext): Promise<UserStore> {
  const folder = folders.get(t) ?? temporaryFolder(t);
  folders.set(t, folder);
  const store = await openUserStore(join(folder, 'users.db'), auth);
  t.after(() => store[Symbol.asyncDispose]());
  return store;
}

function fileOf(t: TestContext): string {
  const folder = folders.get(t);
  assert.ok(folder !== undefined);
  return join(folder, 'users.db');
}

describe('a store in a file', () => {
  storeSuite(open);
});

it('is readable by this user alone, journals and all', async (t) => {
  const mask = process.umask(0);
  t.after(() => process.umask(mask));
  const store = await open(t);
  await store.add(bob, 'x');
  const modes = modesBelow(join(fileOf(t), '..'));
  assert.ok(modes.length >= 2);
  for (const { path, mode } of modes) assert.equal(mode, 0o600, path);
});

it('needs no migration', async (t) => {
  const store = await open(t);
  assert.deepEqual(await store.migration(), []);
  await store.migrate();
  assert.equal(store.writable, true);
  assert.equal(store.place, fileOf(t));
});

it('refuses what is damaged or newer, and leaves it as it is', async (t) => {
  const store = await open(t);
  for (let number = 0; number < 200; number++)
    await store.add(checkUserName(`user${number}`), 'x'.repeat(90));
  await store[Symbol.asyncDispose]();
  const file = fileOf(t);
  const damage: Record<string, (path: string) => void> = {
    garbage: (path) => writeFileSync(path, 'this is no database at all, but it is long enough to be one'),
    'cut short': (path) => truncateSync(path, 4096),
    newer: (path) => {
      const database = new DatabaseSync(path);
      database.exec('PRAGMA user_version = 99');
      database.close();
    },
  };
  for (const [name, spoil] of Object.entries(damage)) {
    const path = `${file}-${name.replace(' ', '-')}`;
    copyFileSync(file, path);
    spoil(path);
    const before = readFileSync(path);
    const attempt = (async () => {
      await using opened = await openUserStore(path, auth);
      await opened.find(bob);
    })();
    await assert.rejects(attempt, (error) => {
      assert.ok(error instanceof Error && 'code' in error, name);
      assert.ok(error.code === 'STATE' || error.code === 'NO_USERS', name);
      return true;
    });
    assert.deepEqual(readFileSync(path), before, name);
  }
  assert.ok(existsSync(file) && statSync(file).size > 4096);
});

it('says STATE where the folder is none', async (t) => {
  const folder = temporaryFolder(t);
  await assert.rejects(openUserStore(join(folder, 'none', 'users.db'), auth), code('STATE'));
  await assert.rejects(openUserStore(folder, auth), code('STATE'));
});

it('is opened by two at once, the first time as well', async (t) => {
  const stores = await Promise.all([open(t), open(t), open(t)]);
  await stores[0]?.add(bob, 'x');
  for (const store of stores) assert.equal((await store.find(bob))?.name, bob);
});

it('finds one of 10,000 users in no time', async (t) => {
  const store = await open(t);
  const database = new DatabaseSync(fileOf(t));
  const insert = database.prepare('INSERT INTO auth (username, password, disabled) VALUES (?, ?, 0)');
  database.exec('BEGIN');
  for (let number = 0; number < 10_000; number++) insert.run(`user${number}`, 'x'.repeat(97));
  database.exec('COMMIT');
  database.close();
  const start = performance.now();
  for (let number = 0; number < 1000; number++) {
    const name = checkUserName(`user${(number * 7919) % 10_000}`);
    assert.equal((await store.find(name))?.name, name);
  }
  t.diagnostic(`look-up among 10,000: ${(performance.now() - start).toFixed(1)} µs`);
});
