import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { announcement } from '../discovery/packets.ts';
import { needs } from '../needs.ts';
import { Neighbour, printed } from './neighbour.ts';
import { type Host, Network } from './network.ts';

const LAUNCHER = fileURLToPath(import.meta.resolve('../../bin/localstream.js'));

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** The program on a host, as a person of a name. */
class Machine {
  readonly #host: Host;
  readonly #env: Record<string, string>;
  readonly folder: string;

  constructor(t: TestContext, host: Host, name: string) {
    this.#host = host;
    this.folder = mkdtempSync(join(tmpdir(), 'localstream-lan-'));
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.#env = { LOCALSTREAM_HOME: join(this.folder, 'home'), LOCALSTREAM_NAME: name, NO_COLOR: '1' };
  }

  start(...words: readonly string[]): ChildProcess {
    return this.#host.spawn(process.execPath, [LAUNCHER, ...words], this.#env, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.folder,
    });
  }

  async run(...words: readonly string[]): Promise<Ran> {
    const child = this.start(...words);
    assert.ok(child.stdout && child.stderr);
    const [output, errors] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { status: child.exitCode, output, errors };
  }
}

function hostsOf(network: Network): [Host, Host, Host] {
  const [first, second, third] = network.hosts;
  assert.ok(first && second && third);
  return [first, second, third];
}

function events(output: string): { event: string; name?: string; change?: string; trustedAs?: string }[] {
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('the program', { concurrency: true, timeout: 120_000, ...needs('root', 'ip') }, () => {
  test('shows who is there, reaches them by name, and tells who goes', async (t) => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const anna = new Machine(t, second, 'Anna’s v2.0');
    const me = new Machine(t, third, 'me');
    writeFileSync(join(nas.folder, 'a.txt'), 'hello');
    const serving = nas.start('serve', '--open', '--max', '4', '--share', `docs=${nas.folder}`);
    const hidden = anna.start('serve', '--open', '--hidden', '--port', '7400');
    const open = anna.start('serve', '--open');
    for (const one of [serving, hidden, open]) await printed(one, /listening on/);
    const watching = me.start('possible_connections', '--watch', '--json');
    await printed(watching, /"appear","name":"nas"/);
    const gone = printed(watching, /"vanish","name":"nas"/);
    const got = await me.run('get', 'NAS:/docs/a.txt', 'got.txt', '--accept-new');
    assert.equal(got.status, 0, got.errors);
    assert.equal(readFileSync(join(me.folder, 'got.txt'), 'utf8'), 'hello');
    const listed = await me.run('possible_connections', '--json');
    const found = events(listed.output).filter(({ event }) => event === 'found');
    assert.deepEqual(
      found.map(({ name, trustedAs }) => [name, trustedAs]),
      [
        ['Anna’s v2.0', null],
        ['nas', 'nas'],
      ],
    );
    const shown = await me.run('possible_connections', '--timeout', '1500ms');
    assert.match(
      shown.output,
      /^anna’s-v2\.0 +10\.77\.0\.2:7353 +unknown key .*\nnas +10\.77\.0\.1:7353 +trusted as nas /,
    );
    assert.equal((await me.run('list_dir', 'anna’s-v2.0:/', '--accept-new')).status, 0);
    serving.kill('SIGTERM');
    await gone;
    const missing = await me.run('list_dir', 'nobody:/');
    assert.deepEqual([missing.status, missing.output], [4, '']);
    assert.match(missing.errors, /'nobody' is no host, no trusted peer and nobody found here/);
    watching.kill('SIGINT');
    await once(watching, 'exit');
    assert.equal(watching.exitCode, 0);
  });

  test('finds a trusted peer at the address that it had, where multicast is kept back', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const me = new Machine(t, second, 'me');
    execFileSync('ip', [
      ...['-n', first.namespace.replace(/host\d+$/, 'switch')],
      ...['link', 'set', 'p2', 'type', 'bridge_slave', 'mcast_flood', 'off'],
    ]);
    const serving = nas.start('serve', '--open', '--share', `docs=${nas.folder}`);
    await printed(serving, /listening on/);
    const nobody = await me.run('possible_connections');
    assert.deepEqual([nobody.status, nobody.output], [0, '']);
    assert.match(nobody.errors, /nobody has been found/);
    assert.equal((await me.run('list_dir', `${first.address}:/`, '--accept-new')).status, 0);
    const byName = await me.run('list_dir', 'nas:/');
    assert.deepEqual([byName.status, byName.errors], [0, '']);
    assert.match(byName.output, /docs/);
  });

  test('demands the pinned key of whoever goes by a trusted name, and shows no name as it came', async (t) => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const me = new Machine(t, second, 'me');
    const impostor = new Machine(t, third, 'nas');
    const serving = nas.start('serve', '--open', '--share', `docs=${nas.folder}`);
    await printed(serving, /listening on/);
    assert.equal((await me.run('list_dir', `${first.address}:/`, '--accept-new')).status, 0);
    const { stdout } = nas.start('identity');
    assert.ok(stdout);
    const [fingerprint = ''] = (await text(stdout)).split(' ');
    serving.kill('SIGTERM');
    await once(serving, 'exit');
    const lying = impostor.start('serve', '--open', '--hidden', '--share', `docs=${impostor.folder}`);
    await printed(lying, /listening on/);
    const claim = {
      name: '\x1b[2Jnas\u202e',
      addresses: [third.address],
      txt: ['txtvers=1', `fp=${fingerprint.slice(7, 19)}`],
    };
    await using _mallory = new Neighbour(third, {
      kind: 'raw',
      from: [third.address],
      send: Array(200)
        .fill([announcement(claim).toString('hex'), 200])
        .flat(),
    });
    const refused = await me.run('list_dir', 'nas:/', '--accept-new');
    assert.deepEqual([refused.status, refused.output], [6, ''], refused.errors);
    const shown = await me.run('possible_connections');
    assert.match(shown.output, /10\.77\.0\.3:7353/);
    assert.doesNotMatch(shown.output, /[\x00-\x09\x0b-\x1f\u202e]/);
    const json = await me.run('possible_connections', '--json');
    assert.doesNotMatch(json.output, /[\x00-\x09\x0b-\x1f\u202e]/);
    assert.equal(events(json.output)[0]?.name, claim.name);
  });
});
