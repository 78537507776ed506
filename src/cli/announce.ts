/** Tells the person, and the reader of `--json`, what happens by itself on listeners and connections. */
import type { LocalstreamError } from '../errors.ts';
import type { Listener, Receipt, Session, TransferInfo } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import type { Asker } from './asker.ts';
import type { ListeningEvent } from './events.ts';
import type { Output } from './output.ts';
import { formatPeer, plainAddress } from './peer-address.ts';
import {
  channelText,
  offerEvent,
  offerText,
  peerDetail,
  peerName,
  peerText,
  shareDetails,
  shownName,
} from './peer-text.ts';
import { receiptEvent, receiptLine } from './receipt-text.ts';
import { shownText, textEvent } from './received-text.ts';
import { plural } from './units.ts';

/** Transfers that a command here has asked for, and whose end it tells itself. */
const own = new Set<string>();

/** For the option `onTransfer` of a command that tells the ends of its transfers itself. */
export function tellsItself(transferId: string): void {
  own.add(transferId);
}

/** A session that ended as sessions do: one side said goodbye. */
function isFarewell({ code }: LocalstreamError): boolean {
  return code === 'CLOSED' || code === 'SHUTTING_DOWN';
}

/**
 * Follows a listener for as long as it lives.
 * @param asker Is told of what peers offer; without one offers are refused, unless a rule accepts them.
 */
export function announceListener(output: Output, listener: Listener, asker: Asker = {}): void {
  const { port } = listener;
  const { inbox } = asker;
  if (inbox !== undefined) listener.on('offer', (offer) => inbox(offer, port));
  listener.on('text', (offer, { text }) => {
    if (asker.text !== undefined) asker.text(offer, text);
    else output.note(`${peerText(offer.from)} says:\n${shownText(text)}`, textEvent(offer, text));
  });
  listener.on('accepted', (offer) => {
    const into = offer.text ? '' : `, into ${escapeText(offer.folder)}`;
    const text = `${peerText(offer.from)} offers ${offerText(offer)}: accepted${into}`;
    output.note(text, offerEvent(offer, { listener: port, accepted: true }));
  });
  listener.on('peer', (peer) => {
    const as = peer.user === undefined ? '' : ` as user ${shownName(peer.user)}`;
    const text = `${peerText(peer)} is connected on ${port}${as}`;
    output.note(text, {
      event: 'peer',
      change: 'connected',
      listener: port,
      peer: peerDetail(peer),
      code: null,
    });
    output.detail(`  ${channelText(peer)}`);
  });
  listener.on('left', (peer, error) => {
    const isOrderly = isFarewell(error);
    const why = isOrderly ? '' : `: ${errorText(error)}`;
    const code = isOrderly ? null : error.code;
    output.note(`${peerText(peer)} left ${port}${why}`, {
      event: 'peer',
      change: 'left',
      listener: port,
      peer: peerDetail(peer),
      code,
    });
  });
  listener.on('refused', ({ address, error }) => {
    const { code, message } = error;
    const text = `turned away ${shownName(plainAddress(address))} on ${port}: ${errorText(error)}`;
    output.note(text, {
      event: 'refused',
      listener: port,
      address: plainAddress(address),
      code,
      message,
    });
  });
  listener.on('users', (error) => {
    output.note(
      error === undefined
        ? `users can log in on ${port} again`
        : `users can't log in on ${port} for now: ${errorText(error)}`,
    );
  });
  listener.on('receipt', (receipt) => {
    if (!own.delete(receipt.transferId)) output.note(receiptNote(receipt), receiptEvent(receipt));
  });
  listener.on('changed', ({ peer, change, entries, last }) => {
    const { type } = change;
    const event = { event: 'changed' as const, listener: port, peer: peerDetail(peer), entries, last };
    if (type === 'move') {
      const { from: path, to } = change;
      const text = `${peerText(peer)} moved ${shownName(path)} to ${shownName(to)}`;
      output.note(text, { ...event, action: 'mv', path, to });
      return;
    }
    const { path } = change;
    const action = type === 'mkdir' ? ('mkdir' as const) : ('rm' as const);
    const told = { ...event, action, path, to: null };
    // A big folder goes part by part: a person is told at its end.
    if (last)
      output.note(`${peerText(peer)} ${type === 'mkdir' ? 'made' : 'removed'} ${shownName(path)}`, told);
    else output.event(told);
  });
  listener.on('failed', ({ transfer, error }) => {
    if (!own.delete(transfer.transferId)) announceFailure(output, transfer, error);
  });
}

