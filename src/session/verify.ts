/** Checks received files against the receipts of their transfers: a disk that lost a bit is noticed. */
import { resolve } from 'node:path';
import { createDigest } from '../crypto/digest.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ReceiptStore } from '../store/receipt-store.ts';
import { checkName } from '../transfer/name.ts';
import { SourceRoot } from '../transfer/source-root.ts';

/** What became of one received file since. */
export interface VerifiedFile {
  /** Absolute, unescaped. */
  readonly path: string;
  readonly state: 'intact' | 'changed' | 'missing' | 'unreadable';
  /** Hex BLAKE3 by the receipt, and as it is now. */
  readonly expected: string;
  readonly found: string | undefined;
  /** When it was received. */
  readonly received: Date;
}

const READ_BYTES = 1024 * 1024;

/**
 * Looks at every file at or below `path` that was received, by the newest receipt that names it.
 *
 * @throws NOT_FOUND when no receipt speaks of anything there, CANCELLED.
 */
export async function* verifyReceived(
  receipts: ReceiptStore,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<VerifiedFile> {
  const below = resolve(path);
  const seen = new Set<string>();
  for (const name of await receipts.names()) {
    const files: [path: string, savedAs: string | undefined, digest: string][] = [];
    let where: { readonly folder: string; readonly names: ReadonlyMap<string, string> } | undefined;
    let received = new Date(0);
    for await (const line of receipts.read(name)) {
      if (line.line === 'end' && line.target) {
        where = { folder: line.target.folder, names: new Map(line.target.names) };
        received = line.ended;
      }
      if (line.line === 'file' && line.digest && (line.outcome === 'committed' || line.outcome === 'same'))
        files.push([line.path, line.savedAs, line.digest]);
    }
    if (!where) continue;
    for (const [relative, savedAs, expected] of files) {
      const [root = '', ...rest] = relative.split('/');
      const own = [where.folder, where.names.get(root) ?? root, ...rest];
      const full = (savedAs === undefined ? own : [...own.slice(0, -1), savedAs]).join('/');
      // The newest receipt is read first, and its word holds.
      if ((full !== below && !full.startsWith(`${below}/`)) || seen.has(full)) continue;
      seen.add(full);
      if (signal?.aborted) throw errorOf('CANCELLED');
      yield { path: full, expected, received, ...(await look(full, expected)) };
    }
  }
  if (seen.size === 0)
    throw errorOf('NOT_FOUND', 'no receipt speaks of anything there', {
      hint: 'only what was received on this machine, by this user, can be checked',
    });
}

async function look(path: string, expected: string): Promise<Pick<VerifiedFile, 'state' | 'found'>> {
  try {
    const found = await digestOfFile(path);
    return { state: found === expected ? 'intact' : 'changed', found };
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    return { state: error.code === 'NOT_FOUND' ? 'missing' : 'unreadable', found: undefined };
  }
}

async function digestOfFile(path: string): Promise<string> {
  using root = SourceRoot.named(path, checkName('file'));
  const file = root.open([root.name]);
  const digest = createDigest();
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  try {
    for (let position = 0; ; ) {
      const count = file.readAt(buffer, position);
      if (count === 0) return digest.digest().toString('hex');
      digest.update(buffer.subarray(0, count));
      position += count;
      // Other work goes on meanwhile.
      await new Promise(setImmediate);
    }
  } finally {
    file.close();
  }
}
