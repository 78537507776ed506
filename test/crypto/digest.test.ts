import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createDigest, DIGEST_BYTES, digestOf } from '../../src/crypto/digest.ts';

/** The input of BLAKE3's published test vectors: the bytes 0, 1, … 250, again and again. */
function published(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => index % 251));
}

describe('digest', () => {
  it('is BLAKE3, by its published vectors', () => {
    const vectors = {
      0: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
      1: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
      1024: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
      1025: 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444',
      102400: 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085',
    };
    for (const [length, expected] of Object.entries(vectors)) {
      const bytes = published(Number(length));
      const digest = createDigest();
      digest.update(bytes);
      assert.equal(digestOf(bytes).toString('hex'), expected);
      assert.equal(digest.digest().toString('hex'), expected);
      assert.equal(digest.digest().length, DIGEST_BYTES);
    }
  });

  it('may be asked at any moment and goes on, and starts again after a reset', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5000 })), (parts) => {
        const digest = createDigest();
        for (let count = 0; count < parts.length; count += 1) {
          digest.update(parts[count] ?? Buffer.alloc(0));
          const sofar = digestOf(Buffer.concat(parts.slice(0, count + 1)));
          assert.deepEqual(digest.digest(), sofar);
          assert.deepEqual(digest.digest(), sofar);
        }
        digest.reset();
        assert.deepEqual(digest.digest(), digestOf(Buffer.alloc(0)));
      }),
    );
  });

  it('reads any window of shared memory, as it is now', () => {
    const shared = new SharedArrayBuffer(300_000);
    const whole = new Uint8Array(shared);
    whole.set(published(300_000));
    fc.assert(
      fc.property(fc.nat(300_000), fc.nat(300_000), (one, other) => {
        const [start, end] = [Math.min(one, other), Math.max(one, other)];
        const expected = digestOf(Buffer.from(whole.slice(start, end)));
        for (const view of [
          new Uint8Array(shared, start, end - start),
          Buffer.from(shared, start, end - start),
        ]) {
          const digest = createDigest();
          digest.update(view);
          assert.deepEqual(digest.digest(), expected);
          assert.deepEqual(digestOf(view), expected);
        }
      }),
    );
    const before = digestOf(whole);
    whole[299_999] = 255;
    assert.notDeepEqual(digestOf(whole), before);
  });

  it('gives digests that later ones do not write over', () => {
    const digest = createDigest();
    const first = digest.digest();
    const copy = Buffer.from(first);
    digest.update(published(10));
    digest.digest();
    digestOf(published(11));
    assert.deepEqual(first, copy);
  });
});
