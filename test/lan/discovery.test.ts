import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { keyOf, type Message, RECORD, readMessage } from '../../src/discovery/message.ts';
import { SERVICE_NAME } from '../../src/discovery/records.ts';
import { announcement, labelsOf, question } from '../discovery/packets.ts';
import { needs } from '../needs.ts';
import { Neighbour, printed, spawnAvahi } from './neighbour.ts';
import { type Host, Network } from './network.ts';

function hostsOf(network: Network): [Host, Host, Host] {
  const [first, second, third] = network.hosts;
  assert.ok(first && second && third);
  return [first, second, third];
}

function lookFor(host: Host, number: number): Neighbour {
  return new Neighbour(host, { kind: 'discovery', number, browse: true });
}

function announce(host: Host, number: number, name: string, more = {}): Neighbour {
  return new Neighbour(host, { kind: 'discovery', number, advertise: [{ name, port: 7353 }], ...more });
}

/** Lines of `ip` in the namespace of the switch. */
function atSwitch(host: Host, ...words: readonly string[]): void {
  execFileSync('ip', ['-n', host.namespace.replace(/host\d+$/, 'switch'), ...words]);
}

function inHost(host: Host, ...words: readonly string[]): void {
  execFileSync('ip', ['-n', host.namespace, ...words]);
}

/** What a recorder has heard from an address. */
function heardFrom(recorder: Neighbour, address: string): Message[] {
  return recorder.said.flatMap((line) => {
    if (line.said !== 'packet' || line.from !== address) return [];
    const message = readMessage(Buffer.from(line.hex, 'hex'));
    assert.ok(message, line.hex);
    return [message];
  });
}

