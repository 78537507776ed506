/** From what a person calls a peer to addresses to dial: an address, a name of the system, of a trusted peer, or found. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Browser, Fingerprint, FoundPeer, Localstream, TrustedPeer } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import { parsePeer } from './peer-address.ts';

/** One place to dial. */
export interface Way {
  readonly host: string;
  readonly port: number | undefined;
}

/** Where a peer may be, the likeliest first, and the key that it must have where its name says so. */
export interface Ways {
  readonly ways: readonly [Way, ...Way[]];
  readonly fingerprint: Fingerprint | undefined;
}

/** Milliseconds in which the system answers for names that it knows by itself, like `nas` and `nas.local`. */
const AT_ONCE = 100;
/** Milliseconds that a peer is looked for on the network. */
const LOOK = 2000;
/** The same where there is a place to dial already. */
const LOOK_KNOWN = 300;
/** Milliseconds that the system's answer is waited for when there is a place to dial already. */
const LATE = 300;
const MOST_WAYS = 6;

/** Codes after which another address of the same peer is worth a try: nothing of ours has been sent. */
const TRY_NEXT = new Set(['UNREACHABLE', 'TIMEOUT', 'NOT_LOCALSTREAM', 'NO_SUCH_HOST', 'KEY_CHANGED']);

/** A name as it can be typed where a peer is meant, in lower case: spaces and separators become hyphens. */
export function typedName(name: string): string {
  return name
    .normalize('NFC')
    .toLowerCase()
    .replace(/[\s\p{C}:/\\@[\]"'%]+/gu, '-')
    .replace(/^-+/, '');
}

/**
 * Finds where a peer is. A trusted peer's name comes first: where it was met, where the network has it, and what the
 * system makes of the name, each with its pinned key. Then names of the system, then whoever goes by that name here.
 *
 * With a port that no trusted peer of that name was met at, a name that the system knows is an address: another server
 * may run on that machine. So is one whose servers name each other, since any of them may answer there.
 *
 * @throws NO_SUCH_HOST, and USAGE where two go by that name.
 */
export async function waysTo(localstream: Localstream, wanted: Way, signal: AbortSignal): Promise<Ways> {
  const { host, port } = wanted;
  const direct: Ways = { ways: [wanted], fingerprint: undefined };
  if (isAddress(host)) return direct;
  const system = systemAddresses(host);
  const trusted = await localstream.trust.byName(host);
  const met = placesMet(trusted);
  const isPeerMeant = trusted !== undefined && meansPeer(trusted, met, port);
  // Nobody needs to be looked for where the system knows the name.
  const resolved = await within(AT_ONCE, system, signal);
  if (resolved && !isPeerMeant) return direct;

  const hasPlace = met.length > 0 || resolved !== undefined;
  const found = isWhereMet(met, host, resolved)
    ? []
    : await lookAround(localstream, isNamed(host, trusted), hasPlace ? LOOK_KNOWN : LOOK, signal);
  const patience = hasPlace || found.length > 0 ? LATE : LOOK;
  const isSystems = (await within(patience, system, signal)) !== undefined;
  if (isSystems && !isPeerMeant) return direct;
  signal.throwIfAborted();
  if (trusted === undefined && found.length > 1) throw ambiguous(host, found);

  const places = [...found.flatMap(({ addresses }) => addresses), ...met].slice(0, MOST_WAYS);
  const ways = places.map((place): Way => ({ host: place.host, port: port ?? place.port }));
  if (isSystems) ways.push({ host, port: port ?? localstream.settings.port });
  const [first, ...rest] = distinct(ways);
  if (first === undefined) throw trusted === undefined ? unknown(host) : nowhere(host);
  return { ways: [first, ...rest], fingerprint: trusted?.fingerprint };
}

/**
 * Dials one way after the other until one leads to the peer. Where none does, what went wrong on the likeliest one is
 * thrown; a wrong key on any way outweighs it.
 */
export async function dialWays<Result>({ ways }: Ways, dial: (way: Way) => Promise<Result>): Promise<Result> {
  let alarm: LocalstreamError | undefined;
  let first: LocalstreamError | undefined;
  for (const way of ways) {
    try {
      return await dial(way);
    } catch (error) {
      if (!(error instanceof LocalstreamError && TRY_NEXT.has(error.code))) throw alarm ?? error;
      if (error.code === 'KEY_CHANGED') alarm ??= error;
      first ??= error;
    }
  }
  throw alarm ?? first ?? errorOf('UNREACHABLE');
}

function isAddress(host: string): boolean {
  return isIP(host.split('%')[0] ?? '') !== 0;
}

/** What the system makes of a name; undefined where it knows none such. */
async function systemAddresses(host: string): Promise<string[] | undefined> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return undefined;
  }
}

