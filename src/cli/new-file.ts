/** A file that gets its name only when all of it is there, and never the name of another. */
import { randomBytes } from 'node:crypto';
import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorOf, systemCode } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { fileError } from '../transfer/system-error.ts';

/** What a file gets besides its content. */
export interface FileMarks {
  /** Permission bits. */
  readonly mode: number;
  /** Milliseconds since 1970; now unless given. */
  readonly mtime?: number;
}

/**
 * Writes a new file. Where the source throws, nothing is left.
 * @throws EXISTS where the path is taken, NOT_FOUND where its folder is missing, UNWRITABLE and what else the system
 *   says, and what the source throws.
 */
export async function writeNewFile(
  path: string,
  source: AsyncIterable<Uint8Array>,
  { mode, mtime }: FileMarks,
): Promise<void> {
  await requireFree(path);
  const partial = join(dirname(path), `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}`);
  const file = await open(partial, 'wx', 0o600).catch((error: unknown) => {
    throw notCreated(error, path);
  });
  try {
    try {
      for await (const chunk of source) {
        for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
      }
      await file.chmod(mode);
      if (mtime !== undefined) await file.utimes(new Date(mtime), new Date(mtime));
      await file.sync();
    } finally {
      await file.close();
    }
    await name(partial, path);
  } catch (error) {
    await unlink(partial).catch(() => {});
    throw error;
  }
}

/** Why a file can't be there, by the name that was asked for. */
function notCreated(error: unknown, path: string): unknown {
  if (systemCode(error) !== 'ENOENT') return fileError(error, 'create', path);
  return errorOf('NOT_FOUND', `there is no folder '${escapeText(dirname(path))}'`, {
    hint: 'make it first, or name another',
    cause: error,
  });
}

async function requireFree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found !== undefined)
    throw errorOf('EXISTS', `'${escapeText(path)}' is there already`, { hint: 'name another by --output' });
}

/** Two names first and then one: a rename would put it in the place of what somebody else has made meanwhile. */
async function name(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path);
    await unlink(partial);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw errorOf('EXISTS', `'${escapeText(path)}' is there already`);
    // A file system without links.
    await requireFree(path);
    await rename(partial, path);
  }
}
