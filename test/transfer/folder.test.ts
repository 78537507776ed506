import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { EntryStat } from '../../src/transfer/entry-stat.ts';
import { Folder } from '../../src/transfer/folder.ts';
import { FolderStack } from '../../src/transfer/folder-stack.ts';
import { checkName, checkPath, encodeName, fsPath, type SafeName } from '../../src/transfer/name.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import {
  afterwards,
  elsewhere,
  killHard,
  namesIn,
  openDescriptors,
  picture,
  receive,
  temporaryFolder,
  temporaryRoot,
} from './workplace.ts';

const name = (text: string): SafeName => checkName(text);

/** Both ways to reach what lies in a folder have to do the same. */
for (const anchor of ['descriptor', 'path'] as const)
  suite(`a folder, reached by its ${anchor}`, () => {
    test('a root that is reached through links works', (t) => {
      const { base, path } = temporaryRoot(t);
      symlinkSync('root', join(base, 'link'));
      mkdirSync(join(base, 'way'));
      symlinkSync('../link', join(base, 'way', 'again'));
      using root = Folder.open(join(base, 'way', 'again'), { anchor });
      receive(root, 'a', 'text');
      assert.equal(readFileSync(join(path, 'a'), 'utf8'), 'text');
      assert.equal(root.path, path);
    });

    test('what is no folder is refused', (t) => {
      const { base, path, root } = temporaryRoot(t, anchor);
      writeFileSync(join(path, 'file'), '');
      symlinkSync(base, join(path, 'link'));
      symlinkSync('nowhere', join(path, 'dangling'));
      assert.throws(() => Folder.open(join(base, 'missing'), { anchor }), { code: 'NOT_FOUND' });
      assert.throws(() => Folder.open(join(path, 'file'), { anchor }), { code: 'NOT_A_FOLDER' });
      assert.throws(() => root.child(name('file')), { code: 'NOT_A_FOLDER' });
      assert.throws(() => root.child(name('link')), { code: 'NOT_A_FOLDER' });
      assert.throws(() => root.child(name('dangling')), { code: 'NOT_A_FOLDER' });
      assert.throws(() => root.child(name('missing')), { code: 'NOT_FOUND' });
      for (const taken of ['file', 'link', 'dangling']) {
        assert.throws(() => root.makeChild(name(taken)), { code: 'EXISTS' });
        assert.throws(() => root.ensureChild(name(taken)), {
          code: 'NOT_A_FOLDER',
          message: `cannot open '${taken}': something else is where a folder has to be`,
        });
      }
      assert.deepEqual(namesIn(base), ['root']);
    });

    test('a new folder is private whatever the umask, and says that it is new', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      for (const umask of [0, 0o077]) {
        const before = process.umask(umask);
        t.after(() => process.umask(before));
        using folder = root.makeChild(name(`made-${umask}`));
        assert.equal(folder.isNew, true);
        assert.equal(statSync(join(path, `made-${umask}`)).mode & 0o7777, 0o700);
        folder.setMode(0o4755);
        assert.equal(statSync(join(path, `made-${umask}`)).mode & 0o7777, 0o755);
      }
      using again = root.ensureChild(name('made-0'));
      assert.equal(again.isNew, false);
      using fresh = root.ensureChild(name('other'));
      assert.equal(fresh.isNew, true);
      assert.equal(fresh.isRoot, false);
    });

    test('a setgid that a folder inherits stays, one from a peer does not come', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      chmodSync(path, 0o2755);
      using heir = root.makeChild(name('heir'));
      heir.setMode(0o755);
      assert.equal(heir.statSelf().mode, 0o2755);
      chmodSync(path, 0o755);
      using other = root.makeChild(name('other'));
      other.setMode(0o7777);
      assert.equal(other.statSelf().mode, 0o777);
    });

    test('the chosen folder itself is never changed', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      chmodSync(path, 0o2751);
      assert.throws(() => root.setMode(0o700), { code: 'INTERNAL' });
      assert.throws(() => root.setTimes(0), { code: 'INTERNAL' });
      using again = root.reopen();
      assert.throws(() => again.setMode(0o700), { code: 'INTERNAL' });
      assert.equal(statSync(path).mode & 0o7777, 0o2751);
    });

    test('times of folders and links are set to the microsecond', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      using folder = root.makeChild(name('folder'));
      root.symlink('target', name('link'));
      symlinkSync('folder', join(path, 'to-folder'));
      folder.setTimes(-1);
      root.setLinkTimes(name('link'), 1_234_567_890_123_457);
      root.setLinkTimes(name('to-folder'), 5_000_000);
      assert.equal(root.stat(name('folder')).mtime, -1);
      assert.equal(root.stat(name('link')).mtime, 1_234_567_890_123_457);
      assert.equal(root.stat(name('to-folder')).mtime, 5_000_000);
    });

    test('what lies in it is seen as it is, links not followed', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      writeFileSync(join(path, 'file'), 'four');
      chmodSync(join(path, 'file'), 0o4751);
      mkdirSync(join(path, 'folder'));
      symlinkSync('/etc', join(path, 'link'));
      execFileSync('mkfifo', [join(path, 'pipe')]);
      const stat = root.stat(name('file'));
      const { ino, dev, nlink, uid, blocks, mtimeMs } = statSync(join(path, 'file'));
      assert.deepEqual(
        { ...stat, mtime: undefined, mtimeNanoseconds: undefined, changedNanoseconds: undefined },
        {
          ...{ type: 'file', size: 4, mode: 0o4751, inode: BigInt(ino), device: BigInt(dev) },
          ...{ links: nlink, owner: uid, stored: blocks * 512, sparse: false },
          ...{ mtime: undefined, mtimeNanoseconds: undefined, changedNanoseconds: undefined },
        },
      );
      assert.equal(Math.floor(stat.mtime / 1000), Math.floor(mtimeMs));
      const types = ['file', 'folder', 'link', 'pipe'].map((entry) => root.lookup(name(entry))?.type);
      assert.deepEqual(types, ['file', 'folder', 'link', 'other']);
      assert.equal(root.lookup(name('missing')), undefined);
      assert.throws(() => root.stat(name('missing')), { code: 'NOT_FOUND' });
      assert.equal(root.readlink(name('link')), '/etc');
      const listed = [...root.list()].sort((one, other) => one.name.localeCompare(other.name));
      assert.deepEqual(
        listed.map((entry) => `${entry.name} ${entry.type}`),
        ['file file', 'folder folder', 'link link', 'pipe other'],
      );
    });

    test('names of any bytes, spaces, quotes, line ends and emoji work', (t) => {
      const { root } = temporaryRoot(t, anchor);
      const names = [
        'a b',
        'q\'"',
        'line\nend',
        '😀',
        '\udcff\udc80x',
        '-rf',
        '%2F',
        '\x1b[31m',
        'x'.repeat(255),
      ];
      for (const text of names) {
        receive(root, text, text.isWellFormed() ? text : 'bytes');
        using folder = root.makeChild(name(`${text.slice(0, 200)}.d`));
        receive(folder, text, 'inner');
        folder.symlink(text, name('link'));
        assert.equal(folder.readlink(name('link')), text);
        assert.deepEqual([...folder.list()].map((entry) => entry.name).sort(), ['link', text].sort());
      }
      assert.equal([...root.list()].length, names.length * 2);
    });

    test('a listing that is left early closes what it holds', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      for (let number = 0; number < 1000; number += 1) writeFileSync(join(path, `${number}`), '');
      const before = openDescriptors();
      for (const _ of root.list()) break;
      assert.equal(openDescriptors(), before);
      assert.equal([...root.list()].length, 1000);
      assert.equal(openDescriptors(), before);
    });

    test('a pipe, a device, a socket, a folder and a link are not opened, and nobody waits', async (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      execFileSync('mkfifo', [join(path, 'pipe')]);
      const server = createServer().listen(join(path, 'socket'));
      t.after(() => server.close());
      await new Promise((resolve) => server.once('listening', resolve));
      symlinkSync('pipe', join(path, 'link'));
      mkdirSync(join(path, 'folder'));
      const before = openDescriptors();
      for (const use of ['read', 'update'] as const) {
        for (const special of ['pipe', 'socket', 'link'])
          assert.throws(() => root.openFile(name(special), use), { code: 'NOT_A_FILE' });
        assert.throws(() => root.openFile(name('folder'), use), { code: 'IS_A_FOLDER' });
        using devices = Folder.open('/dev', { anchor });
        assert.throws(() => devices.openFile(name('null'), use), { code: 'NOT_A_FILE' });
      }
      assert.equal(openDescriptors(), before);
    });

    test('looking at a pipe does not let its writer go on', async (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      execFileSync('mkfifo', [join(path, 'pipe')]);
      const script = 'echo ready; exec 3>pipe; test -e asked; echo $?';
      const writer = spawn('sh', ['-c', script], { cwd: path, stdio: ['ignore', 'pipe', 'inherit'] });
      afterwards(t, () => killHard(writer));
      let told = '';
      writer.stdout.on('data', (chunk) => {
        told += String(chunk);
      });
      const closed = once(writer, 'close');
      await once(writer.stdout, 'data');
      await delay(200);
      assert.throws(() => root.openFile(name('pipe'), 'read'), { code: 'NOT_A_FILE' });
      await delay(200);
      writeFileSync(join(path, 'asked'), '');
      const reader = openSync(join(path, 'pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
      await closed;
      closeSync(reader);
      assert.equal(told, 'ready\n0\n');
    });

    test('what turned into something else after the look is noticed after the opening', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      writeFileSync(join(path, 'file'), '');
      const seen: EntryStat = root.stat(name('file'));
      execFileSync('mkfifo', [join(path, 'pipe')]);
      symlinkSync('file', join(path, 'link'));
      mkdirSync(join(path, 'folder'));
      const before = openDescriptors();
      assert.throws(() => root.openFile(name('pipe'), 'read', seen), { code: 'NOT_A_FILE' });
      assert.throws(() => root.openFile(name('pipe'), 'update', seen), { code: 'NOT_A_FILE' });
      assert.throws(() => root.openFile(name('link'), 'read', seen), { code: 'NOT_A_FILE' });
      assert.throws(() => root.openFile(name('folder'), 'read', seen), { code: 'IS_A_FOLDER' });
      assert.equal(openDescriptors(), before);
    });

    test('a name is taken once', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      writeFileSync(join(path, 'file'), 'old');
      symlinkSync('../made-through-a-link', join(path, 'dangling'));
      root.createEmpty(name('empty'));
      for (const taken of ['file', 'dangling', 'empty']) {
        assert.throws(() => root.createFile(name(taken)), { code: 'EXISTS' });
        assert.throws(() => root.createEmpty(name(taken)), { code: 'EXISTS' });
        assert.throws(() => root.link(name('file'), name(taken)), { code: 'EXISTS' });
        assert.throws(() => root.symlink('x', name(taken)), { code: 'EXISTS' });
      }
      assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'old');
      assert.equal(existsSync(join(path, '..', 'made-through-a-link')), false);
    });

    test('only an empty folder is removed', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      mkdirSync(join(path, 'empty'));
      mkdirSync(join(path, 'full', 'inner'), { recursive: true });
      writeFileSync(join(path, 'file'), '');
      symlinkSync('empty', join(path, 'link'));
      assert.equal(root.removeIfEmpty(name('full')), false);
      assert.equal(root.removeIfEmpty(name('file')), false);
      assert.equal(root.removeIfEmpty(name('link')), false);
      assert.equal(root.removeIfEmpty(name('missing')), false);
      assert.equal(root.removeIfEmpty(name('empty')), true);
      assert.deepEqual(namesIn(path), ['file', 'full', 'link']);
    });

    test('case is told apart here, and the question leaves nothing behind', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      assert.equal(root.foldsCase(), false);
      assert.deepEqual(namesIn(path), []);
    });

    test('free bytes are those of df', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      const df = execFileSync('df', ['--output=avail', '-B1', path], { encoding: 'utf8' });
      const expected = Number(df.trim().split('\n')[1]);
      assert.ok(Math.abs(root.freeBytes() - expected) < 2 ** 30);
    });

    test('a folder stays open while it is held, and is closed once', (t) => {
      const { root } = temporaryRoot(t, anchor);
      const before = openDescriptors();
      const folder = root.makeChild(name('folder'));
      const letGo = folder.hold();
      folder.close();
      folder.close();
      receive(folder, 'a', 'still works');
      letGo();
      letGo();
      assert.equal(openDescriptors(), before);
      assert.throws(() => folder.stat(name('a')), { code: 'INTERNAL' });
      assert.throws(() => folder.hold(), { code: 'INTERNAL' });
    });

    test('a stack keeps the folders of one path open and no others', (t) => {
      const { path, root } = temporaryRoot(t, anchor);
      for (const deep of ['a/b/c', 'a/d', 'e']) mkdirSync(join(path, deep), { recursive: true });
      const before = openDescriptors();
      const stack = new FolderStack(root);
      assert.equal(stack.at([]), root);
      const c = stack.at(checkPath('a/b/c'));
      assert.equal(stack.at(checkPath('a/b/c')), c);
      assert.equal(openDescriptors(), before + 3);
      assert.equal(stack.at(checkPath('a/d')).path, join(path, 'a/d'));
      assert.equal(openDescriptors(), before + 2);
      assert.throws(() => stack.at(checkPath('a/missing/x')), { code: 'NOT_FOUND' });
      assert.equal(stack.at(checkPath('e')).path, join(path, 'e'));
      stack.close();
      assert.equal(openDescriptors(), before);
      root.stat(name('e'));
    });

    test('a tree as deep as a path may be works', (t) => {
      const { root } = temporaryRoot(t, anchor);
      let folder = root;
      for (let depth = 0; depth < 128; depth += 1) {
        const inner = folder.ensureChild(name('a-folder-of-some-length'));
        if (folder !== root) folder.close();
        folder = inner;
      }
      receive(folder, 'leaf', 'deep');
      assert.equal(folder.stat(name('leaf')).size, 4);
      folder.close();
    });

    test('a parent that was swapped for a link is not followed by any step', (t) => {
      const { base, path, root } = temporaryRoot(t, anchor);
      const outside = join(base, 'outside');
      mkdirSync(join(outside, 'inner'), { recursive: true });
      for (const text of ['file', 'other', 'link']) writeFileSync(join(outside, text), 'precious');
      mkdirSync(join(path, 'folder', 'inner'), { recursive: true });
      for (const text of ['file', 'other', 'third']) writeFileSync(join(path, 'folder', text), 'mine');
      using folder = root.child(name('folder'));
      const underWay = TargetFile.open(folder, name('under-way'), { size: 4 });
      underWay.writeAt(Buffer.from('text'), 0);
      renameSync(join(path, 'folder'), join(path, 'aside'));
      symlinkSync('../outside', join(path, 'folder'));
      const before = picture(outside);
      const steps: (() => unknown)[] = [
        () => folder.child(name('inner')).close(),
        () => folder.makeChild(name('made')).close(),
        () => folder.ensureChild(name('ensured')).close(),
        () => receive(folder, 'file', 'replaced', { policy: 'overwrite' }),
        () => receive(folder, 'new', 'new'),
        () => underWay.commit({ mode: 0o777, mtime: 0, policy: 'overwrite' }),
        () => folder.createEmpty(name('empty')),
        () => folder.rename(name('file'), name('renamed')),
        () => folder.link(name('other'), name('linked')),
        () => folder.unlink(name('other')),
        () => folder.symlink('x', name('link')),
        () => folder.setLinkTimes(name('link'), 0),
        () => folder.removeIfEmpty(name('inner')),
        () => folder.setMode(0o700),
        () => folder.setTimes(0),
        () => [...folder.list()],
        () => folder.foldsCase(),
        () => folder.sync(),
      ];
      for (const step of steps) {
        try {
          step();
        } catch (error) {
          // Without descriptors all it can do is refuse.
          assert.equal(anchor, 'path', String(error));
        }
      }
      underWay.discard();
      assert.deepEqual(picture(outside), before);
      assert.equal(lstatSync(join(path, 'folder')).isSymbolicLink(), true);
      assert.throws(() => root.child(name('folder')), { code: 'NOT_A_FOLDER' });
      if (anchor === 'descriptor')
        assert.deepEqual(namesIn(join(path, 'aside')), [
          ...['empty', 'ensured', 'link', 'linked', 'made', 'new', 'renamed', 'third', 'under-way'],
        ]);
    });
  });

