import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName, type SafeName } from '../../src/transfer/name.ts';
import { hasPartial, isPartialName, partialName } from '../../src/transfer/partial.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import {
  afterwards,
  elsewhere,
  killHard,
  namesIn,
  openDescriptors,
  receive,
  startElsewhere,
  temporaryRoot,
} from './workplace.ts';

const name = (text: string): SafeName => checkName(text);
const plain = { mode: 0o644, mtime: 0 };

/** What a partial of `target` is called when another process writes it. */
function partialOf(pid: number, target = 'target'): string {
  return partialName(name(target)).replace(`-${process.pid}.`, `-${pid}.`);
}

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid ?? 0;
}

/** The number of a shell script that runs as long as the test: one of `wanted`, if any are. */
async function programWith(
  t: TestContext,
  path: string,
  script: string,
  wanted?: readonly number[],
): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const program = spawn('sh', ['-c', script], {
      cwd: path,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    afterwards(t, () => killHard(program));
    // It says a word, or it could not start, and its output ends.
    await Promise.race([once(program.stdout, 'data'), once(program.stdout, 'end')]);
    const number = program.pid ?? 0;
    if (wanted === undefined || wanted.includes(number)) return number;
  }
  throw new Error('no process got one of the numbers');
}

/** A root with a partial of a process that has ended. */
async function leftBehind(
  t: TestContext,
  content = 'left',
): Promise<{ path: string; root: Folder; partial: string }> {
  const { path, root } = temporaryRoot(t);
  const partial = join(path, partialOf(await endedProcess()));
  writeFileSync(partial, content, { mode: 0o600 });
  return { path, root, partial };
}

suite('the name of a partial', () => {
  test('can not be made in a folder that has gone elsewhere', (t) => {
    const { path } = temporaryRoot(t);
    mkdirSync(join(path, 'folder'));
    using folder = Folder.open(join(path, 'folder'), { anchor: 'path' });
    // What earlier runs have left is looked for once.
    TargetFile.open(folder, name('first')).discard();
    renameSync(join(path, 'folder'), join(path, 'aside'));
    assert.throws(() => TargetFile.open(folder, name('target')), { code: 'IO', message: /was moved/ });
  });

  test('holds the hash of the target and the process, and fits however long the target is', () => {
    const partial = partialName(name('x'.repeat(255)));
    assert.match(partial, new RegExp(`^\\.localstream-[0-9a-f]{16}-${process.pid}\\.part$`));
    assert.notEqual(partialName(name('a')), partialName(name('b')));
    // b3sum of the one byte `a` begins so: other programs can tell whose partial it is.
    assert.match(partialName(name('a')), /^\.localstream-17762fddd969a453-/);
  });

  test('is no name for a target: a peer could replace what another one is sending', (t) => {
    const { path, root } = temporaryRoot(t);
    const partial = partialName(name('target'));
    assert.equal(isPartialName(partial), true);
    const file = TargetFile.open(root, name('target'), { size: 4 });
    file.writeAt(Buffer.from('good'), 0);
    for (const policy of ['fail', 'overwrite', 'rename'] as const)
      assert.throws(() => receive(root, partial, 'evil', { policy }), { code: 'BAD_NAME' });
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'good');
    for (const near of [`${partial}x`, `x${partial}`, '.localstream-0-1.part', partial.replace('-', '_')])
      assert.equal(isPartialName(near), false);
  });
});

