import * as v from 'valibot';
import { createIdentity, type Identity, parseIdentity, serializeIdentity } from '../crypto/identity.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Home } from './home.ts';
import { JsonFile, type Warn } from './json-file.ts';

const HINT =
  'restore it from a backup; or move it away to become a new device, which every peer has to trust anew';

/**
 * The identity of a home; made on first use. Two processes that start at once on a new home get the same one.
 * @throws STATE when the file is damaged or of a newer version: an identity that peers trust is never replaced.
 */
export async function loadIdentity(home: Home, warn?: Warn): Promise<Identity> {
  const file = new JsonFile<Record<string, unknown>>({
    path: home.identityFile,
    version: 1,
    schema: v.record(v.string(), v.unknown()),
    empty: () => ({}),
    broken: 'refuse',
    hint: HINT,
    // Making two RSA keys takes seconds on a small device, and another process waits for it.
    patience: 120_000,
    ...(warn === undefined ? {} : { warn }),
  });
  let record = await file.read();
  if (isAbsent(record)) {
    record = await file.update(async (found) =>
      isAbsent(found) ? { ...serializeIdentity(await createIdentity()) } : undefined,
    );
  }
  try {
    return parseIdentity(record);
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    throw errorOf('STATE', `${home.identityFile}: ${error.message}`, { hint: HINT, cause: error });
  }
}

/** What was read always has a version. */
function isAbsent(record: Record<string, unknown>): boolean {
  return Object.keys(record).length === 0;
}
