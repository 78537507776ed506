import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { LocalstreamError } from '../../src/errors.ts';
import { ANSWER, OUTCOME } from '../../src/protocol/manifest.ts';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName, type SafeName } from '../../src/transfer/name.ts';
import { partialName } from '../../src/transfer/partial.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import { needs } from '../needs.ts';
import { entry, Victim } from './hostile-source.ts';
import {
  elsewhere,
  namesIn,
  openDescriptors,
  receive,
  smallDisk,
  startElsewhere,
  temporaryFolder,
} from './workplace.ts';

const name = (text: string): SafeName => checkName(text);
const plain = { mode: 0o644, mtime: 0, policy: 'fail' } as const;
const MIB = 1024 * 1024;

suite('free space that is to be left alone', needs('root'), () => {
  const left = 4 * MIB;

  /** A receiver on this disk that was promised room for a file, unless that is a stream. */
  function promised(t: TestContext, disk: string, size: number, file = 'big'): Victim {
    const offered = [[file, 'file']] as const;
    const victim = new Victim(t, { offered, place: { folder: disk, reserve: left } });
    victim.manifest([entry('file', file, { size })]);
    assert.equal(victim.answers[0]?.payload[0], ANSWER.send);
    return victim;
  }

  const freeOn = (disk: string): number => {
    const { bavail, bsize } = statfsSync(disk);
    return bavail * bsize;
  };
  const endOf = ({ rows }: Victim) => rows.map(({ outcome, flag }) => [outcome, flag]);
  const full = [[OUTCOME.failed, 'NO_SPACE']];

  test('is not taken by a stream, whose length nobody knows', (t) => {
    const disk = smallDisk(t, '12m');
    const victim = promised(t, disk, -1);
    for (let at = 0; at < 12 * MIB; at += MIB) victim.data(0, at, Buffer.alloc(MIB, 1));
    assert.deepEqual(endOf(victim), full);
    assert.ok(freeOn(disk) >= left - 2 * MIB, `${freeOn(disk)} bytes`);
  });

  test('is not taken by transfers that were promised the same room', (t) => {
    const disk = smallDisk(t, '12m');
    const both = ['one', 'two'].map((file) => promised(t, disk, 7 * MIB, file));
    for (let at = 0; at < 7 * MIB; at += MIB)
      for (const victim of both) victim.data(0, at, Buffer.alloc(MIB, 1));
    assert.deepEqual(both.map(endOf), [full, full]);
    assert.ok(freeOn(disk) >= left - 2 * MIB, `${freeOn(disk)} bytes`);
  });

  test('is not taken by small files either', (t) => {
    const disk = smallDisk(t, '12m');
    const offered = [['root', 'folder']] as const;
    const victim = new Victim(t, { offered, place: { folder: disk, reserve: left } });
    const size = 128 * 1024;
    const files = Array.from({ length: 32 }, (_, number) => entry('file', `${number}`, { size }));
    victim.manifest([entry('folder', 'root'), ...files, entry('leave')]);
    writeFileSync(join(disk, 'others'), Buffer.alloc(7 * MIB));
    for (let index = 1; index <= files.length; index += 1)
      victim.pack([{ index, bytes: Buffer.alloc(size, 1) }]);
    assert.ok(victim.rows.some(({ flag }) => flag === 'NO_SPACE'));
    assert.ok(freeOn(disk) >= left - 2 * MIB, `${freeOn(disk)} bytes`);
  });
});

