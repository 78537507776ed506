/** Which of a peer's addresses to try first, and which never. */
import { BlockList, isIPv6 } from 'node:net';
import { isOnSubnet, isVirtual, type LanInterface } from './interfaces.ts';

/** One way to a peer. */
export interface PeerAddress {
  /** Fit to be dialled: link-local IPv6 has its zone. */
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
  /** The interface that it was heard on. */
  readonly interface: string;
  /** The lower, the likelier it is reached. */
  readonly rank: number;
}

type Subnet = readonly [address: string, prefix: number];

function blockList(ipv4: readonly Subnet[], ipv6: readonly Subnet[] = []): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ipv4) list.addSubnet(address, prefix, 'ipv4');
  for (const [address, prefix] of ipv6) list.addSubnet(address, prefix, 'ipv6');
  return list;
}

/** Nobody is a peer there: unspecified, loopback, multicast, reserved. */
const NEVER = blockList(
  [
    ['0.0.0.0', 8],
    ['127.0.0.0', 8],
    ['224.0.0.0', 3],
  ],
  [
    ['::', 96],
    ['ff00::', 8],
  ],
);
/** IPv4 in the clothes of IPv6. A block list would take it for IPv4 itself. */
const MAPPED = /^::ffff:/i;
const LINK_LOCAL = blockList([['169.254.0.0', 16]], [['fe80::', 10]]);
const PRIVATE = blockList(
  [
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
  ],
  [['fc00::', 7]],
);
/** Where container engines take their networks from: the same ones on every machine. */
const CONTAINERS = blockList([
  ['172.17.0.0', 16],
  ['172.18.0.0', 15],
  ['172.20.0.0', 14],
  ['172.24.0.0', 14],
  ['172.28.0.0', 14],
  ['192.168.122.0', 24],
  ['10.88.0.0', 16],
]);

const VIRTUAL_RANK = 10;

/** The rank of an address heard on an interface; undefined where it can't be a peer's. */
export function rankOf(address: string, lan: LanInterface): number | undefined {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  if (MAPPED.test(address) || NEVER.check(address, family)) return undefined;
  return placeRank(address, family, lan) + (isVirtual(lan.name) ? VIRTUAL_RANK : 0);
}

function placeRank(address: string, family: 'ipv4' | 'ipv6', lan: LanInterface): number {
  if (LINK_LOCAL.check(address, family)) return family === 'ipv4' ? 7 : 6;
  if (isOnSubnet(lan, address)) return family === 'ipv4' ? 0 : 1;
  if (CONTAINERS.check(address, family)) return 8;
  if (PRIVATE.check(address, family)) return family === 'ipv4' ? 2 : 3;
  return family === 'ipv4' ? 5 : 4;
}

/** Makes an address heard on an interface fit to be dialled. */
export function dialledAs(address: string, lan: LanInterface): string {
  return isIPv6(address) && LINK_LOCAL.check(address, 'ipv6') ? `${address}%${lan.zone}` : address;
}

/** Sorts by rank; among equals the same order always. */
export function byRank(a: PeerAddress, b: PeerAddress): number {
  return a.rank - b.rank || a.family - b.family || (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);
}
