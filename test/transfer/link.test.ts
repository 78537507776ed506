import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { LocalstreamError } from '../../src/errors.ts';
import { checkLinkTarget } from '../../src/transfer/link.ts';
import { quickFolder } from './engine-run.ts';

/** Whether a link of this target, in a folder so many levels below the root's parent, may cross. */
function stays(target: string, depth: number): boolean {
  try {
    checkLinkTarget(target, depth);
    return true;
  } catch (error) {
    assert.ok(error instanceof LocalstreamError && error.code === 'LEAVES_TREE', String(error));
    return false;
  }
}

suite('the target of a link', () => {
  test('may climb as far as its root, and no further', () => {
    for (const depth of [0, 1, 2, 5]) {
      for (let climbs = 0; climbs < 8; climbs += 1) {
        const up = '../'.repeat(climbs);
        for (const target of [`${up}x`, `./${up}x`, `${up}./x//y`, climbs > 0 ? up.slice(0, -1) : '.'])
          assert.equal(stays(target, depth), climbs < depth, `${target} at ${depth}`);
      }
    }
  });

  test('climbs only at its front, is not absolute, and is something', () => {
    for (const target of [
      '',
      '/',
      '/x',
      '//x',
      '\\x',
      'x/..',
      'x/../y',
      '../x/../y',
      './x/./..',
      'a\0b',
      '\0',
    ])
      assert.equal(stays(target, 9), false, target);
    for (const target of ['x', 'x/y', '...', 'x/...', '..x', '.', './', 'x/', 'C:x', '\udcff'])
      assert.equal(stays(target, 9), true, target);
  });

  test('that is allowed never leads out of the tree, not through any other one either', (t) => {
    const base = quickFolder(t);
    writeFileSync(join(base, 'outside'), 'outside');
    const root = join(base, 'root');
    const folders = ['.', 'a', 'a/b', 'a/b/c', 'b', 'b/a'];
    const component = fc.constantFrom(
      '..',
      '.',
      '',
      'a',
      'b',
      'c',
      'l0',
      'l1',
      'l2',
      'l3',
      'outside',
      'root',
    );
    const someTarget = fc.array(component, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
    let kept = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(3), someTarget), { maxLength: 8 }), (links) => {
        rmSync(root, { recursive: true, force: true });
        for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
        for (const [folder, name, target] of links) {
          const place = folders[folder] ?? '.';
          const depth = place === '.' ? 1 : place.split('/').length + 1;
          const path = join(root, place, `l${name}`);
          if (!stays(target, depth) || lstatSync(path, { throwIfNoEntry: false })) continue;
          symlinkSync(target, path);
          kept += 1;
        }
        for (const folder of folders)
          for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
            if (!entry.isSymbolicLink()) continue;
            const real = resolved(join(root, folder, entry.name));
            assert.ok(
              real === undefined || real === root || real.startsWith(`${root}/`),
              `${folder}/${entry.name} is ${real}`,
            );
          }
      }),
      { numRuns: 400 },
    );
    assert.ok(kept > 100);
  });
});

function resolved(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    // It leads nowhere, or in a circle.
    return undefined;
  }
}
