/** What the receiving end of a transfer writes into, as it sees it: folders, files that are being written, old files. */
import type { OfferedRoot } from '../protocol/messages.ts';
import type { SafeName } from './name.ts';

/** What stands under a name. */
export interface Present {
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly size: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
  /** It was touched since the first part of this transfer began, which may have brought it. */
  readonly mayBeEarlier: boolean;
}

/** How a finished file takes its place. */
export interface Placement {
  readonly mode: number;
  readonly mtime: number;
  /**
   * `never`: fails with EXISTS where something stands; `replace`: takes its place; `update`: takes it from what is older,
   * and fails with EXISTS otherwise; `rename`: takes a free name.
   */
  readonly place: 'never' | 'replace' | 'update' | 'rename';
}

/** A small file that has come whole, its digest checked. */
export interface WholeFile {
  readonly name: SafeName;
  readonly bytes: Buffer;
  readonly mode: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

export interface FolderAttributes {
  readonly mode: number | undefined;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

/** A file that is being written, beside its place. */
export interface PartialFile {
  /** Bytes that were there when it was opened. */
  readonly held: number;
  writeAt(bytes: Buffer, position: number): void;
  hole(position: number, length: number): void;
  /** Fills the buffer; returns fewer bytes only at the end. */
  readAt(bytes: Buffer, position: number): number;
  /** Brings what was written to the disk. */
  sync(): void;
  /** Gives it its length, attributes and name. Returns the name that it has now. */
  commit(placement: Placement): SafeName;
  /** Closes it and leaves it for a resume; an empty one is removed. Nothing happens after a commit. */
  keep(): void;
  /** Removes it. Nothing happens after a commit. */
  discard(): void;
}

/** An old file that is compared or copied from. */
export interface BasisFile {
  readonly size: number;
  /** It takes less room than it has bytes: stretches of zeros are holes. */
  readonly sparse: boolean;
  readAt(bytes: Buffer, position: number): number;
  close(): void;
}

/** Where a transfer writes. The only writer; every method throws typed errors. `Folder` is an open folder's handle. */
export interface TargetStore<Folder> {
  /** Where an offered root goes: the folder and the name there. Undefined: it was not asked for. */
  root(
    name: SafeName,
  ): { readonly folder: Folder; readonly name: SafeName; readonly kind: OfferedRoot['type'] } | undefined;
  /** Whether the receiving person wants to leave an entry out. */
  excludes(path: string, isFolder: boolean): boolean;
  /** The name that an earlier part of this transfer gave to something whose own was taken; in a drop-box, to anything. */
  renamed(path: string): SafeName | undefined;
  /**
   * Enters a folder, a new one where there is none: that has its mode from the start, and its owner may use it until it is
   * left. Unless it is made at once, whatever goes into it makes it.
   */
  enter(parent: Folder, name: SafeName, mode: number): { readonly folder: Folder; readonly created: boolean };
  /** Whether a folder was entered that is still to be made. */
  isUnmade(folder: Folder): boolean;
  /** Makes it now. */
  make(folder: Folder): void;
  /** Whether a folder that was entered as a new one was there when it was to be made: somebody else has made it. */
  isOvertaken(folder: Folder): boolean;
  /** Makes it with these files in it, all at once. False: nothing was done, and each has to be written by itself. */
  makeWith(folder: Folder, files: readonly WholeFile[]): boolean;
  /** Makes a folder under its name, or a free one. */
  enterNew(
    parent: Folder,
    name: SafeName,
    mode: number,
  ): { readonly folder: Folder; readonly name: SafeName };
  /** Enters a folder that is there; undefined where there is none. */
  peek(parent: Folder, name: SafeName): Folder | undefined;
  /** Closes a folder and, where `attributes` are given, sets them; without a mode it keeps its own. */
  leave(folder: Folder, attributes: FolderAttributes | undefined): void;
  /** Removes a folder that this transfer made, if it is empty. */
  remove(parent: Folder, name: SafeName): void;
  present(folder: Folder, name: SafeName): Present | undefined;
  /** Whether an interrupted partial may be there. */
  hasPartial(folder: Folder, name: SafeName): boolean;
  /** Opens the partial of a file, with what an earlier run has left. `size` is -1 for a stream. */
  openPartial(folder: Folder, name: SafeName, size: number, place: Placement['place']): PartialFile;
  openBasis(folder: Folder, name: SafeName): BasisFile;
  /** Writes a small file whole. Returns the name that it has now. */
  writeSmall(folder: Folder, name: SafeName, bytes: Buffer, placement: Placement): SafeName;
  /** Makes a symbolic link. Returns the name that it has now. */
  link(folder: Folder, name: SafeName, target: string, placement: Placement): SafeName;
  /** Target of a link that is there. */
  linkTarget(folder: Folder, name: SafeName): string;
  /** Whether a name may not be written here at all (hidden files of a home folder under a standing yes). */
  protects(folder: Folder, name: SafeName): boolean;
  /** Bytes that may still be written. */
  freeBytes(): number;
}
