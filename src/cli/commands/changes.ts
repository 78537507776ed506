/** mkdir, mv, rm: what is in the shares of a server, changed where they allow it. */
import { errorOf, LocalstreamError } from '../../errors.ts';
import type { Session } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { defineCommand, flag, option, several } from '../command.ts';
import type { Context } from '../context.ts';
import type { ChangedEvent } from '../events.ts';
import { expandRemote, splitOperands } from '../operands.ts';
import { parsePeer } from '../peer-address.ts';
import { peerDetail, peerName, shownName } from '../peer-text.ts';
import { plural } from '../units.ts';
import { path } from '../values.ts';
import { onePeer, placeOf, REACH_OPTIONS, TRUST_NOTE, withSession } from './reaching.ts';

const ALLOWED_NOTE =
  'The share must allow it: its mode is rw, and a user who has logged in may write, list and read there.';
const ON = { on: option('PEER', 'the server', parsePeer, 'host') } as const;

/** Paths that a question spells out. */
const SHOWN_PATHS = 3;

function changedEvent(
  session: Session,
  change: Pick<ChangedEvent, 'action' | 'path'> & Partial<Pick<ChangedEvent, 'to' | 'entries'>>,
): ChangedEvent {
  const peer = peerDetail(session.peer);
  return { event: 'changed', listener: null, peer, to: null, entries: 1, last: true, ...change };
}

export const mkdir = defineCommand({
  name: 'mkdir',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'make a folder in a share',
  notes: ['The folder that it is to be in must be there.', ALLOWED_NOTE, TRUST_NOTE],
  arguments: { folders: several('/SHARE/PATH or PEER:/SHARE/PATH', path, 'remote') },
  options: { ...ON, ...REACH_OPTIONS },
  examples: [{ line: 'mkdir nas:/docs/2027', does: 'makes a folder' }],
  run: async (context, { arguments: { folders }, options }) => {
    const places = folders.map((folder) => placeOf(context, folder, options.on));
    await withSession(context, onePeer(places), options, async (session) => {
      for (const place of places) {
        await session.makeFolder(place.path, { signal: context.signal });
        const event = changedEvent(session, { action: 'mkdir', path: place.path });
        context.output.result(event, `made ${shownName(place.path)}`);
      }
    });
  },
});

export const mv = defineCommand({
  name: 'mv',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'move or rename files and folders within a share',
  notes: [
    'Into a target that is a folder or ends in "/", under their own names; otherwise the target is the new name. ' +
      'Nothing is replaced, and nothing goes from one share to another: get and put do that.',
    ALLOWED_NOTE,
    TRUST_NOTE,
  ],
  arguments: {
    paths: several(
      'what is moved, /SHARE/PATH or PEER:/SHARE/PATH, patterns too; the last is the target',
      path,
      'remote',
    ),
  },
  options: { ...ON, ...REACH_OPTIONS },
  examples: [
    { line: 'mv nas:/docs/a.pdf nas:/docs/b.pdf', does: 'gives a file another name' },
    { line: 'mv /docs/a.pdf /docs/b.pdf /docs/old/ --on nas', does: 'moves two files into a folder' },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    const { sources, target: typed } = splitOperands(paths);
    if (typed === undefined)
      throw errorOf('USAGE', 'no target is named', { hint: 'write mv WHAT... TARGET' });
    const places = sources.map((source) => placeOf(context, source, options.on));
    const target = placeOf(context, typed, options.on);
    await withSession(context, onePeer([...places, target]), options, async (session) => {
      const found = await expandRemote(
        session,
        places.map((place) => place.path),
        context.signal,
      );
      // Of several the target can only be a folder, and must be one before the first of them has its name.
      const to = found.length > 1 && !target.path.endsWith('/') ? `${target.path}/` : target.path;
      for (const from of found) {
        await session.move(from, to, { signal: context.signal });
        context.output.result(
          changedEvent(session, { action: 'mv', path: from, to }),
          `moved ${shownName(from)} to ${shownName(to)}`,
        );
      }
    });
  },
});

export const rm = defineCommand({
  name: 'rm',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'remove files and folders from a share, for good',
  notes: [
    'Asks before it removes anything. Where nobody can be asked nothing is removed unless --force is given; --yes does ' +
      'not do. Links are removed themselves, never what they point to.',
    ALLOWED_NOTE,
    TRUST_NOTE,
  ],
  arguments: { paths: several('/SHARE/PATH or PEER:/SHARE/PATH, patterns too', path, 'remote') },
  options: {
    recursive: flag('folders too, with all that is in them', 'r'),
    force: flag('without asking', 'f'),
    ...ON,
    ...REACH_OPTIONS,
  },
  examples: [
    { line: 'rm nas:/docs/a.pdf', does: 'asks, and removes a file' },
    { line: 'rm -r --force nas:/docs/old', does: 'removes a folder from a script' },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    const places = paths.map((typed) => placeOf(context, typed, options.on));
    const { recursive, force } = options;
    // Before anybody is dialled, and before a pattern is looked up.
    if (!force && context.asker.confirm === undefined)
      throw errorOf('USAGE', 'nobody can be asked whether to remove this', {
        hint: 'add --force; --yes never removes anything',
      });
    await withSession(context, onePeer(places), options, async (session) => {
      const found = await expandRemote(
        session,
        places.map((place) => place.path),
        context.signal,
      );
      if (!force) {
        await requireChangeable(session, found, context.signal);
        await confirm(context, session, found, recursive);
      }
      for (const wanted of found) {
        const entries = await session
          .remove(wanted, { recursive, signal: context.signal })
          .catch((error: unknown) => {
            throw withRecursiveHint(error, recursive);
          });
        const more = entries === 1 ? '' : ` (${plural(entries, 'entry', 'entries')})`;
        context.output.result(
          changedEvent(session, { action: 'rm', path: wanted, entries }),
          `removed ${shownName(wanted)}${more}`,
        );
      }
    });
  },
});

function withRecursiveHint(error: unknown, recursive: boolean): unknown {
  if (recursive || !(error instanceof LocalstreamError) || error.code !== 'IS_A_FOLDER') return error;
  return errorOf(error.code, error.message, { hint: 'add -r to remove it with all in it', cause: error });
}

/** Nobody is asked about what the server would refuse. Throws NOT_ALLOWED as the server does. */
async function requireChangeable(
  session: Session,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const closed = new Set<string>();
  for await (const { name, shareMode } of session.list('/', { signal }))
    if (shareMode === 'ro' || shareMode === 'wo') closed.add(name);
  for (const wanted of paths) {
    const share = wanted.split('/').find((part) => part !== '' && part !== '.');
    if (share !== undefined && closed.has(share))
      throw errorOf('NOT_ALLOWED', `the share '${escapeText(share)}' does not allow remove`, {
        hint: 'list_dir shows what each allows',
      });
  }
}

async function confirm(
  { asker, signal }: Context,
  session: Session,
  paths: readonly string[],
  recursive: boolean,
): Promise<void> {
  const shown = paths.slice(0, SHOWN_PATHS).map(shownName).join(', ');
  const more = paths.length > SHOWN_PATHS ? ` and ${plural(paths.length - SHOWN_PATHS, 'more', 'more')}` : '';
  const all = recursive ? `, folders with all that is in them` : '';
  const question = `Remove ${shown}${more} from ${peerName(session.peer)}${all}?`;
  if (!(await asker.confirm?.(question, signal))) throw errorOf('CANCELLED', 'nothing was removed');
}
