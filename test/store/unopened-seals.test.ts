import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { UnopenedSeals } from '../../src/store/unopened-seals.ts';
import { temporaryHome } from './temporary-home.ts';

type Change = (marks: Set<string>) => void;

test('marks are kept across runs, whatever ends the work, and those of others beside it', async (t) => {
  const home = temporaryHome(t);
  const change = (work: Change) => new UnopenedSeals(home).change(async (marks) => work(marks));
  const kept = async () => {
    let found: string[] = [];
    await change((marks) => {
      found = [...marks];
    });
    return found.sort();
  };
  assert.deepEqual(await kept(), []);
  assert.equal(
    statSync(home.unopenedFile, { throwIfNoEntry: false }),
    undefined,
    'nothing is written for it',
  );
  const stopped = change((marks) => {
    marks.add('a');
    throw new Error('stopped');
  });
  await assert.rejects(stopped, /^Error: stopped$/);
  assert.deepEqual(await kept(), ['a']);
  assert.equal(statSync(home.unopenedFile).mode & 0o777, 0o600);
  // Another run notes and opens something while the first has its copy.
  await new UnopenedSeals(home).change(async (marks) => {
    marks.add('b');
    await change((others) => {
      others.add('c');
      others.delete('a');
    });
  });
  assert.deepEqual(await kept(), ['b', 'c']);
  await change((marks) => {
    for (let number = 0; number < 10_000; number += 1) marks.add(`n${number}`);
  });
  const most = await kept();
  assert.equal(most.length, 10_000);
  assert.ok(!most.includes('b') && most.includes('n9999'), 'the newest are kept');
});

test('a file that can’t be read stops nothing, and is not lost', async (t) => {
  const home = temporaryHome(t);
  const told: string[] = [];
  const store = new UnopenedSeals(home, (message) => told.push(message));
  const newer = '{"version":2,"marks":7}\n';
  for (const content of ['{', newer]) {
    writeFileSync(home.unopenedFile, content, { mode: 0o600 });
    const seen = await store.change(async (marks) => {
      marks.add('a');
      return [...marks];
    });
    assert.deepEqual(seen, ['a']);
  }
  assert.ok(readdirSync(home.data).some((name) => name.startsWith('unopened.json.broken-')));
  assert.match(told.join('\n'), /will stay: .* was written by a newer localstream/);
});
