/**
 * Partials: the files that bytes are received into, beside their target. A partial is the journal of its transfer; what
 * it holds is hashed again before it is used and never believed.
 *
 * Its name is `.localstream-<16 hex>-<pid>.part`: the start of the BLAKE3 of the target's name, since a prefix around the
 * name itself would overflow 255 bytes, and the process that writes it. A partial of an earlier run is taken over by
 * renaming it, and only if that process is gone, we own the file, it is a regular one and has one link. Anything else of
 * that look is somebody's file and stays untouched.
 */
import * as fs from 'node:fs';
import { digestOf } from '../crypto/digest.ts';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, sameInode } from './entry-stat.ts';
import type { Folder, OpenedFile } from './folder.ts';
import { encodeName, type SafeName } from './name.ts';
import { descriptorsOn, writerIsGone } from './process-file.ts';
import { attempt, failedWith } from './system-error.ts';

const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
const PARTIAL = /^\.localstream-([0-9a-f]{16})-([1-9][0-9]{0,9})\.part$/;
const HASHED_BYTES = 8;

/** Partials that a folder held when it was first asked, by the hash in their names. */
const seen = new WeakMap<Folder, Map<string, Set<SafeName>>>();
/** Where nobody can see who has a file open: partials that this thread has left behind and that are free. */
const left = new Set<string>();

/** Whether a name has the look of a partial. Such a name is refused from a peer and not sent to one. */
export function isPartialName(name: string): boolean {
  return PARTIAL.test(name);
}

function hashOf(name: SafeName): string {
  return digestOf(encodeName(name)).toString('hex', 0, HASHED_BYTES);
}

/** What the partial of a target is called while this process writes it. */
export function partialName(name: SafeName): SafeName {
  return `.localstream-${hashOf(name)}-${process.pid}.part` as SafeName;
}

function partialsIn(folder: Folder): Map<string, Set<SafeName>> {
  const known = seen.get(folder);
  if (known !== undefined) return known;
  const found = new Map<string, Set<SafeName>>();
  seen.set(folder, found);
  if (folder.isNew) return found;
  try {
    for (const { name } of folder.list()) if (isPartialName(name)) note(found, name as SafeName);
  } catch (error) {
    // A folder may be one to put things into and not to look into.
    if (!failedWith(error, 'EACCES', 'EPERM')) throw error;
  }
  return found;
}

function note(found: Map<string, Set<SafeName>>, partial: SafeName): void {
  const hash = PARTIAL.exec(partial)?.[1] ?? '';
  const names = found.get(hash);
  if (names === undefined) found.set(hash, new Set([partial]));
  else names.add(partial);
}

/**
 * Whether an earlier run may have left something of this file, as of the first question about the folder. Cheap: the
 * folder is read once.
 */
export function hasPartial(folder: Folder, name: SafeName): boolean {
  const found = partialsIn(folder);
  return found.size > 0 && found.has(hashOf(name));
}

/** Remembers a partial that is left for a later attempt. */
export function leavePartial(folder: Folder, partial: SafeName, stat: EntryStat): void {
  note(partialsIn(folder), partial);
  left.add(`${stat.device}:${stat.inode}`);
}

/** An open partial: {@link OpenedFile.stat} is its state when it was opened, so its size is what can be resumed. */
export interface OpenedPartial extends OpenedFile {
  readonly partial: SafeName;
}

/**
 * Opens the partial of a target: an earlier one if it may be taken over, else a new one.
 *
 * @param resume False for an empty one in any case.
 * @throws BUSY when this process already writes that file; UNWRITABLE when somebody else's file has the partial's name;
 *   BAD_NAME for a target that itself has the look of a partial: a peer could replace another's partial by it.
 */
