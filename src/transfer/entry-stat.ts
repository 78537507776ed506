/** What the file system says of one entry, in the units of a transfer. */
import { type BigIntStats, constants } from 'node:fs';

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
  /** Bytes that it takes on the disk. */
  readonly stored: number;
  /** Whether that is less than it has. */
  readonly sparse: boolean;
}

// Of a million files there are some million of these: what fits into a number is not reckoned as a bigint.

function typeOf(mode: number): EntryType {
  switch (mode & constants.S_IFMT) {
    case constants.S_IFREG:
      return 'file';
    case constants.S_IFDIR:
      return 'folder';
    case constants.S_IFLNK:
      return 'link';
    default:
      return 'other';
  }
}

/** Nanoseconds to whole microseconds, rounded down on both sides of 1970. */
function microseconds(nanoseconds: bigint): number {
  const towardsZero = nanoseconds / 1000n;
  const whole = Number(towardsZero) - (nanoseconds < 0n && towardsZero * 1000n !== nanoseconds ? 1 : 0);
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
  const mode = Number(stats.mode);
  const size = Number(stats.size);
  const stored = Number(stats.blocks) * 512;
  return {
    type: typeOf(mode),
    size,
    mode: mode & 0o7777,
    mtime: microseconds(stats.mtimeNs),
    mtimeNanoseconds: stats.mtimeNs,
    changedNanoseconds: stats.ctimeNs,
    device: stats.dev,
    inode: stats.ino,
    links: Number(stats.nlink),
    owner: Number(stats.uid),
    stored,
    sparse: stored < size,
  };
}

/** Whether two looks saw the same inode. */
export function sameInode(
  one: Pick<EntryStat, 'device' | 'inode'>,
  other: Pick<EntryStat, 'device' | 'inode'>,
): boolean {
  return one.inode === other.inode && one.device === other.device;
}

/** Everything that tells this state of an entry from others, as text. */
export function stateText(stat: EntryStat): string {
  return [stat.device, stat.inode, stat.size, stat.mtimeNanoseconds, stat.changedNanoseconds].join(' ');
}
