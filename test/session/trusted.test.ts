/** Trusted peers over real sessions: what each may do, and how it ends for who is trusted no more. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  type Listener,
  type Localstream,
  LocalstreamError,
  type PeerRights,
  type Session,
  type ShareMode,
} from '../../src/index.ts';
import { run } from '../cli/cli-process.ts';
import { until } from '../server/wire-machines.ts';
import { machine, noise, sceneFolder } from './machines.ts';

interface Place {
  readonly base: string;
  readonly local: string;
  readonly bob: Localstream;
  readonly alice: Localstream;
  readonly listener: Listener;
  readonly session: Session;
}

const folderOf = (base: string, mode: ShareMode) => join(base, mode);

/** Bob trusts alice with these rights, and shares three folders, called as their modes. */
async function place(t: TestContext, rights: PeerRights): Promise<Place> {
  const base = sceneFolder(t);
  const local = join(base, 'local');
  const modes = ['ro', 'rw', 'wo'] as const;
  for (const folder of [local, ...modes.map((mode) => folderOf(base, mode))]) mkdirSync(folder);
  for (const mode of modes) writeFileSync(join(folderOf(base, mode), 'a.txt'), 'there');
  writeFileSync(join(local, 'up.txt'), 'up');
  const bob = await machine(t, base, 'bob');
  const alice = await machine(t, base, 'alice');
  await bob.trust.trust({ fingerprint: alice.fingerprint, how: 'manual', name: 'alice', rights });
  await alice.trust.trust({ fingerprint: bob.fingerprint, how: 'manual', name: 'bob' });
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    shares: modes.map((mode) => ({ name: mode, folder: folderOf(base, mode), mode })),
  });
  const session = await alice.connect({ host: '127.0.0.1', port: listener.port });
  return { base, local, bob, alice, listener, session };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'OK';
  } catch (error) {
    assert.ok(error instanceof LocalstreamError, String(error));
    return error.code;
  }
}

async function names(session: Session, path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of session.list(path)) found.push(name);
  return found.sort();
}

const give = (share: string, ...rights: readonly ('read' | 'write' | 'list')[]) =>
  rights.map((right) => ({ share, right, allowed: true }));
const deny = (share: string, ...rights: readonly ('read' | 'write' | 'list')[]) =>
  rights.map((right) => ({ share, right, allowed: false }));

/** What each verb comes to in each share: list, get, put, mkdir, move, remove. */
const CASES: readonly {
  readonly rights: PeerRights;
  readonly ro: string;
  readonly rw: string;
  readonly wo: string;
}[] = [
  { rights: 'all', ro: 'lg', rw: 'lgpmvr', wo: 'p' },
  { rights: [], ro: '', rw: '', wo: '' },
  { rights: give('*', 'read', 'write', 'list'), ro: 'lg', rw: 'lgpmvr', wo: 'p' },
  { rights: give('*', 'read', 'list'), ro: 'lg', rw: 'lg', wo: '' },
  { rights: [...give('*', 'read', 'list'), ...deny('ro', 'read', 'list')], ro: '', rw: 'lg', wo: '' },
  { rights: [...deny('*', 'write'), ...give('rw', 'read', 'write')], ro: '', rw: 'g', wo: '' },
  { rights: give('rw', 'write'), ro: '', rw: 'p', wo: '' },
  { rights: [...give('rw', 'write', 'list'), ...give('wo', 'write')], ro: '', rw: 'lp', wo: 'p' },
];

