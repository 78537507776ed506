/** What a folder holds, a few hundred entries in memory at once. */
import fs from 'node:fs';
import type { EntryType } from './entry-stat.ts';
import { decodeName } from './name.ts';
import { attempt } from './system-error.ts';

/** What a folder holds under one name. Nothing has checked the name. */
export interface ListedEntry {
  readonly name: string;
  /** Undefined where the file system does not tell without a look at the entry. */
  readonly type: EntryType | undefined;
}

const LISTED_AT_ONCE = 256;
/** The declared type knows of no names as bytes; the call does, and the test with other bytes than UTF-8 proves it. */
const BYTES = 'buffer' as BufferEncoding;

/** Lists in the order of the file system. Ending it early closes what it holds. `name` is for messages. */
export function* listEntries(way: string | Buffer, name: string): Generator<ListedEntry, void, undefined> {
  const directory = attempt('list', name, () =>
    fs.opendirSync(way, { encoding: BYTES, bufferSize: LISTED_AT_ONCE }),
  );
  try {
    for (;;) {
      const entry = attempt('list', name, () => directory.readSync());
      if (entry === null) return;
      const bytes: unknown = entry.name;
      yield {
        name: bytes instanceof Uint8Array ? decodeName(bytes) : String(bytes),
        type: listedType(entry),
      };
    }
  } finally {
    directory.closeSync();
  }
}

function listedType(entry: fs.Dirent): EntryType | undefined {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  if (entry.isSymbolicLink()) return 'link';
  const known = entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice();
  return known ? 'other' : undefined;
}
