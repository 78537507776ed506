import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import * as v from 'valibot';
import { median, type Series, table } from '../../bench/results.ts';

const root = join(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'localstream-programs-'));
after(() => rmSync(scratch, { recursive: true }));

describe('the demo', () => {
  test('moves its files there and back and says their digests', () => {
    const demo = [join(root, 'scripts/demo.ts'), '--mebibytes', '8'];
    const { stdout, stderr, status } = spawnSync(process.execPath, demo, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\nAll 4 files went there and back and are the same, byte for byte\.\n$/);
    const digests = stdout.match(/(?<=BLAKE3 )[0-9a-f]{64}/g) ?? [];
    assert.equal(digests.length, 8);
    assert.deepEqual(digests.slice(0, 4), digests.slice(4));
    const folder = /The work is done in (?<folder>.+);/.exec(stdout)?.groups?.['folder'] ?? '';
    assert.throws(() => readdirSync(folder), { code: 'ENOENT' });
  });
});

describe('the benchmark', () => {
  test('times what is installed and writes its figures', () => {
    const out = join(scratch, 'figures.json');
    const flags = [
      '--size',
      '1MiB',
      '--mixed',
      '5',
      '--files',
      '10',
      '--runs',
      '1',
      '--folder',
      scratch,
      '--out',
      out,
    ];
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [join(root, 'bench/main.ts'), ...flags, '--programs', 'localstream,node'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
    const Figures = v.object({
      series: v.array(
        v.object({
          task: v.string(),
          name: v.string(),
          failure: v.optional(v.string()),
          samples: v.array(v.object({ seconds: v.number(), cpuSeconds: v.number() })),
        }),
      ),
    });
    const { series } = v.parse(Figures, JSON.parse(readFileSync(out, 'utf8')));
    const rows = series.map(({ task, name, failure, samples }) => [task, name, failure, samples.length]);
    assert.deepEqual(rows, [
      ['get', 'localstream', undefined, 1],
      ['put', 'localstream', undefined, 1],
      ['tree', 'localstream', undefined, 1],
      ['tree-put', 'localstream', undefined, 1],
      ['mixed', 'localstream', undefined, 1],
      ['mixed-put', 'localstream', undefined, 1],
      ['again', 'localstream', undefined, 1],
      ['again-put', 'localstream', undefined, 1],
      ['start', 'localstream', undefined, 1],
      ['version', 'localstream', undefined, 1],
      ['version', 'node -e 0', undefined, 1],
    ]);
    for (const { task, name } of series) assert.match(stdout, new RegExp(`^${task} +${name} +\\d`, 'm'));
    assert.deepEqual(readdirSync(scratch), ['figures.json']);
  });

  test('takes the middle of what it measured', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([]), Number.NaN);
  });

  test('says how many times as fast ours is, and what could not be run', () => {
    const samples = (seconds: number) => [
      { seconds, cpuSeconds: 3, clientPeakBytes: 2 ** 20, serverPeakBytes: 2 ** 21 },
    ];
    const all: Series[] = [
      { task: 'get', name: 'localstream', bytes: 2 ** 30, samples: samples(2) },
      { task: 'get', name: 'other', bytes: 2 ** 30, samples: samples(3) },
      { task: 'get', name: 'broken', bytes: 2 ** 30, samples: [], failure: 'ended with 1' },
    ];
    const [, ours, other, broken] = table(all).split('\n');
    assert.match(ours ?? '', /^get +localstream +2\.000 .* 537 +3\.00 +1\/2$/);
    assert.match(other ?? '', /^get +other +3\.000 .* 1\.50 x as fast$/);
    assert.match(broken ?? '', /^get +broken +ended with 1$/);
  });
});
