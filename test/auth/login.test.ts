import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type LoginOptions, type LoginRequest, Logins } from '../../src/auth/login.ts';
import { openUserStore } from '../../src/auth/open-store.ts';
import type { UserStore } from '../../src/auth/user-store.ts';
import { settleSettings } from '../../src/config.ts';
import { PasswordHasher } from '../../src/crypto/passwords.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { someFingerprint, temporaryFolder } from '../store/temporary-home.ts';
import { hostileTexts } from './hostile-texts.ts';
import { alice, bob, code } from './store-suite.ts';

const hasher = new PasswordHasher({ policy: { memory: 64, passes: 1, lanes: 1 } });
const SECRET = 'correct horse';

interface Place {
  readonly path: string;
  readonly store: UserStore;
  readonly logins: Logins;
  /** Milliseconds that have passed. */
  time: number;
  readonly open: (options?: LoginOptions) => Promise<{ readonly store: UserStore; readonly logins: Logins }>;
}

/** A store with bob and alice, and a clock that stands still. */
async function place(t: TestContext, given: LoginOptions = {}): Promise<Place> {
  const path = join(temporaryFolder(t), 'users.db');
  const clock = { time: 1_800_000_000_000 };
  const open = async (options: LoginOptions = given) => {
    const store = await openUserStore(path, settleSettings({}).settings.auth);
    t.after(() => store[Symbol.asyncDispose]());
    return { store, logins: new Logins(store, { hasher, step: 0, now: () => clock.time, ...options }) };
  };
  const { store, logins } = await open();
  for (const name of [bob, alice]) await store.add(name, await hasher.hash(SECRET));
  return Object.assign(clock, { path, store, logins, open });
}

function request(changes: Partial<LoginRequest> = {}): LoginRequest {
  return { name: 'bob', password: SECRET, address: '192.0.2.1', device: someFingerprint(1), ...changes };
}

async function outcome(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return 'in';
  } catch (error) {
    assert.ok(error instanceof LocalstreamError, String(error));
    return error.code;
  }
}

it('lets in who has the password, with the rights', async (t) => {
  const { store, logins } = await place(t);
  await store.grant(bob, 'docs', ['read']);
  await store.grant('*', 'public', ['list']);
  await store.grant(alice, 'private', ['read']);
  const { name, grants } = await logins.login(request());
  assert.equal(name, bob);
  assert.deepEqual(grants.map(({ share }) => share).sort(), ['docs', 'public']);
  assert.ok((await store.find(bob))?.lastLogin);
});

it('gives one answer to all who have not', async (t) => {
  const { store, logins } = await place(t);
  await store.setDisabled(alice, true);
  const refusals: unknown[] = [];
  const wrong = [
    request({ password: 'guess' }),
    request({ name: 'nobody' }),
    request({ name: 'alice' }),
    request({ name: 'alice', password: 'guess' }),
    request({ name: 'Bob' }),
    request({ name: '' }),
    request({ password: '' }),
  ];
  for (const [index, one] of wrong.entries()) {
    const attempt = logins.login({ ...one, address: `192.0.2.${index}`, device: someFingerprint(index) });
    await assert.rejects(attempt, (error) => {
      assert.ok(error instanceof LocalstreamError);
      refusals.push([error.code, error.message, error.hint, error.cause]);
      return true;
    });
  }
  for (const refusal of refusals) assert.deepEqual(refusal, refusals[0]);
  assert.deepEqual(refusals[0], [
    'LOGIN_FAILED',
    'the user name or the password is wrong',
    undefined,
    undefined,
  ]);
});

