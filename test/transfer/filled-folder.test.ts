import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { OUTCOME } from '../../src/protocol/manifest.ts';
import { makeFilled, removeLeftFolders } from '../../src/transfer/filled-folder.ts';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName, type SafeName } from '../../src/transfer/name.ts';
import { partialName } from '../../src/transfer/partial.ts';
import { entry, Victim } from './hostile-source.ts';
import { namesIn, openDescriptors, smallDisk, temporaryRoot } from './workplace.ts';

const MTIME = 1_700_000_000_123_456;
const name = (text: string): SafeName => checkName(text);
const file = (text: string, content = text, mode = 0o644) => ({
  name: name(text),
  bytes: Buffer.from(content),
  mode,
  mtime: MTIME,
});
const FILES = [file('a', 'one'), file('b', ''), file('c', 'three', 0o4555)];

const ROOT = entry('folder', 'root', { mode: 0o755 });
const LEAVE = entry('leave');
const bytes = Buffer.from('x');
const one = (text: string) => entry('file', text, { size: 1 });
const files = (...indices: number[]) => indices.map((index) => ({ index, bytes }));

/** What a partial of `target` is called when another process writes it. */
const partialOf = (pid: number, target = 'target'): string =>
  partialName(name(target)).replace(`-${process.pid}.`, `-${pid}.`);

async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid ?? 0;
}

suite('a folder made with its files', () => {
  for (const anchor of [undefined, 'path'] as const)
    test(`has all of them, their modes and their times, reached by ${anchor ?? 'descriptor'}`, (t) => {
      const { root, path } = temporaryRoot(t, anchor);
      const before = openDescriptors();
      const made = makeFilled(root, name('target'), 0o550, FILES);
      assert.equal(openDescriptors(), before);
      const target = join(path, 'target');
      assert.deepEqual(namesIn(path), ['target']);
      assert.deepEqual(namesIn(target), ['a', 'b', 'c']);
      assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'one');
      assert.equal(lstatSync(join(target, 'b')).size, 0);
      // Neither setuid nor the like, and the folder stays open to its owner until it is left.
      assert.equal(lstatSync(join(target, 'c')).mode & 0o7777, 0o555);
      assert.equal(lstatSync(target).mode & 0o7777, 0o750);
      using folder = root.child(name('target'));
      for (const one of 'abc') assert.equal(folder.stat(name(one)).mtime, MTIME);
      assert.equal(made?.inode, lstatSync(target, { bigint: true }).ino);
    });

  for (const [what, prepare] of [
    [
      'a folder with something in it',
      (at: string) => {
        mkdirSync(at);
        writeFileSync(join(at, 'mine'), 'mine');
      },
    ],
    ['an empty folder', (at: string) => mkdirSync(at)],
    ['a file', (at: string) => writeFileSync(at, 'mine')],
    ['a link to nowhere', (at: string) => symlinkSync('nowhere', at)],
  ] as const)
    test(`is not made in place of ${what}`, (t) => {
      const { root, path } = temporaryRoot(t);
      prepare(join(path, 'target'));
      const before = lstatSync(join(path, 'target'), { bigint: true });
      assert.equal(makeFilled(root, name('target'), 0o755, FILES), undefined);
      assert.deepEqual(namesIn(path), ['target']);
      assert.equal(lstatSync(join(path, 'target'), { bigint: true }).ino, before.ino);
    });

  test('is not made, and leaves nothing, where one of its files can’t be', (t) => {
    const { root, path } = temporaryRoot(t);
    // The second of one name, and one that would take the place of a partial.
    for (const bad of [file('a'), { ...file('x'), name: partialName(name('x')) }])
      assert.equal(makeFilled(root, name('target'), 0o755, [...FILES, bad]), undefined);
    assert.deepEqual(namesIn(path), []);
  });

  test('is not made, and leaves nothing, where the disk is too small for it', (t) => {
    const path = smallDisk(t, '256k');
    using root = Folder.open(path);
    const many = Array.from({ length: 20 }, (_, index) => file(`f${index}`, 'x'.repeat(32 * 1024)));
    assert.equal(makeFilled(root, name('target'), 0o755, many), undefined);
    assert.deepEqual(namesIn(path), []);
    assert.ok(makeFilled(root, name('target'), 0o755, many.slice(0, 4)));
  });

  test('is not made in a folder that can’t be written', (t) => {
    const { root, path } = temporaryRoot(t);
    assert.equal(makeFilled(root, `${'x'.repeat(300)}` as SafeName, 0o755, FILES), undefined);
    assert.deepEqual(namesIn(path), []);
  });

  test('is made where a killed process has left one, which goes, whether with its files or file by file', async (t) => {
    const left = partialOf(await endedProcess(), 'root');
    for (const durable of [false, true]) {
      const victim = new Victim(t, { place: { durable } }, (target) => {
        mkdirSync(join(target, left));
        writeFileSync(join(target, left, 'half'), 'half');
      });
      victim.manifest([ROOT, one('a'), LEAVE]);
      victim.pack(files(1));
      victim.done(1, 3);
      assert.deepEqual(namesIn(victim.target), ['root']);
      assert.deepEqual(namesIn(join(victim.target, 'root')), ['a']);
    }
  });
});

