/**
 * The listener that a shell at a terminal opens by itself, so that two people who both have one open find each other. It
 * shares nothing and asks about everybody.
 */
import { LocalstreamError } from '../errors.ts';
import type { Listener } from '../index.ts';
import { announceListener } from './announce.ts';
import type { Asker } from './asker.ts';
import type { ServerState } from './daemon/messages.ts';
import { toLocalstreamError } from './exit.ts';
import type { Output } from './output.ts';
import { shownName } from './peer-text.ts';
import type { Workspace } from './workspace.ts';

/** Ports that are tried, from the setting `port` on. */
const TRIES = 20;
/** Peers at once: a shell is left open for whoever comes, and one visitor must not keep the others out. */
const PEERS = 10;

/** Whether others can reach this shell. */
export type Door =
  | {
      readonly kind: 'open';
      readonly listener: Listener;
      /** As others see this machine, escaped. */
      readonly name: string;
      /** Whether it is on the network's list of names. */
      readonly isKnown: boolean;
    }
  /** The setting `shell.listen` says so. */
  | { readonly kind: 'off' }
  /** The server of the home is running already. */
  | { readonly kind: 'server'; readonly state: ServerState }
  /** It was to be open. */
  | { readonly kind: 'shut'; readonly reason: string };

/** Whether a door is wanted. What is wrong with the home is told when it is opened. */
export async function isDoorWanted(workspace: Workspace): Promise<boolean> {
  try {
    return (await workspace.settings()).shell.listen !== 'off';
  } catch {
    return true;
  }
}

/** What a door is opened with. */
export interface DoorOptions {
  readonly workspace: Workspace;
  readonly output: Output;
  readonly asker: Asker;
  readonly hidden: boolean;
}

/** Opens the door on the default port or the next free one. Never rejects. */
export async function openDoor({ workspace, output, asker, hidden }: DoorOptions): Promise<Door> {
  try {
    const localstream = await workspace.localstream();
    const { settings } = localstream;
    const isKnown = !hidden && settings.shell.listen === 'on' && settings.discovery.enabled === 'on';
    const open = (port: number) =>
      localstream.listen({
        port,
        maxConnections: Math.max(PEERS, settings.maxConnections),
        advertise: isKnown,
        ...(asker.client === undefined ? {} : { decide: asker.client }),
      });
    const listener = await firstFree(settings.port, open);
    workspace.door = listener;
    announceListener(output, listener, asker);
    return { kind: 'open', listener, name: shownName(localstream.name), isKnown };
  } catch (error) {
    return { kind: 'shut', reason: toLocalstreamError(error).message };
  }
}

async function firstFree(first: number, open: (port: number) => Promise<Listener>): Promise<Listener> {
  for (let port = first; ; port += 1) {
    try {
      return await open(port);
    } catch (error) {
      const isTaken = error instanceof LocalstreamError && error.code === 'PORT_IN_USE';
      if (!isTaken || port + 1 >= first + TRIES || port >= 65_535) throw error;
    }
  }
}
