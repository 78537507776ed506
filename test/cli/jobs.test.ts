/** Jobs in scripts: real transfers in the background, and what becomes of their ends. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isPartialName } from '../../src/transfer/partial.ts';
import { until } from '../server/wire-machines.ts';
import { eventsNamed, eventsOf, folderIn, run, scratch, serve, start } from './cli-process.ts';

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const here = { home: client, cwd: folderIn(folder, 'work') };
const there = { home: server };
writeFileSync(join(docs, 'a.txt'), 'hello\n');
writeFileSync(join(docs, 'big.bin'), Buffer.alloc(8_000_000, 'localstream'));
/** So slow that it is never over by itself. */
const SLOW = '--limit 1k --chunk 1k';

test('the end of a script waits for its jobs', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], there);
  const input = `connect ${served.peer} --accept-new
get /docs/big.bin one.bin &
get /docs/a.txt two.txt & ls /docs
`;
  const ran = await run([], { ...here, input });
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stderr, /^job 1 has begun: get \/docs\/big\.bin one\.bin\njob 2 has begun: /m);
  assert.match(ran.stderr, /^job 1 is done: /m);
  assert.equal(readFileSync(join(here.cwd, 'one.bin')).length, 8_000_000);
  assert.equal(readFileSync(join(here.cwd, 'two.txt'), 'utf8'), 'hello\n');
});

test('a job that fails decides about the status, when it is waited for and at the end', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], there);
  const connect = `connect ${served.peer} --accept-new`;
  const atEnd = await run([], { ...here, input: `${connect}\nget /docs/none x &\nls /docs` });
  assert.equal(atEnd.status, 1, atEnd.stderr);
  assert.match(atEnd.stdout, / a\.txt\n/, 'the commands after it have run');
  assert.match(atEnd.stderr, /job 1 failed: get \/docs\/none x\nlocalstream: [^\n]*none[^\n]*\n$/);
  const waited = await run([], { ...here, input: `${connect}\nget /docs/none x &\nwait 1\nls /docs` });
  assert.equal(waited.status, 1);
  assert.doesNotMatch(waited.stdout, / a\.txt\n/, 'wait fails as the job does');
  const forgiven = await run([], { ...here, input: `${connect}\n-get /docs/none x &\nls /docs` });
  assert.equal(forgiven.status, 0, forgiven.stderr);
  assert.match(forgiven.stderr, /job 1 failed/);
  const dashed = await run([], { ...here, input: `${connect}\n-get /docs/none x &\n- wait; ls /docs` });
  assert.equal(dashed.status, 0, dashed.stderr);
});

test('jobs lists them, cancel ends them and keeps or discards what is there', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], there);
  for (const discard of ['', '--discard']) {
    const cwd = folderIn(folder, `cancel${discard}`);
    const input = `connect ${served.peer} --accept-new
get /docs/big.bin . ${SLOW} &
!sleep 2
jobs
cancel 1 ${discard}
jobs
`;
    const ran = await run(['--json'], { ...here, cwd, input });
    assert.equal(ran.status, 0, ran.stderr);
    const jobs = eventsNamed(eventsOf(ran), 'job');
    assert.deepEqual(
      jobs.map(({ state }) => state),
      ['running', 'running', 'cancelled', 'cancelled'],
    );
    assert.equal(jobs[1]?.transfers[0]?.bytesTotal, 8_000_000);
    assert.equal(jobs[0]?.line, `get /docs/big.bin . ${SLOW}`);
    assert.equal(existsSync(join(cwd, 'big.bin')), false);
    assert.equal(readdirSync(cwd).length > 0, discard === '', readdirSync(cwd).join(' '));
  }
});

test('jobs names a lost connection and the next try', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], there);
  const cwd = folderIn(folder, 'lost');
  const input = `connect ${served.peer} --accept-new
get /docs/big.bin . ${SLOW} &
!while [ ! -e is-lost ]; do sleep 0.1; done
jobs
cancel 1
`;
  const running = start([], { ...here, cwd, input });
  await until(() =>
    readdirSync(cwd).some((name) => isPartialName(name) && statSync(join(cwd, name)).size > 2048),
  );
  await served.stop('SIGKILL');
  await running.until(/trying again in/);
  writeFileSync(join(cwd, 'is-lost'), '');
  const ran = await running.ended;
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(
    ran.stdout,
    /^job 1 +running +\d+ % \(.* of 8\.00 MB\), no connection, (?:next try in [1-9]\d* s|trying) /m,
  );
});

test('exit refuses while jobs run, and a signal ends them', async () => {
  await using served = await serve(['--open', '--max', '5', '--share', docs], there);
  const connect = `connect ${served.peer} --accept-new`;
  const left = await run([], {
    ...here,
    input: `${connect}\nget /docs/big.bin b &\n-exit; cancel 1; exit; nonsense`,
  });
  assert.equal(left.status, 0, left.stderr);
  assert.match(left.stderr, /localstream: 1 job still running; wait for them or cancel them/);
  const running = start([], { ...here, input: `${connect}\nget /docs/big.bin c ${SLOW} &` });
  await running.until(/job 1 has begun/);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).status, 143);
});

test('what can be no job, and numbers that there are not', async () => {
  const cases: [string, number, RegExp][] = [
    ['identity &', 2, /identity can't run in the background; leave out the &/],
    ['get &', 2, /missing required argument/],
    ['wait 3', 2, /there is no job 3/],
    ['fg', 2, /no job is running/],
    ['cancel 1', 2, /there is no job 1/],
    ['cancel x', 2, /not the number of a job/],
    ['wait a b', 2, /too many arguments/],
    ['!exit 3', 1, /the command ended with 3/],
  ];
  for (const [input, status, message] of cases) {
    const ran = await run([], { ...here, input });
    assert.equal(ran.status, status, `${input}: ${ran.stderr}`);
    assert.match(ran.stderr, message);
    assert.equal(ran.stderr.split('\n').length, 2, ran.stderr);
  }
  assert.equal((await run([], { ...here, input: 'jobs; wait' })).stdout, '');
  assert.equal((await run([], { ...here, input: '!echo a b; # c\n' })).stdout, 'a b\n');
});
