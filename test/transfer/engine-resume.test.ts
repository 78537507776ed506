import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { FRAME, HEADER_BYTES } from '../../src/protocol/frame.ts';
import { ENTRY, OUTCOME } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy } from '../../src/protocol/messages.ts';
import { checkName, decodeName } from '../../src/transfer/name.ts';
import { isPartialName, partialName } from '../../src/transfer/partial.ts';
import { microseconds, predict } from './engine-model.ts';
import { quickFolder, type Run, type RunOptions, randomNumbers, transfer } from './engine-run.ts';
import { at, build, bytesOf, type Content, type Seen, someFolder, someRoot, survey } from './engine-tree.ts';
import { openDescriptors } from './workplace.ts';

const MIB = 1024 * 1024;
/** Frames of the harness that may be on their way when the link is cut. */
const IN_FLIGHT = 4;

const content = (size: number, edits: readonly number[] = []): Content => ({
  seed: 7,
  size,
  edits,
  sparse: false,
});

/** Runs until it is done, cut at random over and over. Returns every run. */
function runInPieces(options: RunOptions, most: number, look: (run: Run) => void = () => {}): Run[] {
  const random = randomNumbers(options.seed ?? 1);
  const runs: Run[] = [];
  const renamed: [string, string][] = [];
  const since = Date.now();
  for (let round = 0; ; round += 1) {
    const cutAfter = round < most ? 1 + random(60) : Number.POSITIVE_INFINITY;
    const place = { ...options.place, earlier: { renamed, since } };
    const run = transfer({ ...options, cutAfter, seed: (options.seed ?? 1) + round, place });
    runs.push(run);
    assert.equal(run.error, undefined);
    look(run);
    if (run.finished) return runs;
    for (const row of run.received)
      if (row.outcome === OUTCOME.committed && row.note !== '') renamed.push([row.path, row.note]);
  }
}

const isPartial = (path: string): boolean => isPartialName(path.slice(path.lastIndexOf('/') + 1));
const partialOf = (path: string): string => {
  const at = path.lastIndexOf('/') + 1;
  return path.slice(0, at) + partialName(checkName(decodeName(Buffer.from(path.slice(at), 'latin1'))));
};
const sizeOf = (tree: ReadonlyMap<string, Seen>): number =>
  tree.values().reduce((sum, { size }) => sum + size, 0);

