import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { fsTime } from '../../src/transfer/entry-stat.ts';
import type { Folder } from '../../src/transfer/folder.ts';
import { checkName, type SafeName } from '../../src/transfer/name.ts';
import { partialName } from '../../src/transfer/partial.ts';
import { type CommitPolicy, placeLink } from '../../src/transfer/publish.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import { namesIn, openDescriptors, picture, receive, temporaryRoot } from './workplace.ts';

const name = (text: string): SafeName => checkName(text);
const POLICIES = ['fail', 'overwrite', 'rename'] as const;
const plain = { mode: 0o644, mtime: 0 };

suite('a file that is received', () => {
  test('gets its content, permissions and time, and nothing else is left', (t) => {
    const { path, root } = temporaryRoot(t);
    const before = openDescriptors();
    for (const policy of POLICIES) {
      const file = TargetFile.open(root, name(policy), { size: 9 });
      assert.equal(file.resumable, 0);
      file.writeAt(Buffer.from('defghi'), 3);
      file.writeAt(Buffer.from('abc'), 0);
      assert.deepEqual(file.commit({ mode: 0o640, mtime: 981_173_106_123_457, policy }), {
        ...{ name: policy, replaced: false, size: 9, attributesKept: true },
      });
      assert.equal(readFileSync(join(path, policy), 'utf8'), 'abcdefghi');
      assert.equal(statSync(join(path, policy)).mode & 0o7777, 0o640);
      assert.equal(root.stat(name(policy)).mtime, 981_173_106_123_457);
    }
    assert.deepEqual(namesIn(path), [...POLICIES].sort());
    assert.equal(openDescriptors(), before);
  });

  test('has the permissions that were asked for whatever the umask, and is private until then', (t) => {
    const { path, root } = temporaryRoot(t);
    for (const umask of [0, 0o077]) {
      const before = process.umask(umask);
      t.after(() => process.umask(before));
      const file = TargetFile.open(root, name(`f${umask}`), { size: 0 });
      assert.equal(statSync(join(path, partialName(name(`f${umask}`)))).mode & 0o7777, 0o600);
      file.commit({ mode: 0o666, mtime: 0, policy: 'fail' });
      assert.equal(statSync(join(path, `f${umask}`)).mode & 0o7777, 0o666);
    }
  });

  test('never is setuid, setgid or sticky', (t) => {
    const { path, root } = temporaryRoot(t);
    for (const mode of [0o7777, 0o4755, 0o2755, 0o1777, 0o6000]) {
      receive(root, 'file', 'x', { mode, policy: 'overwrite' });
      assert.equal(statSync(join(path, 'file')).mode & 0o7777, mode & 0o777);
    }
  });

  test('does not change the mode of the folder it comes into', (t) => {
    const { path, root } = temporaryRoot(t);
    chmodSync(path, 0o711);
    receive(root, 'file', 'x', { mode: 0o600 });
    assert.equal(statSync(path).mode & 0o7777, 0o711);
  });

  test('may be empty', (t) => {
    const { path, root } = temporaryRoot(t);
    assert.equal(receive(root, 'empty', ''), 'empty');
    assert.equal(readFileSync(join(path, 'empty'), 'utf8'), '');
  });

  test('is not there before it is whole', (t) => {
    const { path, root } = temporaryRoot(t);
    writeFileSync(join(path, 'old'), 'old');
    for (const policy of POLICIES) {
      const file = TargetFile.open(root, name(policy), { size: 1 });
      file.writeAt(Buffer.from('x'), 0);
      assert.equal(root.lookup(name(policy)), undefined);
      file.discard();
    }
    const file = TargetFile.open(root, name('old'), { size: 3 });
    file.writeAt(Buffer.from('new'), 0);
    assert.equal(readFileSync(join(path, 'old'), 'utf8'), 'old');
    file.commit({ ...plain, policy: 'overwrite' });
    assert.equal(readFileSync(join(path, 'old'), 'utf8'), 'new');
  });

  test('takes shared memory and reads back what it wrote', (t) => {
    const { root } = temporaryRoot(t);
    using file = TargetFile.open(root, name('file'), { size: 100 });
    const shared = new Uint8Array(new SharedArrayBuffer(200)).fill(7);
    file.writeAt(shared.subarray(50, 150), 0);
    const back = new Uint8Array(new SharedArrayBuffer(200));
    assert.equal(file.readAt(back.subarray(20), 40), 60);
    assert.deepEqual([...back.slice(19, 81)], [0, ...Array(60).fill(7), 0]);
    file.discard();
  });

  test('takes no byte more than was announced', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('file'), { size: 4 });
    const tooMuch: readonly (readonly [number, number])[] = [
      ...([
        [0, 5],
        [4, 1],
        [5, 0],
        [-1, 1],
        [2 ** 53, 1],
        [0.5, 1],
        [Number.NaN, 1],
      ] as const),
    ];
    for (const [position, length] of tooMuch) {
      assert.throws(() => file.writeAt(Buffer.alloc(length), position), { code: 'BAD_MESSAGE' });
      assert.throws(() => file.hole(position, length), { code: 'BAD_MESSAGE' });
    }
    assert.throws(() => file.hole(0, -1), { code: 'BAD_MESSAGE' });
    file.writeAt(Buffer.from('four'), 0);
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'four');
  });

  test('whose length is not known ends with its last byte or hole', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('file'));
    file.writeAt(Buffer.from('abc'), 0);
    file.hole(3, 2);
    assert.equal(file.commit({ ...plain, policy: 'fail' }).size, 5);
    assert.equal(readFileSync(join(path, 'file'), 'latin1'), 'abc\0\0');
  });

  test('can be cut and written again', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('file'));
    file.writeAt(Buffer.from('abcdef'), 0);
    file.truncate(2);
    assert.equal(file.length, 2);
    file.truncate(4);
    assert.equal(file.length, 2);
    file.hole(2, 1);
    file.writeAt(Buffer.from('X'), 3);
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'file'), 'latin1'), 'ab\0X');
  });

  test('over the size that is synced, and durable, it is as right as any', (t) => {
    const { path, root } = temporaryRoot(t);
    const big = Buffer.alloc(3 * 1024 * 1024, 'big');
    receive(root, 'big', big);
    receive(root, 'durable', 'small', { durable: true });
    assert.ok(readFileSync(join(path, 'big')).equals(big));
    assert.equal(readFileSync(join(path, 'durable'), 'utf8'), 'small');
  });

  test('any order of writes and holes ends as a plain buffer would', (t) => {
    const { path, root } = temporaryRoot(t);
    const size = 300_000;
    const step = fc.record({
      hole: fc.boolean(),
      position: fc.integer({ min: 0, max: size }),
      length: fc.integer({ min: 0, max: 150_000 }),
      byte: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.boolean(), (steps, interrupted) => {
        const expected = Buffer.alloc(size);
        let file = TargetFile.open(root, name('file'), { size, basis: 'none' });
        for (const [index, { hole, position, length, byte }] of steps.entries()) {
          const end = Math.min(size, position + length);
          if (hole) file.hole(position, end - position);
          else file.writeAt(Buffer.alloc(end - position, byte), position);
          expected.fill(hole ? 0 : byte, position, end);
          if (interrupted && index === 5) {
            file.keep();
            file = TargetFile.open(root, name('file'), { size });
          }
        }
        file.commit({ ...plain, policy: 'overwrite' });
        assert.ok(readFileSync(join(path, 'file')).equals(expected));
      }),
      { numRuns: 100 },
    );
  });

  test('with holes takes no room for them', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('file'), { size: 2 ** 30 });
    file.hole(0, 2 ** 29);
    file.writeAt(Buffer.from('x'), 2 ** 29);
    file.hole(2 ** 29 + 1, 2 ** 29 - 1);
    file.commit({ ...plain, policy: 'fail' });
    const stat = statSync(join(path, 'file'));
    assert.equal(stat.size, 2 ** 30);
    assert.ok(stat.blocks * 512 < 2 ** 20);
    assert.equal(root.stat(name('file')).sparse, true);
  });

  test('of more than 4 GiB keeps its places', (t) => {
    const { path, root } = temporaryRoot(t);
    const size = 5 * 2 ** 30;
    const file = TargetFile.open(root, name('file'), { size });
    file.writeAt(Buffer.from('end'), size - 3);
    const back = Buffer.alloc(10);
    assert.equal(file.readAt(back, size - 3), 3);
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(statSync(join(path, 'file')).size, size);
    assert.equal(back.toString('latin1', 0, 3), 'end');
  });
});

