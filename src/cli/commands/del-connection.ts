/** del_connection: close a listener. */
import { errorOf } from '../../errors.ts';
import type { Listener } from '../../index.ts';
import { defineCommand, required } from '../command.ts';
import { formatPeer, parsePeer, parsePort } from '../peer-address.ts';
import type { Workspace } from '../workspace.ts';

/** A listener as it is named: by its port, and by its address where one port is open on two. */
export interface ListenerName {
  readonly host: string | undefined;
  readonly port: number;
}

/** Reads `PORT` or `HOST:PORT`. Throws USAGE. */
function parseListenerName(text: string): ListenerName {
  if (!/[:[]/.test(text)) return { host: undefined, port: parsePort(text) };
  const { host, port } = parsePeer(text);
  if (port !== undefined) return { host, port };
  throw errorOf('USAGE', 'a listener is named by its port', { hint: 'write PORT or HOST:PORT' });
}

/** Finds an open listener. Throws NO_SERVER where there is none, USAGE where there are two. */
export function findListener(workspace: Workspace, { host, port }: ListenerName): Listener {
  const open = workspace.opened?.listeners ?? [];
  const found = open.filter(
    (listener) => listener.port === port && (host === undefined || listener.host === host),
  );
  const [first, second] = found;
  if (first === undefined) {
    const places = open.map((listener) => formatPeer(listener.host, listener.port));
    const name = host === undefined ? `port ${port}` : formatPeer(host, port);
    throw errorOf('NO_SERVER', `no listener is open here on ${name}`, {
      hint: places.length === 0 ? 'open one with add_connection' : `open here: ${places.join(', ')}`,
    });
  }
  if (second === undefined) return first;
  throw errorOf('USAGE', `port ${port} is open on ${found.length} addresses`, {
    hint: `say which: ${found.map((listener) => formatPeer(listener.host, listener.port)).join(' or ')}`,
  });
}

export const delConnection = defineCommand({
  name: 'del_connection',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'needed', shell: true },
  summary: 'close a listener and its connections',
  notes: ['The port is free the moment the command is done.'],
  arguments: { port: required('PORT, or HOST:PORT where one port is open twice', parseListenerName, 'port') },
  options: {},
  examples: [{ line: 'del_connection 7353', does: 'closes the listener on that port' }],
  run: async ({ workspace, output }, { arguments: { port } }) => {
    const listener = findListener(workspace, port);
    await listener.close();
    output.result(
      { event: 'closed', host: listener.host, port: listener.port },
      `closed ${formatPeer(listener.host, listener.port)}`,
    );
  },
});
