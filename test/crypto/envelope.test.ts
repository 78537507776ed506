import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  headerBytes,
  MOST_READERS,
  parseHeader,
  type Reader,
  sealedBytes,
} from '../../src/crypto/envelope.ts';
import { type OpenedSeal, openSeal } from '../../src/crypto/envelope-open.ts';
import { Sealer, type SealOptions } from '../../src/crypto/envelope-seal.ts';
import { fingerprintOfBytes } from '../../src/crypto/fingerprint.ts';
import { AccessError, AlarmError, FailedError, UsageError } from '../../src/errors.ts';
import vectors from '../vectors/sealed.json' with { type: 'json' };
import { flip, identities, type KeyName } from './fixed.ts';

const { alice, bob } = identities;
const metadata = { name: 'ünïcode name.txt', mtime: 1_700_000_000_123, mode: 0o644 };

function readerOf(name: KeyName): Reader {
  const identity = identities[name];
  return { fingerprint: identity.fingerprint, encryptionKey: createPublicKey(identity.encryptionKey) };
}

function sealer(changes: Partial<SealOptions> = {}): Sealer {
  return new Sealer({ readers: [readerOf('bob')], identity: alice, metadata, pieceBits: 12, ...changes });
}

async function join(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** The bytes in chunks of one size, as a pipe brings them. */
function* inChunks(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function open(bytes: Uint8Array, who: KeyName = 'bob', chunk = 1000): Promise<OpenedSeal> {
  const accept = (key: string) => key === alice.fingerprint;
  return openSeal(inChunks(bytes, chunk), { identity: identities[who], accept });
}

async function opened(bytes: Uint8Array, who: KeyName = 'bob', chunk = 1000): Promise<Buffer> {
  return join((await open(bytes, who, chunk)).data);
}

function isBroken(error: unknown): true {
  assert.ok(error instanceof AlarmError, String(error));
  assert.equal(error.code, 'INTEGRITY');
  return true;
}

describe('sealed.json', () => {
  for (const [name, vector] of Object.entries(vectors.cases)) {
    it(name, async () => {
      const bytes = Buffer.from(vector.sealed, 'base64');
      const seal = await open(bytes);
      assert.deepEqual(seal.metadata, vectors.metadata);
      assert.equal(seal.sealer, alice.fingerprint);
      assert.equal((await join(seal.data)).toString('base64'), vector.data);
      const readers = parseHeader(bytes)?.readers.length ?? 0;
      assert.equal(bytes.length, sealedBytes(Buffer.from(vector.data, 'base64').length, readers, 12));
    });
  }

  for (const [name, vector] of Object.entries(vectors.mustFail)) {
    it(`must fail: ${name}`, async () => {
      await assert.rejects(opened(Buffer.from(vector, 'base64')), isBroken);
    });
  }

  it('must fail: cut at any byte, and with anything behind it', async () => {
    for (const vector of Object.values(vectors.cases)) {
      const bytes = Buffer.from(vector.sealed, 'base64');
      for (
        let length = 0;
        length < bytes.length;
        length += length > 600 && length < bytes.length - 600 ? 97 : 7
      ) {
        await assert.rejects(opened(bytes.subarray(0, length)), isBroken, `${length} of ${bytes.length}`);
      }
      for (const more of [1, 28, 29, 452, 4124]) {
        await assert.rejects(opened(Buffer.concat([bytes, Buffer.alloc(more)])), isBroken);
      }
    }
  });

  it('must fail: any bit turned', async () => {
    const bytes = Buffer.from(vectors.cases['three pieces, the last one short'].sealed, 'base64');
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (place) => {
        await assert.rejects(opened(flip(bytes, place)), (error) => {
          // In the first bytes it is another suite, and in the reader's name another reader.
          if (error instanceof FailedError) return error.code === 'NOT_SUPPORTED' && place >> 3 === 8;
          if (error instanceof AccessError)
            return error.code === 'NOT_ALLOWED' && place >> 3 >= 44 && place >> 3 < 76;
          return isBroken(error);
        });
      }),
      { numRuns: 150 },
    );
  });

  it('must fail: pieces exchanged, repeated, left out or from another seal', async () => {
    const bytes = Buffer.from(vectors.cases['three pieces, the last one short'].sealed, 'base64');
    const other = Buffer.from(vectors.cases['two full pieces'].sealed, 'base64');
    const start = headerBytes(1) + 4096 + 28;
    const piece = (index: number, of = bytes) =>
      of.subarray(start + index * 4124, start + (index + 1) * 4124);
    const [head, rest] = [bytes.subarray(0, start), bytes.subarray(start + 2 * 4124)];
    const joined = (...parts: readonly Buffer[]) => Buffer.concat([head, ...parts, rest]);
    assert.deepEqual(joined(piece(0), piece(1)), bytes);
    const wrong = [
      joined(piece(1), piece(0)),
      joined(piece(0), piece(0)),
      joined(piece(0)),
      joined(piece(0), piece(1), piece(1)),
      joined(piece(0, other), piece(1)),
      Buffer.concat([other.subarray(0, start), bytes.subarray(start)]),
      Buffer.concat([bytes.subarray(0, headerBytes(1)), other.subarray(headerBytes(1))]),
    ];
    for (const one of wrong) await assert.rejects(opened(one), isBroken);
  });
});

