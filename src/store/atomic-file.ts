import { randomBytes } from 'node:crypto';
import { open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemCode } from '../errors.ts';

/**
 * Replaces a file so that a reader, or a machine that lost its power, sees the old content or the new and nothing
 * between. Mode 0600 whatever the umask is. `allowed` is asked last, before the new file takes its name; a false
 * answer leaves the old one.
 * @returns whether the file was replaced.
 */
export async function replaceFile(
  path: string,
  content: string,
  allowed: () => Promise<boolean> = async () => true,
): Promise<boolean> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  // Exclusive, so that it never follows a link or writes into a file that stands there.
  const handle = await open(temporary, 'wx', 0o600);
  try {
    try {
      if (process.platform !== 'win32') await handle.chmod(0o600);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (!(await allowed())) {
      await unlink(temporary);
      return false;
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    // Tidied away by a process that took this one for dead: the lock is lost.
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
  await syncFolder(folder);
  return true;
}

/** Makes a rename in a folder last through a power loss. Not every file system offers it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The rename is done; the file system decides when it is on the disk.
  }
}

/** Removes the temporary files of `path` that killed writers left. Only its lock's holder may call this. */
export async function removeLeftovers(path: string): Promise<void> {
  const prefix = `.${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(prefix) && name.endsWith('.tmp'))
      await unlink(join(dirname(path), name)).catch(() => {});
  }
}

/** What changes whenever another file takes a path: compared to see whether a file must be read again. */
export async function versionOfFile(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch {
    return 'absent';
  }
}