describe('on a network', { concurrency: true, timeout: 60_000, ...needs('root', 'ip') }, () => {
  test('two machines find each other by name and address, and lose each other at once', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const longest = `${'日'.repeat(20)}.1`;
    await using alice = announce(first, 1, 'Zoë’s v2.0', { browse: true });
    await using bob = announce(second, 2, longest, { browse: true });
    await using carol = lookFor(third, 3);
    const { peer } = await bob.peer('appear', 'Zoë’s v2.0');
    assert.deepEqual(
      peer.addresses.map(({ host, port, family, interface: on }) => [
        host.replace(/^fe80::.*%/, 'link-local%'),
        port,
        family,
        on,
      ]),
      [
        ['10.77.0.1', 7353, 4, 'eth0'],
        ['fd77::1', 7353, 6, 'eth0'],
        ['link-local%eth0', 7353, 6, 'eth0'],
      ],
    );
    assert.equal(peer.own, false);
    assert.equal((await alice.peer('appear', 'Zoë’s v2.0')).peer.own, true);
    await alice.peer('appear', longest);
    await carol.peer('appear', longest);
    await carol.peer('appear', 'Zoë’s v2.0');
    await alice.end();
    await carol.peer('vanish', 'Zoë’s v2.0');
    await bob.peer('vanish', 'Zoë’s v2.0');
    assert.deepEqual(carol.present, [longest]);
    await bob.end();
    await carol.end();
  });

  test('a machine that is gone without a word is forgotten when its time is over', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    await using alice = announce(first, 1, 'alice', { lifetime: 3000 });
    await using carol = announce(third, 3, 'carol', { lifetime: 3000 });
    await using bob = lookFor(second, 2);
    await bob.peer('appear', 'alice');
    await bob.peer('appear', 'carol');
    await alice.kill();
    await bob.peer('vanish', 'alice');
    // The other one lives on far beyond its time, because it is asked again before that is over.
    await delay(3500);
    assert.deepEqual(bob.present, ['carol']);
    await carol.end();
    await bob.end();
  });

  test('machines that want one name at one moment get one each, and nothing is printed', async () => {
    await using network = await Network.create(3);
    const machines = hostsOf(network).map((host, index) =>
      announce(host, index + 1, 'twin', { browse: true }),
    );
    const names = await Promise.all(machines.map((machine) => machine.ready()));
    // Those that have been announced already may still have to change.
    for (const machine of machines) {
      await machine.until(() => machine.present.length === 3);
    }
    const last = machines.map(
      ({ said }, index) => said.findLast((line) => line.said === 'renamed')?.name ?? names[index]?.[0],
    );
    assert.deepEqual(last.toSorted(), ['twin', 'twin (2)', 'twin (3)']);
    await Promise.all(machines.map((machine) => machine.end()));
  });

  test('a machine that comes later takes the next name and leaves the first one alone', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    await using bob = lookFor(third, 3);
    await using alice = announce(first, 1, 'nas');
    assert.deepEqual(await alice.ready(), ['nas']);
    await using other = announce(second, 2, 'NAS');
    assert.deepEqual(await other.ready(), ['NAS (2)']);
    await bob.peer('appear', 'NAS (2)');
    assert.deepEqual(bob.present, ['NAS (2)', 'nas']);
    assert.equal(bob.said.filter((line) => line.said === 'peer' && line.change === 'vanish').length, 0);
    for (const machine of [alice, other, bob]) await machine.end();
  });

  test('an address that changes is told, and the old one is tried last', async () => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    await using bob = lookFor(second, 2);
    await using alice = announce(first, 1, 'alice');
    await bob.peer('appear', 'alice');
    await first.changeAddress('10.77.0.99');
    await bob.until(
      (line) =>
        line.said === 'peer' &&
        line.change !== 'vanish' &&
        line.peer.addresses.some(({ host }) => host === '10.77.0.99'),
    );
    await alice.end();
    await bob.peer('vanish', 'alice');
    await bob.end();
  });

  test('an interface that comes later is used, and each one tells of its own addresses alone', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    atSwitch(third, 'link', 'set', 'p3', 'nomaster');
    await using alice = announce(first, 1, 'alice', { browse: true });
    await using bob = lookFor(second, 2);
    await using carol = announce(third, 3, 'carol', { browse: true });
    const { peer: seenByBob } = await bob.peer('appear', 'alice');
    inHost(first, 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', third.namespace);
    for (const [host, address] of [
      [first, '10.78.0.1/24'],
      [third, '10.78.0.3/24'],
    ] as const) {
      inHost(host, 'link', 'set', 'eth1', 'up');
      inHost(host, 'address', 'add', address, 'dev', 'eth1');
    }
    const { peer: seenByCarol } = await carol.peer('appear', 'alice');
    const ipv4 = (addresses: typeof seenByBob.addresses) =>
      addresses.filter(({ family }) => family === 4).map((way) => [way.host, way.interface]);
    assert.deepEqual(ipv4(seenByCarol.addresses), [['10.78.0.1', 'eth1']]);
    assert.deepEqual(ipv4(seenByBob.addresses), [['10.77.0.1', 'eth0']]);
    await alice.peer('appear', 'carol');
    inHost(first, 'link', 'del', 'eth1');
    await alice.peer('vanish', 'carol');
    assert.deepEqual(alice.present, ['alice']);
    for (const machine of [alice, bob, carol]) await machine.end();
  });

  test('where multicast is kept back nobody is found, and nothing breaks', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    atSwitch(second, 'link', 'set', 'p2', 'type', 'bridge_slave', 'mcast_flood', 'off');
    await using alice = announce(first, 1, 'alice');
    await using bob = lookFor(second, 2);
    await using carol = lookFor(third, 3);
    await carol.peer('appear', 'alice');
    await alice.ready();
    assert.equal((await bob.end()).found, 0);
    assert.equal((await carol.end()).found, 1);
    await alice.end();
  });

  test('only the interfaces that are wanted are used', async () => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    await using alice = announce(first, 1, 'alice', { interfaces: 'eth7' });
    await using bob = lookFor(second, 2);
    assert.deepEqual(await alice.ready(), ['alice']);
    await bob.ready();
    const { counts } = await alice.end();
    assert.equal(counts.sent, 0);
    assert.equal((await bob.end()).found, 0);
  });

  test('two hundred machines are all found', async () => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const addresses = Array.from({ length: 200 }, (_, index) => `10.77.0.${index + 10}`);
    for (const address of addresses) inHost(first, 'address', 'add', `${address}/24`, 'dev', 'eth0');
    const packets = addresses.map((address, index) =>
      announcement({ name: `peer ${index}`, addresses: [address] }).toString('hex'),
    );
    await using bob = lookFor(second, 2);
    await bob.ready();
    await using _crowd = new Neighbour(first, { kind: 'raw', from: addresses, send: packets });
    await bob.until(() => bob.present.length === 200);
    assert.equal((await bob.end()).found, 200);
  });
});

