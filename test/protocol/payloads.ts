/** Payloads written again from what was read of them, where the program itself writes them elsewhere. */
import {
  entryBytes,
  type ManifestEntry,
  readPack,
  readSame,
  writeEntry,
  writePackHeader,
} from '../../src/protocol/manifest.ts';

/** Writes a batch, into memory that was used before. */
export function writeEntries(entries: readonly ManifestEntry[]): Buffer {
  const payload = Buffer.alloc(
    entries.reduce((sum, entry) => sum + entryBytes(entry), 0),
    0xee,
  );
  let offset = 0;
  for (const entry of entries) offset = writeEntry(payload, entry, offset);
  return payload;
}

/** Takes a PACK apart and writes it again. */
export function packAgain(payload: Buffer): Buffer {
  return Buffer.concat(
    [...readPack(payload)].map(({ index, digest, bytes }) => {
      const file = Buffer.alloc(38 + bytes.length, 0xee);
      writePackHeader(file, index, bytes.length, digest, 0);
      bytes.copy(file, 38);
      return file;
    }),
  );
}

/** Takes a SAME apart and writes it again. */
export function sameAgain(payload: Buffer): Buffer {
  return Buffer.concat(
    readSame(payload).flatMap(({ index, digest }) => [Buffer.of(index >> 8, index & 0xff), digest]),
  );
}
