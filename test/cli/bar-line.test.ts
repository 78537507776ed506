import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { renderBar } from '../../src/cli/bar-line.ts';
import { widthOf } from '../../src/cli/text-width.ts';
import { progressOf } from './progress-of.ts';

const measured = { perSecond: 14_200_000, secondsLeft: 117, idleSeconds: 0 };

test('a wide terminal shows everything', () => {
  assert.equal(
    renderBar({ progress: progressOf({ files: 3, filesTotal: 12 }), ...measured }, 140),
    'report.pdf  [============>                 ]  41 %  1.20 GB of 2.86 GB  3 of 12 files  14.2 MB/s  1:57 left',
  );
});

test('a narrow one keeps what a person misses first', () => {
  const state = { progress: progressOf(), ...measured };
  assert.equal(renderBar(state, 60), '[====>     ]  41 %  1.20 GB of 2.86 GB  14.2 MB/s  1:57 left');
  assert.equal(renderBar(state, 20), '41 %  14.2 MB/s');
  assert.equal(renderBar(state, 10), '41 %');
  assert.equal(renderBar(state, 3), '');
});

test('waiting and committing are said, and a bar is never full', () => {
  const waiting = progressOf({ phase: 'waiting', bytes: 0 });
  assert.match(renderBar({ progress: waiting, ...measured }, 100), /waiting for the other side$/);
  const committing = progressOf({ phase: 'committing', bytes: 2_860_000_000 });
  const line = renderBar({ progress: committing, ...measured }, 100);
  assert.match(line, /99 %.*committing\.\.\.$/);
  assert.doesNotMatch(line, /100 %|MB\/s|left/);
});

test('a transfer that stands still says since when, and no speed or time left', () => {
  const state = { progress: progressOf(), ...measured };
  assert.match(renderBar({ ...state, idleSeconds: 4 }, 100), /14\.2 MB\/s {2}1:57 left$/);
  const line = renderBar({ ...state, idleSeconds: 35 }, 100);
  assert.match(line, /41 % .*1\.20 GB of 2\.86 GB {2}nothing for 0:35$/);
  assert.doesNotMatch(line, /MB\/s|left/);
  const waiting = { ...state, progress: progressOf({ phase: 'waiting' }) };
  assert.match(renderBar({ ...waiting, idleSeconds: 35 }, 100), /waiting for the other side$/);
});

test('a lost connection counts down to the next try', () => {
  const lost = (nextTry: number) =>
    renderBar({ progress: progressOf({ phase: 'reconnecting', nextTry }), ...measured }, 100);
  assert.match(lost(Date.now() + 2900), /41 % .*1\.20 GB of 2\.86 GB {2}no connection, next try in 3 s$/);
  assert.match(lost(Date.now() - 1), /no connection, trying$/);
});

test('totals that still grow have no share and say so', () => {
  const line = renderBar({ progress: progressOf({ totalsKnown: false }), ...measured }, 120);
  assert.equal(line, 'report.pdf  1.20 GB of 2.86 GB or more  14.2 MB/s');
});

test('no line is wider than it may be or acts on the terminal, whatever the name', () => {
  const name = fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', '日', '😀', '\x1b', '\n', '\u202e', 'é', '/', '\udcff'),
      fc.string({ unit: 'grapheme' }),
    ),
  });
  const phase = fc.constantFrom('waiting', 'moving', 'committing', 'reconnecting' as const);
  fc.assert(
    fc.property(
      name,
      phase,
      fc.boolean(),
      fc.integer({ min: 1, max: 300 }),
      fc.maxSafeNat(),
      (current, at, known, columns, bytes) => {
        const progress = progressOf({
          current,
          phase: at as 'moving',
          totalsKnown: known,
          bytes,
          bytesTotal: bytes * 2,
          filesTotal: 7,
        });
        const line = renderBar(
          { progress, perSecond: bytes / 3, secondsLeft: bytes / 7, idleSeconds: bytes % 20 },
          columns,
        );
        assert.ok(widthOf(line) <= columns, `${widthOf(line)} of ${columns}: ${line}`);
        assert.doesNotMatch(line, /[\p{Cc}\p{Cs}\u202e]/u);
      },
    ),
    { numRuns: 500 },
  );
});
