import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  calculateGenerator,
  confirmationTags,
  generatorString,
  lvCat,
  prependLength,
  type Scalar,
  sampleScalar,
  scalarMult,
  scalarMultVerify,
  sessionKey,
  transcriptIr,
} from '../../src/crypto/cpace.ts';
import vectors from '../vectors/cpace.json' with { type: 'json' };
import { fromHex } from './fixed.ts';

const scalarOf = (text: string) => fromHex(text) as Scalar;
const { run } = vectors;
const transcript = {
  ya: fromHex(run.shareA),
  ada: fromHex(run.ada),
  yb: fromHex(run.shareB),
  adb: fromHex(run.adb),
};

describe('cpace.json', () => {
  it('lengths', () => {
    for (const { bytes, result } of vectors.prependLength) {
      assert.equal(prependLength(fromHex(bytes)).toString('hex'), result);
    }
    assert.deepEqual(prependLength(Buffer.alloc(300)).subarray(0, 2), Buffer.from([0xac, 0x02]));
    assert.equal(lvCat(...vectors.lvCat.parts.map(fromHex)).toString('hex'), vectors.lvCat.result);
  });

  it('transcripts', () => {
    for (const { ya, ada, yb, adb, result } of vectors.transcriptIr) {
      const given = { ya: fromHex(ya), ada: fromHex(ada), yb: fromHex(yb), adb: fromHex(adb) };
      assert.equal(transcriptIr(given).toString('hex'), result);
    }
  });

  it('generator', () => {
    const { prs, ci, sid, string, generator } = vectors.generator;
    const inputs = [prs, ci, sid].map(fromHex) as [Buffer, Buffer, Buffer];
    assert.equal(generatorString(...inputs).toString('hex'), string);
    assert.equal(Buffer.from(calculateGenerator(...inputs).toBytes()).toString('hex'), generator);
  });

  it('a whole run', () => {
    const [prs, ci, sid] = [run.prs, run.ci, run.sid].map(fromHex) as [Buffer, Buffer, Buffer];
    const generator = calculateGenerator(prs, ci, sid);
    assert.equal(scalarMult(scalarOf(run.ya), generator).toString('hex'), run.shareA);
    assert.equal(scalarMult(scalarOf(run.yb), generator).toString('hex'), run.shareB);
    assert.equal(scalarMultVerify(scalarOf(run.ya), transcript.yb)?.toString('hex'), run.k);
    assert.equal(scalarMultVerify(scalarOf(run.yb), transcript.ya)?.toString('hex'), run.k);
    assert.equal(sessionKey(sid, fromHex(run.k), transcript).toString('hex'), run.isk);
  });

  it('multiplication', () => {
    const { scalar, point, product } = vectors.multiplication;
    assert.equal(scalarMultVerify(scalarOf(scalar), fromHex(point))?.toString('hex'), product);
  });

  for (const [name, point] of Object.entries(vectors.mustFail)) {
    it(`must fail: ${name}`, () => {
      const scalar = scalarOf(vectors.multiplication.scalar);
      assert.equal(scalarMultVerify(scalar, fromHex(point)), undefined);
    });
  }
});

it('draws scalars of 252 bits, each another', () => {
  const drawn = new Set<string>();
  let all = 0;
  for (let round = 0; round < 200; round++) {
    const scalar = sampleScalar();
    assert.equal(scalar.length, 32);
    const top = scalar.readUInt8(31);
    assert.ok(top < 16);
    all |= top;
    drawn.add(scalar.toString('hex'));
  }
  assert.equal(drawn.size, 200);
  assert.equal(all, 15, 'and none of the bits is always zero');
});

it('makes the tags as the draft writes them', async () => {
  const sid = fromHex(run.sid);
  const isk = fromHex(run.isk);
  const { ta, tb } = confirmationTags(sid, isk, transcript);
  const key = createHash('sha512')
    .update(Buffer.concat([Buffer.from('CPaceMac'), sid, isk]))
    .digest();
  // HMAC by its definition (RFC 2104), with a block of 128 bytes.
  const block = Buffer.concat([key, Buffer.alloc(64)]);
  const pad = (byte: number) => block.map((value) => value ^ byte);
  const hmac = (message: Uint8Array) => {
    const inner = createHash('sha512').update(pad(0x36)).update(message).digest();
    return createHash('sha512').update(pad(0x5c)).update(inner).digest('hex');
  };
  assert.equal(ta.toString('hex'), hmac(fromHex(`20${run.shareA}03${run.ada}`)));
  assert.equal(tb.toString('hex'), hmac(fromHex(`20${run.shareB}03${run.adb}`)));
});
