/** The open folders on the way to where a transfer is. */
import type { Folder } from './folder.ts';
import type { SafeName, SafePath } from './name.ts';

/**
 * Keeps the folders of one path open, so that the files of a folder cost one opening of it together. A tree is walked
 * depth first, so this is a cache that rarely misses, and never holds more than the depth of a path.
 */
export class FolderStack {
  readonly root: Folder;
  readonly #names: SafeName[] = [];
  readonly #folders: Folder[] = [];

  /** The root stays the caller's and is not closed. */
  constructor(root: Folder) {
    this.root = root;
  }

  /** The folder at a path, open until another path is asked for. Throws NOT_FOUND, NOT_A_FOLDER, UNREADABLE. */
  at(path: SafePath): Folder {
    let depth = 0;
    while (depth < this.#names.length && depth < path.length && this.#names[depth] === path[depth])
      depth += 1;
    this.#cut(depth);
    let folder = this.#folders[depth - 1] ?? this.root;
    for (const name of path.slice(depth)) {
      folder = folder.child(name);
      this.#names.push(name);
      this.#folders.push(folder);
    }
    return folder;
  }

  /** Closes all but the root. The stack may be used again. */
  close(): void {
    this.#cut(0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #cut(depth: number): void {
    this.#names.length = Math.min(this.#names.length, depth);
    while (this.#folders.length > depth) this.#folders.pop()?.close();
  }
}
