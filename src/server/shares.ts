/** The folders that a listener shows, and everything that a peer may name in them. */
import { basename, resolve } from 'node:path';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ExistingPolicy, ListedEntry, OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import type { Change, Changed } from '../session/changes.ts';
import type { EntryStat } from '../transfer/entry-stat.ts';
import { Folder } from '../transfer/folder.ts';
import { checkLinkTarget } from '../transfer/link.ts';
import { checkName, checkPath, type SafeName, type SafePath } from '../transfer/name.ts';
import { isPartialName } from '../transfer/partial.ts';
import { openRoot, type SourceSpec } from '../transfer/source.ts';
import { failedWith } from '../transfer/system-error.ts';
import type { TargetPlace } from '../transfer/target.ts';
import { type PlaceOptions, sharePlace } from '../transfer/target-place.ts';
import { isDropBox, mayDo, maySee, type ShareMode, shownMode, type Verb, type Visitor } from './access.ts';
import { type Below, makeFolderIn, moveIn, openBelow, removeIn } from './share-changes.ts';

/** A share as it is asked for; the name defaults to the folder's own, the mode to `ro`. */
export interface ShareOptions {
  readonly name?: string;
  readonly folder: string;
  readonly mode?: ShareMode;
}

/** A share as it stands. */
export interface Share {
  readonly name: SafeName;
  /** Absolute. */
  readonly folder: string;
  readonly mode: ShareMode;
}

/** What messages about files quote is a single name, or the whole path of a folder of this machine. */
const ABSOLUTE = /'(?:\/|[A-Za-z]:[\\/])/;

interface Place {
  readonly share: Share;
  readonly path: SafePath;
  /** The path ended in `/`. */
  readonly inside: boolean;
}

export class Shares {
  readonly list: readonly Share[];

  /** Throws USAGE for two shares of one name, NOT_FOUND, NOT_A_FOLDER and UNREADABLE for what can't be shared. */
  constructor(options: readonly ShareOptions[]) {
    const byName = new Map<string, Share>();
    for (const { name, folder, mode = 'ro' } of options) {
      const path = resolve(folder);
      Folder.open(path).close();
      const given = name ?? basename(path);
      if (given === '')
        throw errorOf('USAGE', `'${escapeText(folder)}' has no name of its own`, {
          hint: 'give one: NAME=DIR',
        });
      const share: Share = { name: checkName(given), folder: path, mode };
      if (byName.has(share.name))
        throw errorOf('USAGE', `two shares are called '${escapeText(share.name)}'`, {
          hint: 'give one another name: NAME=DIR',
        });
      byName.set(share.name, share);
    }
    this.list = [...byName.values()];
  }

  /** Lists the shares, a folder, or the one file of a path. Throws NOT_FOUND, NOT_ALLOWED, BAD_NAME, UNREADABLE. */
  *entries(path: string, visitor: Visitor): Generator<ListedEntry> {
    const place = this.#place(path, visitor);
    if (!place) {
      for (const share of this.list) if (maySee(visitor, share)) yield shareEntry(share, visitor);
      return;
    }
    this.#require(place, 'list', visitor);
    try {
      yield* entriesOf(place);
    } catch (error) {
      throw asInShare(error, place.share);
    }
  }

  /** What a `get` of these paths sends. Throws as {@link entries}, and NOT_A_FILE. */
  source(paths: readonly string[], visitor: Visitor): { roots: OfferedRoot[]; specs: SourceSpec[] } {
    const roots: OfferedRoot[] = [];
    const specs: SourceSpec[] = [];
    const names = new Set<string>();
    for (const text of paths) {
      const place = this.#place(text, visitor);
      if (!place) throw errorOf('NOT_FOUND', 'name a share', { hint: 'list_dir shows the shares' });
      this.#require(place, 'get', visitor);
      const spec = {
        kind: 'below' as const,
        share: place.share.folder,
        path: place.path,
        name: place.path.at(-1) ?? place.share.name,
      };
      using root = this.#guard(place.share, () => openRoot(spec));
      const { type, size } = root.stat;
      if (type === 'other' || type === 'link')
        throw errorOf('NOT_A_FILE', `'${escapeText(text)}' is neither a file nor a folder`);
      if (names.has(root.name)) throw errorOf('NAME_COLLISION', 'two of the paths have the same name');
      names.add(root.name);
      roots.push({ name: root.name, type, size: type === 'file' ? size : null });
      specs.push(spec);
    }
    return { roots, specs };
  }

