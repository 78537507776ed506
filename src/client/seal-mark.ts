import { LocalstreamError } from '../errors.ts';
import type { EntryStat } from '../transfer/entry-stat.ts';
import { Folder } from '../transfer/folder.ts';
import { checkName } from '../transfer/name.ts';

/** Tells a file from all others and from itself as it was before somebody touched it. */
export function markOf({ device, inode, changedNanoseconds }: EntryStat): string {
  return `${device}:${inode}:${changedNanoseconds}`;
}

/** The mark of what is there now; undefined where that can't be seen. */
export function markAt(file: { readonly folder: string; readonly name: string }): string | undefined {
  try {
    using folder = Folder.open(file.folder);
    const there = folder.lookup(checkName(file.name));
    return there && markOf(there);
  } catch (error) {
    // Without a mark it stays, which loses nothing.
    if (error instanceof LocalstreamError) return undefined;
    throw error;
  }
}
