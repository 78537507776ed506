/** A file or folder of a server, as a listing gives it to the caller. */
import type { ListedEntry } from '../protocol/messages.ts';

/** A file or folder of the server. */
export interface Entry {
  /** Unescaped. */
  readonly name: string;
  readonly type: 'file' | 'folder' | 'link' | 'other' | 'share';
  /** Bytes. */
  readonly size: number;
  readonly mtime: Date;
  /** Permission bits. */
  readonly mode: number;
  readonly shareMode?: 'ro' | 'rw' | 'wo';
  /** Where a link points. */
  readonly target?: string;
}

/** From the message; what has no value there is absent. */
export function toEntry(entry: ListedEntry): Entry {
  const { name, type, size, mtime, mode, shareMode, target } = entry;
  return {
    name,
    type,
    size,
    mtime: new Date(mtime / 1000),
    mode,
    ...(shareMode !== undefined && { shareMode }),
    ...(target !== undefined && { target }),
  };
}
