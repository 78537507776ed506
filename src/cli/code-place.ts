/** Where a pairing code is open: where a person says, or where the network says. */
import { setTimeout as delay } from 'node:timers/promises';
import { parsePairingCode } from '../crypto/pairing-code.ts';
import { errorOf } from '../errors.ts';
import type { Localstream, Session, TypedCode } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import type { Context } from './context.ts';
import type { PeerAddress } from './peer-address.ts';
import { dialWays, type Way, type Ways } from './reach.ts';

/** Milliseconds that a code is looked for. */
const LOOK = 5000;
/** Milliseconds more, once it is found: somebody else may say to have the same number. */
const LOOK_ON = 500;

/** Connects to the machine on which a code was opened, and proves it. Throws WRONG_CODE, NOT_FOUND, USAGE, … */
export async function dialCode(
  context: Context,
  typed: TypedCode,
  from: PeerAddress | undefined,
): Promise<Session> {
  const { nameplate } = parsePairingCode(typed.code);
  const { workspace, signal } = context;
  const localstream = await workspace.localstream();
  const ways = from === undefined ? await findCode(localstream, nameplate, signal) : placeOf(from);
  return await dialWays(ways, ({ host, port }) =>
    localstream.connect({ host, ...(port === undefined ? {} : { port }), pairing: typed, signal }),
  );
}

function placeOf({ host, port }: PeerAddress): Ways {
  // Codes are opened on whatever port is free: a guess would reach somebody else.
  if (port === undefined)
    throw errorOf('USAGE', 'the port is missing', { hint: 'write --from HOST:PORT, as it is shown there' });
  return { ways: [{ host, port }], fingerprint: undefined };
}

async function findCode(localstream: Localstream, nameplate: number, signal: AbortSignal): Promise<Ways> {
  const hint = 'write --from HOST:PORT, as it is shown where the code is';
  if (localstream.settings.discovery.enabled === 'off')
    throw errorOf('NOT_FOUND', 'nobody is looked for on the network, as the settings say', { hint });
  await using browser = await localstream.discover();
  const over = new AbortController();
  const stop = () => over.abort();
  signal.addEventListener('abort', stop, { once: true });
  const late = (milliseconds: number) =>
    void delay(milliseconds, undefined, { signal: over.signal, ref: false }).then(
      () => browser.stop(),
      () => browser.stop(),
    );
  late(LOOK);
  const fitting = () => browser.found().filter((peer) => !peer.own && peer.nameplates.includes(nameplate));
  let isFound = false;
  try {
    for await (const _change of browser) {
      if (isFound || fitting().length === 0) continue;
      isFound = true;
      late(LOOK_ON);
    }
  } finally {
    over.abort();
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
  const [found, another] = fitting();
  if (found === undefined)
    throw errorOf('NOT_FOUND', `nobody is found who waits for code ${nameplate}`, { hint });
  if (another !== undefined)
    throw errorOf(
      'USAGE',
      `two machines wait for a code ${nameplate}: '${escapeText(found.name)}' and '${escapeText(another.name)}'`,
      { hint },
    );
  const [first, ...rest] = found.addresses.map(({ host, port }): Way => ({ host, port }));
  if (first === undefined) throw errorOf('NOT_FOUND', `code ${nameplate} has no address`, { hint });
  return { ways: [first, ...rest], fingerprint: undefined };
}
