import { createPublicKey, type KeyObject } from 'node:crypto';
import { errorOf } from '../errors.ts';
import { createDigest, DIGEST_BYTES } from './digest.ts';
import {
  FINAL_BYTES,
  headerBytes,
  MOST_READERS,
  openPiece,
  PIECE_OVERHEAD,
  parseHeader,
  type SealHeader,
  sealStatement,
  unlockHeader,
} from './envelope.ts';
import { broken, decodeMetadata, METADATA_BYTES, type SealMetadata } from './envelope-metadata.ts';
import { sameBytes } from './exchange.ts';
import { type Fingerprint, fingerprintOfSpki } from './fingerprint.ts';
import type { Identity } from './identity.ts';
import { rsaFault, spkiOf } from './rsa.ts';
import { verifyStatement } from './signature.ts';

/** Who opens, and whose seals are taken. */
export interface OpenOptions {
  readonly identity: Pick<Identity, 'fingerprint' | 'encryptionKey'>;
  /**
   * Whether files of this sealer are taken. Until the data have been read to their end, the sealer is only claimed: any
   * reader could have written the name.
   */
  readonly accept: (sealer: Fingerprint) => boolean | Promise<boolean>;
}

/** A sealed file whose header and metadata are right. */
export interface OpenedSeal {
  readonly metadata: SealMetadata;
  /** As it claims; proven when {@link data} has ended. */
  readonly sealer: Fingerprint;
  /**
   * The data. It throws INTEGRITY at the first fault, and at its end where anything is missing or the signature is wrong:
   * what was read before is then to be thrown away, and no file may bear its name yet.
   */
  readonly data: AsyncGenerator<Buffer, void>;
}

const METADATA_WIRE = METADATA_BYTES + PIECE_OVERHEAD;
const FINAL_WIRE = FINAL_BYTES + PIECE_OVERHEAD;

/** Takes bytes from a source in the portions that are asked for, in memory of the largest of them. */
class Intake {
  readonly #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #buffer: Buffer;
  #start = 0;
  #end = 0;
  #chunk: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, capacity: number) {
    this.#source =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** The next bytes, without taking them: `wanted`, or fewer at the end. They are valid until the next call. */
  async peek(wanted: number): Promise<Buffer> {
    if (wanted > this.#buffer.length - this.#start) {
      const grown = wanted > this.#buffer.length ? Buffer.allocUnsafeSlow(wanted) : this.#buffer;
      this.#buffer.copy(grown, 0, this.#start, this.#end);
      [this.#buffer, this.#end, this.#start] = [grown, this.#end - this.#start, 0];
    }
    while (this.#end - this.#start < wanted) {
      if (this.#chunk.length === 0) {
        const { done, value } = this.#ended ? { done: true, value: undefined } : await this.#source.next();
        if (done === true || value === undefined) {
          this.#ended = true;
          break;
        }
        this.#chunk = value;
        continue;
      }
      const taken = Math.min(this.#chunk.length, this.#buffer.length - this.#end);
      this.#buffer.set(this.#chunk.subarray(0, taken), this.#end);
      this.#end += taken;
      this.#chunk = this.#chunk.subarray(taken);
    }
    return this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + wanted));
  }

  take(count: number): void {
    this.#start += count;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/**
 * Opens a sealed file.
 * @throws INTEGRITY where it is none or has been changed, NOT_SUPPORTED for a suite that is not known here, NOT_ALLOWED
 *   where it is sealed for others, NOT_TRUSTED where `accept` says no.
 */
export async function openSeal(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: OpenOptions,
): Promise<OpenedSeal> {
  const intake = new Intake(source, headerBytes(MOST_READERS));
  try {
    const header = await readHeader(intake);
    const keys = await unlockHeader(header, options.identity);
    const wire = await intake.peek(METADATA_WIRE);
    if (wire.length < METADATA_WIRE) throw broken('it has been cut');
    const bytes = openPiece(keys, 0, false, wire);
    intake.take(METADATA_WIRE);
    const { sealer: spki, ...metadata } = decodeMetadata(bytes);
    const key = sealerKey(spki);
    const sealer = fingerprintOfSpki(spki);
    if (!(await options.accept(sealer)))
      throw errorOf('NOT_TRUSTED', `the file was sealed by ${sealer}, which is not trusted here`);

    const readData = async function* (): AsyncGenerator<Buffer, void> {
      const digest = createDigest();
      const full = 2 ** keys.pieceBits + PIECE_OVERHEAD;
      let size = 0;
      let index = 1;
      try {
        for (; ; index++) {
          // With fewer bytes than these the rest is the last piece, if there is one, and the final one.
          const wanted = full + FINAL_WIRE;
          const ahead = await intake.peek(wanted);
          const length = ahead.length === wanted ? full : ahead.length - FINAL_WIRE;
          if (length < 0) throw broken('it has been cut');
          if (length === 0) break;
          if (length <= PIECE_OVERHEAD) throw broken('its last piece');
          const data = openPiece(keys, index, false, ahead.subarray(0, length));
          intake.take(length);
          digest.update(data);
          size += data.length;
          yield data;
        }
        const final = openPiece(keys, index, true, await intake.peek(FINAL_WIRE));
        checkFinal(final, { id: keys.id, metadata: bytes, size, digest: digest.digest(), key });
      } finally {
        await intake.close();
      }
    };
    return { metadata, sealer, data: readData() };
  } catch (error) {
    await intake.close();
    throw error;
  }
}

async function readHeader(intake: Intake): Promise<SealHeader> {
  for (const wanted of [headerBytes(1), headerBytes(MOST_READERS)]) {
    const header = parseHeader(await intake.peek(wanted));
    if (header === undefined) continue;
    intake.take(header.bytes.length + header.mac.length);
    return header;
  }
  throw broken('it has been cut');
}

function sealerKey(spki: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  } catch {
    throw broken("the sealer's key");
  }
  if (rsaFault(key) !== undefined || !spkiOf(key).equals(spki)) throw broken("the sealer's key");
  return key;
}

interface Expected {
  readonly id: Buffer;
  readonly metadata: Buffer;
  readonly size: number;
  readonly digest: Buffer;
  readonly key: KeyObject;
}

function checkFinal(final: Buffer, { id, metadata, size, digest, key }: Expected): void {
  const stated = final.subarray(8, 8 + DIGEST_BYTES);
  if (final.readBigUInt64BE() !== BigInt(size) || !sameBytes(stated, digest)) throw broken('its end');
  const statement = sealStatement(id, metadata, size, digest);
  if (!verifyStatement(key, 'sealed', statement, final.subarray(8 + DIGEST_BYTES)))
    throw broken("the sealer's signature");
}