it('takes as long for nobody as for a wrong password', async (t) => {
  const costly = new PasswordHasher({ policy: { memory: 8192, passes: 2, lanes: 1 } });
  const { store, logins } = await place(t, {
    hasher: costly,
    rules: { account: FREE, address: FREE, device: FREE, all: FREE },
  });
  await store.setPassword(bob, await costly.hash(SECRET));
  await store.setPassword(alice, await costly.hash(SECRET));
  await store.setDisabled(alice, true);
  const cases: Record<string, LoginRequest> = {
    unknown: request({ name: 'nobody' }),
    wrong: request({ password: 'guess' }),
    disabled: request({ name: 'alice' }),
    malformed: request({ name: 'a\nb' }),
  };
  const times = new Map<string, number[]>(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < 15; round++) {
    for (const [name, one] of Object.entries(cases)) {
      const start = performance.now();
      assert.equal(await outcome(logins.login(one)), 'LOGIN_FAILED');
      times.get(name)?.push(performance.now() - start);
    }
  }
  for (const [name, all] of times) {
    const sorted = all.toSorted((a, b) => a - b);
    t.diagnostic(
      `${name}: median ${sorted[7]?.toFixed(2)} ms, quartiles ${sorted[3]?.toFixed(2)} and ${sorted[11]?.toFixed(2)}`,
    );
  }
});

const FREE = { free: 1e9, first: 1, most: 1, forget: 1000 };

it('answers refusals at even steps', async (t) => {
  const { logins } = await place(t, { step: 60 });
  const start = performance.now();
  assert.equal(await outcome(logins.login(request({ name: 'nobody' }))), 'LOGIN_FAILED');
  t.diagnostic(`refused after ${(performance.now() - start).toFixed(1)} ms, steps of 60`);
});

it('lets nobody in by a name or a password that is SQL, endless or nothing', async (t) => {
  const { store, logins } = await place(t, {
    rules: { account: FREE, address: FREE, device: FREE, all: FREE },
  });
  for (const text of hostileTexts) {
    for (const one of [
      request({ name: text }),
      request({ password: text }),
      request({ name: text, password: text }),
    ]) {
      assert.equal(await outcome(logins.login(one)), 'LOGIN_FAILED', JSON.stringify(text.slice(0, 40)));
    }
  }
  for (const stored of ['', '*', '!', 'x', '$argon2id$', '$2b$', 'NULL', SECRET]) {
    await store.setPassword(bob, stored);
    for (const password of [stored, SECRET, '', 'null']) {
      assert.equal(await outcome(logins.login(request({ password }))), 'LOGIN_FAILED', stored);
    }
  }
});

it('renews a hash that is weaker than the policy', async (t) => {
  const { store, open } = await place(t);
  const { logins } = await open({
    hasher: new PasswordHasher({ policy: { memory: 128, passes: 2, lanes: 1 } }),
    step: 0,
  });
  assert.equal(await outcome(logins.login(request({ password: 'guess' }))), 'LOGIN_FAILED');
  assert.match((await store.find(bob))?.hash ?? '', /m=64,t=1/);
  assert.equal(await outcome(logins.login(request())), 'in');
  assert.match((await store.find(bob))?.hash ?? '', /m=128,t=2/);
  assert.equal(await outcome(logins.login(request())), 'in');
});

/** Before its first verifications something else is done, each time the next. */
class LateHasher extends PasswordHasher {
  readonly #before: (() => Promise<unknown>)[];
  verifications = 0;

  constructor(before: (() => Promise<unknown>)[]) {
    super({ policy: STRONGER });
    this.#before = before;
  }

  override async verify(password: string, stored: string): Promise<boolean> {
    this.verifications += 1;
    await this.#before.shift()?.();
    return super.verify(password, stored);
  }
}

const STRONGER = { memory: 128, passes: 2, lanes: 1 };

