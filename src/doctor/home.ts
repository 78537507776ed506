/** The state folder: whether it can be written, and whether it is closed to others. */

import { randomBytes } from 'node:crypto';
import { access, constants, lstat, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../errors.ts';
import { unusable } from '../store/home.ts';
import { loadIdentity } from '../store/identity-store.ts';
import { nearest } from './disk.ts';
import { type Finding, fixOf, reasonOf, type Surroundings } from './finding.ts';

/** Entries of a folder of ours that are looked at; receipts may be many, and lie in a closed folder. */
const MOST_ENTRIES = 200;

export async function homeFolders({ home }: Surroundings): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const folder of new Set([home.config, home.data, home.log]))
    findings.push(await folderFinding(folder));
  return findings;
}

async function folderFinding(folder: string): Promise<Finding> {
  const place = { id: 'home', subject: folder } as const;
  try {
    const existing = await nearest(folder);
    if (existing !== folder) {
      await access(existing, constants.W_OK | constants.X_OK);
      return { ...place, grade: 'ok', text: `${folder} will be made on first use` };
    }
    const { mode, uid } = await lstat(folder);
    const user = process.getuid?.();
    if (user !== undefined && uid !== user) {
      return {
        ...place,
        grade: 'problem',
        text: `${folder} belongs to another user (${uid}, this is ${user})`,
        fix: `chown it, run as that user, or set LOCALSTREAM_HOME to another folder`,
      };
    }
    await tryWriting(folder);
    if (user !== undefined && (mode & 0o077) !== 0) {
      return {
        ...place,
        grade: 'problem',
        text: `${folder} is open to other users (mode ${modeText(mode)})`,
        fix: `chmod 700 ${folder}`,
      };
    }
    return { ...place, grade: 'ok', text: `${folder} can be written, and by this user only` };
  } catch (error) {
    const told = unusable(folder, error);
    return { ...place, grade: 'problem', text: told.message, ...fixOf(told) };
  }
}

/** The mode alone says little: the disk may be read-only or full. */
async function tryWriting(folder: string): Promise<void> {
  const path = join(folder, `.localstream-${randomBytes(8).toString('hex')}.tmp`);
  await using file = await open(path, 'wx', 0o600);
  try {
    await file.write('doctor\n');
  } finally {
    await rm(path, { force: true });
  }
}

function modeText(mode: number): string {
  return (mode & 0o7777).toString(8);
}

export async function keyFiles(surroundings: Surroundings): Promise<readonly Finding[]> {
  const { home } = surroundings;
  try {
    await lstat(home.identityFile);
  } catch (error) {
    if (systemCode(error) === 'ENOENT')
      return [{ id: 'keys', grade: 'ok', text: 'there are none yet; they are made on first use' }];
    return [{ id: 'keys', grade: 'problem', text: unusable(home.identityFile, error).message }];
  }
  const open = process.getuid === undefined ? [] : await openToOthers(surroundings);
  if (open.length > 0) return open;
  try {
    const { fingerprint } = await loadIdentity(home);
    return [{ id: 'keys', grade: 'ok', text: `whole, and closed to others: ${fingerprint}` }];
  } catch (error) {
    return [{ id: 'keys', grade: 'problem', text: reasonOf(error), ...fixOf(error) }];
  }
}

async function openToOthers({ home }: Surroundings): Promise<Finding[]> {
  const findings: Finding[] = [];
  const user = process.getuid?.();
  for (const folder of new Set([home.config, home.data])) {
    const names = await readdir(folder).catch(() => []);
    for (const name of names.slice(0, MOST_ENTRIES)) {
      const path = join(folder, name);
      const stats = await lstat(path).catch(() => undefined);
      if (stats === undefined || stats.isSymbolicLink()) continue;
      if (stats.uid === user && (stats.mode & 0o077) === 0) continue;
      const isKey = path === home.identityFile;
      const isReadable = (stats.mode & 0o044) !== 0;
      const readBefore =
        isKey && isReadable ? '; if somebody may have read it, move it away and become a new device' : '';
      findings.push({
        id: 'keys',
        subject: path,
        grade: isKey ? 'problem' : 'warning',
        text:
          stats.uid === user
            ? `${path} is open to other users (mode ${modeText(stats.mode)})`
            : `${path} belongs to another user (${stats.uid})`,
        fix:
          stats.uid === user
            ? `chmod ${stats.isDirectory() ? 700 : 600} ${path}${readBefore}`
            : `chown ${user} ${path}`,
      });
    }
  }
  return findings;
}
