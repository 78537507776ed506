/**
 * The format of sealed files: what stands where, and the keys. A sealed file is
 *
 * ```
 * H     = "LSSEAL1\0" ‖ suite u8 ‖ log2(piece) u8 ‖ readers u16 ‖ salt[32] ‖ readers × (fp[32] ‖ OAEP(CEK)[384])
 * mac   = HMAC-SHA-256(HKDF(CEK, salt, "localstream/1 seal header"), H)
 * piece = nonce[12] ‖ AEAD(HKDF(CEK, SHA-256(H ‖ mac), "localstream/1 seal pieces"), AAD = index u64 ‖ final u8) ‖ tag[16]
 * ```
 *
 * Piece 0 is the metadata, 4096 bytes; then come the data, all pieces full but the last; then the final piece, 424 bytes:
 * `size u64 ‖ BLAKE3[32] ‖ PSS[384]`. Numbers are big-endian. The MAC commits to the key: one ciphertext could otherwise be
 * made to open differently for two readers. Nonces are random, since a seal that is resumed after an edit would repeat
 * those of a counter.
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  subtle,
} from 'node:crypto';
import { errorOf } from '../errors.ts';
import type { Branded } from './brand.ts';
import { DIGEST_BYTES } from './digest.ts';
import { broken, METADATA_BYTES } from './envelope-metadata.ts';
import { sameBytes } from './exchange.ts';
import { FINGERPRINT_BYTES, type Fingerprint, fingerprintBytes, fingerprintOfBytes } from './fingerprint.ts';
import type { Identity } from './identity.ts';
import { RSA_BYTES } from './rsa.ts';
import { oaepEncrypt } from './rsa-padding.ts';

/** How pieces are encrypted. One more is one more row. */
export const SUITES = {
  'aes-256-gcm': 1,
  'chacha20-poly1305': 2,
} as const;

/** The name of a suite, as OpenSSL has it. */
export type Suite = keyof typeof SUITES;

/** The key of a seal's contents, which each reader gets. */
export type ContentKey = Branded<Buffer, 'ContentKey'>;

/** What every sealed file begins with. */
export const SEAL_MAGIC: Buffer = Buffer.from('LSSEAL1\0', 'latin1');
const SALT_BYTES = 32;
const FIXED_BYTES = SEAL_MAGIC.length + 4 + SALT_BYTES;
const READER_BYTES = FINGERPRINT_BYTES + RSA_BYTES;
const MAC_BYTES = 32;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Most readers of one seal. */
export const MOST_READERS = 64;
/** Bytes of plaintext of the pieces of data: 1 MiB, unless another power of two is asked for. */
const PIECE_BITS = 20;
const LEAST_PIECE_BITS = 12;
const MOST_PIECE_BITS = 24;
/** Bytes that encryption adds to a piece. */
export const PIECE_OVERHEAD = NONCE_BYTES + TAG_BYTES;
/** Bytes of plaintext of the final piece. */
export const FINAL_BYTES = 8 + DIGEST_BYTES + RSA_BYTES;

/** Whoever may open a seal: the name of its identity, and its encryption key, which that identity has certified. */
export interface Reader {
  readonly fingerprint: Fingerprint;
  readonly encryptionKey: KeyObject;
}

/** A header as it was read; its MAC is not yet checked. */
export interface SealHeader {
  readonly suite: Suite;
  readonly pieceBits: number;
  readonly salt: Buffer;
  readonly readers: readonly { readonly fingerprint: Fingerprint; readonly wrapped: Buffer }[];
  /** `H`, as it stands in the file. */
  readonly bytes: Buffer;
  readonly mac: Buffer;
}

/** An opened header: what encrypts and decrypts the pieces. */
export interface SealKeys {
  readonly suite: Suite;
  readonly pieceBits: number;
  readonly pieceKey: KeyObject;
  /** SHA-256(H ‖ mac). */
  readonly id: Buffer;
}

/** Bytes of a header with so many readers, its MAC included. */
export function headerBytes(readers: number): number {
  return FIXED_BYTES + readers * READER_BYTES + MAC_BYTES;
}

/** Bytes of a sealed file with `size` bytes of data. */
export function sealedBytes(size: number, readers: number, pieceBits: number = PIECE_BITS): number {
  const pieces = Math.ceil(size / 2 ** pieceBits);
  return headerBytes(readers) + METADATA_BYTES + size + FINAL_BYTES + (pieces + 2) * PIECE_OVERHEAD;
}

