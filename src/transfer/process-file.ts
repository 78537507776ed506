/** Which processes may still be writing a file. All of it is Linux's `/proc`; elsewhere the careful answer is given. */
import fs from 'node:fs';
import { type EntryStat, entryStat, sameInode } from './entry-stat.ts';
import { failedWith } from './system-error.ts';

/** Ticks a second of the times in `/proc/<pid>/stat`: the same on every Linux that Node.js runs on. */
const TICKS = 100;
/** Milliseconds by which a process's start and a file's change may be off against each other. */
const SLACK = 2000;

/** How many descriptors a process has on an inode; undefined where that can't be seen. */
export function descriptorsOn(pid: number | 'self', file: EntryStat): number | undefined {
  const folder = `/proc/${pid}/fd`;
  let numbers: string[];
  try {
    numbers = fs.readdirSync(folder);
  } catch {
    return undefined;
  }
  let count = 0;
  for (const number of numbers) {
    try {
      const stats = fs.statSync(`${folder}/${number}`, { bigint: true, throwIfNoEntry: false });
      if (stats !== undefined && sameInode(entryStat(stats), file)) count += 1;
    } catch (error) {
      // Closed since it was listed, or on a file system that does not answer: not a local file of ours.
      if (!failedWith(error, 'ENOENT', 'EBADF', 'EACCES', 'ENOTCONN', 'EIO', 'ESTALE', 'ESRCH')) throw error;
    }
  }
  return count;
}

/** When a process started, milliseconds since 1970; undefined where that can't be read. */
function startOf(pid: number): number | undefined {
  try {
    // The second field is the program's name in brackets and may hold anything.
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop()?.split(' ') ?? [];
    const uptime = Number(fs.readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
    const start = Date.now() - uptime * 1000 + (Number(fields[19]) / TICKS) * 1000;
    return Number.isFinite(start) ? start : undefined;
  } catch {
    return undefined;
  }
}

/** When the inode last changed, milliseconds since 1970. */
function changedAt(file: EntryStat): number {
  return Number(file.changedNanoseconds / 1_000_000n);
}

/**
 * Whether the process that named itself as the writer of one of our own files is certainly gone. After a restart of the
 * machine another program may well have its number: that one started after the file was last changed, does not have it
 * open, or belongs to somebody else.
 */
export function writerIsGone(pid: number, file: EntryStat): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: that process is another user's, and the file is ours.
    return failedWith(error, 'ESRCH', 'EPERM');
  }
  const start = startOf(pid);
  return start !== undefined && start > changedAt(file) + SLACK && descriptorsOn(pid, file) === 0;
}
