/** doctor on hosts of their own, with what is wrong there made really wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import type { CheckEvent } from '../../src/cli/events.ts';
import { CHECKS } from '../../src/doctor/finding.ts';
import { eventsNamed, eventsOf, LAUNCHER } from '../cli/cli-process.ts';
import { needs } from '../needs.ts';
import { printed } from './neighbour.ts';
import { type Host, Network } from './network.ts';

/** A person on a host. */
class Machine {
  readonly home: string;
  readonly #host: Host;

  constructor(t: TestContext, host: Host) {
    this.#host = host;
    this.home = join(mkdtempSync(join(tmpdir(), 'localstream-doctor-test-')), 'home');
    t.after(() => rmSync(join(this.home, '..'), { recursive: true, force: true }));
  }

  start(words: readonly string[], env: Record<string, string> = {}, before = '') {
    const command = `${before} exec "$@"`;
    return this.#host.spawn(
      'unshare',
      ['-m', 'sh', '-c', command, 'sh', process.execPath, LAUNCHER, ...words],
      { LOCALSTREAM_HOME: this.home, NO_COLOR: '1', ...env },
      { stdio: ['ignore', 'pipe', 'pipe'], cwd: join(this.home, '..') },
    );
  }

  async run(words: readonly string[], env: Record<string, string> = {}, before = '') {
    const child = this.start(words, env, before);
    assert.ok(child.stdout && child.stderr);
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    return { stdout, stderr, status: child.exitCode };
  }

  /** What doctor finds, without the lines that are well. */
  async findings(env: Record<string, string> = {}, before = '') {
    const ran = await this.run(['doctor', '--json'], env, before);
    const checks = eventsNamed(eventsOf(ran), 'check');
    return {
      status: ran.status,
      checks,
      bad: checks.filter(({ grade }) => grade === 'problem' || grade === 'warning'),
    };
  }
}

function hostsOf(network: Network): [Host, Host] {
  const [first, second] = network.hosts;
  assert.ok(first && second);
  return [first, second];
}

/** The clock and the processor of whoever runs this are none of the test's business. */
function isOurs({ id }: CheckEvent): boolean {
  return id !== 'clock' && id !== 'aes';
}

function named(checks: readonly CheckEvent[], id: string): CheckEvent {
  const found = checks.find((check) => check.id === id);
  assert.ok(found, `no line ${id}`);
  return found;
}

