/** Other names for a file whose own is taken. */
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { checkName, encodeName, MOST_NAME_BYTES, type SafeName } from './name.ts';

const MOST_TRIES = 10_000;
/** `.tar.gz` is one ending to people. */
const ENDING = /(?:\.tar)?\.[^.\s]{1,16}$/i;

/** `a (2).txt`, `a (3).txt`, …: each a name that is allowed wherever the first one is, shortened where it must be. */
export function* freeNames(name: SafeName): Generator<SafeName, void, undefined> {
  const ending = name.slice(1).match(ENDING)?.[0] ?? '';
  const stem = name.slice(0, name.length - ending.length);
  for (let number = 2; number <= MOST_TRIES; number += 1) yield numbered(stem, number, ending);
}

function numbered(stem: string, number: number, ending: string): SafeName {
  const suffix = ` (${number})${ending}`;
  const room = MOST_NAME_BYTES - encodeName(suffix).length;
  const characters = [...stem];
  while (encodeName(characters.join('')).length > room) characters.pop();
  return checkName(`${characters.join('')}${suffix}`);
}

/** When all of them are taken. */
export function noFreeName(name: SafeName): Error {
  return errorOf('EXISTS', `'${escapeText(name)}' and ${MOST_TRIES - 1} names after it are taken`);
}
