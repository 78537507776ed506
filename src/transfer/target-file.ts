/**
 * One file being received. Bytes go into a partial beside the target (see `partial.ts`); the target itself is either
 * what it was or the whole new file, at every instant.
 */
import fs from 'node:fs';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import { formatBytes } from '../protocol/size-text.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, fsTime, sameInode } from './entry-stat.ts';
import type { Folder } from './folder.ts';
import type { SafeName } from './name.ts';
import { leavePartial, type OpenedPartial, openPartial, openPartialBeside, statPartial } from './partial.ts';
import { type Published, type Publishing, publish } from './publish.ts';
import { readFully, writeFully } from './regular-file.ts';
import { type FileAction, failedWith, fileError, unlessRefused } from './system-error.ts';

/** Written bytes after which they are brought to the disk, so that a crash costs no more than these. */
const SYNC_BYTES = 64 * 1024 * 1024;
/** A file over this size is on the disk before it gets its name. */
const SYNC_BEFORE_NAMING_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(64 * 1024);

/** What is known of a file before its first byte. */
export interface TargetOptions {
  /**
   * Bytes that were announced: one more is refused. Undefined for a stream of unknown length, which ends where the last
   * write or hole has ended and always starts empty.
   */
  readonly size?: number | undefined;
  /** `partial` (the default) takes over what an earlier run has left, `none` starts empty. */
  readonly basis?: 'partial' | 'none';
  /** It gets a free name: then it can be written while another transfer of this process writes one of the same name. */
  readonly beside?: boolean;
  /** Brought to the disk before and after the commit, whatever its size. */
  readonly durable?: boolean;
}

/** What a finished file is to be. */
export interface CommitOptions extends Publishing {
  /** Permission bits; setuid, setgid and sticky are dropped. */
  readonly mode: number;
}

/** What became of it. */
export interface Committed extends Published {
  readonly size: number;
  /** False where the file system refuses to keep permissions or times, as some of other systems do. */
  readonly attributesKept: boolean;
}

type State = 'open' | 'closed' | 'ended';

/** See the head of this file. After a failed write every later step fails with that same error, but {@link discard}. */
export class TargetFile {
  readonly name: SafeName;
  /** Bytes that an earlier run has left, to be hashed before they count; 0 for a new file. */
  readonly resumable: number;
  readonly #folder: Folder;
  readonly #letGo: () => void;
  readonly #opened: OpenedPartial;
  readonly #size: number | undefined;
  readonly #durable: boolean;
  #state: State = 'open';
  #failure: unknown;
  /** Bytes of the partial as it is on disk. */
  #length: number;
  /** End of what is to be there, holes included. */
  #end = 0;
  #unsynced = 0;
  #attributesKept = true;
  /** What the partial was when it was closed. */
  #closing: EntryStat | undefined;

  private constructor(folder: Folder, name: SafeName, opened: OpenedPartial, options: TargetOptions) {
    this.name = name;
    this.resumable = opened.size;
    this.#folder = folder;
    this.#letGo = folder.hold();
    this.#opened = opened;
    this.#size = options.size;
    this.#durable = options.durable ?? false;
    this.#length = opened.size;
  }

  /**
   * Opens the partial of a target. The folder may be closed meanwhile: it is held until this file has ended.
   *
   * @throws BUSY when another transfer of this process writes the same file; BAD_NAME for a name of the look of a partial;
   *   UNWRITABLE, NO_SPACE and whatever else the system says.
   */
  static open(folder: Folder, name: SafeName, options: TargetOptions = {}): TargetFile {
    const resume = options.basis !== 'none' && options.size !== undefined;
    const opened = (options.beside ? openPartialBeside : openPartial)(folder, name, resume);
    return new TargetFile(folder, name, opened, options);
  }

  /** Bytes of the partial as it is now. */
  get length(): number {
    return this.#length;
  }

  /** Writes all of `bytes` at `position`. Throws BAD_MESSAGE past the announced size. */
  writeAt(bytes: Uint8Array, position: number): void {
    this.#claim(position, bytes.length);
    this.#step('write', () => this.#write(bytes, position));
  }

  /** Fills `bytes` from `position`; fewer only at the end of the file. Returns how many. */
  readAt(bytes: Uint8Array, position: number): number {
    return this.#step('read', () => readFully(this.#opened.descriptor, bytes, position));
  }

