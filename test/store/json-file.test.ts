import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { JsonFile } from '../../src/store/json-file.ts';
import { otherProcess, temporaryFolder, warnings } from './temporary-home.ts';

const SCHEMA = v.object({ words: v.array(v.string()) });

function wordFile(path: string, warn?: (message: string) => void) {
  return new JsonFile({
    path,
    version: 2,
    schema: SCHEMA,
    empty: () => ({ words: [] }),
    ...(warn ? { warn } : {}),
  });
}

test('an absent file reads as empty and is not made by reading', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  assert.deepEqual(await wordFile(path).read(), { words: [] });
  assert.equal(existsSync(path), false);
});

test('an update is read back by another instance, in a file that only its owner may read', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  await wordFile(path).update(({ words }) => ({ words: [...words, 'ü\u009b\u202e"'] }));
  assert.deepEqual(await wordFile(path).read(), { words: ['ü\u009b\u202e"'] });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.doesNotMatch(readFileSync(path, 'utf8'), /[\u007f-\u009f\u202e]/, 'no control reaches a terminal');
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).version, 2);
});

test('an update that returns undefined or throws leaves the file and the lock alone', async (t) => {
  const folder = temporaryFolder(t);
  const file = wordFile(join(folder, 'words.json'));
  await file.update(() => ({ words: ['kept'] }));
  const before = statSync(file.path).ino;
  assert.deepEqual(await file.update(() => undefined), { words: ['kept'] });
  await assert.rejects(
    file.update(() => {
      throw new RangeError('no');
    }),
    RangeError,
  );
  assert.equal(statSync(file.path).ino, before);
  assert.deepEqual(readdirSync(folder), ['words.json']);
});

test('a read sees what another instance wrote, even of the same size', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  const reader = wordFile(path);
  for (const word of ['aa', 'bb', 'cc']) {
    await wordFile(path).update(() => ({ words: [word] }));
    assert.deepEqual((await reader.read()).words, [word]);
  }
});

test('updates of one process take turns', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  const files = [wordFile(path), wordFile(path)];
  await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      files[index % 2]?.update(async ({ words }) => {
        await new Promise(setImmediate);
        return { words: [...words, String(index)] };
      }),
    ),
  );
  assert.equal((await wordFile(path).read()).words.length, 40);
});

test('two processes that update one file 200 times each lose nothing', async (t) => {
  const path = join(temporaryFolder(t), 'tally.json');
  const runs = await Promise.all(['a', 'b'].map((name) => otherProcess(['count', path, name, '200'])));
  assert.deepEqual(
    runs.map((run) => run.errors + run.output),
    ['', ''],
  );
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')).counts, { a: 200, b: 200 });
});

test('a writer that is killed again and again never leaves a broken file', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'tally.json');
  for (let round = 0; round < 15; round++) {
    const run = await otherProcess(['count', path, 'a', '1000000', '20000'], {
      onOutput: (text, kill) => {
        // At another point of a write in each round: some milliseconds after a number of updates.
        if (text.length > round % 4) setTimeout(kill, (round * 7) % 19);
      },
    });
    assert.equal(run.errors, '');
    const said = Number(run.output.trimEnd().split('\n').at(-1));
    const { counts, filler } = JSON.parse(readFileSync(path, 'utf8'));
    assert.ok(counts.a >= said, `${counts.a} of ${said}: what was reported as written is there`);
    assert.deepEqual(new Set(filler), new Set([counts.a]), 'one write, whole');
    assert.equal(filler.length, 20_000);
    // Its holder is known to be dead; waiting for the lock to grow old is another test.
    if (existsSync(`${path}.lock`)) rmdirSync(`${path}.lock`);
  }
  await otherProcess(['count', path, 'b', '1']);
  assert.deepEqual(readdirSync(folder), ['tally.json'], 'what killed writers left is tidied away');
});

test('the lock of a killed holder is taken over, that of a living one is waited for and then BUSY', async (t) => {
  const path = join(temporaryFolder(t), 'tally.json');
  const impatient = new JsonFile({ path, schema: v.object({}), empty: () => ({}), patience: 300 });
  await otherProcess(['hold', path], {
    onOutput: (_, kill) => {
      void assert
        .rejects(
          impatient.update(() => ({})),
          { code: 'BUSY' },
        )
        .then(kill, (error: unknown) => {
          kill();
          throw error;
        });
    },
  });
  assert.equal(existsSync(`${path}.lock`), true);
  assert.equal((await otherProcess(['count', path, 'a', '1'])).errors, '');
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')).counts, { a: 1 });
});

