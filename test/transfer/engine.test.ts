import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { FLAG_LAST, FRAME, readHeader } from '../../src/protocol/frame.ts';
import { ENTRY, OUTCOME } from '../../src/protocol/manifest.ts';
import type { ExistingPolicy } from '../../src/protocol/messages.ts';
import { encodeName } from '../../src/transfer/name.ts';
import type { Settled } from '../../src/transfer/progress.ts';
import { microseconds, predict } from './engine-model.ts';
import { quickFolder, type Run, transfer } from './engine-run.ts';
import {
  at,
  build,
  type FolderNode,
  type Node,
  type Seen,
  someFolder,
  someRoot,
  survey,
} from './engine-tree.ts';
import { openDescriptors } from './workplace.ts';

const POLICIES: readonly ExistingPolicy[] = ['fail', 'overwrite', 'skip', 'rename', 'update'];
const someChunk = fc.oneof(
  fc.constantFrom(1024, 1025, 65_536, 262_144, 1_048_576, 4_194_304),
  fc.integer({ min: 1024, max: 300_000 }),
);

/** What may be in the way: nothing, something of its own, or the very tree with changes. */
function existingFor(root: Node, other: FolderNode, how: number): Node | undefined {
  if (how === 0) return undefined;
  if (how === 1) return other;
  return altered(root, how, other);
}

/** The same tree with some of it left out, changed, older, newer, or of another kind: `how` decides which. */
function altered(node: Node, how: number, other: Node): Node {
  const turn = (how * 2654435761) >>> 0;
  if (node.kind === 'link') return turn % 3 === 0 ? { ...node, target: 'elsewhere' } : node;
  if (node.kind === 'file') {
    const { content } = node;
    const mtime = node.mtime + ((turn >>> 4) % 3) * 1000 - 1000;
    switch (turn % 6) {
      case 0:
        return {
          ...node,
          mtime,
          content: { ...content, edits: [...content.edits, turn % Math.max(1, content.size)] },
        };
      case 1:
        return { ...node, mtime, content: { ...content, size: Math.floor(content.size / 2) } };
      case 2:
        return { ...node, mtime, content: { ...content, size: content.size + 4096 } };
      case 3:
        return { kind: 'link', target: 'a', mtime };
      case 4:
        return turn % 4 === 0 ? other : node;
      default:
        return { ...node, mtime, mode: 0o600 };
    }
  }
  let next = turn;
  const entries = new Map<string, Node>();
  for (const [name, child] of node.entries) {
    next = (next * 1103515245 + 12345) >>> 0;
    if (next % 5 === 0) continue;
    entries.set(name, altered(child, next, { ...node, kind: 'folder', entries: new Map() }));
  }
  if (turn % 7 === 0)
    return { kind: 'file', content: { seed: 1, size: 10, edits: [], sparse: false }, mode: 0o600, mtime: 0 };
  return { ...node, mode: 0o750, mtime: node.mtime - 1, entries };
}

const latin1 = (path: string): string => encodeName(path).toString('latin1');

