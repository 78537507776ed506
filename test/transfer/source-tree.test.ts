import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { flagName } from '../../src/protocol/flags.ts';
import { ENTRY } from '../../src/protocol/manifest.ts';
import { namedRoots, openSourceTree, type SourceSpec } from '../../src/transfer/source.ts';
import { quickFolder } from './engine-run.ts';
import { openDescriptors } from './workplace.ts';

const OPTIONS = { rules: undefined, follow: false };
const KINDS = new Map<number, string>(Object.entries(ENTRY).map(([name, number]) => [number, name]));

/** What a tree announces, in words; `meanwhile` happens before the walk. */
function announced(t: TestContext, specs: readonly SourceSpec[], meanwhile = () => {}): string[] {
  const tree = openSourceTree(specs, OPTIONS);
  t.after(() => tree[Symbol.dispose]());
  meanwhile();
  return [...{ [Symbol.iterator]: () => tree.walk() }].map(({ entry, path }) => {
    const kind = KINDS.get(entry.kind);
    return kind === 'failed' ? `${path} ${flagName(entry.size)}` : `${kind} ${path}`;
  });
}

suite('what is sent', () => {
  test('tells nothing of where a link points that leaves the tree', (t) => {
    const root = join(quickFolder(t), 'root');
    mkdirSync(join(root, 'sub'), { recursive: true });
    for (const [name, target] of [
      ['absolute', '/srv/private/name'],
      ['out', '../private/name'],
      ['around', 'sub/../../private/name'],
      ['fine', 'sub'],
      ['sub/up', '../fine'],
      ['sub/out', '../../private/name'],
    ] as const)
      symlinkSync(target, join(root, name));
    const tree = openSourceTree([{ kind: 'named', path: root }], OPTIONS);
    t.after(() => tree[Symbol.dispose]());
    const entries = [...{ [Symbol.iterator]: () => tree.walk() }];
    for (const { entry } of entries) assert.ok(!Buffer.from(entry.extra).includes('private'));
    const said = entries.map(({ entry, path }) => `${path}: ${KINDS.get(entry.kind)}`);
    for (const path of ['root/absolute', 'root/out', 'root/around', 'root/sub/out'])
      assert.ok(said.includes(`${path}: failed`), path);
    for (const path of ['root/fine', 'root/sub/up']) assert.ok(said.includes(`${path}: link`), path);
  });

  test('behind links to folders holds no descriptors, however many those are', (t) => {
    const base = quickFolder(t);
    const [root, other] = [join(base, 'root'), join(base, 'other')];
    mkdirSync(root);
    mkdirSync(join(other, 'sub'), { recursive: true });
    writeFileSync(join(other, 'sub', 'file'), 'x');
    for (let number = 0; number < 50; number += 1) symlinkSync('../other', join(root, `l${number}`));
    const tree = openSourceTree([{ kind: 'named', path: root }], { ...OPTIONS, follow: true });
    t.after(() => tree[Symbol.dispose]());
    const before = openDescriptors();
    const files = [...{ [Symbol.iterator]: () => tree.walk() }].filter(
      ({ entry }) => entry.kind === ENTRY.file,
    );
    assert.equal(files.length, 50);
    for (const { reference } of files) {
      const reader = tree.open(reference, 1);
      const byte = Buffer.alloc(1);
      assert.equal(reader.readAt(byte, 0), 1);
      assert.equal(byte.toString(), 'x');
      reader.close();
    }
    // The root itself, and the folder that it is in.
    assert.ok(openDescriptors() <= before + 2);
  });

  test('that has gone meanwhile fails by the name it was offered under, and the others are sent', (t) => {
    const base = quickFolder(t);
    for (const name of ['a', 'b']) mkdirSync(join(base, name));
    writeFileSync(join(base, 'b', 'file'), 'x');
    const { roots, specs } = namedRoots([`${base}/b/../a/.`, join(base, 'b')]);
    assert.deepEqual(
      roots.map(({ name }) => name),
      ['a', 'b'],
    );
    const said = announced(t, specs, () => rmSync(join(base, 'a'), { recursive: true }));
    assert.deepEqual(said, ['a NOT_FOUND', 'folder b', 'file b/file', 'leave b']);
  });

  test('of a share is not what a link has been put in the place of', (t) => {
    const base = quickFolder(t);
    for (const name of ['share/sub', 'outside']) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, 'outside', 'secret'), 'secret');
    writeFileSync(join(base, 'share', 'sub', 'secret'), 'mine');
    const spec = (path: string[], name: string): SourceSpec => ({
      kind: 'below',
      share: join(base, 'share'),
      path,
      name,
    });
    const swap = () => {
      renameSync(join(base, 'share', 'sub'), join(base, 'share', 'moved'));
      symlinkSync('../outside', join(base, 'share', 'sub'));
    };
    assert.deepEqual(announced(t, [spec(['sub', 'secret'], 'secret')], swap), ['secret NOT_A_FOLDER']);
    assert.deepEqual(announced(t, [spec(['sub'], 'sub')]), ['sub LEAVES_TREE']);
    // Swapped between the walk and the opening.
    rmSync(join(base, 'share', 'sub'));
    renameSync(join(base, 'share', 'moved'), join(base, 'share', 'sub'));
    const tree = openSourceTree([spec([], 'share')], OPTIONS);
    t.after(() => tree[Symbol.dispose]());
    const entries = [...{ [Symbol.iterator]: () => tree.walk() }];
    const file = entries.find(({ path }) => path === 'share/sub/secret');
    assert.ok(file);
    swap();
    assert.throws(() => tree.open(file.reference, 4), { code: 'NOT_A_FOLDER' });
  });

  test('is not a file whose size has changed since it was announced', (t) => {
    const base = quickFolder(t);
    writeFileSync(join(base, 'file'), 'four');
    const tree = openSourceTree([{ kind: 'named', path: join(base, 'file') }], OPTIONS);
    t.after(() => tree[Symbol.dispose]());
    const [found] = [...{ [Symbol.iterator]: () => tree.walk() }];
    assert.ok(found);
    const before = openDescriptors();
    tree.open(found.reference, 4).close();
    writeFileSync(join(base, 'file'), 'longer');
    assert.throws(() => tree.open(found.reference, 4), { code: 'SOURCE_CHANGED' });
    assert.equal(openDescriptors(), before);
  });

  test('of very many roots has few folders open', (t) => {
    const base = quickFolder(t);
    const paths: string[] = [];
    for (let index = 0; index < 300; index += 1) {
      const [folder, file] = [join(base, `folder ${index}`), join(base, `file ${index}`)];
      mkdirSync(join(folder, 'below'), { recursive: true });
      writeFileSync(join(folder, 'below', 'file'), 'four');
      writeFileSync(file, 'four');
      paths.push(folder, file);
    }
    const { specs } = namedRoots(paths);
    const before = openDescriptors();
    {
      using tree = openSourceTree(specs, { rules: undefined, follow: false });
      const found = [...Iterator.from(tree.walk())].filter(({ entry }) => entry.kind === ENTRY.file);
      assert.equal(found.length, 600);
      assert.ok(openDescriptors() - before < 200, `${openDescriptors() - before} are open`);
      for (const { reference } of found) {
        const file = tree.open(reference, 4);
        assert.equal(file.readAt(Buffer.alloc(5), 0), 4);
        file.close();
      }
      assert.ok(openDescriptors() - before < 300, `${openDescriptors() - before} are open`);
    }
    assert.equal(openDescriptors(), before);
  });

  test('is looked at before anybody is asked', (t) => {
    const base = quickFolder(t);
    writeFileSync(join(base, 'file'), 'four');
    mkdirSync(join(base, 'folder', 'file'), { recursive: true });
    symlinkSync('file', join(base, 'link'));
    assert.deepEqual(namedRoots([join(base, 'file'), join(base, 'folder'), join(base, 'link')]).roots, [
      { name: 'file', type: 'file', size: 4 },
      { name: 'folder', type: 'folder', size: null },
      { name: 'link', type: 'file', size: 4 },
    ]);
    for (const [paths, code] of [
      [[], 'USAGE'],
      [Array(4097).fill(join(base, 'file')), 'USAGE'],
      [[join(base, 'file'), join(base, 'folder', 'file')], 'USAGE'],
      [[join(base, 'nothing')], 'NOT_FOUND'],
      [[join(base, 'file', 'x')], 'NOT_A_FOLDER'],
      [['/dev/null'], 'NOT_A_FILE'],
      [['/'], 'BAD_NAME'],
    ] as const)
      assert.throws(() => namedRoots(paths), { code }, paths.join());
    if (process.getuid?.() === 0) return;
    chmodSync(join(base, 'file'), 0);
    assert.throws(() => namedRoots([join(base, 'file')]), { code: 'UNREADABLE' });
  });
});
