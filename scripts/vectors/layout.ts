/** Writes bytes as docs/protocol.md lays them out, apart from the codecs that are tested with them. */

/** An unsigned number of so many bytes, big-endian. */
function unsigned(value: number | bigint, bytes: number): Buffer {
  return Buffer.from(
    BigInt.asUintN(8 * bytes, BigInt(value))
      .toString(16)
      .padStart(2 * bytes, '0'),
    'hex',
  );
}

export const u8 = (value: number): Buffer => unsigned(value, 1);
export const u16 = (value: number): Buffer => unsigned(value, 2);
export const u32 = (value: number): Buffer => unsigned(value, 4);
/** Also for signed numbers: two's complement. */
export const u64 = (value: number | bigint): Buffer => unsigned(value, 8);

/** Joins parts; a text stands for its UTF-8. */
export function join(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** The same, in hexadecimal. */
export function hex(...parts: readonly (Uint8Array | string)[]): string {
  return join(...parts).toString('hex');
}
