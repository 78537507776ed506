import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName, checkPath, fsPath, type SafeName } from '../../src/transfer/name.ts';
import { SourceFile } from '../../src/transfer/source-file.ts';
import { SourceRoot } from '../../src/transfer/source-root.ts';
import { afterwards, elsewhere, openDescriptors, temporaryFolder, temporaryRoot } from './workplace.ts';

const name = (text: string): SafeName => checkName(text);

suite('a file that is sent', () => {
  test('is read from any place, into shared memory too', (t) => {
    const { path, root } = temporaryRoot(t);
    writeFileSync(join(path, 'file'), 'abcdefghij');
    const before = openDescriptors();
    const file = SourceFile.open(root, name('file'));
    assert.equal(file.size, 10);
    const shared = new Uint8Array(new SharedArrayBuffer(8));
    assert.equal(file.readAt(shared.subarray(2, 6), 3), 4);
    assert.equal(Buffer.from(shared).toString('latin1'), '\0\0defg\0\0');
    assert.equal(file.readAt(shared, 8), 2);
    assert.equal(file.readAt(shared, 10), 0);
    assert.equal(file.readAt(shared, 1000), 0);
    file.verifyUnchanged();
    file.close();
    file.close();
    assert.throws(() => file.readAt(shared, 0), { code: 'INTERNAL' });
    assert.equal(openDescriptors(), before);
  });

  const changes: readonly (readonly [string, RegExp, (path: string) => void])[] = [
    ['shrank', /shrank from 6 to 2 bytes/, (path) => truncateSync(path, 2)],
    ['was emptied', /shrank from 6 to 0 bytes/, (path) => writeFileSync(path, '')],
    ['grew', /grew from 6 to 7 bytes/, (path) => appendFileSync(path, '!')],
    ['was written in place', /was written to/, (path) => writeFileSync(path, 'edited')],
    ['was removed', /was removed/, (path) => unlinkSync(path)],
    ['was moved away', /was removed/, (path) => renameSync(path, `${path}.moved`)],
    [
      'was replaced by a file with its size and time',
      /was replaced/,
      (path) => {
        writeFileSync(`${path}.new`, 'edited');
        utimesSync(`${path}.new`, 1000, 1000);
        renameSync(`${path}.new`, path);
      },
    ],
    [
      'was replaced by a link',
      /was replaced/,
      (path) => {
        renameSync(path, `${path}.aside`);
        symlinkSync('file.aside', path);
      },
    ],
  ];
  for (const [what, message, change] of changes)
    test(`and ${what} meanwhile is refused, saying so`, (t) => {
      const { path, root } = temporaryRoot(t);
      writeFileSync(join(path, 'file'), 'before');
      utimesSync(join(path, 'file'), 1000, 1000);
      using file = SourceFile.open(root, name('file'));
      file.verifyUnchanged();
      change(join(path, 'file'));
      assert.throws(() => file.verifyUnchanged(), { code: 'SOURCE_CHANGED', message });
    });

  test('and only got other rights or another name besides is as it was', (t) => {
    const { path, root } = temporaryRoot(t);
    writeFileSync(join(path, 'file'), 'text');
    using file = SourceFile.open(root, name('file'));
    chmodSync(join(path, 'file'), 0o600);
    linkSync(join(path, 'file'), join(path, 'second'));
    file.verifyUnchanged();
  });

  test('is still read when its folder is closed', (t) => {
    const { path, root } = temporaryRoot(t);
    mkdirSync(join(path, 'folder'));
    writeFileSync(join(path, 'folder', 'file'), 'text');
    const before = openDescriptors();
    const folder = root.child(name('folder'));
    const file = SourceFile.open(folder, name('file'));
    folder.close();
    assert.equal(file.readAt(Buffer.alloc(9), 0), 4);
    file.verifyUnchanged();
    file.close();
    assert.equal(openDescriptors(), before);
  });

  test('and may not be read says so', { skip: process.getuid?.() !== 0 && 'needs root' }, (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o755);
    writeFileSync(join(base, 'secret'), 'x', { mode: 0o600 });
    const answer = elsewhere(['nobody-reads', base, 'secret']);
    assert.equal(answer.code, 'UNREADABLE');
    assert.equal(answer.message, "cannot open 'secret': permission denied");
  });
});

