/** How those are shown who were found on the network. */
import type { FoundPeer, ScannedPeer, TrustedPeer } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import type { FoundEvent } from './events.ts';
import { formatPeer } from './peer-address.ts';
import { shownName } from './peer-text.ts';
import { typedName } from './reach.ts';

/** Whose key a peer says to have, of those that are trusted. */
function claimedPeer(
  { fingerprintHint }: FoundPeer,
  trusted: readonly TrustedPeer[],
): TrustedPeer | undefined {
  if (fingerprintHint === undefined) return undefined;
  return trusted.find(({ fingerprint }) => fingerprint.slice('SHA256:'.length).startsWith(fingerprintHint));
}

/** Name, place and standing of somebody who was found. */
export function foundCells(peer: FoundPeer, trusted: readonly TrustedPeer[]): string[] {
  const [best] = peer.addresses;
  const place = best === undefined ? '-' : escapeText(formatPlace(best.host, best.port));
  const claimed = claimedPeer(peer, trusted);
  const standing = peer.own
    ? 'this machine'
    : claimed
      ? `trusted as ${shownName(claimed.name)}`
      : 'unknown key';
  return [shownName(calledAs(peer.name)), place, peer.login ? `${standing}, login` : standing];
}

/** The name, in the form that `connect` takes where it can't be typed as it is. */
function calledAs(name: string): string {
  const typed = typedName(name);
  return typed === name.normalize('NFC').toLowerCase() ? name : typed;
}

function formatPlace(host: string, port: number): string {
  return host.includes('%') ? `[${host}]:${port}` : formatPeer(host, port);
}

/** The event of somebody who was found. */
export function foundEvent(
  peer: FoundPeer,
  change: FoundEvent['change'],
  trusted: readonly TrustedPeer[],
): FoundEvent {
  const claimed = claimedPeer(peer, trusted);
  return {
    event: 'found',
    change,
    name: peer.name,
    addresses: peer.addresses.map(({ host, port, family, interface: on, rank }) => ({
      host,
      port,
      family,
      interface: on,
      rank,
    })),
    by: 'multicast',
    fingerprint: null,
    fingerprintHint: peer.fingerprintHint ?? null,
    trustedAs: claimed?.name ?? null,
    login: peer.login,
    own: peer.own,
    lastSeen: peer.lastSeen.toISOString(),
  };
}

/** The same of somebody who answered when every address was tried. */
export function scannedCells(
  { host, port, fingerprint }: ScannedPeer,
  trusted: readonly TrustedPeer[],
): string[] {
  const known = trusted.find((peer) => peer.fingerprint === fingerprint);
  const standing = known ? `trusted as ${shownName(known.name)}` : 'unknown key';
  return [
    shownName(known === undefined ? host : calledAs(known.name)),
    formatPlace(host, port),
    `${standing}, by scan`,
  ];
}

/** The event of the same. */
export function scannedEvent(
  { host, port, fingerprint }: ScannedPeer,
  trusted: readonly TrustedPeer[],
): FoundEvent {
  const known = trusted.find((peer) => peer.fingerprint === fingerprint);
  return {
    event: 'found',
    change: 'appear',
    name: known?.name ?? host,
    addresses: [{ host, port, family: 4, interface: '', rank: 0 }],
    by: 'scan',
    fingerprint,
    fingerprintHint: null,
    trustedAs: known?.name ?? null,
    login: false,
    own: false,
    lastSeen: new Date().toISOString(),
  };
}