/** Where a trusted peer was met, the latest place first. */
function placesMet(trusted: TrustedPeer | undefined): Way[] {
  return (trusted?.addresses ?? []).map(parsePeer).map(({ host, port }) => ({ host, port }));
}

/** Whether a trusted peer's name stands for that peer alone, and not for whatever server is at that port. */
function meansPeer({ siblings = [] }: TrustedPeer, met: readonly Way[], port: number | undefined): boolean {
  return siblings.length === 0 && (port === undefined || met.some((way) => way.port === port));
}

/** Whether the system leads to where the peer was met last: then it need not be looked for. */
function isWhereMet([latest]: readonly Way[], host: string, resolved: readonly string[] = []): boolean {
  return latest !== undefined && (latest.host === host || resolved.includes(latest.host));
}

/** Tells whether somebody who is found is the trusted peer; without one, whether they go by the name. */
function isNamed(host: string, trusted: TrustedPeer | undefined): (peer: FoundPeer) => boolean {
  if (trusted === undefined) return ({ name }) => typedName(name) === typedName(host);
  const key = trusted.fingerprint.slice('SHA256:'.length);
  return ({ fingerprintHint }) => fingerprintHint !== undefined && key.startsWith(fingerprintHint);
}

function distinct(ways: readonly Way[]): Way[] {
  return [...new Map(ways.map((way) => [`${way.host} ${way.port}`, way])).values()];
}

/** Looks on the network, if that is not turned off. */
async function lookAround(
  localstream: Localstream,
  matches: (peer: FoundPeer) => boolean,
  milliseconds: number,
  signal: AbortSignal,
): Promise<FoundPeer[]> {
  if (localstream.settings.discovery.enabled === 'off') return [];
  await using browser = await localstream.discover();
  return await firstFound(browser, matches, milliseconds, signal);
}

/** Everybody who matches, as soon as somebody does; nobody after a while. */
async function firstFound(
  browser: Browser,
  matches: (peer: FoundPeer) => boolean,
  milliseconds: number,
  signal: AbortSignal,
): Promise<FoundPeer[]> {
  void after(milliseconds, signal).then(() => browser.stop());
  for await (const { change, peer } of browser) if (change !== 'vanish' && matches(peer)) break;
  return browser.found().filter(matches);
}

/** What a promise comes to, or undefined after a while, or at once when the signal aborts. */
function within<Value>(
  milliseconds: number,
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> {
  return Promise.race([promise, after(milliseconds, signal)]);
}

/** Resolves after a while, or at once when the signal aborts. */
function after(milliseconds: number, signal: AbortSignal): Promise<undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const stop = () => {
    clearTimeout(timer);
    resolve(undefined);
  };
  const timer = setTimeout(stop, milliseconds).unref();
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return promise;
}

function unknown(host: string): LocalstreamError {
  return errorOf('NO_SUCH_HOST', `'${escapeText(host)}' is no host, no trusted peer and nobody found here`, {
    hint: 'possible_connections shows who is there; HOST:PORT works without being found',
  });
}

/** Its key is trusted, by hand perhaps, which says nothing about where it is. */
function nowhere(host: string): LocalstreamError {
  return errorOf(
    'NO_SUCH_HOST',
    `'${escapeText(host)}' is trusted, but was never met, and is not found here`,
    {
      hint: 'use its HOST:PORT once; then the name is enough',
    },
  );
}

function ambiguous(host: string, found: readonly FoundPeer[]): LocalstreamError {
  const places = found.flatMap(({ addresses }) => addresses.slice(0, 1).map((way) => escapeText(way.host)));
  return errorOf('USAGE', `${found.length} machines go by the name '${escapeText(host)}'`, {
    hint: `write the address: ${places.slice(0, 4).join(', ')}`,
  });
}