suite('what the user names', () => {
  const text = (root: SourceRoot, path = [root.name]) => {
    using file = root.open(path);
    const bytes = Buffer.alloc(file.size);
    file.readAt(bytes, 0);
    return bytes.toString('utf8');
  };

  test('may be a file, or a link to one anywhere, whose name it keeps', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'deep'));
    writeFileSync(join(base, 'deep', 'file'), 'text');
    symlinkSync('deep/file', join(base, 'link'));
    symlinkSync('deep', join(base, 'way'));
    for (const [path, called] of [
      ['deep/file', 'file'],
      ['link', 'link'],
      ['way/file', 'file'],
    ] as const) {
      using root = SourceRoot.named(join(base, path));
      assert.equal(root.name, called);
      assert.equal(root.stat.type, 'file');
      assert.equal(text(root), 'text');
      assert.equal(root.folder, undefined);
    }
  });

  test('a link is followed when it is named and not again later', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'one'));
    mkdirSync(join(base, 'two'));
    writeFileSync(join(base, 'one', 'file'), 'one');
    writeFileSync(join(base, 'two', 'file'), 'two');
    symlinkSync('one/file', join(base, 'to-file'));
    symlinkSync('one', join(base, 'to-folder'));
    using file = SourceRoot.named(join(base, 'to-file'));
    using folder = SourceRoot.named(join(base, 'to-folder'));
    for (const [link, target] of [
      ['to-file', 'two/file'],
      ['to-folder', 'two'],
    ] as const) {
      unlinkSync(join(base, link));
      symlinkSync(target, join(base, link));
    }
    assert.equal(text(file), 'one');
    assert.equal(text(folder, [folder.name, name('file')]), 'one');
  });

  test('may be a folder, also written with dots or a slash at the end', (t) => {
    const base = temporaryFolder(t);
    mkdirSync(join(base, 'folder', 'inner'), { recursive: true });
    writeFileSync(join(base, 'folder', 'inner', 'file'), 'text');
    const before = openDescriptors();
    for (const path of ['folder', 'folder/', 'folder/.', 'folder/inner/..', './folder']) {
      using root = SourceRoot.named(`${base}/${path}`);
      assert.equal(root.name, 'folder');
      assert.equal(root.stat.type, 'folder');
      assert.equal(text(root, [...checkPath('folder/inner/file')]), 'text');
      assert.throws(() => root.open([root.name]), { code: 'IS_A_FOLDER' });
      assert.throws(() => root.open(checkPath('folder/inner')), { code: 'IS_A_FOLDER' });
      assert.throws(() => root.open(checkPath('folder/missing')), { code: 'NOT_FOUND' });
      assert.throws(() => root.open(checkPath('folder/inner/file/x')), { code: 'NOT_A_FOLDER' });
    }
    assert.equal(openDescriptors(), before);
  });

  test('missing, dangling, special or nameless things are refused without waiting', async (t) => {
    const base = temporaryFolder(t);
    symlinkSync('nowhere', join(base, 'dangling'));
    symlinkSync('loop', join(base, 'loop'));
    execFileSync('mkfifo', [join(base, 'pipe')]);
    symlinkSync('pipe', join(base, 'to-pipe'));
    const server = createServer().listen(join(base, 'socket'));
    afterwards(t, () => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const before = openDescriptors();
    for (const [path, code] of [
      ...[
        ['missing', 'NOT_FOUND'],
        ['missing/file', 'NOT_FOUND'],
        ['dangling', 'NOT_FOUND'],
      ],
      ...[
        ['pipe', 'NOT_A_FILE'],
        ['to-pipe', 'NOT_A_FILE'],
        ['socket', 'NOT_A_FILE'],
        ['loop', 'NOT_A_FILE'],
      ],
      ...[['pipe/x', 'NOT_A_FOLDER']],
    ] as const)
      assert.throws(() => SourceRoot.named(join(base, path)), { code }, path);
    assert.throws(() => SourceRoot.named('/dev/zero'), { code: 'NOT_A_FILE' });
    assert.throws(() => SourceRoot.named('/'), { code: 'BAD_NAME' });
    assert.equal(openDescriptors(), before);
  });

  test('a pipe that a shell made of a command is no file', (t) => {
    const base = temporaryFolder(t);
    const script = `import { SourceRoot } from '${new URL('../../src/transfer/source-root.ts', import.meta.url).href}';
      try { SourceRoot.named(process.argv[1]); } catch (error) { console.log(error.code); }`;
    writeFileSync(join(base, 'script.mjs'), script);
    const command = `exec "$0" --input-type=module -e "$(cat script.mjs)" <(echo text)`;
    const told = execFileSync('bash', ['-c', command, process.execPath], { cwd: base, encoding: 'utf8' });
    assert.equal(told.trim(), 'NOT_A_FILE');
  });

  test('has any bytes in its name', (t) => {
    const base = temporaryFolder(t);
    writeFileSync(fsPath(`${base}/\udcff\n😀`), 'text');
    using root = SourceRoot.named(`${base}/\udcff\n😀`);
    assert.equal(root.name, '\udcff\n😀');
    assert.equal(text(root), 'text');
  });

  test('is read through folders that may only be passed', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, (t) => {
    const base = temporaryFolder(t);
    chmodSync(base, 0o711);
    mkdirSync(join(base, 'tree'));
    writeFileSync(join(base, 'tree', 'file'), '');
    assert.deepEqual(elsewhere(['nobody-walks', join(base, 'tree')]), {
      value: ['folder tree', 'file tree/file', 'leave tree'],
    });
  });
});

