/**
 * The TLS settings that both ends share, and the checks that Node does not make by itself.
 *
 * With `rejectUnauthorized: false` Node verifies nothing, so each end checks, before any byte of ours: the version, the
 * ALPN name, that the connection was not resumed (a ticket would stand in for the client's key), and the peer's key.
 */
import { constants, type KeyObject } from 'node:crypto';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { checkCertificate } from '../crypto/certificate.ts';
import { EXPORTER_BYTES } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf } from '../errors.ts';
import { ALPN } from '../protocol/limits.ts';

/** Groups in the order of preference: a post-quantum hybrid, then plain X25519. */
const GROUPS = 'X25519MLKEM768:X25519';
const CIPHERS = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

/** Options for both ends; `identity` is absent on a dialled lane, which presents no certificate. */
export function contextOptions(identity: Identity | undefined): SecureContextOptions {
  return {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS,
    sigalgs: 'rsa_pss_rsae_sha256',
    honorCipherOrder: true,
    // A ticket would let a client in without its key: none is given and none is taken.
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(identity && {
      key: identity.signingKey.export({ type: 'pkcs8', format: 'pem' }),
      cert: identity.certificate,
    }),
  };
}

/** What the checks of a fresh TLS connection yield. */
export interface TlsPeer {
  readonly fingerprint: Fingerprint;
  readonly key: KeyObject;
  readonly cipher: string;
  /** The negotiated group; empty on the listener's side, where Node can't tell: the dialler reports it. */
  readonly group: string;
}

/**
 * Throws NOT_LOCALSTREAM where the other end did not agree on our protocol, BAD_HANDSHAKE where the connection is not TLS
 * 1.3 or was resumed.
 */
export function checkChannel(socket: TLSSocket): void {
  if (socket.alpnProtocol !== ALPN)
    throw errorOf('NOT_LOCALSTREAM', 'the other side speaks TLS, but not localstream/1');
  if (socket.getProtocol() !== 'TLSv1.3' || socket.isSessionReused())
    throw errorOf('BAD_HANDSHAKE', 'the connection is not a new one over TLS 1.3');
}

/** True when the other end presented a certificate at all. */
export function hasCertificate(socket: TLSSocket): boolean {
  return rawCertificate(socket) !== undefined;
}

function rawCertificate(socket: TLSSocket): Buffer | undefined {
  // With no certificate Node gives an object without `raw`, whatever its types say.
  const certificate: { raw?: Buffer } | undefined = socket.getPeerCertificate();
  return certificate?.raw;
}

/** Checks the peer's certificate. Throws BAD_HANDSHAKE when there is none or its key is not an RSA-3072 key. */
export function checkPeer(socket: TLSSocket): TlsPeer {
  const raw = rawCertificate(socket);
  if (!raw) throw errorOf('BAD_HANDSHAKE', 'the other side showed no key');
  const { fingerprint, publicKey } = checkCertificate(raw);
  const group = socket.getEphemeralKeyInfo();
  return {
    fingerprint,
    key: publicKey,
    cipher: socket.getCipher().name,
    group: group && 'name' in group && typeof group.name === 'string' ? group.name : '',
  };
}

/** 32 bytes that only the two ends of this very TLS connection know (RFC 8446, 7.5). Throws LOST when it has ended. */
export function exportSecret(socket: TLSSocket, label: string): Buffer {
  // Of a socket that the other side has closed Node reads a property of null.
  if (socket.destroyed) throw errorOf('LOST', 'the other side hung up');
  // An absent and an empty context are the same in TLS 1.3.
  return socket.exportKeyingMaterial(EXPORTER_BYTES, label, Buffer.alloc(0));
}
