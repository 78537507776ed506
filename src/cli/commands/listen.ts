/** add_connection, add_local_connection, serve: open a listener. */
import { defineCommand, option, optional, required } from '../command.ts';
import { parseBindHost, parsePort } from '../peer-address.ts';
import { SHARE_NOTE } from '../share-argument.ts';
import { parseMax } from '../values.ts';
import { DOOR_NOTE, LISTEN_OPTIONS, listenInPlace } from './serving.ts';

const FOREGROUND_NOTE =
  'Outside the shell it runs in the foreground, as serve does, until Ctrl-C or SIGTERM; it sends nothing by itself.';

export const addConnection = defineCommand({
  name: 'add_connection',
  aliases: [],
  group: 'serve',
  scope: 'both',
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

export const serve = defineCommand({
  name: 'serve',
  aliases: [],
  group: 'serve',
  scope: 'once',
  summary: 'a listener in the foreground, for scripts',
  notes: [
    'Prints one line once it is ready (with --json the event "listening") and ends with status 0 on SIGTERM or Ctrl-C.',
    DOOR_NOTE,
    SHARE_NOTE,
  ],
  arguments: {},
  options: {
    port: option('P', '1 to 65535; the setting port unless given', parsePort, 'port'),
    host: option('H', 'the address to listen on; all unless given', parseBindHost),
    max: option('N', 'peers at once; the setting maxConnections unless given', parseMax),
    ...LISTEN_OPTIONS,
  },
  examples: [
    { line: 'serve --port 7353 --share docs=/srv/docs --share in=/srv/in:wo', does: 'serves two folders' },
  ],
  run: async (context, { options: { port, share, ...how } }) => {
    const { settings } = await context.workspace.localstream();
    await listenInPlace(context, { port: port ?? settings.port, shares: share, ...how });
  },
});
