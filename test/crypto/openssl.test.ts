/** The vectors as another program computes them: the `openssl` command, where it is installed. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fingerprintBytes } from '../../src/crypto/fingerprint.ts';
import receiptVectors from '../vectors/receipt.json' with { type: 'json' };
import sessionVectors from '../vectors/session.json' with { type: 'json' };
import { fromHex, identities, signingPublicKey } from './fixed.ts';

const version = spawnSync('openssl', ['version'], { encoding: 'utf8' });
const skip = /^OpenSSL [3-9]/.test(version.stdout ?? '') ? false : 'there is no openssl 3 here';

describe('openssl agrees', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'localstream-openssl-'));
  after(() => rmSync(folder, { recursive: true }));

  const file = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  it('on every key of every session', () => {
    for (const vector of Object.values(sessionVectors.cases)) {
      const ends = [vector.client, vector.server].map((name) => {
        const found = Object.entries(identities).find(([known]) => known === name);
        assert.ok(found);
        return fingerprintBytes(found[1].fingerprint);
      });
      for (const [label, expected] of Object.entries(vector.keys)) {
        const info = Buffer.concat([Buffer.from(`localstream/1 ${label}\0`), ...ends]).toString('hex');
        const options = ['digest:SHA256', `hexkey:${vector.secret}`, `hexsalt:${vector.transcriptHash}`];
        const flags = [...options, `hexinfo:${info}`].flatMap((option) => ['-kdfopt', option]);
        const length = String(expected.length / 2);
        const printed = execFileSync('openssl', ['kdf', '-keylen', length, ...flags, 'HKDF'], {
          encoding: 'utf8',
        });
        assert.equal(printed.trim().replaceAll(':', '').toLowerCase(), expected, label);
      }
    }
  });

  it('on the wrapped shares', () => {
    const vector = sessionVectors.cases['alice dials bob'];
    const key = file('bob.pem', identities.bob.encryptionKey.export({ type: 'pkcs8', format: 'pem' }));
    const ciphertext = file('share', fromHex(vector.ctC));
    const options = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_mgf1_md:sha256'];
    const flags = [...options, `rsa_oaep_label:${vector.labelC}`].flatMap((option) => ['-pkeyopt', option]);
    const share = execFileSync('openssl', [
      'pkeyutl',
      '-decrypt',
      '-inkey',
      key,
      '-in',
      ciphertext,
      ...flags,
    ]);
    assert.equal(share.toString('hex'), vector.shareC);
  });

  it('on the receipts, good and bad', () => {
    const pem = signingPublicKey('alice').export({ type: 'spki', format: 'pem' });
    const key = file('alice.pem', pem);
    const verifies = (body: string, signature: string): boolean => {
      const statement = Buffer.concat([Buffer.from('localstream/1 receipt\0'), fromHex(body)]);
      const options = ['rsa_padding_mode:pss', 'rsa_pss_saltlen:32', 'rsa_mgf1_md:sha256'];
      const flags = options.flatMap((option) => ['-sigopt', option]);
      const files = ['-signature', file('signature', fromHex(signature)), file('statement', statement)];
      return spawnSync('openssl', ['dgst', '-sha256', ...flags, '-verify', key, ...files]).status === 0;
    };
    const good = receiptVectors.cases['a receipt'];
    assert.equal(verifies(good.body, good.signature), true);
    for (const [name, vector] of Object.entries(receiptVectors.mustFail)) {
      // The command reads no more of the file than a signature's length, so it never sees this fault.
      if (name === 'a byte more') continue;
      assert.equal(verifies(vector.body, vector.signature), false, name);
    }
  });
});
