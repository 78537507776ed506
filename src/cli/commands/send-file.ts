/** send_file: offers files and folders to the peers of a listener. */
import { existsSync } from 'node:fs';
import { errorOf, type LocalstreamError } from '../../errors.ts';
import type { Listener, PeerInfo, Source } from '../../index.ts';
import { fsPath, STREAM_PATH } from '../../transfer/name.ts';
import { tellsItself } from '../announce.ts';
import { anyNumber, defineCommand, flag, option, required } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { type MoveInput, moveOptions, SOURCE_OPTIONS, TEXT_NOTE, TEXT_OPTIONS } from '../move.ts';
import { localPath, sourcesOf } from '../operands.ts';
import { formatPeer, parseBindHost, parsePort, plainAddress } from '../peer-address.ts';
import { peerName, peerText, shownName } from '../peer-text.ts';
import { printReceipt, RECEIVERS_HINT } from '../receipt-text.ts';
import { plural, UNITS_NOTE } from '../units.ts';
import { parseChunk, parseMax, path, text } from '../values.ts';
import { findListener } from './del-connection.ts';
import { DOOR_NOTE, openListener } from './serving.ts';

/** Peers that a one-shot listener lets in where it waits for a particular one, who may not be the first. */
const PEERS_WHILE_WAITING = 10;

export const sendFile = defineCommand({
  name: 'send_file',
  aliases: [],
  group: 'move',
  scope: 'both',
  server: { once: 'preferred', shell: true },
  background: true,
  summary: 'offer files and folders to the peers of a listener',
  notes: [
    'In the shell, and where a server of this home has that port, every peer that is connected on it gets the offer. ' +
      'Otherwise the command opens the listener, waits for a peer, sends, prints the receipt and ends.',
    TEXT_NOTE,
    DOOR_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    port: required('the port of the listener', parsePort, 'port'),
    paths: anyNumber(
      'what is sent, patterns too; a last word of digits that names no file is CHUNK',
      path,
      'path',
    ),
  },
  options: {
    to: option('PEER', 'only this peer: its name, address or fingerprint', text, 'peer'),
    host: option('H', 'the address of the listener; all unless given', parseBindHost),
    peers: option('N', 'wait for so many peers and send to all of them', parseMax),
    ...TEXT_OPTIONS,
    ...SOURCE_OPTIONS,
    open: flag('let unknown keys in without a question, on a port that the command opens'),
  },
  examples: [
    { line: 'send_file 7353 report.pdf', does: 'offers a file to everybody on that listener' },
    { line: 'send_file 7353 report.pdf 64K --to alice', does: 'sends it to one peer in small frames' },
  ],
  run: async (context, { arguments: { port, paths }, options }) => {
    const { to, host, open, peers } = options;
    const { sources, chunk } = chunkOf(context, paths, options.chunk);
    const send = { ...options, chunk };
    if (context.shell !== undefined || context.server !== undefined) {
      const listener = findListener(context.workspace, { host, port });
      if (open)
        throw errorOf('USAGE', `port ${port} is open already, and --open is for one that the command opens`, {
          hint: 'leave out --open, or open it with add_connection --open',
        });
      if (context.server !== undefined && sources.includes(STREAM_PATH))
        throw errorOf('NOT_SUPPORTED', 'the server can not send what is piped to another process', {
          hint: 'write it to a file, or use another port, which is then opened here',
        });
      const local = await sourcesOf(context, sources, options.text);
      const here =
        peers === undefined ? peersFor(listener, to) : await nextPeers(context, listener, to, peers);
      await sendTo(context, listener, here, local, send);
      return;
    }
    const local = await sourcesOf(context, sources, options.text);
    const wanted = peers ?? 1;
    const max = to === undefined ? wanted : Math.max(wanted, PEERS_WHILE_WAITING);
    await using listener = await openListener(context, { port, host, max, open });
    const here = await nextPeers(context, listener, to, wanted);
    await sendTo(context, listener, here, local, send);
  },
});

/** CHUNK is the third word when there are exactly three, it is all digits and no such file exists; or `--chunk`. */
function chunkOf(
  context: Context,
  words: readonly string[],
  given: number | undefined,
): { readonly sources: readonly string[]; readonly chunk: number | undefined } {
  const [first, last] = words;
  if (words.length !== 2 || first === undefined || last === undefined)
    return { sources: words, chunk: given };
  if (!/^\d+[km]?$/i.test(last) || existsSync(fsPath(localPath(context, last))))
    return { sources: words, chunk: given };
  const chunk = parseChunk(last);
  if (given !== undefined && given !== chunk)
    throw errorOf('USAGE', `two chunk sizes are given, ${chunk} and ${given}`, {
      hint: 'write CHUNK or --chunk, not both',
    });
  return { sources: [first], chunk };
}

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

/** The first so many peers that fit. Says how many are there while some are missing. */
async function nextPeers(
  { output, signal }: Context,
  listener: Listener,
  to: string | undefined,
  count: number,
): Promise<readonly PeerInfo[]> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<readonly PeerInfo[]>();
  const look = () => {
    const fitting = listener.peers.filter((peer) => to === undefined || isPeer(peer, to));
    if (fitting.length >= count) resolve(fitting.slice(0, count));
    else if (fitting.length > 0)
      output.note(`${fitting.length} of ${count} peers are here, waiting for the others`);
  };
  const stop = () => reject(signal.reason);
  listener.on('peer', look);
  signal.addEventListener('abort', stop, { once: true });
  void listener.closed.then(() => reject(errorOf('NO_SERVER', 'the listener was closed')));
  look();
  try {
    return await promise;
  } finally {
    listener.off('peer', look);
    signal.removeEventListener('abort', stop);
  }
}

async function sendTo(
  context: Context,
  listener: Listener,
  peers: readonly PeerInfo[],
  sources: readonly Source[],
  options: MoveInput,
): Promise<void> {
  const failures: LocalstreamError[] = [];
  using progress = context.progress();
  const results = await listener.sendToAll(
    peers.map(({ id }) => id),
    sources,
    { ...transferOptions(context, progress), ...moveOptions(options), onTransfer: tellsItself },
  );
  progress[Symbol.dispose]();
  for (const [index, result] of results.entries()) {
    try {
      if (result.status === 'rejected') throw result.reason;
      printReceipt(context.output, result.value, RECEIVERS_HINT);
    } catch (error) {
      const failure = toLocalstreamError(error);
      failures.push(failure);
      const peer = peers[index];
      if (peers.length > 1 && peer) noteFailure(context, peer, failure);
    }
  }
  const [first] = failures;
  if (first === undefined) return;
  if (peers.length === 1 || context.signal.aborted) throw first;
  if (failures.length === peers.length && failures.every(({ code }) => code === first.code)) throw first;
  throw errorOf('PARTIAL', `sent to ${peers.length - failures.length} of ${plural(peers.length, 'peer')}`, {
    cause: first,
  });
}

function noteFailure({ output }: Context, peer: PeerInfo, { code, message }: LocalstreamError): void {
  output.note(`${peerName(peer)}: ${message}`, {
    event: 'failed',
    transferId: null,
    direction: 'send',
    peer: peer.name,
    code,
    message,
  });
}
