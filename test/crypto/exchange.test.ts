import assert from 'node:assert/strict';
import { constants, publicEncrypt } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  commitmentOf,
  deriveSession,
  laneExporter,
  laneProof,
  MAX_DECRYPTIONS,
  MAX_WAITING_DECRYPTIONS,
  newShare,
  type SessionInput,
  type SessionKeys,
  SHARE_BYTES,
  sameBytes,
  sessionExporter,
  shareLabel,
  shareOfBytes,
  transcriptHash,
  unwrapShare,
  WRAPPED_SHARE_BYTES,
  wrapShare,
} from '../../src/crypto/exchange.ts';
import { fingerprintBytes, fingerprintOfBytes } from '../../src/crypto/fingerprint.ts';
import { LocalstreamError } from '../../src/errors.ts';
import { encryptionPublicKey, flip, identities, isBadHandshake } from './fixed.ts';

const { alice, bob, mallory } = identities;
const exporter = sessionExporter(Buffer.alloc(32, 0x11));
const labelC = shareLabel('c', alice.fingerprint, bob.fingerprint, exporter);
const bobKey = encryptionPublicKey('bob');

describe('shareLabel', () => {
  it('holds role, both fingerprints and the exporter, byte by byte', () => {
    for (const role of ['c', 's'] as const) {
      const expected = Buffer.concat([
        Buffer.from(`localstream/1 share ${role}`),
        Buffer.alloc(1),
        fingerprintBytes(alice.fingerprint),
        fingerprintBytes(bob.fingerprint),
        exporter,
      ]);
      assert.deepEqual(Buffer.from(shareLabel(role, alice.fingerprint, bob.fingerprint, exporter)), expected);
    }
  });
});

