/**
 * A new folder with its first small files, made beside its place under the name of a partial and then given its own. So
 * none of the files has to be given a name after it was written, which is much of the work of a small file, and still nobody
 * sees a half of one under its name.
 */
import { errorOf, LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { claimWriting } from './claims.ts';
import { type EntryStat, sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { checkName, type SafeName } from './name.ts';
import { isPartialName, leftFolders, partialName } from './partial.ts';
import type { WholeFile } from './target-store.ts';

/**
 * Makes a folder with these files in it. Returns what it is then; undefined where it could not be made, which leaves
 * nothing behind: written one by one, each of the files shows what is wrong with it.
 *
 * @param mode Of the folder; its owner may use it in any case, until it is left.
 */
export function makeFilled(
  above: Folder,
  name: SafeName,
  mode: number,
  files: readonly WholeFile[],
): EntryStat | undefined {
  // Such a name is refused, and here it would not be.
  if (files.some((file) => isPartialName(file.name))) return undefined;
  try {
    const release = claimWriting(above, name);
    try {
      return fillAside(above, name, mode, files);
    } finally {
      release();
    }
  } catch (error) {
    rethrowDefect(error);
    return undefined;
  }
}

/** Takes away what killed processes have left of a folder that is about to be made. Never throws: it is only in the way. */
export function removeLeftFolders(above: Folder, name: SafeName): void {
  try {
    if (leftFolders(above, name).length === 0) return;
    const release = claimWriting(above, name);
    try {
      const aside = partialName(name);
      // What has our own name first: it is in the way of the others.
      const ownFirst = leftFolders(above, name).sort((a, b) => Number(b === aside) - Number(a === aside));
      for (const left of ownFirst) removeLeft(above, left, aside);
    } finally {
      release();
    }
  } catch (error) {
    rethrowDefect(error);
  }
}

/** First it gets our name: a writer that can't be seen from here, on another machine, then doesn't get it to its place. */
function removeLeft(above: Folder, left: SafeName, aside: SafeName): void {
  try {
    const found = above.stat(left);
    if (!holdsOnlyFiles(above, left)) return;
    if (left !== aside) above.rename(left, aside);
    removeFolder(above, aside, found);
  } catch (error) {
    rethrowDefect(error);
  }
}

/** Nothing else is ever in one of ours. */
function holdsOnlyFiles(above: Folder, left: SafeName): boolean {
  using folder = above.child(left);
  for (const { name, type } of folder.list())
    if ((type ?? folder.stat(checkName(name)).type) !== 'file') return false;
  return true;
}

function fillAside(above: Folder, name: SafeName, mode: number, files: readonly WholeFile[]): EntryStat {
  const aside = partialName(name);
  using folder = above.makeChild(aside);
  const made = folder.statSelf();
  try {
    for (const file of files) folder.createWhole(file);
    folder.setMode(mode | 0o700);
    // Renaming replaces a folder that is empty, and no other.
    if (above.lookup(name) !== undefined) throw errorOf('EXISTS', `'${escapeText(name)}' exists`);
    above.rename(aside, name);
    if (!sameInode(above.stat(name), made))
      throw errorOf('IO', `the folder '${escapeText(name)}' was replaced while it was made`);
    return made;
  } catch (error) {
    removeFolder(above, aside, made);
    throw error;
  }
}

/** Removes such a folder with its files, as far as it can be, if it is still the one that was made or found. */
function removeFolder(above: Folder, name: SafeName, known: EntryStat): void {
  try {
    using folder = above.child(name);
    if (!sameInode(folder.statSelf(), known)) return;
    for (const entry of folder.list()) folder.unlink(checkName(entry.name));
    above.removeIfEmpty(name);
  } catch (error) {
    rethrowDefect(error);
  }
}

/** A failure of the disk costs nothing but time here. */
export function rethrowDefect(error: unknown): void {
  if (!(error instanceof LocalstreamError) || error.code === 'INTERNAL') throw error;
}
