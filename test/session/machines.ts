/** Two real machines that share files over loopback: homes of their own, with keys of the vectors, in one process. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { serializeIdentity } from '../../src/crypto/identity.ts';
import type { Listener, ListenOptions, Localstream, Session } from '../../src/index.ts';
import { openLocalstream } from '../../src/index.ts';
import { identities, type KeyName } from '../crypto/fixed.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { quickFolder } from '../transfer/engine-run.ts';

type Flags = Readonly<Record<string, unknown>>;

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
  options: { readonly listen?: Partial<ListenOptions>; readonly bob?: Flags; readonly alice?: Flags } = {},
): Promise<Pair> {
  const base = quickFolder(t);
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

/** Bytes that look like chance; the same for the same seed. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed * 2654435761 + 1;
  for (let offset = 0; offset + 4 <= size; offset += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, offset);
  }
  return bytes;
}
