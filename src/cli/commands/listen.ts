/** add_connection, add_local_connection: open a listener. */
import { defineCommand, optional, required } from '../command.ts';
import { parseBindHost, parsePort } from '../peer-address.ts';
import { SHARE_NOTE } from '../share-argument.ts';
import { parseMax } from '../values.ts';
import { DOOR_NOTE, LISTEN_OPTIONS, listenInPlace } from './serving.ts';

const FOREGROUND_NOTE =
  'Where a server of this home is running it is that one which opens the port. Otherwise, outside the shell, the command ' +
  'runs in the foreground, as serve does, until Ctrl-C, SIGTERM or shutdown; it sends nothing by itself.';

export const addConnection = defineCommand({
  name: 'add_connection',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'preferred', shell: true },
  summary: 'open a listener on all interfaces',
  notes: [FOREGROUND_NOTE, DOOR_NOTE, SHARE_NOTE],
  arguments: {
    port: required('1 to 65535', parsePort, 'port'),
    max: optional('peers at once, 1 unless given', parseMax),
  },
  options: LISTEN_OPTIONS,
  examples: [
    { line: 'add_connection 7353 10 --share ~/photos', does: 'shows a folder to as many as ten peers' },
    { line: 'add_connection 7353 --share in=/srv/in:wo', does: 'takes files in, and shows none' },
  ],
  run: (context, { arguments: { port, max }, options: { share, ...how } }) =>
    listenInPlace(context, { port, max, shares: share, ...how }),
});

export const addLocalConnection = defineCommand({
  name: 'add_local_connection',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'preferred', shell: true },
  summary: 'open a listener on one address of this machine',
  notes: [FOREGROUND_NOTE, DOOR_NOTE, SHARE_NOTE],
  arguments: {
    host: required('an address or name of this machine', parseBindHost, 'none'),
    port: required('1 to 65535', parsePort, 'port'),
    max: required('peers at once', parseMax),
  },
  options: LISTEN_OPTIONS,
  examples: [
    { line: 'add_local_connection 127.0.0.1 7353 1 --share .', does: 'is reached from this machine only' },
  ],
  run: (context, { arguments: { host, port, max }, options: { share, ...how } }) =>
    listenInPlace(context, { host, port, max, shares: share, ...how }),
});
