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
import { type EntryStat, entryStat, sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { encodeName, type SafeName } from './name.ts';
import { changedAt, descriptorsOn, writerIsGone } from './process-file.ts';
import type { OpenedFile } from './regular-file.ts';
import { attempt, failedWith } from './system-error.ts';

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

function nameOf(hash: string): SafeName {
  return `.localstream-${hash}-${process.pid}.part` as SafeName;
}

/** What the partial of a target is called while this process writes it. */
export function partialName(name: SafeName): SafeName {
  return nameOf(hashOf(name));
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

/** Remembers a partial that is left for a later attempt. */
export function leavePartial(folder: Folder, partial: SafeName, stat: EntryStat): void {
  note(partialsIn(folder), partial);
  left.add(keyOf(stat));
}

function keyOf(stat: EntryStat): string {
  return `${stat.device}:${stat.inode}`;
}

/**
 * Bytes that an earlier run has left of a file and that {@link openPartial} would take over; 0 where there are none. The
 * folder is read once, at the first question about it, so this costs next to nothing.
 */
export function partialBytes(folder: Folder, name: SafeName): number {
  const found = partialsIn(folder);
  if (found.size === 0) return 0;
  let most = 0;
  for (const partial of found.get(hashOf(name)) ?? []) {
    const stat = folder.lookup(partial);
    if (stat !== undefined && isOurs(stat) && isFree(partial, stat)) most = Math.max(most, stat.size);
  }
  return most;
}

/** An open partial. */
export interface OpenedPartial {
  readonly partial: SafeName;
  readonly descriptor: number;
  /** Bytes that are in it and may be resumed. */
  readonly size: number;
}

/**
 * Opens the partial of a target: the longest earlier one that may be taken over, else a new one.
 *
 * @param resume False for an empty one in any case.
 * @throws BUSY when this process already writes that file; UNWRITABLE when somebody else's file has the partial's name;
 *   BAD_NAME for a target that itself has the look of a partial: it could take the place of another's.
 */
export function openPartial(folder: Folder, name: SafeName, resume: boolean): OpenedPartial {
  if (isPartialName(name))
    throw errorOf('BAD_NAME', `the name '${escapeText(name)}' is kept for files under way`);
  const hash = hashOf(name);
  const found = partialsIn(folder);
  const own = claimOwn(folder, nameOf(hash), resume);
  if (found.size === 0) return own;
  const earlier = found.get(hash) ?? [];
  found.delete(hash);
  if (!resume || own.size > 0) return own;
  for (const partial of earlier) {
    if (partial === own.partial) continue;
    const stat = folder.lookup(partial);
    if (stat?.type !== 'file' || !isFree(partial, stat)) continue;
    if (!isOurs(stat)) removeSecondName(folder, name, partial, stat);
    else if (adopt(folder, partial, stat, own)) return reopened(folder, own);
  }
  return own;
}
