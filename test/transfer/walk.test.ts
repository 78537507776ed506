import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { fsPath } from '../../src/transfer/name.ts';
import { partialName } from '../../src/transfer/partial.ts';
import { SourceRoot } from '../../src/transfer/source-root.ts';
import { type WalkEntry, walk } from '../../src/transfer/walk.ts';
import { elsewhere, openDescriptors, temporaryFolder } from './workplace.ts';

function text(entry: WalkEntry): string {
  const path = entry.path.join('/');
  if (entry.type === 'failed') return `failed ${path} ${entry.error.code}`;
  return entry.type === 'link' ? `link ${path} -> ${entry.target}` : `${entry.type} ${path}`;
}

function walked(path: string): WalkEntry[] {
  using root = SourceRoot.named(path);
  return [...walk(root)];
}

suite('the walk', () => {
  test('of a file is that file', (t) => {
    const base = temporaryFolder(t);
    writeFileSync(join(base, 'file'), 'four');
    assert.deepEqual(walked(join(base, 'file')).map(text), ['file file']);
  });

  test('goes depth first, and each folder is left after all it holds', (t) => {
    const base = temporaryFolder(t);
    for (const folder of ['tree/a/b', 'tree/c', 'tree/empty'])
      mkdirSync(join(base, folder), { recursive: true });
    for (const file of ['tree/1', 'tree/a/2', 'tree/a/b/3', 'tree/c/4']) writeFileSync(join(base, file), '');
    symlinkSync('../..', join(base, 'tree/a/link'));
    symlinkSync('nowhere', join(base, 'tree/dangling'));
    const entries = walked(join(base, 'tree'));
    const open: string[] = [];
    for (const entry of entries) {
      const path = entry.path.join('/');
      if (entry.type === 'leave') assert.equal(open.pop(), path);
      else assert.deepEqual(entry.path.slice(0, -1).join('/'), open.at(-1) ?? '');
      if (entry.type === 'folder') open.push(path);
    }
    assert.deepEqual(open, []);
    assert.deepEqual(entries.map(text).sort(), [
      ...['file tree/1', 'file tree/a/2', 'file tree/a/b/3', 'file tree/c/4'],
      ...['folder tree', 'folder tree/a', 'folder tree/a/b', 'folder tree/c', 'folder tree/empty'],
      ...['leave tree', 'leave tree/a', 'leave tree/a/b', 'leave tree/c', 'leave tree/empty'],
      ...['link tree/a/link -> ../..', 'link tree/dangling -> nowhere'],
    ]);
  });

  test('tells what there is to know of each entry', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'tree'));
    const file = join(base, 'tree', 'file');
    writeFileSync(file, 'some text');
    linkSync(file, join(base, 'second'));
    chmodSync(file, 0o4750);
    execFileSync('touch', ['-d', '1969-12-31T23:59:59.123456789Z', file]);
    execFileSync('truncate', ['-s', '1G', join(base, 'tree', 'sparse')]);
    const stats = new Map(
      walked(join(base, 'tree')).map((entry) => [text(entry), 'stat' in entry ? entry.stat : undefined]),
    );
    const seen = stats.get('file tree/file');
    const real = lstatSync(file, { bigint: true });
    assert.equal(seen?.size, 9);
    assert.equal(seen.mode, 0o4750);
    assert.equal(seen.mtime, -876_544);
    assert.equal(seen.links, 2);
    assert.equal(seen.inode, real.ino);
    assert.equal(seen.device, real.dev);
    assert.equal(seen.sparse, false);
    assert.equal(stats.get('file tree/sparse')?.sparse, true);
    assert.equal(stats.get('file tree/sparse')?.size, 2 ** 30);
    assert.equal(stats.get('folder tree')?.type, 'folder');
  });

  test('follows no link, so a loop of them is no loop', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'tree', 'a'), { recursive: true });
    symlinkSync('..', join(base, 'tree', 'a', 'up'));
    symlinkSync('/etc', join(base, 'tree', 'etc'));
    assert.deepEqual(walked(join(base, 'tree')).map(text).sort(), [
      ...['folder tree', 'folder tree/a', 'leave tree', 'leave tree/a'],
      ...['link tree/a/up -> ..', 'link tree/etc -> /etc'],
    ]);
  });

  test('goes on past what can’t be sent, and says what it was', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'tree'));
    execFileSync('mkfifo', [join(base, 'tree', 'pipe')]);
    writeFileSync(join(base, 'tree', '..\\..\\evil'), '');
    writeFileSync(join(base, 'tree', 'good'), '');
    assert.deepEqual(walked(join(base, 'tree')).map(text).sort(), [
      ...['failed tree/..\\..\\evil BAD_NAME', 'failed tree/pipe NOT_A_FILE', 'file tree/good'],
      ...['folder tree', 'leave tree'],
    ]);
  });

  test('goes on past what may not be read', { skip: process.getuid?.() !== 0 && 'needs root' }, (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o755);
    for (const folder of ['open', 'closed', 'unlisted', 'listed'])
      mkdirSync(join(base, 'tree', folder), { recursive: true });
    writeFileSync(join(base, 'tree', 'open', 'file'), '');
    writeFileSync(join(base, 'tree', 'listed', 'file'), '');
    chmodSync(join(base, 'tree', 'closed'), 0o700);
    chmodSync(join(base, 'tree', 'unlisted'), 0o711);
    chmodSync(join(base, 'tree', 'listed'), 0o744);
    const { value } = elsewhere(['nobody-walks', join(base, 'tree')]);
    assert.deepEqual((value as string[]).sort(), [
      ...[
        'failed tree/closed UNREADABLE',
        'failed tree/listed UNREADABLE',
        'failed tree/unlisted UNREADABLE',
      ],
      ...['file tree/open/file'],
      ...[
        'folder tree',
        'folder tree/closed',
        'folder tree/listed',
        'folder tree/open',
        'folder tree/unlisted',
      ],
      ...['leave tree', 'leave tree/closed', 'leave tree/listed', 'leave tree/open', 'leave tree/unlisted'],
    ]);
  });

  test('leaves out partials and nothing else that begins with a dot', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'tree'));
    using root = SourceRoot.named(join(base, 'tree'));
    for (const name of ['.localstream-x.part', '.hidden', partialName(root.name)])
      writeFileSync(join(base, 'tree', name), '');
    assert.deepEqual([...walk(root)].map(text).sort(), [
      ...['file tree/.hidden', 'file tree/.localstream-x.part', 'folder tree', 'leave tree'],
    ]);
  });

  test('takes any bytes for a name', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'tree'));
    for (const name of ['\udcff', 'a\nb', '😀', ' ', '-rf'])
      writeFileSync(fsPath(`${base}/tree/${name}`), '');
    assert.deepEqual(walked(join(base, 'tree')).map(text).sort(), [
      ...['file tree/ ', 'file tree/-rf', 'file tree/a\nb', 'file tree/😀', 'file tree/\udcff'].sort(),
      ...['folder tree', 'leave tree'],
    ]);
  });

  test('left early closes all it holds', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'a/b/c/d/e'), { recursive: true });
    writeFileSync(join(base, 'a/b/c/d/e/file'), '');
    using root = SourceRoot.named(join(base, 'a'));
    const before = openDescriptors();
    for (const entry of walk(root)) if (entry.type === 'file') break;
    assert.equal(openDescriptors(), before);
    assert.equal([...walk(root)].length, 11);
    assert.equal(openDescriptors(), before);
  });

  test('ends in a failed entry where a tree is deeper than a path may be', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, Array(130).fill('a').join('/')), { recursive: true });
    const entries = walked(join(base, 'a'));
    assert.equal(entries.filter((entry) => entry.type === 'folder').length, 128);
    assert.equal(entries.filter((entry) => entry.type === 'leave').length, 128);
    const failures = entries.filter((entry) => entry.type === 'failed');
    assert.deepEqual(
      failures.map((entry) => [entry.path.length, entry.error.code]),
      [[129, 'BAD_NAME']],
    );
  });

  test('goes on when what it is in goes away', (t) => {
    const base = temporaryFolder(t);
    for (const folder of ['a', 'b', 'c']) mkdirSync(join(base, 'tree', folder, 'inner'), { recursive: true });
    using root = SourceRoot.named(join(base, 'tree'));
    const entries: WalkEntry[] = [];
    for (const entry of walk(root)) {
      entries.push(entry);
      // Removes the folder just entered, and what lies in it, before it is listed.
      if (entry.type === 'folder' && entry.path.length === 2)
        rmSync(join(base, ...entry.path), { recursive: true });
    }
    assert.deepEqual(entries.map(text).sort(), [
      ...['folder tree', 'folder tree/a', 'folder tree/b', 'folder tree/c'],
      ...['leave tree', 'leave tree/a', 'leave tree/b', 'leave tree/c'],
    ]);
  });

  test('has as many folders open as it is deep, however wide a tree is', (t) => {
    const base = temporaryFolder(t);
    for (let folder = 0; folder < 50; folder += 1) {
      mkdirSync(join(base, 'tree', `${folder}`), { recursive: true });
      for (let file = 0; file < 20; file += 1) writeFileSync(join(base, 'tree', `${folder}`, `${file}`), '');
    }
    using root = SourceRoot.named(join(base, 'tree'));
    const before = openDescriptors();
    let most = 0;
    let files = 0;
    for (const entry of walk(root)) {
      if (entry.type !== 'file') continue;
      files += 1;
      most = Math.max(most, openDescriptors() - before);
    }
    assert.equal(files, 1000);
    assert.equal(most, 3);
  });
});