describe('a seal', () => {
  it('opens for each of its readers, however the bytes come', async () => {
    for (const suite of ['aes-256-gcm', 'chacha20-poly1305'] as const) {
      for (const size of [0, 1, 4095, 4096, 4097, 8192, 50_000]) {
        const data = randomBytes(size);
        const seal = sealer({ suite, readers: [readerOf('bob'), readerOf('mallory'), readerOf('bob')] });
        const bytes = await join(seal.seal(inChunks(data, 1 + (size % 7000))));
        assert.equal(bytes.length, sealedBytes(size, 2, 12));
        for (const who of ['bob', 'mallory'] as const) {
          for (const chunk of [1 + (size % 3000), 100_000]) {
            assert.deepEqual(await opened(bytes, who, chunk), data);
          }
        }
      }
    }
  });

  it('says nothing of the name and shows no two files alike', async () => {
    const data = Buffer.alloc(10_000);
    const [one, two] = [await join(sealer().seal([data])), await join(sealer().seal([data]))];
    assert.notDeepEqual(one.subarray(headerBytes(1)), two.subarray(headerBytes(1)));
    const short = await join(sealer({ metadata: { ...metadata, name: 'x' } }).seal([data]));
    assert.equal(short.length, one.length);
    assert.equal(one.includes(metadata.name), false);
    const entropy = new Set(one.subarray(headerBytes(1))).size;
    assert.equal(entropy, 256);
  });

  it('takes one to sixty-four readers, and opens for no other', async () => {
    assert.throws(() => sealer({ readers: [] }), UsageError);
    const crowd = Array.from({ length: MOST_READERS + 1 }, (_, number) => ({
      ...readerOf('bob'),
      fingerprint: fingerprintOfBytes(createHash('sha256').update(String(number)).digest()),
    }));
    assert.throws(() => sealer({ readers: crowd }), UsageError);
    const most = sealer({ readers: [...crowd.slice(2), readerOf('bob')] });
    const bytes = await join(most.seal([Buffer.from('data')]));
    assert.equal((await opened(bytes)).toString(), 'data');
    await assert.rejects(opened(bytes, 'alice'), (error) => {
      assert.ok(error instanceof AccessError && error.code === 'NOT_ALLOWED');
      return true;
    });
  });

  it('is taken from nobody unknown', async () => {
    const seal = sealer({ identity: identities.mallory });
    await assert.rejects(opened(await join(seal.seal([Buffer.from('data')]))), (error) => {
      assert.ok(error instanceof AccessError && error.code === 'NOT_TRUSTED');
      return true;
    });
  });

  it('goes on after the pieces that have arrived', async () => {
    const data = randomBytes(30_000);
    const seal = sealer();
    const whole = await join(seal.seal([data]));
    for (const from of [1, 3, 7, 8]) {
      const arrived = whole.subarray(0, headerBytes(1) + 4124 + Math.min(from * 4124, data.length + 8 * 28));
      const rest = await join(seal.seal([data], from));
      assert.deepEqual(await opened(Buffer.concat([arrived, rest])), data);
      const spoilt = await join(seal.seal([flip(data, 100 * 8)], from));
      await assert.rejects(opened(Buffer.concat([arrived, spoilt])), isBroken);
    }
  });

  it('refuses what can not be sealed', () => {
    for (const name of ['', 'x'.repeat(1025), `${'"'.repeat(1024)}x`]) {
      assert.throws(() => sealer({ metadata: { ...metadata, name } }), FailedError);
    }
    for (const pieceBits of [11, 25, 12.5]) assert.throws(() => sealer({ pieceBits }), RangeError);
  });

  it('hands nothing out before its piece is right, and closes what it reads from', async () => {
    const bytes = await join(sealer().seal([randomBytes(20_000)]));
    const at = headerBytes(1) + 4124 + 2 * 4124 + 50;
    let closed = 0;
    async function* source() {
      try {
        yield* inChunks(flip(bytes, at * 8), 500);
      } finally {
        closed += 1;
      }
    }
    const seal = await openSeal(source(), { identity: bob, accept: () => true });
    let read = 0;
    await assert.rejects(async () => {
      for await (const part of seal.data) read += part.length;
    }, isBroken);
    assert.equal(read, 2 * 4096);
    assert.equal(closed, 1);
    await assert.rejects(openSeal(source(), { identity: alice, accept: () => true }));
    assert.equal(closed, 2);
  });

  it('needs the memory of two pieces', async (t) => {
    const chunk = randomBytes(1 << 18);
    function* source() {
      for (let number = 0; number < 1024; number++) yield chunk;
    }
    const seal = sealer({ pieceBits: 20 });
    const start = performance.now();
    const { data } = await openSeal(seal.seal(source()), { identity: bob, accept: () => true });
    let size = 0;
    let most = 0;
    for await (const part of data) {
      size += part.length;
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }
    assert.equal(size, 1024 << 18);
    const seconds = (performance.now() - start) / 1000;
    t.diagnostic(
      `sealed and opened ${(size / 1e9 / seconds).toFixed(2)} GB/s, ${(most / 1e6).toFixed(0)} MB of buffers`,
    );
    assert.ok(most < size / 2);
  });
});
