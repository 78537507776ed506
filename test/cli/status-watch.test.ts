/** status --watch, and the line of figures that it draws. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, suite, test } from 'node:test';
import type { StatusEvent, TransferDetail } from '../../src/cli/events.ts';
import { sparkline } from '../../src/cli/sparkline.ts';
import { Throughput } from '../../src/cli/status-watch.ts';
import { needs } from '../needs.ts';
import { eventsNamed, eventsOf, folderIn, freePort, run, scratch, serve, start } from './cli-process.ts';
import { Terminal } from './tmux.ts';

suite('a sparkline', () => {
  test('is as high as its figures, beside the highest that is shown', () => {
    assert.equal(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8), '▁▂▃▄▅▆▇█');
    assert.equal(sparkline([1000, 0, 1, 1000], 3), '▁▂█');
    assert.equal(sparkline([0, 0], 5), '▁▁');
    assert.equal(sparkline([], 5), '');
    assert.equal(sparkline([0, 7], 5, false), '_#');
    for (const figure of [1e-9, 1, 1e15]) assert.equal(sparkline([figure], 1), '█');
  });
});

const transfer = (transferId: string, bytes: number, bytesSkipped = 0): TransferDetail => ({
  transferId,
  peer: 'nas',
  direction: 'receive',
  phase: 'moving',
  files: 0,
  filesTotal: 1,
  bytes,
  bytesTotal: 1_000_000,
  bytesSkipped,
  bytesPerSecond: 0,
  startedAt: new Date(0).toISOString(),
});
const looked = (...transfers: TransferDetail[]): StatusEvent => ({
  event: 'status',
  pid: 1,
  server: false,
  questions: [],
  offers: [],
  name: 'desk',
  fingerprint: '',
  listeners: [
    {
      host: '127.0.0.1',
      port: 7353,
      maxConnections: 1,
      open: false,
      auth: 'trusted',
      shares: [],
      peers: [],
      transfers: transfers.slice(1),
    },
  ],
  session: null,
  ...(transfers[0] && {
    session: { peer: {} as never, transfers: transfers.slice(0, 1), lost: null },
  }),
});

suite('the throughput', () => {
  test('is what crossed between two looks, of all transfers, without what was there', () => {
    const throughput = new Throughput();
    throughput.take(looked(transfer('a', 500)), 1000);
    assert.deepEqual(throughput.figures, []);
    throughput.take(looked(transfer('a', 1500)), 2000);
    throughput.take(looked(transfer('a', 1500), transfer('b', 4000, 1000)), 3000);
    throughput.take(looked(transfer('b', 5000, 1000)), 5000);
    throughput.take(looked(), 6000);
    assert.deepEqual(throughput.figures, [1000, 3000, 500, 0]);
    throughput.take(looked(transfer('a', 100)), 6000);
    assert.equal(throughput.figures.length, 4, 'no time has passed');
  });
});

const { folder, server, client } = scratch();
const docs = folderIn(folder, 'docs');
const work = folderIn(folder, 'work');
writeFileSync(join(docs, 'one.bin'), Buffer.alloc(4_000_000, 'localstream'));
const SLOW = '--limit 20k --chunk 1k';

test('with --json it is one event after the other', async () => {
  await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
  const watching = start(
    ['--json', '-c', `connect ${served.peer} --accept-new; get /docs/one.bin x.bin ${SLOW} & status --watch`],
    { home: client, cwd: work },
  );
  await watching.until(/(?:"event":"status"[^\n]*\n[\s\S]*){3}/);
  watching.child.kill('SIGINT');
  const events = eventsNamed(eventsOf(await watching.ended), 'status');
  assert.ok(events.length >= 3);
  const bytes = events.map(({ session }) => session?.transfers[0]?.bytes ?? 0);
  assert.ok((bytes.at(-1) ?? 0) > (bytes[0] ?? 0), bytes.join(', '));
});

describe('in a terminal', needs('tmux'), () => {
  test('it is drawn in one place, survives a resize, and Ctrl-C gives the prompt back', async () => {
    await using served = await serve(['--open', '--max', '3', '--share', docs], { home: server });
    using shell = new Terminal(['connect', served.peer], { home: client, cwd: work });
    await shell.until(/\S+>$/);
    await shell.clear();
    shell.type(`get /docs/one.bin y.bin ${SLOW} &`);
    shell.press('Enter');
    await shell.until(/\[1 job\]>$/);
    shell.type('status --watch');
    shell.press('Enter');
    await shell.until(/\nspeed {2}[▁-█]*[▂-█][▁-█]* {2}[\d.]+ k?B\/s, at most [\d.]+ k?B\/s$/);
    for (const columns of [60, 20, 300, 100]) {
      shell.resize(columns);
      await shell.until(/(?:^|\n)speed {2}[^\n]*$/);
      const { lines } = shell;
      assert.equal(lines.filter((line) => line.startsWith('speed')).length, 1, lines.join('\n'));
    }
    // One more figure than before: it goes on.
    const before = (shell.lines.at(-1)?.match(/[▁-█]+/)?.[0] ?? '').length;
    await shell.until(new RegExp(`\\nspeed {2}[▁-█]{${before + 1},} `));
    assert.equal(shell.lines.filter((line) => line.startsWith('this machine')).length, 1);
    shell.press('C-c');
    await shell.until(/\n1: .*\n\S+ \[1 job\]>$/);
    shell.type('cancel 1; exit');
    shell.press('Enter');
    await shell.until(/ended 0/);
  });

  test('of a server in the background it is drawn in one place as well', async () => {
    const home = join(folder, 'daemon-home');
    const port = String(await freePort());
    const started = await run(['serve', '--daemon', '--host', '127.0.0.1', '--port', port], {
      home,
      cwd: folder,
    });
    assert.equal(started.status, 0, started.stderr);
    try {
      using watching = new Terminal(['status', '--watch'], { home, cwd: folder, columns: 60 });
      await watching.until(/\nspeed {2}▁▁▁* {2}0 B\/s, at most 0 B\/s$/);
      assert.equal(watching.lines.filter((line) => line.startsWith('this machine')).length, 1);
    } finally {
      const ended = await run(['shutdown'], { home });
      assert.equal(ended.status, 0, ended.stderr);
    }
  });
});