suite('what is left of a folder', () => {
  test('by a killed process is taken away, and nothing else', async (t) => {
    const { path } = temporaryRoot(t);
    const gone = await endedProcess();
    // More than one, so that ours is rarely the first that is listed.
    const left = [gone, 4_194_997, 4_194_998, 4_194_999].map((pid) => partialOf(pid));
    const earlier = partialName(name('target'));
    const others = [partialOf(gone, 'other'), partialOf(process.ppid)];
    for (const folder of [...left, earlier, ...others]) {
      mkdirSync(join(path, folder));
      writeFileSync(join(path, folder, 'half'), 'half');
    }
    using root = Folder.open(path);
    removeLeftFolders(root, name('target'));
    assert.deepEqual(namesIn(path), [...others].sort());
  });

  test('is left alone where it only looks like one: it holds a folder', async (t) => {
    const { path } = temporaryRoot(t);
    const left = partialOf(await endedProcess());
    mkdirSync(join(path, left, 'theirs'), { recursive: true });
    // Whichever is listed first.
    for (let index = 0; index < 50; index += 1) writeFileSync(join(path, left, `f${index}`), 'mine');
    using root = Folder.open(path);
    removeLeftFolders(root, name('target'));
    assert.equal(namesIn(join(path, left)).length, 51);
  });

  test('is taken from its writer before its files are, since that may only seem to be gone', (t) => {
    const { path } = temporaryRoot(t);
    // A number of another machine's, or of another container's.
    const left = partialOf(4_194_999);
    mkdirSync(join(path, left));
    writeFileSync(join(path, left, 'file'), 'file');
    // It can't be taken.
    mkdirSync(join(path, partialName(name('target')), 'theirs'), { recursive: true });
    using root = Folder.open(path);
    removeLeftFolders(root, name('target'));
    assert.deepEqual(namesIn(join(path, left)), ['file']);
  });
});