suite('a partial that was left', () => {
  test('by this process is taken up again', (t) => {
    const { path, root } = temporaryRoot(t);
    assert.equal(hasPartial(root, name('target')), false);
    const first = TargetFile.open(root, name('target'), { size: 8 });
    first.writeAt(Buffer.from('half'), 0);
    first.keep();
    for (const folder of [root, root.reopen()]) assert.equal(hasPartial(folder, name('target')), true);
    const second = TargetFile.open(root, name('target'), { size: 8 });
    assert.equal(second.resumable, 4);
    const bytes = Buffer.alloc(8);
    assert.equal(second.readAt(bytes, 0), 4);
    assert.equal(bytes.toString('latin1', 0, 4), 'half');
    second.writeAt(Buffer.from('done'), 4);
    second.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'halfdone');
    assert.deepEqual(namesIn(path), ['target']);
    assert.equal(hasPartial(root, name('target')), false);
  });

  test('by a process that was killed is taken up by another', async (t) => {
    const { path, root } = temporaryRoot(t);
    const child = await startElsewhere(t, ['hold', path, 'target', 'half']);
    await killHard(child);
    assert.deepEqual(namesIn(path), [partialOf(child.pid ?? 0)]);
    const before = openDescriptors();
    const file = TargetFile.open(root, name('target'), { size: 8 });
    assert.equal(file.resumable, 4);
    assert.deepEqual(namesIn(path), [partialName(name('target'))]);
    file.writeAt(Buffer.from('done'), 4);
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'halfdone');
    assert.equal(openDescriptors(), before);
  });

  test('longer than the file is cut at the end', async (t) => {
    const { path, root } = await leftBehind(t, 'much too long');
    const file = TargetFile.open(root, name('target'), { size: 4 });
    file.writeAt(Buffer.from('four'), 0);
    file.commit({ ...plain, policy: 'fail' });
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'four');
  });

  test('does not shine through a hole', async (t) => {
    const { path, root } = await leftBehind(t, 'x'.repeat(200_000));
    const file = TargetFile.open(root, name('target'), { size: 300_000 });
    file.hole(0, 300_000);
    file.commit({ ...plain, policy: 'fail' });
    assert.ok(readFileSync(join(path, 'target')).equals(Buffer.alloc(300_000)));
  });

  test('is not used where an empty start is asked for, or the length is not known', async (t) => {
    for (const options of [{ size: 4, basis: 'none' }, {}] as const) {
      const { root } = await leftBehind(t);
      const file = TargetFile.open(root, name('target'), options);
      assert.equal(file.resumable, 0);
      file.writeAt(Buffer.from('own'), 0);
      file.keep();
      const again = TargetFile.open(root, name('target'), options);
      assert.equal(again.resumable, 0);
      assert.equal(again.length, 0);
      again.discard();
    }
  });

  test('of several the longest is taken', async (t) => {
    const { path, root } = await leftBehind(t, 'short');
    writeFileSync(join(path, partialOf(await endedProcess())), 'the longest');
    writeFileSync(join(path, partialOf(await endedProcess())), 'middle');
    using file = TargetFile.open(root, name('target'), { size: 20 });
    assert.equal(file.resumable, 'the longest'.length);
  });

  test('with the write-protected mode of a file about to be named is passed over or taken, never an error', async (t) => {
    const { path, root, partial } = await leftBehind(t);
    chmodSync(partial, 0o444);
    assert.equal(receive(root, 'target', 'whole'), 'target');
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'whole');
  });

  test('with such a mode by this very process, which found the name taken, does not keep it from that name', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, (t) => {
    const { base, path } = temporaryRoot(t);
    for (const folder of [base, path]) chmodSync(folder, 0o777);
    assert.deepEqual(elsewhere(['nobody-receives-twice', path]), {
      value: { codes: ['EXISTS'], name: 'target', names: ['target'] },
    });
  });

  test('as the second name of the target, by a kill between link and unlink, is removed and the target untouched', async (t) => {
    const { path, root, partial } = await leftBehind(t, 'committed');
    linkSync(partial, join(path, 'target'));
    const file = TargetFile.open(root, name('target'), { size: 9 });
    assert.equal(file.resumable, 0);
    assert.equal(existsSync(partial), false);
    file.writeAt(Buffer.from('replaced!'), 0);
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'committed');
    file.discard();
    assert.deepEqual(namesIn(path), ['target']);
  });
});

