/** sessions, history: who was connected, and what crossed. */
import { errorOf } from '../../errors.ts';
import type { SessionChange, SessionRecord, SessionTransfer } from '../../index.ts';
import { formatBytes } from '../../protocol/size-text.ts';
import { escapeText } from '../../protocol/text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag, option, optional } from '../command.ts';
import type { ChangeEvent, CrossingEvent, SessionEvent } from '../events.ts';
import { formatPeer, plainAddress } from '../peer-address.ts';
import { peerName, shownName } from '../peer-text.ts';
import { formatTime, plural } from '../units.ts';

const HOURS: Readonly<Record<string, number>> = { m: 1 / 60, h: 1, d: 24, w: 168 };

/** Reads `today`, `yesterday`, a date, a time, or how long ago. Throws USAGE. */
export function parseSince(typed: string, now = new Date()): Date {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  if (typed === 'today') return midnight;
  if (typed === 'yesterday') return new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  const [, count, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(typed) ?? [];
  if (count !== undefined) return new Date(now.getTime() - Number(count) * (HOURS[unit] ?? 0) * 3_600_000);
  // A date alone would be read as one in Greenwich.
  const [, date, time = '00:00'] = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}))?$/.exec(typed) ?? [];
  const read = new Date(`${date}T${time}`);
  if (date !== undefined && !Number.isNaN(read.getTime())) return read;
  throw errorOf('USAGE', `"${escapeText(typed, 60)}" is no time`, {
    hint: 'write today, yesterday, 2026-03-01, "2026-03-01 14:05", 90m, 12h, 7d or 2w',
  });
}

const since = option('TIME', 'only what was from then on: today, yesterday, 2026-03-01, 12h, 7d', parseSince);

function parseForget(typed: string): 'forget' {
  if (typed === 'forget') return typed;
  throw errorOf('USAGE', `sessions can't "${escapeText(typed, 60)}"`, {
    hint: 'write sessions or sessions forget',
  });
}

export const sessions = defineCommand({
  name: 'sessions',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'who was connected, from where, and how it ended',
  notes: [
    'Newest first: when, whether the peer was client or server, its name and who was logged in, its address (with the hardware address, where ' +
      'the system knows that of a neighbour), what crossed, the end.',
  ],
  arguments: { forget: optional('forget: removes those that are over', parseForget, ['forget']) },
  options: { since },
  examples: [
    { line: 'sessions --since yesterday', does: 'shows who was connected since then' },
    { line: 'sessions forget', does: 'empties the history' },
  ],
  run: async ({ workspace, output }, { arguments: { forget }, options }) => {
    const store = (await workspace.localstream()).sessions;
    if (forget !== undefined) {
      if (options.since !== undefined)
        throw errorOf('USAGE', 'sessions forget takes no --since', { hint: 'it removes all that are over' });
      const count = await store.forget();
      output.result({ event: 'sessions_forgotten', sessions: count }, `forgot ${plural(count, 'session')}`);
      return;
    }
    const all = await store.list(options.since === undefined ? {} : { since: options.since });
    const lines = output.json ? [] : await alignColumns(all.map(sessionRow));
    for (const [index, session] of all.entries()) output.result(sessionEvent(session), lines[index] ?? '');
  },
});

function placeText({ address, port, mac }: SessionRecord): string {
  const place = escapeText(formatPeer(address, port), 60);
  return mac === null ? place : `${place} (${escapeText(mac, 20)})`;
}

/** Who it was: the peer, and the user who had logged in. */
function whoText({ peer, user }: SessionRecord): string {
  return user === null ? peerName(peer) : `${peerName(peer)}, user ${shownName(user)}`;
}

function sessionRow(session: SessionRecord): string[] {
  const { started, role, sent, received, end } = session;
  return [
    formatTime(started),
    role === 'server' ? 'client' : 'server',
    whoText(session),
    placeText(session),
    `sent ${formatBytes(sent.bytes)}, received ${formatBytes(received.bytes)}`,
    end === null ? 'open' : end.code,
  ];
}

