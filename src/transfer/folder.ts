/**
 * An open folder, and everything that is done to what lies in it. Nothing below a root is ever reached by a path from
 * the top: each step starts at an open descriptor and follows no link, so a parent that is swapped for a symbolic link
 * while a transfer runs changes nothing.
 *
 * Node.js has no `openat`. On Linux `/proc/self/fd/N/name` is the same thing: the kernel goes to the open folder itself,
 * wherever it has been moved to. Elsewhere, and where `/proc` is not mounted, the folder's path is used, and before every
 * step it must still lead to the open folder. That is best effort: whoever can rename folders there at that instant can
 * win between the check and the step.
 *
 * All calls are synchronous: this runs in workers. Failures are typed (see `system-error.ts`).
 */
import * as fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, type EntryType, entryStat, fsTime, sameInode } from './entry-stat.ts';
import { decodeName, foldsByDefault, fsPath, type SafeName } from './name.ts';
import { attempt, failedWith } from './system-error.ts';

/** How entries of an open folder are reached. */
export type FolderAnchor = 'descriptor' | 'path';

/** What a folder holds, by name. Nothing has checked the name. */
export interface ListedEntry {
  readonly name: string;
  /** Undefined where the file system does not tell without a look at the entry. */
  readonly type: EntryType | undefined;
}

/** An opened regular file. Whoever opened it closes the descriptor. */
export interface OpenedFile {
  readonly descriptor: number;
  readonly stat: EntryStat;
}

// Windows has none of these; libuv opens folders there without being told.
const { O_RDONLY, O_CREAT, O_NOFOLLOW = 0, O_DIRECTORY = 0, O_NONBLOCK = 0, O_NOCTTY = 0 } = fs.constants;
/** Linux: a handle that needs no right to list the folder, only to go through it. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : 0;
const LISTED_AT_ONCE = 256;

function sameOpenFolder(descriptor: number, path: string | Buffer): boolean {
  try {
    const held = entryStat(fs.fstatSync(descriptor, { bigint: true }));
    return sameInode(held, entryStat(fs.statSync(path, { bigint: true })));
  } catch {
    // Not there or not allowed: either way it is not a way to the folder.
    return false;
  }
}

function openDirectory(path: string | Buffer, flags: number): number {
  try {
    return fs.openSync(path, O_RDONLY | O_DIRECTORY | flags);
  } catch (error) {
    if (O_PATH === 0 || !failedWith(error, 'EACCES')) throw error;
    return fs.openSync(path, O_PATH | O_DIRECTORY | flags);
  }
}

/** See the head of this file. */
export class Folder {
  /** Where it was when it was opened, for messages. Links on the way are resolved. */
  readonly path: string;
  /** The folder that a person chose: its own mode and times are never changed. */
  readonly isRoot: boolean;
  /** Made by {@link makeChild} a moment ago, so nothing of an earlier run is in it. */
  readonly isNew: boolean;
  readonly anchor: FolderAnchor;
  #descriptor: number;
  #holds = 0;
  #closed = false;
  #foldsCase: boolean | undefined;

  private constructor(
    descriptor: number,
    path: string,
    options: { anchor: FolderAnchor; isRoot?: boolean; isNew?: boolean },
  ) {
    this.#descriptor = descriptor;
    this.path = path;
    this.anchor = options.anchor;
    this.isRoot = options.isRoot ?? false;
    this.isNew = options.isNew ?? false;
  }

  /**
   * Opens a root: a folder that a person named. It may be reached through links, which are resolved now and never again.
   *
   * @throws NOT_FOUND, NOT_A_FOLDER, UNREADABLE.
   */
  static open(path: string, options: { readonly anchor?: FolderAnchor } = {}): Folder {
    return attempt('open', path, () => {
      const real = decodeName(fs.realpathSync.native(fsPath(path), { encoding: 'buffer' }));
      const descriptor = openDirectory(fsPath(real), 0);
      const descriptorsWork =
        process.platform === 'linux' && sameOpenFolder(descriptor, `/proc/self/fd/${descriptor}/.`);
      const anchor = options.anchor ?? (descriptorsWork ? 'descriptor' : 'path');
      return new Folder(descriptor, real, { anchor, isRoot: true });
    });
  }

  /**
   * Opens a folder in this one. A symbolic link is not one, wherever it leads.
   *
   * @throws NOT_FOUND, NOT_A_FOLDER, UNREADABLE.
   */
  child(name: SafeName): Folder {
    return this.#openChild(name, false);
  }

