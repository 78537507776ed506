/** connect, disconnect. */
import { errorOf } from '../../errors.ts';
import { announceSession } from '../announce.ts';
import { defineCommand, optional, required } from '../command.ts';
import type { Context } from '../context.ts';
import { type PeerAddress, parsePeer, parsePort } from '../peer-address.ts';
import { offerAnswers, offerEvent, offerText, peerDetail, peerText } from '../peer-text.ts';
import { dial, REACH_OPTIONS, TRUST_NOTE } from './reaching.ts';

export const connect = defineCommand({
  name: 'connect',
  aliases: [],
  group: 'reach',
  scope: 'both',
  summary: 'connect to a server; outside the shell, open the shell there',
  notes: [
    TRUST_NOTE,
    'A connection that was open before is closed. The port is the setting port (7353) unless given.',
  ],
  arguments: {
    host: required('[USER@]HOST[:PORT], IPv6 as [ADDRESS]', parsePeer, 'host'),
    port: optional('the same as HOST:PORT', parsePort, 'port'),
  },
  options: REACH_OPTIONS,
  examples: [{ line: 'connect nas', does: 'asks about its key the first time, and never again' }],
  run: async (context, { arguments: { host, port }, options }) => {
    const { workspace, output } = context;
    const session = await dial(context, withPort(host, port), options);
    const before = workspace.session;
    workspace.session = session;
    await before?.close();
    follow(context);
    const { peer } = session;
    output.result(
      { event: 'peer', change: 'connected', listener: null, peer: peerDetail(peer), code: null },
      `connected to ${peerText(peer)}, ${peer.fingerprint}`,
    );
    if (context.shell === undefined) await context.openShell();
  },
});

function withPort(peer: PeerAddress, port: number | undefined): PeerAddress {
  if (port === undefined || peer.port === port) return { ...peer, port: peer.port ?? port };
  if (peer.port === undefined) return { ...peer, port };
  throw errorOf('USAGE', `two ports are given, ${peer.port} and ${port}`, {
    hint: 'write HOST:PORT or HOST PORT',
  });
}

/** Tells of the offers that come in, and when the server is gone. */
function follow({ workspace, background }: Context): void {
  const { session, pending } = workspace;
  if (session === undefined) return;
  session.on('offer', (offer) => {
    const number = pending.add(offer, (gone) => background.note(`[${gone}] is withdrawn`));
    background.note(
      `[${number}] ${peerText(offer.from)} offers ${offerText(offer)}: ${offerAnswers(offer, pending.nameOf(number))}`,
      offerEvent(offer, { number }),
    );
  });
  announceSession(background, session, () => {
    if (workspace.session === session) workspace.session = undefined;
    workspace.keepOffers();
  });
}

export const disconnect = defineCommand({
  name: 'disconnect',
  aliases: ['close'],
  group: 'reach',
  scope: 'shell',
  summary: 'close the connection to the server',
  notes: [],
  arguments: {},
  options: {},
  examples: [{ line: 'disconnect', does: 'leaves the server and keeps the shell' }],
  run: async ({ workspace, output }) => {
    const session = workspace.connected();
    workspace.session = undefined;
    await session.close();
    const { address, port } = session.peer;
    output.result(
      { event: 'closed', host: address, port },
      `closed the connection to ${peerText(session.peer)}`,
    );
  },
});
