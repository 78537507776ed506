/** possible_connections: who is on the local network. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf, LocalstreamError } from '../../errors.ts';
import type { Browser, FoundPeer, ScannedPeer, TrustedPeer } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, option } from '../command.ts';
import type { Context } from '../context.ts';
import { foundCells, foundEvent, scannedCells, scannedEvent } from '../found-text.ts';
import type { Output } from '../output.ts';
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
    "With --scan it tries the port (the setting port) on the addresses of this machine's own IPv4 networks, of a wide one on the 254 around its own, and goes no further than the key that whoever answers shows, and their operators are told of it.",
    'Listeners with --hidden, and those behind a network that keeps multicast back, are reached by HOST:PORT.',
  ],
  arguments: {},
  options: {
    timeout: option('T', 'how long to look, 2s unless given', parseTimeout),
    scan: flag('try the port on every address of the own networks too, once'),
    watch: flag('go on, and tell who comes and goes, until Ctrl-C'),
  },
  examples: [
    { line: 'possible_connections', does: 'lists names, addresses, and whose keys are trusted' },
    { line: 'possible_connections --scan', does: 'finds listeners also where multicast is kept back' },
    { line: 'possible_connections --watch --json', does: 'tells a program of each change' },
  ],
  run: async (context, { options: { timeout, scan, watch } }) => {
    const localstream = await context.workspace.localstream();
    const isOff = localstream.settings.discovery.enabled === 'off';
    if (isOff) context.output.note(scan ? OFF_TEXT : `${OFF_TEXT}; --scan tries every address`);
    if (isOff && !scan) return;
    await using browser = isOff ? undefined : await localstream.discover();
    const stop = () => browser?.stop();
    context.signal.addEventListener('abort', stop, { once: true });
    try {
      const trusted = () => localstream.trust.list();
      const scanned = scan ? localstream.scan({ signal: context.signal }) : undefined;
      if (watch) await watchPeers(context, browser, scanned, trusted);
      else await listPeers(context, browser, scanned, trusted, timeout ?? DEFAULT_TIMEOUT);
    } finally {
      context.signal.removeEventListener('abort', stop);
    }
  },
});

/** Told where the network may not be asked. */
const OFF_TEXT = 'the setting discovery.enabled is off: nobody is looked for by multicast';

async function listPeers(
  { output, signal }: Context,
  browser: Browser | undefined,
  scanned: AsyncIterable<ScannedPeer> | undefined,
  whoIsTrusted: () => Promise<TrustedPeer[]>,
  timeout: number,
): Promise<void> {
  const [answered] = await Promise.all([
    gather(scanned),
    browser && delay(timeout, undefined, { signal }).catch(() => {}),
  ]);
  signal.throwIfAborted();
  const found = browser?.found() ?? [];
  const more = answered.filter((peer) => !isAmong(peer, found));
  const trusted = await whoIsTrusted();
  if (output.json) {
    for (const peer of found) output.event(foundEvent(peer, 'appear', trusted));
    for (const peer of more) output.event(scannedEvent(peer, trusted));
  } else if (found.length + more.length === 0) {
    output.note(
      'nobody has been found: are they on this network, and does their firewall let UDP 5353 through? doctor looks for what is in the way here, and --scan tries every address',
    );
  } else {
    const now = formatTime(new Date());
    const lines = await alignColumns([
      ...found.map((peer) => [...foundCells(peer, trusted), formatTime(peer.lastSeen)]),
      ...more.map((peer) => [...scannedCells(peer, trusted), now]),
    ]);
    output.screen.out(`${lines.join('\n')}\n`);
  }
}

const SIGNS = { appear: '+', change: '~', vanish: '-' } as const;

/** Stopping it is its proper end. */
async function watchPeers(
  { output }: Context,
  browser: Browser | undefined,
  scanned: AsyncIterable<ScannedPeer> | undefined,
  whoIsTrusted: () => Promise<TrustedPeer[]>,
): Promise<void> {
  const telling = tellScanned(output, scanned, browser, whoIsTrusted);
  for await (const { change, peer } of browser ?? []) {
    const trusted = await whoIsTrusted();
    output.result(foundEvent(peer, change, trusted), () =>
      [SIGNS[change], ...foundCells(peer, trusted)].join('  '),
    );
  }
  await telling;
}

/** Tells of those who answer and have not been found otherwise. Stopping it is its proper end. */
async function tellScanned(
  output: Output,
  scanned: AsyncIterable<ScannedPeer> | undefined,
  browser: Browser | undefined,
  whoIsTrusted: () => Promise<TrustedPeer[]>,
): Promise<void> {
  try {
    for await (const peer of scanned ?? []) {
      if (isAmong(peer, browser?.found() ?? [])) continue;
      const trusted = await whoIsTrusted();
      output.result(scannedEvent(peer, trusted), () =>
        [SIGNS.appear, ...scannedCells(peer, trusted)].join('  '),
      );
    }
  } catch (error) {
    if (!(error instanceof LocalstreamError) || error.code !== 'CANCELLED') throw error;
  }
}

async function gather(scanned: AsyncIterable<ScannedPeer> | undefined): Promise<ScannedPeer[]> {
  const all: ScannedPeer[] = [];
  for await (const peer of scanned ?? []) all.push(peer);
  return all;
}

/** Whether who answers at an address has been found there by what it announces. */
function isAmong({ host, port }: ScannedPeer, found: readonly FoundPeer[]): boolean {
  return found.some(({ addresses }) => addresses.some((way) => way.host === host && way.port === port));
}
