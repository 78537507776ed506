/** How single values are read from the command line. Each throws USAGE and says what would be right. */
import { errorOf } from '../errors.ts';
import { MAX_TEXT } from '../protocol/limits.ts';
import { escapeText } from '../protocol/text.ts';
import { LONGEST_TIMER } from '../settings.ts';

/** Takes the text as it is. */
export function text(typed: string): string {
  return typed;
}

/** A path or name that must not be empty: an empty one is an unset variable in a script, never a wish. */
export function path(typed: string): string {
  if (typed === '') throw errorOf('USAGE', 'a path is empty', { hint: 'write . for this folder' });
  if (typed.includes('\0')) {
    throw errorOf('USAGE', 'a path holds a null character', { hint: 'no system has such a path' });
  }
  return typed;
}

/** A text to be sent. */
export function parseText(typed: string): string {
  const { length } = Buffer.from(typed);
  if (typed.isWellFormed() && length > 0 && length <= MAX_TEXT) return typed;
  throw errorOf('USAGE', typed.isWellFormed() ? `the text has ${length} bytes` : 'the text is not UTF-8', {
    hint: `send it as a file; a text has from 1 to ${MAX_TEXT} bytes`,
  });
}

/** One word of a few. */
export function oneOf<const Word extends string>(
  what: string,
  words: readonly Word[],
): (typed: string) => Word {
  return (typed) => {
    const found = words.find((word) => word === typed);
    if (found !== undefined) return found;
    throw errorOf('USAGE', `"${escapeText(typed, 60)}" is not ${what}`, {
      hint: `write ${words.join(', ')}`,
    });
  };
}

/** The most peers that a listener may be told to let in, as in the settings. */
const MOST_PEERS = 10_000;

/** Peers that a listener lets in at once. */
export function parseMax(typed: string): number {
  return whole(typed, 'a number of peers', 1, MOST_PEERS);
}

/** The most codes that one command opens. */
const MOST_CODES = 100;

/** Pairing codes to be opened. */
export function parseCodes(typed: string): number {
  return whole(typed, 'a number of codes', 1, MOST_CODES);
}

/** Offers to be waited for. */
export function parseCount(typed: string): number {
  return whole(typed, 'a number of offers', 1, Number.MAX_SAFE_INTEGER);
}

/** A question, an offer or a job as it is named: `3`, or `s3` where it is one of the server of the home. */
export interface Numbered {
  readonly number: number;
  readonly isServers: boolean;
}

/** The number of a question or an offer. */
export function parseQuestion(typed: string): Numbered {
  return numbered(typed, 'the number of a question');
}

/** The number of a job. */
export function parseJob(typed: string): Numbered {
  return numbered(typed, 'the number of a job');
}

function numbered(typed: string, what: string): Numbered {
  const isServers = typed.startsWith('s');
  return { number: whole(isServers ? typed.slice(1) : typed, what, 1, Number.MAX_SAFE_INTEGER), isServers };
}

const LEAST_CHUNK = 1024;
const MOST_CHUNK = 4_194_304;

/** Told wherever a chunk can be written. */
export const CHUNK_SUMMARY = `plaintext bytes of a frame, ${LEAST_CHUNK} to ${MOST_CHUNK}; 64K and 1M are understood`;

/** Plaintext bytes of a frame. */
export function parseChunk(typed: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})(k|m)?$/i.exec(typed) ?? [];
  const factor = { '': 1, k: 1024, m: 1024 * 1024 }[unit.toLowerCase()] ?? 1;
  return whole(
    digits === undefined ? typed : String(Number(digits) * factor),
    'a chunk size',
    LEAST_CHUNK,
    MOST_CHUNK,
  );
}

/** A rate such as `20MB/s`, `500k` or `2.5 MiB/s`, in bytes a second. */
export function parseRate(typed: string): number {
  const [, digits = '', prefix = '', binary] =
    /^(\d{1,9}(?:\.\d{1,3})?) ?([kmg]?)(i?)b?(?:\/s)?$/i.exec(typed) ?? [];
  const power = ['', 'k', 'm', 'g'].indexOf(prefix.toLowerCase());
  const rate = Math.round(Number(digits) * (binary ? 1024 : 1000) ** power);
  if (digits !== '' && rate >= 1000) return rate;
  throw errorOf('USAGE', `"${escapeText(typed, 60)}" is not a rate`, {
    hint: 'write 20MB/s or 500k, 1k at least',
  });
}

/** A time such as `30s`, `5m` or `0`, in milliseconds. */
export function parseDuration(typed: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})(ms|s|m|h)?$/i.exec(typed) ?? [];
  const factor = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit.toLowerCase()];
  const milliseconds = digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
  if (milliseconds !== undefined && milliseconds <= LONGEST_TIMER) return milliseconds;
  throw errorOf('USAGE', `"${escapeText(typed, 60)}" is not a time`, {
    hint: 'write 30s, 5m or 0, 596h at the most',
  });
}

const MOST_LANES = 16;

/** TCP connections that carry the bytes of one transfer. */
export function parseLanes(typed: string): number {
  return whole(typed, 'a number of lanes', 1, MOST_LANES);
}

function whole(typed: string, what: string, least: number, most: number): number {
  const number = /^\d{1,16}$/.test(typed) ? Number(typed) : Number.NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
  throw errorOf('USAGE', `"${escapeText(typed, 60)}" is not ${what}`, {
    hint: `write a whole number ${range}`,
  });
}
