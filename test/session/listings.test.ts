import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Entry, Session } from '../../src/index.ts';
import { pair } from './machines.ts';

async function all(session: Session, path?: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of session.list(path)) entries.push(entry);
  return entries;
}

suite('a listing', () => {
  test('of thousands of entries comes whole, several at once, with awkward names', async (t) => {
    const { share, session } = await pair(t);
    mkdirSync(join(share, 'many'));
    const names = Array.from(
      { length: 3000 },
      (_, number) => `${number} ${'long '.repeat(number % 40)}\n"${number}"`,
    );
    for (const name of names) writeFileSync(join(share, 'many', name), '');
    const listings = await Promise.all([1, 2, 3].map(() => all(session, '/share/many')));
    for (const entries of listings)
      assert.deepEqual(entries.map(({ name }) => name).sort(), names.toSorted());
  });

  test('tells of each entry what there is to tell', async (t) => {
    const { share, session } = await pair(t);
    mkdirSync(join(share, 'folder'), { mode: 0o750 });
    writeFileSync(join(share, 'file'), 'four', { mode: 0o640 });
    utimesSync(join(share, 'file'), 1, 1_234_567_890);
    symlinkSync('file', join(share, 'link'));
    const entries = new Map((await all(session, '/share')).map((entry) => [entry.name, entry]));
    const { mtime, ...file } = entries.get('file') ?? assert.fail();
    assert.deepEqual(file, { name: 'file', type: 'file', size: 4, mode: 0o640 });
    assert.equal(mtime.getTime(), 1_234_567_890_000);
    assert.equal(entries.get('folder')?.type, 'folder');
    assert.deepEqual([entries.get('link')?.type, entries.get('link')?.target], ['link', 'file']);
    const [only] = await all(session, '/share/file');
    assert.equal(only?.name, 'file');
    assert.deepEqual(
      (await all(session)).map(({ name, type }) => [name, type]),
      [['share', 'share']],
    );
  });

  test('may be left, cancelled, or cut by the end of the session', async (t) => {
    const { share, session } = await pair(t);
    for (let number = 0; number < 2000; number += 1) writeFileSync(join(share, `f${number}`), '');
    // Many that are left half-way leave nothing behind that keeps the next from being served.
    for (let round = 0; round < 30; round += 1)
      for await (const entry of session.list('/share')) {
        assert.ok(entry.name.startsWith('f'));
        break;
      }
    assert.equal((await all(session, '/share')).length, 2000);
    await assert.rejects(session.list('/share', { signal: AbortSignal.abort() }).next(), {
      code: 'CANCELLED',
    });
    const stop = new AbortController();
    const cancelled = session.list('/share', { signal: stop.signal });
    await cancelled.next();
    stop.abort();
    await assert.rejects(
      async () => {
        while (!(await cancelled.next()).done);
      },
      { code: 'CANCELLED' },
    );
    const open = session.list('/share');
    await open.next();
    await session.close();
    await assert.rejects(
      async () => {
        while (!(await open.next()).done);
      },
      { code: 'CLOSED' },
    );
    await assert.rejects(all(session, '/share'), { code: 'CLOSED' });
  });
});
