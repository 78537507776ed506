/** Just enough DER to write certificates and keys that no sane tool would make. */

/** One DER element. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const short = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | short.length]), short, body]);
}

const SEQUENCE = 0x30;
const RSA_ENCRYPTION = Buffer.from('06092a864886f70d010101', 'hex');
const SHA256_WITH_RSA = Buffer.from('06092a864886f70d01010b', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const NULL = Buffer.from('0500', 'hex');

function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const sign = (bytes[0] ?? 0) >= 0x80 ? Buffer.alloc(1) : Buffer.alloc(0);
  return der(0x02, sign, bytes);
}

/** An RSA SubjectPublicKeyInfo of any two numbers; `parameters` is the algorithm's, NULL where all is well. */
export function rsaSpki(modulus: bigint, exponent: bigint, parameters: Uint8Array = NULL): Buffer {
  const key = der(SEQUENCE, integer(modulus), integer(exponent));
  return der(SEQUENCE, der(SEQUENCE, RSA_ENCRYPTION, parameters), der(0x03, Buffer.alloc(1), key));
}

/** An odd number of exactly that many bits: for a check of sizes as good as a modulus, and made at once. */
export function oddNumber(bits: number): bigint {
  return (1n << BigInt(bits - 1)) | (1n << BigInt(Math.floor(bits / 2))) | 1n;
}

/** A certificate (DER) around any SubjectPublicKeyInfo, whose signature is nothing but zeros. */
export function certificateAround(spki: Uint8Array, name = 'anybody', years = ['70', '71']): Buffer {
  const algorithm = der(SEQUENCE, SHA256_WITH_RSA, NULL);
  const subject = der(SEQUENCE, der(0x31, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from(name)))));
  const dates = years.map((year) => der(0x17, Buffer.from(`${year}0101000000Z`)));
  const version = der(0xa0, integer(2n));
  const body = [version, integer(1n), algorithm, subject, der(SEQUENCE, ...dates), subject, spki];
  return der(SEQUENCE, der(SEQUENCE, ...body), algorithm, der(0x03, Buffer.alloc(385)));
}
