/**
 * CPACE-RISTR255-SHA512 of draft-irtf-cfrg-cpace-21 in the notation of the draft: two sides that know the same words
 * agree on a key, and who does not learns nothing but whether one guess was right.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import type { Branded } from './brand.ts';

type Point = InstanceType<typeof ristretto255.Point>;

/** A secret number below 2^252. */
export type Scalar = Branded<Buffer, 'Scalar'>;

/** Bytes of an encoded point and of a scalar. */
export const POINT_BYTES = 32;

const DSI = Buffer.from('CPaceRistretto255');
const DSI_ISK = Buffer.from('CPaceRistretto255_ISK');
/** Bytes of a block of SHA-512. */
const BLOCK_BYTES = 128;

/** `prepend_len`: the length in LEB128, then the bytes. */
export function prependLength(bytes: Uint8Array): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; ) {
    const low = rest & 0x7f;
    rest >>>= 7;
    length.push(rest === 0 ? low : low | 0x80);
    if (rest === 0) return Buffer.concat([Buffer.from(length), bytes]);
  }
}

/** `lv_cat`: all parts, each behind its length. */
export function lvCat(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.map(prependLength));
}

/** `generator_string`. The zeros fill the first block, so that its hash says nothing of how long the words are. */
export function generatorString(prs: Uint8Array, ci: Uint8Array, sid: Uint8Array): Buffer {
  const filled = prependLength(prs).length + prependLength(DSI).length + 1;
  return lvCat(DSI, prs, Buffer.alloc(Math.max(0, BLOCK_BYTES - filled)), ci, sid);
}

/** `calculate_generator`: the point that only who knows the words can compute. */
export function calculateGenerator(prs: Uint8Array, ci: Uint8Array, sid: Uint8Array): Point {
  const uniform = createHash('sha512')
    .update(generatorString(prs, ci, sid))
    .digest();
  // The element derivation of RFC 9496, section 4.3.4.
  const derive = ristretto255_hasher.deriveToCurve;
  if (derive === undefined) throw new Error('ristretto255 can derive no point from bytes');
  return ristretto255.Point.fromAffine(derive(uniform).toAffine());
}

/** `sample_scalar`: 252 random bits; never zero, for which the point would be the identity. */
export function sampleScalar(): Scalar {
  for (;;) {
    const bytes = randomBytes(POINT_BYTES);
    bytes.writeUInt8(bytes.readUInt8(POINT_BYTES - 1) & 0x0f, POINT_BYTES - 1);
    if (numberOf(bytes) !== 0n) return bytes as Scalar;
  }
}

function numberOf(scalar: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(scalar).reverse().toString('hex')}`);
}

/** `scalar_mult`: the point times the scalar, encoded. */
export function scalarMult(scalar: Scalar, point: Point): Buffer {
  return Buffer.from(point.multiply(numberOf(scalar)).toBytes());
}

/**
 * `scalar_mult_vfy`: the same for a point that the peer sent; undefined where the draft returns the identity: for what is
 * no point, is encoded another way than the one that is allowed, or is the identity itself.
 */
export function scalarMultVerify(scalar: Scalar, encoded: Uint8Array): Buffer | undefined {
  const point = decodePoint(encoded);
  if (point === undefined) return undefined;
  const product = point.multiply(numberOf(scalar));
  return product.is0() ? undefined : Buffer.from(product.toBytes());
}

function decodePoint(encoded: Uint8Array): Point | undefined {
  if (encoded.length !== POINT_BYTES) return undefined;
  try {
    const point = ristretto255.Point.fromBytes(encoded);
    // 32 zero bytes decode. The comparison does not rest on the decoder's being strict.
    return point.is0() || !Buffer.from(point.toBytes()).equals(encoded) ? undefined : point;
  } catch {
    return undefined;
  }
}

/** What both sides have sent: the points and their associated data. */
export interface Transcript {
  readonly ya: Uint8Array;
  readonly ada: Uint8Array;
  readonly yb: Uint8Array;
  readonly adb: Uint8Array;
}

/** `transcript_ir`: A begins, B answers. */
export function transcriptIr({ ya, ada, yb, adb }: Transcript): Buffer {
  return Buffer.concat([lvCat(ya, ada), lvCat(yb, adb)]);
}

/** `ISK`, from the shared point and the transcript. */
export function sessionKey(sid: Uint8Array, k: Uint8Array, transcript: Transcript): Buffer {
  return createHash('sha512')
    .update(lvCat(DSI_ISK, sid, k))
    .update(transcriptIr(transcript))
    .digest();
}

/** The draft's tags for confirmation, `HMAC-SHA-512(SHA-512("CPaceMac" ‖ sid ‖ ISK), lv_cat(Y, AD))` of A and of B. */
export function confirmationTags(
  sid: Uint8Array,
  isk: Uint8Array,
  { ya, ada, yb, adb }: Transcript,
): { readonly ta: Buffer; readonly tb: Buffer } {
  const key = createHash('sha512').update('CPaceMac').update(sid).update(isk).digest();
  const tag = (...parts: readonly Uint8Array[]) =>
    createHmac('sha512', key)
      .update(lvCat(...parts))
      .digest();
  return { ta: tag(ya, ada), tb: tag(yb, adb) };
}
