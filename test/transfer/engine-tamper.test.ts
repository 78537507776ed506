import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../src/crypto/digest.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { OUTCOME } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy } from '../../src/protocol/messages.ts';
import { quickFolder, type Run, randomNumbers, transfer } from './engine-run.ts';
import { bytesOf, survey } from './engine-tree.ts';
import { openDescriptors, picture } from './workplace.ts';

const MIB = 1024 * 1024;
const content = (seed: number, size: number): Buffer => bytesOf({ seed, size, edits: [], sparse: false });

interface Scene {
  readonly from: string;
  readonly to: string;
  readonly outside: string;
}

/** A tree that has a bit of everything, a target that has some of it in other states, and something outside. */
function scene(base: string): Scene {
  const [from, to, outside] = [join(base, 'from', 'root'), join(base, 'to'), join(base, 'outside')];
  for (const folder of [join(base, 'from'), to, outside]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(from, 'sub', 'deep'), { recursive: true });
  mkdirSync(join(to, 'root', 'sub'), { recursive: true });
  mkdirSync(join(outside, 'deep'), { recursive: true });
  writeFileSync(join(outside, 'precious'), 'precious');
  for (const name of ['a', 'b', 'c']) {
    writeFileSync(join(from, name), content(1, 2000));
    writeFileSync(join(from, 'sub', name), content(2, 300_000));
    writeFileSync(join(from, 'sub', 'deep', name), content(3, 10));
  }
  symlinkSync('a', join(from, 'link'));
  writeFileSync(join(from, 'sub', 'patched'), content(4, 2 * MIB + 7));
  writeFileSync(join(from, 'whole'), content(5, MIB + 1));
  writeFileSync(join(to, 'root', 'a'), 'mine');
  writeFileSync(join(to, 'root', 'b'), content(1, 2000));
  writeFileSync(join(to, 'root', 'sub', 'patched'), content(6, 2 * MIB + 7));
  writeFileSync(join(to, 'root', 'sub', 'mine'), 'mine');
  return { from, to, outside };
}

/** What a disturbed run may come to: it ends with a typed error or well, and no file is anything but whole. */
function checkSafe(
  run: Run,
  { to, outside }: Scene,
  before: ReturnType<typeof survey>,
  outsideBefore: unknown,
): void {
  assert.deepEqual(picture(outside), outsideBefore, 'something outside was touched');
  if (run.error) {
    const { error } = run.error;
    assert.ok(error instanceof LocalstreamError && error.code !== 'INTERNAL', String(error));
  }
  const said = new Set(
    run.received.filter((row) => row.outcome === OUTCOME.committed).map((row) => row.digest),
  );
  const known = new Set([...before.values()].map(({ value }) => value));
  for (const [path, { kind, value }] of survey(to)) {
    if (kind !== 'file' || path.includes('.localstream-')) continue;
    assert.ok(said.has(value) || known.has(value), `${path} is neither what it was nor what was committed`);
  }
  for (const row of run.received)
    assert.ok(row.outcome !== OUTCOME.failed || row.flag !== 'INTERNAL', `${row.path}: ${row.note}`);
}

