/** Giving a finished file its name, which replaces nothing that it may not replace. */
import * as fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { freeNames, noFreeName } from './free-name.ts';
import type { SafeName } from './name.ts';
import { failedWith } from './system-error.ts';

/** What to do when the name is taken: fail with EXISTS, replace what has it, or take `a (2).txt`. */
export type CommitPolicy = 'fail' | 'overwrite' | 'rename';

/** The name that a file got, and whether there was another file of that name, which is gone now. */
export interface Published {
  readonly name: SafeName;
  readonly replaced: boolean;
}

const { O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
/** What `link` fails with on file systems that have none: FAT, exFAT, many network and FUSE ones. */
const NO_LINKS = ['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EACCES', 'EINVAL'];

/**
 * Gives a partial its name. A folder, a pipe, a device or a socket of that name is never replaced; a symbolic link is
 * replaced itself, not what it points to.
 *
 * @throws EXISTS, IS_A_FOLDER, NOT_A_FILE; then the partial is as it was.
 */
export function publish(folder: Folder, partial: SafeName, name: SafeName, policy: CommitPolicy): Published {
  if (policy === 'overwrite') return replace(folder, partial, name);
  if (take(folder, partial, name)) return { name, replaced: false };
  if (policy === 'fail') throw errorOf('EXISTS', `'${escapeText(name)}' exists`);
  for (const candidate of freeNames(name))
    if (take(folder, partial, candidate)) return { name: candidate, replaced: false };
  throw noFreeName(name);
}

function replace(folder: Folder, partial: SafeName, name: SafeName): Published {
  const old = folder.lookup(name);
  if (old?.type === 'folder') throw errorOf('IS_A_FOLDER', `'${escapeText(name)}' is a folder`);
  if (old?.type === 'other')
    throw errorOf('NOT_A_FILE', `'${escapeText(name)}' is a pipe, a device or a socket, and is not replaced`);
  folder.rename(partial, name);
  return { name, replaced: old !== undefined };
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
  let claimed: ReturnType<Folder['openFile']>;
  try {
    claimed = folder.openFile(name, O_WRONLY | O_CREAT | O_EXCL);
  } catch (error) {
    if (failedWith(error, 'EEXIST')) return false;
    throw error;
  }
  fs.closeSync(claimed.descriptor);
  const now = folder.lookup(name);
  if (now === undefined || !sameInode(now, claimed.stat) || now.size > 0) return false;
  try {
    folder.rename(partial, name);
  } catch (error) {
    folder.unlink(name);
    throw error;
  }
  return true;
}
