/**
 * Follows the manifest through its folders: where each entry belongs, and when a folder has all that it gets and can be
 * left.
 */
import { errorOf, LocalstreamError } from '../errors.ts';
import { ENTRY, type EntryKind } from '../protocol/manifest.ts';
import { checkName, MOST_NAME_BYTES, MOST_PATH_BYTES, type SafeName } from './name.ts';
import type { Branch, EntryPlace, LiveEntry } from './receiver-entries.ts';
import type { ReceiverOptions } from './receiver-options.ts';
import type { FolderAttributes, TargetStore } from './target-store.ts';

const MAX_DEPTH = 128;

/** An entry's place, and why it can't go there. */
interface Located<Folder> extends EntryPlace<Folder> {
  readonly error?: unknown;
}

/** The folders of a transfer that are not left yet. */
export class ManifestFolders<Folder> {
  readonly #store: TargetStore<Folder>;
  readonly #existing: ReceiverOptions['existing'];
  readonly #roots = new Set<string>();
  readonly #branches = new Set<Branch<Folder>>();
  #here: Branch<Folder> | undefined;

  constructor(store: TargetStore<Folder>, existing: ReceiverOptions['existing']) {
    this.#store = store;
    this.#existing = existing;
  }

  /** Whether the manifest has entered a folder that it has not left. */
  get isInside(): boolean {
    return this.#here !== undefined;
  }

  /** Finds the place of the next entry: below the open folder or, at the top, where its root was mapped to. */
  locate(spelled: string, kind: EntryKind): Located<Folder> {
    const here = this.#here;
    if (here) {
      const path = shownPath(here.path, spelled);
      // No walk of ours goes deeper, and each level costs memory.
      if (here.depth > MAX_DEPTH) throw errorOf('LIMIT', 'the manifest nests its folders too deep');
      try {
        if (here.depth === MAX_DEPTH) throw errorOf('BAD_NAME', 'the folders are nested too deep');
        return { branch: here, name: checkName(spelled), path };
      } catch (error) {
        return { branch: here, name: undefined, path, error };
      }
    }
    const outside = (error: unknown) => ({
      branch: newBranch<Folder>({ name: spelled as SafeName, folder: undefined }),
      name: undefined,
      path: shownPath('', spelled),
      error,
    });
    try {
      const checked = checkName(spelled);
      const root = this.#roots.has(checked) ? undefined : this.#store.root(checked);
      // Not asked for, or a second time under the same name: the source breaks its own offer.
      if (!root) throw errorOf('BAD_MESSAGE', 'the source sent what it did not offer');
      // Whoever accepted a file did not accept a folder.
      if (kind !== ENTRY.failed && kind !== ENTRY[root.kind])
        throw errorOf(
          'BAD_MESSAGE',
          `the source sent a thing of another kind than the ${root.kind} it offered`,
        );
      this.#roots.add(checked);
      const branch = newBranch<Folder>({ name: checked, folder: root.folder });
      return { branch, name: root.name, path: spelled };
    } catch (error) {
      if (error instanceof LocalstreamError && error.code === 'BAD_MESSAGE') throw error;
      return outside(error);
    }
  }

  /**
   * The entries that follow are of this folder, which is returned. Without a handle nothing is there to write into, for one
   * reason or another.
   */
  descend(
    live: LiveEntry<Folder>,
    own: Partial<Pick<Branch<Folder>, 'folder' | 'created' | 'excluded' | 'failure'>>,
  ): Branch<Folder> {
    const { created = false, excluded = false, failure, folder } = own;
    const { mode, mtime } = live.entry;
    const branch = newBranch<Folder>({
      parent: live.branch,
      name: live.name ?? ('' as SafeName),
      path: live.path,
      depth: live.branch.depth + 1,
      folder,
      created,
      excluded,
      failure,
      attributes: { mode, mtime },
    });
    // The folder itself stays pending at its parent until it is left and all in it is settled.
    live.branch.pending += 1;
    this.#branches.add(branch);
    this.#here = branch;
    return branch;
  }

  /** The entries that follow are of the folder above. Returns the one that got its last entry. */
  ascend(): Branch<Folder> {
    const branch = this.#here;
    if (!branch) throw errorOf('BAD_MESSAGE', 'the manifest leaves a folder that it did not enter');
    const { parent } = branch;
    this.#here = parent && parent.depth > 0 ? parent : undefined;
    branch.closed = branch.attributes;
    return branch;
  }

  /** One entry less is open in a folder; the last one sets its times, which writing into it would have changed. */
  release(branch: Branch<Folder>): void {
    branch.pending -= 1;
    if (branch.pending > 0 || !branch.closed) return;
    this.#branches.delete(branch);
    if (branch.folder !== undefined) this.#leave(branch.folder, branch, branch.closed);
    if (branch.parent) this.release(branch.parent);
  }

  /** Closes all folders as they are and removes the empty ones that this transfer made. */
  abort(): void {
    const innermostFirst = [...this.#branches].sort((a, b) => b.depth - a.depth);
    for (const branch of innermostFirst) {
      if (branch.folder === undefined) continue;
      this.#store.leave(branch.folder, undefined);
      const above = branch.parent?.folder;
      const isOurs =
        branch.created && !this.#store.isUnmade(branch.folder) && !this.#store.isOvertaken(branch.folder);
      if (isOurs && above !== undefined) tryTo(() => this.#store.remove(above, branch.name));
    }
    this.#branches.clear();
  }

  /**
   * Leaves a folder that has all that it gets. What was there keeps its mode, unless overwriting is asked for; what was
   * chosen as the target keeps it always. One that can't be written could not be finished later.
   */
  #leave(folder: Folder, branch: Branch<Folder>, { mode, mtime }: FolderAttributes): void {
    const { created, depth, isUnfinished } = branch;
    const isNew = created && !this.#store.isOvertaken(folder);
    const setsMode = isNew || (this.#existing === 'overwrite' && depth > 1);
    const least = isUnfinished ? 0o700 : 0;
    this.#store.leave(folder, { mode: setsMode && mode !== undefined ? mode | least : undefined, mtime });
  }
}

function newBranch<Folder>(
  own: Pick<Branch<Folder>, 'name' | 'folder'> & Partial<Branch<Folder>>,
): Branch<Folder> {
  return {
    parent: undefined,
    path: '',
    depth: 0,
    failure: undefined,
    created: false,
    excluded: false,
    expectsFiles: false,
    settleFirst: undefined,
    isUnfinished: false,
    attributes: { mode: 0, mtime: 0 },
    ...own,
    pending: 0,
    closed: undefined,
  };
}

/** A step of putting away, whose failure must not keep the rest from being put away. */
function tryTo(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
  }
}

/**
 * A path as people are told it. Bounded: a source could name a deep folder once, at length, and a million small things
 * in it, each of which would repeat it here.
 */
function shownPath(folder: string, name: string): string {
  const shown = name.length > MOST_NAME_BYTES ? `${name.slice(0, MOST_NAME_BYTES)}…` : name;
  if (folder === '') return shown;
  const above = folder.length > MOST_PATH_BYTES ? `${folder.slice(0, MOST_PATH_BYTES)}…` : folder;
  return `${above}/${shown}`;
}
