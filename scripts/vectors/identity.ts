import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { fingerprintBytes } from '../../src/crypto/fingerprint.ts';
import { serializeIdentity } from '../../src/crypto/identity.ts';
import { certificateAround, oddNumber, rsaSpki } from '../../test/crypto/der.ts';
import { flipped, hexOf } from './frozen.ts';
import { identities, identityFile, KEY_NAMES, modulusOf, PSS, signed } from './keys.ts';

const { alice, mallory } = identities;

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** Keys, fingerprints, certificates and certified encryption keys. */
export function writeIdentityVectors(): void {
  const certificates: Record<string, () => Uint8Array> = {
    'RSA-1024': () => certificateAround(rsaSpki(oddNumber(1024), 65537n)),
    'RSA-2048': () => certificateAround(rsaSpki(oddNumber(2048), 65537n)),
    'RSA-3071': () => certificateAround(rsaSpki(oddNumber(3071), 65537n)),
    'RSA-3073': () => certificateAround(rsaSpki(oddNumber(3073), 65537n)),
    'RSA-4096': () => certificateAround(rsaSpki(oddNumber(4096), 65537n)),
    'RSA-8192': () => certificateAround(rsaSpki(oddNumber(8192), 65537n)),
    'e = 3': () => certificateAround(rsaSpki(modulusOf(alice), 3n)),
    'e = 65539': () => certificateAround(rsaSpki(modulusOf(alice), 65539n)),
    'e of 256 bits': () => certificateAround(rsaSpki(modulusOf(alice), oddNumber(256))),
    'P-256': () => certificateAround(spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)),
    Ed25519: () => certificateAround(spkiOf(generateKeyPairSync('ed25519').publicKey)),
    'RSA-3072 for PSS only': () =>
      certificateAround(spkiOf(generateKeyPairSync('rsa-pss', { modulusLength: 3072 }).publicKey)),
    empty: () => Buffer.alloc(0),
    'cut short': () => new X509Certificate(alice.certificate).raw.subarray(0, -1),
    'no certificate at all': () => alice.signingSpki,
  };
  const prefix = 'localstream/1 enc-key\0';
  const weak = rsaSpki(oddNumber(2048), 65537n);
  const trailing = Buffer.concat([alice.encryptionSpki, Buffer.alloc(1)]);
  const encryptionKeys: Record<string, [spki: Uint8Array, signature: () => Uint8Array]> = {
    'certified by another identity': [
      alice.encryptionSpki,
      () => signed(mallory.signingKey, prefix, alice.encryptionSpki),
    ],
    "another identity's key and signature": [mallory.encryptionSpki, () => mallory.encryptionSignature],
    'another key under the same signature': [mallory.encryptionSpki, () => alice.encryptionSignature],
    'a bit of the signature flipped': [alice.encryptionSpki, () => flipped(alice.encryptionSignature, 200)],
    'a bit of the key flipped': [flipped(alice.encryptionSpki, 200), () => alice.encryptionSignature],
    'no signature': [alice.encryptionSpki, () => Buffer.alloc(0)],
    'signed as a receipt': [
      alice.encryptionSpki,
      () => signed(alice.signingKey, 'localstream/1 receipt\0', alice.encryptionSpki),
    ],
    'signed without a prefix': [
      alice.encryptionSpki,
      () => signed(alice.signingKey, '', alice.encryptionSpki),
    ],
    'the longest salt': [
      alice.encryptionSpki,
      () => signed(alice.signingKey, prefix, alice.encryptionSpki, { padding: PSS.padding }),
    ],
    'PKCS #1 v1.5': [alice.encryptionSpki, () => signed(alice.signingKey, prefix, alice.encryptionSpki, {})],
    'RSA-2048, well certified': [weak, () => signed(alice.signingKey, prefix, weak)],
    'a byte behind the key, well certified': [trailing, () => signed(alice.signingKey, prefix, trailing)],
    'the signing key itself, well certified': [
      alice.signingSpki,
      () => signed(alice.signingKey, prefix, alice.signingSpki),
    ],
    'not a key, well certified': [
      Buffer.from('key'),
      () => signed(alice.signingKey, prefix, Buffer.from('key')),
    ],
  };
  const canonical = alice.fingerprint;
  identityFile.write({
    about: 'Test identities, public and therefore worthless. Bytes in hexadecimal; record: the stored form.',
    identities: Object.fromEntries(
      KEY_NAMES.map((name) => {
        const identity = identities[name];
        const { signingSpki, encryptionSpki, encryptionSignature } = identity;
        const certificate = new X509Certificate(identity.certificate).raw;
        const bytes = { signingSpki, encryptionSpki, encryptionSignature, certificate };
        const digest = fingerprintBytes(identity.fingerprint);
        const { fingerprint } = identity;
        return [
          name,
          {
            fingerprint,
            ...hexOf({ fingerprintBytes: digest, ...bytes }),
            record: serializeIdentity(identity),
          },
        ];
      }),
    ),
    sameKey: hexOf({
      'other subject, other dates, no valid signature': certificateAround(alice.signingSpki),
      'key without the algorithm parameters': certificateAround(
        rsaSpki(modulusOf(alice), 65537n, Buffer.alloc(0)),
      ),
    }),
    mustFail: {
      fingerprint: {
        empty: '',
        'prefix only': 'SHA256:',
        'no prefix': canonical.slice(7),
        'prefix in small letters': canonical.replace('SHA256', 'sha256'),
        'padding kept': `${canonical}=`,
        'a character missing': canonical.slice(0, -1),
        'a character more': `${canonical}A`,
        'a space before': ` ${canonical}`,
        'a line end behind': `${canonical}\n`,
        'stray bits in the last character': `SHA256:${'A'.repeat(42)}B`,
        'the alphabet of URLs': `SHA256:${'_'.repeat(42)}A`,
        hexadecimal: `SHA256:${fingerprintBytes(canonical).toString('hex')}`,
      },
      certificate: hexOf(
        Object.fromEntries(
          Object.entries(certificates).map(([name, make]) => [
            name,
            identityFile.frozen(['mustFail', 'certificate', name], make),
          ]),
        ),
      ),
      encryptionKey: Object.fromEntries(
        Object.entries(encryptionKeys).map(([name, [spki, make]]) => {
          const signature = identityFile.frozen(['mustFail', 'encryptionKey', name, 'signature'], make);
          return [name, { signer: 'alice', ...hexOf({ spki, signature }) }];
        }),
      ),
    },
  });
}
