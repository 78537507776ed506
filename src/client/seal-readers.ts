/** For whom a file is sealed: trusted peers whose encryption keys are known. */
import { createPublicKey } from 'node:crypto';
import { MOST_READERS, type Reader } from '../crypto/envelope.ts';
import type { SealSecret } from '../crypto/envelope-repeat.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf } from '../errors.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import type { TrustStore } from '../store/trust-store.ts';
import { SEALED_SUFFIX } from '../transfer/name.ts';
import { type SealSpec, sealedSize } from '../transfer/sealed-source.ts';

/** What sealing takes of this machine. */
export interface SealHost {
  readonly identity: Identity;
  readonly trust: TrustStore;
  /** The secret by which a seal comes out the same when its transfer goes on. */
  readonly sealSecret: () => Promise<SealSecret>;
}

/** The keys of some readers. Throws NOT_TRUSTED, NOT_FOUND where one has never been met. */
export function readersOf(trust: TrustStore, fingerprints: readonly Fingerprint[]): Promise<Reader[]> {
  return Promise.all([...new Set(fingerprints)].map((fingerprint) => readerOf(trust, fingerprint)));
}

async function readerOf(trust: TrustStore, fingerprint: Fingerprint): Promise<Reader> {
  const peer = await trust.get(fingerprint);
  if (peer === undefined) throw errorOf('NOT_TRUSTED', `no trusted peer has the key ${fingerprint}`);
  if (peer.encryptionKey === undefined)
    throw errorOf('NOT_FOUND', `the encryption key of '${escapeText(peer.name)}' is not known yet`, {
      hint: 'connect to it once',
    });
  const key = Buffer.from(peer.encryptionKey, 'base64');
  return { fingerprint, encryptionKey: createPublicKey({ key, type: 'spki', format: 'der' }) };
}

/** What a transfer needs to seal its files. Throws as {@link readersOf}, and USAGE for nobody or too many. */
export async function sealFor(host: SealHost, fingerprints: readonly Fingerprint[]): Promise<SealSpec> {
  const readers = await readersOf(host.trust, fingerprints);
  if (readers.length === 0 || readers.length > MOST_READERS)
    throw errorOf('USAGE', `a seal has from 1 to ${MOST_READERS} readers`);
  const { signingKey, signingSpki } = host.identity;
  return { readers, signingKey, signingSpki, secret: await host.sealSecret() };
}

/** Roots as they are offered where files are sealed. */
export function sealedRoots(roots: readonly OfferedRoot[], seal: SealSpec): OfferedRoot[] {
  return roots.map((root) => {
    if (root.type !== 'file') return root;
    const { name, size } = root;
    return { ...root, name: `${name}${SEALED_SUFFIX}`, size: size === null ? null : sealedSize(size, seal) };
  });
}

/** Paths of sealed files as they are called here. */
export function unsealedPaths(paths: readonly string[]): string[] {
  return paths.map((path) => (path.endsWith(SEALED_SUFFIX) ? path.slice(0, -SEALED_SUFFIX.length) : path));
}
