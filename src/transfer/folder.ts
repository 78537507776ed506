/**
 * An open folder, and everything that is done to what lies in it. Nothing below a root is ever reached by a path from
 * the top: each step starts at an open descriptor and follows no link, so a parent that is swapped for a symbolic link
 * while a transfer runs changes nothing. How, and where it is only best effort, stands in `folder-handle.ts`.
 *
 * All calls are synchronous: this runs in workers. Failures are typed (see `system-error.ts`).
 */
import fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { type EntryStat, entryStat, fsTime } from './entry-stat.ts';
import { type FolderAnchor, FolderHandle } from './folder-handle.ts';
import { type ListedEntry, listEntries } from './listing.ts';
import { decodeName, foldsByDefault, fsPath, type SafeName } from './name.ts';
import {
  createEmpty,
  createRegular,
  createWhole,
  type FileUse,
  type OpenedFile,
  openRegular,
  requireFile,
} from './regular-file.ts';
import { attempt, failedWith } from './system-error.ts';
import type { WholeFile } from './target-store.ts';

/** See the head of this file. */
export class Folder {
  /** The folder that a person chose: its own mode and times are never changed. */
  readonly isRoot: boolean;
  /** Made by {@link makeChild} a moment ago, so nothing of an earlier run is in it. */
  readonly isNew: boolean;
  readonly #handle: FolderHandle;
  #foldsCase: boolean | undefined;

  private constructor(handle: FolderHandle, origin: 'root' | 'new' | 'old') {
    this.#handle = handle;
    this.isRoot = origin === 'root';
    this.isNew = origin === 'new';
  }

  /**
   * Opens a root: a folder that a person named. It may be reached through links, which are resolved now and never again.
   *
   * @param options.anchor For the tests: what is found out otherwise.
   * @throws NOT_FOUND, NOT_A_FOLDER, UNREADABLE.
   */
  static open(path: string, options: { readonly anchor?: FolderAnchor } = {}): Folder {
    return attempt('open', path, () => new Folder(FolderHandle.open(path, options.anchor), 'root'));
  }

