/**
 * Tries the port on the addresses around this machine's own, where multicast is kept back. Only on request, only in its
 * own networks, and no further than TLS: what a listener shows to anybody.
 */
import { BlockList, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { lanInterfaces } from '../discovery/interfaces.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { probe } from './probe.ts';

/** A localstream that answered at an address. */
export interface ScannedPeer {
  readonly host: string;
  readonly port: number;
  /** Of the key that it has shown. Whether that is trusted is another question. */
  readonly fingerprint: Fingerprint;
}

export interface ScanOptions {
  readonly port: number;
  /** Names of interfaces; all that reach others by default. */
  readonly interfaces?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Addresses that are tried at once: many more would look like an attack, and fill tables of small routers. */
const AT_ONCE = 64;
/** Milliseconds; on a local network nothing takes longer. */
const PATIENCE = 1000;
/** Networks of 254 addresses. */
const MOST_NETWORKS = 4;
/** Bits of the widest network that is gone through as a whole. */
const WIDEST = 24;

/** Everybody who answers, in the order in which they do. Throws CANCELLED. */
export async function* scan({ port, interfaces, signal }: ScanOptions): AsyncGenerator<ScannedPeer, void> {
  const stopped = new AbortController();
  const all = signal === undefined ? stopped.signal : AbortSignal.any([signal, stopped.signal]);
  const waiting = addressesAround(ownNetworks(interfaces));
  const found: ScannedPeer[] = [];
  let news = Promise.withResolvers<void>();
  let running = 0;
  const work = async () => {
    running += 1;
    for (let host = waiting.shift(); host !== undefined && !all.aborted; host = waiting.shift()) {
      const peer = await look(host, port, all);
      if (peer === undefined) continue;
      found.push(peer);
      news.resolve();
    }
    running -= 1;
    news.resolve();
  };
  const workers = Array.from({ length: AT_ONCE }, work);
  try {
    for (;;) {
      if (signal?.aborted) throw errorOf('CANCELLED');
      const peer = found.shift();
      if (peer !== undefined) yield peer;
      else if (running === 0) return;
      else {
        await news.promise;
        news = Promise.withResolvers();
      }
    }
  } finally {
    stopped.abort();
    await Promise.all(workers);
  }
}

async function look(host: string, port: number, signal: AbortSignal): Promise<ScannedPeer | undefined> {
  try {
    const { fingerprint } = await probe({ host, port }, PATIENCE, signal);
    return { host, port, fingerprint };
  } catch (error) {
    // Nobody, or somebody else. What is no error of ours is a defect.
    if (error instanceof LocalstreamError) return undefined;
    throw error;
  }
}

/** The IPv4 networks of the interfaces in use, as `ADDRESS/PREFIX` with this machine's own address. */
function ownNetworks(wanted: readonly string[] | undefined): string[] {
  const used = new Set(lanInterfaces(wanted).map(({ name }) => name));
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    used.has(name)
      ? addresses.flatMap(({ family, internal, cidr }) =>
          family === 'IPv4' && !internal && cidr ? [cidr] : [],
        )
      : [],
  );
}

/** The other addresses of these networks; of a wide network only the 254 around our own. */
export function addressesAround(networks: readonly string[]): string[] {
  const own = new Set(networks.map((cidr) => cidr.split('/')[0] ?? ''));
  const found = new Set<string>();
  for (const cidr of networks.slice(0, MOST_NETWORKS)) {
    const [address = '', prefix = ''] = cidr.split('/');
    if (!isIPv4(address)) continue;
    const within = new BlockList();
    within.addSubnet(address, Math.max(WIDEST, Number(prefix)), 'ipv4');
    const start = address.slice(0, address.lastIndexOf('.'));
    for (let last = 1; last <= 254; last += 1) {
      const candidate = `${start}.${last}`;
      if (!own.has(candidate) && within.check(candidate, 'ipv4')) found.add(candidate);
    }
  }
  return [...found];
}
