/**
 * The descriptor of an open folder, and the way to its entries.
 *
 * Node.js has no `openat`. On Linux `/proc/PID/fd/N/name` is the same thing: the kernel goes to the open folder itself,
 * wherever it has been moved to. Elsewhere, and where `/proc` is not mounted, the folder's path is used, and before every
 * step it must still lead to the open folder. That is best effort: whoever can rename folders there at that instant can
 * win between the check and the step.
 */
import fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { entryStat, sameInode } from './entry-stat.ts';
import { decodeName, fsPath } from './name.ts';
import { failedWith } from './system-error.ts';

/** How the entries of an open folder are reached. */
export type FolderAnchor = 'descriptor' | 'path';

// Windows has none of these; folders can be opened there without being told.
const { O_RDONLY, O_NOFOLLOW = 0, O_DIRECTORY = 0 } = fs.constants;
/** Linux: a handle that needs no right to list the folder, only to go through it. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : 0;

function openDirectory(path: string | Buffer, flags: number): number {
  try {
    return fs.openSync(path, O_RDONLY | O_DIRECTORY | flags);
  } catch (error) {
    if (O_PATH === 0 || !failedWith(error, 'EACCES')) throw error;
    return fs.openSync(path, O_PATH | O_DIRECTORY | flags);
  }
}

/** The numbers of processes may be those of another namespace there; `self` is always right, and half a microsecond slower. */
const PROCESS_FOLDERS = [`/proc/${process.pid}`, '/proc/self'];

/** Where the open files of this process are to be found; undefined where the system shows none. */
function processFolder(descriptor: number): string | undefined {
  if (process.platform !== 'linux') return undefined;
  return PROCESS_FOLDERS.find((folder) => leadsTo(`${folder}/fd/${descriptor}/.`, descriptor));
}

function leadsTo(path: string | Buffer, descriptor: number): boolean {
  try {
    const held = entryStat(fs.fstatSync(descriptor, { bigint: true }));
    return sameInode(held, entryStat(fs.statSync(path, { bigint: true })));
  } catch {
    // Not there or not allowed: either way it is not a way to the folder.
    return false;
  }
}

/** See the head of this file. It throws the system's errors as they are. */
export class FolderHandle {
  /** Where the folder was when it was opened, without links. */
  readonly path: string;
  /** See {@link processFolder}; undefined where the path is the way. */
  readonly #process: string | undefined;
  #descriptor: number;
  #holds = 0;
  #closed = false;

  private constructor(descriptor: number, path: string, process: string | undefined) {
    this.#descriptor = descriptor;
    this.path = path;
    this.#process = process;
  }

  /** Opens a folder by its path; links on the way are resolved now and never again. */
  static open(path: string, anchor: FolderAnchor | undefined): FolderHandle {
    const real = decodeName(fs.realpathSync.native(fsPath(path), { encoding: 'buffer' }));
    const descriptor = openDirectory(fsPath(real), 0);
    return new FolderHandle(descriptor, real, anchor === 'path' ? undefined : processFolder(descriptor));
  }

  /** The same folder, with a descriptor of its own. */
  reopen(): FolderHandle {
    return new FolderHandle(openDirectory(this.at('.'), 0), this.path, this.#process);
  }

  /** A folder in this one, which is no symbolic link. */
  child(name: string): FolderHandle {
    const way = this.at(name);
    if (O_NOFOLLOW === 0 && fs.lstatSync(way).isSymbolicLink())
      throw errorOf('NOT_A_FOLDER', `'${escapeText(name)}' is a symbolic link, and those are not followed`);
    return new FolderHandle(openDirectory(way, O_NOFOLLOW), this.#below(name), this.#process);
  }

  /** The descriptor. Throws INTERNAL once it is closed: its number may be another file by now. */
  get descriptor(): number {
    if (this.#descriptor < 0) throw errorOf('INTERNAL', `the folder '${escapeText(this.path)}' is closed`);
    return this.#descriptor;
  }

  /** The way to an entry, for one call. Throws IO when the folder can't be reached any more. */
  at(name: string): string | Buffer {
    const descriptor = this.descriptor;
    if (this.#process !== undefined) return fsPath(`${this.#process}/fd/${descriptor}/${name}`);
    if (!leadsTo(fsPath(this.path), descriptor))
      throw errorOf('IO', `the folder '${escapeText(this.path)}' was moved while it was used`);
    return fsPath(this.#below(name));
  }

  /** Keeps it open past {@link close}, until the returned function is called. */
  hold(): () => void {
    this.#holds += this.descriptor < 0 ? 0 : 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds -= 1;
      this.#release();
    };
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    if (!this.#closed || this.#holds > 0 || this.#descriptor < 0) return;
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    fs.closeSync(descriptor);
  }

  #below(name: string): string {
    return this.path.endsWith('/') ? `${this.path}${name}` : `${this.path}/${name}`;
  }
}
