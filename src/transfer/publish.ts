/** Giving a finished file its name, which replaces nothing that it may not replace. */
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { claimWriting } from './claims.ts';
import { type EntryStat, sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { freeNames, noFreeName } from './free-name.ts';
import type { SafeName } from './name.ts';
import { clearForLink, partialName } from './partial.ts';
import { failedWith } from './system-error.ts';

/** What to do when the name is taken: fail with EXISTS, replace what has it, replace it if it is older, or take `a (2).txt`. */
export type CommitPolicy = 'fail' | 'overwrite' | 'update' | 'rename';

/** How a file gets its name. */
export interface Publishing {
  readonly policy: CommitPolicy;
  /** Of the file, microseconds since 1970. */
  readonly mtime: number;
}

/** The name that a file got, and whether there was another file of that name, which is gone now. */
export interface Published {
  readonly name: SafeName;
  readonly replaced: boolean;
}

/** What `link` fails with on file systems that have none: FAT, exFAT, many network and FUSE ones. */
export const NO_LINKS = ['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EACCES', 'EINVAL'];

/**
 * Gives a partial its name. A folder, a pipe, a device or a socket of that name is never replaced; a symbolic link is
 * replaced itself, not what it points to. What a power cut has left of the same file is replaced under any policy.
 *
 * @throws EXISTS, IS_A_FOLDER, NOT_A_FILE; then the partial is as it was.
 */
export function publish(
  folder: Folder,
  partial: SafeName,
  name: SafeName,
  { policy, mtime }: Publishing,
): Published {
  if (policy === 'overwrite') return replace(folder, partial, name);
  if (policy === 'update') return replace(folder, partial, name, mtime);
  if (take(folder, partial, name)) return { name, replaced: false };
  if (isTakenByRemnant(folder, partial, name)) return replace(folder, partial, name);
  if (policy === 'fail') throw errorOf('EXISTS', `'${escapeText(name)}' exists`);
  for (const candidate of freeNames(name))
    if (take(folder, partial, candidate)) return { name: candidate, replaced: false };
  throw noFreeName(name);
}

/** `before`: only what is older than that is replaced, microseconds since 1970. */
function replace(
  folder: Folder,
  partial: SafeName,
  name: SafeName,
  before = Number.POSITIVE_INFINITY,
): Published {
  const old = folder.lookup(name);
  if (old?.type === 'folder') throw errorOf('IS_A_FOLDER', `'${escapeText(name)}' is a folder`);
  if (old?.type === 'other')
    throw errorOf('NOT_A_FILE', `'${escapeText(name)}' is a pipe, a device or a socket, and is not replaced`);
  // It may have been written to since it was found older.
  if (old !== undefined && old.mtime >= before) throw errorOf('EXISTS', `'${escapeText(name)}' is not older`);
  folder.rename(partial, name);
  return { name, replaced: old !== undefined };
}

/**
 * Whether a file is what a power cut has left of another: its name and its time, which may reach the disk before its
 * bytes do. To the microsecond no other empty file has that time, and nothing is lost with it.
 */
export function isRemnant(
  there: Pick<EntryStat, 'size' | 'mtime'>,
  whole: Pick<EntryStat, 'size' | 'mtime'>,
): boolean {
  return there.size === 0 && whole.size > 0 && there.mtime === whole.mtime;
}

function isTakenByRemnant(folder: Folder, partial: SafeName, name: SafeName): boolean {
  const [there, whole] = [folder.lookup(name), folder.lookup(partial)];
  return there?.type === 'file' && whole?.type === 'file' && isRemnant(there, whole);
}

/** Takes a free name; false if it is not free. Creating a link fails when the name exists, which renaming does not. */
function take(folder: Folder, partial: SafeName, name: SafeName): boolean {
  try {
    folder.link(partial, name);
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return false;
    if (!failedWith(error, ...NO_LINKS)) throw error;
    return claim(folder, partial, name);
  }
  try {
    folder.unlink(partial);
  } catch {
    // The file has its name. The second one is removed when this target is next received (see partial.ts).
  }
  return true;
}

/**
 * Without hard links: an empty file of ours takes the name, and is then replaced by the whole one. A process killed
 * between the two leaves the empty file, which is the price of never replacing somebody else's.
 */
function claim(folder: Folder, partial: SafeName, name: SafeName): boolean {
  let claimed: EntryStat;
  try {
    claimed = folder.createEmpty(name);
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return false;
    throw error;
  }
  const now = folder.lookup(name);
  if (now === undefined || !sameInode(now, claimed) || now.size > 0) return false;
  try {
    folder.rename(partial, name);
  } catch (error) {
    folder.unlink(name);
    throw error;
  }
  return true;
}

/**
 * Makes a symbolic link, under the same rules as a file. Its target must have been checked.
 *
 * @param mtime Microseconds since 1970.
 * @throws EXISTS, IS_A_FOLDER, NOT_A_FILE.
 */
export function placeLink(
  folder: Folder,
  name: SafeName,
  link: { readonly target: string; readonly mtime: number; readonly policy: CommitPolicy },
): Published {
  const { target, mtime, policy } = link;
  if (policy !== 'fail') {
    // Made aside first, so that what is there is replaced at once, and so that one loop finds a free name for both kinds.
    const aside = partialName(name);
    const release = claimWriting(folder, name);
    try {
      makeAside(folder, target, aside);
      try {
        folder.setLinkTimes(aside, mtime);
        return publish(folder, aside, name, { policy, mtime });
      } catch (error) {
        folder.unlink(aside);
        throw error;
      }
    } finally {
      release();
    }
  }
  folder.symlink(target, name);
  folder.setLinkTimes(name, mtime);
  return { name, replaced: false };
}

function makeAside(folder: Folder, target: string, aside: SafeName): void {
  try {
    folder.symlink(target, aside);
  } catch (error) {
    if (!failedWith(error, 'EEXIST') || !clearForLink(folder, aside)) throw error;
    folder.symlink(target, aside);
  }
}
