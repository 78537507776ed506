/** Two real machines that share files over loopback: homes of their own, with keys of the vectors, in one process. */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { serializeIdentity } from '../../src/crypto/identity.ts';
import type { Listener, ListenOptions, Localstream, Session } from '../../src/index.ts';
import { openLocalstream } from '../../src/index.ts';
import { identities, type KeyName } from '../crypto/fixed.ts';
import { afterwards, until } from '../server/wire-machines.ts';

type Flags = Readonly<Record<string, unknown>>;

/** A folder in memory, where there is such a place, that goes when all that was opened after it has been closed. */
export function sceneFolder(t: TestContext): string {
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = realpathSync(mkdtempSync(join(base, 'localstream-test-')));
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Makes a home with the key of this name in a folder. */
export function homeOf(folder: string, key: KeyName): string {
  const home = join(folder, key);
  mkdirSync(home, { mode: 0o700 });
  const record: Record<string, unknown> = { ...serializeIdentity(identities[key]) };
  writeFileSync(join(home, 'identity.json'), JSON.stringify(record), { mode: 0o600 });
  return home;
}

/** Flags under which tests run: many connections from one address at once, and no second try unless it is wanted. */
export const TEST_FLAGS: Flags = {
  'strangers.perSecond': 10_000,
  'strangers.perSecondPerAddress': 10_000,
  freeSpaceReserve: 0,
  retryFor: 0,
};

/** A machine of its own. */
export async function machine(
  t: TestContext,
  folder: string,
  key: KeyName,
  flags: Flags = {},
): Promise<Localstream> {
  const opened = await openLocalstream({
    home: homeOf(folder, key),
    flags: { name: `${key}'s device`, ...TEST_FLAGS, ...flags },
  });
  afterwards(t, () => opened.close());
  return opened;
}

export interface Pair {
  /** A folder in memory that goes with the test. */
  readonly base: string;
  /** Bob's share, called `share`. */
  readonly share: string;
  /** A folder of alice. */
  readonly local: string;
  readonly bob: Localstream;
  readonly alice: Localstream;
  readonly listener: Listener;
  readonly session: Session;
  /** Codes of what failed at bob's. */
  readonly failed: string[];
}

/** Bob listens and shares a folder, alice is connected. */
export async function pair(
  t: TestContext,
  options: {
    readonly base?: string;
    readonly listen?: Partial<ListenOptions>;
    readonly bob?: Flags;
    readonly alice?: Flags;
  } = {},
): Promise<Pair> {
  const base = options.base ?? sceneFolder(t);
  const [share, local] = [join(base, 'share'), join(base, 'local')];
  for (const folder of [share, local]) mkdirSync(folder);
  const bob = await machine(t, base, 'bob', options.bob);
  const alice = await machine(t, base, 'alice', options.alice);
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    open: true,
    maxConnections: 10,
    shares: [{ name: 'share', folder: share, mode: 'rw' }],
    ...options.listen,
  });
  const failed: string[] = [];
  listener.on('failed', ({ error }) => failed.push(error.code));
  const session = await alice.connect({ host: '127.0.0.1', port: listener.port, acceptNew: true });
  await until(() => listener.peers.length > 0);
  return { base, share, local, bob, alice, listener, session, failed };
}

/** Bytes that differ in every block, and from those of other seeds; the same for the same seed. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size, (seed * 97 + 13) % 251);
  for (let offset = 0; offset < size; offset += 4096) {
    const place = Math.min(offset, Math.max(0, size - 8));
    if (size >= 8) bytes.writeUInt32LE((Math.imul(seed + 1, 2654435761) ^ offset) >>> 0, place);
  }
  return bytes;
}

/** What a machine finds of what it has received, by the last component of each path. */
export async function verified(
  machine: Localstream,
  folder: string,
): Promise<[name: string, state: string][]> {
  const found: [string, string][] = [];
  for await (const { path, state } of machine.verify(folder)) found.push([basename(path), state]);
  return found.sort();
}
