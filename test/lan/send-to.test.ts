/** Files for a peer by its name alone: found by multicast DNS, reached by its pinned key, taken into its inbox. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { needs } from '../needs.ts';
import { printed } from './neighbour.ts';
import { type Host, Network } from './network.ts';

const LAUNCHER = fileURLToPath(import.meta.resolve('../../bin/localstream.js'));

/** The program on a host, as a person of a name. */
function machine(t: TestContext, host: Host | undefined, name: string) {
  assert.ok(host);
  const folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const env = { LOCALSTREAM_HOME: join(folder, 'home'), LOCALSTREAM_NAME: name, NO_COLOR: '1' };
  const start = (...words: readonly string[]) =>
    host.spawn(process.execPath, [LAUNCHER, ...words], env, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: folder,
    });
  const run = async (...words: readonly string[]) => {
    const child = start(...words);
    assert.ok(child.stdout && child.stderr);
    const [output, errors] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { status: child.exitCode, output, errors };
  };
  const key = async () => (await run('identity')).output.split(' ')[0] ?? '';
  return { folder, start, run, key };
}

describe('send --to', { timeout: 120_000, ...needs('root', 'ip') }, () => {
  test('finds a trusted peer by its name, and takes nobody else who goes by it', async (t) => {
    await using network = await Network.create(3);
    const [nas, me, impostor] = network.hosts.map((host, index) =>
      machine(t, host, index === 1 ? 'me' : 'nas'),
    );
    assert.ok(nas && me && impostor);
    writeFileSync(join(me.folder, 'a.txt'), 'hello\n');
    mkdirSync(join(nas.folder, 'in'));
    // Told beforehand, and never met: only the network can say where it is.
    assert.equal((await me.run('trust', await nas.key(), '--name', 'nas')).status, 0);
    assert.equal((await nas.run('trust', await me.key(), '--name', 'me')).status, 0);
    const lying = impostor.start('receive', '--auto', '.', '--json');
    await printed(lying, /"event":"listening"/);
    const alone = await me.run('send', 'a.txt', '--to', 'nas');
    assert.equal(alone.status, 4, alone.errors);
    assert.match(alone.errors, /'nas' is trusted, but was never met, and is not found here/);
    const taking = nas.start('receive', '--auto', 'in', '--count', '1', '--json');
    await printed(taking, /"event":"listening"/);
    const sent = await me.run('send', 'a.txt', '--to', 'nas');
    assert.equal(sent.status, 0, sent.errors);
    assert.match(sent.output, /^sent 1 file to nas: /);
    if (taking.exitCode === null) await once(taking, 'exit');
    assert.equal(taking.exitCode, 0);
    assert.deepEqual(readdirSync(join(nas.folder, 'in')), ['a.txt']);
    assert.equal(readFileSync(join(nas.folder, 'in', 'a.txt'), 'utf8'), 'hello\n');
    // It has gone: its last known address answers no more, and the other one of that name is still no choice.
    const late = await me.run('send', 'a.txt', '--to', 'nas');
    assert.equal(late.status, 4, late.errors);
    assert.deepEqual(readdirSync(impostor.folder), ['home']);
  });
});
