import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  hkdfSync,
  publicEncrypt,
} from 'node:crypto';
import { blake3 } from '@napi-rs/blake-hash';
import { fingerprintBytes } from '../../src/crypto/fingerprint.ts';
import { fixed, VectorFile } from './frozen.ts';
import { identities, type KeyName, signed } from './keys.ts';

/** What a seal is made of; each vector changes some of it. */
interface Recipe {
  readonly readers: readonly KeyName[];
  readonly signer: KeyName;
  /** Whose key the metadata name; the signer's by default. */
  readonly named?: KeyName;
  readonly suite: 1 | 2;
  readonly pieceBits: number;
  readonly data: Buffer;
  readonly metadata: object;
  /** The second reader gets another content key. */
  readonly twoKeys?: boolean;
  readonly statedSize?: number;
  readonly statedDigest?: Buffer;
  readonly prefix?: string;
  /** Lengths of the pieces of data, where they are not as they should be. */
  readonly lengths?: readonly number[];
  /** Bytes behind the metadata, where zeros belong. */
  readonly padding?: number;
  /** Index and final flag of the final piece. */
  readonly finalFlag?: 0 | 1;
  readonly label?: string;
}

const NAMES = { 1: 'aes-256-gcm', 2: 'chacha20-poly1305' } as const;

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function hkdf(key: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, 32));
}

/** Seals by hand, without the code under test. */
class Maker {
  readonly #file: VectorFile;
  readonly #name: string;
  readonly #recipe: Recipe;

  constructor(file: VectorFile, name: string, recipe: Recipe) {
    this.#file = file;
    this.#name = name;
    this.#recipe = recipe;
  }

  get bytes(): Buffer {
    const recipe = this.#recipe;
    const contentKey = fixed(`sealed ${this.#name} key`);
    const salt = fixed(`sealed ${this.#name} salt`);
    const readers = recipe.readers.map((reader, index) =>
      this.#reader(reader, recipe.twoKeys && index === 1 ? fixed('sealed another key') : contentKey),
    );
    const count = Buffer.from([recipe.suite, recipe.pieceBits, 0, readers.length]);
    const header = Buffer.concat([Buffer.from('LSSEAL1\0'), count, salt, ...readers]);
    const macKey = hkdf(contentKey, salt, 'localstream/1 seal header');
    const mac = createHmac('sha256', macKey).update(header).digest();
    const id = createHash('sha256').update(header).update(mac).digest();
    const pieceKey = hkdf(contentKey, id, 'localstream/1 seal pieces');

    const piece = (index: number, final: 0 | 1, plaintext: Buffer) => {
      const nonce = fixed(`sealed ${this.#name} nonce ${index}`).subarray(0, 12);
      const cipher = createCipheriv(NAMES[recipe.suite] as 'aes-256-gcm', pieceKey, nonce, {
        authTagLength: 16,
      });
      cipher.setAAD(Buffer.concat([u64(index), Buffer.from([final])]));
      return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    };
    const metadata = this.#metadata();
    const pieces = this.#pieces();
    const size = recipe.statedSize ?? recipe.data.length;
    const digest = recipe.statedDigest ?? blake3(recipe.data);
    const hash = createHash('sha256').update(metadata).digest();
    const statement = Buffer.concat([id, hash, u64(size), digest]);
    const signature = this.#file.frozen(['random', this.#name, 'signature'], () =>
      signed(identities[recipe.signer].signingKey, recipe.prefix ?? 'localstream/1 sealed\0', statement),
    );
    this.#random['signature'] = signature;
    return Buffer.concat([
      header,
      mac,
      piece(0, 0, metadata),
      ...pieces.map((data, index) => piece(index + 1, 0, data)),
      piece(pieces.length + 1, recipe.finalFlag ?? 1, Buffer.concat([u64(size), digest, signature])),
    ]);
  }

  readonly #random: Record<string, Buffer> = {};

  /** What was drawn, in hexadecimal, after {@link bytes}. */
  get random(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.#random).map(([name, bytes]) => [name, bytes.toString('hex')]),
    );
  }

  #reader(reader: KeyName, key: Buffer): Buffer {
    const identity = identities[reader];
    const fingerprint = fingerprintBytes(identity.fingerprint);
    const suite = Buffer.from([this.#recipe.suite]);
    const label = Buffer.concat([
      Buffer.from(this.#recipe.label ?? 'localstream/1 seal\0'),
      suite,
      fingerprint,
    ]);
    const wrapped = this.#file.frozen(['random', this.#name, reader], () =>
      publicEncrypt(
        {
          key: createPublicKey(identity.encryptionKey),
          padding: constants.RSA_PKCS1_OAEP_PADDING,
          oaepHash: 'sha256',
          oaepLabel: label,
        },
        key,
      ),
    );
    this.#random[reader] = wrapped;
    return Buffer.concat([fingerprint, wrapped]);
  }

  #metadata(): Buffer {
    const { named = this.#recipe.signer, metadata, padding = 0 } = this.#recipe;
    const sealer = identities[named].signingSpki.toString('base64');
    const text = Buffer.from(JSON.stringify({ ...metadata, sealer }));
    const bytes = Buffer.alloc(4096);
    bytes.writeUInt16BE(text.length);
    text.copy(bytes, 2);
    if (padding > 0) bytes.writeUInt8(padding, 4095);
    return bytes;
  }

  #pieces(): Buffer[] {
    const { data, pieceBits, lengths } = this.#recipe;
    const full = 2 ** pieceBits;
    const parts = lengths ?? Array.from({ length: Math.ceil(data.length / full) }, () => full);
    let at = 0;
    return parts.map((length) => {
      at += length;
      return data.subarray(at - length, at);
    });
  }
}