describe('while another login renews the hash', () => {
  for (const [what, after, password, wanted, verifications] of [
    ['the right password is let in', undefined, SECRET, 'in', 2],
    ['a wrong one costs one hash', undefined, 'guess', 'LOGIN_FAILED', 1],
    ['nobody is let in who is disabled after that', 'disable', SECRET, 'LOGIN_FAILED', 2],
    ['nobody is let in who is removed after that', 'remove', SECRET, 'LOGIN_FAILED', 2],
    ['the old password is of no use after that', 'password', SECRET, 'LOGIN_FAILED', 2],
  ] as const)
    it(what, async (t) => {
      const here = await place(t);
      const old = (await here.store.find(bob))?.hash;
      const renew = async () => {
        // It has a connection of its own, as another server has.
        const { logins } = await here.open({ hasher: new PasswordHasher({ policy: STRONGER }), step: 0 });
        assert.equal(await outcome(logins.login(request())), 'in');
        assert.notEqual((await here.store.find(bob))?.hash, old);
      };
      const change = async () => {
        if (after === 'disable') await here.store.setDisabled(bob, true);
        if (after === 'remove') await here.store.remove(bob);
        if (after === 'password') await here.store.setPassword(bob, await hasher.hash('another'));
      };
      const late = new LateHasher([renew, change]);
      const { logins } = await here.open({ hasher: late, step: 0 });
      assert.equal(await outcome(logins.login(request({ password }))), wanted);
      assert.equal(late.verifications, verifications);
    });
});

describe('the limits', () => {
  it('slow one account down, wherever the guesses come from', async (t) => {
    const here = await place(t);
    let guesses = 0;
    let refusals = 0;
    for (let round = 0; round < 600; round++) {
      const address = `10.${round >> 8}.${round & 255}.1`;
      const device = someFingerprint(round % 250);
      const result = await outcome(
        here.logins.login(request({ password: `guess ${round}`, address, device })),
      );
      if (result === 'LOGIN_FAILED') guesses += 1;
      else refusals += 1;
      here.time += 1000;
    }
    assert.ok(guesses >= 6 && guesses < 20, `${guesses} guesses in 600 seconds`);
    assert.equal(guesses + refusals, 600);
    const right = await outcome(
      here.logins.login(request({ address: '10.9.9.9', device: someFingerprint(251) })),
    );
    assert.equal(right, 'LOGIN_LATER', 'the right password is no help while it is blocked');
    here.time += 900_000;
    assert.equal(await outcome(here.logins.login(request({ address: '10.9.9.9' }))), 'in');
  });

  it('say nothing of whether the account exists', async (t) => {
    const here = await place(t);
    const outcomes = new Map<string, string[]>([
      ['bob', []],
      ['nobody', []],
      ['x\ny', []],
    ]);
    for (let round = 0; round < 12; round++) {
      for (const [index, [name, list]] of [...outcomes].entries()) {
        list.push(
          await outcome(
            here.logins.login(request({ name, password: 'guess', address: `10.0.${index}.${round}` })),
          ),
        );
      }
      here.time += 700;
    }
    const [first, ...others] = outcomes.values();
    assert.ok(first?.includes('LOGIN_LATER') && first.includes('LOGIN_FAILED'));
    for (const other of others) assert.deepEqual(other, first);
  });

  it('slow one address down, whatever the names', async (t) => {
    const here = await place(t);
    let guesses = 0;
    for (let round = 0; round < 300; round++) {
      const one = request({ name: `user${round}`, device: someFingerprint(round % 250) });
      if ((await outcome(here.logins.login(one))) === 'LOGIN_FAILED') guesses += 1;
      here.time += 100;
    }
    assert.ok(guesses >= 20 && guesses < 30, `${guesses} guesses in 30 seconds`);
    assert.equal(
      await outcome(here.logins.login(request({ address: '192.0.2.2' }))),
      'in',
      'others are not held up',
    );
  });

  it('slow everybody down where guesses come from everywhere', async (t) => {
    const here = await place(t);
    let guesses = 0;
    for (let round = 0; round < 1000; round++) {
      const one = request({
        name: `user${round}`,
        address: `10.${round >> 8}.${round & 255}.1`,
        device: someFingerprint(round % 250),
      });
      if ((await outcome(here.logins.login(one))) === 'LOGIN_FAILED') guesses += 1;
      here.time += 10;
    }
    assert.ok(guesses >= 200 && guesses < 230, `${guesses} guesses in 10 seconds`);
  });

  it('leave alone who has been in with that key before', async (t) => {
    const here = await place(t);
    const known = request({ address: '192.0.2.77', device: someFingerprint(77) });
    assert.equal(await outcome(here.logins.login(known)), 'in');
    for (let round = 0; round < 50; round++) {
      await outcome(here.logins.login(request({ password: 'guess', address: `10.0.0.${round}` })));
    }
    assert.equal(await outcome(here.logins.login(request({ address: '10.0.1.1' }))), 'LOGIN_LATER');
    assert.equal(await outcome(here.logins.login(known)), 'in');
    // A key that is known at one account is a stranger at another.
    for (let round = 0; round < 10; round++) {
      await outcome(
        here.logins.login({ ...known, name: 'alice', password: 'guess', address: `10.0.2.${round}` }),
      );
    }
    assert.equal(await outcome(here.logins.login({ ...known, name: 'alice' })), 'LOGIN_LATER');
    for (let round = 0; round < 10; round++)
      await outcome(here.logins.login({ ...known, password: 'guess' }));
    assert.equal(await outcome(here.logins.login(known)), 'LOGIN_LATER', 'and it has a limit of its own');
  });

  it('are kept across a restart', async (t) => {
    const here = await place(t);
    for (let round = 0; round < 8; round++) {
      await outcome(here.logins.login(request({ password: 'guess', address: `10.0.0.${round}` })));
    }
    assert.equal(await outcome(here.logins.login(request({ address: '10.0.1.1' }))), 'LOGIN_LATER');
    await here.store[Symbol.asyncDispose]();
    const { logins } = await here.open();
    assert.equal(await outcome(logins.login(request({ address: '10.0.1.2' }))), 'LOGIN_LATER');
    assert.equal(await outcome(logins.login(request({ name: 'alice', address: '10.0.1.2' }))), 'in');
  });

  it('count guesses that are made at once', async (t) => {
    const here = await place(t);
    const guesses = Array.from({ length: 100 }, (_, number) =>
      outcome(
        here.logins.login(
          request({
            password: `guess ${number}`,
            address: `10.0.0.${number}`,
            device: someFingerprint(number),
          }),
        ),
      ),
    );
    const results = await Promise.all(guesses);
    const tried = results.filter((result) => result === 'LOGIN_FAILED').length;
    assert.ok(tried >= 1 && tried <= 6, `${tried} were tried`);
  });

  it('hold up no crowd that knows its passwords', async (t) => {
    const here = await place(t);
    const crowd = Array.from({ length: 60 }, (_, number) =>
      outcome(here.logins.login(request({ device: someFingerprint(number) }))),
    );
    for (const result of await Promise.all(crowd)) assert.equal(result, 'in');
  });
});