describe('doctor', { timeout: 240_000, ...needs('root', 'ip', 'nft') }, () => {
  test('says of a healthy machine that it is, line by line, and leaves no trace', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    const { checks, bad, status } = await machine.findings();
    assert.deepEqual(bad.filter(isOurs), []);
    assert.ok(status === 0 || (status === 5 && bad.length > 0));
    assert.deepEqual([...new Set(checks.map(({ id }) => id))], [...CHECKS]);
    assert.deepEqual(
      checks.filter(({ id }) => id === 'multicast').map(({ subject, grade }) => [subject, grade]),
      [
        ['eth0 IPv4', 'ok'],
        ['eth0 IPv6', 'ok'],
      ],
    );
    assert.ok((named(checks, 'loopback').bytesPerSecond ?? 0) > 0);
    assert.ok((named(checks, 'aes').bytesPerSecond ?? 0) > 0);
    assert.match(named(checks, 'interfaces').text, /eth0 \(10\.77\.0\.1, .*\): used/);
    assert.equal(existsSync(machine.home), false, 'nothing was made');
  });

  test('sends nothing to the group where discovery is off, and says so', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    for (const rule of [
      'add table inet seen',
      'add chain inet seen output { type filter hook output priority 0 ; }',
      'add rule inet seen output udp dport 5353 counter',
    ])
      await first.run('nft', ...rule.split(' '));
    const { checks } = await machine.findings({ LOCALSTREAM_DISCOVERY_ENABLED: 'off' });
    const lines = checks.filter(({ id }) => id === 'multicast' || id === 'neighbours');
    assert.deepEqual(
      lines.map(({ id, grade }) => [id, grade]),
      [['multicast', 'warning']],
    );
    assert.match(lines[0]?.text ?? '', /discovery\.enabled is off: .*nothing was sent/);
    assert.match(await first.run('nft', 'list', 'table', 'inet', 'seen'), /counter packets 0 /);
  });

  test('names the rule that keeps multicast or the port back', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    const rules = [
      'add table inet filter',
      'add chain inet filter input { type filter hook input priority 0 ; }',
      'add rule inet filter input udp dport 5353 drop',
      'add rule inet filter input tcp dport 7353 drop',
    ];
    for (const rule of rules) await first.run('nft', ...rule.split(' '));
    const { checks, status } = await machine.findings();
    assert.equal(status, 1);
    const texts = checks.filter(({ id, grade }) => id === 'firewall' && grade === 'problem');
    assert.match(
      texts[0]?.text ?? '',
      /TCP 7353 on its way in is dropped on eth0 .* by chain inet filter input/,
    );
    assert.match(
      texts[1]?.text ?? '',
      /UDP 5353 on its way in is dropped on eth0 .* by chain inet filter input/,
    );
    const multicast = checks.filter(({ id }) => id === 'multicast');
    assert.deepEqual(
      multicast.map(({ grade }) => grade),
      ['problem', 'problem'],
    );
    assert.match(multicast[0]?.text ?? '', /not heard back/);
    // What it says to do is what mends it.
    for (const { fix } of texts) await first.run('sh', '-c', fix ?? 'false');
    const after = await machine.findings();
    assert.deepEqual(after.bad.filter(isOurs), []);
  });

  test('tells who has the port', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    const other = first.spawn(process.execPath, [
      ...[
        '-e',
        "require('node:net').createServer((s) => s.end('hello')).listen(7353, () => console.log('up'))",
      ],
    ]);
    await printed(other, /up/);
    const taken = named((await machine.findings()).checks, 'port');
    assert.deepEqual([taken.grade, taken.text], ['problem', 'port 7353 is in use by another program']);
    other.kill();
    await once(other, 'exit');
    const serving = machine.start(['serve', '--open', '--hidden']);
    await printed(serving, /listening on/);
    const ours = named((await machine.findings()).checks, 'port');
    assert.equal(ours.grade, 'ok');
    assert.match(ours.text, /a listener of this home has it/);
    const stranger = named((await new Machine(t, first).findings()).checks, 'port');
    assert.equal(stranger.grade, 'warning');
    serving.kill('SIGTERM');
    await once(serving, 'exit');
  });

  test('finds what is wrong with the state folder and the keys, and changes nothing there', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    assert.equal((await machine.run(['identity'])).status, 0);
    chmodSync(machine.home, 0o755);
    chmodSync(join(machine.home, 'identity.json'), 0o644);
    const open = await machine.findings();
    assert.equal(open.status, 1);
    assert.match(named(open.bad, 'home').text, /open to other users \(mode 755\)/);
    const keys = named(open.bad, 'keys');
    assert.match(keys.text, /identity\.json is open to other users \(mode 644\)/);
    assert.match(keys.fix ?? '', /^chmod 600 .*become a new device$/);
    const again = await machine.findings();
    assert.equal(named(again.bad, 'keys').text, keys.text);
    chmodSync(machine.home, 0o700);
    writeFileSync(join(machine.home, 'identity.json'), '{"version":1}', { mode: 0o600 });
    chmodSync(join(machine.home, 'identity.json'), 0o600);
    assert.equal(named((await machine.findings()).bad, 'keys').grade, 'problem');
    const readOnly = await machine.findings({}, `mount -t tmpfs -o ro none "${machine.home}" &&`);
    assert.match(named(readOnly.bad, 'home').text, /can't be used: the disk is read-only/);
  });

  test('says when the disk is nearly full', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    mkdirSync(machine.home, { mode: 0o700 });
    const before = `mount -t tmpfs -o size=4m,mode=0700 none "${machine.home}" &&`;
    const { status, bad } = await machine.findings({}, before);
    assert.equal(status, 1);
    const disk = named(bad, 'disk');
    assert.equal(disk.subject, machine.home);
    assert.match(disk.text, /less than the setting freeSpaceReserve \(16\.8 MB\)/);
  });

  test('says when the users can not be asked, and when the settings are wrong', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    const machine = new Machine(t, first);
    const down = await machine.findings({ LOCALSTREAM_AUTH_URL: 'mysql://somebody@127.0.0.1:1/users' });
    assert.equal(down.status, 1);
    assert.match(named(down.bad, 'users').text, /the database of auth\.url: .*: nobody can log in/);
    const wrong = await machine.findings({ LOCALSTREAM_PORT: '70000' });
    assert.equal(named(wrong.bad, 'settings').grade, 'problem');
    assert.match(named(wrong.bad, 'settings').text, /port can't be "70000" in LOCALSTREAM_PORT/);
    assert.equal(named(wrong.checks, 'loopback').grade, 'unknown');
    mkdirSync(machine.home, { mode: 0o700 });
    writeFileSync(join(machine.home, 'config.json'), '{"port":"many"}', { mode: 0o600 });
    assert.equal(named((await machine.findings()).bad, 'settings').grade, 'warning');
  });

  test('shows each line to a person with its fix below, and none of a peer’s text raw', async (t) => {
    await using network = await Network.create(2);
    const [first] = hostsOf(network);
    await first.linkDown();
    const { stdout, stderr, status } = await new Machine(t, first).run(['doctor'], {
      LOCALSTREAM_DISCOVERY_INTERFACES: 'nowhere0',
    });
    assert.equal(status, 1);
    assert.match(stdout, /^warning {5}interfaces: nowhere0 of the setting/m);
    assert.match(stdout, /^problem {5}interfaces: no interface .*\n {12}connect to the network/m);
    assert.match(stderr, /^localstream: 1 problem, [12] warnings?; the lines above say what to do\n$/);
  });
});
