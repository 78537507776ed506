/** status: everything that is open here. */
import { errorOf } from '../../errors.ts';
import type { Localstream, PeerInfo, TransferInfo } from '../../index.ts';
import { alignColumns } from '../columns.ts';
import { defineCommand, flag } from '../command.ts';
import type { StatusEvent } from '../events.ts';
import { type Paint, PLAIN } from '../paint.ts';
import { formatPeer, plainAddress } from '../peer-address.ts';
import {
  offerText,
  peerDetail,
  peerName,
  peerText,
  shareDetails,
  shownName,
  shownPlace,
  transferDetail,
} from '../peer-text.ts';
import type { Matter } from '../pending.ts';
import { percentOf } from '../rate.ts';
import { formatBytes, formatRate, formatTime, plural } from '../units.ts';
import type { Workspace } from '../workspace.ts';

export const status = defineCommand({
  name: 'status',
  aliases: [],
  group: 'serve',
  scope: 'both',
  summary: 'listeners, peers, transfers and their speed',
  notes: ['Each peer is shown with the group of its key agreement and the cipher that TLS has settled on.'],
  arguments: {},
  options: { watch: flag('again every second, with the speed as a line, until Ctrl-C') },
  examples: [
    { line: 'status --json', does: 'tells a program what is open' },
    { line: 'status --watch', does: 'shows how it goes on' },
  ],
  run: async (context, { options }) => {
    const { workspace, output, shell } = context;
    if (shell === undefined) {
      throw errorOf('NO_SERVER', 'no listener is open in this process, which has just begun', {
        hint: 'the shell and serve --json say what is open in theirs',
      });
    }
    const localstream = await workspace.localstream();
    const look = async (paint: Paint) => ({
      event: statusEvent(workspace, localstream),
      lines: output.json ? [] : await statusLines(workspace, localstream, paint),
    });
    if (options.watch) {
      const { watchStatus } = await import('../status-watch.ts');
      await watchStatus(context, () => look(PLAIN));
      return;
    }
    const { event, lines } = await look(output.style.paint);
    output.result(event, lines.join('\n'));
  },
});

function statusEvent({ session }: Workspace, localstream: Localstream): StatusEvent {
  return {
    event: 'status',
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
        : { peer: peerDetail(session.peer), transfers: session.transfers.map(transferDetail) },
  };
}

async function statusLines(
  workspace: Workspace,
  localstream: Localstream,
  { strong }: Paint,
): Promise<string[]> {
  const { session, pending } = workspace;
  const lines = [`${strong('this machine')}: ${shownName(localstream.name)}, ${localstream.fingerprint}`];
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
  if (session === undefined) lines.push(`${strong('connected to')}: no server`);
  else {
    lines.push(`${strong('connected to')}:`, ...(await alignColumns([peerRow(session.peer)])));
    lines.push(...(await alignColumns(session.transfers.map(transferRow))));
  }
  workspace.keepOffers();
  if (pending.matters.length > 0) {
    lines.push(`${strong('waiting for an answer')}:`, ...pending.matters.map(matterLine));
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

function matterLine(matter: Matter): string {
  if (matter.kind === 'offer')
    return `  [${matter.number}] ${peerText(matter.offer.from)} offers ${offerText(matter.offer)}`;
  const { claimedName, address, fingerprint } = matter.question;
  const who = `"${shownName(claimedName)}" at ${shownName(plainAddress(address))}`;
  return `  [${matter.number}] ${who} wants in, ${fingerprint}`;
}
