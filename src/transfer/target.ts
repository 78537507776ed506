/** The files behind a receiver: where the roots of a transfer go, the folders on the way, and the only writer. */
import { errorOf } from '../errors.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { type EntryStat, sameInode } from './entry-stat.ts';
import { makeFilled, removeLeftFolders, rethrowDefect } from './filled-folder.ts';
import type { FilterRules } from './filter-rules.ts';
import { Folder } from './folder.ts';
import { freeNames, noFreeName } from './free-name.ts';
import { checkName, checkPath, collisionKey, type SafeName } from './name.ts';
import { hasPartial, removeSecondNames } from './partial.ts';
import { PathFilter } from './path-filter.ts';
import { type CommitPolicy, placeLink } from './publish.ts';
import { SourceFile } from './source-file.ts';
import { TargetFile } from './target-file.ts';
import type {
  BasisFile,
  FolderAttributes,
  PartialFile,
  Placement,
  Present,
  TargetStore,
  WholeFile,
} from './target-store.ts';

/** What an earlier part of the same transfer has left, whose connection broke. */
export interface EarlierPart {
  /** Names that it gave in place of taken ones, in a drop-box all of them, by path. */
  readonly renamed: readonly (readonly [path: string, name: string])[];
  /** When the first part began, milliseconds since 1970; undefined where there was none. */
  readonly since: number | undefined;
}

/** Nothing: the transfer begins. */
export const NO_EARLIER_PART: EarlierPart = { renamed: [], since: undefined };

/** Where a transfer is to be written. */
export interface TargetPlace {
  /** The folder that was chosen: by the user of this machine, or the root of a share. */
  readonly folder: string;
  /** Folders below it, each entered without following a link. */
  readonly below: readonly string[];
  /** The only file goes to standard output instead, or into memory: a text. */
  readonly stream: false | 'output' | 'memory';
  /** What each offered root is called here. */
  readonly names: readonly (readonly [offered: string, name: string, kind: OfferedRoot['type']])[];
  /** Everything is brought to the disk before it counts as committed. */
  readonly durable: boolean;
  /** Bytes of the disk that are left alone. */
  readonly reserve: number;
  /** A drop-box: see ReceiverOptions. */
  readonly blind: boolean;
  readonly earlier: EarlierPart;
  /** See ReceiverOptions. */
  readonly dryRun: boolean;
  readonly trustMtime: boolean;
  readonly verify: boolean;
  /** What is left out of what is sent. */
  readonly rules: FilterRules | undefined;
  /** In this folder (a user's home) no name that begins with a dot is written. */
  readonly protectedFolder: string | undefined;
}

/** An entered folder. It is opened again when it is needed, so that a wide tree does not use up the descriptors. */
export interface TargetFolder {
  readonly parent: TargetFolder | undefined;
  readonly name: SafeName;
  folder: Folder | undefined;
  /** Which it is; undefined as long as it is not made. */
  inode: Pick<EntryStat, 'device' | 'inode'> | undefined;
  /** The mode that a new one is made with. */
  readonly mode: number;
  /** This transfer makes or has made it. What others put into it meanwhile shows when a file is to get its name. */
  isOwn: boolean;
  /** See {@link TargetStore.isOvertaken}. */
  isOvertaken: boolean;
  /** Where names that differ by case are one file: what this transfer has put here. */
  readonly names: Map<string, SafeName> | undefined;
}

const MOST_OPEN_FOLDERS = 128;
/** By how much the clock of a file system may be behind ours, milliseconds. */
const CLOCK_SLACK = 2000;
const POLICIES: Record<Placement['place'], CommitPolicy> = {
  never: 'fail',
  replace: 'overwrite',
  update: 'update',
  rename: 'rename',
};

export class TargetTree implements TargetStore<TargetFolder> {
  readonly #place: TargetPlace;
  readonly #top: TargetFolder;
  readonly #names: ReadonlyMap<string, { readonly name: SafeName; readonly kind: OfferedRoot['type'] }>;
  readonly #renamed: ReadonlyMap<string, SafeName>;
  readonly #folds: boolean;
  readonly #protected: Pick<EntryStat, 'device' | 'inode'> | undefined;
  /** Open folders, the one used longest ago first. */
  readonly #open = new Set<TargetFolder>();
  readonly #root: Folder;
  readonly #filter: PathFilter | undefined;
  /** The last look at an entry: what is compared is opened right after it. */
  #looked: { readonly target: TargetFolder; readonly name: SafeName; readonly stat: EntryStat } | undefined;

