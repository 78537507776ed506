/**
 * The RSA key exchange of a session and what is derived from it. The notation is that of `docs/protocol.md`: C is the
 * dialler, S the listener, `lv` a u32 big-endian length and the value, `xp` the TLS exporter's output.
 */
import {
  constants,
  createHash,
  createHmac,
  hkdfSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  subtle,
  timingSafeEqual,
  type webcrypto,
} from 'node:crypto';
import { errorOf } from '../errors.ts';
import type { Branded } from './brand.ts';
import { type Fingerprint, fingerprintBytes } from './fingerprint.ts';
import { Gate } from './gate.ts';
import type { Identity } from './identity.ts';
import { RSA_BYTES } from './rsa.ts';

/** Which end: `c` dials, `s` listens. */
export type Role = 'c' | 's';
/** 32 random bytes that one side contributes. */
export type Share = Branded<Buffer, 'Share'>;
/** An OAEP label that binds a share to its sender's role, both identities and the TLS connection. */
export type ShareLabel = Branded<Buffer, 'ShareLabel'>;
/** `xp`: what the control connection's TLS exporter gives for {@link SESSION_EXPORTER_LABEL}. */
export type SessionExporter = Branded<Buffer, 'SessionExporter'>;
/** `xl`: what a lane's TLS exporter gives for {@link LANE_EXPORTER_LABEL}. */
export type LaneExporter = Branded<Buffer, 'LaneExporter'>;
/** `th`: the digest of the four messages of the exchange. */
export type TranscriptHash = Branded<Buffer, 'TranscriptHash'>;
/** SHA-256 of the listener's ciphertext, sent before the dialler shows its own. */
export type Commitment = Branded<Buffer, 'Commitment'>;
/** 16 bytes that name a session; not secret from the peer, but unknown to everybody else. */
export type SessionId = Branded<Buffer, 'SessionId'>;
/** `macC`: proves that the dialler holds its keys. */
export type ConfirmationC = Branded<Buffer, 'ConfirmationC'>;
/** `macS`: proves that the listener holds its keys. */
export type ConfirmationS = Branded<Buffer, 'ConfirmationS'>;
/** The key of the dialler's lane proofs. */
export type LaneKeyC = Branded<Buffer, 'LaneKeyC'>;
/** The key of the listener's lane proofs. */
export type LaneKeyS = Branded<Buffer, 'LaneKeyS'>;
/** The session's contribution to pairing. */
export type PairingKey = Branded<Buffer, 'PairingKey'>;
/** What opens, or answers the opening of, a lane. */
export type LaneProof = Branded<Buffer, 'LaneProof'>;

/** Everything that a session is made of. It lives in memory only. */
export interface SessionKeys {
  readonly id: SessionId;
  /** Six digits that two people compare at first contact. */
  readonly checkNumber: string;
  /** The MACs themselves, not their keys: C sends `confirmC` and expects `confirmS`. */
  readonly confirmC: ConfirmationC;
  readonly confirmS: ConfirmationS;
  readonly laneC: LaneKeyC;
  readonly laneS: LaneKeyS;
  readonly pairing: PairingKey;
}

/** What the session keys are made from. */
export interface SessionInput {
  readonly exporter: SessionExporter;
  readonly shareC: Share;
  readonly shareS: Share;
  readonly transcript: TranscriptHash;
  readonly fpC: Fingerprint;
  readonly fpS: Fingerprint;
}

/** Exporter label of the control connection; no context. */
export const SESSION_EXPORTER_LABEL = 'EXPERIMENTAL localstream/1 session';
/** Exporter label of a lane; no context. */
export const LANE_EXPORTER_LABEL = 'EXPERIMENTAL localstream/1 lane';
/** Bytes to ask of either exporter. */
export const EXPORTER_BYTES = 32;
/** Bytes of a share in clear. */
export const SHARE_BYTES = 32;
/** Bytes of a wrapped share. */
export const WRAPPED_SHARE_BYTES = RSA_BYTES;
/** Bytes of a session id. */
export const SESSION_ID_BYTES = 16;
/** Bytes of a confirmation, a commitment and a lane proof. */
export const MAC_BYTES = 32;
/** RSA decryptions under way at once: each holds a thread of the pool for about 1.3 ms. */
export const MAX_DECRYPTIONS = 4;
/** RSA decryptions that may wait for their turn. */
export const MAX_WAITING_DECRYPTIONS = 64;

/** One for the process, not one a listener: what it protects is the one thread pool. */
const decryptions = new Gate(MAX_DECRYPTIONS, MAX_WAITING_DECRYPTIONS);

function exactly(bytes: Uint8Array, length: number): Buffer {
  if (bytes.length !== length) throw new RangeError(`${length} bytes are wanted, not ${bytes.length}`);
  return Buffer.from(bytes);
}

/** Marks the 32 bytes of the control connection's exporter. Throws a RangeError for another length. */
export function sessionExporter(bytes: Uint8Array): SessionExporter {
  return exactly(bytes, EXPORTER_BYTES) as SessionExporter;
}

/** Marks the 32 bytes of a lane's exporter. Throws a RangeError for another length. */
export function laneExporter(bytes: Uint8Array): LaneExporter {
  return exactly(bytes, EXPORTER_BYTES) as LaneExporter;
}

/** Draws a share. */
export function newShare(): Share {
  return randomBytes(SHARE_BYTES) as Share;
}

/** Takes 32 given bytes for a share, as the vectors do. Throws a RangeError for another length. */
export function shareOfBytes(bytes: Uint8Array): Share {
  return exactly(bytes, SHARE_BYTES) as Share;
}

