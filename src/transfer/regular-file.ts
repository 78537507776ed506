/** Opening and reading regular files, and nothing else that has a name. */
import fs from 'node:fs';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { type EntryStat, entryStat, fsTime } from './entry-stat.ts';
import { attempt, failedWith, unlessRefused } from './system-error.ts';
import type { WholeFile } from './target-store.ts';

// Windows has none of these.
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_NOCTTY = 0 } = fs.constants;
/** Not to follow a link, not to wait for the other end of a pipe, not to take over a terminal. */
const CAREFUL = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/** What a file is opened for. */
export type FileUse = 'read' | 'update';

/** An opened regular file. Whoever opened it closes the descriptor. */
export interface OpenedFile {
  readonly descriptor: number;
  readonly stat: EntryStat;
}

/** Throws IS_A_FOLDER or NOT_A_FILE for what is no regular file. */
export function requireFile(stat: EntryStat, name: string): void {
  if (stat.type === 'file') return;
  if (stat.type === 'folder') throw errorOf('IS_A_FOLDER', `'${escapeText(name)}' is a folder`);
  const what =
    stat.type === 'link' ? 'a symbolic link, and those are not followed' : 'a pipe, a device or a socket';
  throw errorOf('NOT_A_FILE', `'${escapeText(name)}' is ${what}`);
}

/**
 * Opens a regular file that exists. The caller has looked before, since opening some devices already does something; the
 * look after the opening is the one that counts.
 */
export function openRegular(way: string | Buffer, use: FileUse, name: string): OpenedFile {
  const access = use === 'read' ? O_RDONLY : O_RDWR;
  return attempt(use === 'read' ? 'open' : 'write', name, () => {
    const descriptor = fs.openSync(way, access | CAREFUL);
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

/** Creates a file that was not there, mode 0600, for reading and writing. Throws EXISTS. */
export function createRegular(way: string | Buffer, name: string): number {
  return attempt('create', name, () => fs.openSync(way, O_RDWR | O_CREAT | O_EXCL | CAREFUL, 0o600));
}

/** Creates a file that was not there with all that belongs to it, and closes it. Throws EXISTS. */
export function createWhole(way: string | Buffer, { name, bytes, mode, mtime }: WholeFile): void {
  attempt('create', name, () => {
    const descriptor = fs.openSync(way, O_WRONLY | O_CREAT | O_EXCL | CAREFUL, 0o600);
    try {
      writeFully(descriptor, bytes, 0);
      unlessRefused(() => fs.fchmodSync(descriptor, mode & 0o777));
      unlessRefused(() => fs.futimesSync(descriptor, Date.now() / 1000, fsTime(mtime)));
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

/** Creates an empty file that was not there, mode 0600, and closes it. Throws EXISTS. */
export function createEmpty(way: string | Buffer, name: string): EntryStat {
  return attempt('create', name, () => {
    const descriptor = fs.openSync(way, O_WRONLY | O_CREAT | O_EXCL | CAREFUL, 0o600);
    try {
      return entryStat(fs.fstatSync(descriptor, { bigint: true }));
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

/** Fills `bytes` from `position`; fewer only at the end of the file. Returns how many. Throws the system's errors. */
export function readFully(descriptor: number, bytes: Uint8Array, position: number): number {
  let done = 0;
  while (done < bytes.length) {
    const count = readOnce(descriptor, bytes, done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** A network file system may let a signal interrupt a read; Node.js repeats an interrupted write by itself, not a read. */
function readOnce(descriptor: number, bytes: Uint8Array, offset: number, position: number): number {
  for (;;) {
    try {
      return fs.readSync(descriptor, bytes, offset, bytes.length - offset, position);
    } catch (error) {
      if (!failedWith(error, 'EINTR')) throw error;
    }
  }
}

/** Writes all of `bytes` at `position`. Throws the system's errors. */
export function writeFully(descriptor: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    const count = fs.writeSync(descriptor, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw errorOf('IO', 'the file system takes no more bytes and does not say why');
    done += count;
  }
}
