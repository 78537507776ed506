/**
 * Partials: the files that bytes are received into, beside their target. A partial is the journal of its transfer; what
 * it holds is hashed again before it is used and never believed.
 *
 * Its name is `.localstream-<16 hex>-<pid>.part`: the start of the BLAKE3 of the target's name, since a prefix around the
 * name itself would overflow 255 bytes, and the process that writes it. A partial of an earlier run is taken over by
 * renaming it, and only if that process is gone, we own the file, it is a regular one and has one link. Anything else of
 * that look is somebody's file and stays untouched.
 */
import fs from 'node:fs';
import { errorOf, LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { claimWriting } from './claims.ts';
import { type EntryStat, entryStat, sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import { freeNames } from './free-name.ts';
import type { SafeName } from './name.ts';
import { nameDigest } from './name-digest.ts';
import { descriptorsOn, writerIsGone } from './process-file.ts';
import type { OpenedFile } from './regular-file.ts';
import { attempt, failedWith, fileError } from './system-error.ts';

const PARTIAL = /^\.localstream-([0-9a-f]{16})-([1-9][0-9]{0,9})\.part$/;
const HASHED_BYTES = 8;

/** Partials that a folder held when it was first asked, by the hash in their names. */
const seen = new WeakMap<Folder, Map<string, Set<SafeName>>>();

/** Whether a name has the look of a partial. Such a name is refused from a peer and not sent to one. */
export function isPartialName(name: string): boolean {
  return PARTIAL.test(name);
}

/** Throws BAD_NAME for a name of that look: what has it could take the place of another's, or go with what is left over. */
export function refusePartialName(name: string): void {
  if (isPartialName(name))
    throw errorOf('BAD_NAME', `the name '${escapeText(name)}' is kept for files under way`);
}

function hashOf(name: SafeName): string {
  return nameDigest(name).toString('hex', 0, HASHED_BYTES);
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
export function leavePartial(folder: Folder, partial: SafeName): void {
  note(partialsIn(folder), partial);
}

/**
 * Whether an earlier run may have left something of this file, as of the first question about the folder. The folder is
 * read once, so this costs next to nothing; whether it may be taken over shows when it is opened.
 */
export function hasPartial(folder: Folder, name: SafeName): boolean {
  const found = partialsIn(folder);
  return found.size > 0 && found.has(hashOf(name));
}

/**
 * Removes the partials of earlier runs that are second names of a finished file: a commit is link and then unlink, and
 * this run was killed between them. Without it they would stay for ever where nothing of the file has to be sent again.
 *
 * @param target What has the name now.
 * @returns Whether any was removed; the link count and the time of the last change are others then.
 */
export function removeSecondNames(folder: Folder, name: SafeName, target: EntryStat): boolean {
  if (target.type !== 'file' || target.links < 2 || !hasPartial(folder, name)) return false;
  try {
    const release = claimWriting(folder, name);
    try {
      return dropSecondNames(folder, name, target);
    } finally {
      release();
    }
  } catch (error) {
    // Another transfer of this process is at it, or the folder is not ours to change: that costs a name and no bytes.
    if (!isBusy(error) && !failedWith(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
    return false;
  }
}

function dropSecondNames(folder: Folder, name: SafeName, target: EntryStat): boolean {
  let dropped = false;
  for (const partial of partialsIn(folder).get(hashOf(name)) ?? []) {
    const stat = folder.lookup(partial);
    if (stat === undefined || !sameInode(stat, target)) continue;
    const writer = writerOf(partial);
    if (writer !== process.pid && !writerIsGone(writer, stat)) continue;
    folder.unlink(partial);
    dropped = true;
  }
  return dropped;
}

/**
 * Folders that an earlier run was filling when it was killed (see `filled-folder.ts`). To be asked by who has claimed the
 * target: then one with our own number is of an earlier process that had it.
 */
export function leftFolders(folder: Folder, name: SafeName): SafeName[] {
  const left = partialsIn(folder).get(hashOf(name)) ?? [];
  return [...left].filter((partial) => {
    const stat = folder.lookup(partial);
    if (stat?.type !== 'folder' || !isOwnedByUs(stat)) return false;
    const writer = writerOf(partial);
    return writer === process.pid || writerIsGone(writer, stat);
  });
}

/** An open partial. */
export interface OpenedPartial {
  readonly partial: SafeName;
  readonly descriptor: number;
  /** Bytes that are in it and may be resumed. */
  readonly size: number;
  /** It has the partial's name of another target: another transfer of this process is writing this one. */
  readonly isBeside: boolean;
  /** To be called when it has its name or is left: until then no other transfer of this process gets it. */
  readonly release: () => void;
}

/**
 * Opens the partial of a target: the longest earlier one that may be taken over, else a new one. Others of this target
 * that could have been taken over are removed: nobody would look at them again.
 *
 * @param resume False for an empty one in any case.
 * @throws BUSY when this process already writes that file; UNWRITABLE when somebody else's file has the partial's name;
 *   BAD_NAME for a target that itself has the look of a partial: it could take the place of another's.
 */
export function openPartial(folder: Folder, name: SafeName, resume: boolean): OpenedPartial {
  refusePartialName(name);
  const release = claimWriting(folder, name);
  try {
    return { ...open(folder, name, resume), isBeside: false, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** As {@link openPartial}; while another transfer of this process writes that file, an empty one by a name in its stead. */
export function openPartialBeside(folder: Folder, name: SafeName, resume: boolean): OpenedPartial {
  try {
    return openPartial(folder, name, resume);
  } catch (error) {
    if (!isBusy(error)) throw error;
    for (const other of freeNames(name)) {
      try {
        return { ...openPartial(folder, other, false), isBeside: true };
      } catch (busy) {
        if (!isBusy(busy)) throw busy;
      }
    }
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof LocalstreamError && error.code === 'BUSY';
}

type Opened = Omit<OpenedPartial, 'isBeside' | 'release'>;

function open(folder: Folder, name: SafeName, resume: boolean): Opened {
  const hash = hashOf(name);
  const found = partialsIn(folder);
  const target = found.has(hash) ? folder.lookup(name) : undefined;
  if (target !== undefined) dropSecondNames(folder, name, target);
  const own = claimOwn(folder, nameOf(hash), resume, name);
  if (found.size === 0) return own;
  const earlier = found.get(hash) ?? [];
  found.delete(hash);
  let opened = own;
  for (const { partial, stat } of adoptable(folder, earlier)) {
    const wanted = resume && opened.size === 0 && stat.size > 0;
    const adopted = wanted ? adopt(folder, partial, stat, own) : undefined;
    if (adopted !== undefined) opened = adopted;
    else removeSurplus(folder, partial, stat);
  }
  return opened;
}

/** Of two processes that receive the same file one may have taken it over just now: then it is not there any more. */
function removeSurplus(folder: Folder, partial: SafeName, stat: EntryStat): void {
  const now = folder.lookup(partial);
  if (now === undefined || !sameInode(now, stat)) return;
  try {
    folder.unlink(partial);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'EACCES', 'EPERM')) throw error;
  }
}

/** The system's word about a partial, told of the target: that is what the user knows of. */
function toldOf(target: SafeName, error: unknown): unknown {
  const isSystems = error instanceof LocalstreamError && error.cause instanceof Error;
  return isSystems ? fileError(error.cause, 'create', target) : error;
}

/** Takes the name of this process's partial: created, or left by an earlier transfer under this very process number. */
function claimOwn(folder: Folder, partial: SafeName, resume: boolean, target: SafeName): Opened {
  try {
    return { partial, descriptor: folder.createFile(partial), size: 0 };
  } catch (error) {
    if (!failedWith(error, 'EEXIST')) throw toldOf(target, error);
  }
  let opened: OpenedFile;
  try {
    opened = folder.openFile(partial, 'update');
  } catch (error) {
    if (!failedWith(error, 'EACCES')) throw error;
    return replaceOwn(folder, partial, error);
  }
  const { descriptor, stat } = opened;
  try {
    if (!isOurs(stat))
      throw errorOf('UNWRITABLE', `another file has the name of a partial, '${partial}', and is left alone`);
    // A thread that was not given the table of claims shows by its descriptor, where that can be seen.
    if ((descriptorsOn('self', stat) ?? 1) > 1)
      throw errorOf('BUSY', 'another transfer of this process is writing the same file');
    if (!resume && stat.size > 0) attempt('write', partial, () => fs.ftruncateSync(descriptor, 0));
    return { partial, descriptor, size: resume ? stat.size : 0 };
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
}

/**
 * In place of one that got its permissions and then no name, because that was taken meanwhile or the process killed: not
 * even its owner may write to it, and nobody else would ever remove it.
 */
function replaceOwn(folder: Folder, partial: SafeName, refused: unknown): Opened {
  const stat = folder.lookup(partial);
  if (stat === undefined || !isIdle(stat)) throw refused;
  folder.unlink(partial);
  return { partial, descriptor: folder.createFile(partial), size: 0 };
}

/** Whether it is a partial of ours that no thread of this process writes, as far as that can be told. */
function isIdle(stat: EntryStat): boolean {
  return isOurs(stat) && (descriptorsOn('self', stat) ?? 0) === 0;
}

/**
 * Removes what has the name that a link is made under before it gets its own: a link that an earlier process of our number
 * made there, which was killed then, or the partial of a file that is a link now. To be asked by who has claimed the
 * target. What is somebody else's stays.
 *
 * @returns Whether the name is free now.
 */
export function clearForLink(folder: Folder, partial: SafeName): boolean {
  const stat = folder.lookup(partial);
  if (stat === undefined) return true;
  const isLeftLink = stat.type === 'link' && isOwnedByUs(stat);
  if (!isLeftLink && !isIdle(stat)) return false;
  folder.unlink(partial);
  return true;
}

interface Candidate {
  readonly partial: SafeName;
  readonly stat: EntryStat;
}

/** Those that may be taken over, the longest first. */
function adoptable(folder: Folder, earlier: Iterable<SafeName>): Candidate[] {
  const candidates: Candidate[] = [];
  for (const partial of earlier) {
    const stat = folder.lookup(partial);
    const writer = writerOf(partial);
    if (stat === undefined || writer === process.pid || !writerIsGone(writer, stat)) continue;
    if (isOurs(stat)) candidates.push({ partial, stat });
  }
  return candidates.sort((one, other) => other.stat.size - one.stat.size);
}

function isOurs(stat: EntryStat): boolean {
  return stat.type === 'file' && stat.links === 1 && isOwnedByUs(stat);
}

function isOwnedByUs(stat: EntryStat): boolean {
  const user = process.geteuid?.();
  return user === undefined || stat.owner === user;
}

function writerOf(partial: SafeName): number {
  return Number(PARTIAL.exec(partial)?.[2]);
}

/**
 * Takes over the partial of another process by renaming it onto our own empty one. Of two processes that try, one finds
 * it gone. Undefined when it can't be had; then our own is as it was.
 */
function adopt(folder: Folder, partial: SafeName, stat: EntryStat, own: Opened): Opened | undefined {
  let opened: OpenedFile | undefined;
  try {
    opened = folder.openFile(partial, 'update', stat);
    if (sameInode(opened.stat, stat)) {
      folder.rename(partial, own.partial);
      fs.closeSync(own.descriptor);
      return { partial: own.partial, descriptor: opened.descriptor, size: opened.stat.size };
    }
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'EACCES', 'EPERM')) throw error;
  }
  if (opened !== undefined) fs.closeSync(opened.descriptor);
  return undefined;
}

/** Whether a partial is still being written, as far as that can be told. */
export function isUnderWay(folder: Folder, partial: SafeName): boolean {
  const stat = folder.lookup(partial);
  if (stat === undefined) return false;
  const writer = writerOf(partial);
  return writer === process.pid ? (descriptorsOn('self', stat) ?? 1) > 0 : !writerIsGone(writer, stat);
}

/** What an open partial is now. */
export function statPartial(opened: Opened): EntryStat {
  return attempt('read', opened.partial, () => entryStat(fs.fstatSync(opened.descriptor, { bigint: true })));
}
