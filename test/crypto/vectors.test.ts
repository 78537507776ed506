/** Replays the vector files whole, and computes the key schedule a second time by hand. */
import assert from 'node:assert/strict';
import { createHash, createHmac, createPublicKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { checkCertificate } from '../../src/crypto/certificate.ts';
import {
  commitmentOf,
  deriveSession,
  type LaneKeyC,
  type LaneKeyS,
  laneExporter,
  laneProof,
  type SessionId,
  type ShareLabel,
  sameBytes,
  sessionExporter,
  shareLabel,
  transcriptHash,
  unwrapShare,
} from '../../src/crypto/exchange.ts';
import { fingerprintBytes, isFingerprint, parseFingerprint } from '../../src/crypto/fingerprint.ts';
import { certifiedEncryptionKey, serializeIdentity } from '../../src/crypto/identity.ts';
import { verifyReceipt } from '../../src/crypto/receipt.ts';
import { UsageError } from '../../src/errors.ts';
import identityVectors from '../vectors/identity.json' with { type: 'json' };
import laneVectors from '../vectors/lane.json' with { type: 'json' };
import receiptVectors from '../vectors/receipt.json' with { type: 'json' };
import sessionVectors from '../vectors/session.json' with { type: 'json' };
import { fromHex, identityOf, isBadHandshake, signingPublicKey } from './fixed.ts';

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  return createHmac('sha256', key).update(Buffer.concat(parts)).digest();
}

/** RFC 5869, section 2.3, for at most one block. */
function expand(prk: Uint8Array, info: Uint8Array, length: number): Buffer {
  assert.ok(length <= 32);
  return hmac(prk, info, Buffer.from([1])).subarray(0, length);
}

function lv(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0, 0, bytes.length >> 8, bytes.length & 0xff]), Buffer.from(bytes)]);
}

describe('identity.json', () => {
  for (const [name, vector] of Object.entries(identityVectors.identities)) {
    it(name, () => {
      const identity = identityOf(name);
      const digest = createHash('sha256').update(fromHex(vector.signingSpki)).digest();
      assert.equal(vector.fingerprintBytes, digest.toString('hex'));
      assert.equal(vector.fingerprint, `SHA256:${digest.toString('base64').replace('=', '')}`);
      assert.equal(identity.fingerprint, vector.fingerprint);
      assert.equal(
        fingerprintBytes(parseFingerprint(vector.fingerprint)).toString('hex'),
        digest.toString('hex'),
      );
      assert.deepEqual(identity.signingSpki, fromHex(vector.signingSpki));
      assert.deepEqual(identity.encryptionSpki, fromHex(vector.encryptionSpki));
      assert.deepEqual(identity.encryptionSignature, fromHex(vector.encryptionSignature));
      assert.deepEqual(serializeIdentity(identity), vector.record);
      const peer = checkCertificate(fromHex(vector.certificate));
      assert.equal(peer.fingerprint, vector.fingerprint);
      const key = certifiedEncryptionKey(
        peer.publicKey,
        fromHex(vector.encryptionSpki),
        fromHex(vector.encryptionSignature),
      );
      assert.ok(key.equals(createPublicKey(identity.encryptionKey)));
    });
  }

  for (const [name, certificate] of Object.entries(identityVectors.sameKey)) {
    it(`same key: ${name}`, () => {
      const checked = checkCertificate(fromHex(certificate));
      assert.equal(checked.fingerprint, identityVectors.identities.alice.fingerprint);
    });
  }

  for (const [name, text] of Object.entries(identityVectors.mustFail.fingerprint)) {
    it(`must fail: fingerprint, ${name}`, () => {
      assert.equal(isFingerprint(text), false);
      assert.throws(() => parseFingerprint(text), UsageError);
    });
  }

  for (const [name, certificate] of Object.entries(identityVectors.mustFail.certificate)) {
    it(`must fail: certificate, ${name}`, () => {
      assert.throws(() => checkCertificate(fromHex(certificate)), isBadHandshake);
    });
  }

  for (const [name, vector] of Object.entries(identityVectors.mustFail.encryptionKey)) {
    it(`must fail: encryption key, ${name}`, () => {
      const [spki, signature] = [fromHex(vector.spki), fromHex(vector.signature)];
      assert.throws(
        () => certifiedEncryptionKey(signingPublicKey(vector.signer), spki, signature),
        isBadHandshake,
      );
    });
  }
});

