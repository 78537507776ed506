/** send_file to several: each receiver has a bar and a receipt of its own, and what one does is nothing to the others. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { needs } from '../needs.ts';
import {
  eventsNamed,
  eventsOf,
  folderIn,
  freePort,
  type Running,
  run,
  scratch,
  start,
} from './cli-process.ts';
import { Terminal } from './tmux.ts';

const { folder, server } = scratch();
const content = Buffer.alloc(6_000_000, 'some bytes of a file');
writeFileSync(join(folder, 'big.bin'), content);

/** Offers the file to three, slowly enough to be looked at. */
function offer(port: number): string[] {
  const line = `send_file ${port} big.bin --open --host 127.0.0.1 --peers 3 --limit 1MB/s`;
  return line.split(' ');
}

function receiveFrom(port: number): string[] {
  return ['receive_file', 'big.bin', '--from', `127.0.0.1:${port}`, '--accept-new'];
}

/** A machine with a folder of its own. */
function machine(name: string) {
  const env = { LOCALSTREAM_NAME: name };
  return { home: join(folder, `${name}-home`), cwd: folderIn(folder, name), env };
}

function receive(port: number, who: { home: string; cwd: string }): Running {
  return start([...receiveFrom(port), '--yes'], who);
}

test(
  'each receiver has its own bar, and one that refuses leaves the others theirs',
  needs('tmux'),
  async () => {
    const port = await freePort();
    using sender = new Terminal(offer(port), { home: server, cwd: folder });
    await sender.until(/listening on/);
    const takers = [machine('ann'), machine('bob')];
    const taking = takers.map((who) => receive(port, who));
    using refuser = new Terminal(receiveFrom(port), machine('carol'));
    await refuser.until(/offers big\.bin .*Take it\?/);
    const bars = (lines: readonly string[], pattern: RegExp) =>
      lines.filter((line) => pattern.test(line)).length;
    await sender.untilLines(
      (lines) =>
        bars(lines, /^(ann|bob): big\.bin +\[=*> *\] +\d+ % .* of 6\.00 MB/) === 2 &&
        bars(lines, /^carol: .*waiting for the other side$/) === 1,
      'two bars that move and one that waits, each with its name',
    );
    refuser.type('n');
    refuser.press('Enter');
    await refuser.until(/localstream: the offer was refused[\s\S]*ended 3/);
    await sender.until(
      /sent 1 file to [\s\S]*sent 1 file to [\s\S]*localstream: sent to 2 of 3 peers\nended 5/,
    );
    for (const [index, { ended }] of taking.entries()) {
      const { status, stderr } = await ended;
      assert.equal(status, 0, stderr);
      assert.ok(readFileSync(join(takers[index]?.cwd ?? '', 'big.bin')).equals(content));
    }
  },
);

test(
  'each receiver has its own receipt, one whose target differs too, and of one that refuses it is told',
  needs('tmux'),
  async () => {
    const port = await freePort();
    const sending = start([...offer(port), '--json'], { home: server, cwd: folder });
    await sending.until(/"listening"/);
    const [dora, fred] = [machine('dora'), machine('fred')];
    writeFileSync(join(fred.cwd, 'big.bin'), 'precious');
    using refuser = new Terminal(receiveFrom(port), machine('gina'));
    const receiving = [dora, fred].map((who) => receive(port, who).ended);
    await refuser.until(/offers big\.bin .*Take it\?/);
    refuser.type('n');
    refuser.press('Enter');
    const received = await Promise.all(receiving);
    assert.deepEqual(
      received.map(({ status }) => status),
      [0, 5],
    );
    const ran = await sending.ended;
    assert.equal(ran.status, 5, ran.stderr);
    const events = eventsOf(ran);
    const receipts = eventsNamed(events, 'receipt');
    const fingerprint = async ({ home }: { home: string }) =>
      eventsNamed(eventsOf(await run(['identity', '--json'], { home })), 'identity')[0]?.fingerprint;
    const outcomes = new Map(receipts.map(({ peer, code, files }) => [peer.fingerprint, [code, files]]));
    assert.equal(receipts.length, 2);
    for (const [who, outcome] of [
      [dora, ['OK', 1]],
      [fred, ['EXISTS', 0]],
    ] as const)
      assert.deepEqual(outcomes.get((await fingerprint(who)) ?? ''), outcome);
    assert.deepEqual(
      eventsNamed(events, 'failed')
        .map(({ peer, code, direction }) => [peer, code, direction])
        .sort(),
      [
        ['fred', 'EXISTS', 'send'],
        ['gina', 'REJECTED', 'send'],
      ],
    );
    const moving = eventsNamed(events, 'progress').filter(({ phase }) => phase === 'moving');
    for (const { transferId, code } of receipts)
      if (code === 'OK')
        assert.ok(moving.some((told) => told.transferId === transferId && told.peer === 'dora'));
    assert.equal(new Set(receipts.map(({ transferId }) => transferId)).size, 2);
    assert.equal(eventsNamed(events, 'error')[0]?.code, 'PARTIAL');
    assert.ok(readFileSync(join(dora.cwd, 'big.bin')).equals(content));
    assert.equal(readFileSync(join(fred.cwd, 'big.bin'), 'utf8'), 'precious');
  },
);
