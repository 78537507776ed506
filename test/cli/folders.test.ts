/** Where the shell stands, on the server and here. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { normalFolder, resolveRemote } from '../../src/cli/remote-folder.ts';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const inner = folderIn(docs, 'in ner');
const work = folderIn(folder, 'work');
const here = { home: client, cwd: work };
writeFileSync(join(docs, 'a.txt'), 'outer\n');
writeFileSync(join(inner, 'a.txt'), 'inner\n');
writeFileSync(join(work, 'sent.txt'), 'sent\n');

test('a remote path starts from the folder, or from the root', () => {
  const table: [string, string, string][] = [
    ['/', 'docs', '/docs'],
    ['/docs', 'a.txt', '/docs/a.txt'],
    ['/docs', '/in', '/in'],
    ['/docs', '', '/docs/'],
    ['/docs', '.', '/docs/'],
    ['/docs', '..', '/'],
    ['/docs/b', '../c', '/docs/c'],
    ['/docs/b', '..', '/docs/'],
    ['/docs', 'b/', '/docs/b/'],
    ['/docs', 'b/.', '/docs/b/'],
    ['/docs', '../../../..', '/'],
    ['/docs', '*.pdf', '/docs/*.pdf'],
    ['/docs', 'b..', '/docs/b..'],
    ['/', '', '/'],
  ];
  for (const [from, typed, to] of table) assert.equal(resolveRemote(from, typed), to, `${from} ${typed}`);
  assert.equal(normalFolder('/docs/'), '/docs');
  assert.equal(normalFolder('/docs/../in/./x//'), '/in/x');
  assert.equal(normalFolder('/'), '/');
});

test('ls, get and put start from where cd went', async () => {
  const inbox = folderIn(folder, 'inbox');
  const shares = ['--share', `${docs}:rw`, '--share', `${inbox}:wo`];
  await using served = await serve(['--open', '--max', '5', ...shares], { home: server });
  const input = `connect ${served.peer} --accept-new
cd docs; pwd; ls
cd 'in ner'; get a.txt one.txt; get ../a.txt two.txt
get *.txt three.txt; put sent.txt; put sent.txt other.txt; pwd
cd ..; pwd; cd; pwd; cd inbox; put sent.txt; pwd
disconnect; connect ${served.peer}; pwd
`;
  const ran = await run([], { ...here, input });
  assert.equal(ran.status, 0, ran.stderr);
  const shown = ran.stdout.split('\n').filter((line) => /^\S+:\/\S*/.test(line));
  assert.deepEqual(
    shown.map((line) => line.replace(/^[^:]*:/, '')),
    ['/docs', '/docs/in ner', '/docs', '/', '/inbox', '/'],
  );
  for (const [name, text] of [
    ['one', 'inner'],
    ['two', 'outer'],
    ['three', 'inner'],
  ] as const)
    assert.equal(readFileSync(join(work, `${name}.txt`), 'utf8'), `${text}\n`);
  for (const path of [join(inner, 'sent.txt'), join(inner, 'other.txt'), join(inbox, 'sent.txt')])
    assert.equal(readFileSync(path, 'utf8'), 'sent\n');
});

test('lcd, lpwd and lls are about this machine', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], { home: server });
  folderIn(work, 'sub');
  const input = `lcd sub; lpwd; lls; lls ..
connect ${served.peer} --accept-new; get /docs/a.txt .; lls a.txt`;
  const events = eventsOf(await run(['--json'], { ...here, input }));
  assert.deepEqual(
    eventsNamed(events, 'folder').map(({ side, path }) => [side, path]),
    [['local', join(work, 'sub')]],
  );
  const entries = eventsNamed(events, 'entry');
  assert.ok(entries.some(({ name, type, size }) => name === 'sent.txt' && type === 'file' && size === 5));
  assert.ok(entries.some(({ name, type }) => name === 'sub' && type === 'folder'));
  assert.equal(readFileSync(join(work, 'sub', 'a.txt'), 'utf8'), 'outer\n');
});

test('each says what is wrong', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], { home: server });
  const connect = `connect ${served.peer} --accept-new`;
  const cases: [string, number, RegExp][] = [
    ['cd /docs', 1, /no server is connected/],
    ['pwd', 1, /no server is connected/],
    [`${connect}; cd nowhere`, 1, /\/nowhere: there is no such share/],
    [`${connect}; cd /docs/nowhere`, 1, /nowhere/],
    [`${connect}; cd /docs/a.txt`, 1, /a\.txt/],
    ['lcd nowhere', 1, /nowhere: there is no such folder here/],
    ['lls nowhere', 1, /nowhere: there is no such folder here/],
    ['lcd', 2, /missing required argument/],
  ];
  for (const [input, status, message] of cases) {
    const ran = await run([], { ...here, input });
    assert.equal(ran.status, status, `${input}: ${ran.stderr}`);
    assert.match(ran.stderr, message);
  }
});
