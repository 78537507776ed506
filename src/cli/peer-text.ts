/** Peers, offers and strangers in words and as the details of events. */
import { fingerprintWords } from '../crypto/fingerprint-words.ts';
import type { Listener, Offer, PeerInfo, TransferInfo, TrustQuestion } from '../index.ts';
import { formatBytes } from '../protocol/size-text.ts';
import { escapeText } from '../protocol/text.ts';
import type { OfferEvent, PeerDetail, QuestionEvent, ShareDetail, TransferDetail } from './events.ts';
import { formatPeer, plainAddress } from './peer-address.ts';
import { plural } from './units.ts';

/** Characters of a name that are shown. */
const SHOWN_NAME = 60;

/** A name from outside, fit to be shown. */
export function shownName(name: string): string {
  return escapeText(name, SHOWN_NAME);
}

/** The name of a peer: in quotes while it is only what the peer calls itself. */
export function peerName(peer: Pick<PeerInfo, 'name' | 'trusted'>): string {
  return peer.trusted ? shownName(peer.name) : `"${shownName(peer.name)}"`;
}

/** Where a peer is. */
export function shownPlace({ address, port }: PeerInfo): string {
  return escapeText(formatPeer(address, port), SHOWN_NAME);
}

/** A peer and where it is. */
export function peerText(peer: PeerInfo): string {
  return `${peerName(peer)} (${shownPlace(peer)})`;
}

/** What protects a connection: the group is what the dialler reports, which a server may not have heard yet. */
export function channelText({ group, cipher, fingerprint }: PeerInfo): string {
  return [group, cipher, fingerprint].filter((part) => part !== '').join(', ');
}

export function peerDetail(peer: PeerInfo): PeerDetail {
  const { id, name, trusted, user = null, fingerprint, port, group, cipher } = peer;
  const address = plainAddress(peer.address);
  return {
    id,
    name,
    trusted,
    user,
    fingerprint,
    address,
    port,
    group,
    cipher,
    since: peer.since.toISOString(),
  };
}

export function transferDetail(transfer: TransferInfo): TransferDetail {
  const { transferId, peer, direction, phase, files, filesTotal, bytes, bytesTotal, bytesSkipped } = transfer;
  const { bytesPerSecond } = transfer;
  const startedAt = transfer.startedAt.toISOString();
  return {
    transferId,
    peer,
    direction,
    phase,
    files,
    filesTotal,
    bytes,
    bytesTotal,
    bytesSkipped,
    bytesPerSecond,
    startedAt,
  };
}

export function shareDetails(listener: Listener): ShareDetail[] {
  return listener.shares.map(({ name, folder, mode }) => ({ name, folder, mode }));
}

/** A check number in two halves, as people read it to each other. */
export function shownCheckNumber(digits: string): string {
  return `${digits.slice(0, 3)} ${digits.slice(3)}`;
}

export function questionEvent(
  question: TrustQuestion,
  asked: 'here' | 'there',
  number: number | null,
): QuestionEvent {
  const { role, claimedName, fingerprint, checkNumber } = question;
  const address = plainAddress(question.address);
  const words = fingerprintWords(fingerprint);
  return { event: 'question', asked, number, role, claimedName, fingerprint, words, checkNumber, address };
}

/** Words a line, so that two people find the place again. */
const WORDS_A_LINE = 6;

/** The words of a fingerprint in lines of a few. */
export function wordLines(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < words.length; at += WORDS_A_LINE)
    lines.push(words.slice(at, at + WORDS_A_LINE).join(' '));
  return lines;
}

/** The lines that a person decides by. */
export function questionLines(question: TrustQuestion): string[] {
  return [
    `  calls itself   ${shownName(question.claimedName)}`,
    `  at             ${shownName(plainAddress(question.address))}`,
    `  fingerprint    ${question.fingerprint}`,
    ...wordLines(fingerprintWords(question.fingerprint)).map(
      (line, index) => `  ${index === 0 ? 'in words' : '        '}       ${line}`,
    ),
    `  check number   ${shownCheckNumber(question.checkNumber)}   (the other screen must show the same)`,
  ];
}

/** @param more The number of the question, the port of the listener, and whether the rule has accepted it. */
export function offerEvent(
  offer: Offer,
  more: { readonly number?: number; readonly listener?: number; readonly accepted?: boolean } = {},
): OfferEvent {
  const { id, from, roots, total, folder, text } = offer;
  return {
    event: 'offer',
    id,
    number: more.number ?? null,
    listener: more.listener ?? null,
    from: peerDetail(from),
    roots: roots.map(({ name, type, size }) => ({ name, type, size })),
    total: total === undefined ? null : { ...total },
    text,
    folder,
    accepted: more.accepted ?? false,
  };
}

/** How the question about an offer is answered in the shell. */
export function offerAnswers({ text }: Offer, number: string): string {
  if (text)
    return `accept ${number} shows it, accept ${number} PATH keeps it as a file, reject ${number} refuses it`;
  return `accept ${number} takes it, accept ${number} PATH puts it elsewhere, reject ${number} refuses it`;
}

/** The lines that a person decides by about an offer that came to a listener. */
export function offerLines({ from, folder, text }: Offer): string[] {
  const key = `  its key        ${from.fingerprint}, ${from.trusted ? 'trusted' : 'not trusted here'}`;
  // A text is shown, and kept nowhere.
  return text ? [key] : [key, `  the inbox      ${escapeText(folder)}`];
}

/** Names of an offer that are spelled out. */
const SHOWN_ROOTS = 5;

/** What is offered: `a.pdf (1.20 MB), photos/ and 3 more: 120 files, 3.20 GB`. */
export function offerText(offer: Offer): string {
  if (offer.text) return `a text (${formatBytes(offer.roots[0]?.size ?? 0)})`;
  const shown = offer.roots.slice(0, SHOWN_ROOTS).map(({ name, type, size }) => {
    const label = `${shownName(name)}${type === 'folder' ? '/' : ''}`;
    return size === null ? label : `${label} (${formatBytes(size)})`;
  });
  const more = offer.roots.length - shown.length;
  const names = more > 0 ? `${shown.join(', ')} and ${plural(more, 'more', 'more')}` : shown.join(', ');
  return `${names}${totalText(offer)}`;
}

/** The count, where the names do not tell it. */
function totalText({ roots, total }: Offer): string {
  if (total === undefined || (roots.length === 1 && roots[0]?.size !== null)) return '';
  const least = total.more ? 'at least ' : '';
  return `: ${least}${plural(total.files, 'file')}, ${formatBytes(total.bytes)}`;
}