suite('the times of entries', () => {
  test('every microsecond from 1902 to 2038 comes back', (t) => {
    const { root } = temporaryRoot(t);
    using folder = root.makeChild(name('folder'));
    const edges = [0, 1, -1, 999_999, -999_999, 1_000_000, -1_000_000, 1_700_000_000_123_457];
    const time = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: -2_145e12, max: 2_147e12 }));
    fc.assert(
      fc.property(time, (mtime) => {
        folder.setTimes(mtime);
        assert.equal(folder.statSelf().mtime, mtime);
      }),
      { numRuns: 1000 },
    );
  });

  test('a date after 2038 comes back where the file system can hold it', (t) => {
    const { path, root } = temporaryRoot(t);
    using folder = root.makeChild(name('folder'));
    execFileSync('touch', ['-d', '2100-02-03T04:05:06.789012Z', join(path, 'folder')]);
    const held = folder.statSelf().mtime;
    folder.setTimes(Date.parse('2100-02-03T04:05:06.789Z') * 1000 + 12);
    assert.equal(folder.statSelf().mtime, held);
  });

  test('a time beyond all file systems is set to what they can hold', (t) => {
    const { root } = temporaryRoot(t);
    using folder = root.makeChild(name('folder'));
    for (const mtime of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])
      assert.doesNotThrow(() => folder.setTimes(mtime));
    assert.throws(() => folder.setTimes(0.5), RangeError);
  });
});

