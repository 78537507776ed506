/** How people write a share: `[NAME=]DIR[:ro|rw|wo]`. */
import { errorOf } from '../errors.ts';
import type { ShareOptions } from '../index.ts';
import { escapeText } from '../protocol/text.ts';

/** Told wherever a share can be written. */
export const SHARE_NOTE =
  'A share is [NAME=]DIR[:ro|rw|wo]: ro (the default) lets peers list and get, rw also put, wo only put. NAME is the ' +
  "folder's own name unless given. Only the last :ro, :rw or :wo counts, and NAME= is only read before any slash: a " +
  'folder called a=b is written ./a=b, and one that is called x:ro is written x:ro/ or x:ro:ro.';

const MODE = /:(ro|rw|wo)$/;

/** Reads a share. Throws USAGE. Whether the folder is there is for the listener to find out. */
export function parseShare(text: string, platform: NodeJS.Platform = process.platform): ShareOptions {
  const mode = MODE.exec(text)?.[1];
  const rest = mode === undefined ? text : text.slice(0, -mode.length - 1);
  const equals = rest.indexOf('=');
  const slash = rest.search(platform === 'win32' ? /[\\/]/ : /\//);
  const isNamed = equals >= 0 && (slash < 0 || equals < slash);
  const folder = isNamed ? rest.slice(equals + 1) : rest;
  if (folder === '') throw wrong(`the share "${shown(text)}" has no folder`);
  return {
    ...(isNamed ? { name: checkShareName(rest.slice(0, equals), text) } : {}),
    folder,
    ...(isMode(mode) ? { mode } : {}),
  };
}

function isMode(mode: string | undefined): mode is 'ro' | 'rw' | 'wo' {
  return mode === 'ro' || mode === 'rw' || mode === 'wo';
}

function checkShareName(name: string, text: string): string {
  if (name === '') throw wrong(`the share "${shown(text)}" has an empty name`);
  if (name === '.' || name === '..' || /\p{C}/u.test(name))
    throw wrong(`a share can't be called "${shown(name)}"`);
  return name;
}

function shown(text: string): string {
  return escapeText(text, 60);
}

function wrong(message: string): Error {
  return errorOf('USAGE', message, {
    hint: 'write [NAME=]DIR[:ro|rw|wo], and ./DIR where the name of the folder holds a "="',
  });
}
