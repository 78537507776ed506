import { flipped, hexOf, VectorFile } from './frozen.ts';
import { identities, type KeyName, PSS, signed } from './keys.ts';

const PREFIX = 'localstream/1 receipt\0';

/** Signed receipts. The body's form is fixed elsewhere; here it is any bytes. */
export function writeReceiptVectors(): void {
  const file = new VectorFile('receipt.json');
  const { alice, mallory } = identities;
  const body = Buffer.from('{"transferId":"00112233445566778899aabbccddeeff","outcome":"committed"}');
  const entry = (group: string, name: string, signer: KeyName, bytes: Uint8Array, make: () => Uint8Array) => {
    const signature = file.frozen([group, name, 'signature'], make);
    return { [name]: { signer, ...hexOf({ body: bytes, signature }) } };
  };
  const good = (name: string, signer: KeyName, bytes: Uint8Array) =>
    entry('cases', name, signer, bytes, () => signed(identities[signer].signingKey, PREFIX, bytes));
  const cases = {
    ...good('a receipt', 'alice', body),
    ...good('an empty body', 'alice', Buffer.alloc(0)),
    ...good('bytes that are no text', 'bob', Buffer.from('00ff80fe0a0d', 'hex')),
  };
  const signature = Buffer.from(cases['a receipt']?.signature ?? '', 'hex');
  const bad = (name: string, make: () => Uint8Array, bytes: Uint8Array = body) =>
    entry('mustFail', name, 'alice', bytes, make);
  const key = alice.signingKey;
  file.write({
    about: 'Receipts and their signatures. Signers are those of identity.json, bytes in hexadecimal.',
    cases,
    mustFail: {
      ...bad("another's signature", () => signed(mallory.signingKey, PREFIX, body)),
      ...bad('signed by the encryption key', () => signed(alice.encryptionKey, PREFIX, body)),
      ...bad('the longest salt', () => signed(key, PREFIX, body, { padding: PSS.padding })),
      ...bad('no salt', () => signed(key, PREFIX, body, { ...PSS, saltLength: 0 })),
      ...bad('PKCS #1 v1.5', () => signed(key, PREFIX, body, {})),
      ...bad('SHA-512', () => signed(key, PREFIX, body, PSS, 'sha512')),
      ...bad('MGF1 with SHA-1 throughout', () =>
        signed(key, PREFIX, body, { ...PSS, saltLength: 20 }, 'sha1'),
      ),
      ...bad('without the prefix', () => signed(key, '', body)),
      ...bad('prefix of a sealed file', () => signed(key, 'localstream/1 sealed\0', body)),
      ...bad('the certificate of the encryption key', () => alice.encryptionSignature, alice.encryptionSpki),
      ...bad('another body', () => signature, Buffer.concat([body, Buffer.from(' ')])),
      ...bad('a bit of the body flipped', () => signature, flipped(body, 0)),
      ...bad('a bit of the signature flipped', () => flipped(signature, 383)),
      ...bad('a byte missing', () => signature.subarray(1)),
      ...bad('a byte more', () => Buffer.concat([signature, Buffer.alloc(1)])),
      ...bad('no signature', () => Buffer.alloc(0)),
      ...bad('zero', () => Buffer.alloc(384)),
      ...bad('the largest number', () => Buffer.alloc(384, 0xff)),
    },
  });
}