describe('session.json', () => {
  it('is checked with an HKDF that agrees with RFC 5869, test case 1', () => {
    const prk = hmac(fromHex('000102030405060708090a0b0c'), Buffer.alloc(22, 0x0b));
    assert.equal(prk.toString('hex'), '077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5');
    assert.equal(
      expand(prk, fromHex('f0f1f2f3f4f5f6f7f8f9'), 32).toString('hex'),
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf',
    );
  });

  for (const [name, vector] of Object.entries(sessionVectors.cases)) {
    const [client, server] = [identityOf(vector.client), identityOf(vector.server)];
    const [fpC, fpS] = [client.fingerprint, server.fingerprint];

    it(`${name}: what localstream computes`, async () => {
      const exporter = sessionExporter(fromHex(vector.exporter));
      const [labelC, labelS] = [shareLabel('c', fpC, fpS, exporter), shareLabel('s', fpC, fpS, exporter)];
      assert.equal(labelC.toString('hex'), vector.labelC);
      assert.equal(labelS.toString('hex'), vector.labelS);
      const [ctC, ctS] = [fromHex(vector.ctC), fromHex(vector.ctS)];
      const shareC = await unwrapShare(server, ctC, labelC);
      const shareS = await unwrapShare(client, ctS, labelS);
      assert.equal(shareC.toString('hex'), vector.shareC);
      assert.equal(shareS.toString('hex'), vector.shareS);
      assert.equal(commitmentOf(ctS).toString('hex'), vector.commitment);
      const transcript = transcriptHash(fromHex(vector.helloC), fromHex(vector.helloS), ctC, ctS);
      assert.equal(transcript.toString('hex'), vector.transcriptHash);
      const keys = deriveSession({ exporter, shareC, shareS, transcript, fpC, fpS });
      assert.deepEqual(
        {
          id: keys.id.toString('hex'),
          checkNumber: keys.checkNumber,
          confirmC: keys.confirmC.toString('hex'),
          confirmS: keys.confirmS.toString('hex'),
          laneC: keys.laneC.toString('hex'),
          laneS: keys.laneS.toString('hex'),
          pairing: keys.pairing.toString('hex'),
        },
        {
          id: vector.id,
          checkNumber: vector.checkNumber,
          confirmC: vector.macC,
          confirmS: vector.macS,
          laneC: vector.keys['lane c'],
          laneS: vector.keys['lane s'],
          pairing: vector.keys.pairing,
        },
      );
    });

    it(`${name}: the same by hand`, () => {
      const names = [fpC, fpS].map((text) => Buffer.from(`${text.slice(7)}=`, 'base64'));
      const [exporter, ctC, ctS] = [fromHex(vector.exporter), fromHex(vector.ctC), fromHex(vector.ctS)];
      const label = (role: string): string =>
        Buffer.concat([Buffer.from(`localstream/1 share ${role}\0`), ...names, exporter]).toString('hex');
      assert.deepEqual([label('c'), label('s')], [vector.labelC, vector.labelS]);
      const hellos = [fromHex(vector.helloC), fromHex(vector.helloS)];
      const transcript = createHash('sha256')
        .update(Buffer.concat([...hellos, ctC, ctS].map(lv)))
        .digest();
      assert.equal(transcript.toString('hex'), vector.transcriptHash);
      assert.equal(createHash('sha256').update(ctS).digest('hex'), vector.commitment);
      assert.equal(vector.secret, vector.exporter + vector.shareC + vector.shareS);
      const prk = hmac(transcript, fromHex(vector.secret));
      assert.equal(prk.toString('hex'), vector.prk);
      const lengths = {
        'confirm c': 32,
        'confirm s': 32,
        'session id': 16,
        check: 8,
        'lane c': 32,
        'lane s': 32,
        pairing: 32,
      };
      const keys = Object.entries(lengths).map(([key, length]) => {
        const info = Buffer.concat([Buffer.from(`localstream/1 ${key}\0`), ...names]);
        return [key, expand(prk, info, length).toString('hex')];
      });
      assert.deepEqual(Object.fromEntries(keys), vector.keys);
      assert.equal(hmac(fromHex(vector.keys['confirm c']), transcript).toString('hex'), vector.macC);
      assert.equal(hmac(fromHex(vector.keys['confirm s']), transcript).toString('hex'), vector.macS);
      assert.equal(vector.id, vector.keys['session id']);
      const check = BigInt(`0x${vector.keys.check}`) % 1_000_000n;
      assert.equal(vector.checkNumber, `00000${check}`.slice(-6));
    });
  }

  it('has a check number that begins with zeros', () => {
    const vector = sessionVectors.cases['a check number that begins with zeros'];
    assert.match(vector.checkNumber, /^00\d{4}$/);
  });

  for (const [name, vector] of Object.entries(sessionVectors.mustFail)) {
    it(`must fail: ${name}`, async () => {
      const label = fromHex(vector.label) as ShareLabel;
      const opened = unwrapShare(identityOf(vector.receiver), fromHex(vector.ciphertext), label);
      await assert.rejects(opened, isBadHandshake);
    });
  }
});

