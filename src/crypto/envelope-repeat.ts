/**
 * Seals that come out the same: for a transfer that breaks off and goes on, of which the server keeps what it has. All that
 * is random in a seal is drawn from a secret of this machine and from what the file is, so that the same file, unchanged,
 * has the same seal for as long as the secret is kept, and one that changed has another key.
 *
 * The nonce of a piece is a keyed hash of all data up to its end: it repeats only where the piece does. A file that was
 * edited behind the back of its time stamp therefore repeats no nonce for other data.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import type { Branded } from './brand.ts';
import { createDigest } from './digest.ts';
import {
  type ContentKey,
  newHeader,
  type Reader,
  type SealKeys,
  sealPiece,
  sealStatement,
} from './envelope.ts';
import { encodeMetadata, type SealMetadata } from './envelope-metadata.ts';
import { fingerprintBytes } from './fingerprint.ts';
import type { Identity } from './identity.ts';
import { signStatementWith } from './signature.ts';

/** 32 random bytes from which this machine draws. Who has them, and knows the file's marks, can open its seals. */
export type SealSecret = Branded<Buffer, 'SealSecret'>;

/** Bytes of a {@link SealSecret}. */
export const SEAL_SECRET_BYTES = 32;
const NONCE_BYTES = 12;

/** What is to be sealed, for whom and by whom. */
export interface RepeatedSealOptions {
  readonly readers: readonly Reader[];
  readonly identity: Pick<Identity, 'signingKey' | 'signingSpki'>;
  readonly metadata: SealMetadata;
  readonly secret: SealSecret;
  /** Everything that tells this state of this file from others. */
  readonly marks: string;
  /** Bytes of a piece as a power of two; 20 by default. */
  readonly pieceBits?: number;
}

/** Writes one seal, piece by piece and without waiting for anything: for workers. */
export class RepeatedSeal {
  /** The header, its MAC and the metadata: what comes first. */
  readonly start: Buffer;
  /** Bytes of every piece of data but the last. */
  readonly pieceBytes: number;
  readonly #keys: SealKeys;
  readonly #options: RepeatedSealOptions;
  readonly #metadata: Buffer;
  readonly #nonceKey: Buffer;
  readonly #saltKey: Buffer;
  readonly #digest = createDigest();
  #size = 0;
  #index = 0;

  /** @throws USAGE for no readers or too many, BAD_NAME for a name that is too long. */
  constructor(options: RepeatedSealOptions) {
    const { readers, identity, metadata, secret, marks, pieceBits } = options;
    this.#options = options;
    this.#metadata = encodeMetadata(metadata, identity.signingSpki);
    const root = createHmac('sha256', secret);
    for (const part of [
      ...readers.map(({ fingerprint }) => fingerprint),
      marks,
      this.#metadata,
      `${pieceBits}`,
    ]) {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      root.update(length).update(bytes);
    }
    const drawn = root.digest();
    const draw = (what: string) =>
      Buffer.from(hkdfSync('sha256', drawn, '', `localstream/1 seal drawn ${what}`, 32));
    this.#nonceKey = draw('nonces');
    this.#saltKey = draw('signature');
    const seeds = draw('readers');
    const { header, keys } = newHeader(
      readers,
      'aes-256-gcm',
      pieceBits,
      draw('key') as ContentKey,
      draw('salt'),
      (reader) => createHmac('sha256', seeds).update(fingerprintBytes(reader)).digest(),
    );
    this.#keys = keys;
    this.pieceBytes = 2 ** keys.pieceBits;
    const first = this.#seal(false, this.#metadata, this.#metadata);
    this.start = Buffer.concat([header.bytes, header.mac, ...first]);
  }

  /** The next piece of data: {@link pieceBytes} of them, or fewer, at least one, for the last. */
  piece(data: Uint8Array): Buffer[] {
    this.#digest.update(data);
    this.#size += data.length;
    this.#index += 1;
    return this.#seal(false, data, this.#digest.digest());
  }

  /** The final piece, when all data are sealed. */
  end(): Buffer[] {
    const sum = this.#digest.digest();
    const statement = sealStatement(this.#keys.id, this.#metadata, this.#size, sum);
    const salt = createHmac('sha256', this.#saltKey).update(statement).digest();
    const signature = signStatementWith(this.#options.identity.signingKey, 'sealed', statement, salt);
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(this.#size));
    const final = Buffer.concat([size, sum, signature]);
    this.#index += 1;
    return this.#seal(true, final, final);
  }

  #seal(final: boolean, plaintext: Uint8Array, said: Uint8Array): Buffer[] {
    const place = Buffer.alloc(9);
    place.writeBigUInt64BE(BigInt(this.#index));
    place.writeUInt8(final ? 1 : 0, 8);
    const nonce = createHmac('sha256', this.#nonceKey).update(place).update(said).digest();
    return sealPiece(this.#keys, this.#index, final, plaintext, nonce.subarray(0, NONCE_BYTES));
  }
}
