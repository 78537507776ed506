/** Looks at the way to a peer, one step after the other: where it is, whether it answers, who it is, how fast it goes. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Probed, probe } from '../client/probe.ts';
import type { Session } from '../client/session.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Localstream } from '../localstream.ts';
import type { SpeedDirection } from '../session/speed-tests.ts';
import { type Finding, fixOf, reasonOf } from './finding.ts';
import { type Reached, reach } from './reach.ts';

/** One place where the peer may be. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** A finding, and with it the error that the whole ends with. */
export type PathFinding = Finding & { readonly error?: LocalstreamError };

const PATIENCE = 5000;
/** Milliseconds that the session has for the first answer to a ping. */
const PONG = 3000;

/** Addresses of one name that are tried. */
const MOST_PLACES = 8;

/** The addresses that names stand for, for the system. */
export async function resolved(
  name: string,
  wanted: readonly Place[],
): Promise<{ readonly places: readonly Place[]; readonly finding: PathFinding }> {
  const found = await Promise.all(
    wanted.map(async ({ host, port }) => {
      if (isIP(host.split('%')[0] ?? '') !== 0) return [{ host, port }];
      const all = await lookup(host, { all: true }).catch(() => []);
      return all.map(({ address }) => ({ host: address, port }));
    }),
  );
  const places = [...new Map(found.flat().map((place) => [`${place.host} ${place.port}`, place])).values()];
  const shown = places.slice(0, MOST_PLACES).map(({ host }) => host);
  if (shown.length === 0) {
    const text = `'${name}' does not resolve`;
    return { places, finding: failed('resolve', text, errorOf('NO_SUCH_HOST', text)) };
  }
  const text =
    isIP(name.split('%')[0] ?? '') === 0 ? `'${name}' is ${shown.join(', ')}` : `${name} is an address`;
  return { places: places.slice(0, MOST_PLACES), finding: { id: 'resolve', grade: 'ok', text } };
}

/**
 * Follows the way to a peer as far as it leads. Nobody becomes trusted by it, and to a stranger nothing of ours is shown.
 *
 * @throws CANCELLED.
 */
export async function* examinePath(
  localstream: Localstream,
  places: readonly Place[],
  signal: AbortSignal,
): AsyncGenerator<PathFinding, void, undefined> {
  if (places.length === 0) return;
  const reached = await Promise.all(places.map((place) => reach(place, PATIENCE, signal)));
  yield* reached.map(({ finding }) => finding);
  const best = reached.filter((one) => one.milliseconds !== undefined).sort(byTime)[0];
  if (best === undefined) {
    const [first] = reached;
    yield failed('handshake', 'not tried: no address answers', first?.error ?? errorOf('UNREACHABLE'));
    return;
  }
  let probed: Probed;
  try {
    probed = await probe(best.place, PATIENCE, signal);
  } catch (error) {
    signal.throwIfAborted();
    yield failed('handshake', reasonOf(error), error);
    return;
  }
  const { cipher, group, fingerprint } = probed;
  const subject = best.place.host;
  yield { id: 'handshake', subject, grade: 'ok', text: `it is localstream: TLS 1.3, ${group}, ${cipher}` };
  const standing = await keyFinding(localstream, best.place, fingerprint);
  yield standing;
  if (standing.grade !== 'ok') {
    const rest = ['session', 'send-rate', 'receive-rate'] as const;
    const text = 'not tried: the key is not trusted here';
    yield {
      id: 'round-trip',
      grade: 'ok',
      text: timeText(best.milliseconds ?? 0),
      milliseconds: best.milliseconds ?? 0,
    };
    for (const id of rest) yield { id, grade: 'unknown', text };
    return;
  }
  yield* throughSession(localstream, best.place, fingerprint, signal);
}

function byTime(a: Reached, b: Reached): number {
  return (a.milliseconds ?? 0) - (b.milliseconds ?? 0);
}

function timeText(milliseconds: number): string {
  return `${milliseconds.toFixed(1)} ms there and back`;
}

function failed(id: Finding['id'], text: string, error: unknown): PathFinding {
  const own = error instanceof LocalstreamError ? { error } : {};
  return { id, grade: 'problem', text, ...fixOf(error), ...own };
}

/** Whose key it is, as far as this machine knows. */
async function keyFinding(
  { trust, fingerprint: own }: Localstream,
  { host, port }: Place,
  fingerprint: Probed['fingerprint'],
): Promise<PathFinding> {
  const known = await trust.get(fingerprint);
  if (known !== undefined) {
    return { id: 'key', grade: 'ok', text: `${fingerprint} is trusted as ${known.name}` };
  }
  const before = await trust.byAddress(host, port);
  if (before !== undefined) {
    const text = `${fingerprint} is another key than '${before.name}' had there: ${before.fingerprint}`;
    const error = errorOf('KEY_CHANGED', text, { hint: 'compare it there with localstream identity' });
    return { ...failed('key', text, error), error };
  }
  if (fingerprint === own)
    return { id: 'key', grade: 'warning', text: `${fingerprint} is this machine itself` };
  return {
    id: 'key',
    grade: 'warning',
    text: `${fingerprint} is not known here`,
    fix: 'compare it there with localstream identity, then connect',
  };
}

/** What only a peer that lets us in can tell. */
async function* throughSession(
  localstream: Localstream,
  { host, port }: Place,
  fingerprint: Probed['fingerprint'],
  signal: AbortSignal,
): AsyncGenerator<PathFinding, void, undefined> {
  let session: Session;
  try {
    // Whose key is given is pinned by it; this one is trusted, and stays as it was.
    session = await localstream.connect({ host, port, signal });
  } catch (error) {
    signal.throwIfAborted();
    yield failed('session', `${fingerprint}: ${reasonOf(error)}`, error);
    return;
  }
  try {
    yield { id: 'session', grade: 'ok', text: 'it lets this machine in' };
    const milliseconds = await roundTrip(session, signal);
    yield milliseconds === undefined
      ? { id: 'round-trip', grade: 'warning', text: `no answer within ${PONG / 1000} s` }
      : { id: 'round-trip', grade: 'ok', text: timeText(milliseconds), milliseconds };
    for (const direction of ['up', 'down'] as const) yield await rate(session, direction, signal);
  } finally {
    await session.close();
  }
}

async function roundTrip(session: Session, signal: AbortSignal): Promise<number | undefined> {
  const until = performance.now() + PONG;
  while (session.roundTrip === undefined && performance.now() < until) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return session.roundTrip;
}

async function rate(session: Session, direction: SpeedDirection, signal: AbortSignal): Promise<PathFinding> {
  const id = direction === 'up' ? 'send-rate' : 'receive-rate';
  try {
    const { bytes, milliseconds } = await session.measure(direction, { signal });
    const bytesPerSecond = Math.round((bytes * 1000) / milliseconds);
    const text = `${(bytesPerSecond / 1e6).toFixed(1)} MB/s ${direction === 'up' ? 'to' : 'from'} it`;
    return { id, grade: 'ok', text, bytesPerSecond };
  } catch (error) {
    signal.throwIfAborted();
    const isRefused =
      error instanceof LocalstreamError && ['NOT_ALLOWED', 'NOT_SUPPORTED', 'BUSY'].includes(error.code);
    if (isRefused) return { id, grade: 'unknown', text: `not measured: ${error.message}`, ...fixOf(error) };
    return failed(id, reasonOf(error), error);
  }
}
