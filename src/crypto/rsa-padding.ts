/**
 * RSA-OAEP and RSA-PSS (RFC 8017, both with SHA-256 and MGF1-SHA-256) with the random part handed in. OpenSSL draws it
 * itself; a seal that is made again after a broken transfer has to come out the same. Whoever calls hands in 32 bytes
 * that nobody else can tell from random ones.
 */
import { constants, createHash, type KeyObject, privateEncrypt, publicEncrypt } from 'node:crypto';
import { RSA_BYTES } from './rsa.ts';

const HASH_BYTES = 32;
/** Bytes of the seed of OAEP, and of the salt of PSS. */
const PADDING_SEED_BYTES = HASH_BYTES;

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** MGF1 over `seed`, laid over the bytes. */
function mask(bytes: Buffer, seed: Uint8Array): Buffer {
  const masked = Buffer.from(bytes);
  const counter = Buffer.alloc(4);
  for (let at = 0; at < masked.length; at += HASH_BYTES) {
    counter.writeUInt32BE(at / HASH_BYTES);
    const block = sha256(seed, counter);
    for (let index = 0; index < HASH_BYTES && at + index < masked.length; index++)
      masked.writeUInt8(masked.readUInt8(at + index) ^ block.readUInt8(index), at + index);
  }
  return masked;
}

function requireSeed(seed: Uint8Array): void {
  if (seed.length !== PADDING_SEED_BYTES)
    throw new RangeError(`the random part has ${PADDING_SEED_BYTES} bytes`);
}

/** RSAES-OAEP encryption for a key of 3072 bits (RFC 8017, 7.1.1). */
export function oaepEncrypt(
  key: KeyObject,
  message: Uint8Array,
  label: Uint8Array,
  seed: Uint8Array,
): Buffer {
  requireSeed(seed);
  const zeros = RSA_BYTES - 2 * HASH_BYTES - 2 - message.length;
  if (zeros < 0) throw new RangeError('the message is too long');
  const data = Buffer.concat([sha256(label), Buffer.alloc(zeros), Buffer.of(1), message]);
  const maskedData = mask(data, seed);
  const maskedSeed = mask(Buffer.from(seed), maskedData);
  const encoded = Buffer.concat([Buffer.of(0), maskedSeed, maskedData]);
  return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}

/** RSASSA-PSS signature with a key of 3072 bits and a salt of 32 bytes (RFC 8017, 8.1.1). Synchronous: for workers. */
export function pssSign(key: KeyObject, message: Uint8Array, salt: Uint8Array): Buffer {
  requireSeed(salt);
  const hash = sha256(Buffer.alloc(8), sha256(message), salt);
  const zeros = RSA_BYTES - 2 * HASH_BYTES - 2;
  const masked = mask(Buffer.concat([Buffer.alloc(zeros), Buffer.of(1), salt]), hash);
  // The encoded message has one bit less than the modulus.
  masked.writeUInt8(masked.readUInt8(0) & 0x7f, 0);
  const encoded = Buffer.concat([masked, hash, Buffer.of(0xbc)]);
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}
