import { createDigest } from './digest.ts';
import {
  newHeader,
  type Reader,
  type SealHeader,
  type SealKeys,
  type Suite,
  sealPiece,
  sealStatement,
} from './envelope.ts';
import { encodeMetadata, METADATA_BYTES, type SealMetadata } from './envelope-metadata.ts';
import type { Identity } from './identity.ts';
import { signStatement } from './signature.ts';

/** What is to be sealed, for whom and by whom. */
export interface SealOptions {
  readonly readers: readonly Reader[];
  readonly identity: Pick<Identity, 'signingKey' | 'signingSpki'>;
  readonly metadata: SealMetadata;
  readonly suite?: Suite;
  /** Bytes of a piece as a power of two; 20 by default. */
  readonly pieceBits?: number;
}

/**
 * Seals a file piece by piece, in memory of two pieces. Kept after a broken transfer, it seals the same file once more
 * into the same seal: {@link seal} then leaves out the pieces that have arrived.
 */
export class Sealer {
  readonly header: SealHeader;
  readonly #keys: SealKeys;
  readonly #identity: SealOptions['identity'];
  readonly #metadata: Buffer;

  /** @throws USAGE for no readers or too many, BAD_NAME for a name that is too long. */
  constructor(options: SealOptions) {
    const { header, keys } = newHeader(options.readers, options.suite, options.pieceBits);
    this.header = header;
    this.#keys = keys;
    this.#identity = options.identity;
    this.#metadata = encodeMetadata(options.metadata, options.identity.signingSpki);
  }

  /** The most bytes of data in one piece. */
  get pieceBytes(): number {
    return 2 ** this.#keys.pieceBits;
  }

  /**
   * Yields the sealed file, or what follows `from` pieces of data that have arrived with all before them. The whole source
   * is read either way, since the end vouches for all of it. A source that has changed makes a seal that does not open.
   */
  async *seal(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    from = 0,
  ): AsyncGenerator<Uint8Array, void> {
    if (from === 0) {
      yield this.header.bytes;
      yield this.header.mac;
      yield* sealPiece(this.#keys, 0, false, this.#metadata.subarray(0, METADATA_BYTES));
    }
    const digest = createDigest();
    const { pieceBytes } = this;
    const buffer = Buffer.allocUnsafeSlow(pieceBytes);
    let filled = 0;
    let size = 0;
    let index = 0;
    for await (const chunk of source) {
      digest.update(chunk);
      size += chunk.length;
      let at = 0;
      while (at < chunk.length) {
        // A whole piece in one chunk is not copied.
        const whole = filled === 0 && chunk.length - at >= pieceBytes;
        const taken = whole ? pieceBytes : Math.min(pieceBytes - filled, chunk.length - at);
        const part = chunk.subarray(at, at + taken);
        if (!whole) buffer.set(part, filled);
        at += taken;
        filled += taken;
        if (filled < pieceBytes) break;
        filled = 0;
        index += 1;
        if (index > from) yield* sealPiece(this.#keys, index, false, whole ? part : buffer);
      }
    }
    if (filled > 0) {
      index += 1;
      if (index > from) yield* sealPiece(this.#keys, index, false, buffer.subarray(0, filled));
    }
    const sum = digest.digest();
    const statement = sealStatement(this.#keys.id, this.#metadata, size, sum);
    const signature = await signStatement(this.#identity.signingKey, 'sealed', statement);
    const sizeBytes = Buffer.alloc(8);
    sizeBytes.writeBigUInt64BE(BigInt(size));
    yield* sealPiece(this.#keys, index + 1, true, Buffer.concat([sizeBytes, sum, signature]));
  }
}
