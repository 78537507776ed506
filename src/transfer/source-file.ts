/** One file being sent: a regular file, opened without following a link, and watched for changes. */
import fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, entryStat, sameInode, stateText } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import type { SafeName } from './name.ts';
import { readFully } from './regular-file.ts';
import { attempt } from './system-error.ts';

/** See the head of this file. */
export class SourceFile {
  readonly name: SafeName;
  /** What it was when it was opened. */
  readonly stat: EntryStat;
  readonly #folder: Folder;
  readonly #letGo: () => void;
  #descriptor: number;

  private constructor(folder: Folder, name: SafeName, descriptor: number, stat: EntryStat) {
    this.name = name;
    this.stat = stat;
    this.#folder = folder;
    this.#letGo = folder.hold();
    this.#descriptor = descriptor;
  }

  /**
   * Opens a file for reading. Never waits (for the writer of a pipe) and never follows a link. The folder may be closed
   * meanwhile: it is held until this file is closed.
   *
   * @param seen What the walk saw, which saves another look.
   * @throws NOT_FOUND, IS_A_FOLDER, NOT_A_FILE, UNREADABLE.
   */
  static open(folder: Folder, name: SafeName, seen?: EntryStat): SourceFile {
    const { descriptor, stat } = folder.openFile(name, 'read', seen);
    return new SourceFile(folder, name, descriptor, stat);
  }

  /** Bytes when it was opened. */
  get size(): number {
    return this.stat.size;
  }

  /** What tells the file as it was opened from any other, and from itself once it has changed. */
  get state(): string {
    return stateText(this.stat);
  }

  /** Fills `bytes` from `position`; fewer only at the end of the file. Returns how many. */
  readAt(bytes: Uint8Array, position: number): number {
    return attempt('read', this.name, () => readFully(this.#open(), bytes, position));
  }

  /**
   * Checks that the file is what it was when it was opened, and still has its name.
   *
   * @throws SOURCE_CHANGED, saying whether it shrank, grew, was written, replaced or removed.
   */
  verifyUnchanged(): void {
    const now = attempt('read', this.name, () => entryStat(fs.fstatSync(this.#open(), { bigint: true })));
    const change = this.#changeTo(now);
    if (change !== undefined)
      throw errorOf('SOURCE_CHANGED', `'${escapeText(this.name)}' ${change} while it was read`);
  }

  close(): void {
    if (this.#descriptor < 0) return;
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    this.#letGo();
    fs.closeSync(descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #changeTo(now: EntryStat): string | undefined {
    const { size } = this.stat;
    if (now.size < size) return `shrank from ${size} to ${now.size} bytes`;
    if (now.size > size) return `grew from ${size} to ${now.size} bytes`;
    if (now.mtimeNanoseconds !== this.stat.mtimeNanoseconds) return 'was written to';
    // Losing or changing its name is a change of the inode, so its name is only looked at after one.
    if (now.changedNanoseconds === this.stat.changedNanoseconds) return undefined;
    const named = this.#folder.lookup(this.name);
    if (named === undefined) return 'was removed';
    return sameInode(named, this.stat) ? undefined : 'was replaced';
  }

  #open(): number {
    if (this.#descriptor < 0) throw errorOf('INTERNAL', `'${escapeText(this.name)}' is closed`);
    return this.#descriptor;
  }
}