const WITH_AVAHI = needs('root', 'ip', 'avahi-daemon', 'avahi-browse', 'avahi-publish', 'dbus-daemon');

describe('with avahi', { concurrency: true, timeout: 60_000, ...WITH_AVAHI }, () => {
  test('each finds the other, dots and TXT and all, and sees it go', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    await using alice = announce(first, 1, 'v2.0 Zoë');
    await using bob = lookFor(second, 2);
    const publish =
      "avahi-publish -s 'Avahi 1.5' _localstream._tcp 7777 txtvers=1 fp=QUJDREVGR0hJ v=1 login=1 2>&1";
    const avahi = spawnAvahi(third, `${publish} & sleep 3; avahi-browse -rp _localstream._tcp`);
    const { peer } = await bob.peer('appear', 'Avahi 1.5');
    assert.deepEqual(
      peer.addresses.slice(0, 2).map(({ host, port }) => [host, port]),
      [
        ['10.77.0.3', 7777],
        ['fd77::3', 7777],
      ],
    );
    assert.deepEqual([peer.fingerprintHint, peer.login], ['QUJDREVGR0hJ', true]);
    await alice.ready();
    const shown =
      /=;eth0;IPv4;v2\\\.0\\032Zo\\195\\171;_localstream._tcp;local;localstream-010101010101-7353.local;(?<address>\S+);7353;(?<txt>.*)/;
    const listed = shown.exec(await printed(avahi, shown))?.groups;
    assert.match(listed?.['address'] ?? '', /^10\.77\.0\.1$|^f[de][0-9a-f:]+$/);
    assert.deepEqual(listed?.['txt']?.split(' ').sort(), [
      '"fp=AQEBAQEBAQEB"',
      '"login=0"',
      '"txtvers=1"',
      '"v=1"',
    ]);
    const gone = printed(avahi, /-;eth0;IPv4;v2\\\.0/);
    await alice.end();
    await gone;
    avahi.kill();
    await bob.end();
  });

  test('a name that avahi has is left to it, and avahi gives way to ours', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    const publish = 'avahi-publish -s nas _localstream._tcp 7777 txtvers=1 2>&1';
    const avahi = spawnAvahi(third, publish);
    await printed(avahi, /Established/);
    await using alice = announce(first, 1, 'nas');
    assert.deepEqual(await alice.ready(), ['nas (2)']);
    await using bob = announce(second, 2, 'mine');
    await bob.ready();
    const later = spawnAvahi(first, publish.replace('-s nas', '-s mine'));
    assert.match(await printed(later, /Established/), /mine #2/);
    for (const process of [avahi, later]) process.kill();
    await alice.end();
    await bob.end();
  });

  test('both work on one machine, with one port between them', async () => {
    await using network = await Network.create(3);
    const [first, second] = hostsOf(network);
    const avahi = spawnAvahi(first, 'avahi-publish -s theirs _localstream._tcp 7777 txtvers=1 2>&1');
    await printed(avahi, /Established/);
    await using alice = announce(first, 1, 'ours', { browse: true });
    await using bob = lookFor(second, 2);
    for (const name of ['ours', 'theirs']) {
      await alice.peer('appear', name);
      await bob.peer('appear', name);
    }
    avahi.kill();
    await alice.end();
    await bob.end();
  });
});

