/** What a transfer starts from on the sending side: one file or folder, held so that its path can't lead elsewhere later. */
import fs from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, sameInode } from './entry-stat.ts';
import { Folder } from './folder.ts';
import { FolderStack } from './folder-stack.ts';
import { checkName, decodeName, fsPath, type SafeName, type SafePath } from './name.ts';
import { SourceFile } from './source-file.ts';
import { attempt, failedWith } from './system-error.ts';

/** A root while its folders are open. */
interface Awake {
  readonly parent: Folder;
  /** Of a root that is a folder: that folder, and those on the way to the file that is sent. */
  readonly folder: Folder | undefined;
  readonly stack: FolderStack | undefined;
}

/** See the head of this file. Paths of a root start with its {@link name}. */
export class SourceRoot {
  /** What it is called at the other side. */
  readonly name: SafeName;
  /** What it was when it was found. */
  readonly stat: EntryStat;
  /** Where the folder is that it lies in. */
  readonly #path: string;
  readonly #leaf: SafeName | undefined;
  /** Opens the folder that it lies in once more. */
  readonly #reach: () => Folder;
  readonly #inode: Pick<EntryStat, 'device' | 'inode'>;
  #awake: Awake | undefined;

  private constructor(reach: () => Folder, leaf: SafeName | undefined, name: SafeName) {
    this.name = name;
    this.#reach = reach;
    this.#leaf = leaf;
    const parent = reach();
    try {
      this.#path = parent.path;
      const self = parent.statSelf();
      this.#inode = self;
      this.stat = leaf === undefined ? self : parent.stat(leaf);
      this.#awake = this.#openFolder(parent);
    } catch (error) {
      parent.close();
      throw error;
    }
  }

  /**
   * Something that the user of this machine named. A link at its end, or on the way, is followed once, now; the name is
   * the link's.
   *
   * @throws NOT_FOUND, UNREADABLE, NOT_A_FILE for a pipe, a device or a socket, BAD_NAME for `/`.
   */
  static named(path: string, name?: SafeName): SourceRoot {
    const called = name ?? checkName(basename(resolve(path)));
    const real = resolveLinks(path);
    const root = new SourceRoot(() => Folder.open(dirname(real)), localName(basename(real)), called);
    if (root.stat.type !== 'other') return root;
    root.close();
    throw errorOf('NOT_A_FILE', `'${escapeText(path)}' is a pipe, a device or a socket`);
  }

  /**
   * Something below a folder that is shared, reached without following any link; the share itself for an empty path.
   *
   * @param openShare Opens that folder.
   * @param name What it is called at the other side: the last component of the path if there is one.
   */
  static below(
    openShare: () => Folder,
    path: SafePath,
    name: SafeName | undefined = path.at(-1),
  ): SourceRoot {
    if (name === undefined) throw errorOf('USAGE', 'a whole share needs a name');
    const reach = () => {
      let parent = openShare();
      for (const component of path.slice(0, -1)) {
        using outer = parent;
        parent = outer.child(component);
      }
      return parent;
    };
    return new SourceRoot(reach, path.at(-1), name);
  }

  /** Where something in this root lies on this machine now, by a path that the walk gave. */
  pathOf(path: SafePath): string {
    const below = this.#leaf === undefined ? path.slice(1) : [this.#leaf, ...path.slice(1)];
    return [this.#path.replace(/\/$/, ''), ...below].join('/');
  }

  /** The folder itself, to be walked; undefined for a file or a link. It stays the root's. */
  get folder(): Folder | undefined {
    return this.#wake().folder;
  }

  /** Where a root that is a link points. */
  readlink(): string {
    if (this.#leaf === undefined) throw errorOf('INTERNAL', 'a share is not a link');
    return this.#wake().parent.readlink(this.#leaf);
  }

  /**
   * Opens a file for sending, by a path that the walk gave: its first component is {@link name}.
   *
   * @param seen What the walk saw there, which saves another look.
   * @throws as {@link SourceFile.open}; NOT_A_FOLDER when a folder on the way has become a link; SOURCE_CHANGED when it
   * was put to rest and another folder has its place.
   */
  open(path: SafePath, seen?: EntryStat): SourceFile {
    const last = path.at(-1);
    const { parent, stack } = this.#wake();
    if (path.length > 1 && last !== undefined && stack !== undefined)
      return SourceFile.open(stack.at(path.slice(1, -1)), last, seen);
    if (path.length !== 1 || this.#leaf === undefined)
      throw errorOf('IS_A_FOLDER', `'${escapeText(this.name)}' is a folder`);
    return SourceFile.open(parent, this.#leaf, seen);
  }

  /** Gives its descriptors back. It is opened again when it is used. */
  close(): void {
    const awake = this.#awake;
    this.#awake = undefined;
    awake?.stack?.close();
    awake?.folder?.close();
    awake?.parent.close();
  }

  #wake(): Awake {
    if (this.#awake) return this.#awake;
    const parent = this.#reach();
    try {
      if (!sameInode(parent.statSelf(), this.#inode))
        throw errorOf('SOURCE_CHANGED', `the folder of '${escapeText(this.name)}' was replaced`);
      this.#awake = this.#openFolder(parent);
      return this.#awake;
    } catch (error) {
      parent.close();
      throw error;
    }
  }

  #openFolder(parent: Folder): Awake {
    if (this.stat.type !== 'folder') return { parent, folder: undefined, stack: undefined };
    const folder = this.#leaf === undefined ? parent : parent.child(this.#leaf);
    return { parent, folder, stack: new FolderStack(folder) };
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A name that this machine's own file system gave; only what a component can't be is refused. */
function localName(name: string): SafeName {
  if (name === '' || name === '.' || name === '..' || name.includes('/'))
    throw errorOf('BAD_NAME', 'the root of the file system has no name');
  return name as SafeName;
}

function resolveLinks(path: string): string {
  return attempt('open', path, () => {
    try {
      return decodeName(fs.realpathSync.native(fsPath(path), { encoding: 'buffer' }));
    } catch (error) {
      // Links of /proc lead to pipes that have no path, as in `send_file <(command)`.
      const there = failedWith(error, 'ENOENT') && fs.statSync(fsPath(path), { throwIfNoEntry: false });
      if (there) throw errorOf('NOT_A_FILE', `'${escapeText(path)}' is a pipe, a device or a socket`);
      throw error;
    }
  });
}
