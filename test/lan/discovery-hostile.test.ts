import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RECORD, textLabel, writeMessage } from '../../src/discovery/message.ts';
import { SERVICE_NAME } from '../../src/discovery/records.ts';
import { announcement, HOSTILE, labelsOf, question, recordsOf } from '../discovery/packets.ts';
import { needs } from '../needs.ts';
import { Neighbour } from './neighbour.ts';
import { type Host, Network } from './network.ts';

function pair(network: Network): [Host, Host] {
  const [first, second] = network.hosts;
  assert.ok(first && second);
  return [first, second];
}

/** One who looks, announces `alice` too, and is the target of everything. */
function target(host: Host): Neighbour {
  const task = {
    kind: 'discovery',
    number: 1,
    advertise: [{ name: 'alice', port: 7353 }],
    browse: true,
  } as const;
  return new Neighbour(host, task);
}

/** The same, once it hears what is sent. */
async function awake(host: Host): Promise<Neighbour> {
  const alice = target(host);
  await alice.peer('appear', 'alice');
  return alice;
}

function attack(host: Host, send: readonly (Buffer | number)[], from = [host.address]): Neighbour {
  const steps = send.map((step) => (typeof step === 'number' ? step : step.toString('hex')));
  return new Neighbour(host, { kind: 'raw', from, send: steps });
}

/** Gives a host more addresses, so that it can be many senders. */
function crowd(host: Host, count: number): string[] {
  const addresses = Array.from({ length: count }, (_, index) => `10.77.0.${index + 20}`);
  const lines = addresses.map((address) => `address add ${address}/24 dev eth0`).join('\n');
  execFileSync('ip', ['-n', host.namespace, '-batch', '-'], { input: lines });
  return addresses;
}

