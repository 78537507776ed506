import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, test } from 'node:test';
import { isFromLink, isVirtual, type LanInterface, lanInterfaces } from '../../src/discovery/interfaces.ts';
import { byRank, dialledAs, type PeerAddress, rankOf } from '../../src/discovery/reachability.ts';

function lan(name: string): LanInterface {
  const subnets = new BlockList();
  subnets.addSubnet('192.168.1.0', 24, 'ipv4');
  subnets.addSubnet('fd77::', 64, 'ipv6');
  subnets.addSubnet('fe80::', 64, 'ipv6');
  return { name, zone: name, ipv4: ['192.168.1.2'], ipv6: ['fd77::2'], subnets, signature: name };
}

const eth0 = lan('eth0');

describe('the rank of an address', () => {
  test('puts what is next door first, link-local and containers last', () => {
    const inOrder = [
      '192.168.1.9',
      'fd77::9',
      '10.0.0.9',
      'fd99::9',
      '2001:db8::9',
      '203.0.113.9',
      'fe80::9',
      '169.254.3.4',
      '172.17.0.1',
    ];
    const ranked = inOrder.toReversed().map(
      (host): PeerAddress => ({
        host,
        port: 1,
        family: host.includes(':') ? 6 : 4,
        interface: 'eth0',
        rank: rankOf(host, eth0) ?? Number.NaN,
      }),
    );
    assert.deepEqual(
      ranked.sort(byRank).map(({ host }) => host),
      inOrder,
    );
    for (const name of ['docker0', 'br-0123456789ab', 'tun0', 'wg0', 'utun3', 'virbr0', 'tailscale0']) {
      assert.ok(isVirtual(name), name);
      const [there = 0, here = 0] = [rankOf('192.168.1.9', lan(name)), rankOf('172.17.0.1', eth0)];
      assert.ok(there > here, name);
    }
    for (const name of ['eth0', 'enp3s0', 'wlan0', 'wlp2s0', 'en0', 'bond0', 'Wi-Fi', 'Ethernet'])
      assert.ok(!isVirtual(name), name);
  });

  test('is none where no peer can be', () => {
    for (const address of [
      '0.0.0.0',
      '127.0.0.1',
      '127.9.9.9',
      '224.0.0.251',
      '255.255.255.255',
      '240.0.0.1',
    ])
      assert.equal(rankOf(address, eth0), undefined, address);
    for (const address of ['::', '::1', 'ff02::fb', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::7f00:1'])
      assert.equal(rankOf(address, eth0), undefined, address);
  });
});

test('a link-local address is dialled with the zone that it was heard in', () => {
  assert.equal(dialledAs('fe80::9', eth0), 'fe80::9%eth0');
  assert.equal(dialledAs('fd77::9', eth0), 'fd77::9');
  assert.equal(dialledAs('169.254.3.4', eth0), '169.254.3.4');
});

test('a packet belongs to an interface by its zone, or by the network of its source', () => {
  assert.ok(isFromLink(eth0, '192.168.1.77'));
  assert.ok(!isFromLink(eth0, '192.168.2.77'));
  assert.ok(isFromLink(eth0, 'fe80::1%eth0'));
  assert.ok(!isFromLink(eth0, 'fe80::1%eth1'));
  assert.ok(isFromLink(eth0, 'fd77::5'));
});

test('loopback is never an interface of the network', () => {
  for (const found of lanInterfaces(undefined)) {
    assert.ok(!found.ipv4.some((address) => address.startsWith('127.')));
    assert.ok(!found.ipv6.includes('::1'));
  }
  assert.deepEqual(lanInterfaces(['lo']), []);
  assert.deepEqual(lanInterfaces(['no-such-interface']), []);
});
