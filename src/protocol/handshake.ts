/**
 * The handshake that proves a session: docs/protocol.md, "Session". No I/O: the channel is handed in, the caller sets
 * the deadline. C is the dialler, S the listener. One error for every cryptographic failure: BAD_HANDSHAKE.
 */
import type { KeyObject } from 'node:crypto';
import {
  commitmentOf,
  deriveSession,
  newShare,
  type SessionExporter,
  type SessionKeys,
  sameBytes,
  shareLabel,
  transcriptHash,
  unwrapShare,
  wrapShare,
} from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { certifiedEncryptionKey, type Identity } from '../crypto/identity.ts';
import { errorOf } from '../errors.ts';
import type { RawMessage } from './control-codec.ts';
import { CAPABILITIES, PROTOCOL_VERSION } from './limits.ts';
import {
  CONFIRM,
  checkReply,
  encodeBytes,
  HELLO_CLIENT,
  HELLO_SERVER,
  SHARE_CLIENT,
  SHARE_SERVER,
} from './messages.ts';

/** Sends and receives control messages of one connection, in order. */
export interface HandshakeChannel {
  /** Sends and returns the exact bytes of the body. */
  send(message: object): Buffer;
  /** The next message; rejects when the connection ends. */
  receive(): Promise<RawMessage>;
}

/** What each side knows once TLS stands and both certificates have been checked. */
export interface HandshakeInput {
  readonly identity: Identity;
  readonly peerKey: KeyObject;
  readonly peerFingerprint: Fingerprint;
  /** The TLS exporter of this connection under the session label. */
  readonly exporter: SessionExporter;
  /** What a listener says that it can do: all that this program can, unless given. */
  readonly capabilities?: readonly string[];
  /** Told what the peer has said of itself once its identity key has vouched for its encryption key. */
  readonly onHello?: (hello: PeerHello) => void;
}

/** What the other side says of itself. */
export interface PeerHello {
  /** DER SubjectPublicKeyInfo. */
  readonly encryptionKey: Buffer;
  /** What it can do beyond the first version; not bound to anything before the handshake is over. */
  readonly capabilities: readonly string[];
}

function refused(cause?: unknown): Error {
  return errorOf('BAD_HANDSHAKE', 'the session could not be proven', { cause });
}

const ownHello = (identity: Identity) => ({
  encryptionKey: encodeBytes(identity.encryptionSpki),
  signature: encodeBytes(identity.encryptionSignature),
});

/** The dialler's side. Throws BAD_HANDSHAKE, VERSION, BAD_MESSAGE, or the reason with which the listener ends it. */
export async function dialHandshake(channel: HandshakeChannel, input: HandshakeInput): Promise<SessionKeys> {
  const { identity, exporter } = input;
  const fpC = identity.fingerprint;
  const fpS = input.peerFingerprint;
  const helloC = channel.send({
    type: 'hello',
    versions: [PROTOCOL_VERSION],
    capabilities: [],
    ...ownHello(identity),
  });
  const answer = await channel.receive();
  const hello = checkReply(HELLO_SERVER, answer.value);
  if (hello.version !== PROTOCOL_VERSION) throw errorOf('VERSION');
  const peerEncryption = certifiedEncryptionKey(input.peerKey, hello.encryptionKey, hello.signature);
  input.onHello?.(hello);

  const shareC = newShare();
  const ciphertextC = wrapShare(peerEncryption, shareC, shareLabel('c', fpC, fpS, exporter));
  channel.send({ type: 'share', ciphertext: encodeBytes(ciphertextC) });

  const share = checkReply(SHARE_SERVER, (await channel.receive()).value);
  // The listener committed to its share before it saw ours: neither side can grind the check number.
  if (!sameBytes(commitmentOf(share.ciphertext), hello.commitment)) throw refused();
  const shareS = await unwrapShare(identity, share.ciphertext, shareLabel('s', fpC, fpS, exporter));
  const transcript = transcriptHash(helloC, answer.bytes, ciphertextC, share.ciphertext);
  const keys = deriveSession({ exporter, shareC, shareS, transcript, fpC, fpS });
  if (!sameBytes(share.mac, keys.confirmS)) throw refused();
  channel.send({ type: 'confirm', mac: encodeBytes(keys.confirmC) });
  return keys;
}

/** The listener's side. Throws BAD_HANDSHAKE, VERSION, BAD_MESSAGE, BUSY, or the reason with which the dialler ends it. */
export async function answerHandshake(
  channel: HandshakeChannel,
  input: HandshakeInput,
): Promise<SessionKeys> {
  const { identity, exporter } = input;
  const fpC = input.peerFingerprint;
  const fpS = identity.fingerprint;
  const first = await channel.receive();
  const hello = checkReply(HELLO_CLIENT, first.value);
  if (!hello.versions.includes(PROTOCOL_VERSION)) throw errorOf('VERSION');
  const peerEncryption = certifiedEncryptionKey(input.peerKey, hello.encryptionKey, hello.signature);
  input.onHello?.(hello);

  const shareS = newShare();
  const ciphertextS = wrapShare(peerEncryption, shareS, shareLabel('s', fpC, fpS, exporter));
  const helloS = channel.send({
    type: 'hello',
    version: PROTOCOL_VERSION,
    capabilities: input.capabilities ?? CAPABILITIES,
    ...ownHello(identity),
    commitment: encodeBytes(commitmentOf(ciphertextS)),
  });

  const share = checkReply(SHARE_CLIENT, (await channel.receive()).value);
  const shareC = await unwrapShare(identity, share.ciphertext, shareLabel('c', fpC, fpS, exporter));
  const transcript = transcriptHash(first.bytes, helloS, share.ciphertext, ciphertextS);
  const keys = deriveSession({ exporter, shareC, shareS, transcript, fpC, fpS });
  channel.send({ type: 'share', ciphertext: encodeBytes(ciphertextS), mac: encodeBytes(keys.confirmS) });

  const confirm = checkReply(CONFIRM, (await channel.receive()).value);
  if (!sameBytes(confirm.mac, keys.confirmC)) throw refused();
  return keys;
}