  /** Makes `length` bytes at `position` zero: without writing where nothing was ever written. */
  hole(position: number, length: number): void {
    this.#claim(position, length);
    this.#step('write', () => {
      const end = Math.min(position + length, this.#length);
      for (let offset = position; offset < end; offset += ZEROS.length)
        this.#write(ZEROS.subarray(0, Math.min(ZEROS.length, end - offset)), offset);
    });
  }

  /** Cuts the partial. */
  truncate(length: number): void {
    this.#step('write', () => {
      if (length < this.#length) {
        fs.ftruncateSync(this.#opened.descriptor, length);
        this.#length = length;
      }
      this.#end = Math.min(this.#end, length);
    });
  }

  /** Brings what was written to the disk, a hole at the end too. */
  sync(): void {
    this.#step('write', () => {
      if (this.#length < this.#end) fs.ftruncateSync(this.#opened.descriptor, this.#end);
      this.#length = Math.max(this.#length, this.#end);
      fs.fdatasyncSync(this.#opened.descriptor);
      this.#unsynced = 0;
    });
  }

  /**
   * Gives the file its length, permissions, time and name. Only to be called once the content is verified. After EXISTS,
   * IS_A_FOLDER or NOT_A_FILE it may be called again with another policy.
   *
   * @throws EXISTS, IS_A_FOLDER, NOT_A_FILE (never replaced), NO_SPACE, UNWRITABLE, IO, or the error of an earlier write.
   */
  commit(options: CommitOptions): Committed {
    const size = this.#size ?? this.#end;
    this.#finish(options, size);
    const published = publish(this.#folder, this.#opened.partial, this.name, options);
    try {
      if (this.#durable) this.#folder.sync();
    } finally {
      this.#leave();
    }
    return { ...published, size, attributesKept: this.#attributesKept };
  }

  /**
   * Leaves the partial for a later attempt; one that is empty, or that nobody would look for, is removed. Does nothing once the file has ended. Never throws:
   * it is called while another error is on its way, and what is left is hashed before it counts.
   */
  keep(): void {
    if (this.#state === 'ended') return;
    const stat = this.#close();
    if (stat !== undefined && (stat.size === 0 || this.#opened.isBeside)) this.#remove(stat);
    else if (stat !== undefined) leavePartial(this.#folder, this.#opened.partial);
    this.#leave();
  }

  /** Removes the partial, if it can be. Does nothing once the file has ended. Never throws, as {@link keep}. */
  discard(): void {
    if (this.#state === 'ended') return;
    const stat = this.#close();
    if (stat !== undefined) this.#remove(stat);
    this.#leave();
  }

  /** As {@link keep}. */
  [Symbol.dispose](): void {
    this.keep();
  }

  #finish({ mode, mtime }: CommitOptions, size: number): void {
    if (this.#state === 'closed' && this.#failure === undefined) return;
    const { descriptor } = this.#opened;
    this.#step('write', () => {
      if (this.#length !== size) fs.ftruncateSync(descriptor, size);
      this.#length = size;
      // Before the mode: killed during a long sync, the partial must still be one that we may open.
      if (size > SYNC_BEFORE_NAMING_BYTES) fs.fdatasyncSync(descriptor);
      const modeKept = unlessRefused(() => fs.fchmodSync(descriptor, mode & 0o777));
      const timeKept = unlessRefused(() => fs.futimesSync(descriptor, Date.now() / 1000, fsTime(mtime)));
      this.#attributesKept = modeKept && timeKept;
      if (this.#durable) fs.fsyncSync(descriptor);
      const stat = statPartial(this.#opened);
      // What gets the name must be the file that was written: once replaced by another, it has no link any more.
      if (stat.links !== 1)
        throw errorOf('IO', `the partial of '${escapeText(this.name)}' was replaced meanwhile`);
      this.#closing = stat;
      this.#state = 'closed';
      // Some file systems only now tell that the quota is used up.
      fs.closeSync(descriptor);
    });
  }

  #write(bytes: Uint8Array, position: number): void {
    // Nothing written at the end makes no file longer.
    if (bytes.length === 0) return;
    writeFully(this.#opened.descriptor, bytes, position);
    this.#length = Math.max(this.#length, position + bytes.length);
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_BYTES) return;
    fs.fdatasyncSync(this.#opened.descriptor);
    this.#unsynced = 0;
  }

  #claim(position: number, length: number): void {
    const end = position + length;
    if (!Number.isSafeInteger(end) || position < 0 || length < 0 || end > (this.#size ?? end))
      throw errorOf('BAD_MESSAGE', `more bytes for '${escapeText(this.name)}' than were announced`);
    this.#end = Math.max(this.#end, end);
  }

  #step<T>(action: FileAction, step: () => T): T {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state !== 'open') throw errorOf('INTERNAL', `'${escapeText(this.name)}' is closed`);
    try {
      return step();
    } catch (error) {
      this.#failure = fileError(error, action, this.name);
      if (failedWith(error, 'ENOSPC')) quietly(() => this.#addAmounts(this.#failure));
      throw this.#failure;
    }
  }

  /** Says what is missing on a full disk, where the end is known and it is bytes that there is no room for. */
  #addAmounts(failure: unknown): void {
    if (!(failure instanceof LocalstreamError) || this.#size === undefined) return;
    const needed = this.#size - statPartial(this.#opened).size;
    const free = this.#folder.freeBytes();
    if (needed <= free) return;
    const amounts = `${formatBytes(needed)} more are needed, ${formatBytes(free)} are free`;
    this.#failure = errorOf(failure.code, `${failure.message}: ${amounts}`, { cause: failure.cause });
  }

  /** Closes it if it is open, and gives what it was then, if that could be seen. */
  #close(): EntryStat | undefined {
    if (this.#state === 'open') {
      this.#state = 'closed';
      quietly(() => {
        this.#closing = statPartial(this.#opened);
      });
      quietly(() => fs.closeSync(this.#opened.descriptor));
    }
    return this.#closing;
  }

  #remove(stat: EntryStat): void {
    quietly(() => {
      const now = this.#folder.lookup(this.#opened.partial);
      if (now !== undefined && sameInode(now, stat)) this.#folder.unlink(this.#opened.partial);
    });
  }

  #leave(): void {
    this.#state = 'ended';
    this.#opened.release();
    this.#letGo();
  }
}

/** Does a step of cleaning up, whose failure must not take the place of its reason. */
function quietly(step: () => void): void {
  try {
    step();
  } catch (error) {
    // A defect of ours is no failure of the disk.
    if (systemCode(error) === undefined && !(error instanceof LocalstreamError)) throw error;
  }
}
