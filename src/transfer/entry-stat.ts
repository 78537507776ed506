/** What the file system says of one entry, in the units of a transfer. */
import type { BigIntStats } from 'node:fs';

/** `other` is a pipe, a device or a socket: never opened, never sent. */
export type EntryType = 'file' | 'folder' | 'link' | 'other';

/** One entry, symbolic links not followed. */
export interface EntryStat {
  readonly type: EntryType;
  /** Bytes. */
  readonly size: number;
  /** Permission bits with setuid, setgid and sticky, without the type. */
  readonly mode: number;
  /** Microseconds since 1970, rounded down; negative before. */
  readonly mtime: number;
  /** Nanoseconds since 1970, to notice a change. */
  readonly mtimeNanoseconds: bigint;
  /** Nanoseconds since 1970 when anything about the inode last changed, its names included: nobody can set it. */
  readonly changedNanoseconds: bigint;
  readonly device: bigint;
  readonly inode: bigint;
  /** Hard links. */
  readonly links: number;
  /** User id of the owner. */
  readonly owner: number;
  /** Whether it takes less room on disk than it has bytes. */
  readonly sparse: boolean;
}

function typeOf(stats: BigIntStats): EntryType {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  return stats.isSymbolicLink() ? 'link' : 'other';
}

/** Nanoseconds to whole microseconds, rounded down on both sides of 1970. */
function microseconds(nanoseconds: bigint): number {
  const rest = nanoseconds % 1000n;
  const whole = Number((nanoseconds - (rest < 0n ? rest + 1000n : rest)) / 1000n);
  // What a number holds exactly ends in the year 2255, and some file systems give nonsense times.
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, whole));
}

/**
 * Microseconds since 1970 as the calls of `node:fs` take them. As text, since a negative number would be read as "now".
 * Half a microsecond more than asked, so that the rounding of a double (up to 0.48 of one until the year 2242) never
 * ends in the microsecond below; whole seconds are exact without it.
 */
export function fsTime(time: number): string {
  if (!Number.isSafeInteger(time)) throw new RangeError('a time is a whole number of microseconds');
  return String(time % 1_000_000 === 0 ? time / 1_000_000 : (time + 0.5) / 1_000_000);
}

/** Reads what `lstat` or `fstat` with `bigint: true` gave. */
export function entryStat(stats: BigIntStats): EntryStat {
  return {
    type: typeOf(stats),
    size: Number(stats.size),
    mode: Number(stats.mode & 0o7777n),
    mtime: microseconds(stats.mtimeNs),
    mtimeNanoseconds: stats.mtimeNs,
    changedNanoseconds: stats.ctimeNs,
    device: stats.dev,
    inode: stats.ino,
    links: Number(stats.nlink),
    owner: Number(stats.uid),
    sparse: stats.blocks * 512n < stats.size,
  };
}

/** Whether two looks saw the same inode. */
export function sameInode(one: EntryStat, other: EntryStat): boolean {
  return one.inode === other.inode && one.device === other.device;
}