  /** The same folder once more, to be closed by itself; a root stays a root. */
  reopen(): Folder {
    const handle = attempt('open', this.path, () => this.#handle.reopen());
    return new Folder(handle, this.isRoot ? 'root' : 'old');
  }

  /** Where it was when it was opened, for messages. Links on the way are resolved. */
  get path(): string {
    return this.#handle.path;
  }

  /**
   * Opens a folder in this one. A symbolic link is not one, wherever it leads.
   *
   * @throws NOT_FOUND, NOT_A_FOLDER, UNREADABLE.
   */
  child(name: SafeName): Folder {
    return new Folder(
      attempt('open', name, () => this.#handle.child(name)),
      'old',
    );
  }

  /**
   * Makes and opens a folder with mode 0700. Its own mode is set last ({@link setMode}): a folder that nobody may write
   * can't be filled.
   *
   * @param mode Of a folder that stays as it is made; the system takes away what its user never gives.
   * @throws EXISTS when there is anything of that name.
   */
  makeChild(name: SafeName, mode = 0o700): Folder {
    attempt('create', name, () => fs.mkdirSync(this.#handle.at(name), { mode }));
    return new Folder(
      attempt('open', name, () => this.#handle.child(name)),
      'new',
    );
  }

  /** Opens a folder in this one, made if there is none; {@link isNew} tells which it was. */
  ensureChild(name: SafeName): Folder {
    if (this.lookup(name) !== undefined) return this.child(name);
    try {
      return this.makeChild(name);
    } catch (error) {
      if (!failedWith(error, 'EEXIST')) throw error;
    }
    return this.child(name);
  }

  /** What is there under a name, links not followed. Throws NOT_FOUND. */
  stat(name: SafeName): EntryStat {
    return attempt('read', name, () => entryStat(fs.lstatSync(this.#handle.at(name), { bigint: true })));
  }

  /** As {@link stat}, undefined where there is nothing. */
  lookup(name: SafeName): EntryStat | undefined {
    const stats = attempt('read', name, () =>
      fs.lstatSync(this.#handle.at(name), { bigint: true, throwIfNoEntry: false }),
    );
    return stats === undefined ? undefined : entryStat(stats);
  }

  /** What the open folder itself is. */
  statSelf(): EntryStat {
    return attempt('read', this.path, () =>
      entryStat(fs.fstatSync(this.#handle.descriptor, { bigint: true })),
    );
  }

  /**
   * Opens a regular file that exists. Never follows a link, never waits for the other end of a pipe, opens no device.
   *
   * @param seen What a look at it a moment ago has shown, which saves another.
   * @throws IS_A_FOLDER, NOT_A_FILE, NOT_FOUND, UNREADABLE, UNWRITABLE.
   */
  openFile(name: SafeName, use: FileUse, seen?: EntryStat): OpenedFile {
    requireFile(seen ?? this.stat(name), name);
    return openRegular(this.#handle.at(name), use, name);
  }

  /** Creates a file that was not there, mode 0600, and opens it for reading and writing. Throws EXISTS. */
  createFile(name: SafeName): number {
    return createRegular(this.#handle.at(name), name);
  }

  /** Creates a file that was not there with all that belongs to it. Throws EXISTS; what there is of it then stays. */
  createWhole(file: WholeFile): void {
    createWhole(this.#handle.at(file.name), file);
  }

  /** Takes a name with an empty file, mode 0600. Throws EXISTS. */
  createEmpty(name: SafeName): EntryStat {
    return createEmpty(this.#handle.at(name), name);
  }

  /** Renames; what has the new name is replaced, unless it is a folder and the old is not (IS_A_FOLDER). */
  rename(from: SafeName, to: SafeName): void {
    attempt('replace', to, () => fs.renameSync(this.#handle.at(from), this.#handle.at(to)));
  }

  /** As {@link rename}, into another folder. */
  renameInto(other: Folder, from: SafeName, to: SafeName): void {
    attempt('replace', to, () => fs.renameSync(this.#handle.at(from), other.#handle.at(to)));
  }

  /** Gives a file a second name. Throws EXISTS when that is taken, whatever by. */
  link(from: SafeName, to: SafeName): void {
    this.linkInto(this, from, to);
  }

  /** As {@link link}, in another folder. */
  linkInto(other: Folder, from: SafeName, to: SafeName): void {
    attempt('create', to, () => fs.linkSync(this.#handle.at(from), other.#handle.at(to)));
  }

  unlink(name: SafeName): void {
    attempt('remove', name, () => fs.unlinkSync(this.#handle.at(name)));
  }

  /** Makes a symbolic link. The target is kept as it is: it must have been checked. Throws EXISTS. */
  symlink(target: string, name: SafeName): void {
    attempt('create', name, () => fs.symlinkSync(fsPath(target), this.#handle.at(name)));
  }

  /** Where a symbolic link points, as a string like a name's (see `name.ts`). */
  readlink(name: SafeName): string {
    return attempt('read', name, () =>
      decodeName(fs.readlinkSync(this.#handle.at(name), { encoding: 'buffer' })),
    );
  }

  /** Sets the time of a symbolic link itself, microseconds since 1970. */
  setLinkTimes(name: SafeName, mtime: number): void {
    attempt('change', name, () => fs.lutimesSync(this.#handle.at(name), Date.now() / 1000, fsTime(mtime)));
  }

  /**
   * Sets this folder's permission bits; setuid, setgid and sticky are dropped, but a setgid that it inherited here, as
   * folders shared by a group do, stays. Not on a root (INTERNAL).
   */
  setMode(mode: number): void {
    this.#refuseRoot();
    const inherited = this.statSelf().mode & 0o2000;
    attempt('change', this.path, () => fs.fchmodSync(this.#handle.descriptor, (mode & 0o777) | inherited));
  }

  /** Sets this folder's time, microseconds since 1970: last, since every entry that comes or goes changes it. */
  setTimes(mtime: number): void {
    this.#refuseRoot();
    attempt('change', this.path, () =>
      fs.futimesSync(this.#handle.descriptor, Date.now() / 1000, fsTime(mtime)),
    );
  }

  /** Removes a folder in this one if it is empty, and says whether it did. For folders that a failed transfer made. */
  removeIfEmpty(name: SafeName): boolean {
    return attempt('remove', name, () => {
      try {
        fs.rmdirSync(this.#handle.at(name));
        return true;
      } catch (error) {
        if (failedWith(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENOENT')) return false;
        throw error;
      }
    });
  }

  /** What is in the folder, in the order of the file system, a few hundred entries in memory at once. */
  list(): Generator<ListedEntry, void, undefined> {
    return listEntries(this.#handle.at('.'), this.path);
  }

  /** Whether this user may make entries here, as far as that can be told beforehand. */
  isWritable(): boolean {
    try {
      fs.accessSync(this.#handle.at('.'), fs.constants.W_OK | fs.constants.X_OK);
      return true;
    } catch {
      // Whoever writes all the same is told why it fails.
      return false;
    }
  }

  /** Bytes that this user may still write on this file system. */
  freeBytes(): number {
    return attempt('read', this.path, () => {
      const figures = fs.statfsSync(this.#handle.at('.'), { bigint: true });
      return Number(figures.bavail * figures.bsize);
    });
  }

  /** Brings the folder's entries to the disk, where the system can. */
  sync(): void {
    if (process.platform === 'win32') return;
    attempt('write', this.path, () => fs.fsyncSync(this.#handle.descriptor));
  }

  /**
   * Whether names that differ only by case are one file in this folder; found out once, with a file of ours that lives
   * for an instant. A folder that can't be written answers as the platform usually does.
   */
  foldsCase(): boolean {
    this.#foldsCase ??= this.#probeCase();
    return this.#foldsCase;
  }

  /** Keeps the folder open past {@link close}, until the returned function is called. */
  hold(): () => void {
    return this.#handle.hold();
  }

  /** Ends the use of the folder by whoever opened it. May be called again. */
  close(): void {
    this.#handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #refuseRoot(): void {
    if (this.isRoot) throw errorOf('INTERNAL', 'the chosen folder itself is never changed');
  }

  #probeCase(): boolean {
    const name = `.localstream-${process.pid}-${process.hrtime.bigint()}.case` as SafeName;
    try {
      this.createEmpty(name);
    } catch {
      return foldsByDefault(process.platform);
    }
    try {
      return this.lookup(name.toUpperCase() as SafeName) !== undefined;
    } finally {
      this.unlink(name);
    }
  }
}