function sessionEvent(session: SessionRecord): SessionEvent {
  const { id, role, peer, user, port, mac, listener, started, sent, received, end } = session;
  return {
    event: 'session',
    id,
    role,
    peer: { name: peer.name, trusted: peer.trusted, fingerprint: peer.fingerprint },
    user,
    address: plainAddress(session.address),
    port,
    mac,
    listener,
    started: started.toISOString(),
    sent: { files: sent.files, bytes: sent.bytes },
    received: { files: received.files, bytes: received.bytes },
    end: end === null ? null : { at: end.at.toISOString(), code: end.code, reason: end.reason },
  };
}

export const history = defineCommand({
  name: 'history',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'what crossed, to and from whom, and who changed what in the shares of this machine',
  notes: [
    'Newest first. As many as the settings sessions.keep and sessions.transfers let it hold.',
    'A dry run is left out; who sends what is fetched is not told that it is one, and keeps it with 0 files.',
  ],
  arguments: {},
  options: { since, failed: flag('only what did not wholly arrive') },
  examples: [{ line: 'history --since yesterday --json', does: 'gives a program what crossed since then' }],
  run: async ({ workspace, output }, { options }) => {
    const { sessions: store } = await workspace.localstream();
    const all = await store.list(options.since === undefined ? {} : { since: options.since });
    const from = options.since?.getTime() ?? Number.NEGATIVE_INFINITY;
    const found = [
      ...all.flatMap((session) =>
        session.transfers
          .filter(({ code }) => !options.failed || code !== 'OK')
          .map((transfer) => ({
            at: transfer.at,
            row: crossingRow(session, transfer),
            event: crossingEvent(session, transfer),
          })),
      ),
      // What fails changes nothing, and is not here.
      ...all.flatMap((session) =>
        options.failed
          ? []
          : session.changes.map((change) => ({
              at: change.at,
              row: changeRow(session, change),
              event: changeEvent(session, change),
            })),
      ),
    ]
      .filter(({ at }) => at.getTime() >= from)
      .sort((a, b) => b.at.getTime() - a.at.getTime());
    const lines = output.json ? [] : await alignColumns(found.map(({ row }) => row));
    for (const [index, { event }] of found.entries()) output.result(event, lines[index] ?? '');
  },
});

const DONE = { mkdir: 'made', mv: 'moved', rm: 'removed' } as const;

function changeRow(session: SessionRecord, { at, action, path, to, entries }: SessionChange): string[] {
  const more = entries > 1 ? ` (${plural(entries, 'entry', 'entries')})` : '';
  const target = to === null ? '' : ` to ${escapeText(to, 200)}`;
  return [
    formatTime(at),
    `by ${whoText(session)}`,
    '-',
    'OK',
    `${DONE[action]} ${escapeText(path, 200)}${target}${more}`,
  ];
}

function changeEvent({ id, peer, user }: SessionRecord, change: SessionChange): ChangeEvent {
  const { action, at, path, to, entries } = change;
  return {
    event: 'change',
    session: id,
    peer: peer.name,
    fingerprint: peer.fingerprint,
    user,
    action,
    at: at.toISOString(),
    path,
    to,
    entries,
  };
}

function crossingRow(
  session: SessionRecord,
  { at, direction, files, bytes, code, paths }: SessionTransfer,
): string[] {
  const [first = ''] = paths;
  const more = files > 1 ? ` and ${files - 1} more` : '';
  return [
    formatTime(at),
    `${direction === 'send' ? 'to' : 'from'} ${whoText(session)}`,
    formatBytes(bytes),
    code,
    `${escapeText(first, 200)}${more}`,
  ];
}

function crossingEvent(session: SessionRecord, transfer: SessionTransfer): CrossingEvent {
  const { id, direction, at, paths, files, bytes, digest, code } = transfer;
  return {
    event: 'crossing',
    transferId: id,
    session: session.id,
    peer: session.peer.name,
    fingerprint: session.peer.fingerprint,
    user: session.user,
    direction,
    at: at.toISOString(),
    paths: [...paths],
    files,
    bytes,
    digest,
    code,
  };
}
