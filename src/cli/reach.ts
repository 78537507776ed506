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

/** Milliseconds that a peer is looked for on the network. */
const LOOK = 2000;
/** The same for a trusted peer with a remembered address. */
const LOOK_KNOWN = 300;
/** Milliseconds that the system's answer is waited for when somebody of that name has been found already. */
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
export async function waysTo(
  localstream: Localstream,
  { host, port }: Way,
  signal: AbortSignal,
): Promise<Ways> {
  const direct: Ways = { ways: [{ host, port }], fingerprint: undefined };
  if (isIP(host.split('%')[0] ?? '') !== 0) return direct;
  const resolving = lookup(host, { all: true }).then(
    (found) => found.map(({ address }) => address),
    () => undefined,
  );
  const trusted = await localstream.trust.byName(host);
  const known = knownPlaces(trusted);
  const isByName =
    trusted !== undefined &&
    (trusted.siblings ?? []).length === 0 &&
    (port === undefined || known.some((way) => way.port === port));
  // Names like `nas` and `nas.local` are answered at once where they are known: nobody needs to be looked for.
  const resolved = await Promise.race([resolving, after(100, signal, undefined)]);
  if (resolved && !isByName) return direct;
  const matches = (peer: FoundPeer) =>
    trusted === undefined
      ? typedName(peer.name) === typedName(host)
      : peer.fingerprintHint !== undefined && keyText(trusted).startsWith(peer.fingerprintHint);
  const [latest] = known;
  const isThere = latest !== undefined && (latest.host === host || resolved?.includes(latest.host));
  // Whoever has a remembered address is most likely there; others can only be looked for.
  const look = known.length > 0 || resolved ? LOOK_KNOWN : LOOK;
  const found = isThere ? [] : await lookAround(localstream, matches, look, signal);
  const patience = found.length > 0 || look === LOOK_KNOWN ? LATE : LOOK;
  const isSystems = (await Promise.race([resolving, after(patience, signal, undefined)])) !== undefined;
  if (isSystems && !isByName) return direct;
  signal.throwIfAborted();
  if (trusted === undefined && found.length > 1) throw ambiguous(host, found);
  const ways = [
    ...found.flatMap(({ addresses }) => addresses.map((way) => ({ host: way.host, port: port ?? way.port }))),
    ...known.map((way) => ({ host: way.host, port: port ?? way.port })),
  ].slice(0, MOST_WAYS);
  if (isSystems) ways.push({ host, port: port ?? localstream.settings.port });
  const unique = [...new Map(ways.map((way) => [`${way.host} ${way.port}`, way])).values()];
  const [first, ...rest] = unique;
  if (first === undefined) throw unknown(host);
  return { ways: [first, ...rest], fingerprint: trusted?.fingerprint };
}

/** Dials one way after the other until one leads to the peer. A wrong key on the way outweighs what else went wrong. */
export async function dialWays<Result>({ ways }: Ways, dial: (way: Way) => Promise<Result>): Promise<Result> {
  let alarm: LocalstreamError | undefined;
  for (const [index, way] of ways.entries()) {
    try {
      return await dial(way);
    } catch (error) {
      if (error instanceof LocalstreamError && error.code === 'KEY_CHANGED') alarm ??= error;
      const isWorthIt = error instanceof LocalstreamError && TRY_NEXT.has(error.code);
      if (!isWorthIt || index === ways.length - 1) throw alarm ?? error;
    }
  }
  throw alarm ?? errorOf('UNREACHABLE');
}

function keyText({ fingerprint }: TrustedPeer): string {
  return fingerprint.slice('SHA256:'.length);
}

/** Where a trusted peer was met before. */
function knownPlaces(trusted: TrustedPeer | undefined): Way[] {
  return (trusted?.addresses ?? []).map(parsePeer).map(({ host, port }) => ({ host, port }));
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
  void after(milliseconds, signal, undefined).then(() => browser.stop());
  for await (const { change, peer } of browser) if (change !== 'vanish' && matches(peer)) break;
  return browser.found().filter(matches);
}

/** Resolves after a while, or at once when the signal aborts. */
function after<Value>(milliseconds: number, signal: AbortSignal, value: Value): Promise<Value> {
  const { promise, resolve } = Promise.withResolvers<Value>();
  const timer = setTimeout(() => resolve(value), milliseconds).unref();
  const stop = () => {
    clearTimeout(timer);
    resolve(value);
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return promise;
}

function unknown(host: string): LocalstreamError {
  return errorOf('NO_SUCH_HOST', `'${escapeText(host)}' is no host, no trusted peer and nobody found here`, {
    hint: 'possible_connections shows who is there; HOST:PORT works without being found',
  });
}

function ambiguous(host: string, found: readonly FoundPeer[]): LocalstreamError {
  const places = found.flatMap(({ addresses }) => addresses.slice(0, 1).map((way) => escapeText(way.host)));
  return errorOf('USAGE', `${found.length} machines go by the name '${escapeText(host)}'`, {
    hint: `write the address: ${places.slice(0, 4).join(', ')}`,
  });
}
