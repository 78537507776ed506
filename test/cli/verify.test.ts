/** What was received is checked against the receipt of its transfer. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };

async function verified(...words: string[]) {
  const ran = await run(['verify', ...words, '--json'], here);
  const states = eventsNamed(eventsOf(ran), 'verified').map(({ path, state }) => [
    path.slice(work.length + 1),
    state,
  ]);
  return { status: ran.status, states: states.toSorted() };
}

test('a bit that a disk has lost is noticed, and so is a file that is gone', async () => {
  const tree = folderIn(docs, 'tree');
  for (const name of ['a', 'b']) writeFileSync(join(tree, name), `content of ${name}`);
  writeFileSync(join(docs, 'single'), Buffer.alloc(3_000_000, 'localstream'));
  await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
  const got = ['get', `${served.peer}:/docs/tree`, `${served.peer}:/docs/single`, './', '--accept-new'];
  assert.equal((await run(got, here)).status, 0);
  const intact = [
    ['single', 'intact'],
    ['tree/a', 'intact'],
    ['tree/b', 'intact'],
  ];
  assert.deepEqual(await verified(), { status: 0, states: intact });
  assert.deepEqual(await verified('tree'), { status: 0, states: intact.slice(1) });

  // One bit, at the same size and time: nothing but the content tells it.
  const single = join(work, 'single');
  const { atime, mtime } = statSync(single);
  const bytes = readFileSync(single);
  bytes[2_000_000] = (bytes[2_000_000] ?? 0) ^ 1;
  writeFileSync(single, bytes);
  utimesSync(single, atime, mtime);
  const changed = [['single', 'changed'], ...intact.slice(1)];
  assert.deepEqual(await verified(), { status: 6, states: changed });
  assert.match((await run(['verify'], here)).stdout, /^changed +\S*\/single\n$/);
  assert.deepEqual(await verified('tree'), { status: 0, states: intact.slice(1) });

  rmSync(join(work, 'tree', 'b'));
  assert.deepEqual(await verified('tree'), {
    status: 5,
    states: [
      ['tree/a', 'intact'],
      ['tree/b', 'missing'],
    ],
  });
  assert.equal((await verified(docs)).status, 1, 'nothing was received there');
});
