/** What processes have used so far, from /proc. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

/** `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface ProcessTimes {
  /** Its own seconds of CPU. */
  readonly own: number;
  /** Those of its descendants that have ended and been waited for. */
  readonly ended: number;
}

function timesOf(pid: number | 'self'): ProcessTimes | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined) return undefined;
  const seconds = (index: number): number => Number(fields[index]) / TICKS_PER_SECOND;
  return { own: seconds(11) + seconds(12), ended: seconds(13) + seconds(14) };
}

/** A process may end between being listed and being read. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** A process and all that descend from it and live. */
function treeOf(root: number): number[] {
  const children = readThreads(root).flatMap((thread) =>
    (readProc(`/proc/${root}/task/${thread}/children`) ?? '').split(' ').filter((word) => word !== ''),
  );
  return [root, ...children.flatMap((child) => treeOf(Number(child)))];
}

function readThreads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Seconds of CPU that a process, its descendants and those of them that have ended have used. */
export function treeCpuSeconds(pid: number): number {
  return treeOf(pid)
    .map(timesOf)
    .reduce((sum, times) => sum + (times === undefined ? 0 : times.own + times.ended), 0);
}

/** Seconds of CPU of the children of this process that have ended. */
export function endedChildrenCpuSeconds(): number {
  return timesOf('self')?.ended ?? 0;
}

/** The most memory, in bytes, that any one living process of a tree has ever held (VmHWM). */
export function treePeakBytes(pid: number): number {
  const peaks = treeOf(pid).map((member) => {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(`/proc/${member}/status`) ?? '');
    return Number(line?.[1] ?? 0) * 1024;
  });
  return Math.max(0, ...peaks);
}