suite('what lies below a share', () => {
  test('is reached without following any link, and named as asked', (t) => {
    const { base, path, root: share } = temporaryRoot(t);
    mkdirSync(join(path, 'folder'));
    writeFileSync(join(path, 'folder', 'file'), 'public');
    writeFileSync(join(base, 'secret'), 'secret');
    symlinkSync('..', join(path, 'up'));
    symlinkSync('../secret', join(path, 'link'));
    symlinkSync('folder', join(path, 'alias'));
    const before = openDescriptors();
    {
      using root = SourceRoot.below(() => share.reopen(), checkPath('folder/file'));
      assert.equal(root.name, 'file');
      using file = root.open([root.name]);
      assert.equal(file.size, 6);
    }
    {
      using root = SourceRoot.below(() => share.reopen(), [], name('docs'));
      assert.equal(root.name, 'docs');
      using file = root.open(checkPath('docs/folder/file'));
      assert.equal(file.size, 6);
      assert.throws(() => root.open(checkPath('docs/up/secret')), { code: 'NOT_A_FOLDER' });
      assert.throws(() => root.open(checkPath('docs/link')), { code: 'NOT_A_FILE' });
    }
    {
      using root = SourceRoot.below(() => share.reopen(), checkPath('link'));
      assert.equal(root.stat.type, 'link');
      assert.equal(root.readlink(), '../secret');
      assert.throws(() => root.open([root.name]), { code: 'NOT_A_FILE' });
    }
    assert.throws(() => SourceRoot.below(() => share.reopen(), checkPath('up/secret')), {
      code: 'NOT_A_FOLDER',
    });
    assert.throws(() => SourceRoot.below(() => share.reopen(), checkPath('alias/file')), {
      code: 'NOT_A_FOLDER',
    });
    assert.throws(() => SourceRoot.below(() => share.reopen(), checkPath('missing')), { code: 'NOT_FOUND' });
    assert.throws(() => SourceRoot.below(() => share.reopen(), []), { code: 'USAGE' });
    assert.equal(openDescriptors(), before);
    assert.equal(share.stat(name('folder')).type, 'folder');
  });

  test('a path that was swapped for a link between the look and the opening is not served', (t) => {
    const { base, path, root: share } = temporaryRoot(t);
    mkdirSync(join(path, 'tree', 'folder'), { recursive: true });
    writeFileSync(join(path, 'tree', 'folder', 'file'), 'public');
    writeFileSync(join(path, 'tree', 'file'), 'public');
    mkdirSync(join(base, 'outside'));
    writeFileSync(join(base, 'outside', 'file'), 'secret');
    using root = SourceRoot.below(() => share.reopen(), checkPath('tree'));
    const seen = share.child(name('tree'));
    const stat = seen.stat(name('file'));
    seen.close();
    renameSync(join(path, 'tree', 'folder'), join(path, 'aside'));
    symlinkSync('../../outside', join(path, 'tree', 'folder'));
    unlinkSync(join(path, 'tree', 'file'));
    symlinkSync('../../outside/file', join(path, 'tree', 'file'));
    assert.throws(() => root.open(checkPath('tree/folder/file')), { code: 'NOT_A_FOLDER' });
    assert.throws(() => root.open(checkPath('tree/file'), stat), { code: 'NOT_A_FILE' });
    // The folder that was opened is served, not what has its name now.
    rmSync(join(path, 'tree'), { recursive: true });
    symlinkSync('../outside', join(path, 'tree'));
    assert.throws(() => root.open(checkPath('tree/file')), { code: 'NOT_FOUND' });
    assert.equal(readFileSync(join(path, 'tree', 'file'), 'utf8'), 'secret');
  });
});

test('a root that was closed opens again, and not where another folder has its place', (t) => {
  const { path } = temporaryRoot(t);
  for (const folder of ['a', 'b']) {
    mkdirSync(join(path, folder, 'tree'), { recursive: true });
    writeFileSync(join(path, folder, 'tree', 'file'), folder);
    writeFileSync(join(path, folder, 'file'), folder);
  }
  const before = openDescriptors();
  const roots = [SourceRoot.named(join(path, 'a', 'tree')), SourceRoot.named(join(path, 'a', 'file'))];
  const ways = [checkPath('tree/file'), checkPath('file')];
  for (const root of roots) root.close();
  assert.equal(openDescriptors(), before);
  for (const [index, root] of roots.entries()) {
    using file = root.open(ways[index] ?? []);
    assert.equal(file.size, 1);
    root.close();
  }
  renameSync(join(path, 'a'), join(path, 'aside'));
  renameSync(join(path, 'b'), join(path, 'a'));
  for (const [index, root] of roots.entries())
    assert.throws(() => root.open(ways[index] ?? []), { code: 'SOURCE_CHANGED' });
  assert.equal(openDescriptors(), before);
});

test('a share by its path works where descriptors have none', (t) => {
  const { path } = temporaryRoot(t);
  mkdirSync(join(path, 'folder'));
  writeFileSync(join(path, 'folder', 'file'), 'text');
  using share = Folder.open(path, { anchor: 'path' });
  using root = SourceRoot.below(() => share.reopen(), checkPath('folder'));
  using file = root.open(checkPath('folder/file'));
  assert.equal(file.size, 4);
});
