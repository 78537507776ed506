/** A code is enough to find who shows it, on a network of hosts of their own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { needs } from '../needs.ts';
import { type Host, Network } from './network.ts';

const LAUNCHER = fileURLToPath(import.meta.resolve('../../bin/localstream.js'));

function start(t: TestContext, host: Host, name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const env = { LOCALSTREAM_HOME: join(folder, 'home'), LOCALSTREAM_NAME: name, NO_COLOR: '1' };
  const run = (...words: readonly string[]) => {
    const child = host.spawn(process.execPath, [LAUNCHER, ...words], env, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
    });
    t.after(() => child.kill());
    assert.ok(child.stdout && child.stderr);
    const ended = Promise.all([text(child.stderr), once(child, 'close')]).then(([errors]) => ({
      errors,
      status: child.exitCode,
    }));
    return { child, ended };
  };
  return { folder, run };
}

describe('a code', { timeout: 120_000, ...needs('root', 'ip') }, () => {
  test('is found by its number, and by nobody once it is used', async (t) => {
    await using network = await Network.create(2);
    const [first, second] = network.hosts;
    assert.ok(first && second);
    const [bob, alice] = [start(t, first, 'bob'), start(t, second, 'alice')];
    writeFileSync(join(bob.folder, 'a.txt'), 'hello\n');
    const sending = bob.run('send', 'a.txt');
    const [line] = await once(sending.child.stdout ?? sending.child, 'data');
    const [, code = ''] = /^localstream receive (\S+)$/m.exec(String(line)) ?? [];
    const taken = await alice.run('receive', code, '--yes').ended;
    assert.equal(taken.status, 0, taken.errors);
    assert.equal(readFileSync(join(alice.folder, 'a.txt'), 'utf8'), 'hello\n');
    const sent = await sending.ended;
    assert.equal(sent.status, 0, sent.errors);
    const late = await alice.run('receive', code, '--yes').ended;
    assert.equal(late.status, 1);
    assert.match(late.errors, /nobody is found who waits for code \d+; write --from HOST:PORT/);
  });
});