suite('rights', { skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  test('a folder that may be entered but not read is written all the same', (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o755);
    const drop = join(base, 'drop');
    mkdirSync(drop);
    chmodSync(drop, 0o733);
    assert.deepEqual(elsewhere(['nobody-receives', drop, 'a', 'text']), { value: 'a' });
    assert.equal(readFileSync(join(drop, 'a'), 'utf8'), 'text');
  });

  test('a folder without the right to write says so', (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o755);
    const answer = elsewhere(['nobody-receives', base, 'a', 'text']);
    // By the name of the target, not by that of its partial.
    assert.deepEqual(answer, { code: 'UNWRITABLE', message: "cannot create 'a': permission denied" });
    assert.deepEqual(namesIn(base), []);
  });

  test('a folder without any right says so', (t) => {
    const base = temporaryFolder(t);
    assert.equal(elsewhere(['nobody-receives', base, 'a', 'text']).code, 'UNWRITABLE');
    assert.equal(elsewhere(['nobody-reads', base, 'a']).code, 'UNREADABLE');
  });
});

test('bytes that are not UTF-8 reach the disk as they are', (t) => {
  const { path, root } = temporaryRoot(t);
  const odd = name('\udcff\udcfe');
  receive(root, odd, 'x');
  assert.equal(readFileSync(Buffer.concat([Buffer.from(`${path}/`), encodeName(odd)]), 'utf8'), 'x');
  assert.equal(existsSync(fsPath(`${path}/${odd}`)), true);
});