suite('a transfer that is cut over and over', () => {
  test('comes to the same, leaves nothing but a partial in between, and keeps every file whole', (t) => {
    const base = quickFolder(t);
    const before = openDescriptors();
    fc.assert(
      fc.property(
        someRoot,
        someFolder,
        fc.boolean(),
        fc.constantFrom<ExistingPolicy>('fail', 'overwrite', 'skip', 'rename', 'update'),
        fc.constantFrom(1024, 10_000, 65_536, 1_048_576),
        fc.nat(),
        (root, other, isThere, existing, chunk, seed) => {
          const [from, target] = [join(base, 'from'), join(base, 'to')];
          for (const folder of [from, target]) {
            rmSync(folder, { recursive: true, force: true });
            mkdirSync(folder);
          }
          build(at(from, 'root'), root);
          if (isThere) build(at(target, 'root'), other);
          const source = survey(from);
          const start = survey(target);
          const expected = predict(source, start, existing);
          const whole = new Set([...start.values(), ...source.values()].map(({ value }) => value));
          const allowed = new Set([...source.keys()].map(partialOf));
          const runs = runInPieces(
            { sources: [join(from, 'root')], target, existing, chunk, seed },
            6,
            (run) => {
              const now = survey(target);
              const partials = [...now.keys()].filter(isPartial);
              // One a file, in the place of the file; none once it is done.
              for (const partial of partials) assert.ok(!run.finished && allowed.has(partial), partial);
              for (const [path, seen] of now)
                if (!isPartial(path) && seen.kind === 'file') assert.ok(whole.has(seen.value), path);
            },
          );
          const after = survey(target);
          const extra = [...after.keys()].filter((path) => !expected.tree.has(path));
          assert.equal(extra.length, expected.renamed.size);
          for (const [path, wanted] of expected.tree) {
            const { kind, value, mode, mtime } = after.get(path) ?? {};
            assert.deepEqual([path, kind, value], [path, wanted.kind, wanted.value]);
            assert.equal(microseconds(mtime ?? 0n), microseconds(wanted.mtime), path);
            // A folder that an earlier run has made keeps what its owner needed then.
            const owner = wanted.kind === 'folder' && runs.length > 1 ? 0o700 : 0;
            assert.equal((mode ?? 0) | owner, wanted.mode | owner, path);
          }
          const brought = new Set(
            runs
              .slice(0, -1)
              .flatMap(({ received }) => received)
              .filter(({ kind, outcome }) => kind !== ENTRY.folder && outcome === OUTCOME.committed)
              .map(({ path }) => path),
          );
          // What an earlier run has brought was not left out, whatever is to become of what was there before.
          for (const { path, outcome } of runs.at(-1)?.received ?? [])
            if (brought.has(path)) assert.notEqual(outcome, OUTCOME.skipped, path);
          const moved = runs.reduce((sum, run) => sum + run.moved, 0);
          const lost = (runs.length - 1) * (MIB + (IN_FLIGHT + 1) * Math.max(chunk, 65_536));
          assert.ok(moved <= sizeOf(source) + lost, `${moved} of ${sizeOf(source)}`);
        },
      ),
      { numRuns: 80 },
    );
    assert.equal(openDescriptors(), before);
  });

  test('sends no verified piece twice, in either direction of the cut', (t) => {
    const base = quickFolder(t);
    mkdirSync(join(base, 'to'));
    const size = 24 * MIB + 12_345;
    writeFileSync(join(base, 'big'), bytesOf(content(size)));
    const chunk = 65_536;
    const random = randomNumbers(11);
    let moved = 0;
    let cuts = 0;
    for (; cuts < 1000; cuts += 1) {
      const held = readdirSync(join(base, 'to')).map((name) => statSync(join(base, 'to', name)).size)[0] ?? 0;
      const options = { sources: [join(base, 'big')], target: join(base, 'to'), chunk, seed: cuts };
      const run = transfer({ ...options, cutAfter: 20 + random(90) });
      assert.equal(run.error, undefined);
      moved += run.moved;
      // Whole pieces that were there crossed no more.
      assert.ok(run.moved <= size - Math.floor(held / MIB) * MIB);
      if (run.finished) break;
    }
    assert.ok(cuts > 4 && cuts < 1000);
    assert.ok(moved <= size + cuts * (MIB + IN_FLIGHT * chunk), `${moved} for ${size} after ${cuts} cuts`);
    assert.ok(readFileSync(join(base, 'to', 'big')).equals(bytesOf(content(size))));
    assert.deepEqual(readdirSync(join(base, 'to')), ['big']);
  });

  for (const [what, change] of [
    ['changed in the middle, with the same size and time', content(6 * MIB, [100, 2 * MIB, 5 * MIB + 1])],
    ['shorter', content(3 * MIB + 5, [1])],
    ['longer', content(9 * MIB, [2 * MIB])],
    ['quite another', { ...content(6 * MIB), seed: 99 }],
    ['empty', content(0)],
    ['small', content(1000, [3])],
    ['full of holes', { ...content(6 * MIB), sparse: true }],
  ] as const)
    test(`is never glued to what was left of an older source: ${what}`, (t) => {
      const base = quickFolder(t);
      mkdirSync(join(base, 'to'));
      const source = join(base, 'big');
      build(at(base, 'big'), { kind: 'file', content: content(6 * MIB), mode: 0o644, mtime: 1e15 });
      const options = { sources: [source], target: join(base, 'to'), chunk: 65_536 };
      const cut = transfer({ ...options, cutAfter: 80 });
      assert.equal(cut.finished, false);
      assert.ok(readdirSync(join(base, 'to')).some(isPartialName));
      rmSync(source);
      build(at(base, 'big'), { kind: 'file', content: change, mode: 0o644, mtime: 1e15 });
      const run = transfer(options);
      assert.ok(run.finished);
      assert.equal(run.received[0]?.outcome, OUTCOME.committed);
      assert.ok(readFileSync(join(base, 'to', 'big')).equals(bytesOf(change)));
      // What an empty file has no use for may stay.
      if (change.size > 0) assert.deepEqual(readdirSync(join(base, 'to')), ['big']);
    });

  test('takes a partial that somebody has spoiled for what it is', (t) => {
    const base = quickFolder(t);
    const to = join(base, 'to');
    mkdirSync(to);
    writeFileSync(join(base, 'big'), bytesOf(content(6 * MIB)));
    const options = { sources: [join(base, 'big')], target: to, chunk: 65_536 };
    transfer({ ...options, cutAfter: 80 });
    const partial = join(to, readdirSync(to)[0] ?? '');
    const bytes = readFileSync(partial);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    writeFileSync(partial, bytes);
    const run = transfer(options);
    assert.equal(run.received[0]?.outcome, OUTCOME.committed);
    assert.ok(readFileSync(join(to, 'big')).equals(bytesOf(content(6 * MIB))));
  });

  test('with all of a file but its end moves no byte of it again', (t) => {
    const base = quickFolder(t);
    const to = join(base, 'to');
    mkdirSync(to);
    const size = 3 * MIB + 7;
    writeFileSync(join(base, 'big'), bytesOf(content(size)));
    const options = { sources: [join(base, 'big')], target: to, chunk: 65_536 };
    const isEnd = (frame: Buffer): boolean => frame.readUInt8(4) === FRAME.end;
    const cut = transfer({
      ...options,
      // What follows the END is an error of the sender, by which the run ends.
      onFrame: (frame, end) => (end === 'receiver' && isEnd(frame) ? Buffer.alloc(HEADER_BYTES) : undefined),
    });
    assert.equal(cut.error?.side, 'receiver');
    const [partial = ''] = readdirSync(to);
    assert.equal(statSync(join(to, partial)).size, size);
    const again = transfer(options);
    assert.ok(again.finished);
    assert.equal(again.moved, 0);
    assert.deepEqual(readdirSync(to), ['big']);
    assert.ok(readFileSync(join(to, 'big')).equals(bytesOf(content(size))));
  });
});