describe('wrapShare and unwrapShare', () => {
  it('carry a share to the holder of the key, differently each time', async () => {
    const share = newShare();
    const [one, other] = [wrapShare(bobKey, share, labelC), wrapShare(bobKey, share, labelC)];
    assert.equal(one.length, WRAPPED_SHARE_BYTES);
    assert.ok(!one.equals(other));
    assert.deepEqual(await unwrapShare(bob, one, labelC), share);
    assert.deepEqual(await unwrapShare(bob, other, labelC), share);
  });

  it('draw a new share each time', () => {
    const drawn = new Set(Array.from({ length: 100 }, () => newShare().toString('hex')));
    assert.equal(drawn.size, 100);
    assert.equal(newShare().length, SHARE_BYTES);
  });

  it('refuse a share replayed in another role, between other peers or on another connection', async () => {
    const ciphertext = wrapShare(bobKey, newShare(), labelC);
    const [fpC, fpS] = [alice.fingerprint, bob.fingerprint];
    const others = {
      role: shareLabel('s', fpC, fpS, exporter),
      exchanged: shareLabel('c', fpS, fpC, exporter),
      dialler: shareLabel('c', mallory.fingerprint, fpS, exporter),
      listener: shareLabel('c', fpC, mallory.fingerprint, exporter),
      connection: shareLabel('c', fpC, fpS, sessionExporter(Buffer.alloc(32, 0x12))),
    };
    for (const [name, label] of Object.entries(others)) {
      await assert.rejects(unwrapShare(bob, ciphertext, label), isBadHandshake, name);
    }
  });

  it('refuse every flipped bit, and any other key', async () => {
    const ciphertext = wrapShare(bobKey, newShare(), labelC);
    await assert.rejects(unwrapShare(mallory, ciphertext, labelC), isBadHandshake);
    const property = fc.asyncProperty(fc.nat(WRAPPED_SHARE_BYTES * 8 - 1), (place) =>
      assert.rejects(unwrapShare(bob, flip(ciphertext, place), labelC), isBadHandshake),
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it('fail in one way only: no code, text, property or cause tells where', async () => {
    const oaep = {
      key: bobKey,
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: 'sha256',
      oaepLabel: labelC,
    };
    const good = wrapShare(bobKey, newShare(), labelC);
    const ciphertexts = [
      Buffer.alloc(0),
      good.subarray(1),
      Buffer.concat([good, Buffer.alloc(1)]),
      flip(good, 0),
      Buffer.alloc(WRAPPED_SHARE_BYTES),
      Buffer.alloc(WRAPPED_SHARE_BYTES, 0xff),
      publicEncrypt({ ...oaep, oaepLabel: Buffer.from('another') }, Buffer.alloc(32)),
      publicEncrypt({ ...oaep, oaepHash: 'sha1' }, Buffer.alloc(32)),
      publicEncrypt({ key: bobKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(32)),
      publicEncrypt(oaep, Buffer.alloc(31)),
      publicEncrypt(oaep, Buffer.alloc(33)),
    ];
    const seen = new Set<string>();
    for (const ciphertext of ciphertexts) {
      await assert.rejects(unwrapShare(bob, ciphertext, labelC), (error) => {
        isBadHandshake(error);
        assert.ok(error instanceof LocalstreamError);
        assert.equal(error.cause, undefined);
        seen.add(JSON.stringify([error.name, error.message, Object.entries(error), error.cause]));
        return true;
      });
    }
    assert.equal(seen.size, 1);
  });

  it('bound what strangers can set in motion, and serve again afterwards', async () => {
    const share = newShare();
    const ciphertext = wrapShare(bobKey, share, labelC);
    const room = MAX_DECRYPTIONS + MAX_WAITING_DECRYPTIONS;
    const asked = Array.from({ length: room + 20 }, () => unwrapShare(bob, ciphertext, labelC));
    // What cannot be a ciphertext does not even queue.
    await assert.rejects(unwrapShare(bob, ciphertext.subarray(1), labelC), isBadHandshake);
    const results = await Promise.allSettled(asked);
    const busy = results.filter(
      (result) =>
        result.status === 'rejected' &&
        result.reason instanceof LocalstreamError &&
        result.reason.code === 'BUSY',
    );
    assert.equal(results.filter((result) => result.status === 'fulfilled').length, room);
    assert.equal(busy.length, 20);
    assert.deepEqual(await unwrapShare(bob, ciphertext, labelC), share);
  });
});

describe('checked lengths', () => {
  it('take 32 bytes and nothing else', () => {
    for (const length of [0, 31, 33, 64]) {
      const bytes = Buffer.alloc(length);
      for (const mark of [sessionExporter, laneExporter, shareOfBytes]) {
        assert.throws(() => mark(bytes), RangeError);
      }
    }
  });

  it('copy what they take, so that a buffer used again changes no key', () => {
    const bytes = Buffer.alloc(32, 1);
    const marked = [sessionExporter(bytes), laneExporter(bytes), shareOfBytes(bytes)];
    bytes.fill(2);
    for (const mark of marked) assert.deepEqual(Buffer.from(mark), Buffer.alloc(32, 1));
  });
});

describe('sameBytes', () => {
  it('says whether bytes are the same, whatever their lengths', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (left, right) => {
        assert.equal(sameBytes(left, Uint8Array.from(left)), true);
        assert.equal(sameBytes(left, right), Buffer.compare(left, right) === 0);
        assert.equal(sameBytes(left, Buffer.concat([left, Buffer.alloc(1)])), false);
      }),
    );
  });
});

describe('transcriptHash', () => {
  it('tells apart the same bytes cut elsewhere', () => {
    const bytes = Buffer.from('abcdefgh');
    const cuts = fc.tuple(fc.nat(8), fc.nat(8), fc.nat(8)).map((all) => all.sort((a, b) => a - b));
    const hash = ([a, b, c]: readonly [number, number, number]): string =>
      transcriptHash(
        bytes.subarray(0, a),
        bytes.subarray(a, b),
        bytes.subarray(b, c),
        bytes.subarray(c),
      ).toString('hex');
    fc.assert(
      fc.property(cuts, cuts, (one, other) => {
        assert.equal(hash(one) === hash(other), one.join() === other.join());
      }),
    );
  });
});

interface Material {
  readonly exporter: Uint8Array;
  readonly shareC: Uint8Array;
  readonly shareS: Uint8Array;
  readonly helloC: Uint8Array;
  readonly helloS: Uint8Array;
  readonly ctC: Uint8Array;
  readonly ctS: Uint8Array;
  readonly fpC: Uint8Array;
  readonly fpS: Uint8Array;
}

function inputOf(material: Material): SessionInput {
  return {
    exporter: sessionExporter(material.exporter),
    shareC: shareOfBytes(material.shareC),
    shareS: shareOfBytes(material.shareS),
    transcript: transcriptHash(material.helloC, material.helloS, material.ctC, material.ctS),
    fpC: fingerprintOfBytes(material.fpC),
    fpS: fingerprintOfBytes(material.fpS),
  };
}

/** Everything derived but the check number, which is short enough to coincide by chance. */
function secretsOf(keys: SessionKeys): string[] {
  const { id, confirmC, confirmS, laneC, laneS, pairing } = keys;
  return [id, confirmC, confirmS, laneC, laneS, pairing].map((bytes) => bytes.toString('hex'));
}

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const message = fc.uint8Array({ minLength: 1, maxLength: 400 });
const material: fc.Arbitrary<Material> = fc.record({
  exporter: bytes32,
  shareC: bytes32,
  shareS: bytes32,
  helloC: message,
  helloS: message,
  ctC: message,
  ctS: message,
  fpC: bytes32,
  fpS: bytes32,
});
const inputName = fc.constantFrom<keyof Material>(
  'exporter',
  'shareC',
  'shareS',
  'helloC',
  'helloS',
  'ctC',
  'ctS',
  'fpC',
  'fpS',
);

describe('deriveSession', () => {
  it('gives the same keys for the same input, each of its length and all different', () => {
    fc.assert(
      fc.property(material, (given) => {
        const keys = deriveSession(inputOf(given));
        assert.deepEqual(deriveSession(inputOf(given)), keys);
        assert.deepEqual(
          secretsOf(keys).map((text) => text.length / 2),
          [16, 32, 32, 32, 32, 32],
        );
        assert.equal(new Set(secretsOf(keys).map((text) => text.slice(0, 32))).size, 6);
        assert.match(keys.checkNumber, /^[0-9]{6}$/);
      }),
    );
  });

  it('changes every key with any one bit of any input', () => {
    fc.assert(
      fc.property(material, inputName, fc.nat(), (given, name, place) => {
        const before = secretsOf(deriveSession(inputOf(given)));
        const after = secretsOf(deriveSession(inputOf({ ...given, [name]: flip(given[name], place) })));
        assert.equal(new Set([...before, ...after]).size, 12);
      }),
      { numRuns: 500 },
    );
  });

  it('does not confuse the two sides', () => {
    fc.assert(
      fc.property(material, (given) => {
        const before = secretsOf(deriveSession(inputOf(given)));
        const shares = { ...given, shareC: given.shareS, shareS: given.shareC };
        const fingerprints = { ...given, fpC: given.fpS, fpS: given.fpC };
        for (const exchanged of [shares, fingerprints]) {
          const after = secretsOf(deriveSession(inputOf(exchanged)));
          assert.equal(new Set([...before, ...after]).size, 12);
        }
      }),
    );
  });

  it('changes the check number with the listener’s share, which the commitment fixes beforehand', () => {
    const base = {
      exporter,
      shareC: shareOfBytes(Buffer.alloc(32, 1)),
      transcript: transcriptHash(Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)),
      fpC: alice.fingerprint,
      fpS: bob.fingerprint,
    };
    const numbers = Array.from({ length: 200 }, (_, index) => {
      const shareS = shareOfBytes(Buffer.alloc(32, index));
      return deriveSession({ ...base, shareS }).checkNumber;
    });
    assert.ok(new Set(numbers).size > 195);
    const ciphertext = Buffer.alloc(384, 7);
    assert.notDeepEqual(commitmentOf(ciphertext), commitmentOf(flip(ciphertext, 3000)));
  });
});

