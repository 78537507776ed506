/** status: everything that is open here. */
import type { Localstream, PeerInfo, TransferInfo } from '../../index.ts';
import { formatBytes } from '../../protocol/size-text.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag } from '../command.ts';
import type { Context } from '../context.ts';
import type { StatusEvent } from '../events.ts';
import { type Paint, PLAIN } from '../paint.ts';
import { formatPeer, plainAddress } from '../peer-address.ts';
import {
  offerEvent,
  offerText,
  peerDetail,
  peerName,
  peerText,
  questionEvent,
  shareDetails,
  shownName,
  shownPlace,
  transferDetail,
} from '../peer-text.ts';
import type { Matter } from '../pending.ts';
import { percentOf } from '../rate.ts';
import { formatRate, formatTime, plural } from '../units.ts';

export const status = defineCommand({
  name: 'status',
  aliases: [],
  group: 'serve',
  scope: 'both',
  server: { once: 'needed', shell: false },
  summary: 'listeners, peers, transfers and their speed',
  notes: [
    'Each peer is shown with the group of its key agreement and the cipher that TLS has settled on.',
    'Outside the shell it is the server of this home that answers; the shell shows both.',
  ],
  arguments: {},
  options: { watch: flag('again every second, with the speed as a line, until Ctrl-C') },
  examples: [
    { line: 'status --json', does: 'tells a program what is open' },
    { line: 'status --watch', does: 'shows how it goes on' },
  ],
  run: async (context, { options }) => {
    const { workspace, output } = context;
    const words = ['status', ...(options.watch ? ['--watch'] : [])];
    const isElsewhere = (await context.forward?.(words)) ?? false;
    if (isElsewhere && options.watch) return;
    const localstream = await workspace.localstream();
    const look = async (paint: Paint) => ({
      event: statusEvent(context, localstream),
      lines: output.json
        ? []
        : [
            ...(isElsewhere ? [] : await serverLines(context, localstream, paint)),
            ...(await sessionLines(context, paint)),
          ],
    });
    if (options.watch) {
      const { watchStatus } = await import('../status-watch.ts');
      await watchStatus(context, () => look(PLAIN));
      return;
    }
    const { event, lines } = await look(output.style.paint);
    if (output.json) output.event(event);
    else if (lines.length > 0) output.screen.out(`${lines.join('\n')}\n`);
  },
});

function statusEvent({ workspace, server }: Context, localstream: Localstream): StatusEvent {
  const { session, pending } = workspace;
  return {
    event: 'status',
    pid: process.pid,
    server: server !== undefined,
    name: localstream.name,
    fingerprint: localstream.fingerprint,
    listeners: localstream.listeners.map((listener) => ({
      host: listener.host,
      port: listener.port,
      maxConnections: listener.maxConnections,
      open: listener.open,
      auth: listener.auth,
      shares: shareDetails(listener),
      peers: listener.peers.map(peerDetail),
      transfers: listener.transfers.map(transferDetail),
    })),
    session:
      session === undefined
        ? null
        : {
            peer: peerDetail(session.peer),
            transfers: session.transfers.map(transferDetail),
            lost: session.lost?.code ?? null,
          },
    questions: pending.matters.flatMap((matter) =>
      matter.kind === 'peer' ? [questionEvent(matter.question, 'here', matter.number)] : [],
    ),
    offers: pending.matters.flatMap((matter) =>
      matter.kind === 'offer' ? [offerEvent(matter.offer, { number: matter.number })] : [],
    ),
  };
}

async function serverLines(
  { server }: Context,
  localstream: Localstream,
  { strong }: Paint,
): Promise<string[]> {
  const lines = [`${strong('this machine')}: ${shownName(localstream.name)}, ${localstream.fingerprint}`];
  if (server !== undefined) lines.push(`${strong('server')}: process ${process.pid}`);
  if (localstream.listeners.length === 0) lines.push(`${strong('listeners')}: none`);
  for (const listener of localstream.listeners) {
    const { host, port, peers, maxConnections, open, auth } = listener;
    lines.push(
      `${strong(`listener ${formatPeer(host, port)}`)}: ${peers.length} of ${plural(maxConnections, 'peer')}` +
        (open ? ', open to unknown keys' : '') +
        (auth === 'password' ? ', for users who log in' : ''),
    );
    const shares = listener.shares.map(({ name, mode, folder }) => [
      '  share',
      shownName(name),
      mode,
      shownName(folder),
    ]);
    lines.push(...(await alignColumns(shares)));
    lines.push(...(await alignColumns(peers.map(peerRow))));
    lines.push(...(await alignColumns(listener.transfers.map(transferRow))));
  }
  return lines;
}

async function sessionLines({ workspace, server }: Context, { strong }: Paint): Promise<string[]> {
  const { session, pending } = workspace;
  const lines: string[] = [];
  if (session === undefined && server === undefined) lines.push(`${strong('connected to')}: no server`);
  if (session !== undefined) {
    const lost = session.lost ? ' the connection is lost; the next command makes it again' : '';
    lines.push(`${strong('connected to')}:${lost}`, ...(await alignColumns([peerRow(session.peer)])));
    lines.push(...(await alignColumns(session.transfers.map(transferRow))));
  }
  workspace.keepOffers();
  if (pending.matters.length > 0) {
    lines.push(
      `${strong('waiting for an answer')}:`,
      ...pending.matters.map((matter) => matterLine(matter, pending.nameOf(matter.number))),
    );
  }
  return lines;
}

function peerRow(peer: PeerInfo): string[] {
  return [
    '  peer',
    peer.user === undefined ? peerName(peer) : `${peerName(peer)}, user ${shownName(peer.user)}`,
    shownPlace(peer),
    peer.group || '-',
    peer.cipher,
    `since ${formatTime(peer.since)}`,
  ];
}

function transferRow(transfer: TransferInfo): string[] {
  const { direction, peer, phase, bytes, bytesTotal, totalsKnown, bytesPerSecond } = transfer;
  const percent = percentOf(transfer);
  return [
    '  transfer',
    direction === 'send' ? `to ${shownName(peer)}` : `from ${shownName(peer)}`,
    percent === undefined ? phase : `${phase} ${percent} %`,
    `${formatBytes(bytes)} of ${formatBytes(bytesTotal)}${totalsKnown ? '' : ' or more'}`,
    formatRate(bytesPerSecond),
  ];
}

function matterLine(matter: Matter, name: string): string {
  if (matter.kind === 'offer')
    return `  [${name}] ${peerText(matter.offer.from)} offers ${offerText(matter.offer)}`;
  const { claimedName, address, fingerprint } = matter.question;
  const who = `"${shownName(claimedName)}" at ${shownName(plainAddress(address))}`;
  return `  [${name}] ${who} wants in, ${fingerprint}`;
}
