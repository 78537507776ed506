/** Machines for the tests of the wire: real ones with real homes, whose keys are those of the vectors. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Identity } from '../../src/crypto/identity.ts';
import { serializeIdentity } from '../../src/crypto/identity.ts';
import type { Listener, ListenOptions, Localstream } from '../../src/index.ts';
import { openLocalstream } from '../../src/index.ts';
import { identities, type KeyName } from '../crypto/fixed.ts';

const steps = new WeakMap<TestContext, (() => unknown)[]>();

/** Does something after a test, the last first, whatever the steps before it came to. */
export function afterwards(t: TestContext, step: () => unknown): void {
  const known = steps.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const list = [step];
  steps.set(t, list);
  t.after(async () => {
    for (const one of list.reverse()) await one();
  });
}

/** A new folder that goes with the test. */
function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-test-'));
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Files in a new folder, by name; a name may hold folders. */
export function folderOf(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** A machine of its own, with the key of this name. */
export async function machine(
  t: TestContext,
  key: KeyName,
  flags: Readonly<Record<string, unknown>> = {},
): Promise<Localstream> {
  const home = temporaryFolder(t);
  const record: Record<string, unknown> = { ...serializeIdentity(identities[key]) };
  writeFileSync(join(home, 'identity.json'), JSON.stringify(record), { mode: 0o600 });
  // All connections of these tests come from one address and at once, which is not what most of them are about.
  const generous = { 'strangers.perSecond': 10_000, 'strangers.perSecondPerAddress': 10_000 };
  const opened = await openLocalstream({ home, flags: { name: `${key}'s device`, ...generous, ...flags } });
  afterwards(t, () => opened.close());
  return opened;
}

/** A listener of bob, open to everybody unless told otherwise, and what it was told of. */
export interface Served {
  readonly bob: Localstream;
  readonly listener: Listener;
  readonly identity: Identity;
  /** Codes of the connections that were refused. */
  readonly refused: string[];
  /** Codes of the transfers that failed. */
  readonly failed: string[];
}

/** Opens bob's listener. */
export async function serve(
  t: TestContext,
  options: Partial<ListenOptions> = {},
  flags: Readonly<Record<string, unknown>> = {},
): Promise<Served> {
  const bob = await machine(t, 'bob', flags);
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    open: true,
    maxConnections: 10,
    ...options,
  });
  const refused: string[] = [];
  const failed: string[] = [];
  listener.on('refused', ({ error }) => refused.push(error.code));
  listener.on('failed', ({ error }) => failed.push(error.code));
  return { bob, listener, identity: identities.bob, refused, failed };
}

/** Waits until something is so. The runner's own time-out ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}
