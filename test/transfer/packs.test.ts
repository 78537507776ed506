import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { FRAME, HEADER_BYTES, maxPayload, readHeader } from '../../src/protocol/frame.ts';
import { readPack } from '../../src/protocol/manifest.ts';
import { quickFolder, transfer } from './engine-run.ts';

const CHUNK = 64 * 1024;

/** How many files come in each pack of a tree of so many folders of so many files of so many bytes. */
function packsOf(
  t: Parameters<typeof quickFolder>[0],
  folders: number,
  files: number,
  size: number,
): number[] {
  const base = quickFolder(t);
  for (let folder = 0; folder < folders; folder += 1) {
    mkdirSync(join(base, 'tree', `d${folder}`), { recursive: true });
    for (let file = 0; file < files; file += 1)
      writeFileSync(join(base, 'tree', `d${folder}`, `f${file}`), Buffer.alloc(size, file));
  }
  const target = join(base, 'target');
  mkdirSync(target);
  const packs: number[] = [];
  const run = transfer({
    sources: [join(base, 'tree')],
    target,
    chunk: CHUNK,
    onFrame: (frame) => {
      const header = readHeader(frame, maxPayload(CHUNK));
      if (header.type === FRAME.pack) packs.push([...readPack(frame.subarray(HEADER_BYTES))].length);
      return frame;
    },
  });
  assert.ok(run.finished);
  return packs;
}

suite('packs', () => {
  test('end with a folder once they are nearly full', (t) => {
    // Two and a half of these folders would fit.
    assert.deepEqual(packsOf(t, 4, 5, 5 * 1024), [10, 10]);
  });

  test('are filled where no folder ends', (t) => {
    assert.deepEqual(packsOf(t, 1, 30, 5 * 1024), [12, 12, 6]);
  });

  test('are filled where folders are small', (t) => {
    const packs = packsOf(t, 20, 1, 5 * 1024);
    assert.ok(Math.max(...packs) >= 9, String(packs));
  });
});
