import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { ENTRY } from '../../src/protocol/manifest.ts';
import { SharedSource } from '../../src/transfer/shared-source.ts';
import { openSourceTree, type SourceHandle } from '../../src/transfer/source.ts';
import type { SourceReader } from '../../src/transfer/source-tree.ts';
import { quickFolder } from './engine-run.ts';

const STEP = 64 * 1024;

/** Opens the files of a path, as one receiver of a group has them read, in the order of the walk. */
type Receiver = (t: TestContext, path: string) => (() => SourceReader)[];

/** What the receivers of one group share. */
function group(): Receiver {
  const shared = new SharedSource<SourceHandle>(({ path }) => path.join('/'));
  return (t, path) => {
    const tree = openSourceTree([{ kind: 'named', path }], { rules: undefined, follow: false });
    t.after(() => tree[Symbol.dispose]());
    const own = shared.share(tree);
    return [...{ [Symbol.iterator]: () => own.walk() }]
      .filter(({ entry }) => entry.kind === ENTRY.file)
      .map(
        ({ entry, reference }) =>
          () =>
            own.open(reference, entry.size),
      );
  };
}

/** The first file that a receiver of a group opens. */
function openOnly(t: TestContext, receiver: Receiver, path: string): SourceReader {
  const [open] = receiver(t, path);
  assert.ok(open);
  const reader = open();
  t.after(() => reader.close());
  return reader;
}

/** Reads on to `until` in steps. */
function read(reader: SourceReader, into: Buffer, until = into.length, from = 0, step = STEP): void {
  for (let position = from; position < until; position += step)
    reader.readAt(into.subarray(position, Math.min(position + step, until)), position);
}

const isDigestOf = (reader: SourceReader, bytes: Buffer): boolean =>
  reader.digest?.digest().equals(digestOf(bytes)) ?? false;

suite('what several receivers read in common', () => {
  test('is one state of a file: whoever opens it once it has changed gets nothing of what it was', (t) => {
    const file = join(quickFolder(t), 'file');
    const [before, after] = [Buffer.alloc(8 * STEP, 'before'), Buffer.alloc(8 * STEP, 'after')];
    writeFileSync(file, before);
    utimesSync(file, 1000, 1000);
    const receiver = group();
    const first = openOnly(t, receiver, file);
    const got = Buffer.alloc(before.length);
    read(first, got, 4 * STEP);
    writeFileSync(file, after);
    utimesSync(file, 2000, 2000);
    const second = openOnly(t, receiver, file);
    read(first, got, got.length, 4 * STEP);
    assert.throws(() => first.verifyUnchanged(), { code: 'SOURCE_CHANGED' });
    read(second, got);
    second.verifyUnchanged();
    assert.ok(got.equals(after));
    assert.ok(isDigestOf(second, after));
  });

  test('has its digest also for whoever comes long after, of more files than are remembered', (t) => {
    const folder = join(quickFolder(t), 'folder');
    mkdirSync(folder);
    for (let number = 0; number < 4200; number += 1) writeFileSync(join(folder, `f${number}`), `${number}`);
    const receiver = group();
    const [early, late] = [receiver(t, folder), receiver(t, folder)];
    for (const files of [early, late]) {
      const wrong = files.filter((open) => {
        const reader = open();
        const bytes = Buffer.alloc(8);
        const count = reader.readAt(bytes, 0);
        const isRight = isDigestOf(reader, bytes.subarray(0, count));
        reader.close();
        return !isRight;
      });
      assert.equal(wrong.length, 0);
    }
  });

  test('has its digest also where one leaves half-way and another reads in longer steps', (t) => {
    const file = join(quickFolder(t), 'file');
    const bytes = Buffer.alloc(8 * STEP, 'content');
    writeFileSync(file, bytes);
    const receiver = group();
    const got = Buffer.alloc(bytes.length);
    const [first, second] = [openOnly(t, receiver, file), openOnly(t, receiver, file)];
    read(first, got, 3 * STEP);
    first.close();
    read(second, got, got.length, 0, 4 * STEP);
    assert.ok(got.equals(bytes));
    assert.ok(isDigestOf(second, bytes));
  });
});
