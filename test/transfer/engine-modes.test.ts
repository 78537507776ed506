import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { FRAME, readHeader } from '../../src/protocol/frame.ts';
import { OUTCOME } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy } from '../../src/protocol/messages.ts';
import { encodeName } from '../../src/transfer/name.ts';
import { predict } from './engine-model.ts';
import { quickFolder, transfer } from './engine-run.ts';
import { at, build, bytesOf, type Content, look, someFolder, someRoot, survey } from './engine-tree.ts';
import { openDescriptors } from './workplace.ts';

const MIB = 1024 * 1024;
const latin1 = (path: string): string => encodeName(path).toString('latin1');
const somePolicy = fc.constantFrom<ExistingPolicy>('fail', 'overwrite', 'skip', 'rename', 'update');

/** Two empty folders, the first to send from. */
function fresh(base: string): [from: string, to: string] {
  const folders: [string, string] = [join(base, 'from'), join(base, 'to')];
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
  }
  return folders;
}

suite('a dry run', () => {
  test('changes nothing, moves nothing, and says what a real one does', (t) => {
    const base = quickFolder(t);
    fc.assert(
      fc.property(
        someRoot,
        someFolder,
        fc.boolean(),
        somePolicy,
        fc.nat(),
        (root, other, isThere, existing, seed) => {
          const [from, to] = fresh(base);
          build(at(from, 'root'), root);
          if (isThere) build(at(to, 'root'), other);
          const before = [survey(to), look(at(to))];
          const expected = predict(survey(from), survey(to), existing);
          const options = { sources: [join(from, 'root')], target: to, existing, seed };
          const run = transfer({ ...options, place: { dryRun: true } });
          assert.equal(run.error, undefined);
          assert.ok(run.finished);
          assert.equal(run.moved, 0);
          assert.deepEqual([survey(to), look(at(to))], before);
          for (const row of run.received) {
            const wanted = expected.outcomes.get(latin1(row.path));
            if (wanted?.outcome !== OUTCOME.committed) {
              assert.deepEqual([row.path, row.outcome, row.flag], [row.path, wanted?.outcome, wanted?.flag]);
              continue;
            }
            assert.deepEqual([row.path, row.outcome, row.flag], [row.path, OUTCOME.skipped, 'OK']);
            assert.equal(row.note === 'would rename', wanted.renamed, `${row.path}: ${row.note}`);
            assert.match(row.note, /^would (create|overwrite|rename)$/);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  for (const size of [100, 3 * MIB])
    test(`says under update that what is older is replaced: ${size} bytes on both sides`, (t) => {
      const [from, to] = fresh(quickFolder(t));
      for (const [folder, time] of [
        [from, 5],
        [to, 4],
      ] as const) {
        writeFileSync(join(folder, 'file'), Buffer.alloc(size, time));
        utimesSync(join(folder, 'file'), time, time);
      }
      const options = { sources: [join(from, 'file')], target: to, existing: 'update' as const };
      const planned = transfer({ ...options, place: { dryRun: true } });
      assert.deepEqual(
        planned.received.map(({ outcome, flag, note }) => [outcome, flag, note]),
        [[OUTCOME.skipped, 'OK', 'would overwrite']],
      );
      assert.equal(transfer(options).received[0]?.outcome, OUTCOME.committed);
    });
});

suite('going by size and time', () => {
  test('reads nothing of what agrees in both, and everything else', (t) => {
    const [from, to] = fresh(quickFolder(t));
    const files = { same: [100, 5], other: [100, 6], longer: [101, 5], big: [3 * MIB, 5] } as const;
    for (const [name, [size, time]] of Object.entries(files)) {
      writeFileSync(join(from, name), Buffer.alloc(size, 1));
      writeFileSync(join(to, name), Buffer.alloc(name === 'longer' ? 100 : size, 2));
      utimesSync(join(from, name), 5, 5);
      utimesSync(join(to, name), time, time);
    }
    const sources = Object.keys(files).map((name) => join(from, name));
    const run = transfer({ sources, target: to, existing: 'overwrite', place: { trustMtime: true } });
    assert.ok(run.finished);
    const said = new Map(run.received.map((row) => [row.path, [row.outcome, row.digest === undefined]]));
    assert.deepEqual(said.get('same'), [OUTCOME.same, true]);
    assert.deepEqual(said.get('big'), [OUTCOME.same, true]);
    assert.deepEqual(said.get('other'), [OUTCOME.committed, false]);
    assert.deepEqual(said.get('longer'), [OUTCOME.committed, false]);
    assert.deepEqual(
      run.sent.map(({ path, outcome, digest }) => [path, outcome, digest]).sort(),
      run.received.map(({ path, outcome, digest }) => [path, outcome, digest]).sort(),
    );
    assert.equal(run.moved, 201);
    assert.equal(readFileSync(join(to, 'big'))[0], 2);
  });
});

suite('what a power cut has left of a file', () => {
  for (const existing of ['fail', 'overwrite', 'skip', 'rename', 'update'] as const) {
    test(`is made whole under the policy ${existing}`, (t) => {
      const [from, to] = fresh(quickFolder(t));
      for (const [name, size] of [
        ['small', 100],
        ['big', 3 * MIB],
      ] as const) {
        writeFileSync(join(from, name), Buffer.alloc(size, 1));
        writeFileSync(join(to, name), '');
        for (const folder of [from, to]) utimesSync(join(folder, name), 5, 5);
      }
      const sources = ['small', 'big'].map((name) => join(from, name));
      const run = transfer({ sources, target: to, existing });
      assert.deepEqual(
        run.received.map(({ outcome }) => outcome),
        [OUTCOME.committed, OUTCOME.committed],
      );
      assert.deepEqual(survey(to), survey(from));
    });
  }
});

suite('under the policy update', () => {
  // Sent in a pack, whole, and in pieces: of other sizes than what is there, and of the same.
  for (const size of [100, 700_000, 3 * MIB])
    for (const there of [size, size + 1])
      test(`what was written here since it was found older stays: ${there} bytes instead of ${size}`, (t) => {
        const [from, to] = fresh(quickFolder(t));
        const [source, target] = [join(from, 'file'), join(to, 'file')];
        writeFileSync(source, Buffer.alloc(size, 1));
        utimesSync(source, 5, 5);
        writeFileSync(target, Buffer.alloc(there, 2));
        utimesSync(target, 4, 4);
        const edit = (frame: Buffer) => {
          const { type } = readHeader(frame, frame.length);
          if (type === FRAME.pack || type === FRAME.data) writeFileSync(target, 'mine');
          return undefined;
        };
        const run = transfer({ sources: [source], target: to, existing: 'update', onFrame: edit });
        assert.ok(run.finished);
        for (const rows of [run.sent, run.received])
          assert.deepEqual(
            rows.map(({ outcome, flag, note }) => [outcome, flag, note]),
            [[OUTCOME.skipped, 'EXISTS', 'it is there, and not older']],
          );
        assert.equal(readFileSync(target, 'utf8'), 'mine');
        assert.deepEqual(readdirSync(to), ['file']);
      });
});

suite('reading back', () => {
  test('what was written comes to the same as not to', (t) => {
    const base = quickFolder(t);
    fc.assert(
      fc.property(someRoot, someFolder, somePolicy, fc.nat(), (root, other, existing, seed) => {
        const [from, to] = fresh(base);
        build(at(from, 'root'), root);
        build(at(to, 'root'), other);
        const expected = predict(survey(from), survey(to), existing);
        const run = transfer({
          sources: [join(from, 'root')],
          target: to,
          existing,
          seed,
          place: { verify: true },
        });
        assert.ok(run.finished);
        for (const { path, outcome, flag } of run.received) {
          const wanted = expected.outcomes.get(latin1(path));
          assert.deepEqual([path, outcome, flag], [path, wanted?.outcome, wanted?.flag]);
        }
      }),
      { numRuns: 30 },
    );
  });
});

suite('a file with holes', () => {
  const holed = (edits: readonly number[]): Content => ({ seed: 3, size: 12 * MIB + 5, edits, sparse: true });
  const room = (path: Buffer): number => look(path).room;

  test('is read back with the hole that it ends in', (t) => {
    const [from, to] = fresh(quickFolder(t));
    for (const [name, size] of [
      ['one piece', MIB],
      ['big', 3 * MIB],
    ] as const) {
      writeFileSync(join(from, name), name);
      truncateSync(join(from, name), size);
    }
    const sources = ['one piece', 'big'].map((name) => join(from, name));
    const run = transfer({ sources, target: to, place: { verify: true } });
    assert.deepEqual(
      run.received.map(({ outcome, note }) => [outcome, note]),
      [
        [OUTCOME.committed, ''],
        [OUTCOME.committed, ''],
      ],
    );
    for (const name of ['one piece', 'big'])
      assert.ok(readFileSync(join(to, name)).equals(readFileSync(join(from, name))));
  });

  test('keeps them: new, over another one, patched, and after an interruption', (t) => {
    const [from, to] = fresh(quickFolder(t));
    build(at(from, 'file'), { kind: 'file', content: holed([]), mode: 0o600, mtime: 0 });
    const options = {
      sources: [join(from, 'file')],
      target: to,
      existing: 'overwrite' as const,
      chunk: 65_536,
    };
    const check = (content: Content): void => {
      assert.ok(readFileSync(join(to, 'file')).equals(bytesOf(content)));
      // A piece that is not all zeros is written whole: of thirteen these are four.
      assert.ok(
        room(at(to, 'file')) <= room(at(from, 'file')) + 4 * MIB,
        `${room(at(to, 'file'))} bytes of room`,
      );
    };
    const first = transfer(options);
    assert.ok(first.moved < MIB, String(first.moved));
    check(holed([]));

    rmSync(join(from, 'file'));
    build(at(from, 'file'), { kind: 'file', content: holed([5 * MIB]), mode: 0o600, mtime: 0 });
    assert.ok(transfer(options).moved <= 2 * MIB);
    check(holed([5 * MIB]));

    rmSync(join(to, 'file'));
    const cut = transfer({ ...options, cutAfter: 60 });
    assert.ok(!cut.finished);
    assert.ok(readdirSync(to).length === 1);
    assert.ok(transfer(options).finished);
    check(holed([5 * MIB]));
  });

  test('and one that is nothing but a hole', (t) => {
    const [from, to] = fresh(quickFolder(t));
    writeFileSync(join(from, 'hole'), '');
    truncateSync(join(from, 'hole'), 64 * MIB);
    const run = transfer({ sources: [join(from, 'hole')], target: to, chunk: 4 * MIB });
    assert.ok(run.finished);
    assert.equal(run.moved, 0);
    assert.deepEqual([statSync(join(to, 'hole')).size, room(at(to, 'hole'))], [64 * MIB, 0]);
  });
});

suite('a tree that is wide and deep', () => {
  test('is received with few open folders and files', (t) => {
    const base = quickFolder(t);
    const [from, to] = fresh(base);
    const root = join(from, 'root');
    for (let number = 0; number < 150; number += 1) {
      mkdirSync(join(root, `folder ${number}`), { recursive: true });
      for (const folder of [join(root, `folder ${number}`), to])
        writeFileSync(join(folder, `file ${number}`), `${number}`);
    }
    // Files of more than one piece, all of which are there.
    for (let number = 0; number < 150; number += 1) {
      writeFileSync(join(root, `big ${number}`), '');
      truncateSync(join(root, `big ${number}`), MIB + 1);
    }
    const deep = join(root, ...Array.from({ length: 126 }, () => 'd'));
    mkdirSync(deep, { recursive: true });
    for (let path = deep; path !== root; path = join(path, '..')) writeFileSync(join(path, 'file'), 'deep');
    const before = openDescriptors();
    let most = 0;
    const options = { sources: [root], target: to, chunk: 1024, existing: 'overwrite' as const };
    const count = () => {
      most = Math.max(most, openDescriptors());
      return undefined;
    };
    for (let round = 0; round < 2; round += 1) {
      const run = transfer({
        ...options,
        seed: round,
        onFrame: (_frame, _end, number) => (number % 40 === 0 ? count() : undefined),
      });
      assert.ok(run.finished);
      const failed = run.received.filter(({ outcome }) => outcome === OUTCOME.failed);
      assert.deepEqual(failed, []);
    }
    // The walk keeps one open for each level, each end of the way some more.
    assert.ok(most - before < 700, `${most - before} descriptors`);
    assert.equal(openDescriptors(), before);
    const [sent, there] = [survey(root), survey(join(to, 'root'))];
    assert.deepEqual([...there.keys()].sort(), [...sent.keys()].sort());
  });
});

suite('hidden files of a home folder', () => {
  test('are not written under a standing yes, wherever in the tree the home is', (t) => {
    const base = quickFolder(t);
    const [from, to] = fresh(base);
    for (const folder of ['.ssh', 'plain']) mkdirSync(join(from, folder));
    for (const file of ['.bashrc', '.ssh/authorized_keys', 'plain/.hidden', 'fine'])
      writeFileSync(join(from, file), 'x');
    mkdirSync(join(to, 'from'));
    const refusedAt = (place: string, sources: string[], target: string): string[] => {
      const run = transfer({ sources, target, place: { protectedFolder: place } });
      assert.ok(run.finished);
      return run.received
        .filter(({ flag }) => flag === 'NOT_ALLOWED')
        .map(({ path }) => path)
        .sort();
    };
    const all = readdirSync(from).map((name) => join(from, name));
    assert.deepEqual(refusedAt(to, all, to), ['.bashrc', '.ssh', '.ssh/authorized_keys']);
    assert.deepEqual(refusedAt(join(to, 'from'), [from], to), [
      'from/.bashrc',
      'from/.ssh',
      'from/.ssh/authorized_keys',
    ]);
    assert.deepEqual([...survey(to).keys()].sort(), [
      'fine',
      'from',
      'from/fine',
      'from/plain',
      'from/plain/.hidden',
      'plain',
      'plain/.hidden',
    ]);
    chmodSync(to, 0o700);
  });
});