export function openPartial(folder: Folder, name: SafeName, resume: boolean): OpenedPartial {
  if (isPartialName(name))
    throw errorOf('BAD_NAME', `the name '${escapeText(name)}' is kept for files under way`);
  const own = partialName(name);
  const found = partialsIn(folder);
  const earlier = found.get(PARTIAL.exec(own)?.[1] ?? '');
  const opened = claimOwn(folder, own, resume);
  if (earlier === undefined) return opened;
  found.delete(PARTIAL.exec(own)?.[1] ?? '');
  if (!resume || opened.stat.size > 0) return opened;
  for (const partial of earlier) {
    const adopted = partial === own ? undefined : adopt(folder, name, partial, opened);
    if (adopted !== undefined) return adopted;
  }
  return opened;
}

/** Takes the name of this process's partial: created, or left by an earlier transfer of this very process number. */
function claimOwn(folder: Folder, own: SafeName, resume: boolean): OpenedPartial {
  try {
    return { ...folder.openFile(own, O_RDWR | O_CREAT | O_EXCL), partial: own };
  } catch (error) {
    if (!failedWith(error, 'EEXIST')) throw error;
  }
  const opened = folder.openFile(own, O_RDWR);
  try {
    if (!isOurs(opened.stat))
      throw errorOf('UNWRITABLE', `another file has the name of a partial, '${own}', and is left alone`);
    if (isInUse(opened.stat)) throw errorOf('BUSY', 'another transfer of this process writes the same file');
    if (resume || opened.stat.size === 0) return { ...opened, partial: own };
    attempt('write', own, () => fs.ftruncateSync(opened.descriptor, 0));
    return { ...opened, stat: { ...opened.stat, size: 0 }, partial: own };
  } catch (error) {
    fs.closeSync(opened.descriptor);
    throw error;
  }
}

function isOurs(stat: EntryStat): boolean {
  const user = process.geteuid?.();
  return stat.type === 'file' && stat.links === 1 && (user === undefined || stat.owner === user);
}

/** Whether this process has an inode open besides the descriptor just opened: in this worker or in another. */
function isInUse(stat: EntryStat): boolean {
  const descriptors = descriptorsOn('self', stat);
  if (descriptors !== undefined) return descriptors > 1;
  // Older than this process: whoever had our number before left it.
  const start = Date.now() - process.uptime() * 1000;
  return !left.delete(`${stat.device}:${stat.inode}`) && stat.changed > start;
}

/**
 * Takes over the partial of another process, by renaming it onto our own empty one. From two processes that try, the
 * rename of one fails, since it is gone.
 */
function adopt(
  folder: Folder,
  name: SafeName,
  partial: SafeName,
  own: OpenedPartial,
): OpenedPartial | undefined {
  const stat = folder.lookup(partial);
  if (stat?.type !== 'file') return undefined;
  const pid = Number(PARTIAL.exec(partial)?.[2]);
  if (!writerIsGone(pid, stat)) return undefined;
  if (stat.links === 2) {
    removeSecondName(folder, name, partial, stat);
    return undefined;
  }
  if (!isOurs(stat)) return undefined;
  let opened: OpenedFile | undefined;
  try {
    opened = folder.openFile(partial, O_RDWR);
    if (!sameInode(opened.stat, stat)) throw errorOf('BUSY', 'another process takes the partial over');
    folder.rename(partial, own.partial);
    if (!sameInode(folder.stat(own.partial), stat)) throw errorOf('BUSY', 'the partial was replaced');
  } catch (error) {
    if (opened !== undefined) fs.closeSync(opened.descriptor);
    // Another process was faster, or it is write-protected: then from the beginning, in the one that is open already.
    if (failedWith(error, 'ENOENT', 'EACCES', 'EPERM') && isStill(folder, own)) return undefined;
    fs.closeSync(own.descriptor);
    throw error;
  }
  fs.closeSync(own.descriptor);
  return { ...opened, partial: own.partial };
}

function isStill(folder: Folder, own: OpenedPartial): boolean {
  const now = folder.lookup(own.partial);
  return now !== undefined && sameInode(now, own.stat);
}

/** A commit is link and then unlink: killed between them, it leaves the target with the partial as its second name. */
function removeSecondName(folder: Folder, name: SafeName, partial: SafeName, stat: EntryStat): void {
  const target = folder.lookup(name);
  if (target !== undefined && sameInode(target, stat)) folder.unlink(partial);
}