suite('a name that is taken', () => {
  test('fail touches nothing, and another policy may follow', (t) => {
    const { path, root } = temporaryRoot(t);
    for (const policy of POLICIES) {
      const taken = join(path, policy);
      writeFileSync(taken, 'old');
      const before = picture(taken);
      const file = TargetFile.open(root, name(policy), { size: 3 });
      file.writeAt(Buffer.from('new'), 0);
      assert.throws(() => file.commit({ ...plain, policy: 'fail' }), { code: 'EXISTS' });
      assert.deepEqual(picture(taken), before);
      if (policy === 'fail') file.discard();
      else file.commit({ ...plain, policy });
    }
    assert.equal(readFileSync(join(path, 'fail'), 'utf8'), 'old');
    assert.equal(readFileSync(join(path, 'overwrite'), 'utf8'), 'new');
    assert.equal(readFileSync(join(path, 'rename'), 'utf8'), 'old');
    assert.equal(readFileSync(join(path, 'rename (2)'), 'utf8'), 'new');
    assert.deepEqual(namesIn(path), ['fail', 'overwrite', 'rename', 'rename (2)']);
  });

  test('overwrite says that it replaced', (t) => {
    const { root } = temporaryRoot(t);
    receive(root, 'a', 'old');
    const file = TargetFile.open(root, name('a'), { size: 0 });
    assert.equal(file.commit({ ...plain, policy: 'overwrite' }).replaced, true);
  });

  test('rename takes the first free name', (t) => {
    const { path, root } = temporaryRoot(t);
    mkdirSync(join(path, 'a (2).txt'));
    symlinkSync('nowhere', join(path, 'a (3).txt'));
    for (const expected of ['a.txt', 'a (4).txt', 'a (5).txt'])
      assert.equal(receive(root, 'a.txt', expected, { policy: 'rename' }), expected);
    assert.equal(readFileSync(join(path, 'a (4).txt'), 'utf8'), 'a (4).txt');
  });

  test('a folder, a pipe and a device are never replaced', (t) => {
    const { path, root } = temporaryRoot(t);
    mkdirSync(join(path, 'folder'));
    mkdirSync(join(path, 'full', 'inner'), { recursive: true });
    execFileSync('mkfifo', [join(path, 'pipe')]);
    const before = picture(path);
    for (const [taken, code] of [
      ['folder', 'IS_A_FOLDER'],
      ['full', 'IS_A_FOLDER'],
      ['pipe', 'NOT_A_FILE'],
    ] as const) {
      assert.throws(() => receive(root, taken, 'x', { policy: 'overwrite' }), { code });
      assert.throws(() => receive(root, taken, 'x', { policy: 'fail' }), { code: 'EXISTS' });
    }
    const entries = (value: unknown) => (value as { entries: unknown }).entries;
    assert.deepEqual(entries(picture(path)), entries(before));
  });

  test('what a power cut has left of the file is no other file: replaced under any policy', (t) => {
    const { path, root } = temporaryRoot(t);
    for (const policy of POLICIES) {
      const taken = join(path, policy);
      writeFileSync(taken, '');
      utimesSync(taken, 5, fsTime(5_000_001));
      receive(root, policy, 'new', { policy, mtime: 5_000_001 });
      assert.equal(readFileSync(taken, 'utf8'), 'new');
    }
    assert.deepEqual(namesIn(path), [...POLICIES].sort());
  });

  test('an empty file of another time, one that holds anything, and a link stay', (t) => {
    const { path, root } = temporaryRoot(t);
    const taken = join(path, 'file');
    const others = {
      'a microsecond later': () => {
        writeFileSync(taken, '');
        utimesSync(taken, 5, fsTime(5_000_002));
      },
      'a byte': () => {
        writeFileSync(taken, 'a');
        utimesSync(taken, 5, fsTime(5_000_001));
      },
      'a link': () => {
        writeFileSync(join(path, 'empty'), '');
        utimesSync(join(path, 'empty'), 5, fsTime(5_000_001));
        symlinkSync('empty', taken);
        lutimesSync(taken, 5, fsTime(5_000_001));
      },
    };
    for (const [other, make] of Object.entries(others)) {
      make();
      const before = picture(taken);
      const options = { policy: 'fail', mtime: 5_000_001 } as const;
      assert.throws(() => receive(root, 'file', 'new', options), { code: 'EXISTS' }, other);
      assert.deepEqual(picture(taken), before, other);
      unlinkSync(taken);
    }
    // Nothing is nothing to lose, nor to gain.
    writeFileSync(taken, '');
    utimesSync(taken, 5, fsTime(5_000_001));
    assert.throws(() => receive(root, 'file', '', { policy: 'fail', mtime: 5_000_001 }), { code: 'EXISTS' });
  });

  test('a link is never followed: it is taken for what it is', (t) => {
    const { base, path, root } = temporaryRoot(t);
    writeFileSync(join(base, 'precious'), 'precious');
    mkdirSync(join(base, 'outside'));
    for (const [link, target] of [
      ['to-file', '../precious'],
      ['to-folder', '../outside'],
      ['dangling', '../made'],
    ] as const) {
      for (const policy of ['fail', 'rename', 'overwrite'] as const) {
        symlinkSync(target, join(path, link));
        if (policy === 'fail') assert.throws(() => receive(root, link, 'x'), { code: 'EXISTS' });
        else receive(root, link, 'x', { policy });
        if (policy === 'overwrite') assert.equal(lstatSync(join(path, link)).isFile(), true);
        else assert.equal(readlinkSync(join(path, link)), target);
        unlinkSync(join(path, link));
      }
    }
    assert.equal(readFileSync(join(base, 'precious'), 'utf8'), 'precious');
    assert.deepEqual(namesIn(base), ['outside', 'precious', 'root']);
    assert.deepEqual(namesIn(join(base, 'outside')), []);
  });

  test('a second name of the old file keeps the old content', (t) => {
    const { path, root } = temporaryRoot(t);
    writeFileSync(join(path, 'a'), 'old');
    linkSync(join(path, 'a'), join(path, 'b'));
    receive(root, 'a', 'new', { policy: 'overwrite' });
    assert.equal(readFileSync(join(path, 'b'), 'utf8'), 'old');
  });

  test('a target that appears while the bytes come is not lost', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('a'), { size: 3 });
    file.writeAt(Buffer.from('new'), 0);
    writeFileSync(join(path, 'a'), 'came first');
    assert.throws(() => file.commit({ ...plain, policy: 'fail' }), { code: 'EXISTS' });
    file.discard();
    assert.equal(readFileSync(join(path, 'a'), 'utf8'), 'came first');
    assert.deepEqual(namesIn(path), ['a']);
  });
});

