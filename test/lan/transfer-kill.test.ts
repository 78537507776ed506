import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventsNamed, eventsOf } from '../cli/cli-process.ts';
import { allowance } from '../soak/allowance.ts';
import { Ends, interruptedTransfer, randomFrom } from '../soak/interrupted-transfer.ts';

const MEBIBYTE = 1024 * 1024;

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-kill-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('a transfer whose ends are killed', () => {
  for (const direction of ['get', 'put'] as const) {
    test(`${direction}: goes on where it stood, and what arrives is what was sent`, async (t) => {
      const size = 96 * MEBIBYTE;
      const seed = Math.floor(Math.random() * 2 ** 32);
      t.diagnostic(`seed ${seed}`);
      const result = await interruptedTransfer({
        folder: scratch(t),
        direction,
        size,
        kills: 5,
        random: randomFrom(seed),
      });
      assert.ok(result.identical);
      assert.deepEqual(result.partials, []);
      const { client, server } = result.kills;
      assert.ok(client + server > 0);
      assert.ok(result.crossed >= size);
      assert.ok(result.crossed <= allowance(size, client + server), `${result.crossed} crossed`);
    });
  }

  test('is one transfer to the user when the server comes back', async (t) => {
    const folder = scratch(t);
    await using ends = await Ends.start(folder);
    const source = join(folder, 'shared', 'big');
    writeFileSync(source, randomFillSync(Buffer.alloc(64 * MEBIBYTE)));
    const client = ends.startClient([
      'get',
      `${ends.peer}:/shared/big`,
      join(folder, 'outbox', 'big'),
      '--accept-new',
    ]);
    let stdout = '';
    client.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      stdout += piece;
    });
    const closed = once(client, 'close');
    while (ends.relay.crossed.down < 16 * MEBIBYTE) await delay(2);
    await ends.killServer();
    assert.equal(client.exitCode, null, 'it was under way');
    await ends.startServer();
    await closed;
    const events = eventsOf({ stdout, stderr: '', status: client.exitCode });
    assert.equal(client.exitCode, 0);
    assert.equal(eventsNamed(events, 'receipt').length, 1);
    assert.equal(new Set(eventsNamed(events, 'progress').map(({ transferId }) => transferId)).size, 1);
    execFileSync('cmp', [source, join(folder, 'outbox', 'big')]);
    assert.ok(ends.relay.crossed.down < 2 * 64 * MEBIBYTE - 16 * MEBIBYTE, 'not from the beginning');
  });
});
