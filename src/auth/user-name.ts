import type { Branded } from '../crypto/brand.ts';
import { errorOf } from '../errors.ts';

/** A user's name that has been checked: NFC, one line, 1 to 255 characters, no outer space, not `*`. */
export type UserName = Branded<string, 'UserName'>;

/** Stands for all users where rights are granted. No user can be called so. */
export const EVERYONE = '*';

/** What fits the column `username`. */
const MOST_CHARACTERS = 255;
/** No name of 255 characters is longer; what is longer is not even looked at. */
const MOST_BYTES = 1024;

/** Takes a text for a user's name; undefined where it can't be one. Never throws, whatever the text. */
export function userNameOf(text: string): UserName | undefined {
  if (text.length > MOST_BYTES || !text.isWellFormed()) return undefined;
  const name = text.normalize('NFC');
  if (name === EVERYONE || name !== name.trim() || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)) return undefined;
  const characters = [...name].length;
  return characters >= 1 && characters <= MOST_CHARACTERS ? (name as UserName) : undefined;
}

/**
 * Checks a user's name that a person typed.
 * @throws USAGE.
 */
export function checkUserName(text: string): UserName {
  const name = userNameOf(text);
  if (name !== undefined) return name;
  throw errorOf('USAGE', "that can't be the name of a user", {
    hint: `1 to ${MOST_CHARACTERS} characters, no control characters, no space at the ends, not '${EVERYONE}'`,
  });
}