describe('the packets of an advertisement', {
  concurrency: true,
  timeout: 60_000,
  ...needs('root', 'ip'),
}, () => {
  test('are three questions, an announcement, one answer to many who ask, and a goodbye', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    await using recorder = new Neighbour(third, { kind: 'raw', from: [third.address], send: [] });
    await recorder.ready();
    await using alice = announce(first, 1, 'alice');
    await alice.ready();
    const probes = heardFrom(recorder, first.address);
    assert.deepEqual(
      probes
        .slice(0, 3)
        .map(({ isResponse, questions, authorities }) => [
          isResponse,
          questions.map(({ name, type }) => [keyOf(name), type]),
          authorities.map(({ data }) => data.type),
        ]),
      Array(3).fill([false, [[keyOf(labelsOf('alice')), RECORD.ANY]], [RECORD.TXT, RECORD.SRV]]),
    );
    await recorder.until(() => heardFrom(recorder, first.address).length === 4);
    const announced = heardFrom(recorder, first.address)[3];
    assert.ok(announced?.isResponse);
    const unique = announced.answers.filter(({ flush }) => flush).map(({ data }) => data.type);
    assert.deepEqual(unique.sort(), [RECORD.TXT, RECORD.SRV]);
    // Twenty who ask at once, one that knows it already, one with an old list, one from another port.
    const known = announced.answers.filter(({ name }) => keyOf(name) === keyOf(SERVICE_NAME));
    assert.equal(known.length, 1);
    await delay(1100);
    const ask = question().toString('hex');
    await using asker = new Neighbour(second, {
      kind: 'raw',
      from: [second.address],
      send: [...Array(20).fill(ask), 1500, question(known).toString('hex'), 400],
    });
    await asker.until((line) => line.said === 'sent');
    const answers = () => heardFrom(recorder, first.address).filter(({ answers }) => answers.length === 1);
    assert.equal(answers().length, 1);
    assert.deepEqual(
      answers()[0]?.additionals.map(({ data }) => data.type),
      [RECORD.SRV, RECORD.TXT, RECORD.A, RECORD.AAAA, RECORD.AAAA],
    );
    await asker.end();
    await alice.end();
    await recorder.until(() =>
      heardFrom(recorder, first.address).some(({ answers }) => answers.some(({ ttl }) => ttl === 0)),
    );
    const goodbye = heardFrom(recorder, first.address).at(-1);
    assert.ok(goodbye?.answers.every(({ ttl }) => ttl === 0));
    // The first announcement, its repetition after three seconds where it came to that, one answer, one goodbye.
    const all = heardFrom(recorder, first.address).length;
    assert.ok(all === 6 || all === 7, `${all} packets`);
    await recorder.end();
  });

  test('of one who looks are further and further apart, and say what is known', async () => {
    await using network = await Network.create(3);
    const [first, second, third] = hostsOf(network);
    await using recorder = new Neighbour(third, { kind: 'raw', from: [third.address], send: [] });
    await recorder.ready();
    await using alice = announce(first, 1, 'alice');
    await alice.ready();
    await using bob = lookFor(second, 2);
    await bob.peer('appear', 'alice');
    await recorder.until(() => heardFrom(recorder, second.address).length === 3);
    const [unknown, ...known] = heardFrom(recorder, second.address).map(({ answers }) => answers.length);
    assert.deepEqual(known, [1, 1]);
    // Who is known has no need to answer, not even the first time: on a slow machine the announcement that is repeated
    // after three seconds may come before the question.
    const answers = heardFrom(recorder, first.address).filter(({ answers }) => answers.length === 1);
    assert.equal(answers.length, unknown === 0 ? 1 : 0);
    for (const machine of [alice, bob]) await machine.end();
    await recorder.end();
  });
});