suite('what only looks like a partial', () => {
  /** Nothing of it may change, whatever happens to the target. */
  function untouched(root: Folder, path: string, partial: string, content: string): void {
    assert.equal(TargetFile.open(root, name('target'), { size: 4 }).resumable, 0);
    using again = Folder.open(path);
    receive(again, 'other', 'x');
    assert.equal(readFileSync(partial, 'utf8'), content);
  }

  test('of a process that lives is left alone', async (t) => {
    const { path, root } = temporaryRoot(t);
    const child = await startElsewhere(t, ['hold', path, 'target', 'under way']);
    untouched(root, path, join(path, partialOf(child.pid ?? 0)), 'under way');
  });

  test('with a second name is left alone', async (t) => {
    const { path, root, partial } = await leftBehind(t, 'somebody’s');
    linkSync(partial, join(path, 'precious'));
    untouched(root, path, partial, 'somebody’s');
  });

  test('that is a link is not followed', async (t) => {
    const { base, path, root } = temporaryRoot(t);
    writeFileSync(join(base, 'precious'), 'precious');
    const partial = join(path, partialOf(await endedProcess()));
    symlinkSync('../precious', partial);
    untouched(root, path, partial, 'precious');
  });

  test('that is a folder or a pipe is left alone, without waiting', async (t) => {
    const { path, root } = temporaryRoot(t);
    mkdirSync(join(path, partialOf(await endedProcess())));
    execFileSync('mkfifo', [join(path, partialOf(await endedProcess()))]);
    assert.equal(receive(root, 'target', 'x'), 'target');
    assert.equal(namesIn(path).length, 3);
  });

  test('of another target is left alone', async (t) => {
    const { path, root } = temporaryRoot(t);
    const partial = join(path, partialOf(await endedProcess(), 'another'));
    writeFileSync(partial, 'another');
    untouched(root, path, partial, 'another');
  });

  test('of another user is left alone', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
    const { path, root, partial } = await leftBehind(t, 'theirs');
    chownSync(partial, 65534, 65534);
    untouched(root, path, partial, 'theirs');
  });

  test('and has this process’s own number: refused, nothing touched', (t) => {
    const { base, path, root } = temporaryRoot(t);
    const own = join(path, partialName(name('target')));
    writeFileSync(join(base, 'precious'), 'precious');
    linkSync(join(base, 'precious'), own);
    assert.throws(() => receive(root, 'target', 'x'), { code: 'UNWRITABLE' });
    renameSync(own, join(path, 'x'));
    symlinkSync('../../precious', own);
    assert.throws(() => receive(root, 'target', 'x'), { code: 'NOT_A_FILE' });
    assert.equal(readFileSync(join(base, 'precious'), 'utf8'), 'precious');
  });
});

