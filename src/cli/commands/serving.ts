/** What the commands that open listeners share. */

import { errorOf, LocalstreamError } from '../../errors.ts';
import type { Auth, Listener, ListenOptions, ShareOptions } from '../../index.ts';
import { OFFER_RULES, type OfferRule } from '../../server/access.ts';
import { AUTHS } from '../../server/visit.ts';
import { announceListener, listeningEvent, listeningText } from '../announce.ts';
import { flag, list, option } from '../command.ts';
import type { Context, ServerHost } from '../context.ts';
import { giveBackMemory } from '../idle-memory.ts';
import { localPath } from '../operands.ts';
import type { Output } from '../output.ts';
import { peerText } from '../peer-text.ts';
import { parseShare } from '../share-argument.ts';
import { oneOf, path } from '../values.ts';

/** Who sees what, and who gets in. */
export const LISTEN_OPTIONS = {
  share: list(
    '[NAME=]DIR[:ro|rw|wo]',
    'a folder that peers see; may be given again and again',
    parseShare,
    'folder',
  ),
  open: flag('let unknown keys in without a question'),
  auth: option(
    AUTHS.join('|'),
    'who gets in: all (as --open), trusted keys, or users who log in',
    oneOf('a way in', AUTHS),
    AUTHS,
  ),
  hidden: flag('do not make it known on the network'),
  inbox: option(
    'DIR',
    'where offers go that are accepted; the inbox in the home unless given',
    path,
    'folder',
  ),
  offers: option(
    OFFER_RULES.join('|'),
    'ask about each offer, or accept those of trusted peers; the setting inbox.accept unless given',
    oneOf('a rule for offers', OFFER_RULES),
    OFFER_RULES,
  ),
} as const;

/** Told wherever unknown peers can come. */
export const DOOR_NOTE =
  'An unknown key is asked about (accept N, trust N or reject N in the shell and with serve --daemon, a question in a ' +
  'terminal) and turned away where nobody can be asked, unless the listener is --open or the key was trusted before. With --auth password every peer must log in as a user, and ' +
  'has what that user was granted.';

/** Where and how to listen. */
export interface Listening {
  readonly port: number;
  readonly host?: string | undefined;
  readonly max?: number | undefined;
  readonly shares?: readonly ShareOptions[];
  readonly open: boolean;
  readonly auth?: Auth | undefined;
  /** Not made known on the network. */
  readonly hidden?: boolean;
  readonly inbox?: string | undefined;
  readonly offers?: OfferRule | undefined;
}

/** Opens a listener, follows it and says that it is ready. */
export async function openListener(
  context: Context,
  { port, host, max, shares, open, auth, hidden = false, inbox, offers }: Listening,
): Promise<Listener> {
  const localstream = await context.workspace.localstream();
  await makeRoom(context, port);
  const decide = context.asker.client;
  const options: ListenOptions = {
    port,
    open,
    advertise: !hidden && localstream.settings.discovery.enabled === 'on',
    ...(host === undefined ? {} : { host }),
    ...(auth === undefined ? {} : { auth }),
    ...(max === undefined ? {} : { maxConnections: max }),
    ...(shares === undefined
      ? {}
      : { shares: shares.map((share) => ({ ...share, folder: localPath(context, share.folder) })) }),
    ...(decide === undefined ? {} : { decide }),
    inbox: {
      ...(inbox === undefined ? {} : { folder: localPath(context, inbox) }),
      ...(offers === undefined ? {} : { accept: offers }),
    },
  };
  const listener = await localstream.listen(options);
  giveBackMemory(() => listener.peers.length > 0);
  announceListener(context.background, listener, context.asker);
  context.output.result(
    listeningEvent(listener, localstream.fingerprint),
    listeningText(listener, localstream.fingerprint),
  );
  return listener;
}

/** What a person asks for takes the port of what the shell has opened by itself. Throws PORT_IN_USE while somebody is on it. */
async function makeRoom({ workspace: { door } }: Context, port: number): Promise<void> {
  if (door?.port !== port) return;
  if (door.peers.length > 0) {
    throw errorOf(
      'PORT_IN_USE',
      `port ${port} is open already, and ${door.peers.map(peerText).join(', ')} connected`,
      {
        hint: `del_connection ${port} closes it`,
      },
    );
  }
  await door.close();
}

/** How a listener is served outside the shell. */
export interface ServeOptions {
  /** Unknown keys wait for `accept N` of another terminal where nobody can be asked here. */
  readonly ask?: boolean;
  /** The home may have no other server. */
  readonly alone?: boolean;
  /** Told once others can connect. */
  ready?(listener: Listener): Promise<void>;
}

/**
 * Opens a listener. Outside the shell it stays in the foreground, as the server of the home, until a signal or
 * `shutdown` says stop, which is success: a server that ends when it is told to has done its work.
 */
export async function listenInPlace(
  context: Context,
  listening: Listening,
  { ask = false, alone = false, ready }: ServeOptions = {},
): Promise<void> {
  if (context.shell !== undefined || context.server !== undefined) {
    await openListener(context, listening);
    return;
  }
  const host = await takeHome(context, ask, alone);
  try {
    if (host !== undefined) await openToOthers(host, context.background, ask || alone);
    const { output: background = context.background, asker = context.asker } = host ?? {};
    const listener = await openListener({ ...context, background, asker }, listening);
    host?.tellState();
    await ready?.(listener);
    await aborted(AbortSignal.any([context.signal, ...(host ? [host.ending] : [])]));
    await listener.close();
  } finally {
    await host?.close();
  }
}

/** Becomes the server of the home, where none is running or there may be no other. */
async function takeHome(context: Context, ask: boolean, alone: boolean): Promise<ServerHost | undefined> {
  const { background } = context;
  try {
    return await context.becomeServer?.(ask, background);
  } catch (error) {
    const isTaken = error instanceof LocalstreamError && error.code === 'SERVER_RUNNING';
    if (!isTaken || ask || alone) throw error;
    background.note('another server of this home is running: status, accept and the like speak to that one');
    return undefined;
  }
}

/** Lets other terminals in. Where that can't be and nobody needs it, as on a disk without sockets, peers are served all the same. */
async function openToOthers(host: ServerHost, output: Output, isNeeded: boolean): Promise<void> {
  try {
    await host.open();
  } catch (error) {
    if (isNeeded || !(error instanceof LocalstreamError)) throw error;
    output.note(`no other terminal can speak to this server: ${error.message}`);
  }
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
