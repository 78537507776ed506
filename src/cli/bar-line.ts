/** One line that says how far a transfer is, in however many columns there are. */
import type { Progress } from '../index.ts';
import { formatBytes } from '../protocol/size-text.ts';
import { escapeText } from '../protocol/text.ts';
import { shownName } from './peer-text.ts';
import { percentOf } from './rate.ts';
import { cut, widthOf } from './text-width.ts';
import { formatClock, formatRate } from './units.ts';

/** What is shown of a transfer. */
export interface BarState {
  readonly progress: Progress;
  /** Bytes a second, smoothed. */
  readonly perSecond: number | undefined;
  readonly secondsLeft: number | undefined;
  /** Since it came further. */
  readonly idleSeconds: number;
}

/** Seconds after which a speed and a time left would only be made up. */
const STILL = 5;

const LONGEST_BAR = 30;
const SHORTEST_BAR = 8;
const LONGEST_NAME = 32;
const SHORTEST_NAME = 8;
const LONGEST_PEER = 20;
const GAP = 2;

/** The line, never wider than `columns`. What matters least is left out first. */
export function renderBar(
  { progress, perSecond, secondsLeft, idleSeconds }: BarState,
  columns: number,
): string {
  const percent = percentOf(progress);
  const share = percent === undefined ? '' : `${String(percent).padStart(2)} %`;
  const { phase, bytes, bytesTotal, files, filesTotal, totalsKnown } = progress;
  const isStill = phase === 'moving' && idleSeconds >= STILL;
  const isMoving = phase === 'moving' && !isStill;
  const state = isStill ? `nothing for ${formatClock(idleSeconds)}` : phaseText(progress);
  const rate = isMoving && perSecond !== undefined ? formatRate(perSecond) : '';
  const left = isMoving && totalsKnown && secondsLeft !== undefined ? `${formatClock(secondsLeft)} left` : '';
  const total = totalsKnown ? formatBytes(bytesTotal) : `${formatBytes(bytesTotal)} or more`;
  const sizes = phase === 'waiting' ? '' : `${formatBytes(bytes)} of ${total}`;
  const counts = filesTotal > 1 ? `${files} of ${filesTotal} files` : '';

  let room = columns;
  const take = (text: string): string => {
    const width = text.length;
    if (width === 0 || width + GAP > room + (room === columns ? GAP : 0)) return '';
    room -= width + (room === columns ? 0 : GAP);
    return text;
  };
  // In the order of what a person misses first; the place in the line is another matter.
  const fields = {
    state: take(phase === 'moving' ? state : cut(state, columns)),
    share: take(share),
    rate: take(rate),
    left: take(left),
    sizes: take(sizes),
    counts: take(counts),
  };
  const name = nameWithin(
    progress.current,
    room - GAP - (percent === undefined ? 0 : SHORTEST_BAR + GAP + 2),
  );
  if (name !== '') room -= widthOf(name) + GAP;
  const bar = percent === undefined ? '' : barWithin(percent, Math.min(LONGEST_BAR, room - GAP - 2));
  return [name, bar, fields.share, fields.sizes, fields.counts, fields.rate, fields.left, fields.state]
    .filter((field) => field !== '')
    .join(' '.repeat(GAP));
}

/** The same after a label. */
export function renderLabelledBar(label: string, state: BarState, columns: number): string {
  return cut(`${label}${renderBar(state, Math.max(1, columns - widthOf(label)))}`, columns);
}

/** Whose bar it is, where there are several. */
export function peerLabel({ peer }: Progress): string {
  return `${cut(shownName(peer), LONGEST_PEER)}: `;
}

/** What a transfer waits for; empty while its bytes move. */
export function phaseText({ phase, nextTry }: Progress): string {
  switch (phase) {
    case 'waiting':
      return 'waiting for the other side';
    case 'committing':
      return 'committing...';
    case 'reconnecting': {
      const seconds = Math.ceil(((nextTry ?? 0) - Date.now()) / 1000);
      return seconds > 0 ? `no connection, next try in ${seconds} s` : 'no connection, trying';
    }
    default:
      return '';
  }
}

function nameWithin(current: string | undefined, room: number): string {
  if (current === undefined || room < SHORTEST_NAME) return '';
  const base = current.slice(current.lastIndexOf('/') + 1);
  return cut(escapeText(base), Math.min(room, LONGEST_NAME));
}

function barWithin(percent: number, width: number): string {
  if (width < SHORTEST_BAR) return '';
  const full = Math.floor((percent / 100) * width);
  return `[${'='.repeat(full)}${full < width ? '>' : ''}${' '.repeat(Math.max(0, width - full - 1))}]`;
}
