/**
 * localstream as a library: open a listener, connect, list, send, receive. Nothing is printed and no process is ended.
 *
 * ```ts
 * import { openLocalstream } from 'localstream';

 *
 * await using localstream = await openLocalstream();
 * await using session = await localstream.connect({ host: 'nas.local' });
 * const receipt = await session.get(['/docs/a.pdf'], './');
 * ```
 *
 * @module
 */

export type { UserName } from './auth/user-name.ts';
export type { Grant, Right, User, UserStore } from './auth/user-store.ts';
export type { Entry } from './client/entry.ts';
export type { ConnectOptions } from './client/link.ts';
export type { ScannedPeer } from './client/scan.ts';
export type { RemoveOptions } from './client/session.ts';
export { Session } from './client/session.ts';
export type { SettingKey, Settings } from './config.ts';
export type { SealMetadata } from './crypto/envelope-metadata.ts';
export type { OpenedSeal } from './crypto/envelope-open.ts';
export type { Fingerprint } from './crypto/fingerprint.ts';
export { isFingerprint, parseFingerprint } from './crypto/fingerprint.ts';
export { fingerprintWords } from './crypto/fingerprint-words.ts';
export type { Browser, FoundPeer, PeerEvent } from './discovery/browser.ts';
export type { PeerAddress } from './discovery/reachability.ts';
export type { ErrorCode, ErrorDetail, FlagName } from './errors.ts';
export {
  AccessError,
  AlarmError,
  allCodes,
  CancelledError,
  exitOf,
  FailedError,
  LocalstreamError,
  meaningOf,
  PartialError,
  UnavailableError,
  UsageError,
} from './errors.ts';
export type { ListenOptions, OpenOptions } from './localstream.ts';
export { Localstream, openLocalstream } from './localstream.ts';
export type { ExistingPolicy, OfferedTotal } from './protocol/messages.ts';
export { escapeText } from './protocol/text.ts';
export type { ShareMode } from './server/access.ts';
export type { CodeOptions, OpenCode } from './server/codes.ts';
export type { InboxOptions } from './server/inbox.ts';
export type { Listener } from './server/listener.ts';
export type { SendOptions } from './server/outbox.ts';
export type { Share, ShareOptions } from './server/shares.ts';
export type { Auth } from './server/visit.ts';
export type { Change, Changed } from './session/changes.ts';
export type { Decide, TrustAnswer, TrustQuestion } from './session/introduce.ts';
export type { Offer, ReadOptions, ReceivedText } from './session/offer.ts';
export type {
  GetOptions,
  PutOptions,
  ReceiveOptions,
  RetryNotice,
  SealedPutOptions,
  TransferOptions,
} from './session/options.ts';
export type { TypedCode } from './session/pair.ts';
export type {
  Direction,
  FileOutcome,
  OpenedFile,
  PeerInfo,
  Planned,
  Progress,
  Receipt,
  TransferInfo,
} from './session/report.ts';
export type { SpeedDirection } from './session/speed-tests.ts';
export type { VerifiedFile } from './session/verify.ts';
export type { Home } from './store/home.ts';
export type { PeerRight, PeerRights } from './store/peer-rights.ts';
export type { SessionChange, SessionRecord, SessionStore, SessionTransfer } from './store/session-store.ts';
export type { Sibling } from './store/siblings.ts';
export type { TrustedPeer, TrustReason, TrustStore } from './store/trust-store.ts';
export type { Source, TextSource } from './transfer/source.ts';
