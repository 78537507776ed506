/** What the shell at a terminal says when it opens: at most twelve lines, on a narrow screen too. */
import { fingerprintWords } from '../crypto/fingerprint-words.ts';
import type { FoundPeer } from '../index.ts';
import type { Door } from './door.ts';
import type { Output } from './output.ts';
import { shownName } from './peer-text.ts';
import { typedName } from './reach.ts';
import { plural } from './units.ts';
import type { Workspace } from './workspace.ts';

/** Fewer columns than this get the short forms, which break into few rows. */
const WIDE = 60;
/** Milliseconds that the network is listened to, and those after somebody was heard: others may answer as well. */
const LISTEN = 2000;
const SETTLE = 300;
/** Names that are spelled out. */
const MOST_NAMES = 4;

/** At once, before anything is opened. */
export function greeting(version: string, columns: number): string[] {
  if (columns < WIDE)
    return [
      `localstream ${version}`,
      'help: all commands',
      'send FILE',
      'connect HOST',
      'possible_connections',
    ];
  return [
    `localstream ${version}: help lists the commands, exit leaves`,
    '  possible_connections   who is near',
    '  connect HOST           fetch what another machine shares',
    '  send FILE              to whoever you tell a code',
  ];
}

/** Once it is known whether others can reach this machine. */
export function doorText(door: Door, columns: number): string {
  const isWide = columns >= WIDE;
  switch (door.kind) {
    case 'off':
      return isWide
        ? 'nobody can reach this machine (shell.listen is off): add_connection opens a port'
        : 'no port is open (shell.listen)';
    case 'shut':
      return isWide
        ? `nobody can reach this machine, as no port could be opened: ${door.reason}`
        : `no port could be opened: ${door.reason}`;
    case 'server': {
      const { pid, ports } = door.state;
      if (!isWide) return `the server ${pid} listens`;
      const where = ports.length === 0 ? 'has no port open' : `listens on ${ports.join(', ')}`;
      return `the server of this home, process ${pid}, ${where}: status, send_file and the like are done by it`;
    }
    case 'open': {
      const { name, listener, isKnown } = door;
      if (!isWide) return `port ${listener.port} is open, and shares nothing`;
      const who = isKnown
        ? `others find this machine as ${name} on port ${listener.port}`
        : `others reach this machine on port ${listener.port}, and it is on no list of names`;
      return `${who};\n  nothing is shared, and you are asked about each newcomer`;
    }
  }
}

/** What the greeting is told with. */
export interface IntroduceOptions {
  readonly workspace: Workspace;
  readonly output: Output;
  /** Aborted when the shell is left. */
  readonly signal: AbortSignal;
}

/** Says who this machine is and who is near, as soon as that is known. Never rejects: what is wrong a command will say. */
export async function introduce({ workspace, output, signal }: IntroduceOptions): Promise<void> {
  try {
    const localstream = await workspace.localstream();
    const { name, fingerprint, home, settings } = localstream;
    if (signal.aborted) return;
    const isWide = output.screen.columns >= WIDE;
    const who = isWide
      ? `this is ${shownName(name)}, ${fingerprint}`
      : await narrowName(output, name, fingerprint);
    const words = fingerprintWords(fingerprint);
    output.note(who, { event: 'identity', name, fingerprint, words, home: home.data, qr: null });
    if (settings.discovery.enabled === 'off') return;
    await using browser = await localstream.discover();
    const stop = () => browser.stop();
    signal.addEventListener('abort', stop, { once: true });
    const patience = setTimeout(stop, LISTEN);
    let settling: NodeJS.Timeout | undefined;
    for await (const { change, peer } of browser) {
      if (change !== 'vanish' && !peer.own) settling ??= setTimeout(stop, SETTLE);
    }
    for (const timer of [patience, settling]) clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    if (signal.aborted) return;
    const near = browser.found().filter(({ own }) => !own);
    output.note(isWide ? nearText(near) : nearCount(near));
  } catch {
    // The door has said it, or the first command will.
  }
}

async function narrowName({ screen }: Output, name: string, fingerprint: string): Promise<string> {
  const { cut } = await import('./text-width.ts');
  return `${cut(shownName(name), screen.columns)}\n${fingerprint}`;
}

function nearCount({ length }: readonly FoundPeer[]): string {
  return length === 0 ? 'nobody else is near' : `near: ${plural(length, 'machine')}`;
}

function nearText(peers: readonly FoundPeer[]): string {
  if (peers.length === 0) return 'nobody else is near so far';
  const names = [...new Set(peers.map(({ name }) => shownName(typedName(name))))];
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return `near: ${names.slice(0, MOST_NAMES).join(', ')}${more}`;
}
