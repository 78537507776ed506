/**
 * `node bench/logins.ts [USERS] [LOGINS]`: what looking a user up among 10,000 costs, in SQLite and, where `mariadbd` is installed, in
 * MariaDB; and how the times of an unknown user and of a wrong password compare, by logins in turns. Nothing is asserted.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LimitKind, LimitRule } from '../src/auth/limits.ts';
import { Logins } from '../src/auth/login.ts';
import { openUserStore } from '../src/auth/open-store.ts';
import { checkUserName } from '../src/auth/user-name.ts';
import type { UserStore } from '../src/auth/user-store.ts';
import { settleSettings } from '../src/config.ts';
import { fingerprintOfBytes } from '../src/crypto/fingerprint.ts';
import { PasswordHasher } from '../src/crypto/passwords.ts';
import { Mariadb, PASSWORD } from '../test/auth/mariadb.ts';

const [users = 10_000, logins = 200] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'localstream-bench-'));
const hasher = new PasswordHasher();
const hash = await hasher.hash('correct horse');
const device = fingerprintOfBytes(Buffer.alloc(32));
const nameOf = (index: number) => checkUserName(`user ${index}`);

async function open(flags: Readonly<Record<string, unknown>>): Promise<UserStore> {
  return await openUserStore(join(folder, 'users.db'), settleSettings({ flags }).settings.auth);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

async function fill(store: UserStore): Promise<void> {
  for (let index = 0; index < users; index += 1) await store.add(nameOf(index), hash);
}

async function lookUp(store: UserStore, where: string): Promise<void> {
  const [found, missing]: [number[], number[]] = [[], []];
  for (let round = 0; round < 2000; round += 1) {
    const index = Math.floor(Math.random() * users);
    for (const [name, times] of [
      [nameOf(index), found],
      [nameOf(users + index), missing],
    ] as const) {
      const start = performance.now();
      await store.find(name);
      times.push(performance.now() - start);
    }
  }
  const micro = (values: readonly number[]) => `${(median(values) * 1000).toFixed(0)} µs`;
  const worst = (values: readonly number[]) => `${Math.max(...values).toFixed(2)} ms`;
  console.log(
    `look-up among ${users} in ${where}: ${micro(found)} found, ${micro(missing)} missing (medians); ` +
      `longest of ${found.length}: ${worst(found)}, ${worst(missing)}`,
  );
}

interface Summary {
  readonly mean: number;
  /** Standard error of the mean. */
  readonly error: number;
  readonly text: string;
}

function summary(values: readonly number[]): Summary {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const error = Math.sqrt(variance / values.length);
  return {
    mean,
    error,
    text: `${mean.toFixed(2)} ± ${error.toFixed(2)} ms, median ${median(values).toFixed(2)}`,
  };
}

/** `step` 0: the bare computation, without the wait that hides what is left of a difference. */
async function compare(store: UserStore, step: number | undefined): Promise<void> {
  const never: LimitRule = { free: 1e9, first: 1, most: 1, forget: 1 };
  const rules: Record<LimitKind, LimitRule> = { account: never, address: never, device: never, all: never };
  const service = new Logins(store, { hasher, rules, ...(step !== undefined && { step }) });
  const [unknown, wrong]: [number[], number[]] = [[], []];
  const attempt = async (name: string, times: number[]) => {
    const start = performance.now();
    await service.login({ name, password: 'wrong', address: '192.0.2.1', device }).catch(() => {});
    times.push(performance.now() - start);
  };
  await attempt('nobody', []);
  for (let round = 0; round < logins; round += 1) {
    const pair = [() => attempt(`nobody ${round}`, unknown), () => attempt(`user ${round % users}`, wrong)];
    // Who is first takes turns: what the machine does by the way falls on both.
    for (const run of round % 2 === 0 ? pair : pair.reverse()) await run();
  }
  const [one, other] = [summary(unknown), summary(wrong)];
  const t = (one.mean - other.mean) / Math.hypot(one.error, other.error);
  console.log(
    `${step === 0 ? 'computed' : 'answered'}, ${logins} of each: unknown user ${one.text}; wrong password ${other.text}; ` +
      `Welch's t ${t.toFixed(2)} (beyond 2.6 either way: once in a hundred by chance)`,
  );
}

try {
  const own = await open({});
  await fill(own);
  await lookUp(own, 'SQLite');
  await compare(own, 0);
  await compare(own, undefined);
  await own[Symbol.asyncDispose]();
  if (spawnSync('mariadbd', ['--version']).status === 0) {
    await using server = await Mariadb.start();
    const url = `mysql://localstream@localhost/users?socket=${encodeURIComponent(server.socket)}`;
    const shared = await open({ 'auth.url': url, 'auth.password': PASSWORD });
    await shared.migrate();
    await fill(shared);
    await lookUp(shared, 'MariaDB');
    await shared[Symbol.asyncDispose]();
  }
  console.log(`load ${loadavg()[0]?.toFixed(1)}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