/** Who a transfer was with, and of what, for those who have not typed its command. */
function receiptNote(receipt: Receipt): string {
  const { peer, outcomes, files } = receipt;
  const line = receiptLine(receipt, withUser(peerName(peer), peer.user));
  const [first] = outcomes;
  return first === undefined ? line : `${line}; ${firstOf(first.path, Math.max(outcomes.length, files))}`;
}

function withUser(peer: string, user: string | undefined): string {
  return user === undefined ? peer : `${peer}, user ${shownName(user)}`;
}

/** `trip/a.pdf and 2 more`. */
function firstOf(path: string, count: number): string {
  return count > 1 ? `${escapeText(path)} and ${count - 1} more` : escapeText(path);
}

/** Tells of a transfer that ended without a receipt. */
export function announceFailure(output: Output, transfer: TransferInfo, error: LocalstreamError): void {
  const { direction, names, user } = transfer;
  const what = firstOf(names[0] ?? '', names.length);
  const how = direction === 'send' ? `sending ${what} to` : `receiving ${what} from`;
  output.note(`${how} ${withUser(shownName(transfer.peer), user)} failed: ${errorText(error)}`, {
    event: 'failed',
    transferId: transfer.transferId,
    direction: transfer.direction,
    peer: transfer.peer,
    code: error.code,
    message: error.message,
  });
}

/** Says so when the connection is lost, and when the server ends the session; `onClosed` is called in any case. */
export function announceSession(output: Output, session: Session, onClosed: () => void): void {
  session.on('lost', (error) => {
    const { peer } = session;
    const text = `${peerText(peer)} is gone for now: ${errorText(error)}; the next command connects again`;
    const detail = peerDetail(peer);
    output.note(text, { event: 'peer', change: 'lost', listener: null, peer: detail, code: error.code });
  });
  void session.closed.then((error) => {
    onClosed();
    if (error === undefined) return;
    const { peer } = session;
    const why = isFarewell(error) ? 'has closed the connection' : `is gone: ${errorText(error)}`;
    output.note(`${peerText(peer)} ${why}`, {
      event: 'peer',
      change: 'left',
      listener: null,
      peer: peerDetail(peer),
      code: error.code,
    });
  });
}

/** The event of a listener that is ready. */
export function listeningEvent(listener: Listener, fingerprint: string): ListeningEvent {
  const { host, port, maxConnections, open, auth } = listener;
  return {
    event: 'listening',
    host,
    port,
    fingerprint,
    maxConnections,
    open,
    auth,
    shares: shareDetails(listener),
    inbox: listener.inbox ?? null,
  };
}

/** The same as one line. */
export function listeningText(listener: Listener, fingerprint: string): string {
  const { host, port, maxConnections, open, auth, shares, inbox } = listener;
  const shown = shares.map(({ name, mode }) => `${shownName(name)} (${mode})`).join(', ');
  const parts = [
    `listening on ${host === '::' || host === '0.0.0.0' ? `port ${port} of all interfaces` : formatPeer(host, port)}`,
    `up to ${plural(maxConnections, 'peer')}`,
    shown === '' ? 'no shares' : `shares ${shown}`,
    ...(open ? ['open to unknown keys'] : []),
    ...(auth === 'password' ? ['for users who log in'] : []),
    ...(inbox?.accept === 'trusted' ? [`offers of trusted peers into ${escapeText(inbox.folder)}`] : []),
    fingerprint,
  ];
  return parts.join(', ');
}

function errorText(error: LocalstreamError): string {
  return escapeText(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`, 1000);
}