const DATA = Buffer.concat(Array.from({ length: 300 }, (_, number) => fixed(`sealed data ${number}`)));
const METADATA = { name: 'report.pdf', mtime: 1_700_000_000_000, mode: 0o640 };

/** Sealed files, and files that must not open, for the reader bob. */
export function writeSealedVectors(): void {
  const file = new VectorFile('sealed.json');
  const random: Record<string, Record<string, string>> = {};
  const make = (name: string, changes: Partial<Recipe> = {}): string => {
    const maker = new Maker(file, name, {
      readers: ['bob'],
      signer: 'alice',
      suite: 1,
      pieceBits: 12,
      data: DATA.subarray(0, 64),
      metadata: METADATA,
      ...changes,
    });
    const { bytes } = maker;
    random[name] = maker.random;
    return bytes.toString('base64');
  };
  const good = (name: string, changes: Partial<Recipe> = {}) => ({
    [name]: { data: (changes.data ?? DATA.subarray(0, 64)).toString('base64'), sealed: make(name, changes) },
  });
  const bad = (name: string, changes: Partial<Recipe>) => ({ [name]: make(name, changes) });
  const [longer, exact] = [DATA.subarray(0, 9600), DATA.subarray(0, 8192)];
  file.write({
    about:
      'Sealed files in base64, for the reader bob of identity.json, by the sealer alice. Those of mustFail do not open.',
    metadata: METADATA,
    cases: {
      ...good('one piece'),
      ...good('nothing', { data: Buffer.alloc(0) }),
      ...good('three pieces, the last one short', { data: longer }),
      ...good('two full pieces', { data: exact }),
      ...good('two readers', { readers: ['mallory', 'bob'] }),
      ...good('ChaCha20-Poly1305', { suite: 2 }),
    },
    mustFail: {
      ...bad("signed by another than it names: a co-reader's own file", {
        signer: 'mallory',
        named: 'alice',
        readers: ['mallory', 'bob'],
      }),
      ...bad('two keys: it would open differently for two', { twoKeys: true, readers: ['mallory', 'bob'] }),
      ...bad('signed as a receipt', { prefix: 'localstream/1 receipt\0' }),
      ...bad('another size', { statedSize: 63 }),
      ...bad('another digest', { statedDigest: fixed('another digest') }),
      ...bad('a short piece in the middle', { data: longer, lengths: [4096, 1000, 4096, 408] }),
      ...bad('an empty piece', { lengths: [64, 0] }),
      ...bad('no final flag', { finalFlag: 0 }),
      ...bad('something behind the metadata', { padding: 1 }),
      ...bad('metadata with one field more', { metadata: { ...METADATA, path: '/etc' } }),
      ...bad('metadata without a name', { metadata: { ...METADATA, name: '' } }),
      ...bad('a mode that is none', { metadata: { ...METADATA, mode: 0o4755 } }),
      ...bad("a share's label", { label: 'localstream/1 share c\0' }),
    },
    random,
  });
}
