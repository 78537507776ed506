import * as v from 'valibot';
import { errorOf } from '../errors.ts';

/** Bytes of plaintext of piece 0: always as many, so that they say nothing of the name. */
export const METADATA_BYTES = 4096;
/** What a seal says of the file in it. */
export interface SealMetadata {
  /** The file's own name, unchecked. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly mtime: number;
  /** Permission bits. */
  readonly mode: number;
}

/** The error of everything that is not as it was sealed. */
export function broken(what: string): Error {
  return errorOf('INTEGRITY', `the seal is broken: ${what}`);
}

const METADATA = v.strictObject({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)),
  mtime: v.pipe(v.number(), v.safeInteger()),
  mode: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0o777)),
  /** DER SubjectPublicKeyInfo of the sealer's signing key. */
  sealer: v.pipe(v.string(), v.maxLength(1024), v.base64()),
});

/** Writes piece 0: `length u16 ‖ JSON ‖ zeros`. @throws BAD_NAME for a name that is too long for it. */
export function encodeMetadata(metadata: SealMetadata, sealer: Uint8Array): Buffer {
  const { name, mtime, mode } = metadata;
  const json = JSON.stringify({ name, mtime, mode, sealer: Buffer.from(sealer).toString('base64') });
  const text = Buffer.from(json);
  if (text.length > METADATA_BYTES - 2 || name === '' || name.length > 1024)
    throw errorOf('BAD_NAME', 'the name of the file is too long to be sealed');
  const bytes = Buffer.alloc(METADATA_BYTES);
  bytes.writeUInt16BE(text.length);
  text.copy(bytes, 2);
  return bytes;
}

/** Reads piece 0. @throws INTEGRITY. */
export function decodeMetadata(bytes: Buffer): SealMetadata & { readonly sealer: Buffer } {
  const end = 2 + bytes.readUInt16BE();
  if (end > bytes.length || bytes.subarray(end).some((byte) => byte !== 0)) throw broken('its metadata');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8', 2, end));
  } catch {
    throw broken('its metadata');
  }
  const parsed = v.safeParse(METADATA, value);
  if (!parsed.success) throw broken('its metadata');
  return { ...parsed.output, sealer: Buffer.from(parsed.output.sealer, 'base64') };
}
