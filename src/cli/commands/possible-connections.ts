/** possible_connections: who is on the local network. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf } from '../../errors.ts';
import type { Browser, FoundPeer, TrustedPeer } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, option } from '../command.ts';
import type { Context } from '../context.ts';
import type { FoundEvent } from '../events.ts';
import { formatPeer } from '../peer-address.ts';
import { shownName } from '../peer-text.ts';
import { typedName } from '../reach.ts';
import { formatTime } from '../units.ts';

const DEFAULT_TIMEOUT = 2000;
const LONGEST_TIMEOUT = 600_000;

/** Reads `2s`, `500ms` or `1m` as milliseconds. Throws USAGE. */
function parseTimeout(typed: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,6}(?:\.\d+)?)(ms|s|m)$/.exec(typed) ?? [];
  const milliseconds = Number(digits) * ({ ms: 1, s: 1000, m: 60_000 }[unit] ?? 0);
  if (milliseconds > 0 && milliseconds <= LONGEST_TIMEOUT) return milliseconds;
  throw errorOf('USAGE', `"${escapeText(typed, 60)}" is not a time to look`, {
    hint: 'write 2s, 500ms or 1m, ten minutes at most',
  });
}

export const possibleConnections = defineCommand({
  name: 'possible_connections',
  aliases: [],
  group: 'reach',
  scope: 'both',
  summary: 'who is on the local network',
  notes: [
    'Names and keys are what the machines say of themselves. Nobody is dialled; the key is checked by connect.',
    'Listeners with --hidden, and those behind a network that keeps multicast back, are reached by HOST:PORT.',
  ],
  arguments: {},
  options: {
    timeout: option('T', 'how long to look, 2s unless given', parseTimeout),
    watch: flag('go on, and tell who comes and goes, until Ctrl-C'),
  },
  examples: [
    { line: 'possible_connections', does: 'lists names, addresses, and whose keys are trusted' },
    { line: 'possible_connections --watch --json', does: 'tells a program of each change' },
  ],
  run: async (context, { options: { timeout, watch } }) => {
    const localstream = await context.workspace.localstream();
    await using browser = await localstream.discover();
    const stop = () => browser.stop();
    context.signal.addEventListener('abort', stop, { once: true });
    try {
      const trusted = () => localstream.trust.list();
      if (watch) await watchPeers(context, browser, trusted);
      else await listPeers(context, browser, trusted, timeout ?? DEFAULT_TIMEOUT);
    } finally {
      context.signal.removeEventListener('abort', stop);
    }
  },
});

async function listPeers(
  { output, signal }: Context,
  browser: Browser,
  whoIsTrusted: () => Promise<TrustedPeer[]>,
  timeout: number,
): Promise<void> {
  await delay(timeout, undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
  const found = browser.found();
  const trusted = await whoIsTrusted();
  if (output.json) {
    for (const peer of found) output.event(foundEvent(peer, 'appear', trusted));
  } else if (found.length === 0) {
    output.note(
      'nobody has been found: are they on this network, and does their firewall let UDP 5353 through?',
    );
  } else {
    const lines = await alignColumns(
      found.map((peer) => [...cells(peer, trusted), formatTime(peer.lastSeen)]),
    );
    output.screen.out(`${lines.join('\n')}\n`);
  }
}

const SIGNS = { appear: '+', change: '~', vanish: '-' } as const;

/** Stopping it is its proper end. */
async function watchPeers(
  { output }: Context,
  browser: Browser,
  whoIsTrusted: () => Promise<TrustedPeer[]>,
): Promise<void> {
  for await (const { change, peer } of browser) {
    const trusted = await whoIsTrusted();
    output.result(foundEvent(peer, change, trusted), () =>
      [SIGNS[change], ...cells(peer, trusted)].join('  '),
    );
  }
}

/** Whose key a peer says to have, of those that are trusted. */
function claimedPeer(
  { fingerprintHint }: FoundPeer,
  trusted: readonly TrustedPeer[],
): TrustedPeer | undefined {
  if (fingerprintHint === undefined) return undefined;
  return trusted.find(({ fingerprint }) => fingerprint.slice('SHA256:'.length).startsWith(fingerprintHint));
}

function cells(peer: FoundPeer, trusted: readonly TrustedPeer[]): string[] {
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

function foundEvent(
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
    fingerprintHint: peer.fingerprintHint ?? null,
    trustedAs: claimed?.name ?? null,
    login: peer.login,
    own: peer.own,
    lastSeen: peer.lastSeen.toISOString(),
  };
}
