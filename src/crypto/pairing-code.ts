/** Pairing codes as people read, say and type them: `7-nebula-duffel`. */
import { randomInt } from 'node:crypto';
import { distance } from 'fastest-levenshtein';
import { errorOf } from '../errors.ts';
import { pairingWords } from './word-list.ts';

/** Words of a code: with 1,296 each, one guess is right once in 1.7 million times. */
const CODE_WORDS = 2;
/** The largest nameplate. */
const MOST_NAMEPLATE = 9999;

/** A code that was taken apart. */
export interface PairingCode {
  /** Public: by it the sender is found. */
  readonly nameplate: number;
  /** Secret, in the one form that goes into the key: lower case, a dash between the words. */
  readonly words: string;
}

/** Draws the words for a nameplate. */
export function newPairingCode(nameplate: number): PairingCode {
  if (!Number.isInteger(nameplate) || nameplate < 1 || nameplate > MOST_NAMEPLATE)
    throw new RangeError(`a nameplate is from 1 to ${MOST_NAMEPLATE}`);
  const words = Array.from({ length: CODE_WORDS }, () => pairingWords[randomInt(pairingWords.length)]);
  return { nameplate, words: words.join('-') };
}

/** The code as it is shown. */
export function pairingCodeText({ nameplate, words }: PairingCode): string {
  return `${nameplate}-${words}`;
}

/** Lower case, and one dash for whatever stands between the parts. */
function parts(text: string): string[] {
  return text
    .slice(0, 256)
    .normalize('NFKC')
    .toLowerCase()
    .trim()
    .split(/[\s\-‐-―−_.,/]+/u);
}

/**
 * Reads a code that a person typed: case and separators do not matter, and a word may be cut after three letters. What is
 * no word of the list is told here, since at the other machine it would burn the code.
 * @throws USAGE.
 */
export function parsePairingCode(text: string): PairingCode {
  const [number = '', ...words] = parts(text);
  const nameplate = /^[1-9]\d{0,3}$/.test(number) ? Number(number) : undefined;
  if (nameplate === undefined || words.length !== CODE_WORDS)
    throw errorOf('USAGE', 'that is not a pairing code', { hint: 'it looks like 7-nebula-duffel' });
  return { nameplate, words: words.map(wordOf).join('-') };
}

function wordOf(text: string, index: number): string {
  const [only, another] = wordsFrom(text);
  if (only !== undefined && (only === text || (another === undefined && text.length >= 3))) return only;
  const near = text.length > 20 ? [] : pairingWords.filter((word) => distance(word, text) <= 2);
  const which = index === 0 ? 'first' : 'second';
  throw errorOf('USAGE', `the ${which} word of the code is none that codes have`, {
    // The word is not repeated: it may be a password in the wrong place.
    hint: near.length === 1 ? `it may be '${near[0]}'` : 'look at it once more; nothing was sent',
  });
}

function wordsFrom(start: string): string[] {
  if (!/^[a-z]+$/.test(start)) return [];
  return pairingWords.filter((word) => word.startsWith(start)).slice(0, 50);
}

/** The codes that a text could become with its last word completed; those that want more words end in a dash. */
export function completePairingCode(text: string): string[] {
  const [number = '', ...words] = parts(text);
  if (!/^[1-9]\d{0,3}$/.test(number) || words.length === 0 || words.length > CODE_WORDS) return [];
  const last = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  if (before.some((word) => !pairingWords.includes(word))) return [];
  const end = words.length < CODE_WORDS ? '-' : '';
  return wordsFrom(last).map((word) => `${[number, ...before, word].join('-')}${end}`);
}