suite('a file of which little has changed', () => {
  test('moves about that: one mebibyte of sixty-four', (t) => {
    const base = quickFolder(t);
    mkdirSync(join(base, 'to'));
    const size = 64 * MIB;
    const bytes = bytesOf(content(size));
    writeFileSync(join(base, 'to', 'big'), bytes);
    bytes.fill(0xee, 20 * MIB, 21 * MIB);
    writeFileSync(join(base, 'big'), bytes);
    const run = transfer({
      sources: [join(base, 'big')],
      target: join(base, 'to'),
      existing: 'overwrite',
      chunk: MIB,
    });
    assert.ok(run.finished);
    assert.equal(run.moved, MIB);
    assert.equal(run.receiverCounters.bytes, size);
    assert.equal(run.receiverCounters.bytesSkipped, size - MIB);
    assert.equal(run.senderCounters.bytes - run.senderCounters.bytesSkipped, MIB);
    assert.ok(readFileSync(join(base, 'to', 'big')).equals(bytes));
  });

  test('and one that has only grown moves what is new', (t) => {
    const base = quickFolder(t);
    mkdirSync(join(base, 'to'));
    writeFileSync(join(base, 'to', 'log'), bytesOf(content(5 * MIB + 100)));
    writeFileSync(join(base, 'log'), bytesOf(content(7 * MIB + 5)));
    const run = transfer({ sources: [join(base, 'log')], target: join(base, 'to'), existing: 'overwrite' });
    assert.ok(run.finished);
    assert.equal(run.moved, 2 * MIB + 5);
    assert.ok(readFileSync(join(base, 'to', 'log')).equals(bytesOf(content(7 * MIB + 5))));
  });

  test('and one that has not changed is not even copied', (t) => {
    const base = quickFolder(t);
    mkdirSync(join(base, 'to'));
    for (const folder of [base, join(base, 'to')])
      writeFileSync(join(folder, 'big'), bytesOf(content(5 * MIB)));
    utimesSync(join(base, 'big'), 1, 1);
    const before = statSync(join(base, 'to', 'big'), { bigint: true });
    const run = transfer({ sources: [join(base, 'big')], target: join(base, 'to'), existing: 'overwrite' });
    assert.equal(run.received[0]?.outcome, OUTCOME.same);
    assert.equal(statSync(join(base, 'to', 'big'), { bigint: true }).ino, before.ino);
    assert.equal(run.moved, 0);
  });
});

