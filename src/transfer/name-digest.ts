/** The digest of a file's name, by which its partial is called and its writing claimed. */
import { digestOf } from '../crypto/digest.ts';
import { encodeName, type SafeName } from './name.ts';

let last: { readonly name: SafeName; readonly digest: Buffer } | undefined;

/** BLAKE3 of a name. All questions about one file follow each other, so the last one is kept. */
export function nameDigest(name: SafeName): Buffer {
  if (last?.name !== name) last = { name, digest: digestOf(encodeName(name)) };
  return last.digest;
}
