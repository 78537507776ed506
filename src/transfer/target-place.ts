/** Where what arrives goes: the rules by which the spelling of a target decides, for local targets and for shares. */
import fs from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { errorOf } from '../errors.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import { Folder } from './folder.ts';
import {
  checkName,
  decodeName,
  fsPath,
  pathText,
  type SafeName,
  type SafePath,
  STREAM_PATH,
} from './name.ts';
import { attempt, failedWith } from './system-error.ts';
import type { TargetPlace } from './target.ts';

/** What every place has beside its folder. */
export type PlaceOptions = Omit<TargetPlace, 'folder' | 'below' | 'names' | 'stream'>;

/** Whether a target says by its spelling that it is a folder to put things into. */
function endsInside(spelling: string): boolean {
  return /(^|[/\\])\.{0,2}$/.test(process.platform === 'win32' ? spelling : spelling.replaceAll('\\', 'x'));
}

/** `inside`: below the target, under their own names; otherwise the target is the name of the only root. */
function goesInside(roots: readonly OfferedRoot[], spelledInside: boolean, isFolder: boolean): boolean {
  if (spelledInside || roots.length > 1) return true;
  return roots[0]?.type !== 'folder' && isFolder;
}

const ownNames = (roots: readonly OfferedRoot[]): TargetPlace['names'] =>
  roots.map(({ name, type }) => [name, name, type]);

/** The only root goes under a name of its own. */
const oneName = ([root]: readonly OfferedRoot[], name: string): TargetPlace['names'] =>
  root ? [[root.name, name, root.type]] : [];

/**
 * A target on this machine. A file goes into a target that is a folder or ends in `/`; otherwise the target is its name.
 * For a folder the spelling alone decides, so that a second run does what the first did.
 *
 * @throws NOT_FOUND, NOT_A_FOLDER, IS_A_FOLDER.
 */
export function localPlace(
  target: string,
  roots: readonly OfferedRoot[],
  options: PlaceOptions,
): TargetPlace {
  if (target === STREAM_PATH) return streamPlace(roots, options);
  const spelled = target === '' ? '.' : target;
  const stat = statOf(spelled);
  const inside = goesInside(roots, endsInside(spelled), stat?.isDirectory() ?? false);
  // A link of the user's own that leads to a folder is that folder; one that leads to a file, or nowhere, is replaced.
  const path = stat?.isDirectory() ? realPath(spelled) : resolve(spelled);
  if (inside) {
    requireFolder(stat, spelled);
    return { ...options, stream: false, folder: path, below: [], names: ownNames(roots) };
  }
  const parent = dirname(path);
  requireFolder(statOf(parent), parent);
  if (stat && !stat.isDirectory() && roots[0]?.type === 'folder')
    throw errorOf('NOT_A_FOLDER', `'${escapeText(spelled)}' is not a folder`);
  return {
    ...options,
    stream: false,
    folder: parent,
    below: [],
    names: oneName(roots, basename(path)),
  };
}

function streamPlace(roots: readonly OfferedRoot[], options: PlaceOptions): TargetPlace {
  if (roots.length !== 1 || roots[0]?.type !== 'file')
    throw errorOf('NOT_SUPPORTED', 'only one file can go to standard output', { hint: 'name a folder' });
  // Nothing can be read back from there.
  return { ...options, verify: false, stream: 'output', folder: '.', below: [], names: ownNames(roots) };
}

/** A text is put together in memory. */
export function memoryPlace(roots: readonly OfferedRoot[], options: PlaceOptions): TargetPlace {
  return { ...options, stream: 'memory', folder: '.', below: [], names: ownNames(roots) };
}

function statOf(path: string): fs.Stats | undefined {
  return attempt('open', path, () => fs.statSync(fsPath(path), { throwIfNoEntry: false }));
}

function realPath(path: string): string {
  return attempt('open', path, () =>
    decodeName(fs.realpathSync.native(fsPath(path), { encoding: 'buffer' })),
  );
}

function requireFolder(stat: { isDirectory(): boolean } | undefined, path: string): void {
  if (!stat)
    throw errorOf('NOT_FOUND', `there is no folder '${escapeText(path)}'`, {
      hint: 'make it first, or name another',
    });
  if (!stat.isDirectory()) throw errorOf('NOT_A_FOLDER', `'${escapeText(path)}' is not a folder`);
}

/** Into a drop-box things are put at its top, under a name: whether there is anything below shows nowhere. */
function dropPlace(
  share: string,
  path: SafePath,
  spelledInside: boolean,
  roots: readonly OfferedRoot[],
  options: PlaceOptions,
): TargetPlace {
  const [name, ...deeper] = path;
  if (name === undefined)
    return { ...options, stream: false, folder: share, below: [], names: ownNames(roots) };
  if (deeper.length > 0 || spelledInside || roots.length > 1)
    throw errorOf('NOT_ALLOWED', 'things are put into a drop-box itself, not into a folder in it');
  return { ...options, stream: false, folder: share, below: [], names: oneName(roots, name) };
}

/** A folder on the way to a target. Who reads the message may sit elsewhere, and no hint goes there. */
function shareFolder(outer: Folder, way: readonly SafeName[], name: SafeName): Folder {
  try {
    return outer.child(name);
  } catch (error) {
    if (!failedWith(error, 'ENOENT')) throw error;
    const shown = escapeText(pathText(way));
    throw errorOf('NOT_FOUND', `there is no folder '${shown}' in the share; mkdir makes it`, {
      cause: error,
    });
  }
}

/**
 * A target in a share. `spelledInside`: the path ended in `/`, or is the share itself. No link on the way is followed.
 *
 * @throws NOT_FOUND, NOT_A_FOLDER, BAD_NAME.
 */
export function sharePlace(
  share: string,
  path: SafePath,
  spelledInside: boolean,
  roots: readonly OfferedRoot[],
  options: PlaceOptions,
): TargetPlace {
  for (const root of roots) checkName(root.name);
  if (options.blind) return dropPlace(share, path, spelledInside, roots, options);
  let folder = Folder.open(share);
  try {
    for (const [index, component] of path.slice(0, -1).entries()) {
      using outer = folder;
      folder = shareFolder(outer, path.slice(0, index + 1), component);
    }
    const last = path.at(-1);
    const isFolder = last === undefined || folder.lookup(last)?.type === 'folder';
    if (goesInside(roots, spelledInside || last === undefined, isFolder)) {
      if (last !== undefined) shareFolder(folder, path, last).close();
      return { ...options, stream: false, folder: share, below: path, names: ownNames(roots) };
    }
    const names = oneName(roots, last ?? '');
    return { ...options, stream: false, folder: share, below: path.slice(0, -1), names };
  } finally {
    folder.close();
  }
}
