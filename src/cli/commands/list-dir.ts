/** list_dir: what a server shows. */
import type { Entry } from '../../index.ts';
import { formatBytes } from '../../protocol/size-text.ts';
import { escapeText } from '../../protocol/text.ts';
import { defineCommand, option, optional } from '../command.ts';
import type { EntryEvent } from '../events.ts';
import { listed } from '../operands.ts';
import type { Paint } from '../paint.ts';
import { parsePeer } from '../peer-address.ts';
import { formatTime } from '../units.ts';
import { path } from '../values.ts';
import { placeOf, REACH_OPTIONS, TRUST_NOTE, withSession } from './reaching.ts';

/** Entries that are held to be sorted: a few megabytes, where names and links are of usual length. */
const MOST_SORTED = 10_000;

/** The longest path that a link's target is shown with. */
const LONGEST_TARGET = 500;

export const listDir = defineCommand({
  name: 'list_dir',
  aliases: ['ls'],
  group: 'reach',
  scope: 'both',
  summary: 'list a folder of a server, or its shares',
  notes: [
    'Columns: type, size, time of the last change, name. Names are shown escaped; --json has them exactly.',
    `Sorted by name, capitals first, as lls is. A folder of more than ${MOST_SORTED} entries comes in the order of the server.`,
    TRUST_NOTE,
  ],
  arguments: {
    path: optional(
      '/SHARE/... or PEER:/SHARE/..., its last name a pattern too; where you are, or the shares, unless given',
      path,
      'remote',
    ),
  },
  options: { from: option('PEER', 'the server', parsePeer, 'host'), ...REACH_OPTIONS },
  examples: [
    { line: 'list_dir nas:/docs', does: 'lists a folder of one share' },
    { line: "list_dir 'nas:/docs/*.pdf'", does: 'lists what matches in it' },
    { line: 'list_dir nas:', does: 'lists the shares' },
  ],
  run: async (context, { arguments: { path: typed }, options }) => {
    const { output, signal } = context;
    const place = placeOf(context, typed, options.from);
    await withSession(context, place.peer, options, async (session) => {
      try {
        for await (const entry of sorted(listed(session, place.path, signal), MOST_SORTED)) {
          output.result(entryEvent(entry), () => entryLine(entry, output.style.paint));
          // The listing waits for whoever reads it.
          await output.screen.ready();
        }
      } catch (error) {
        // That one has had enough (`| head`): the listing was stopped, and nothing is wrong.
        if (!output.screen.isGone) throw error;
      }
    });
  },
});

/** Entries by name, the same in every locale. More than `most` are not held, and come as they do. */
export async function* sorted(entries: AsyncIterable<Entry>, most: number): AsyncGenerator<Entry> {
  let held: Entry[] | undefined = [];
  const byName = () => held?.sort((one, other) => (one.name < other.name ? -1 : 1)) ?? [];
  try {
    for await (const entry of entries) {
      held?.push(entry);
      if (held === undefined) yield entry;
      else if (held.length > most) {
        yield* held;
        held = undefined;
      }
    }
  } catch (error) {
    // What has come before is shown all the same.
    yield* byName();
    throw error;
  }
  yield* byName();
}

/** The event of an entry. */
export function entryEvent({ name, type, size, mtime, mode, shareMode, target }: Entry): EntryEvent {
  return {
    event: 'entry',
    name,
    type,
    size,
    mtime: Number.isNaN(mtime.getTime()) ? new Date(0).toISOString() : mtime.toISOString(),
    mode,
    ...(shareMode === undefined ? {} : { shareMode }),
    ...(target === undefined ? {} : { target }),
  };
}

/** One line of a listing. The name comes last, so that its width moves nothing. */
export function entryLine({ name, type, size, mtime, shareMode, target }: Entry, paint: Paint): string {
  const shownSize = type === 'file' ? formatBytes(size) : '-';
  const suffix = type === 'folder' || type === 'share' ? '/' : '';
  const link = target === undefined ? '' : ` -> ${escapeText(target, LONGEST_TARGET)}`;
  const mode = shareMode === undefined ? '' : `  (${shareMode})`;
  const time = type === 'share' ? '-'.padEnd(16) : formatTime(mtime);
  const label = `${escapeText(name, 1000)}${suffix}`;
  const shown = suffix === '' ? label : paint.strong(label);
  return `${type.padEnd(6)}  ${shownSize.padStart(7)}  ${time}  ${shown}${link}${mode}`;
}
