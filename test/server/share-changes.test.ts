/** Changes in a share while another process does its worst there. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { LocalstreamError } from '../../src/errors.ts';
import { type Below, makeFolderIn, moveIn, removeIn } from '../../src/server/share-changes.ts';
import { checkPath } from '../../src/transfer/name.ts';
import { picture, startElsewhere, temporaryFolder } from '../transfer/workplace.ts';

const MOST_ROUNDS = 200_000;
/** Rounds of each outcome after which the race has shown what it can. */
const ENOUGH = 100;
/** What a place that is never twice the same may be answered with. */
const EXPECTED = new Set(['NOT_A_FOLDER', 'NOT_FOUND', 'EXISTS', 'BUSY', 'IS_A_FOLDER']);

function scene(t: TestContext): { readonly share: string; readonly outside: string } {
  const base = temporaryFolder(t);
  const [share, outside] = [join(base, 'share'), join(base, 'outside')];
  mkdirSync(join(outside, 'folder'), { recursive: true });
  mkdirSync(join(share, 'victim', 'folder'), { recursive: true });
  for (const folder of [outside, join(share, 'victim')]) writeFileSync(join(folder, 'file'), 'precious');
  return { share, outside };
}

/** Plays until both outcomes were seen often enough. */
function play(round: (number: number) => void): void {
  let [done, refused] = [0, 0];
  for (let number = 0; number < MOST_ROUNDS && Math.min(done, refused) < ENOUGH; number += 1) {
    try {
      round(number);
      done += 1;
    } catch (error) {
      assert.ok(error instanceof LocalstreamError && EXPECTED.has(error.code), String(error));
      refused += 1;
    }
  }
  assert.ok(done >= ENOUGH && refused >= ENOUGH, `${done} done, ${refused} refused`);
}

suite('a folder of the share that another process swaps for a link all the time', () => {
  test('has nothing made, moved or removed in what the link leads to', async (t) => {
    const { share, outside } = scene(t);
    const before = picture(outside);
    await startElsewhere(t, ['swap', share]);
    const at = (path: string): Below => ({ folder: share, path: checkPath(path), inside: false });
    const steps = [
      () => makeFolderIn(at('victim/made')),
      () => moveIn(at('victim/file'), at('victim/made')),
      () => moveIn(at('victim/folder'), at('out')),
      () => moveIn(at('out'), at('victim/folder')),
      () => moveIn(at('victim/made/file'), at('victim/file')),
      () => removeIn(at('victim/made'), true),
    ];
    play((number) => steps[number % steps.length]?.());
    assert.deepEqual(picture(outside), before);
  });

  test('is removed with all in it, and never what the link leads to', async (t) => {
    const { share, outside } = scene(t);
    const before = picture(outside);
    await startElsewhere(t, ['rebuild', share]);
    const top: Below = { folder: share, path: checkPath('top'), inside: false };
    play(() => removeIn(top, true));
    assert.deepEqual(picture(outside), before);
  });
});
