/**
 * Moving and removing what is in open folders. As everything below a root it goes by open descriptors and follows no
 * link: a folder that is swapped for one meanwhile is not gone through.
 */
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { checkName, MOST_DEPTH, type SafeName } from './name.ts';
import { isPartialName, isUnderWay } from './partial.ts';
import { NO_LINKS } from './publish.ts';
import { failedWith } from './system-error.ts';

/** An entry by the open folder that it is in. */
export interface EntryPlace {
  readonly folder: Folder;
  readonly name: SafeName;
}

/**
 * Gives an entry another name, perhaps in another folder of the same file system. Nothing is replaced: the new name is
 * taken first, by what the system does at once and only where it is free.
 *
 * @throws NOT_FOUND, EXISTS, UNWRITABLE, NOT_SUPPORTED where the two are on different file systems.
 */
export function moveEntry(from: EntryPlace, to: EntryPlace): void {
  try {
    if (from.folder.stat(from.name).type === 'folder') moveFolder(from, to);
    else moveFile(from, to);
  } catch (error) {
    if (!failedWith(error, 'EXDEV')) throw error;
    throw errorOf('NOT_SUPPORTED', 'the two places are on different file systems of the other side', {
      cause: error,
    });
  }
}

/** A folder of ours takes the name; renaming onto an empty folder replaces it, and nothing else. */
function moveFolder(from: EntryPlace, to: EntryPlace): void {
  to.folder.makeChild(to.name).close();
  try {
    // Windows renames onto nothing at all.
    if (process.platform === 'win32') to.folder.removeIfEmpty(to.name);
    from.folder.renameInto(to.folder, from.name, to.name);
  } catch (error) {
    to.folder.removeIfEmpty(to.name);
    throw error;
  }
}

function moveFile(from: EntryPlace, to: EntryPlace): void {
  const moved = from.folder.stat(from.name);
  try {
    from.folder.linkInto(to.folder, from.name, to.name);
  } catch (error) {
    if (!failedWith(error, ...NO_LINKS)) throw error;
    renameFile(from, to);
    return;
  }
  try {
    const now = from.folder.lookup(from.name);
    // Another one that came in its place meanwhile stays.
    if (now !== undefined && sameInode(now, moved)) from.folder.unlink(from.name);
  } catch (error) {
    to.folder.unlink(to.name);
    throw error;
  }
}

/** Without hard links: an empty file of ours takes the name and is replaced. */
function renameFile(from: EntryPlace, to: EntryPlace): void {
  to.folder.createEmpty(to.name);
  try {
    from.folder.renameInto(to.folder, from.name, to.name);
  } catch (error) {
    to.folder.unlink(to.name);
    throw error;
  }
}

/** How much of a folder is removed at once; what is left of it shows afterwards whether that was all. */
export interface Budget {
  left: number;
}

/**
 * Removes an entry: of a folder, all that is in it before, as long as the budget lasts. A link is removed, not what it
 * points to.
 *
 * @returns whether it is gone.
 * @throws NOT_FOUND, UNWRITABLE, BUSY where a file is just being received, BAD_NAME for a name that no peer can mean.
 */
export function removeEntry({ folder, name }: EntryPlace, budget: Budget, depth = 0): boolean {
  if (folder.stat(name).type === 'folder') return removeFolder(folder, name, budget, depth);
  if (budget.left === 0) return false;
  if (isPartialName(name) && isUnderWay(folder, name))
    throw errorOf('BUSY', 'a file is just being received there');
  folder.unlink(name);
  budget.left -= 1;
  return true;
}

function removeFolder(outer: Folder, name: SafeName, budget: Budget, depth: number): boolean {
  if (depth >= MOST_DEPTH) throw errorOf('LIMIT', `more than ${MOST_DEPTH} folders are within each other`);
  using inner = outer.child(name);
  for (;;) {
    const before = budget.left;
    for (const entry of inner.list()) {
      if (!removeListed({ folder: inner, name: checkName(entry.name) }, budget, depth)) return false;
    }
    if (budget.left === 0) return false;
    if (outer.removeIfEmpty(name)) {
      budget.left -= 1;
      return true;
    }
    const now = outer.lookup(name);
    if (now === undefined) return true;
    // Somebody fills it as fast as it is emptied, or has put something else in its place.
    if (before === budget.left || now.type !== 'folder')
      throw errorOf('BUSY', `'${escapeText(name)}' changed while it was removed`);
  }
}

/** What has gone since it was listed is as good as removed. */
function removeListed(place: EntryPlace, budget: Budget, depth: number): boolean {
  try {
    return removeEntry(place, budget, depth + 1);
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return true;
    throw error;
  }
}