function residentBytes({ pid }: Neighbour): number {
  const [, kilobytes] = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

describe('a hostile neighbour', { concurrency: true, timeout: 60_000, ...needs('root', 'ip') }, () => {
  test('kills nobody with a packet, and hides nobody', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await using alice = await awake(first);
    const packets = [...HOSTILE.values()];
    const flipped = [...announcement({ name: 'flipped' })].map((byte, at, all) =>
      Buffer.from(all).fill(byte ^ 0xff, at, at + 1),
    );
    await using mallory = attack(second, [...packets, ...flipped, 200, announcement({ name: 'honest' })]);
    await alice.peer('appear', 'honest');
    const { counts } = await alice.end();
    assert.ok(counts.refused >= packets.length - 1, `${counts.refused} refused`);
    await mallory.end();
  });

  test('is heard byte for byte: dots, escape sequences, and a name as long as a label', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await using alice = await awake(first);
    const names = ['a.b.c', '\x1b[2J\x1b[31mroot', '\u202egnp.exe', '\n\r\0', 'x'.repeat(63), '..\\'];
    await using _mallory = attack(
      second,
      names.map((name) => announcement({ name, host: 'h' })),
    );
    for (const name of names) await alice.peer('appear', name);
    await alice.end();
  });

  test('cannot send anybody to loopback, multicast or nowhere', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await using alice = await awake(first);
    const addresses = [
      '127.0.0.1',
      '0.0.0.0',
      '224.0.0.251',
      '255.255.255.255',
      '::1',
      '::',
      'ff02::1',
      '::ffff:7f00:1',
    ];
    await using _mallory = attack(second, [
      announcement({ name: 'trap', addresses }),
      announcement({ name: 'half', addresses: [...addresses, '10.77.0.2'] }),
    ]);
    const { peer } = await alice.peer('appear', 'half');
    assert.deepEqual(
      peer.addresses.map(({ host }) => host),
      ['10.77.0.2'],
    );
    assert.deepEqual(alice.present, ['alice', 'half']);
    await alice.end();
  });

  test('with four thousand services leaves room for the honest, and little to remember', async () => {
    await using network = await Network.create(3);
    const [first, second] = pair(network);
    const [, , third] = network.hosts;
    assert.ok(third);
    await using alice = await awake(first);
    const before = residentBytes(alice);
    const flood = Array.from({ length: 4000 }, (_, index) =>
      announcement({ name: `flood ${index}`, ttl: 0x7fffffff }),
    );
    await using mallory = attack(second, flood, crowd(second, 100));
    await mallory.until((line) => line.said === 'sent');
    await using bob = new Neighbour(third, {
      kind: 'discovery',
      number: 2,
      advertise: [{ name: 'honest', port: 7353 }],
      browse: true,
    });
    await alice.peer('appear', 'honest');
    await bob.peer('appear', 'alice');
    const grown = residentBytes(alice) - before;
    assert.ok(grown < 100 * 1024 * 1024, `${grown} bytes more`);
    const { found } = await alice.end();
    assert.ok(found <= 512, `${found} found`);
    await bob.end();
  });

  test('who asks without end is answered once a second', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await using alice = await awake(first);
    await using mallory = attack(second, Array(1000).fill(question()), crowd(second, 50));
    await mallory.until((line) => line.said === 'sent');
    const { counts } = await alice.end();
    // Probes, announcements and questions of its own by IPv4 and IPv6, and the few answers.
    assert.ok(counts.sent < 40, `${counts.sent} sent`);
  });

  test('who names what it does not describe is asked a few times, not for each name', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    await using alice = await awake(first);
    const pointers = Array.from({ length: 2000 }, (_, index) =>
      writeMessage({ isResponse: true, answers: recordsOf({ name: `ghost ${index}` }).slice(0, 1) }),
    );
    await using mallory = attack(second, pointers, crowd(second, 100));
    await mallory.until((line) => line.said === 'sent');
    await delay(2000);
    const { counts, found } = await alice.end();
    assert.equal(found, 1);
    assert.ok(counts.sent < 60, `${counts.sent} sent`);
  });

  test('who claims every name makes us take others, more and more slowly, and prints nothing', async () => {
    await using network = await Network.create(2);
    const [first, second] = pair(network);
    const rivals = ['alice', ...Array.from({ length: 40 }, (_, index) => `alice (${index + 2})`)].map(
      (name) =>
        writeMessage({
          isResponse: true,
          answers: [
            {
              name: labelsOf(name),
              flush: true,
              ttl: 120,
              data: { type: RECORD.SRV, port: 65535, target: ['zzz', 'local'] },
            },
          ],
        }),
    );
    await using alice = await awake(first);
    await using _mallory = attack(
      second,
      Array(100)
        .fill([...rivals, 50])
        .flat(),
    );
    await alice.until((line) => line.said === 'renamed' && line.name === 'alice (15)');
    const { counts } = await alice.end();
    assert.ok(counts.sent < 200, `${counts.sent} sent`);
  });

  test('cannot say goodbye for a peer, which speaks up, nor make it two', async () => {
    await using network = await Network.create(3);
    const [first, second] = pair(network);
    const [, , third] = network.hosts;
    assert.ok(third);
    await using alice = await awake(first);
    await using bob = new Neighbour(third, { kind: 'discovery', number: 2, browse: true });
    await bob.peer('appear', 'alice');
    const pointer = {
      name: SERVICE_NAME,
      flush: false,
      ttl: 0,
      data: { type: RECORD.PTR, target: [textLabel('ALICE'), ...SERVICE_NAME] },
    } as const;
    const goodbye = writeMessage({ isResponse: true, answers: [pointer] });
    await using mallory = attack(second, [goodbye, 1500, goodbye, goodbye, 1500]);
    await mallory.until((line) => line.said === 'sent');
    // A busy machine may speak up later than the one second after which a goodbye counts; then it is found again.
    for (let tries = 0; tries < 100 && bob.present.join() !== 'alice'; tries += 1) await delay(100);
    assert.deepEqual(bob.present, ['alice']);
    // Its own goodbye counts. What it has announced would live for minutes yet, longer than anything is waited for here.
    const vanished = () => bob.said.filter((line) => line.said === 'peer' && line.change === 'vanish').length;
    const before = vanished();
    await alice.end();
    await bob.until(() => vanished() > before);
    assert.deepEqual(bob.present, []);
    await bob.end();
  });
});