  /** Where a `put` goes. Throws as {@link entries}. */
  target(
    path: string,
    roots: readonly OfferedRoot[],
    existing: ExistingPolicy,
    options: Omit<PlaceOptions, 'blind'>,
    visitor: Visitor,
  ): TargetPlace {
    const place = this.#place(path, visitor);
    if (!place) throw errorOf('NOT_FOUND', 'name a share to write to', { hint: 'list_dir shows the shares' });
    this.#require(place, 'put', visitor);
    const blind = isDropBox(visitor, place.share);
    // Into a drop-box one puts things, and learns or changes nothing of what others left there.
    if (blind && existing !== 'fail' && existing !== 'rename')
      throw errorOf('NOT_ALLOWED', 'in a drop-box nothing can be overwritten or compared');
    return this.#guard(place.share, () =>
      sharePlace(place.share.folder, place.path, place.inside, roots, { ...options, blind }),
    );
  }

  /**
   * Makes a folder, moves or removes something. Throws as {@link entries}, EXISTS, IS_A_FOLDER, UNWRITABLE, BUSY, and
   * NOT_SUPPORTED for a move from one share to another.
   */
  change(change: Change, visitor: Visitor): Changed {
    const { type } = change;
    const place = this.#changeable(type === 'move' ? change.from : change.path, type, visitor);
    if (type !== 'move')
      return this.#guard(place.share, () =>
        type === 'mkdir' ? makeFolderIn(below(place)) : removeIn(below(place), change.recursive),
      );
    const to = this.#changeable(change.to, type, visitor);
    if (place.share !== to.share)
      throw errorOf('NOT_SUPPORTED', 'a move stays within one share; get and put carry from one to another');
    return this.#guard(place.share, () => moveIn(below(place), below(to)));
  }

  /** A place in a share where somebody may do this. The list of the shares itself is nobody's to change. */
  #changeable(path: string, verb: Verb, visitor: Visitor): Place {
    const place = this.#place(path, visitor);
    if (!place) throw errorOf('NOT_ALLOWED', 'the shares themselves are the business of the one who serves');
    this.#require(place, verb, visitor);
    return place;
  }

  #guard<T>(share: Share, run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw asInShare(error, share);
    }
  }

  #require(place: Place, verb: Verb, visitor: Visitor): void {
    if (!mayDo(visitor, place.share, verb))
      throw errorOf(
        'NOT_ALLOWED',
        `the share '${escapeText(place.share.name)}' does not allow ${verb}; list_dir shows what each allows`,
      );
  }

  /** Takes a peer's path apart; undefined for the root, where the shares are. What somebody may not see is not there. */
  #place(text: string, visitor: Visitor): Place | undefined {
    if (!text.startsWith('/')) throw errorOf('BAD_NAME', 'a remote path starts with / and a share');
    const parts = text.split('/').filter((part) => part !== '' && part !== '.');
    const [first, ...rest] = parts;
    if (first === undefined) return undefined;
    const path = checkPath(rest);
    // Halves of other files are nobody's.
    if (path.some(isPartialName)) throw errorOf('NOT_FOUND', `there is no '${escapeText(text)}'`);
    const share = this.list.find((one) => one.name === first && maySee(visitor, one));
    if (!share)
      throw errorOf('NOT_FOUND', `there is no share '${escapeText(first)}'; list_dir shows which there are`);
    return { share, path, inside: /\/\.?$/.test(text) };
  }
}

function below({ share, path, inside }: Place): Below {
  return { folder: share.folder, path, inside };
}

/** What a peer is told of a share: never where it lies on this machine, and of what is missing that it is missing there. */
function asInShare(error: unknown, share: Share): unknown {
  if (!(error instanceof LocalstreamError)) return error;
  const quoted = `the share '${escapeText(share.name)}'`;
  // A path may stand there with its links resolved, shortened or escaped: it is not looked for by what it is.
  if (error.message.includes(share.folder) || ABSOLUTE.test(error.message))
    return errorOf(error.code, `${quoted} can't be used`, { cause: error });
  if (!failedWith(error, 'ENOENT')) return error;
  return errorOf(error.code, `${error.message} in ${quoted}`, { cause: error });
}

function* entriesOf({ share, path, inside }: Place): Generator<ListedEntry> {
  using folder = openBelow(share.folder, path.slice(0, -1));
  const last = path.at(-1);
  if (last === undefined) {
    yield* folderEntries(folder, 1);
    return;
  }
  const stat = folder.stat(last);
  if (stat.type !== 'folder') {
    if (inside) throw errorOf('NOT_A_FOLDER', `'${escapeText(last)}' is not a folder`);
    yield toEntry(folder, last, stat, path.length);
    return;
  }
  using child = folder.child(last);
  yield* folderEntries(child, path.length + 1);
}

function* folderEntries(folder: Folder, depth: number): Generator<ListedEntry> {
  for (const { name } of folder.list()) {
    if (isPartialName(name)) continue;
    const entry = lookAt(folder, name, depth);
    if (entry) yield entry;
  }
}

/** One entry; undefined when it has gone meanwhile or has a name that can't be asked for. */
function lookAt(folder: Folder, name: string, depth: number): ListedEntry | undefined {
  try {
    const checked = checkName(name);
    return toEntry(folder, checked, folder.stat(checked), depth);
  } catch (error) {
    if (error instanceof LocalstreamError) return undefined;
    throw error;
  }
}

function toEntry(folder: Folder, name: SafeName, stat: EntryStat, depth: number): ListedEntry {
  const target = stat.type === 'link' ? shownTarget(folder, name, depth) : undefined;
  return {
    name,
    type: stat.type,
    size: stat.size,
    mtime: stat.mtime,
    mode: stat.mode & 0o777,
    ...(target !== undefined && { target }),
  };
}

/** Where a link points, unless that says something of what lies outside the share. */
function shownTarget(folder: Folder, name: SafeName, depth: number): string | undefined {
  try {
    const target = folder.readlink(name);
    checkLinkTarget(target, depth);
    return target;
  } catch (error) {
    if (error instanceof LocalstreamError) return undefined;
    throw error;
  }
}

function shareEntry(share: Share, visitor: Visitor): ListedEntry {
  const shareMode = shownMode(visitor, share);
  return { name: share.name, type: 'share', size: 0, mtime: 0, mode: 0, shareMode };
}