suite('whose process is gone', () => {
  /** Partials older than the processes of their numbers, which come next; a rename would make them younger again. */
  async function oldPartials(path: string): Promise<readonly number[]> {
    const highest = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
    const numbers = Array.from({ length: 4000 }, (_, index) => {
      const number = process.pid + index + 1;
      // After the highest number they start again behind those of the system.
      return number < highest ? number : number - highest + 300;
    });
    for (const number of numbers) writeFileSync(join(path, partialOf(number)), 'left');
    await delay(2500);
    return numbers;
  }

  for (const [what, script, resumable] of [
    ['keeps no partial from being taken up', 'echo; exec sleep 1000', 4],
    [
      'and which has it open, keeps it',
      `exec <${partialOf(0).replace('-0.', () => '-$$.')}; echo; exec sleep 1000`,
      0,
    ],
  ] as const)
    test(`a number that another program has by now ${what}`, async (t) => {
      const { path, root } = temporaryRoot(t);
      const numbers = await oldPartials(path);
      const program = await programWith(t, path, script, numbers);
      for (const number of numbers) if (number !== program) unlinkSync(join(path, partialOf(number)));
      using file = TargetFile.open(root, name('target'), { size: 8 });
      assert.equal(file.resumable, resumable);
    });

  test('a partial that is younger than the process of its number is that process’s', async (t) => {
    const { path, root } = temporaryRoot(t);
    const sleeper = await programWith(t, path, 'echo; exec sleep 1000');
    writeFileSync(join(path, partialOf(sleeper)), 'theirs');
    using file = TargetFile.open(root, name('target'), { size: 8 });
    assert.equal(file.resumable, 0);
    assert.equal(readFileSync(join(path, partialOf(sleeper)), 'utf8'), 'theirs');
  });

  test('a file in use by another worker of this process is not taken', async (t) => {
    const { path, root } = temporaryRoot(t);
    const source = `
      import { workerData, parentPort } from 'node:worker_threads';
      const { Folder } = await import(workerData.folder);
      const { TargetFile } = await import(workerData.target);
      const file = TargetFile.open(Folder.open(workerData.path), 'target', { size: 8 });
      file.writeAt(Buffer.from('theirs'), 0);
      parentPort.on('message', () => { file.keep(); parentPort.postMessage('kept'); parentPort.close(); });
      parentPort.postMessage('open');`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: {
        path,
        folder: new URL('../../src/transfer/folder.ts', import.meta.url).href,
        target: new URL('../../src/transfer/target-file.ts', import.meta.url).href,
      },
    });
    t.after(() => worker.terminate());
    await once(worker, 'message');
    const before = openDescriptors();
    for (const basis of ['partial', 'none'] as const)
      assert.throws(() => TargetFile.open(root, name('target'), { size: 8, basis }), { code: 'BUSY' });
    assert.equal(openDescriptors(), before);
    assert.equal(readFileSync(join(path, partialName(name('target'))), 'utf8'), 'theirs');
    worker.postMessage('keep');
    await once(worker, 'message');
    using file = TargetFile.open(root, name('target'), { size: 8 });
    assert.equal(file.resumable, 6);
  });

  test('two transfers of one process to one name: the second is told, the first goes on', (t) => {
    const { path, root } = temporaryRoot(t);
    const first = TargetFile.open(root, name('target'), { size: 1 });
    assert.throws(() => TargetFile.open(root, name('target'), { size: 1 }), { code: 'BUSY' });
    first.writeAt(Buffer.from('1'), 0);
    first.commit({ ...plain, policy: 'fail' });
    assert.equal(receive(root, 'target', '2', { policy: 'overwrite' }), 'target');
    assert.equal(readFileSync(join(path, 'target'), 'utf8'), '2');
  });

  test('where names are free to choose each is written, and what breaks off beside another is not kept', (t) => {
    const { path, root } = temporaryRoot(t);
    const open = () => TargetFile.open(root, name('target'), { size: 1, beside: true });
    const [first, second, third] = [open(), open(), open()];
    for (const file of [first, second, third]) file.writeAt(Buffer.from('x'), 0);
    assert.equal(namesIn(path).length, 3);
    third.keep();
    assert.equal(second.commit({ ...plain, policy: 'rename' }).name, 'target');
    assert.equal(first.commit({ ...plain, policy: 'rename' }).name, 'target (2)');
    assert.deepEqual(namesIn(path), ['target', 'target (2)']);
  });
});

test('killed at any time, again and again, the target is the whole of one version', async (t) => {
  const { path } = temporaryRoot(t);
  let seen = 0;
  for (let round = 0; round < 12; round += 1) {
    const child = await startElsewhere(t, ['replace-forever', path]);
    await delay(5 + ((round * 37) % 60));
    await killHard(child);
    const target = join(path, 'target');
    if (!existsSync(target)) continue;
    seen += 1;
    const content = readFileSync(target, 'latin1');
    assert.equal(content.length, 200_000);
    assert.match(content, /^(?:a+|b+)$/);
  }
  assert.ok(seen > 0);
  using root = Folder.open(path);
  receive(root, 'target', 'last', { policy: 'overwrite' });
  assert.equal(readFileSync(join(path, 'target'), 'utf8'), 'last');
});
