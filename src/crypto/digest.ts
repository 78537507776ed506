import { createRequire } from 'node:module';

/** Bytes of a BLAKE3 digest. */
export const DIGEST_BYTES = 32;

/** A BLAKE3 digest in the making. */
export interface Digest {
  /** Takes bytes in without copying them, shared memory included; they must not change until it returns. */
  update(bytes: Uint8Array): void;
  /** The 32 bytes of all that was taken in so far. More may be taken in after it. */
  digest(): Buffer;
  /** Forgets everything: a digest used again costs a third of a new one. */
  reset(): void;
}

type Native = typeof import('@napi-rs/blake-hash');

const require = createRequire(import.meta.url);
let loaded: Native | undefined;

/** Loaded by the first digest: it takes 4 MB, and a server that only waits needs none. */
function native(): Native {
  loaded ??= require('@napi-rs/blake-hash') as Native;
  return loaded;
}

/** Starts an empty digest, the same that `b3sum` computes. */
export function createDigest(): Digest {
  const hasher = new (native().Blake3Hasher)();
  return {
    update: (bytes) => void hasher.update(bytes),
    // As text in between: a buffer that the library makes takes longer to make, and to collect.
    digest: () => Buffer.from(hasher.digest('hex'), 'hex'),
    reset: () => hasher.reset(),
  };
}

let once: Digest | undefined;

/** The BLAKE3 digest of some bytes in one call, which for a small file costs a third of a new {@link createDigest}. */
export function digestOf(bytes: Uint8Array): Buffer {
  once ??= createDigest();
  once.reset();
  once.update(bytes);
  return once.digest();
}
