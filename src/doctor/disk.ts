/** How much room there is for what is received, and for the state. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '../errors.ts';
import { formatBytes } from '../protocol/size-text.ts';
import type { Finding, Surroundings } from './finding.ts';

/** Below so much, a big file is likely not to fit. */
const LITTLE = 1e9;

export async function disk({ home, settings }: Surroundings): Promise<readonly Finding[]> {
  const folders = [await nearest(home.data), process.cwd()];
  const seen = new Set<number>();
  const findings: Finding[] = [];
  for (const folder of folders) {
    const { dev } = await stat(folder);
    if (seen.has(dev)) continue;
    seen.add(dev);
    findings.push(await room(folder, settings.freeSpaceReserve));
  }
  return findings;
}

async function room(folder: string, reserve: number): Promise<Finding> {
  const free = await freeBytes(folder);
  const text = `${formatBytes(free)} are free on the disk of ${folder}`;
  if (free < reserve) {
    return {
      id: 'disk',
      subject: folder,
      grade: 'problem',
      text: `${text}, less than the setting freeSpaceReserve (${formatBytes(reserve)}): nothing is received there`,
      fix: 'make room, or receive to another disk',
    };
  }
  if (free < LITTLE) return { id: 'disk', subject: folder, grade: 'warning', text, fix: 'make room' };
  return { id: 'disk', subject: folder, grade: 'ok', text };
}

/** Bytes that are free where a path is, or would be made. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(await nearest(path));
  return bavail * bsize;
}

/** The folder itself, or the one in which it would be made. */
export async function nearest(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      await stat(at);
      return at;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || dirname(at) === at) throw error;
    }
  }
}
