import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { afterwards } from '../server/wire-machines.ts';
import { homeOf, noise, sceneFolder } from '../session/machines.ts';

const MIB = 1024 * 1024;

/** Runs a program of the tests to its own end and gives the lines that it said. */
async function run(t: TestContext, program: string, words: readonly string[]): Promise<unknown[]> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn(process.execPath, [path, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 0, said);
  return said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

suite('a program that uses the library', () => {
  test('keeps no descriptor, no timer and no listener of 200 transfers, and ends by itself', async (t) => {
    const base = sceneFolder(t);
    const [during, end] = await run(t, './lifetime-process.ts', [base, '200']);
    const { before, after, reconnected, codes } = v.parse(
      v.object({
        before: v.number(),
        after: v.number(),
        reconnected: v.number(),
        codes: v.record(v.string(), v.number()),
      }),
      during,
    );
    assert.ok(after <= before, `${before} descriptors before, ${after} after`);
    assert.ok(reconnected <= before, `${before} descriptors before, ${reconnected} after`);
    for (const code of Object.keys(codes)) assert.ok(['OK', 'NOT_FOUND', 'CANCELLED'].includes(code), code);
    assert.ok((codes['OK'] ?? 0) >= 100);
    assert.deepEqual(end, { left: [], sessions: true });
  });
});

suite('a file of a gibibyte', () => {
  test('costs neither end much memory', async (t) => {
    const base = sceneFolder(t);
    const [share, local] = [join(base, 'share'), join(base, 'local')];
    for (const folder of [share, local]) mkdirSync(folder);
    const piece = noise(16 * MIB);
    const file = openSync(join(share, 'big'), 'wx');
    for (let number = 0; number < 64; number += 1) {
      piece.writeUInt32LE(number, 0);
      writeSync(file, piece);
    }
    closeSync(file);
    const server = spawn(
      process.execPath,
      [
        fileURLToPath(new URL('../session/peer-process.ts', import.meta.url)),
        'serve',
        homeOf(base, 'bob'),
        '0',
        share,
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    // Before the folder goes: it still writes there.
    afterwards(t, () => {
      const ended = once(server, 'close');
      server.kill('SIGKILL');
      return ended;
    });
    const [line] = await once(server.stdout, 'data');
    const { port } = v.parse(v.object({ port: v.number() }), JSON.parse(String(line)));
    const words = ['get', homeOf(base, 'alice'), String(port), '/share/big', `${local}/`];
    const [, receipt, usage] = await run(t, '../session/peer-process.ts', words);
    assert.deepEqual(receipt, { code: 'OK', bytes: 1024 * MIB, bytesMoved: 1024 * MIB });
    assert.equal(statSync(join(local, 'big')).size, 1024 * MIB);
    const { peak } = v.parse(v.object({ peak: v.number() }), usage);
    const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
    const serving = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
    t.diagnostic(
      `peak memory: ${Math.round(peak / 1024)} MiB receiving, ${Math.round(serving / 1024)} MiB sending`,
    );
    for (const kibibytes of [peak, serving])
      assert.ok(kibibytes > 0 && kibibytes < 200 * 1024, `${kibibytes} KiB`);
  });
});
