import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FRAME, HEADER_BYTES, PIECE_BYTES, readHeader } from '../../src/protocol/frame.ts';
import { ENTRY, readEntries } from '../../src/protocol/manifest.ts';
import { quickFolder, transfer } from './engine-run.ts';

/** More than the receiver keeps open of old files at once. */
const FAILING = 66;
const SIZE = PIECE_BYTES + 4096;

test('old files that are compared are let go when the source fails in the middle of theirs', (t) => {
  const folder = quickFolder(t);
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  for (const place of [source, join(target, 'source')]) mkdirSync(place, { recursive: true });
  const names = Array.from({ length: FAILING + 2 }, (_, number) => `f${number}`);
  for (const name of names) {
    writeFileSync(join(source, name), Buffer.alloc(SIZE, 1));
    writeFileSync(join(target, 'source', name), Buffer.alloc(SIZE, 2));
  }
  const announced = new Map<string, string>();
  const cut = new Set<string>();
  const run = transfer({
    sources: [source],
    target: `${target}/`,
    existing: 'overwrite',
    onFrame: (frame, to) => {
      const header = readHeader(frame, frame.length);
      const payload = frame.subarray(HEADER_BYTES, HEADER_BYTES + header.length);
      if (to === 'receiver' && header.type === FRAME.manifest)
        for (const [index, { kind, name }] of readEntries(payload).entries())
          if (kind === ENTRY.file) announced.set(`${header.batch} ${index}`, Buffer.from(name).toString());
      const name = announced.get(`${header.batch} ${header.index}`);
      // Its first piece is on its way; the second will not be there.
      if (to === 'receiver' && header.type === FRAME.data && name && cut.size < FAILING && !cut.has(name)) {
        cut.add(name);
        truncateSync(join(source, name), 10);
      }
      return undefined;
    },
  });
  assert.equal(run.error, undefined);
  assert.ok(run.finished);
  assert.equal(cut.size, FAILING);
  for (const name of names) {
    const expected = cut.has(name) ? 2 : 1;
    assert.equal(readFileSync(join(target, 'source', name))[SIZE - 1], expected, name);
  }
});