describe('lane.json', () => {
  const id = fromHex(laneVectors.id) as SessionId;
  const keys = {
    laneC: fromHex(laneVectors.laneC) as LaneKeyC,
    laneS: fromHex(laneVectors.laneS) as LaneKeyS,
  };

  it('belongs to the first session of session.json', () => {
    const session = sessionVectors.cases['alice dials bob'];
    assert.deepEqual(
      [laneVectors.id, laneVectors.laneC, laneVectors.laneS],
      [session.id, session.keys['lane c'], session.keys['lane s']],
    );
  });

  for (const [name, vector] of Object.entries(laneVectors.cases)) {
    it(name, () => {
      const xl = laneExporter(fromHex(vector.exporter));
      assert.equal(laneProof('c', keys, xl, id, vector.number).toString('hex'), vector.proofC);
      assert.equal(laneProof('s', keys, xl, id, vector.number).toString('hex'), vector.proofS);
      const number = fromHex(vector.number.toString(16).padStart(8, '0'));
      assert.equal(hmac(keys.laneC, xl, id, number).toString('hex'), vector.proofC);
      assert.equal(hmac(keys.laneS, xl, id, number).toString('hex'), vector.proofS);
    });
  }

  for (const [name, vector] of Object.entries(laneVectors.mustFail)) {
    it(`must fail: ${name}`, () => {
      assert.equal(vector.role, 'c');
      const expected = laneProof('c', keys, laneExporter(fromHex(vector.exporter)), id, vector.number);
      assert.equal(sameBytes(expected, fromHex(vector.presented)), false);
    });
  }
});

describe('receipt.json', () => {
  for (const [name, vector] of Object.entries(receiptVectors.cases)) {
    it(name, () => {
      const signer = signingPublicKey(vector.signer);
      assert.equal(verifyReceipt(signer, fromHex(vector.body), fromHex(vector.signature)), true);
    });
  }

  for (const [name, vector] of Object.entries(receiptVectors.mustFail)) {
    it(`must fail: ${name}`, () => {
      const signer = signingPublicKey(vector.signer);
      assert.equal(verifyReceipt(signer, fromHex(vector.body), fromHex(vector.signature)), false);
    });
  }
});
