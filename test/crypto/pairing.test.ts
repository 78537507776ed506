import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PairingKey } from '../../src/crypto/exchange.ts';
import {
  PAIRING_SHARE_BYTES,
  PAIRING_TAG_BYTES,
  PairingDialler,
  type PairingInput,
  PairingListener,
} from '../../src/crypto/pairing.ts';
import { AccessError } from '../../src/errors.ts';
import vectors from '../vectors/cpace.json' with { type: 'json' };
import { flip, fromHex, identities } from './fixed.ts';

const { alice, bob, mallory } = identities;
const base: PairingInput = {
  words: 'aardvark-abandoned',
  purpose: 'send',
  nameplate: 7,
  fpC: alice.fingerprint,
  fpS: bob.fingerprint,
  key: Buffer.alloc(32, 1) as PairingKey,
};

function isWrongCode(error: unknown): true {
  assert.ok(error instanceof AccessError);
  assert.equal(error.code, 'WRONG_CODE');
  assert.equal(error.message, 'the pairing code is wrong, or has been used');
  assert.equal(error.cause, undefined);
  return true;
}

describe('a pairing', () => {
  it('succeeds where both know the words, and every run is another', () => {
    const seen = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const [dialler, listener] = [new PairingDialler(base), new PairingListener(base)];
      const yb = listener.receiveShare(dialler.share);
      const ta = dialler.receiveShare(yb);
      const tb = listener.receiveTag(ta);
      dialler.receiveTag(tb);
      assert.deepEqual([dialler.share.length, yb.length], [PAIRING_SHARE_BYTES, PAIRING_SHARE_BYTES]);
      assert.deepEqual([ta.length, tb.length], [PAIRING_TAG_BYTES, PAIRING_TAG_BYTES]);
      for (const bytes of [dialler.share, yb, ta, tb]) seen.add(bytes.toString('hex'));
    }
    assert.equal(seen.size, 12);
  });

  const others: Record<string, Partial<PairingInput>> = {
    words: { words: 'aardvark-abbreviate' },
    'order of the words': { words: 'abandoned-aardvark' },
    purpose: { purpose: 'pair' },
    nameplate: { nameplate: 8 },
    dialler: { fpC: mallory.fingerprint },
    listener: { fpS: mallory.fingerprint },
    'roles exchanged': { fpC: bob.fingerprint, fpS: alice.fingerprint },
    session: { key: Buffer.alloc(32, 2) as PairingKey },
  };
  for (const [name, other] of Object.entries(others)) {
    it(`fails with another: ${name}`, () => {
      const [dialler, listener] = [new PairingDialler(base), new PairingListener({ ...base, ...other })];
      const ta = dialler.receiveShare(listener.receiveShare(dialler.share));
      assert.throws(() => listener.receiveTag(ta), isWrongCode);
    });
  }

  it('stands between no two sessions', () => {
    // Mallory has one session with each, and hands everything on.
    const toAlice = { ...base, fpS: mallory.fingerprint, key: Buffer.alloc(32, 3) as PairingKey };
    const toBob = { ...base, fpC: mallory.fingerprint, key: Buffer.alloc(32, 4) as PairingKey };
    const [dialler, listener] = [new PairingDialler(toAlice), new PairingListener(toBob)];
    const ta = dialler.receiveShare(listener.receiveShare(dialler.share));
    assert.throws(() => listener.receiveTag(ta), isWrongCode);
    assert.throws(() => dialler.receiveTag(ta), isWrongCode);
  });

  it('lets nobody reflect or replay', () => {
    const dialler = new PairingDialler(base);
    assert.throws(() => dialler.receiveShare(dialler.share), isWrongCode);

    const [first, listener] = [new PairingDialler(base), new PairingListener(base)];
    const ta = first.receiveShare(listener.receiveShare(first.share));
    assert.throws(() => first.receiveTag(ta), isWrongCode, 'its own tag');
    const again = new PairingListener(base);
    again.receiveShare(first.share);
    assert.throws(() => again.receiveTag(ta), isWrongCode, 'the tag of another run');
  });

  it('gives one guess', () => {
    const [dialler, listener] = [new PairingDialler({ ...base, words: 'guess' }), new PairingListener(base)];
    const wrong = dialler.receiveShare(listener.receiveShare(dialler.share));
    assert.throws(() => listener.receiveTag(wrong), isWrongCode);
    assert.throws(() => listener.receiveTag(wrong), isWrongCode);
    assert.throws(() => listener.receiveShare(dialler.share), isWrongCode);
    const right = new PairingDialler(base);
    assert.throws(() => listener.receiveShare(right.share), isWrongCode);
  });

  it('takes every step once and in order', () => {
    const fresh = () => [new PairingDialler(base), new PairingListener(base)] as const;
    const tag = Buffer.alloc(PAIRING_TAG_BYTES);
    const [a, b] = fresh();
    assert.throws(() => a.receiveTag(tag), isWrongCode);
    assert.throws(() => b.receiveTag(tag), isWrongCode);
    const late = new PairingListener(base).receiveShare(a.share);
    assert.throws(() => a.receiveShare(late), isWrongCode, 'it has ended');
    const [c, d] = fresh();
    const yb = d.receiveShare(c.share);
    assert.throws(() => d.receiveShare(c.share), isWrongCode);
    const ta = c.receiveShare(yb);
    assert.throws(() => d.receiveTag(ta), isWrongCode, 'a step too many has ended it');
    assert.throws(() => c.receiveShare(yb), isWrongCode);
  });

  for (const [name, point] of Object.entries(vectors.mustFail)) {
    it(`refuses as a share: ${name}`, () => {
      assert.throws(() => new PairingDialler(base).receiveShare(fromHex(point)), isWrongCode);
      assert.throws(() => new PairingListener(base).receiveShare(fromHex(point)), isWrongCode);
    });
  }

  it('fails with any bit turned, and never otherwise', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom('ya', 'yb', 'ta', 'tb'), (place, which) => {
        const [dialler, listener] = [new PairingDialler(base), new PairingListener(base)];
        const sent = (name: string, bytes: Uint8Array) => (name === which ? flip(bytes, place) : bytes);
        assert.throws(() => {
          const yb = sent('yb', listener.receiveShare(sent('ya', dialler.share)));
          const ta = sent('ta', dialler.receiveShare(yb));
          dialler.receiveTag(sent('tb', listener.receiveTag(ta)));
        }, isWrongCode);
      }),
      { numRuns: 40 },
    );
  });
});