describe('rights of a trusted peer', () => {
  for (const { rights, ...expected } of CASES) {
    test(JSON.stringify(rights), async (t) => {
      const { base, local, session } = await place(t, rights);
      const seen = Object.entries(expected).filter(([, verbs]) => verbs !== '');
      assert.deepEqual(await names(session, '/'), seen.map(([mode]) => mode).sort());
      for (const mode of ['ro', 'rw', 'wo'] as const) {
        const may = expected[mode];
        const verbs: Record<string, () => Promise<unknown>> = {
          l: () => names(session, `/${mode}`),
          g: () => session.get([`/${mode}/a.txt`], join(local, `${mode}.txt`)),
          p: () => session.put([join(local, 'up.txt')], `/${mode}/`, { existing: 'rename' }),
          m: () => session.makeFolder(`/${mode}/new`),
          v: () => session.move(`/${mode}/new`, `/${mode}/newer`),
          r: () => session.remove(`/${mode}/newer`, { recursive: true }),
        };
        for (const [letter, run] of Object.entries(verbs)) {
          // Who may do nothing at all with a share is not told that it is there.
          const refused = may === '' ? 'NOT_FOUND' : 'NOT_ALLOWED';
          assert.equal(await codeOf(run()), may.includes(letter) ? 'OK' : refused, `${letter} ${mode}`);
        }
        // Who may write and not see, also by its rights, has a drop-box.
        if (may.includes('p') && !(may.includes('l') && may.includes('g')))
          assert.equal(
            await codeOf(session.put([join(local, 'up.txt')], `/${mode}/a.txt`, { existing: 'overwrite' })),
            'NOT_ALLOWED',
          );
        assert.equal(readFileSync(join(folderOf(base, mode), 'a.txt'), 'utf8'), 'there');
      }
    });
  }

  test('other rights count at once in a session that is open', async (t) => {
    const { bob, alice, session } = await place(t, 'all');
    assert.equal(await codeOf(names(session, '/rw')), 'OK');
    await bob.trust.trust({ fingerprint: alice.fingerprint, how: 'manual', rights: give('ro', 'list') });
    while ((await names(session, '/')).length !== 1) await new Promise(setImmediate);
    assert.equal(await codeOf(names(session, '/rw')), 'NOT_FOUND');
    assert.equal(await codeOf(names(session, '/ro')), 'OK');
    assert.deepEqual((await bob.trust.get(alice.fingerprint))?.how, 'manual');
    await bob.trust.trust({ fingerprint: alice.fingerprint, how: 'manual', rights: 'all' });
    while ((await names(session, '/')).length !== 3) await new Promise(setImmediate);
  });
});

describe('who is trusted no more', () => {
  /** A get that takes long enough, once it runs; `ended` is what it ends with. */
  async function running({ base, local, listener }: Place, session: Session) {
    writeFileSync(join(folderOf(base, 'ro'), 'big'), noise(4_000_000));
    const ended = codeOf(session.get(['/ro/big'], `${local}/`, { limit: 100_000 }));
    const early = ended.then((code) => assert.fail(`it ended with ${code}`));
    await Promise.race([until(() => listener.transfers.some(({ bytes }) => bytes > 0)), early]);
    early.catch(() => {});
    return { ended };
  }

  async function isOver({ session, listener, local }: Place, { ended }: { ended: Promise<string> }) {
    assert.equal(await ended, 'REJECTED');
    assert.equal((await session.closed)?.code, 'REJECTED');
    await until(() => listener.peers.length === 0 && listener.transfers.length === 0);
    assert.equal(existsSync(join(local, 'big')), false);
    assert.deepEqual(
      readdirSync(local).filter((name) => !name.startsWith('.')),
      ['up.txt'],
    );
  }

  test('is out at once, with what is running, and can not come back', async (t) => {
    const all = await place(t, 'all');
    const got = await running(all, all.session);
    await all.bob.trust.forget(all.alice.fingerprint);
    await isOver(all, got);
    const again = all.alice.connect({ host: '127.0.0.1', port: all.listener.port });
    assert.equal(await codeOf(again), 'NOT_TRUSTED');
  });

  test('also where another process of this home forgets it', async (t) => {
    const all = await place(t, 'all');
    const got = await running(all, all.session);
    const forgotten = await run(['forget', 'alice'], { home: all.bob.home.data });
    assert.equal(forgotten.status, 0, forgotten.stderr);
    await isOver(all, got);
  });

  test('a server that its client forgets: the session ends there', async (t) => {
    const all = await place(t, 'all');
    const got = await running(all, all.session);
    await all.alice.trust.forget(all.bob.fingerprint);
    await isOver(all, got);
  });

  test('who is kicked is out too, and comes back; a listener that is closed ends all', async (t) => {
    const all = await place(t, 'all');
    const got = await running(all, all.session);
    await all.listener.kick(all.listener.peers[0]?.id ?? '');
    await isOver(all, got);
    const session = await all.alice.connect({ host: '127.0.0.1', port: all.listener.port });
    const again = await running(all, session);
    await all.listener.close();
    assert.equal(await again.ended, 'SHUTTING_DOWN');
    assert.equal((await session.closed)?.code, 'SHUTTING_DOWN');
    assert.deepEqual([all.listener.peers, all.listener.transfers], [[], []]);
  });

  test('who was let in without trust stays when others are forgotten', async (t) => {
    const all = await place(t, 'all');
    const open = await all.bob.listen({
      port: 0,
      host: '127.0.0.1',
      open: true,
      shares: all.listener.shares,
    });
    const mallory = await machine(t, all.base, 'mallory');
    const guest = await mallory.connect({ host: '127.0.0.1', port: open.port, acceptNew: true });
    await all.bob.trust.forget(all.alice.fingerprint);
    assert.equal((await all.session.closed)?.code, 'REJECTED');
    assert.deepEqual(await names(guest, '/'), ['ro', 'rw', 'wo']);
  });
});