/** What it takes on the disk is the file system's business; that holes stay holes is looked at elsewhere. */
function comparable(tree: ReadonlyMap<string, Seen>): [string, Omit<Seen, 'room'>][] {
  return [...tree]
    .map(([path, { room: _, ...seen }]): [string, Omit<Seen, 'room'>] => [
      path,
      { ...seen, mtime: microseconds(seen.mtime) },
    ])
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

/** The rows of both ends, which must say the same, by path. */
function settledRows(run: Run): Map<string, Settled> {
  const byPath = (rows: readonly Settled[]) => new Map(rows.map((row) => [latin1(row.path), row]));
  // A reason crosses cut to 255 bytes, and what only the receiver keeps not at all.
  const crossed = ({ saved: _, there: __, ...row }: Settled) => ({
    ...row,
    note: row.flag === 'OK' ? row.note : row.note.slice(0, 80),
  });
  assert.deepEqual(byPath(run.sent.map(crossed)), byPath(run.received.map(crossed)));
  assert.equal(run.sent.length, byPath(run.sent).size);
  return byPath(run.received);
}

function besides(path: string, name: string): string {
  return `${path.slice(0, path.lastIndexOf('/') + 1)}${latin1(name)}`;
}

/** Checks what a finished run came to against the model. */
function checkRun(
  run: Run,
  source: Map<string, Seen>,
  before: Map<string, Seen>,
  target: string,
  policy: ExistingPolicy,
): void {
  assert.equal(run.error, undefined);
  assert.ok(run.finished);
  const expected = predict(source, before, policy);
  const rows = settledRows(run);
  const after = survey(target);
  assert.deepEqual([...rows.keys()].sort(), [...source.keys()].sort());
  for (const [path, row] of rows) {
    const { outcome, flag, renamed } = expected.outcomes.get(path) ?? {};
    assert.deepEqual([path, row.outcome, row.flag], [path, outcome, flag]);
    const isNotOlder = outcome === OUTCOME.skipped && policy === 'update';
    if (outcome === OUTCOME.same && row.kind !== ENTRY.folder) {
      // Under which name, too, where it is not its own.
      const name = row.note === '' ? path : besides(path, row.note);
      assert.equal(before.get(name)?.value, source.get(path)?.value, `${path} is not there as ${name}`);
      continue;
    }
    assert.equal(
      row.note !== '',
      renamed === true || outcome === OUTCOME.failed || isNotOlder || flag === 'LEAVES_TREE',
      row.note,
    );
    if (!renamed) continue;
    const saved = besides(path, row.note);
    const found = after.get(saved);
    assert.ok(found && !before.has(saved) && !expected.tree.has(saved), `${path} is not saved as ${saved}`);
    expected.tree.set(saved, { ...found, ...expected.renamed.get(path), room: 0 });
  }
  for (const row of rows.values()) {
    const there = row.outcome === OUTCOME.committed || row.outcome === OUTCOME.same;
    const digest = row.kind === ENTRY.file && there ? source.get(latin1(row.path))?.value : undefined;
    assert.equal(row.digest, digest);
  }
  // The folder that was chosen changes by what comes into it, so it is not part of the survey.
  assert.deepEqual(comparable(after), comparable(expected.tree));
  assert.equal(run.digests.manifest[0], run.digests.manifest[1]);
  assert.equal(run.digests.outcomes[0], run.digests.outcomes[1]);
  const { senderCounters: ours, receiverCounters: theirs } = run;
  for (const counters of [ours, theirs]) {
    const files = [...rows.values()].filter((row) => row.kind === ENTRY.file);
    assert.equal(counters.files, files.length);
    assert.equal(counters.filesTotal, files.length);
    assert.ok(counters.totalsKnown);
    assert.ok(counters.bytes <= counters.bytesTotal, `${counters.bytes} of ${counters.bytesTotal}`);
  }
}

suite('a transfer', () => {
  test('comes to what the model says, and a second one moves nothing', (t) => {
    const base = quickFolder(t);
    const before = openDescriptors();
    fc.assert(
      fc.property(
        someRoot,
        someFolder,
        fc.nat(40),
        fc.constantFrom(...POLICIES),
        someChunk,
        fc.nat(),
        (root, other, how, existing, chunk, seed) => {
          const [from, target] = [join(base, 'from'), join(base, 'to')];
          rmSync(from, { recursive: true, force: true });
          rmSync(target, { recursive: true, force: true });
          mkdirSync(from);
          mkdirSync(target);
          build(at(from, 'root'), root);
          const inTheWay = existingFor(root, other, how);
          if (inTheWay) build(at(target, 'root'), inTheWay);
          const source = survey(from);
          const start = survey(target);
          const options = { sources: [join(from, 'root')], target, existing, chunk, seed };
          checkRun(transfer(options), source, start, target, existing);
          const between = survey(target);
          const again = transfer({ ...options, seed: seed + 1 });
          checkRun(again, source, between, target, existing);
          assert.equal(again.moved, 0);
        },
      ),
      { numRuns: 150 },
    );
    assert.equal(openDescriptors(), before);
  });

  test('moves the first files while the source is still walked', (t) => {
    const base = quickFolder(t);
    const [from, to] = [join(base, 'many'), join(base, 'to')];
    mkdirSync(from);
    mkdirSync(to);
    // More than may be announced and not settled: the walk has to wait for what it has found.
    for (let file = 0; file < 10_000; file += 1) writeFileSync(join(from, `${file}`), 'x');
    const order: string[] = [];
    const { error } = transfer({
      sources: [from],
      target: to,
      chunk: 65_536,
      onFrame: (frame, end) => {
        const { type, flags } = readHeader(frame, frame.length);
        if (end === 'receiver' && type === FRAME.pack) order.push('files');
        if (end === 'receiver' && type === FRAME.manifest && flags === FLAG_LAST)
          order.push('end of the walk');
        return undefined;
      },
    });
    assert.equal(error, undefined);
    assert.equal(order[0], 'files');
    assert.ok(order.includes('end of the walk'));
    assert.equal(readdirSync(join(to, 'many')).length, 10_000);
  });
});
