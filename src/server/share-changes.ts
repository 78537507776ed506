/** What a peer changes in a share: folders made, entries moved and removed. Who may is decided before. */
import { errorOf } from '../errors.ts';
import { MAX_REMOVED } from '../protocol/limits.ts';
import { escapeText } from '../protocol/text.ts';
import type { Changed } from '../session/changes.ts';
import { moveEntry, removeEntry } from '../transfer/change-entries.ts';
import type { EntryType } from '../transfer/entry-stat.ts';
import { Folder } from '../transfer/folder.ts';
import type { SafeName, SafePath } from '../transfer/name.ts';
import { failedWith } from '../transfer/system-error.ts';

/** A place below a share's folder. */
export interface Below {
  readonly folder: string;
  readonly path: SafePath;
  /** The path was written as that of a folder. */
  readonly inside: boolean;
}

const ONE: Changed = { entries: 1, last: true };

/** Opens a folder of a share step by step; no link on the way is followed. */
export function openBelow(share: string, path: SafePath): Folder {
  let folder = Folder.open(share);
  for (const component of path) {
    using outer = folder;
    folder = outer.child(component);
  }
  return folder;
}

/** The entry that a path names. Throws NOT_ALLOWED for the share itself. */
function lastOf({ path }: Below): SafeName {
  const last = path.at(-1);
  if (last === undefined) throw errorOf('NOT_ALLOWED', 'a share itself is never moved, made or removed');
  return last;
}

/** Throws NOT_FOUND where its folder is missing, EXISTS where anything has its name. */
export function makeFolderIn(place: Below): Changed {
  const name = lastOf(place);
  using folder = openBelow(place.folder, place.path.slice(0, -1));
  // What the system's user takes from every new folder, it takes from this one.
  try {
    folder.makeChild(name, 0o777).close();
  } catch (error) {
    const there = failedWith(error, 'EEXIST') ? folder.lookup(name) : undefined;
    if (there === undefined) throw error;
    throw errorOf('EXISTS', `${A_THING[there.type]} '${escapeText(name)}' is there already`, {
      cause: error,
    });
  }
  return ONE;
}

const A_THING: Readonly<Record<EntryType, string>> = {
  file: 'a file',
  folder: 'a folder',
  link: 'a link',
  other: 'something',
};

/**
 * Moves within one share. Into a target that is a folder, or is written with a slash at its end, under its own name;
 * otherwise the target is the new name.
 */
export function moveIn(from: Below, to: Below): Changed {
  const name = lastOf(from);
  using source = openBelow(from.folder, from.path.slice(0, -1));
  const { type } = source.stat(name);
  if (from.inside && type !== 'folder') throw notAFolder(name);
  const goesInto = to.inside || to.path.length === 0 || isFolder(to);
  const parent = goesInto ? to.path : to.path.slice(0, -1);
  const isWithin = from.path.every((component, index) => parent[index] === component);
  if (type === 'folder' && isWithin) throw errorOf('BAD_NAME', "a folder can't be moved into itself");
  using target = openBelow(to.folder, parent);
  moveEntry({ folder: source, name }, { folder: target, name: goesInto ? name : lastOf(to) });
  return ONE;
}

function isFolder(place: Below): boolean {
  using parent = openBelow(place.folder, place.path.slice(0, -1));
  return parent.lookup(lastOf(place))?.type === 'folder';
}

/**
 * Removes a file or link, or a folder with all that is in it: as much of it as one request may. Where that fails on the
 * way, what is gone is told of as a part: the request that goes on meets what is in the way again, and throws.
 */
export function removeIn(place: Below, recursive: boolean): Changed {
  const name = lastOf(place);
  using folder = openBelow(place.folder, place.path.slice(0, -1));
  const { type } = folder.stat(name);
  if (place.inside && type !== 'folder') throw notAFolder(name);
  if (type === 'folder' && !recursive)
    throw errorOf(
      'IS_A_FOLDER',
      `'${escapeText(name)}' is a folder, and was not to be removed with all in it`,
    );
  const budget = { left: MAX_REMOVED };
  try {
    const last = removeEntry({ folder, name }, budget);
    return { entries: MAX_REMOVED - budget.left, last };
  } catch (error) {
    if (budget.left === MAX_REMOVED) throw error;
    return { entries: MAX_REMOVED - budget.left, last: false };
  }
}

function notAFolder(name: SafeName): Error {
  return errorOf('NOT_A_FOLDER', `'${escapeText(name)}' is not a folder`);
}