  /**
   * Makes and opens a folder. The mode is narrowed by nobody's umask, but set it last ({@link setMode}): a folder without
   * the right to write can't be filled.
   *
   * @throws EXISTS when there is anything of that name.
   */
  makeChild(name: SafeName, mode = 0o700): Folder {
    attempt('create', name, () => fs.mkdirSync(this.#at(name), { mode: 0o700 }));
    const folder = this.#openChild(name, true);
    if (mode !== 0o700) folder.setMode(mode);
    return folder;
  }

  /** Opens a folder in this one, made if there is none; {@link isNew} tells which it was. */
  ensureChild(name: SafeName): Folder {
    try {
      return this.child(name);
    } catch (error) {
      if (!failedWith(error, 'ENOENT')) throw error;
    }
    try {
      return this.makeChild(name);
    } catch (error) {
      if (!failedWith(error, 'EEXIST')) throw error;
    }
    return this.child(name);
  }

  /** The same folder once more, to be closed by itself; a root stays a root. */
  reopen(): Folder {
    const descriptor = attempt('open', this.path, () => openDirectory(this.#at('.'), 0));
    return new Folder(descriptor, this.path, { anchor: this.anchor, isRoot: this.isRoot });
  }

  /** What is there under a name, links not followed. Throws NOT_FOUND. */
  stat(name: SafeName): EntryStat {
    return attempt('read', name, () => entryStat(fs.lstatSync(this.#at(name), { bigint: true })));
  }

  /** As {@link stat}, undefined where there is nothing. */
  lookup(name: SafeName): EntryStat | undefined {
    const stats = attempt('read', name, () =>
      fs.lstatSync(this.#at(name), { bigint: true, throwIfNoEntry: false }),
    );
    return stats === undefined ? undefined : entryStat(stats);
  }

  /** What the open folder itself is. */
  statSelf(): EntryStat {
    return attempt('read', this.path, () => entryStat(fs.fstatSync(this.#open(), { bigint: true })));
  }

  /**
   * Opens a regular file. Never follows a link, never waits for the other end of a pipe, never opens a device.
   *
   * @param flags `O_…` of `node:fs`; not following and not blocking are added.
   * @param mode For a file that is created; less the umask.
   * @throws IS_A_FOLDER, NOT_A_FILE, NOT_FOUND, EXISTS, UNREADABLE, UNWRITABLE, NO_SPACE.
   */
  openFile(name: SafeName, flags: number, mode = 0o600): OpenedFile {
    const creates = (flags & O_CREAT) !== 0;
    // Opening some devices already does something, so look first. The look after the opening is the one that counts.
    if (!creates) requireFile(this.stat(name), name);
    const action = creates ? 'create' : (flags & 3) === O_RDONLY ? 'open' : 'write';
    return attempt(action, name, () => {
      const descriptor = fs.openSync(this.#at(name), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
      try {
        const stat = entryStat(fs.fstatSync(descriptor, { bigint: true }));
        requireFile(stat, name);
        return { descriptor, stat };
      } catch (error) {
        fs.closeSync(descriptor);
        throw error;
      }
    });
  }

  /** Renames; what has the new name is replaced, unless it is a folder and the old is not (IS_A_FOLDER). */
  rename(from: SafeName, to: SafeName): void {
    attempt('replace', to, () => fs.renameSync(this.#at(from), this.#at(to)));
  }

  /** Gives a file a second name. Throws EXISTS when that is taken, whatever by. */
  link(from: SafeName, to: SafeName): void {
    attempt('create', to, () => fs.linkSync(this.#at(from), this.#at(to)));
  }

  unlink(name: SafeName): void {
    attempt('remove', name, () => fs.unlinkSync(this.#at(name)));
  }

  /** Makes a symbolic link. The target is kept as it is: check it first, see `checkLinkTarget`. */
  symlink(target: string, name: SafeName): void {
    attempt('create', name, () => fs.symlinkSync(fsPath(target), this.#at(name)));
  }

  /** Where a symbolic link points, as a string like a name's (see `name.ts`). */
  readlink(name: SafeName): string {
    return attempt('read', name, () => decodeName(fs.readlinkSync(this.#at(name), { encoding: 'buffer' })));
  }

  /** Sets the times of a symbolic link itself. `mtime` in microseconds since 1970. */
  setLinkTimes(name: SafeName, mtime: number): void {
    attempt('change', name, () => fs.lutimesSync(this.#at(name), fsTime(mtime), fsTime(mtime)));
  }

  /**
   * Sets this folder's permission bits; setuid, setgid and sticky are dropped, but a setgid that it inherited here, as
   * folders shared by a group do, stays. Not on a root (INTERNAL).
   */
  setMode(mode: number): void {
    this.#refuseRoot();
    const inherited = this.statSelf().mode & 0o2000;
    attempt('change', this.path, () => fs.fchmodSync(this.#open(), (mode & 0o777) | inherited));
  }

  /** Sets this folder's time, microseconds since 1970: last, since every entry that comes or goes changes it. */
  setTimes(mtime: number): void {
    this.#refuseRoot();
    attempt('change', this.path, () => fs.futimesSync(this.#open(), Date.now() / 1000, fsTime(mtime)));
  }

  /** Removes a folder in this one if it is empty, and says whether it did. For folders that a failed transfer made. */
  removeIfEmpty(name: SafeName): boolean {
    return attempt('remove', name, () => {
      try {
        fs.rmdirSync(this.#at(name));
        return true;
      } catch (error) {
        if (failedWith(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENOENT')) return false;
        throw error;
      }
    });
  }

  /** What is in the folder, in the order of the file system, a few hundred entries in memory at once. */
  *list(): Generator<ListedEntry, void, undefined> {
    // The declared type knows of no names as bytes; the call does, and the test with other bytes than UTF-8 shows it.
    const encoding = 'buffer' as BufferEncoding;
    const directory = attempt('list', this.path, () =>
      fs.opendirSync(this.#at('.'), { encoding, bufferSize: LISTED_AT_ONCE }),
    );
    try {
      for (;;) {
        const entry = attempt('list', this.path, () => directory.readSync());
        if (entry === null) return;
        const bytes: unknown = entry.name;
        const name = bytes instanceof Uint8Array ? decodeName(bytes) : String(bytes);
        yield { name, type: listedType(entry) };
      }
    } finally {
      directory.closeSync();
    }
  }

  /** Bytes that this user may still write on this file system. */
  freeBytes(): number {
    return attempt('read', this.path, () => {
      const figures = fs.statfsSync(this.#at('.'), { bigint: true });
      return Number(figures.bavail * figures.bsize);
    });
  }

  /** Brings the folder's entries to the disk, where the system can. */
  sync(): void {
    if (process.platform === 'win32') return;
    attempt('write', this.path, () => fs.fsyncSync(this.#open()));
  }

  /**
   * Whether names that differ only by case are one file in this folder; found out once, with a file of ours that lives
   * for an instant. A folder that can't be written answers as the platform usually does.
   */
  foldsCase(): boolean {
    this.#foldsCase ??= this.#probeCase();
    return this.#foldsCase;
  }

  /** Keeps the descriptor open past {@link close}, until the returned function is called. */
  hold(): () => void {
    this.#open();
    this.#holds += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      this.#release();
    };
  }

  /** Ends the use of the folder by whoever opened it. May be called again. */
  close(): void {
    this.#closed = true;
    this.#release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #release(): void {
    if (!this.#closed || this.#holds > 0 || this.#descriptor < 0) return;
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    fs.closeSync(descriptor);
  }

  #open(): number {
    // A number that was closed may be another file by now.
    if (this.#descriptor < 0) throw errorOf('INTERNAL', `the folder '${escapeText(this.path)}' is closed`);
    return this.#descriptor;
  }

  #refuseRoot(): void {
    if (this.isRoot) throw errorOf('INTERNAL', 'the chosen folder itself is never changed');
  }

  /** The way to an entry of this folder, for one call. */
  #at(name: string): string | Buffer {
    const descriptor = this.#open();
    if (this.anchor === 'descriptor') return fsPath(`/proc/self/fd/${descriptor}/${name}`);
    if (!sameOpenFolder(descriptor, fsPath(this.path)))
      throw errorOf('IO', `the folder '${escapeText(this.path)}' was moved while it was used`);
    return fsPath(`${this.path}/${name}`);
  }

  #openChild(name: SafeName, isNew: boolean): Folder {
    return attempt('open', name, () => {
      const way = this.#at(name);
      if (O_NOFOLLOW === 0 && fs.lstatSync(way).isSymbolicLink())
        throw errorOf('NOT_A_FOLDER', `'${escapeText(name)}' is a symbolic link, and those are not followed`);
      const descriptor = openDirectory(way, O_NOFOLLOW);
      const path = this.path.endsWith('/') ? `${this.path}${name}` : `${this.path}/${name}`;
      return new Folder(descriptor, path, { anchor: this.anchor, isNew });
    });
  }

  #probeCase(): boolean {
    const name = `.localstream-${process.pid}-${process.hrtime.bigint()}.case` as SafeName;
    try {
      fs.closeSync(this.openFile(name, O_CREAT | fs.constants.O_EXCL | fs.constants.O_WRONLY).descriptor);
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

function requireFile(stat: EntryStat, name: string): void {
  if (stat.type === 'file') return;
  if (stat.type === 'folder') throw errorOf('IS_A_FOLDER', `'${escapeText(name)}' is a folder`);
  const what =
    stat.type === 'link' ? 'a symbolic link, and those are not followed' : 'a pipe, device or socket';
  throw errorOf('NOT_A_FILE', `'${escapeText(name)}' is ${what}`);
}

function listedType(entry: fs.Dirent): EntryType | undefined {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  if (entry.isSymbolicLink()) return 'link';
  const known = entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice();
  return known ? 'other' : undefined;
}
