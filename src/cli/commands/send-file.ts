/** send_file: offers a file to the peers of a listener. */
import { errorOf, type LocalstreamError } from '../../errors.ts';
import type { Listener, PeerInfo, Receipt } from '../../index.ts';
import { sendUnannounced } from '../announce.ts';
import { defineCommand, flag, option, optional, required } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { formatPeer, parseBindHost, parsePort, plainAddress } from '../peer-address.ts';
import { peerName, peerText, shownName } from '../peer-text.ts';
import type { ProgressReporter } from '../progress-meters.ts';
import { printReceipt } from '../receipt-text.ts';
import { plural, UNITS_NOTE } from '../units.ts';
import { CHUNK_SUMMARY, parseChunk, path, text } from '../values.ts';
import { findListener } from './del-connection.ts';
import { DOOR_NOTE, openListener } from './serving.ts';

/** Peers that a one-shot listener lets in where it waits for a particular one, who may not be the first. */
const PEERS_WHILE_WAITING = 10;

export const sendFile = defineCommand({
  name: 'send_file',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'offer a file to the peers of a listener',
  notes: [
    'In the shell every peer that is connected on the listener gets the offer. Outside, the command opens the listener, ' +
      'waits for a peer, sends, prints the receipt and ends.',
    DOOR_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    port: required('the port of the listener', parsePort, 'port'),
    path: required('what is sent', path, 'path'),
    chunk: optional(CHUNK_SUMMARY, parseChunk),
  },
  options: {
    to: option('PEER', 'only this peer: its name, address or fingerprint', text, 'peer'),
    host: option('H', 'the address of the listener; all unless given', parseBindHost),
    chunk: option('BYTES', 'the same as CHUNK', parseChunk),
    open: flag('outside the shell: let unknown keys in without a question'),
  },
  examples: [
    { line: 'send_file 7353 report.pdf', does: 'offers a file to everybody on that listener' },
    { line: 'send_file 7353 report.pdf 64K --to alice', does: 'sends it to one peer in small frames' },
  ],
  run: async (context, { arguments: { port, path: source, chunk: positional }, options }) => {
    const { to, host, open } = options;
    if (positional !== undefined && options.chunk !== undefined && positional !== options.chunk) {
      throw errorOf('USAGE', `two chunk sizes are given, ${positional} and ${options.chunk}`, {
        hint: 'write CHUNK or --chunk, not both',
      });
    }
    const chunk = positional ?? options.chunk;
    if (context.shell !== undefined) {
      const listener = findListener(context.workspace, { host, port });
      await sendTo(context, listener, peersFor(listener, to), source, chunk);
      return;
    }
    const max = to === undefined ? 1 : PEERS_WHILE_WAITING;
    await using listener = await openListener(context, { port, host, max, open });
    const peer = await nextPeer(listener, to, context.signal);
    await sendTo(context, listener, [peer], source, chunk);
  },
});

/** Whether a peer is the one that a person named. */
function isPeer(peer: PeerInfo, wanted: string): boolean {
  // A name that is only claimed names nobody: anyone could take it and be sent the file.
  const isNamed = peer.trusted && peer.name.toLowerCase() === wanted.toLowerCase();
  const places = [plainAddress(peer.address), formatPeer(peer.address, peer.port), peer.fingerprint, peer.id];
  return isNamed || places.includes(wanted);
}

function peersFor(listener: Listener, to: string | undefined): readonly PeerInfo[] {
  const peers = to === undefined ? listener.peers : listener.peers.filter((peer) => isPeer(peer, to));
  if (peers.length > 0) return peers;
  const place = formatPeer(listener.host, listener.port);
  const here = listener.peers.map(peerText).join(', ');
  throw errorOf(
    'NOT_CONNECTED',
    to === undefined ? `nobody is connected on ${place}` : `${shownName(to)} is not connected on ${place}`,
    { hint: here === '' ? 'status shows who comes' : `connected: ${here}` },
  );
}

async function nextPeer(listener: Listener, to: string | undefined, signal: AbortSignal): Promise<PeerInfo> {
  signal.throwIfAborted();
  const fits = (peer: PeerInfo) => to === undefined || isPeer(peer, to);
  return await new Promise<PeerInfo>((resolve, reject) => {
    listener.on('peer', (peer) => {
      if (fits(peer)) resolve(peer);
    });
    const present = listener.peers.find(fits);
    if (present !== undefined) resolve(present);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

async function sendTo(
  context: Context,
  listener: Listener,
  peers: readonly PeerInfo[],
  source: string,
  chunk: number | undefined,
): Promise<void> {
  const failures: LocalstreamError[] = [];
  using progress = context.progress();
  await Promise.all(
    peers.map(async (peer) => {
      try {
        const receipt = await sendOne(context, progress, listener, peer, source, chunk);
        // With one peer the bar has done its work; with several the others go on below the receipt.
        if (peers.length === 1) progress[Symbol.dispose]();
        printReceipt(context.output, receipt);
      } catch (error) {
        const failure = toLocalstreamError(error);
        failures.push(failure);
        if (peers.length > 1) context.output.note(`${peerName(peer)}: ${failure.message}`);
      }
    }),
  );
  const [first] = failures;
  if (first === undefined) return;
  if (peers.length === 1 || context.signal.aborted) throw first;
  if (failures.length === peers.length && failures.every(({ code }) => code === first.code)) throw first;
  throw errorOf('PARTIAL', `sent to ${peers.length - failures.length} of ${plural(peers.length, 'peer')}`, {
    cause: first,
  });
}

function sendOne(
  context: Context,
  progress: ProgressReporter,
  listener: Listener,
  peer: PeerInfo,
  source: string,
  chunk: number | undefined,
): Promise<Receipt> {
  return sendUnannounced(listener, peer.id, [source], {
    ...transferOptions(context, progress),
    ...(chunk === undefined ? {} : { chunk }),
  });
}