test('a file that is replaced while a change is under way is read again, and both changes stay', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  const file = wordFile(path);
  await file.update(() => ({ words: ['first'] }));
  let attempts = 0;
  await file.update(({ words }) => {
    attempts += 1;
    // A process that holds no lock, or took ours for stale.
    if (attempts === 1) writeFileSync(path, JSON.stringify({ version: 2, words: [...words, 'theirs'] }));
    return { words: [...words, 'ours'] };
  });
  assert.deepEqual((await file.read()).words, ['first', 'theirs', 'ours']);
});

for (const [name, content] of Object.entries({
  empty: '',
  'cut short': '{"version":2,"words":["a"',
  garbage: '\u0000\u0001\u0002',
  'another shape': '{"version":2,"words":[1]}',
  'an older version': '{"version":1,"words":[]}',
  'no version': '{"words":[]}',
  'no object': '[]',
})) {
  test(`a broken file (${name}) is set aside with a warning`, async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'words.json');
    writeFileSync(path, content, { mode: 0o600 });
    const { warn, told } = warnings();
    assert.deepEqual(await wordFile(path, warn).read(), { words: [] });
    const [aside, ...others] = readdirSync(folder);
    assert.match(aside ?? '', /^words\.json\.broken-/);
    assert.deepEqual(others, []);
    assert.equal(readFileSync(join(folder, aside ?? ''), 'utf8'), content);
    assert.equal(told.length, 1);
    assert.ok(told[0]?.includes(path) && told[0].includes(aside ?? ''), told[0]);
    await wordFile(path).update(() => ({ words: ['new'] }));
    assert.deepEqual((await wordFile(path).read()).words, ['new']);
  });
}

test('a broken file that two set aside at once is kept once', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'words.json');
  writeFileSync(path, '{', { mode: 0o600 });
  const { warn, told } = warnings();
  await Promise.all([
    wordFile(path, warn).read(),
    wordFile(path, warn).update(() => ({ words: ['new'] })),
    wordFile(path, warn).read(),
  ]);
  assert.equal(told.length, 1);
  assert.deepEqual((await wordFile(path).read()).words, ['new']);
});

test('a broken file that cannot be set aside does not stop a start, and is not overwritten', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  writeFileSync(path, '{', { mode: 0o600 });
  // Stands in the way of the lock, as a read-only disk does.
  writeFileSync(`${path}.lock`, '');
  const { warn, told } = warnings();
  const options = { path, version: 2, schema: SCHEMA, empty: () => ({ words: [] }), patience: 100, warn };
  assert.deepEqual(await new JsonFile(options).read(), { words: [] });
  assert.equal(told.length, 1);
  await assert.rejects(
    new JsonFile(options).update(() => ({ words: [] })),
    { code: 'BUSY' },
  );
  assert.equal(readFileSync(path, 'utf8'), '{');
});

test('a file of a newer version is refused and stays as it is', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'words.json');
  const content = '{"version":3,"sentences":[]}';
  writeFileSync(path, content, { mode: 0o600 });
  await assert.rejects(wordFile(path).read(), { code: 'STATE', message: /newer/ });
  await assert.rejects(
    wordFile(path).update(() => ({ words: [] })),
    { code: 'STATE', message: /newer/ },
  );
  assert.equal(readFileSync(path, 'utf8'), content);
  assert.deepEqual(readdirSync(folder), ['words.json']);
});

test('a file that was open to others is closed to them, with a warning', async (t) => {
  const path = join(temporaryFolder(t), 'words.json');
  writeFileSync(path, '\uFEFF{"version":2,"words":["a"]}');
  chmodSync(path, 0o644);
  const { warn, told } = warnings();
  assert.deepEqual((await wordFile(path, warn).read()).words, ['a']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(told.length, 1);
});

test('what is no file in its place is a STATE error and never a hang', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  symlinkSync('loop', join(folder, 'loop'));
  for (const name of ['folder', 'pipe', 'loop']) {
    const file = wordFile(join(folder, name));
    await assert.rejects(file.read(), { code: 'STATE' }, name);
    await assert.rejects(
      file.update(() => ({ words: [] })),
      { code: 'STATE' },
      name,
    );
  }
});