it('lets nobody in who was disabled, removed or given another password while waiting', async (t) => {
  for (const change of ['disable', 'remove', 'password']) {
    await t.test(change, async (inner) => {
      const slow = new PasswordHasher({ policy: { memory: 32_768, passes: 6, lanes: 1 }, width: 1 });
      const here = await place(inner, { hasher: slow });
      await here.store.setPassword(bob, await slow.hash(SECRET));
      // One hash at a time: the login waits for these, and all that is done meanwhile comes first.
      const before = Array.from({ length: 5 }, () => slow.hash('before'));
      const attempt = outcome(here.logins.login(request()));
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (change === 'disable') await here.store.setDisabled(bob, true);
      else if (change === 'remove') await here.store.remove(bob);
      else await here.store.setPassword(bob, await hasher.hash('another'));
      assert.equal(await attempt, 'LOGIN_FAILED');
      await Promise.all(before);
    });
  }
});

it('says to the operator what fails, and to the peer only to come later', async (t) => {
  const told: LocalstreamError[] = [];
  const here = await place(t, { onTrouble: (error) => told.push(error) });
  await here.store[Symbol.asyncDispose]();
  for (let round = 0; round < 3; round++) {
    await assert.rejects(here.logins.login(request()), (error) => {
      code('LOGIN_LATER')(error);
      assert.ok(error instanceof LocalstreamError && error.cause === undefined);
      assert.doesNotMatch(error.message, /users\.db/);
      return true;
    });
  }
  assert.deepEqual(
    told.map((error) => error.code),
    ['NO_USERS'],
  );
});