suite('the end of a file', () => {
  test('after a commit nothing changes it any more', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('a'), { size: 1 });
    file.writeAt(Buffer.from('x'), 0);
    file.commit({ ...plain, policy: 'fail' });
    file.keep();
    file.discard();
    assert.throws(() => file.writeAt(Buffer.from('y'), 0), { code: 'INTERNAL' });
    assert.throws(() => file.commit({ ...plain, policy: 'overwrite' }), { code: 'INTERNAL' });
    assert.equal(readFileSync(join(path, 'a'), 'utf8'), 'x');
  });

  test('discard leaves nothing, keep leaves the partial, and disposal keeps', (t) => {
    const { path, root } = temporaryRoot(t);
    const before = openDescriptors();
    const write = (text: string) => {
      const file = TargetFile.open(root, name(text), { size: 9 });
      file.writeAt(Buffer.from('x'), 0);
      return file;
    };
    write('discarded').discard();
    assert.deepEqual(namesIn(path), []);
    write('kept').keep();
    assert.deepEqual(namesIn(path), [partialName(name('kept'))]);
    {
      using _file = write('disposed');
    }
    assert.deepEqual(namesIn(path), [partialName(name('kept')), partialName(name('disposed'))].sort());
    assert.equal(openDescriptors(), before);
  });

  test('a partial without a byte is not kept', (t) => {
    const { path, root } = temporaryRoot(t);
    TargetFile.open(root, name('a'), { size: 9 }).keep();
    const file = TargetFile.open(root, name('b'), { size: 9 });
    file.hole(0, 9);
    file.keep();
    assert.deepEqual(namesIn(path), []);
  });

  test('the folder is let go of', (t) => {
    const { root } = temporaryRoot(t);
    const before = openDescriptors();
    for (const end of ['commit', 'keep', 'discard'] as const) {
      const folder = root.ensureChild(name('folder'));
      const file = TargetFile.open(folder, name(end), { size: 1 });
      folder.close();
      file.writeAt(Buffer.from('x'), 0);
      if (end === 'commit') file.commit({ ...plain, policy: 'fail' });
      else file[end]();
      assert.equal(openDescriptors(), before, end);
    }
  });

  test('a partial that was replaced meanwhile is not committed and what replaced it not removed', (t) => {
    const { path, root } = temporaryRoot(t);
    const partial = join(path, partialName(name('a')));
    const file = TargetFile.open(root, name('a'), { size: 3 });
    file.writeAt(Buffer.from('mine'.slice(0, 3)), 0);
    writeFileSync(join(path, 'evil'), 'evil');
    renameSync(join(path, 'evil'), partial);
    assert.throws(() => file.commit({ ...plain, policy: 'overwrite' }), { code: 'IO' });
    file.discard();
    assert.deepEqual(namesIn(path), [partialName(name('a'))]);
    assert.equal(readFileSync(partial, 'utf8'), 'evil');
  });

  test('a partial that was removed meanwhile is not committed', (t) => {
    const { path, root } = temporaryRoot(t);
    const file = TargetFile.open(root, name('a'), { size: 3 });
    unlinkSync(join(path, partialName(name('a'))));
    assert.throws(() => file.commit({ ...plain, policy: 'overwrite' }), { code: 'IO' });
    file.discard();
    assert.deepEqual(namesIn(path), []);
  });
});