function hkdf(key: ContentKey, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, KEY_BYTES));
}

function label(suite: Suite, fingerprint: Fingerprint): Buffer {
  const name = Buffer.from('localstream/1 seal\0', 'latin1');
  return Buffer.concat([name, Buffer.from([SUITES[suite]]), fingerprintBytes(fingerprint)]);
}

function wrapKey(
  { fingerprint, encryptionKey }: Reader,
  suite: Suite,
  key: ContentKey,
  seed?: Buffer,
): Buffer {
  const oaepLabel = label(suite, fingerprint);
  if (seed) return oaepEncrypt(encryptionKey, key, oaepLabel, seed);
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return publicEncrypt({ key: encryptionKey, padding, oaepHash: 'sha256', oaepLabel }, key);
}

function headerMac(key: ContentKey, salt: Uint8Array, header: Uint8Array): Buffer {
  return createHmac('sha256', hkdf(key, salt, 'localstream/1 seal header'))
    .update(header)
    .digest();
}

function keysOf(key: ContentKey, header: SealHeader): SealKeys {
  const id = createHash('sha256').update(header.bytes).update(header.mac).digest();
  const pieceKey = createSecretKey(hkdf(key, id, 'localstream/1 seal pieces'));
  return { suite: header.suite, pieceBits: header.pieceBits, pieceKey, id };
}

/**
 * Draws a key and writes the header for some readers, each named once. `key` and `salt` are for vectors, and with
 * `seedOf` (what OAEP draws for each reader) for a seal that comes out the same again.
 * @throws USAGE for no reader or more than {@link MOST_READERS}.
 */
export function newHeader(
  readers: readonly Reader[],
  suite: Suite = 'aes-256-gcm',
  pieceBits: number = PIECE_BITS,
  key: ContentKey = randomBytes(KEY_BYTES) as ContentKey,
  salt: Buffer = randomBytes(SALT_BYTES),
  seedOf?: (reader: Fingerprint) => Buffer,
): { readonly header: SealHeader; readonly keys: SealKeys } {
  const byName = new Map(readers.map((reader) => [reader.fingerprint, reader]));
  if (byName.size === 0 || byName.size > MOST_READERS)
    throw errorOf('USAGE', `a seal has from 1 to ${MOST_READERS} readers`);
  if (!Number.isInteger(pieceBits) || pieceBits < LEAST_PIECE_BITS || pieceBits > MOST_PIECE_BITS)
    throw new RangeError(`pieces have from 2^${LEAST_PIECE_BITS} to 2^${MOST_PIECE_BITS} bytes`);
  const wrapped = [...byName.values()].map((reader) => ({
    fingerprint: reader.fingerprint,
    wrapped: wrapKey(reader, suite, key, seedOf?.(reader.fingerprint)),
  }));
  const fixed = Buffer.from([SUITES[suite], pieceBits, wrapped.length >> 8, wrapped.length & 0xff]);
  const rows = wrapped.flatMap((reader) => [fingerprintBytes(reader.fingerprint), reader.wrapped]);
  const bytes = Buffer.concat([SEAL_MAGIC, fixed, salt, ...rows]);
  const mac = headerMac(key, salt, bytes);
  const header: SealHeader = { suite, pieceBits, salt, readers: wrapped, bytes, mac };
  return { header, keys: keysOf(key, header) };
}

/**
 * Reads a header from the start of a file. Returns undefined while more bytes are needed.
 * @throws INTEGRITY for what is no sealed file, NOT_SUPPORTED for a suite that is not known here.
 */
