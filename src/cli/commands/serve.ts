/** serve, shutdown: a server that lives on. */
import { errorOf } from '../../errors.ts';
import { resolveHome } from '../../store/home.ts';
import { listeningEvent, listeningText } from '../announce.ts';
import { defineCommand, flag, option } from '../command.ts';
import { makeKeysApart } from '../first-keys.ts';
import { noServer } from '../no-server.ts';
import { parseBindHost, parsePort } from '../peer-address.ts';
import { SHARE_NOTE } from '../share-argument.ts';
import { parseMax } from '../values.ts';
import { DOOR_NOTE, LISTEN_OPTIONS, type Listening, listenInPlace } from './serving.ts';

export const serve = defineCommand({
  name: 'serve',
  aliases: [],
  group: 'serve',
  scope: 'once',
  summary: 'a listener that lives on, in the foreground or without a terminal',
  notes: [
    'Prints one line once it is ready (with --json the event "listening") and ends with status 0 on SIGTERM, Ctrl-C or ' +
      'shutdown. From any other terminal of this user status, add_connection, send_file, accept and the like act on it.',
    'With --daemon it goes on without a terminal once it is ready, and writes what happens to server.log. One server ' +
      'runs in a home. --unit prints a systemd user unit that starts the same.',
    DOOR_NOTE,
    SHARE_NOTE,
  ],
  arguments: {},
  options: {
    port: option('P', '1 to 65535; the setting port unless given', parsePort, 'port'),
    host: option('H', 'the address to listen on; all unless given', parseBindHost),
    max: option('N', 'peers at once; the setting maxConnections unless given', parseMax),
    ...LISTEN_OPTIONS,
    daemon: flag('go on without this terminal, once it is ready'),
    ask: flag('unknown keys wait for accept N of another terminal; --daemon does so by itself'),
    unit: flag('serve nothing, and print a systemd user unit'),
  },
  examples: [
    { line: 'serve --port 7353 --share docs=/srv/docs --share in=/srv/in:wo', does: 'serves two folders' },
    { line: 'serve --daemon --share ~/docs', does: 'does so when the terminal is closed, too' },
    { line: 'serve --unit --share ~/docs', does: 'prints what systemd needs to start it with the session' },
  ],
  run: async (context, { options }) => {
    const { port, share, daemon, ask, unit, ...how } = options;
    const { output, globals, workspace } = context;
    const { isDaemon, startDaemon, ReadyTeller } = await import('../daemon/start.ts');
    if (unit) {
      if (daemon)
        throw errorOf('USAGE', '--unit and --daemon are both given', { hint: 'systemd keeps it running' });
      const { unitText } = await import('../daemon/unit.ts');
      output.screen.out(unitText(process.env));
      return;
    }
    const home = resolveHome(process.env, globals.home);
    if (daemon && !isDaemon()) {
      const { listening, text, pid } = await startDaemon(home, context.signal);
      output.result(listening, text);
      output.result(
        { event: 'server', change: 'started', pid, log: home.serverLog },
        `the server is process ${pid}, and writes to ${home.serverLog}`,
      );
      return;
    }
    const listen = async () => {
      await makeKeysApart(home, context);
      const { settings } = await workspace.localstream();
      const listening: Listening = { port: port ?? settings.port, shares: share, ...how };
      return { settings, listening };
    };
    if (!daemon) {
      const { listening } = await listen();
      await listenInPlace(context, listening, { ask });
      return;
    }
    await using teller = new ReadyTeller();
    try {
      const { settings, listening } = await listen();
      await using log = await teller.openLog(home, settings);
      await listenInPlace({ ...context, background: log.output }, listening, {
        ask: true,
        alone: true,
        ready: async (listener) => {
          const { fingerprint } = await workspace.localstream();
          await teller.ready(listeningEvent(listener, fingerprint), listeningText(listener, fingerprint));
        },
      });
    } catch (error) {
      await teller.failed(error);
      throw error;
    }
  },
});

export const shutdown = defineCommand({
  name: 'shutdown',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'needed', shell: true },
  summary: 'end the server of this home',
  notes: [
    'Its ports are free, and another can be started, when the command is done. Transfers are cut, and can go on later.',
  ],
  arguments: {},
  options: {},
  examples: [{ line: 'shutdown', does: 'ends what serve --daemon has started' }],
  run: async ({ server, output }) => {
    if (server === undefined) throw noServer();
    await server.shutdown();
    output.result(
      { event: 'server', change: 'ended', pid: process.pid, log: null },
      `the server, process ${process.pid}, has ended`,
    );
  },
});