suite('a process that is killed', () => {
  test('between the two names of a finished file leaves no second one for ever', (t) => {
    const base = quickFolder(t);
    const dead = spawnSync(process.execPath, ['-e', '0']).pid;
    const hash = partialName(checkName('file')).replace(/-\d+\.part$/, '');
    for (const pid of [dead, process.pid])
      for (const existing of ['fail', 'skip', 'overwrite', 'rename', 'update'] as const)
        for (const isSame of [true, false]) {
          const to = join(base, `to ${pid} ${existing} ${isSame}`);
          mkdirSync(to);
          writeFileSync(join(base, 'file'), 'new');
          utimesSync(join(base, 'file'), 5, 5);
          writeFileSync(join(to, 'file'), isSame ? 'new' : 'older');
          utimesSync(join(to, 'file'), 4, 4);
          linkSync(join(to, 'file'), join(to, `${hash}-${pid}.part`));
          const run = transfer({ sources: [join(base, 'file')], target: to, existing });
          assert.ok(run.finished);
          const isTaken = existing === 'fail' && !isSame;
          assert.equal(
            run.received[0]?.outcome === OUTCOME.failed,
            isTaken,
            `${existing}: ${run.received[0]?.note}`,
          );
          const names = existing === 'rename' && !isSame ? ['file', 'file (2)'] : ['file'];
          assert.deepEqual(readdirSync(to).sort(), names);
        }
  });

  test('again and again, in the middle of everything, costs no more than what was under way', async (t) => {
    const base = quickFolder(t);
    const [from, to] = [join(base, 'from'), join(base, 'to')];
    mkdirSync(join(from, 'folder'), { recursive: true });
    mkdirSync(to);
    const size = 40 * MIB + 3;
    writeFileSync(join(from, 'folder', 'big'), bytesOf(content(size)));
    for (let number = 0; number < 300; number += 1)
      writeFileSync(join(from, 'folder', `small ${number}`), bytesOf({ ...content(5000), seed: number }));
    const source = survey(from);
    const program = fileURLToPath(new URL('./engine-process.ts', import.meta.url));
    const random = randomNumbers(5);
    const notes = join(base, 'notes');
    let kills = 0;
    for (;;) {
      const milliseconds = kills < 10 ? 1 + random(60) : 0;
      const words = [program, join(from, 'folder'), to, notes, String(kills), String(milliseconds)];
      const child = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit'] });
      const [code, signal] = await once(child, 'close');
      if (signal === null) {
        assert.equal(code, 0);
        break;
      }
      kills += 1;
      const partials = [...survey(to).keys()]
        .filter(isPartial)
        .map((path) => path.replace(/-\d+\.part$/, ''));
      // One at the most was just being taken over: then the new one stands beside the old for an instant.
      assert.ok(partials.length - new Set(partials).size <= 1, partials.join());
    }
    assert.ok(kills >= 3);
    const moved = readFileSync(notes, 'utf8')
      .split('\n')
      .reduce((sum, line) => sum + Number(line), 0);
    const after = survey(to);
    assert.deepEqual([...after.keys()].sort(), [...source.keys()].sort());
    for (const [path, { value, mode, mtime }] of source) {
      const seen = after.get(path);
      assert.deepEqual(
        [seen?.value, seen?.mode, microseconds(seen?.mtime ?? 0n)],
        [value, mode, microseconds(mtime)],
      );
    }
    assert.ok(
      moved <= sizeOf(source) + kills * 2 * MIB,
      `${moved} for ${sizeOf(source)} after ${kills} kills`,
    );
  });

  test('while it makes folders leaves no half under a name, and in the end nothing else', async (t) => {
    const base = quickFolder(t);
    const [from, to] = [join(base, 'from'), join(base, 'to')];
    mkdirSync(to);
    for (let folder = 0; folder < 60; folder += 1) {
      mkdirSync(join(from, 'tree', `d${folder}`), { recursive: true });
      for (let file = 0; file < 40; file += 1)
        writeFileSync(
          join(from, 'tree', `d${folder}`, `f${file}`),
          bytesOf({ ...content(900), seed: folder * 40 + file }),
        );
    }
    const source = survey(from);
    const program = fileURLToPath(new URL('./engine-process.ts', import.meta.url));
    const random = randomNumbers(11);
    let kills = 0;
    for (;;) {
      const milliseconds = kills < 12 ? 1 + random(50) : 0;
      const words = [
        program,
        join(from, 'tree'),
        to,
        join(base, 'notes'),
        String(kills),
        String(milliseconds),
      ];
      const [code, signal] = await once(
        spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit'] }),
        'close',
      );
      if (signal === null) {
        assert.equal(code, 0);
        break;
      }
      kills += 1;
      for (const [path, { value }] of survey(to))
        if (!path.split('/').some(isPartialName) && source.get(path)?.value !== value)
          assert.fail(`'${path}' is not what was sent`);
    }
    assert.ok(kills >= 3);
    const after = survey(to);
    assert.deepEqual([...after.keys()].sort(), [...source.keys()].sort());
    for (const [path, { value, mode }] of source)
      assert.deepEqual([after.get(path)?.value, after.get(path)?.mode], [value, mode]);
  });
});