suite('a receiver', () => {
  test('makes a folder with its files as they come, the outer before the inner', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, entry('folder', 'inner'), one('a'), LEAVE, one('b'), one('c'), LEAVE]);
    assert.deepEqual(readdirSync(victim.target), [], 'nothing is there before the first of them');
    victim.pack(files(2, 4));
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['b', 'inner']);
    assert.deepEqual(namesIn(join(victim.target, 'root', 'inner')), ['a']);
    victim.pack(files(5));
    victim.done(1, 7);
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['b', 'c', 'inner']);
    assert.ok(victim.rows.every((row) => row.outcome === OUTCOME.committed));
  });

  test('makes a folder at once that no file is on its way to', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, entry('folder', 'empty', { mode: 0o711 }), LEAVE, one('a')], 0, false);
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['empty']);
    victim.manifest([LEAVE], 1);
    victim.failed(3, 416, 'changed');
    victim.done(2, 5);
    assert.equal(lstatSync(join(victim.target, 'root', 'empty')).mode & 0o777, 0o711);
  });

  test('makes a folder all the same whose only file fails', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), LEAVE]);
    victim.failed(1, 416, 'changed');
    victim.done(1, 3);
    assert.deepEqual(readdirSync(victim.target), ['root']);
  });

  test('leaves no folder when it ends before the files come', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), entry('folder', 'inner'), one('b'), LEAVE, LEAVE]);
    victim.receiver.abort();
    assert.deepEqual(readdirSync(victim.target), []);
  });

  test('says of a folder whose only file fails that it can’t be made either', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), LEAVE]);
    writeFileSync(join(victim.target, 'root'), 'mine');
    victim.failed(1, 416, 'changed');
    victim.done(1, 3);
    assert.equal(victim.row('root')?.flag, 'NOT_A_FOLDER');
  });

  test('removes no empty folder that somebody else has made meanwhile, when it ends early', (t) => {
    // Still to be made, and found there when it was.
    for (const isMade of [false, true]) {
      const victim = new Victim(t);
      victim.manifest([ROOT, one('a'), one('b'), LEAVE]);
      mkdirSync(join(victim.target, 'root'));
      if (isMade) victim.pack([{ index: 1, bytes, digest: Buffer.alloc(32) }]);
      victim.receiver.abort();
      assert.deepEqual(readdirSync(victim.target), ['root']);
    }
  });

  test('leaves its mode to a folder that somebody else has made meanwhile', (t) => {
    for (const isFilled of [true, false]) {
      const victim = new Victim(t);
      victim.manifest([ROOT, one('a'), LEAVE]);
      mkdirSync(join(victim.target, 'root'), { mode: 0o700 });
      if (isFilled) victim.pack(files(1));
      else victim.failed(1, 416, 'changed');
      victim.done(1, 3);
      assert.equal(lstatSync(join(victim.target, 'root')).mode & 0o777, 0o700);
    }
  });

  test('says of each file that it can’t be written, where its folder can’t be made', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), one('b'), LEAVE]);
    writeFileSync(join(victim.target, 'root'), 'mine');
    victim.pack(files(1, 2));
    victim.done(1, 4);
    assert.deepEqual(
      [victim.row('root/a')?.flag, victim.row('root/b')?.flag],
      ['NOT_A_FOLDER', 'NOT_A_FOLDER'],
    );
    assert.equal(readFileSync(join(victim.target, 'root'), 'utf8'), 'mine');
  });

  test('goes on where the folder around a new one can’t be made', (t) => {
    const victim = new Victim(t, {
      offered: [
        ['root', 'folder'],
        ['other', 'file'],
      ],
    });
    victim.manifest([ROOT, one('b'), entry('folder', 'inner'), one('a'), LEAVE, LEAVE, one('other')]);
    writeFileSync(join(victim.target, 'root'), 'mine');
    victim.pack(files(1, 3, 6));
    victim.done(1, 7);
    const flags = ['root', 'root/b', 'root/inner', 'root/inner/a'].map((path) => victim.row(path)?.flag);
    assert.deepEqual(flags, Array(4).fill('NOT_A_FOLDER'));
    assert.deepEqual(namesIn(victim.target), ['other', 'root']);
  });

  test('says of a folder at once that it can’t be made in a full or a closed one', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, entry('folder', 'x'), LEAVE], 0, false);
    writeFileSync(join(victim.target, 'root', 'y'), 'mine');
    victim.manifest([entry('folder', 'y'), one('a'), LEAVE, LEAVE], 1);
    victim.done(2, 7);
    assert.equal(victim.row('root/y')?.flag, 'NOT_A_FOLDER');
    assert.equal(victim.row('root/y/a')?.flag, 'NOT_A_FOLDER');
  });

  test('takes a name that is sent twice once, and one of the look of a partial not at all', (t) => {
    const victim = new Victim(t);
    const partial = partialName(name('z'));
    victim.manifest([ROOT, one('a'), one('a'), one(partial), one('b'), LEAVE]);
    victim.pack(files(1, 2, 3, 4));
    victim.done(1, 6);
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['a', 'b']);
    const flags = victim.rows.filter((row) => row.outcome === OUTCOME.failed).map(({ flag }) => flag);
    assert.deepEqual(flags, ['BAD_NAME']);
  });

  test('takes no folder of the look of a partial, which would go when another is received', (t) => {
    for (const blind of [false, true]) {
      const victim = new Victim(t, { place: { blind } });
      const left = partialOf(4_194_999, 'z');
      victim.manifest([ROOT, entry('folder', left), one('a'), LEAVE, one('b'), LEAVE]);
      victim.pack(files(4));
      victim.done(1, 6);
      assert.deepEqual(
        [victim.row(`root/${left}`)?.flag, victim.row(`root/${left}/a`)?.flag],
        ['BAD_NAME', 'BAD_NAME'],
      );
      assert.deepEqual(namesIn(join(victim.target, 'root')), ['b']);
    }
  });

  test('is packed the same file twice', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), one('b'), LEAVE]);
    victim.pack(files(1, 1, 2));
    victim.done(1, 4);
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['a', 'b']);
    assert.equal(victim.rows.filter(({ path }) => path === 'root/a').length, 1);
  });

  test('has one bad digest fail alone', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, one('a'), one('b'), LEAVE]);
    victim.pack([{ index: 1, bytes, digest: Buffer.alloc(32) }, ...files(2)]);
    victim.done(1, 4);
    assert.deepEqual(namesIn(join(victim.target, 'root')), ['b']);
    assert.deepEqual(
      [victim.row('root/a')?.flag, victim.row('root/b')?.outcome],
      ['INTEGRITY', OUTCOME.committed],
    );
  });
});