suite('frames that are changed on their way', () => {
  test('end in a typed error or in whole files, and touch nothing else', (t) => {
    const base = quickFolder(t);
    const descriptors = openDescriptors();
    let ended = 0;
    fc.assert(
      fc.property(
        fc.constantFrom<ExistingPolicy>('fail', 'overwrite', 'rename'),
        fc.constantFrom('receiver', 'sender'),
        fc.constantFrom('flip', 'flip header', 'cut', 'drop', 'twice', 'swap', 'splice', 'zero'),
        fc.nat(60),
        fc.nat(),
        fc.nat(),
        (existing, side, how, number, place, seed) => {
          const here = scene(base);
          const before = survey(here.to);
          const outsideBefore = picture(here.outside);
          let seen = 0;
          let held: Buffer | undefined;
          const options = { sources: [here.from], target: here.to, existing, chunk: 65_536, seed };
          let run: Run | undefined;
          try {
            run = transfer({
              ...options,
              onFrame: (frame, to) => {
                if (to !== side) return undefined;
                seen += 1;
                if (held) {
                  const [first, second] = [frame, held];
                  held = undefined;
                  return [first, second];
                }
                if (seen !== number + 1) return undefined;
                if (how === 'swap') {
                  held = frame;
                  return [];
                }
                return tampered(frame, how, place);
              },
            });
          } catch (error) {
            // A frame that is missing keeps both ends waiting: over TLS that is the end of the lane.
            assert.match(String(error), /wait for each other/);
            return;
          }
          if (run.error) ended += 1;
          checkSafe(run, here, before, outsideBefore);
        },
      ),
      { numRuns: 120 },
    );
    assert.ok(ended > 10, `only ${ended} of them were noticed`);
    assert.equal(openDescriptors(), descriptors);
  });
});

function tampered(frame: Buffer, how: string, place: number): Buffer | Buffer[] {
  const changed = Buffer.from(frame);
  switch (how) {
    case 'flip':
      changed[place % frame.length] = (changed[place % frame.length] ?? 0) ^ (1 << (place % 8));
      return changed;
    case 'flip header':
      changed[place % 16] = (changed[place % 16] ?? 0) ^ (1 << (place % 8));
      return changed;
    case 'cut':
      changed.writeUInt32BE(place % Math.max(1, frame.length - 16));
      return changed.subarray(0, 16 + changed.readUInt32BE());
    case 'twice':
      return [changed, Buffer.from(frame)];
    case 'splice':
      return [changed, changed.subarray(0, 16 + (place % Math.max(1, frame.length - 16)))].map((part) => {
        const whole = Buffer.from(part);
        whole.writeUInt32BE(whole.length - 16);
        return whole;
      });
    case 'zero':
      return changed.fill(0, 16);
    default:
      return [];
  }
}

suite('a target that is swapped for a link while it is written', () => {
  const swaps: [string, (here: Scene) => void][] = [
    ['a folder on the way', ({ to, outside }) => swap(join(to, 'root', 'sub'), outside)],
    ['the folder of the transfer', ({ to, outside }) => swap(join(to, 'root'), outside)],
    ['the deepest folder', ({ to, outside }) => swap(join(to, 'root', 'sub', 'deep'), join(outside, 'deep'))],
    ['every file that is there', ({ to, outside }) => linkAll(join(to, 'root'), join(outside, 'precious'))],
    ['the folder that was chosen', ({ to, outside }) => swap(to, outside)],
  ];
  for (const [what, change] of swaps)
    test(`writes nothing through it: ${what}`, (t) => {
      const base = quickFolder(t);
      const descriptors = openDescriptors();
      for (let at = 1; at < 60; at += 5)
        for (const existing of ['overwrite', 'fail'] as const) {
          const here = scene(base);
          rmSync(join(base, 'moved'), { recursive: true, force: true });
          const outsideBefore = picture(here.outside);
          const run = transfer({
            sources: [here.from],
            target: here.to,
            existing,
            chunk: 65_536,
            seed: at,
            onFrame: (_frame, _to, count) => {
              if (count === at) change(here);
              return undefined;
            },
          });
          assert.deepEqual(picture(here.outside), outsideBefore, 'something outside was touched');
          if (run.error) assert.ok(run.error.error instanceof LocalstreamError, String(run.error.error));
          for (const row of run.received) assert.notEqual(row.flag, 'INTERNAL', `${row.path}: ${row.note}`);
          restore(here, base);
        }
      assert.equal(openDescriptors(), descriptors);
    });
});

/** Moves a folder away, if it is there, and puts a link in its place. */
function swap(folder: string, outside: string): void {
  try {
    renameSync(folder, `${folder} moved`);
  } catch {
    // Not made yet: the link comes first.
  }
  symlinkSync(outside, folder);
}