export function parseHeader(start: Uint8Array): SealHeader | undefined {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  const known = Math.min(bytes.length, SEAL_MAGIC.length);
  if (!bytes.subarray(0, known).equals(SEAL_MAGIC.subarray(0, known))) throw broken('this is no sealed file');
  if (bytes.length < FIXED_BYTES) return undefined;
  const [code, pieceBits, count] = [bytes.readUInt8(8), bytes.readUInt8(9), bytes.readUInt16BE(10)];
  const suite = (Object.keys(SUITES) as Suite[]).find((name) => SUITES[name] === code);
  if (suite === undefined)
    throw errorOf('NOT_SUPPORTED', 'the file is sealed in a way that this localstream does not know');
  if (pieceBits < LEAST_PIECE_BITS || pieceBits > MOST_PIECE_BITS) throw broken('the size of its pieces');
  if (count < 1 || count > MOST_READERS) throw broken('the number of its readers');
  const length = headerBytes(count);
  if (bytes.length < length) return undefined;
  const readers = Array.from({ length: count }, (_, index) => {
    const at = FIXED_BYTES + index * READER_BYTES;
    const fingerprint = fingerprintOfBytes(bytes.subarray(at, at + FINGERPRINT_BYTES));
    return { fingerprint, wrapped: Buffer.from(bytes.subarray(at + FINGERPRINT_BYTES, at + READER_BYTES)) };
  });
  if (new Set(readers.map(({ fingerprint }) => fingerprint)).size !== count)
    throw broken('a reader stands in it twice');
  return {
    suite,
    pieceBits,
    salt: Buffer.from(bytes.subarray(FIXED_BYTES - SALT_BYTES, FIXED_BYTES)),
    readers,
    bytes: Buffer.from(bytes.subarray(0, length - MAC_BYTES)),
    mac: Buffer.from(bytes.subarray(length - MAC_BYTES, length)),
  };
}

/**
 * Opens a header for one of its readers, and checks what commits the key before anything is decrypted with it.
 * @throws NOT_ALLOWED where it is sealed for others, INTEGRITY.
 */
export async function unlockHeader(
  header: SealHeader,
  identity: Pick<Identity, 'fingerprint' | 'encryptionKey'>,
): Promise<SealKeys> {
  const reader = header.readers.find(({ fingerprint }) => fingerprint === identity.fingerprint);
  if (reader === undefined) throw errorOf('NOT_ALLOWED', 'the file is sealed for others');
  const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' };
  const key = identity.encryptionKey.toCryptoKey(algorithm, false, ['decrypt']);
  const options = { name: 'RSA-OAEP', label: label(header.suite, identity.fingerprint) };
  const opened = await subtle.decrypt(options, key, reader.wrapped).catch(() => undefined);
  if (opened?.byteLength !== KEY_BYTES) throw broken('its key');
  const contentKey = Buffer.from(opened) as ContentKey;
  if (!sameBytes(headerMac(contentKey, header.salt, header.bytes), header.mac)) throw broken('its header');
  return keysOf(contentKey, header);
}

// Their types differ only in what Node's declarations say of the two names.
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES };

function associatedData(index: number, final: boolean): Buffer {
  const data = Buffer.alloc(9);
  data.writeBigUInt64BE(BigInt(index));
  data.writeUInt8(final ? 1 : 0, 8);
  return data;
}

/** What is encrypted at once: Node makes a new buffer for it, and small ones are had again without asking the system. */
const PART_BYTES = 64 * 1024;

/** Encrypts a piece: nonce, ciphertext in parts, and tag. */
export function sealPiece(
  keys: SealKeys,
  index: number,
  final: boolean,
  plaintext: Uint8Array,
  nonce: Buffer = randomBytes(NONCE_BYTES),
): Buffer[] {
  const cipher = createCipheriv(keys.suite as 'aes-256-gcm', keys.pieceKey, nonce, CIPHER_OPTIONS);
  cipher.setAAD(associatedData(index, final));
  const parts = [nonce];
  for (let at = 0; at < plaintext.length; at += PART_BYTES)
    parts.push(cipher.update(plaintext.subarray(at, at + PART_BYTES)));
  cipher.final();
  return [...parts, cipher.getAuthTag()];
}

/** Decrypts a piece. @throws INTEGRITY where it is not the one of this place. */
export function openPiece(keys: SealKeys, index: number, final: boolean, piece: Uint8Array): Buffer {
  if (piece.length < PIECE_OVERHEAD) throw broken('it has been cut');
  const end = piece.length - TAG_BYTES;
  const nonce = piece.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(keys.suite as 'aes-256-gcm', keys.pieceKey, nonce, CIPHER_OPTIONS);
  decipher.setAAD(associatedData(index, final));
  decipher.setAuthTag(piece.subarray(end));
  const plaintext = decipher.update(piece.subarray(NONCE_BYTES, end));
  try {
    decipher.final();
  } catch {
    throw broken(`piece ${index}`);
  }
  return plaintext;
}

/** What the sealer signs. */
export function sealStatement(
  id: Uint8Array,
  metadata: Uint8Array,
  size: number,
  digest: Uint8Array,
): Buffer {
  const sizeBytes = Buffer.alloc(8);
  sizeBytes.writeBigUInt64BE(BigInt(size));
  return Buffer.concat([id, createHash('sha256').update(metadata).digest(), sizeBytes, digest]);
}