suite('a symbolic link that is received', () => {
  const place = (root: Folder, target: string, policy: CommitPolicy) =>
    placeLink(root, name('link'), { target, mtime: 123_456_789, policy });

  test('is made with its time', (t) => {
    const { path, root } = temporaryRoot(t);
    for (const policy of POLICIES) {
      assert.deepEqual(place(root, 'x', policy), { name: 'link', replaced: false });
      assert.equal(root.stat(name('link')).mtime, 123_456_789);
      assert.deepEqual(namesIn(path), ['link']);
      unlinkSync(join(path, 'link'));
    }
  });

  test('follows the rules of files where the name is taken', (t) => {
    const { path, root } = temporaryRoot(t);
    writeFileSync(join(path, 'link'), 'old');
    assert.throws(() => place(root, 'x', 'fail'), { code: 'EXISTS' });
    assert.deepEqual(place(root, 'x', 'rename'), { name: 'link (2)', replaced: false });
    assert.equal(readFileSync(join(path, 'link'), 'utf8'), 'old');
    assert.deepEqual(place(root, 'x', 'overwrite'), { name: 'link', replaced: true });
    assert.deepEqual(place(root, 'y', 'overwrite'), { name: 'link', replaced: true });
    assert.equal(readlinkSync(join(path, 'link')), 'y');
    assert.deepEqual(namesIn(path), ['link', 'link (2)']);
  });

  test('takes the place of what an earlier run under this process number has left', (t) => {
    const { path, root } = temporaryRoot(t);
    const left = join(path, partialName(name('link')));
    for (const policy of ['overwrite', 'update', 'rename'] as const) {
      // Killed after it was made and before it got its name.
      symlinkSync('before', left);
      assert.deepEqual(place(root, 'x', policy), { name: 'link', replaced: false });
      assert.equal(readlinkSync(join(path, 'link')), 'x');
      unlinkSync(join(path, 'link'));
      // A file that broke off, and is a link by now.
      const file = TargetFile.open(root, name('link'), { size: 8 });
      file.writeAt(Buffer.from('half'), 0);
      file.keep();
      assert.deepEqual(place(root, 'x', policy), { name: 'link', replaced: false });
      assert.deepEqual(namesIn(path), ['link']);
      unlinkSync(join(path, 'link'));
    }
  });

  test('leaves alone what is none of its own under the name that it is made under', (t) => {
    const { base, path, root } = temporaryRoot(t);
    const aside = join(path, partialName(name('link')));
    const foreign: [put: () => void, take: () => void][] = [
      [() => mkdirSync(aside), () => rmdirSync(aside)],
      [() => execFileSync('mkfifo', [aside]), () => unlinkSync(aside)],
      [() => linkSync(join(base, 'precious'), aside), () => unlinkSync(aside)],
    ];
    writeFileSync(join(base, 'precious'), 'precious');
    for (const [put, take] of foreign) {
      put();
      const before = lstatSync(aside);
      assert.throws(() => place(root, 'x', 'overwrite'), { code: 'EXISTS' });
      assert.equal(lstatSync(aside).ino, before.ino);
      assert.deepEqual(namesIn(path), [partialName(name('link'))]);
      take();
    }
    if (process.geteuid?.() === 0) {
      symlinkSync('theirs', aside);
      lchownSync(aside, 12_345, 12_345);
      assert.throws(() => place(root, 'x', 'overwrite'), { code: 'EXISTS' });
      assert.equal(readlinkSync(aside), 'theirs');
      unlinkSync(aside);
    }
    // One that another thread is writing.
    const file = TargetFile.open(root, name('link'), { size: 8 });
    assert.throws(() => place(root, 'x', 'overwrite'), { code: 'BUSY' });
    file.discard();
  });

  test('replaces no folder', (t) => {
    const { path, root } = temporaryRoot(t);
    mkdirSync(join(path, 'link'));
    assert.throws(() => place(root, 'x', 'overwrite'), { code: 'IS_A_FOLDER' });
    assert.deepEqual(namesIn(path), ['link']);
  });

  for (const policy of ['overwrite', 'rename', 'update'] as const)
    test(`takes under ${policy} the place of what an earlier transfer of this process has left`, (t) => {
      const { base, path, root } = temporaryRoot(t);
      const left = partialName(name('link'));
      const file = TargetFile.open(root, name('link'), { size: 8 });
      file.writeAt(Buffer.from('part'), 0);
      assert.throws(() => place(root, 'x', policy), { code: 'BUSY' });
      file.keep();
      assert.deepEqual(namesIn(path), [left], 'it was a file before');
      assert.deepEqual(place(root, 'x', policy), { name: 'link', replaced: false });
      assert.deepEqual(namesIn(path), ['link']);

      renameSync(join(path, 'link'), join(path, left));
      assert.equal(place(root, 'y', policy).name, 'link');
      assert.deepEqual([namesIn(path), readlinkSync(join(path, 'link'))], [['link'], 'y']);

      unlinkSync(join(path, 'link'));
      writeFileSync(join(base, 'precious'), 'precious');
      linkSync(join(base, 'precious'), join(path, left));
      assert.throws(() => place(root, 'x', policy), { code: 'EXISTS' }, 'that is somebody’s');
      assert.deepEqual(namesIn(path), [left]);
    });
});