suite('a disk that is full', needs('root'), () => {
  test('fails by name, keeps the cause, and leaves the old file', (t) => {
    const disk = smallDisk(t, '1m');
    using root = Folder.open(disk);
    receive(root, 'target', 'old');
    const before = openDescriptors();
    const file = TargetFile.open(root, name('target'), { size: 4 * MIB });
    assert.throws(
      () => file.writeAt(Buffer.alloc(4 * MIB, 1), 0),
      (error) => {
        assert.ok(error instanceof LocalstreamError);
        assert.equal(error.code, 'NO_SPACE');
        assert.match(
          error.message,
          /^cannot write 'target': no space left on device: 3\.\d\d MB more are needed, \d+ B are free$/,
        );
        assert.ok(error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ENOSPC');
        return true;
      },
    );
    file.discard();
    assert.deepEqual(namesIn(disk), ['target']);
    assert.equal(readFileSync(join(disk, 'target'), 'utf8'), 'old');
    assert.equal(openDescriptors(), before);
  });

  test('an earlier failed write is not hidden by later ones that succeed', (t) => {
    const disk = smallDisk(t, '1m');
    using root = Folder.open(disk);
    writeFileSync(join(disk, 'filler'), Buffer.alloc(MIB - 64 * 1024));
    const file = TargetFile.open(root, name('target'), { size: 256 * 1024 });
    assert.throws(() => file.writeAt(Buffer.alloc(128 * 1024, 1), 0), { code: 'NO_SPACE' });
    unlinkSync(join(disk, 'filler'));
    const again: (() => unknown)[] = [
      () => file.writeAt(Buffer.alloc(128 * 1024, 1), 128 * 1024),
      () => file.hole(0, 1),
      () => file.readAt(Buffer.alloc(1), 0),
      () => file.truncate(0),
      () => file.sync(),
      () => file.commit(plain),
      () => file.commit(plain),
    ];
    for (const step of again) assert.throws(step, { code: 'NO_SPACE' });
    file.keep();
    assert.deepEqual(namesIn(disk), [partialName(name('target'))]);
    // What did reach the disk is there for another attempt, with room now.
    const second = TargetFile.open(root, name('target'), { size: 128 * 1024 });
    assert.ok(second.resumable > 0);
    second.writeAt(Buffer.alloc(128 * 1024, 2), 0);
    second.commit(plain);
    assert.ok(readFileSync(join(disk, 'target')).equals(Buffer.alloc(128 * 1024, 2)));
  });

  test('without room for one more entry says so', (t) => {
    const disk = smallDisk(t, '1m,nr_inodes=4');
    using root = Folder.open(disk);
    for (const text of ['a', 'b']) receive(root, text, '');
    root.makeChild(name('c')).close();
    // Bytes are not what is missing.
    const message = /^cannot create '[^']+': no space left on device$/;
    assert.throws(() => receive(root, 'd', ''), { code: 'NO_SPACE', message });
    assert.throws(() => root.makeChild(name('d')), { code: 'NO_SPACE' });
    assert.throws(() => root.symlink('x', name('d')), { code: 'NO_SPACE' });
    assert.deepEqual(namesIn(disk), ['a', 'b', 'c']);
  });
});

suite('a disk that may not be written', needs('root'), () => {
  test('says so for every step', (t) => {
    const disk = smallDisk(t, '1m');
    mkdirSync(join(disk, 'folder'));
    writeFileSync(join(disk, 'file'), 'old');
    using root = Folder.open(disk);
    using folder = root.child(name('folder'));
    const underWay = TargetFile.open(folder, name('x'), { size: 1 });
    underWay.discard();
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const steps: (() => unknown)[] = [
      () => receive(root, 'new', 'x'),
      () => root.makeChild(name('new')),
      () => root.symlink('x', name('new')),
      () => root.link(name('file'), name('new')),
      () => root.rename(name('file'), name('new')),
      () => root.unlink(name('file')),
      () => root.removeIfEmpty(name('folder')),
      () => root.setLinkTimes(name('file'), 0),
      () => folder.setMode(0o700),
      () => folder.setTimes(0),
      () => root.openFile(name('file'), 'update'),
    ];
    for (const step of steps) assert.throws(step, { code: 'UNWRITABLE', message: /read-only file system/ });
    assert.equal(root.foldsCase(), false);
    assert.deepEqual(namesIn(disk), ['file', 'folder']);
  });

  test('rights that are lost while bytes come fail that file by name', async (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o777);
    const child = await startElsewhere(t, ['nobody-commits', base]);
    chmodSync(base, 0o755);
    child.stdin?.end('go');
    const [answer] = await once(child.stdout ?? child, 'data');
    assert.equal(JSON.parse(String(answer)).code, 'UNWRITABLE');
    assert.equal(namesIn(base).includes('target'), false);
  });
});

suite('names that the file system itself refuses', () => {
  test('too long in bytes is a bad name', (t) => {
    using root = Folder.open(temporaryFolder(t));
    // Past the checks on purpose: a file system may hold less than 255 bytes.
    const long = 'x'.repeat(300) as SafeName;
    assert.throws(() => root.createFile(long), { code: 'BAD_NAME' });
    assert.throws(() => root.makeChild(long), { code: 'BAD_NAME' });
    assert.throws(() => root.lookup(long), { code: 'BAD_NAME' });
  });
});

