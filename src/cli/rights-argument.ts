/** How people write what a trusted peer may do: `all`, or `SHARE=RIGHT[,RIGHT]` once or several times. */
import { errorOf } from '../errors.ts';
import type { PeerRight, PeerRights } from '../index.ts';
import { escapeText } from '../protocol/text.ts';

/** Told where rights can be written. */
export const RIGHTS_NOTE =
  'Rights are below the mode of each share. all (the default) is what the mode allows; SHARE=read,write,list gives only what it ' +
  'names, for SHARE=* in all shares; -read denies, and SHARE=none denies all, whatever else is given. What is written ' +
  'replaces all that the peer had, and counts at once.';

const WORDS = ['read', 'write', 'list'] as const;

function isRight(word: string): word is PeerRight['right'] {
  return WORDS.some((known) => known === word);
}

/** One `--rights`. Throws USAGE. */
export function parseRights(typed: string): PeerRights {
  if (typed === 'all') return 'all';
  const equals = typed.lastIndexOf('=');
  const share = typed.slice(0, equals);
  if (equals < 1 || share.length > 255 || share.includes('/') || /\p{C}/u.test(share)) throw wrong(typed);
  const words = typed.slice(equals + 1).split(',');
  if (words.length === 1 && words[0] === 'none')
    return WORDS.map((right) => ({ share, right, allowed: false }));
  return words.map((word) => {
    const allowed = !word.startsWith('-');
    const right = allowed ? word : word.slice(1);
    if (!isRight(right)) throw wrong(typed);
    return { share, right, allowed };
  });
}

/** All that were given together; undefined for none. Throws USAGE where `all` is not alone. */
export function joinRights(given: readonly PeerRights[]): PeerRights | undefined {
  const rows = given.flatMap((rights) => (rights === 'all' ? [] : rights));
  if (given.length === 0) return undefined;
  if (rows.length === 0) return 'all';
  if (given.includes('all'))
    throw errorOf('USAGE', 'all stands alone', { hint: 'leave it out, or the others' });
  return rows;
}

/** Rights as they are written. */
export function rightsText(rights: PeerRights): string {
  if (rights === 'all') return 'all';
  const shares = [...new Set(rights.map(({ share }) => share))];
  return shares
    .map((share) => {
      const rows = rights.filter((row) => row.share === share);
      const words = rows.map(({ right, allowed }) => `${allowed ? '' : '-'}${right}`);
      return `${escapeText(share)}=${words.join(',')}`;
    })
    .join(' ');
}

function wrong(typed: string): Error {
  return errorOf('USAGE', `"${escapeText(typed, 60)}" says nothing of rights`, {
    hint: 'write all, or SHARE=read,write,list',
  });
}
