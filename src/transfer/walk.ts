/** What there is to send, one entry at a time. */
import { errorOf, LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { EntryStat } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import type { ListedEntry } from './listing.ts';
import { checkName, MOST_DEPTH, type SafeName, type SafePath } from './name.ts';
import { isPartialName } from './partial.ts';
import type { PathFilter } from './path-filter.ts';
import type { SourceRoot } from './source-root.ts';

/**
 * One step of the walk. `path` starts with the root's name. After `folder` comes what it holds and then its `leave`, so
 * that a receiver can set its time last. `failed` is an entry that can't be sent; its path may hold unchecked names.
 */
export type WalkEntry =
  | { readonly type: 'file' | 'folder' | 'leave'; readonly path: SafePath; readonly stat: EntryStat }
  | { readonly type: 'link'; readonly path: SafePath; readonly stat: EntryStat; readonly target: string }
  | { readonly type: 'failed'; readonly path: readonly string[]; readonly error: LocalstreamError };

/**
 * Walks a root depth first, each folder in the order of its file system (nothing is sorted, since that would hold a whole
 * folder in memory). It keeps one open folder and one listing a level. What can't be read, opened or named yields `failed`
 * and the walk goes on; links are never followed. Partials of localstream are left out: they are halves of other files.
 *
 * What `filter` excludes is left out without a word.
 *
 * Ending it early (`return`) closes what it holds; the root stays the caller's.
 */
export function* walk(root: SourceRoot, filter?: PathFilter): Generator<WalkEntry, void, undefined> {
  const path = [root.name];
  const { stat, folder } = root;
  if (folder !== undefined) yield* walkFolder(folder, path, stat, filter);
  else if (stat.type === 'link') yield { type: 'link', path, stat, target: root.readlink() };
  else yield { type: 'file', path, stat };
}

function* walkFolder(
  folder: Folder,
  path: SafePath,
  stat: EntryStat,
  filter: PathFilter | undefined,
): Generator<WalkEntry, void, undefined> {
  yield { type: 'folder', path, stat };
  filter?.enter(folder, path.length);
  const listing = folder.list();
  try {
    for (;;) {
      let next: IteratorResult<ListedEntry, void>;
      try {
        next = listing.next();
      } catch (error) {
        yield failed(path, error);
        break;
      }
      if (next.done === true) break;
      yield* walkEntry(folder, path, next.value, filter);
    }
  } finally {
    listing.return();
    filter?.leave(path.length);
  }
  yield { type: 'leave', path, stat };
}

function* walkEntry(
  folder: Folder,
  above: SafePath,
  listed: ListedEntry,
  filter: PathFilter | undefined,
): Generator<WalkEntry, void, undefined> {
  let entry: WalkEntry;
  let child: Folder | undefined;
  try {
    const name = checkName(listed.name);
    if (isPartialName(name)) return;
    const stat = folder.stat(name);
    if (filter?.excludes([...above, name], stat.type === 'folder')) return;
    entry = examine(folder, name, [...above, name], stat);
    if (entry.type === 'folder') child = folder.child(name);
  } catch (error) {
    yield failed([...above, listed.name], error);
    return;
  }
  if (child === undefined || entry.type !== 'folder') {
    yield entry;
    return;
  }
  try {
    yield* walkFolder(child, entry.path, entry.stat, filter);
  } finally {
    child.close();
  }
}

function examine(folder: Folder, name: SafeName, path: SafePath, stat: EntryStat): WalkEntry {
  if (stat.type === 'file') return { type: 'file', path, stat };
  if (stat.type === 'link') return { type: 'link', path, stat, target: folder.readlink(name) };
  if (stat.type === 'other')
    throw errorOf('NOT_A_FILE', `'${escapeText(name)}' is a pipe, a device or a socket`);
  if (path.length > MOST_DEPTH)
    throw errorOf('BAD_NAME', `'${escapeText(name)}' is more than ${MOST_DEPTH} folders deep`);
  return { type: 'folder', path, stat };
}

function failed(path: readonly string[], error: unknown): WalkEntry {
  if (!(error instanceof LocalstreamError)) throw error;
  return { type: 'failed', path, error };
}
