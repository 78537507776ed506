/** A text from a peer, as it is shown and as an event. */
import type { Offer } from '../index.ts';
import { escapeText } from '../protocol/text.ts';
import type { TextEvent } from './events.ts';
import type { Output } from './output.ts';
import { peerDetail } from './peer-text.ts';

/** The longest that one character can become when it is spelled out. */
const SPELLED = 10;

export function textEvent({ id, from }: Offer, text: string): TextEvent {
  return { event: 'text', transferId: id, from: peerDetail(from), text };
}

/** For a terminal with everything spelled out that it would act on, but for ends of lines and tabs; for a program as it is. */
export function textFor(output: Output, text: string): string {
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  return output.isTerminal ? shownText(body) : body;
}

/** The text on several lines, harmless. */
export function shownText(text: string): string {
  return text.replace(/[^\n\t]+/g, (piece) => escapeText(piece, piece.length * SPELLED));
}