  constructor(place: TargetPlace) {
    this.#place = place;
    this.#names = new Map(
      place.names.map(([offered, name, kind]) => [offered, { name: checkName(name), kind }]),
    );
    this.#renamed = new Map(place.earlier.renamed.map(([path, name]) => [path, checkName(name)]));
    this.#filter = place.rules && new PathFilter({ ...place.rules, gitignore: false });
    let folder = Folder.open(place.folder);
    for (const name of checkPath(place.below)) {
      using outer = folder;
      folder = outer.child(name);
    }
    this.#root = folder;
    // Finding out writes a file for an instant.
    this.#folds = !place.dryRun && folder.foldsCase();
    this.#top = this.#note(undefined, '' as SafeName, 0);
    this.#adopt(this.#top, folder);
    this.#protected = place.protectedFolder === undefined ? undefined : inodeOf(place.protectedFolder);
  }

  root(name: SafeName): { folder: TargetFolder; name: SafeName; kind: OfferedRoot['type'] } | undefined {
    const here = this.#names.get(name);
    return here && { folder: this.#top, ...here };
  }

  excludes(path: string, isFolder: boolean): boolean {
    return this.#filter?.excludes(path.split('/'), isFolder) ?? false;
  }

  renamed(path: string): SafeName | undefined {
    return this.#renamed.get(path);
  }

  enter(parent: TargetFolder, name: SafeName, mode: number): { folder: TargetFolder; created: boolean } {
    this.#noteName(parent, name);
    const target = this.#note(parent, name, mode);
    target.isOwn = this.isUnmade(parent) || this.#isToMake(this.#use(parent), name);
    if (!target.isOwn) this.make(target);
    return { folder: target, created: target.isOwn };
  }

  isUnmade(target: TargetFolder): boolean {
    return target.inode === undefined;
  }

  make(target: TargetFolder): void {
    this.#use(target);
  }

  isOvertaken(target: TargetFolder): boolean {
    return target.isOvertaken;
  }

  makeWith(target: TargetFolder, files: readonly WholeFile[]): boolean {
    if (target.parent === undefined || this.#place.durable) return false;
    let above: Folder;
    try {
      above = this.#use(target.parent);
    } catch (error) {
      rethrowDefect(error);
      return false;
    }
    removeLeftFolders(above, target.name);
    target.inode = makeFilled(above, target.name, target.mode, files);
    return target.inode !== undefined;
  }

  enterNew(parent: TargetFolder, name: SafeName, mode: number): { folder: TargetFolder; name: SafeName } {
    const above = this.#use(parent);
    for (const candidate of namesFor(name)) {
      if (above.lookup(candidate) !== undefined) continue;
      const target = this.#note(parent, candidate, mode);
      this.#adopt(target, above.makeChild(candidate));
      return { folder: target, name: candidate };
    }
    throw noFreeName(name);
  }

  peek(parent: TargetFolder, name: SafeName): TargetFolder | undefined {
    const folder = this.#use(parent);
    if (folder.lookup(name) === undefined) return undefined;
    const target = this.#note(parent, name, 0);
    this.#adopt(target, folder.child(name));
    return target;
  }

  leave(target: TargetFolder, attributes: FolderAttributes | undefined): void {
    if (target === this.#top) return;
    try {
      if (!attributes || this.#place.dryRun) return;
      const folder = this.#use(target);
      if (attributes.mode !== undefined) folder.setMode(attributes.mode);
      folder.setTimes(attributes.mtime);
    } catch {
      // The content is there and verified; that a folder keeps its new time instead of the old one fails nothing.
    } finally {
      target.folder?.close();
      target.folder = undefined;
      this.#open.delete(target);
    }
  }

  remove(parent: TargetFolder, name: SafeName): void {
    this.#use(parent).removeIfEmpty(name);
  }

  present(target: TargetFolder, name: SafeName): Present | undefined {
    this.#noteName(target, name);
    if (target.isOwn) return undefined;
    const folder = this.#use(target);
    let stat = folder.lookup(name);
    if (stat && !this.#place.dryRun && removeSecondNames(folder, name, stat)) stat = folder.lookup(name);
    this.#looked = stat && { target, name, stat };
    if (stat === undefined) return undefined;
    return { kind: stat.type, size: stat.size, mtime: stat.mtime, mayBeEarlier: this.#mayBeEarlier(stat) };
  }

  #mayBeEarlier({ changedNanoseconds }: EntryStat): boolean {
    const { since } = this.#place.earlier;
    return since !== undefined && changedNanoseconds >= BigInt(since - CLOCK_SLACK) * 1_000_000n;
  }

  hasPartial(target: TargetFolder, name: SafeName): boolean {
    return !target.isOwn && hasPartial(this.#use(target), name);
  }

  openPartial(target: TargetFolder, name: SafeName, size: number, place: Placement['place']): PartialFile {
    const file = this.#openTarget(target, name, size, place);
    return {
      held: file.resumable,
      writeAt: (bytes, position) => file.writeAt(bytes, position),
      hole: (position, length) => file.hole(position, length),
      readAt: (bytes, position) => file.readAt(bytes, position),
      commit: ({ mode, mtime, place }) => file.commit({ mode, mtime, policy: POLICIES[place] }).name,
      sync: () => file.sync(),
      keep: () => file.keep(),
      discard: () => file.discard(),
    };
  }

  openBasis(target: TargetFolder, name: SafeName): BasisFile {
    const looked = this.#looked;
    this.#looked = undefined;
    const seen = looked?.target === target && looked.name === name ? looked.stat : undefined;
    const file = SourceFile.open(this.#use(target), name, seen);
    return {
      size: file.size,
      sparse: file.stat.sparse,
      readAt: (bytes, position) => file.readAt(bytes, position),
      close: () => file.close(),
    };
  }

  writeSmall(target: TargetFolder, name: SafeName, bytes: Buffer, placement: Placement): SafeName {
    const file = this.#openTarget(target, name, bytes.length, placement.place, 'none');
    try {
      file.writeAt(bytes, 0);
      const { mode, mtime, place } = placement;
      return file.commit({ mode, mtime, policy: POLICIES[place] }).name;
    } catch (error) {
      // A small file is sent again sooner than its partial would be looked at.
      file.discard();
      throw error;
    }
  }

  link(target: TargetFolder, name: SafeName, to: string, placement: Placement): SafeName {
    const { mtime, place } = placement;
    const folder = this.#use(target);
    const placed = placeLink(folder, name, { target: to, mtime, policy: POLICIES[place] });
    if (this.#place.durable) folder.sync();
    return placed.name;
  }

  linkTarget(target: TargetFolder, name: SafeName): string {
    return this.#use(target).readlink(name);
  }

  protects(target: TargetFolder, name: SafeName): boolean {
    const secret = this.#protected;
    if (!secret || !target.inode || !name.startsWith('.')) return false;
    return sameInode(target.inode, secret);
  }

  freeBytes(): number {
    return this.#root.freeBytes() - this.#place.reserve;
  }

  /** Everything was received: what `durable` asks for beyond the files. */
  finish(): void {
    if (this.#place.durable) this.#root.sync();
  }

  close(): void {
    for (const target of this.#open) target.folder?.close();
    this.#open.clear();
    this.#root.close();
  }

  #openTarget(
    target: TargetFolder,
    name: SafeName,
    size: number,
    place: Placement['place'],
    basis: 'partial' | 'none' = 'partial',
  ): TargetFile {
    const { durable } = this.#place;
    const beside = place === 'rename';
    const options = { size: size < 0 ? undefined : size, durable, basis, beside };
    return TargetFile.open(this.#use(target), name, options);
  }

  /** Whether a folder will be a new one, as far as that can be told beforehand, and may be made when it is needed. */
  #isToMake(above: Folder, name: SafeName): boolean {
    return above.lookup(name) === undefined && above.isWritable();
  }

  #note(parent: TargetFolder | undefined, name: SafeName, mode: number): TargetFolder {
    const names = this.#folds ? new Map<string, SafeName>() : undefined;
    return {
      parent,
      name,
      folder: undefined,
      inode: undefined,
      mode,
      isOwn: false,
      isOvertaken: false,
      names,
    };
  }

  /** Takes the open folder that a noted one is. */
  #adopt(target: TargetFolder, folder: Folder): void {
    target.isOvertaken = target.isOwn && !folder.isNew;
    target.isOwn = folder.isNew;
    try {
      // Killed before it is left, it already has what its owner and others need.
      if (folder.isNew) folder.setMode(target.mode | 0o700);
      // A file that is on the disk is lost all the same where the folder that it is in is not.
      if (folder.isNew && this.#place.durable) target.parent?.folder?.sync();
      target.inode = folder.statSelf();
    } catch (error) {
      folder.close();
      throw error;
    }
    target.folder = folder;
    if (target.parent) this.#touch(target);
  }

  #use(target: TargetFolder): Folder {
    if (target.folder) {
      if (target.parent) this.#touch(target);
      return target.folder;
    }
    if (!target.parent) throw errorOf('INTERNAL', 'the root of a transfer is closed');
    const above = this.#use(target.parent);
    if (!target.inode) {
      removeLeftFolders(above, target.name);
      const made = above.ensureChild(target.name);
      this.#adopt(target, made);
      return made;
    }
    const folder = above.child(target.name);
    if (!sameInode(folder.statSelf(), target.inode)) {
      folder.close();
      throw errorOf('IO', `the folder '${target.name}' was replaced while it was used`);
    }
    target.folder = folder;
    this.#touch(target);
    return folder;
  }

  #touch(target: TargetFolder): void {
    this.#open.delete(target);
    this.#open.add(target);
    if (this.#open.size <= MOST_OPEN_FOLDERS) return;
    for (const oldest of this.#open) {
      oldest.folder?.close();
      oldest.folder = undefined;
      this.#open.delete(oldest);
      return;
    }
  }

  /** Two names of one transfer that this system can't tell apart: the second is refused, so that neither is lost. */
  #noteName(target: TargetFolder, name: SafeName): void {
    if (!target.names) return;
    const key = collisionKey(name, true);
    const other = target.names.get(key);
    if (other !== undefined && other !== name)
      throw errorOf('NAME_COLLISION', `this system can't tell it from '${other}', which came first`);
    target.names.set(key, name);
  }
}

/** A name, then others in its stead. */
function* namesFor(name: SafeName): Generator<SafeName, void, undefined> {
  yield name;
  yield* freeNames(name);
}

function inodeOf(path: string): EntryStat | undefined {
  try {
    using folder = Folder.open(path);
    return folder.statSelf();
  } catch {
    // No home, nothing to protect.
    return undefined;
  }
}
