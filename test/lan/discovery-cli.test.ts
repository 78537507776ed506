import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkEvent } from '../cli/event-schema.ts';
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

  /** What Tab makes of the last word of a line; null where it makes nothing. */
  async tab(line: string, env: Record<string, string> = {}): Promise<unknown> {
    const program = `
      const { complete } = await import(process.argv[1]);
      const { Workspace } = await import(process.argv[2]);
      await using workspace = new Workspace(undefined, () => {});
      // The first answer may come before everybody has been heard of.
      await complete(process.argv[3], workspace);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const { replacement } = await complete(process.argv[3], workspace);
      console.log(JSON.stringify(replacement ?? null));`;
    const modules = ['completer', 'workspace'].map((name) => import.meta.resolve(`../../src/cli/${name}.ts`));
    const child = this.#host.spawn(
      process.execPath,
      ['--input-type=module', '-e', program, ...modules, line],
      { ...this.#env, ...env },
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    assert.ok(child.stdout);
    return JSON.parse(await text(child.stdout));
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

/** The switch gives a host nothing that is meant for many. */
function keepMulticastFrom({ namespace }: Host): void {
  const [, network = '', number = ''] = /^(.*)host(\d+)$/.exec(namespace) ?? [];
  const words = ['link', 'set', `p${number}`, 'type', 'bridge_slave', 'mcast_flood', 'off'];
  execFileSync('ip', ['-n', `${network}switch`, ...words]);
}

interface Told {
  readonly event: string;
  readonly name?: string;
  readonly change?: string;
  readonly trustedAs?: string | null;
  readonly by?: string;
  readonly fingerprint?: string | null;
}

function events(output: string): Told[] {
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const event = JSON.parse(line);
      checkEvent(event);
      return event;
    });
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
    keepMulticastFrom(second);
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
    // Until the impostor has been heard, the name is dialled where its owner was.
    let shown = await me.run('possible_connections');
    while (!shown.output.includes('10.77.0.3:7353')) shown = await me.run('possible_connections');
    const refused = await me.run('list_dir', 'nas:/', '--accept-new');
    assert.deepEqual([refused.status, refused.output], [6, ''], refused.errors);
    assert.doesNotMatch(shown.output, /[\x00-\x09\x0b-\x1f\u202e]/);
    const json = await me.run('possible_connections', '--json');
    assert.doesNotMatch(json.output, /[\x00-\x09\x0b-\x1f\u202e]/);
    assert.equal(events(json.output)[0]?.name, claim.name);
  });

  test('tries every address on request, where multicast is kept back, and trusts nobody by it', async (t) => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const me = new Machine(t, second, 'me');
    keepMulticastFrom(second);
    const serving = nas.start('serve', '--open', '--max', '4', '--share', `docs=${nas.folder}`);
    await printed(serving, /listening on/);
    // Another program on the port of another host is no localstream.
    const other = third.spawn(process.execPath, [
      ...['-e', "require('node:net').createServer((s) => s.end()).listen(7353, () => console.log('up'))"],
    ]);
    await printed(other, /up/);
    assert.deepEqual(
      events((await me.run('possible_connections', '--json')).output).map(({ event }) => event),
      ['done'],
    );
    const [found, end] = events((await me.run('possible_connections', '--scan', '--json')).output);
    assert.deepEqual(
      [found?.event, found?.name, found?.by, found?.trustedAs, end?.event],
      ['found', first.address, 'scan', null, 'done'],
    );
    const { stdout } = nas.start('identity');
    assert.ok(stdout);
    assert.equal(found?.fingerprint, (await text(stdout)).split(' ')[0]);
    assert.equal((await me.run('peers')).output, '');
    assert.equal((await me.run('list_dir', `${first.address}:/`, '--accept-new')).status, 0);
    const shown = await me.run('possible_connections', '--scan', '--timeout', '100ms');
    assert.match(shown.output, /^nas +10\.77\.0\.1:7353 +trusted as nas, by scan /);
    const watching = me.start('possible_connections', '--watch', '--scan');
    await printed(watching, /\+ {2}nas {2}10\.77\.0\.1:7353 {2}trusted as nas, by scan/);
    watching.kill('SIGINT');
    await once(watching, 'exit');
    assert.equal(watching.exitCode, 0);
  });

  test('tells who wants a login, in the record and in the list', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const me = new Machine(t, second, 'me');
    const serving = nas.start('serve', '--auth', 'password', '--share', `docs=${nas.folder}`);
    await printed(serving, /listening on/);
    const watching = me.start('possible_connections', '--watch', '--json');
    const [line] = (await printed(watching, /"appear","name":"nas".*\n/)).split('\n');
    assert.equal(JSON.parse(line ?? '').login, true);
    watching.kill('SIGINT');
    const shown = await me.run('possible_connections');
    assert.match(shown.output, /^nas +10\.77\.0\.1:7353 +unknown key, login /);
  });

  test('reaches a link-local address with its zone, lanes and all', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const nas = new Machine(t, first, 'nas');
    const me = new Machine(t, second, 'me');
    writeFileSync(join(nas.folder, 'a.txt'), 'hello');
    const serving = nas.start('serve', '--open', '--hidden', '--share', `docs=${nas.folder}`);
    await printed(serving, /listening on/);
    const addresses = await first.run('ip', '-6', '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'link');
    const [, local = ''] = /inet6 (fe80:[0-9a-f:]+)\//.exec(addresses) ?? [];
    const got = await me.run('get', `[${local}%eth0]:/docs/a.txt`, 'a.txt', '--accept-new');
    assert.equal(got.status, 0, got.errors);
    assert.equal(readFileSync(join(me.folder, 'a.txt'), 'utf8'), 'hello');
    // It is remembered with its zone, and found by name again.
    const byName = await me.run('list_dir', 'nas:/');
    assert.deepEqual([byName.status, byName.errors], [0, '']);
  });

  test('offers those on the network at Tab, for peers and for paths', async (t) => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const nas = new Machine(t, first, 'My nas');
    const me = new Machine(t, second, 'me');
    const serving = nas.start('serve', '--open', '--max', '4');
    await printed(serving, /listening on/);
    const watching = me.start('possible_connections', '--watch');
    await printed(watching, /my-nas/);
    for (const [line, replacement] of [
      ['connect my', 'my-nas '],
      ['get --from my', 'my-nas '],
      ['get my', 'my-nas:/'],
      ['doctor my', 'my-nas '],
      // Only who is trusted can be forgotten.
      ['forget my', null],
    ])
      assert.deepEqual(await me.tab(line ?? ''), replacement, line ?? '');
    const hidden = { LOCALSTREAM_DISCOVERY_ENABLED: 'off' };
    assert.equal(await me.tab('connect my', hidden), null);
  });
});
