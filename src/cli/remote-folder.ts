/** Paths on a server as they are typed in the shell, which stands in one of its folders. */
import { posix } from 'node:path';

/**
 * Where a typed path leads from a folder. What is absolute stays as it was typed. A trailing `/`, `.` or `..` means
 * the folder itself and never a new name, so the result ends in a slash then.
 */
export function resolveRemote(folder: string, typed: string): string {
  if (typed.startsWith('/')) return typed;
  const joined = posix.join('/', folder, typed);
  return /(?:^|\/)\.{0,2}$/.test(typed) && !joined.endsWith('/') ? `${joined}/` : joined;
}

/** A path as a folder to stand in: absolute, without `.`, `..` and a trailing slash. */
export function normalFolder(path: string): string {
  const normal = posix.join('/', path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