function linkAll(folder: string, outside: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    rmSync(join(folder, entry.name));
    symlinkSync(outside, join(folder, entry.name));
  }
}

function restore({ to }: Scene, base: string): void {
  for (const name of readdirSync(base))
    if (name.startsWith('to')) rmSync(join(base, name), { recursive: true });
  mkdirSync(to);
}

suite('a source that changes while it is read', () => {
  /** Runs a transfer of `a`, `big` and `z` in which something happens to `big` at the first of its bytes. */
  function disturbed(t: TestContext, change: (path: string) => void): Run {
    const base = quickFolder(t);
    const [from, to] = [join(base, 'root'), join(base, 'to')];
    mkdirSync(from);
    mkdirSync(to);
    for (const name of ['a', 'z']) writeFileSync(join(from, name), content(1, 5000));
    writeFileSync(join(from, 'big'), content(2, 3 * MIB));
    let isDone = false;
    const run = transfer({
      sources: [from],
      target: to,
      chunk: 65_536,
      onFrame: (frame, end) => {
        if (end === 'receiver' && frame.length > 60_000 && frame.readUInt8(4) === 3 && !isDone) {
          isDone = true;
          change(join(from, 'big'));
        }
        return undefined;
      },
    });
    assert.equal(run.error, undefined);
    const files = survey(to);
    for (const name of ['a', 'z'])
      assert.equal(files.get(`root/${name}`)?.value, digestOf(content(1, 5000)).toString('hex'));
    assert.equal(files.get('root/big'), undefined);
    return run;
  }

  const changes: [string, (path: string) => void][] = [
    ['shrinks', (path) => writeFileSync(path, content(2, MIB))],
    ['grows', (path) => writeFileSync(path, content(2, 4 * MIB))],
    ['is written to', (path) => writeFileSync(path, content(3, 3 * MIB))],
    ['vanishes', (path) => rmSync(path)],
    [
      'is replaced',
      (path) => {
        rmSync(path);
        writeFileSync(path, content(9, 3 * MIB));
      },
    ],
  ];
  for (const [what, change] of changes)
    test(`fails by name when it ${what}, and the others arrive`, (t) => {
      const run = disturbed(t, change);
      for (const rows of [run.sent, run.received]) {
        const row = rows.find(({ path }) => path === 'root/big');
        assert.deepEqual([row?.outcome, row?.flag], [OUTCOME.failed, 'SOURCE_CHANGED']);
      }
    });

  test('leaves a new folder that may be finished later writable, whatever its mode is to be', (t) => {
    const base = quickFolder(t);
    const from = join(base, 'root');
    mkdirSync(join(from, 'whole'), { recursive: true });
    mkdirSync(join(from, 'half'));
    for (const name of ['whole', 'half']) {
      writeFileSync(join(from, name, 'a'), content(1, 5000));
      symlinkSync('../../outside', join(from, name, 'never sent'));
      chmodSync(join(from, name), 0o555);
    }
    writeFileSync(join(from, 'half', 'big'), content(2, 3 * MIB));
    mkdirSync(join(base, 'to'));
    const { error, received } = transfer({
      sources: [from],
      target: join(base, 'to'),
      chunk: 65_536,
      onFrame: (frame, end) => {
        if (end === 'receiver' && frame.readUInt8(4) === 3)
          rmSync(join(from, 'half', 'big'), { force: true });
        return undefined;
      },
    });
    assert.equal(error, undefined);
    assert.equal(received.find(({ path }) => path === 'root/half/big')?.flag, 'SOURCE_CHANGED');
    const modeOf = (name: string) => statSync(join(base, 'to', 'root', name)).mode & 0o777;
    assert.deepEqual([modeOf('whole'), modeOf('half')], [0o555, 0o755]);
  });
});

test('numbers by chance are the same for the same seed', () => {
  const [one, other] = [randomNumbers(3), randomNumbers(3)];
  assert.deepEqual(
    Array.from({ length: 20 }, () => one(1000)),
    Array.from({ length: 20 }, () => other(1000)),
  );
});