/** Runs another process some of whose system calls fail, as a broken or poorer file system would make them. */
function failing(calls: string, how: string): string[] {
  return ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:${how}`];
}

suite('system calls that fail', needs('strace'), () => {
  for (const error of ['EPERM', 'EOPNOTSUPP', 'ENOSYS'])
    test(`a file system without hard links (${error}) takes files and still replaces none`, (t) => {
      const base = temporaryFolder(t);
      const noLinks = failing('link,linkat', `error=${error}`);
      assert.deepEqual(elsewhere(['receive', base, 'a.txt', 'first'], noLinks), { value: 'a.txt' });
      assert.equal(elsewhere(['receive', base, 'a.txt', 'second'], noLinks).code, 'EXISTS');
      assert.deepEqual(elsewhere(['receive', base, 'a.txt', 'third', 'rename'], noLinks), {
        value: 'a (2).txt',
      });
      assert.equal(readFileSync(join(base, 'a.txt'), 'utf8'), 'first');
      assert.equal(readFileSync(join(base, 'a (2).txt'), 'utf8'), 'third');
      assert.deepEqual(namesIn(base), ['a (2).txt', 'a.txt']);
    });

  test('without hard links a naming that fails leaves no empty file', (t) => {
    const base = temporaryFolder(t);
    const nothing = [
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=link,linkat,rename,renameat,renameat2',
    ];
    nothing.push('-e', 'inject=link,linkat:error=EPERM', '-e', 'inject=rename,renameat,renameat2:error=EIO');
    assert.equal(elsewhere(['receive', base, 'a', 'text'], nothing).code, 'IO');
    assert.deepEqual(namesIn(base), []);
  });

  test('permissions and times that a file system does not keep fail no file', (t) => {
    const base = temporaryFolder(t);
    const poor = failing('fchmod,utimensat', 'error=EPERM');
    assert.deepEqual(elsewhere(['receive', base, 'a', 'text'], poor), { value: 'a' });
    assert.equal(readFileSync(join(base, 'a'), 'utf8'), 'text');
  });

  for (const [error, code] of [
    ['EIO', 'IO'],
    ['ENOSPC', 'NO_SPACE'],
    ['EDQUOT', 'NO_SPACE'],
    ['EFBIG', 'NO_SPACE'],
  ] as const)
    test(`one write that fails with ${error} fails the file, though the next would succeed`, (t) => {
      const base = temporaryFolder(t);
      assert.deepEqual(elsewhere(['write-thrice', base], failing('pwrite64', `error=${error}:when=2`)), {
        value: { outcomes: ['done', code, code, code], names: [] },
      });
    });

  for (const [error, code] of [
    ['EIO', 'IO'],
    ['EDQUOT', 'NO_SPACE'],
  ] as const)
    test(`a sync that fails with ${error} fails the file`, (t) => {
      const base = temporaryFolder(t);
      assert.equal(elsewhere(['receive-big', base], failing('fdatasync', `error=${error}`)).code, code);
      assert.deepEqual(namesIn(base), []);
    });

  test('what is durable is on the disk with the folders on the way to it', (t) => {
    const base = temporaryFolder(t);
    const [from, to, calls] = ['from', 'to', 'calls'].map((name) => join(base, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(join(from, 'outer', 'inner'), { recursive: true });
    mkdirSync(join(from, 'links'));
    mkdirSync(to);
    writeFileSync(join(from, 'outer', 'inner', 'file'), 'x');
    symlinkSync('outer', join(from, 'links', 'link'));
    const noting = ['strace', '-f', '-qq', '-y', '-o', calls, '-e', 'trace=fsync'];
    assert.deepEqual(elsewhere(['receive-tree', from, to], noting), { value: true });
    const synced = readFileSync(calls, 'utf8');
    for (const path of ['', '/from', '/from/outer', '/from/outer/inner', '/from/links'])
      assert.ok(synced.includes(`<${to}${path}>)`), path);
  });

  test('a read that a signal interrupts is repeated', (t) => {
    const base = temporaryFolder(t);
    writeFileSync(join(base, 'a'), 'x'.repeat(1000));
    const path = join(base, 'a');
    const interrupted = [...failing('pread64,preadv', 'error=EINTR:when=1..3'), '-P', path];
    assert.deepEqual(elsewhere(['read', base, 'a'], interrupted), {
      value: { count: 1000, text: 'x'.repeat(1000) },
    });
  });

  test('a disk that can’t be read says so', (t) => {
    const base = temporaryFolder(t);
    writeFileSync(join(base, 'a'), 'x'.repeat(1000));
    const broken = [...failing('pread64,preadv', 'error=EIO'), '-P', join(base, 'a')];
    assert.equal(elsewhere(['read', base, 'a'], broken).code, 'IO');
  });

  test('no descriptors left means to try again later', (t) => {
    const base = temporaryFolder(t);
    assert.equal(
      elsewhere(
        ['receive', base, 'a', 'b'],
        [
          'strace',
          '-f',
          '-qq',
          '-o',
          '/dev/null',
          '-e',
          'trace=open,openat',
          '-e',
          'inject=open,openat:error=EMFILE',
          '-P',
          base,
        ],
      ).code,
      'BUSY',
    );
    assert.equal(existsSync(join(base, 'a')), false);
  });
});
