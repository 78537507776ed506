/** The ports that a completion script offers. */
import { PassThrough } from 'node:stream';
import * as v from 'valibot';
import { resolveHome } from '../../store/home.ts';
import { loadSettings } from '../../store/settings-store.ts';
import type { Context } from '../context.ts';
import { findServer, runThere } from '../daemon/remote.ts';
import { Output } from '../output.ts';
import { Screen } from '../screen.ts';

/** Milliseconds that somebody waits for a Tab. */
const PATIENCE = 1000;

const Status = v.object({
  event: v.literal('status'),
  listeners: v.array(v.object({ port: v.number() })),
});

/** Those that the server of this home has open, and the usual one. Throws STATE, BAD_SETTING. */
export async function portsFor(context: Context): Promise<string[]> {
  const home = resolveHome(process.env, context.globals.home);
  const { settings } = await loadSettings({ home, broken: 'refuse' });
  const open = await openPorts(context).catch(() => []);
  return [...new Set([...open, settings.port])].map(String);
}

/** Asks the server for its status, as another terminal would. */
async function openPorts(context: Context): Promise<number[]> {
  const socket = await findServer(context.globals.home);
  if (socket === undefined) return [];
  const stdout = new PassThrough();
  const output = new Output(new Screen(stdout, new PassThrough()), { json: true });
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(PATIENCE)]);
  await runThere(socket, ['status'], { ...context, output, signal });
  const lines = String(stdout.read() ?? '').split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => v.safeParse(Status, JSON.parse(line)))
    .flatMap(({ success, output: status }) => (success ? status.listeners.map(({ port }) => port) : []));
}
