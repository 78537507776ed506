/**
 * The hardware address of a neighbour, where the system knows it: on Linux, from its tables of neighbours. It is a hint for
 * the history, since anybody on the network can claim any.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';

const TABLE = '/proc/net/arp';
const ETHERNET = '0x1';
const NOBODY = '00:00:00:00:00:00';
const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/;
/** Milliseconds that the program is waited for which knows the IPv6 neighbours. */
const PATIENCE = 1000;
/** So many of them at once; who comes on top goes without. */
const MOST_ASKED = 4;
let asked = 0;

/** `aa:bb:cc:dd:ee:ff`; undefined where it is not known, as for this machine itself and beyond a router. Never rejects. */
export async function hardwareAddress(
  address: string,
  platform: NodeJS.Platform = process.platform,
): Promise<string | undefined> {
  const [, inner] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  const plain = inner ?? address;
  if (platform !== 'linux' || plain === '::1' || plain.startsWith('127.')) return undefined;
  try {
    const [host = '', zone] = plain.split('%');
    if (isIPv6(host)) return await neighbourByIPv6(host, zone);
    return macInTable(await readFile(TABLE, 'latin1'), host);
  } catch {
    return undefined;
  }
}

/** What the system's table of IPv4 neighbours says. */
export function macInTable(table: string, address: string): string | undefined {
  for (const line of table.split('\n').slice(1)) {
    const [host, type, flags, mac = ''] = line.trim().split(/\s+/);
    // Flags of 0: it was asked for, and nobody has answered.
    if (host === address && type === ETHERNET && Number(flags) !== 0) return known(mac);
  }
  return undefined;
}

function known(mac: string): string | undefined {
  const lower = mac.toLowerCase();
  return MAC.test(lower) && lower !== NOBODY ? lower : undefined;
}

/** The kernel shows its IPv6 neighbours by no file, only to programs such as this one. */
async function neighbourByIPv6(host: string, zone: string | undefined): Promise<string | undefined> {
  if (asked >= MOST_ASKED) return undefined;
  asked += 1;
  try {
    const words = ['-6', 'neigh', 'show', 'to', host, ...(zone === undefined ? [] : ['dev', zone])];
    const answer = await new Promise<string>((resolve) => {
      execFile('ip', words, { timeout: PATIENCE }, (error, stdout) => resolve(error ? '' : stdout));
    });
    return known(/ lladdr (\S+)/.exec(answer)?.[1] ?? '');
  } finally {
    asked -= 1;
  }
}
