import { constants, createHmac, createPublicKey, publicEncrypt } from 'node:crypto';
import * as exchange from '../../src/crypto/exchange.ts';
import { fingerprintBytes } from '../../src/crypto/fingerprint.ts';
import type { Identity } from '../../src/crypto/identity.ts';
import { fixed, flipped, hexOf, VectorFile } from './frozen.ts';
import { identities, type KeyName } from './keys.ts';

const file = new VectorFile('session.json');
const { alice, bob, mallory } = identities;

interface SessionPlan {
  readonly client: KeyName;
  readonly server: KeyName;
  readonly seed: string;
  readonly helloC: Uint8Array;
  readonly helloS: Uint8Array;
}

function session(name: string, plan: SessionPlan) {
  const [client, server] = [identities[plan.client], identities[plan.server]];
  const [fpC, fpS] = [client.fingerprint, server.fingerprint];
  const exporter = exchange.sessionExporter(fixed(`${plan.seed} exporter`));
  const shareC = exchange.shareOfBytes(fixed(`${plan.seed} share c`));
  const shareS = exchange.shareOfBytes(fixed(`${plan.seed} share s`));
  const labelC = exchange.shareLabel('c', fpC, fpS, exporter);
  const labelS = exchange.shareLabel('s', fpC, fpS, exporter);
  const wrap = (field: string, to: Identity, share: exchange.Share, label: exchange.ShareLabel): Buffer =>
    file.frozen(['cases', name, field], () =>
      exchange.wrapShare(createPublicKey(to.encryptionKey), share, label),
    );
  const ctC = wrap('ctC', server, shareC, labelC);
  const ctS = wrap('ctS', client, shareS, labelS);
  const transcript = exchange.transcriptHash(plan.helloC, plan.helloS, ctC, ctS);
  const derived = exchange.deriveSession({ exporter, shareC, shareS, transcript, fpC, fpS });
  const secret = Buffer.concat([exporter, shareC, shareS]);
  const prk = createHmac('sha256', transcript).update(secret).digest();
  const expand = (label: string, length: number): Buffer => {
    const fingerprints = [fingerprintBytes(fpC), fingerprintBytes(fpS), Buffer.from([1])];
    const info = Buffer.concat([Buffer.from(`localstream/1 ${label}\0`), ...fingerprints]);
    return createHmac('sha256', prk).update(info).digest().subarray(0, length);
  };
  const entry = {
    client: plan.client,
    server: plan.server,
    ...hexOf({
      helloC: plan.helloC,
      helloS: plan.helloS,
      exporter,
      shareC,
      shareS,
      labelC,
      labelS,
      ctC,
      ctS,
      commitment: exchange.commitmentOf(ctS),
      transcriptHash: transcript,
      secret,
      prk,
    }),
    keys: hexOf({
      'confirm c': expand('confirm c', 32),
      'confirm s': expand('confirm s', 32),
      'session id': expand('session id', 16),
      check: expand('check', 8),
      'lane c': expand('lane c', 32),
      'lane s': expand('lane s', 32),
      pairing: expand('pairing', 32),
    }),
    ...hexOf({ macC: derived.confirmC, macS: derived.confirmS, id: derived.id }),
    checkNumber: derived.checkNumber,
  };
  return { entry, derived, exporter, labelC, labelS, shareC, ctC };
}

const helloC = Buffer.from('{"type":"hello","versions":[1],"caps":[]}');
const helloS = Buffer.from('{"type":"hello","version":1,"caps":[]}');
const first = { client: 'alice', server: 'bob', seed: 'first', helloC, helloS } as const;

const ZEROS = 'a check number that begins with zeros';

function zerosCase() {
  for (let count = 0; ; count += 1) {
    const { entry } = session(ZEROS, { ...first, helloC: Buffer.from(`hello ${count}`) });
    if (entry.checkNumber.startsWith('00')) return entry;
  }
}