describe('laneProof', () => {
  const keys = deriveSession({
    exporter,
    shareC: shareOfBytes(Buffer.alloc(32, 1)),
    shareS: shareOfBytes(Buffer.alloc(32, 2)),
    transcript: transcriptHash(Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(1)),
    fpC: alice.fingerprint,
    fpS: bob.fingerprint,
  });

  it('is bound to role, connection, session and number', () => {
    const u32 = fc.nat(0xffffffff);
    fc.assert(
      fc.property(bytes32, fc.nat(), u32, u32, (exporterBytes, place, number, otherNumber) => {
        fc.pre(number !== otherNumber);
        const xl = laneExporter(exporterBytes);
        const otherKeys = deriveSession({
          ...inputOf({
            exporter: flip(exporter, place),
            shareC: Buffer.alloc(32, 1),
            shareS: Buffer.alloc(32, 2),
            helloC: Buffer.alloc(1),
            helloS: Buffer.alloc(1),
            ctC: Buffer.alloc(1),
            ctS: Buffer.alloc(1),
            fpC: fingerprintBytes(alice.fingerprint),
            fpS: fingerprintBytes(bob.fingerprint),
          }),
        });
        const proofs = [
          laneProof('c', keys, xl, keys.id, number),
          laneProof('s', keys, xl, keys.id, number),
          laneProof('c', keys, xl, keys.id, otherNumber),
          laneProof('c', keys, laneExporter(flip(xl, place)), keys.id, number),
          laneProof('c', keys, xl, otherKeys.id, number),
          laneProof('c', otherKeys, xl, keys.id, number),
        ];
        assert.equal(new Set(proofs.map((proof) => proof.toString('hex'))).size, proofs.length);
        assert.deepEqual(laneProof('c', keys, xl, keys.id, number), proofs[0]);
      }),
    );
  });

  it('refuses numbers that four bytes do not hold', () => {
    const xl = laneExporter(Buffer.alloc(32));
    for (const number of [-1, 2 ** 32, 2 ** 53, Number.NaN, 1.5]) {
      assert.throws(() => laneProof('c', keys, xl, keys.id, number), RangeError, String(number));
    }
  });
});