/** Whether two byte strings are the same, in a time that does not tell where they differ. Lengths are no secret. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/**
 * The OAEP label of the share that `role` sends: `localstream/1 share ROLE ‖ 0 ‖ fpC ‖ fpS ‖ xp`. A share replayed in the
 * other direction, to another peer or on another connection then does not decrypt.
 */
export function shareLabel(role: Role, fpC: Fingerprint, fpS: Fingerprint, xp: SessionExporter): ShareLabel {
  const name = Buffer.from(`localstream/1 share ${role}\0`, 'latin1');
  return Buffer.concat([name, fingerprintBytes(fpC), fingerprintBytes(fpS), xp]) as ShareLabel;
}

/**
 * RSA-OAEP with SHA-256, MGF1 with SHA-256: 384 bytes. `encryptionKey` is the other side's, from
 * `certifiedEncryptionKey`. Throws an {@link AccessError} `BAD_HANDSHAKE` where the peer's modulus is no RSA modulus.
 */
export function wrapShare(encryptionKey: KeyObject, share: Share, label: ShareLabel): Buffer {
  const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: label };
  try {
    return publicEncrypt({ key: encryptionKey, ...options }, share);
  } catch (cause) {
    throw errorOf('BAD_HANDSHAKE', undefined, { cause });
  }
}

const decryptionKeys = new WeakMap<KeyObject, webcrypto.CryptoKey>();

function decryptionKeyOf(identity: Identity): webcrypto.CryptoKey {
  const known = decryptionKeys.get(identity.encryptionKey);
  if (known !== undefined) return known;
  const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' };
  const key = identity.encryptionKey.toCryptoKey(algorithm, false, ['decrypt']);
  decryptionKeys.set(identity.encryptionKey, key);
  return key;
}

/**
 * Opens a share that the peer wrapped. Every failure, wherever the padding broke, is the same {@link AccessError}
 * `BAD_HANDSHAKE` without a cause: any difference would be an oracle. Throws `BUSY` where too many wait already.
 */
export async function unwrapShare(
  identity: Identity,
  ciphertext: Uint8Array,
  label: ShareLabel,
): Promise<Share> {
  if (ciphertext.length !== WRAPPED_SHARE_BYTES) throw errorOf('BAD_HANDSHAKE');
  const key = decryptionKeyOf(identity);
  const share = await decryptions.run(() =>
    subtle.decrypt({ name: 'RSA-OAEP', label }, key, ciphertext).catch(() => undefined),
  );
  if (share?.byteLength !== SHARE_BYTES) throw errorOf('BAD_HANDSHAKE');
  return Buffer.from(share) as Share;
}

/** What the listener sends ahead of its ciphertext, so that neither side can choose its share to suit the check number. */
export function commitmentOf(ctS: Uint8Array): Commitment {
  return createHash('sha256').update(ctS).digest() as Commitment;
}

/** `SHA-256(lv(helloC) ‖ lv(helloS) ‖ lv(ctC) ‖ lv(ctS))` over the raw bytes as they crossed the wire. */
export function transcriptHash(
  helloC: Uint8Array,
  helloS: Uint8Array,
  ctC: Uint8Array,
  ctS: Uint8Array,
): TranscriptHash {
  const hash = createHash('sha256');
  const length = Buffer.alloc(4);
  for (const part of [helloC, helloS, ctC, ctS]) {
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest() as TranscriptHash;
}

/** Derives a session's keys: HKDF-SHA-256, salted with the transcript, from the exporter's output and both shares. */
export function deriveSession(input: SessionInput): SessionKeys {
  const secret = Buffer.concat([input.exporter, input.shareC, input.shareS]);
  const fingerprints = Buffer.concat([fingerprintBytes(input.fpC), fingerprintBytes(input.fpS)]);
  const key = (label: string, length: number): Buffer => {
    const info = Buffer.concat([Buffer.from(`localstream/1 ${label}\0`, 'latin1'), fingerprints]);
    return Buffer.from(hkdfSync('sha256', secret, input.transcript, info, length));
  };
  const confirm = (label: string): Buffer => mac(key(label, 32), input.transcript);
  const check = key('check', 8).readBigUInt64BE() % 1_000_000n;
  return {
    id: key('session id', SESSION_ID_BYTES) as SessionId,
    checkNumber: check.toString().padStart(6, '0'),
    confirmC: confirm('confirm c') as ConfirmationC,
    confirmS: confirm('confirm s') as ConfirmationS,
    laneC: key('lane c', 32) as LaneKeyC,
    laneS: key('lane s', 32) as LaneKeyS,
    pairing: key('pairing', 32) as PairingKey,
  };
}

/**
 * What `role` sends to prove, on a lane's own TLS connection, that it belongs to the session:
 * `HMAC-SHA-256(K("lane ROLE"), xl ‖ id ‖ u32 number)`. Throws a RangeError where `number` is no u32.
 */
export function laneProof(
  role: Role,
  keys: Pick<SessionKeys, 'laneC' | 'laneS'>,
  xl: LaneExporter,
  id: SessionId,
  number: number,
): LaneProof {
  // Buffer checks the range but cuts a fraction off, so that two numbers would share one proof.
  if (!Number.isInteger(number)) throw new RangeError('a lane number is a whole number');
  const numberBytes = Buffer.alloc(4);
  numberBytes.writeUInt32BE(number);
  const key = role === 'c' ? keys.laneC : keys.laneS;
  return mac(key, Buffer.concat([xl, id, numberBytes])) as LaneProof;
}

function mac(key: Uint8Array, message: Uint8Array): Buffer {
  return createHmac('sha256', key).update(message).digest();
}
