import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { systemCode } from '../../src/errors.ts';
import { makeFilled } from '../../src/transfer/filled-folder.ts';
import type { Folder } from '../../src/transfer/folder.ts';
import { checkName } from '../../src/transfer/name.ts';
import { SourceFile } from '../../src/transfer/source-file.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import { namesIn, picture, startElsewhere, temporaryRoot } from './workplace.ts';

const MOST_ROUNDS = 200_000;
/** Rounds of each outcome after which the race has shown what it can. */
const ENOUGH = 100;

/** A root in which another process swaps the folder `victim` for a link to `outside`, and back, as fast as it can. */
async function besieged(t: TestContext): Promise<{ path: string; outside: string; root: Folder }> {
  const { base, path, root } = temporaryRoot(t);
  const outside = join(base, 'outside');
  mkdirSync(join(outside, 'inner'), { recursive: true });
  mkdirSync(join(path, 'victim', 'inner'), { recursive: true });
  for (const folder of [outside, join(path, 'victim')]) {
    writeFileSync(join(folder, 'file'), folder === outside ? 'precious' : 'public');
    writeFileSync(join(folder, 'doomed'), 'x');
  }
  await startElsewhere(t, ['swap', path]);
  return { path, outside, root };
}

/** Plays rounds until both outcomes were seen often enough. */
function play(round: (number: number) => void): { done: number; refused: number } {
  let done = 0;
  let refused = 0;
  for (let number = 0; number < MOST_ROUNDS && Math.min(done, refused) < ENOUGH; number += 1) {
    try {
      round(number);
      done += 1;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      refused += 1;
    }
  }
  return { done, refused };
}

suite('a parent that another process swaps for a link all the time', () => {
  test('lets no byte, mode, time or removal go outside', async (t) => {
    const { outside, root } = await besieged(t);
    const before = picture(outside);
    const { done, refused } = play((number) => {
      using folder = root.child(checkName('victim'));
      const file = TargetFile.open(folder, checkName('file'), { size: 3 });
      try {
        file.writeAt(Buffer.from('new'), 0);
        file.commit({ mode: 0o777, mtime: number, policy: 'overwrite' });
      } finally {
        file.discard();
      }
      using made = folder.makeChild(checkName('made'));
      made.setMode(0o777);
      made.setTimes(number);
      folder.symlink('x', checkName('link'));
      folder.setLinkTimes(checkName('link'), number);
      folder.rename(checkName('link'), checkName('renamed'));
      folder.unlink(checkName('renamed'));
      folder.link(checkName('file'), checkName('linked'));
      folder.unlink(checkName('linked'));
      folder.removeIfEmpty(checkName('made'));
      const inner = { name: checkName('inside'), bytes: Buffer.from('new'), mode: 0o777, mtime: number };
      assert.ok(makeFilled(folder, checkName('filled'), 0o777, [inner]));
      using filled = folder.child(checkName('filled'));
      filled.unlink(checkName('inside'));
      folder.removeIfEmpty(checkName('filled'));
      folder.setMode(0o755);
      folder.setTimes(number);
    });
    assert.ok(done >= ENOUGH && refused >= ENOUGH, `${done} done, ${refused} refused`);
    assert.deepEqual(picture(outside), before);
  });

  test('shows no byte of the outside', async (t) => {
    const { root } = await besieged(t);
    const bytes = Buffer.alloc(8);
    const { done, refused } = play(() => {
      using folder = root.child(checkName('victim'));
      using file = SourceFile.open(folder, checkName('file'));
      const count = file.readAt(bytes, 0);
      assert.equal(bytes.toString('latin1', 0, count), 'public');
      assert.ok([...folder.list()].length === 3);
    });
    assert.ok(done >= ENOUGH && refused >= ENOUGH, `${done} done, ${refused} refused`);
  });

  test('is a race that a check before the write does lose', async (t) => {
    const { path, outside } = await besieged(t);
    const { length } = namesIn(outside);
    let rounds = 0;
    while (rounds < MOST_ROUNDS && namesIn(outside).length === length) {
      rounds += 1;
      try {
        if (lstatSync(join(path, 'victim')).isDirectory())
          writeFileSync(join(path, 'victim', `${rounds}`), '');
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error;
      }
    }
    assert.ok(namesIn(outside).length > length);
  });
});