describe('types', () => {
  it('do not let one secret stand in for another', () => {
    // Checked by the compiler: each of these lines is an error, else the directive itself is one.
    const mixed = (keys: SessionKeys, input: SessionInput): void => {
      // @ts-expect-error a lane's exporter is not the session's
      deriveSession({ ...input, exporter: laneExporter(Buffer.alloc(32)) });
      // @ts-expect-error an exporter's output is no share
      deriveSession({ ...input, shareC: input.exporter });
      // @ts-expect-error plain bytes are no share
      wrapShare(bobKey, Buffer.alloc(32), labelC);
      // @ts-expect-error plain bytes are no label: a sealed file's label must not open a share
      void unwrapShare(bob, Buffer.alloc(384), Buffer.from('localstream/1 seal\0'));
      // @ts-expect-error the listener's key is not the dialler's
      laneProof('c', { laneC: keys.laneS, laneS: keys.laneS }, laneExporter(exporter), keys.id, 1);
      // @ts-expect-error a session's exporter is not a lane's
      laneProof('c', keys, exporter, keys.id, 1);
      // @ts-expect-error text is no fingerprint until it is checked
      shareLabel('c', 'SHA256:…', bob.fingerprint, exporter);
    };
    assert.equal(typeof mixed, 'function');
  });
});