/** The exchange and the key schedule. Returns the first session's keys, which the lanes' vectors use. */
export function writeSessionVectors(): exchange.SessionKeys {
  const name = 'alice dials bob';
  const made = session(name, first);
  const { exporter, labelC, shareC, ctC } = made;
  const [fpC, fpS] = [alice.fingerprint, bob.fingerprint];
  const bobKey = createPublicKey(bob.encryptionKey);
  const oaep = {
    key: bobKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: 'sha256',
    oaepLabel: labelC,
  };
  const modulus = Buffer.from(bobKey.export({ format: 'jwk' }).n ?? '', 'base64url');
  const failures: Record<string, [label: Uint8Array, make: () => Uint8Array]> = {
    'label of the other role': [exchange.shareLabel('s', fpC, fpS, exporter), () => ctC],
    'label with the fingerprints exchanged': [exchange.shareLabel('c', fpS, fpC, exporter), () => ctC],
    'label of another peer': [exchange.shareLabel('c', mallory.fingerprint, fpS, exporter), () => ctC],
    'label of another connection': [
      exchange.shareLabel('c', fpC, fpS, exchange.sessionExporter(fixed('another connection'))),
      () => ctC,
    ],
    'a seal, not a share': [Buffer.from('localstream/1 seal\0'), () => ctC],
    'no label': [labelC, () => publicEncrypt({ ...oaep, oaepLabel: Buffer.alloc(0) }, shareC)],
    'wrapped for another': [
      labelC,
      () => publicEncrypt({ ...oaep, key: createPublicKey(mallory.encryptionKey) }, shareC),
    ],
    'wrapped for the signing key': [
      labelC,
      () => publicEncrypt({ ...oaep, key: createPublicKey(bob.signingKey) }, shareC),
    ],
    'OAEP with SHA-1': [labelC, () => publicEncrypt({ ...oaep, oaepHash: 'sha1' }, shareC)],
    'OAEP with SHA-512': [labelC, () => publicEncrypt({ ...oaep, oaepHash: 'sha512' }, shareC)],
    'PKCS #1 v1.5': [
      labelC,
      () => publicEncrypt({ key: bobKey, padding: constants.RSA_PKCS1_PADDING }, shareC),
    ],
    'a share of 31 bytes': [labelC, () => publicEncrypt(oaep, shareC.subarray(1))],
    'a share of 33 bytes': [labelC, () => publicEncrypt(oaep, Buffer.concat([shareC, Buffer.alloc(1)]))],
    'an empty share': [labelC, () => publicEncrypt(oaep, Buffer.alloc(0))],
    'first bit flipped': [labelC, () => flipped(ctC, 0)],
    'last bit flipped': [labelC, () => flipped(ctC, 383)],
    'a byte missing': [labelC, () => ctC.subarray(1)],
    'a byte more': [labelC, () => Buffer.concat([ctC, Buffer.alloc(1)])],
    'a zero byte before': [labelC, () => Buffer.concat([Buffer.alloc(1), ctC])],
    empty: [labelC, () => Buffer.alloc(0)],
    zero: [labelC, () => Buffer.alloc(384)],
    one: [labelC, () => Buffer.concat([Buffer.alloc(383), Buffer.from([1])])],
    'the modulus': [labelC, () => modulus],
    'the largest number': [labelC, () => Buffer.alloc(384, 0xff)],
  };
  file.write({
    about:
      'The key exchange and the key schedule. Names are those of identity.json, bytes in hexadecimal. The hellos here are any bytes; their form is fixed elsewhere. In mustFail, bob opens.',
    cases: {
      [name]: made.entry,
      'bob dials alice': session('bob dials alice', { ...first, client: 'bob', server: 'alice' }).entry,
      'one identity at both ends': session('one identity at both ends', { ...first, server: 'alice' }).entry,
      'hellos of no and of many bytes': session('hellos of no and of many bytes', {
        ...first,
        helloC: Buffer.alloc(0),
        helloS: Buffer.alloc(300, 0xa5),
      }).entry,
      [ZEROS]: zerosCase(),
    },
    mustFail: Object.fromEntries(
      Object.entries(failures).map(([failure, [label, make]]) => {
        const ciphertext = file.frozen(['mustFail', failure, 'ciphertext'], make);
        return [failure, { receiver: 'bob', ...hexOf({ ciphertext, label }) }];
      }),
    ),
  });
  return made.derived;
}
