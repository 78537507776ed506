/**
 * What `--json` prints: one event a line. Plain types without cleverness, since JSON Schema is made from them. Sizes
 * are bytes, times ISO 8601, digests lower-case hexadecimal, fingerprints as `localstream identity` shows them. Names
 * are exactly as they are, never shortened; bytes that are not UTF-8 are lone surrogates U+DC80 to U+DCFF.
 */
import type { ErrorCode } from '../errors.ts';

/** The other end of a connection. */
export interface PeerDetail {
  /** Id of the session, hexadecimal. */
  id: string;
  /** As it was named when it was trusted, else as it calls itself. */
  name: string;
  trusted: boolean;
  /** Who has logged in over this connection; null where nobody has. */
  user: string | null;
  fingerprint: string;
  address: string;
  port: number;
  /** Group of the key agreement, such as `X25519MLKEM768`; empty where it is not known. */
  group: string;
  /** TLS cipher suite. */
  cipher: string;
  since: string;
}

/** A folder that a listener shows. */
export interface ShareDetail {
  name: string;
  folder: string;
  mode: 'ro' | 'rw' | 'wo';
}

/** A listener is ready: from now on peers can connect. */
export interface ListeningEvent {
  event: 'listening';
  host: string;
  port: number;
  /** This machine's. */
  fingerprint: string;
  maxConnections: number;
  /** Whether unknown keys are let in without a question. */
  open: boolean;
  /** Who gets in: everybody, trusted keys, or users who log in. */
  auth: 'none' | 'trusted' | 'password';
  shares: ShareDetail[];
  /** Where offers of peers go, and whether each is asked about; null where none is taken. */
  inbox: { folder: string; accept: 'ask' | 'trusted' } | null;
}

/** A listener or a connection was closed on request. */
export interface ClosedEvent {
  event: 'closed';
  host: string;
  port: number;
}

/** A peer was let in, or left; or the connection to a server was lost, which the next command makes again. */
export interface PeerEvent {
  event: 'peer';
  change: 'connected' | 'lost' | 'left';
  /** Port of the listener; null where this machine is the client. */
  listener: number | null;
  peer: PeerDetail;
  /** Why it left or was lost; null where one side said goodbye. */
  code: ErrorCode | null;
}

/** A stranger was turned away. */
export interface RefusedEvent {
  event: 'refused';
  /** Port of the listener. */
  listener: number;
  address: string;
  code: ErrorCode;
  message: string;
}

/** An unknown key, about which this machine or the other side's operator is asked. */
export interface QuestionEvent {
  event: 'question';
  /** Who is asked: the person here, or the operator of the server. */
  asked: 'here' | 'there';
  /** What `accept N` wants; null outside the shell. */
  number: number | null;
  /** What the stranger is. */
  role: 'server' | 'client';
  claimedName: string;
  fingerprint: string;
  /** The fingerprint as twelve words. */
  words: string[];
  /** Six digits that are the same on both screens. */
  checkNumber: string;
  address: string;
}

/** A question is open no more. */
export interface QuestionOverEvent {
  event: 'question_over';
  number: number;
  /** Null where nobody answered: the stranger has gone, or the time is over. */
  answer: 'once' | 'trust' | 'reject' | null;
}

/** The connection was lost, and another try will be made. */
export interface RetryEvent {
  event: 'retry';
  /** From 1. */
  attempt: number;
  at: string;
  /** After which time no more are made. */
  until: string;
  code: ErrorCode;
  message: string;
}

/** The server is gone, and the transfer goes on at another one that it had named. */
export interface ElsewhereEvent {
  event: 'elsewhere';
  peer: PeerDetail;
}

/** A received file was compared with its receipt. */
export interface VerifiedEvent {
  event: 'verified';
  path: string;
  state: 'intact' | 'changed' | 'missing' | 'unreadable';
  expected: string;
  found: string | null;
  received: string;
}

/** What a peer wants to send. */
export interface OfferEvent {
  event: 'offer';
  id: string;
  /** What `accept N` and `reject N` want; null outside the shell. */
  number: number | null;
  /** Port of the listener; null where this machine is the client. */
  listener: number | null;
  from: PeerDetail;
  roots: { name: string; type: 'file' | 'folder' | 'link'; size: number | null }[];
  /** What is in it, as the sender counts, at least where there is `more`; null where it does not say. */
  total: { files: number; bytes: number; more: boolean } | null;
  /** Whether it is a text, to be shown and not kept. */
  text: boolean;
  /** Where it goes: the folder that `receive` and `receive_file` were given, else the inbox, unless the answer says otherwise. */
  folder: string;
  /** Whether the rule for trusted peers has accepted it: then there is nothing to answer. */
  accepted: boolean;
}

/** A text that a peer has sent to be shown. */
export interface TextEvent {
  event: 'text';
  transferId: string;
  from: PeerDetail;
  text: string;
}

/** How far a transfer is; at most four a second for each. */
export interface ProgressEvent {
  event: 'progress';
  transferId: string;
  /** Name of the peer. */
  peer: string;
  direction: 'send' | 'receive';
  /**
   * `waiting`: the other side has not answered; `committing`: all bytes are there, not yet under their names;
   * `reconnecting`: the connection is lost, and another one is tried.
   */
  phase: 'waiting' | 'moving' | 'committing' | 'reconnecting';
  files: number;
  filesTotal: number;
  bytes: number;
  bytesTotal: number;
  /** While false, the totals still grow. */
  totalsKnown: boolean;
  /** Bytes that did not have to cross. */
  bytesSkipped: number;
  /** Smoothed; null while it can't be told. */
  bytesPerSecond: number | null;
  /** Seconds left; null while it can't be told. */
  secondsLeft: number | null;
  /** Name of the file under way. */
  current: string | null;
}

/** A transfer that a peer had asked for, or one of several, ended without a receipt. */
export interface FailedEvent {
  event: 'failed';
  /** Null where it did not come to a transfer. */
  transferId: string | null;
  direction: 'send' | 'receive';
  /** Name of the peer. */
  peer: string;
  code: ErrorCode;
  message: string;
}

/** A command in the background: it has begun, it is over, or it is listed. */
export interface JobEvent {
  event: 'job';
  /** What `wait N`, `cancel N` and `fg N` want. */
  number: number;
  /** Whether the server of the home runs it, and not the shell. */
  server: boolean;
  /** As it was typed. */
  line: string;
  state: 'running' | 'done' | 'failed' | 'cancelled';
  /** Why it failed; null otherwise. */
  code: ErrorCode | null;
  message: string | null;
  startedAt: string;
  transfers: {
    transferId: string;
    direction: 'send' | 'receive';
    phase: 'waiting' | 'moving' | 'committing' | 'reconnecting';
    files: number;
    filesTotal: number;
    bytes: number;
    bytesTotal: number;
    totalsKnown: boolean;
  }[];
}

/** Where the shell stands. */
export interface FolderEvent {
  event: 'folder';
  side: 'remote' | 'local';
  path: string;
}

/** Something was made, moved or removed in a share: by this machine on a server, or by a peer here. */
export interface ChangedEvent {
  event: 'changed';
  /** Port of the listener; null where this machine is the client. */
  listener: number | null;
  peer: PeerDetail;
  action: 'mkdir' | 'mv' | 'rm';
  path: string;
  /** Of a move: where it went, as it was written. */
  to: string | null;
  /** How many files, links and folders it was. */
  entries: number;
  /** False where a big folder is removed part by part, and this was not the last one. */
  last: boolean;
}

/** A setting, as it holds for the next start. */
export interface SettingEvent {
  event: 'setting';
  key: string;
  /** Always null for a secret. */
  value: string | number | null;
  secret: boolean;
  /** Whether it has a value at all, also where that is not shown. */
  isSet: boolean;
  layer: 'default' | 'file' | 'environment' | 'flag';
  /** The file or variable that it comes from. */
  place: string | null;
  about: string;
}

/** Where the settings of the user are. */
export interface SettingFileEvent {
  event: 'setting_file';
  path: string;
}

/** A connection in the history. */
export interface SessionEvent {
  event: 'session';
  id: string;
  /** What this machine was. */
  role: 'server' | 'client';
  peer: { name: string; trusted: boolean; fingerprint: string };
  /** Who was logged in; null where nobody was. */
  user: string | null;
  address: string;
  port: number;
  /** Hardware address, `aa:bb:cc:dd:ee:ff`; null where the system does not know it. Anybody can claim any. */
  mac: string | null;
  /** Port of the listener; null where this machine was the client. */
  listener: number | null;
  started: string;
  sent: { files: number; bytes: number };
  received: { files: number; bytes: number };
  /** Null while it is open. */
  end: { at: string; code: string; reason: string | null } | null;
}

/** A transfer in the history. */
export interface CrossingEvent {
  event: 'crossing';
  transferId: string;
  /** Id of the session. */
  session: string;
  peer: string;
  fingerprint: string;
  /** Who was logged in; null where nobody was. */
  user: string | null;
  direction: 'send' | 'receive';
  at: string;
  /** The first ones. */
  paths: string[];
  files: number;
  bytes: number;
  digest: string | null;
  code: string;
}

/** A change in a share of this machine, in the history. */
export interface ChangeEvent {
  event: 'change';
  /** Id of the session. */
  session: string;
  peer: string;
  fingerprint: string;
  /** Who was logged in; null where nobody was. */
  user: string | null;
  action: 'mkdir' | 'mv' | 'rm';
  at: string;
  path: string;
  /** Of a move: where it went, as it was written. */
  to: string | null;
  entries: number;
}

/** The history was emptied. */
export interface SessionsForgottenEvent {
  event: 'sessions_forgotten';
  sessions: number;
}

/** One entry of a listing. */
export interface EntryEvent {
  event: 'entry';
  name: string;
  type: 'file' | 'folder' | 'link' | 'other' | 'share';
  size: number;
  mtime: string;
  /** Permission bits. */
  mode: number;
  /** Of a share: what it allows. */
  shareMode?: 'ro' | 'rw' | 'wo';
  /** Of a link: where it leads. */
  target?: string;
}

/** What became of one file. */
export interface OutcomeDetail {
  path: string;
  outcome: 'committed' | 'same' | 'skipped' | 'failed';
  size: number;
  /** BLAKE3. */
  digest: string | null;
  /** Whether it is a symbolic link, which has no digest. */
  symlink: boolean;
  code: ErrorCode | null;
  reason: string | null;
  /** The name that it got, where that is not its own. */
  savedAs: string | null;
}

/** What became of one sealed file that has arrived. */
export interface OpenedDetail {
  path: string;
  /** What it is called now; null where it was not opened. */
  name: string | null;
  /** `kept`: it is sealed for others. */
  outcome: 'opened' | 'same' | 'skipped' | 'kept' | 'failed';
  /** Fingerprint of who has sealed it. */
  sealer: string | null;
  code: ErrorCode | null;
  reason: string | null;
}

/** A transfer has ended, and its files are committed at the receiver. */
export interface ReceiptEvent {
  event: 'receipt';
  transferId: string;
  direction: 'send' | 'receive';
  files: number;
  bytes: number;
  /** Bytes that had to cross. */
  bytesMoved: number;
  seconds: number;
  /** BLAKE3 of the one file, else of the manifest. */
  digest: string;
  failed: number;
  skipped: number;
  /** Of a dry run: what it would have written, part of `skipped`. */
  planned?: { entries: number; files: number; bytes: number };
  /** Files that have other names at the source; hard links arrive as copies. */
  linked: number;
  /** `OK`, `PARTIAL`, or why nothing was done. */
  code: ErrorCode;
  peer: PeerDetail;
  /** Not more than the setting `receiptFiles`, failures first. */
  outcomes: OutcomeDetail[];
  /** Of the receiver, over the receipt; base64. */
  signature: string;
  signedBy: string;
  /** Sealed files that were opened after they had arrived; absent where there were none. */
  opened?: OpenedDetail[];
}

/** How far one transfer is, within {@link StatusEvent}. */
export interface TransferDetail {
  transferId: string;
  peer: string;
  direction: 'send' | 'receive';
  phase: 'waiting' | 'moving' | 'committing' | 'reconnecting';
  files: number;
  filesTotal: number;
  bytes: number;
  bytesTotal: number;
  /** Bytes that did not have to cross. */
  bytesSkipped: number;
  bytesPerSecond: number;
  startedAt: string;
}

/** A server without a terminal was started, or has ended. */
export interface ServerEvent {
  event: 'server';
  change: 'started' | 'ended';
  pid: number;
  /** File that it writes what happens to; null where it has a terminal or a service manager for that. */
  log: string | null;
}

/** Everything that is open here. */
export interface StatusEvent {
  event: 'status';
  /** Process that answers. */
  pid: number;
  /** Whether it is the server of the home, and not the shell that was asked. */
  server: boolean;
  name: string;
  fingerprint: string;
  listeners: {
    host: string;
    port: number;
    maxConnections: number;
    open: boolean;
    auth: 'none' | 'trusted' | 'password';
    shares: ShareDetail[];
    peers: PeerDetail[];
    transfers: TransferDetail[];
  }[];
  /** The server that the shell is connected to. */
  session: {
    peer: PeerDetail;
    transfers: TransferDetail[];
    /** Why the connection is lost, which the next command makes again; null while it is there. */
    lost: ErrorCode | null;
  } | null;
  /** Strangers who wait for an answer. */
  questions: QuestionEvent[];
  /** What peers want to send, and nobody has answered yet. */
  offers: OfferEvent[];
}

/** Somebody on the local network: all of it is what the machine says of itself. */
export interface FoundEvent {
  event: 'found';
  change: 'appear' | 'change' | 'vanish';
  name: string;
  /** The likeliest to be reached first. */
  addresses: { host: string; port: number; family: 4 | 6; interface: string; rank: number }[];
  /** How: by what it announces, or because it answered when every address was tried. */
  by: 'multicast' | 'scan';
  /** Of the key that it has shown; null where it was not asked. */
  fingerprint: string | null;
  /** Beginning of the fingerprint that it claims, in base64. */
  fingerprintHint: string | null;
  /** The trusted peer whose fingerprint begins so. */
  trustedAs: string | null;
  /** Whether it wants a user's name and password. */
  login: boolean;
  /** Whether it is a listener of this machine. */
  own: boolean;
  lastSeen: string;
}

/** One line of doctor. */
export interface CheckEvent {
  event: 'check';
  /** What was looked at; several events of one id differ by their subject. */
  id: string;
  /** An interface, an address, a path or a program; null where there is only one. */
  subject: string | null;
  /** `unknown` counts for nothing. */
  grade: 'ok' | 'warning' | 'problem' | 'unknown';
  text: string;
  /** What to do about it. */
  fix: string | null;
  /** Of what was measured. */
  bytesPerSecond: number | null;
  milliseconds: number | null;
}

/** Who this machine is. */
export interface IdentityEvent {
  event: 'identity';
  name: string;
  fingerprint: string;
  /** The fingerprint as twelve words. */
  words: string[];
  /** Folder of its keys. */
  home: string;
  /** Text of the QR code, where one was asked for. */
  qr: string | null;
}

/** A pairing code is open: who types it on another machine comes in. */
export interface CodeEvent {
  event: 'code';
  /** `7-nebula-duffel`: a secret but for its number. */
  code: string;
  nameplate: number;
  /** Of the listener. */
  port: number;
  /** `pair` makes both sides trusted, `send` nobody. */
  purpose: 'pair' | 'send';
  expires: string;
}

/** A key is trusted from now on. */
export interface TrustedEvent {
  event: 'trusted';
  name: string;
  fingerprint: string;
}

/** A key that is trusted here. */
export interface TrustEvent {
  event: 'trust';
  name: string;
  fingerprint: string;
  /** What made it trusted. */
  how: 'accept-new' | 'operator' | 'confirmed' | 'fingerprint' | 'manual' | 'paired';
  since: string;
  lastSeen: string | null;
  /** `HOST:PORT` where it was reached before, the last first. */
  addresses: string[];
  /** `all`: what the modes of the shares allow. */
  rights: 'all' | RightDetail[];
  /** Whether it is connected on a listener of the process that answers. */
  connected: boolean;
  /** Servers that it has named: they may take its place. */
  siblings: SiblingDetail[];
}

/** A server that a trusted one has named. */
export interface SiblingDetail {
  fingerprint: string;
  name: string;
  addresses: string[];
}

/** One right of a trusted peer, given or denied. */
export interface RightDetail {
  /** `*` for all of them. */
  share: string;
  right: 'read' | 'write' | 'list';
  allowed: boolean;
}

/** A key is trusted no more. */
export interface ForgottenEvent {
  event: 'forgotten';
  name: string;
  fingerprint: string;
}

/** A key as `import` takes it. */
export interface ExportEvent {
  event: 'export';
  name: string;
  fingerprint: string;
  line: string;
}

/** A user logged in at the connected server. */
export interface LoginEvent {
  event: 'login';
  user: string;
  peer: PeerDetail;
}

/** Connections that were ended here. */
export interface KickedEvent {
  event: 'kicked';
  peers: PeerDetail[];
}

/** One user, or `*` for what all of them may. */
export interface UserEvent {
  event: 'user';
  name: string;
  disabled: boolean;
  created: string | null;
  lastLogin: string | null;
  grants: { share: string; right: 'read' | 'write' | 'list'; allowed: boolean }[];
}

/** Something about a user was changed. */
export interface UserChangedEvent {
  event: 'user_changed';
  action: 'add' | 'passwd' | 'disable' | 'enable' | 'remove' | 'grant' | 'revoke';
  name: string;
  share: string | null;
  rights: ('read' | 'write' | 'list')[];
}

/** The tables of the users are as they have to be. */
export interface MigrationEvent {
  event: 'migration';
  /** A file, or the database without its password. */
  place: string;
  /** What was run for it. */
  statements: string[];
  done: boolean;
}

/** A file was sealed, or a sealed one opened. */
export interface SealedEvent {
  event: 'sealed' | 'opened';
  /** Where it was written; `-` is stdout. */
  path: string;
  /** Fingerprint of who sealed it. */
  sealer: string;
}

/** A command, as `help --json` lists it. */
export interface CommandEvent {
  event: 'command';
  name: string;
  aliases: string[];
  group: string;
  scope: 'shell' | 'once' | 'both';
  summary: string;
  usage: string;
}

/** Which version of the program this is. */
export interface VersionEvent {
  event: 'version';
  version: string;
}

/** A completion script, or the words that such scripts offer. */
export interface CompletionEvent {
  event: 'completion';
  for: 'bash' | 'zsh' | 'fish' | 'peer' | 'port';
  lines: string[];
}

/** Something that a person should know and a program need not. */
export interface NoticeEvent {
  event: 'notice';
  message: string;
}

/** A command failed. */
export interface ErrorEvent {
  event: 'error';
  code: ErrorCode;
  exit: number;
  message: string;
  hint: string | null;
}

/** Always the last line. */
export interface DoneEvent {
  event: 'done';
  exit: number;
  /** `OK`, or the code of the error. */
  code: ErrorCode;
}

/** Every line that `--json` can print. */
export type OutputEvent =
  | ListeningEvent
  | ClosedEvent
  | PeerEvent
  | RefusedEvent
  | QuestionEvent
  | QuestionOverEvent
  | ServerEvent
  | RetryEvent
  | ElsewhereEvent
  | VerifiedEvent
  | OfferEvent
  | TextEvent
  | ProgressEvent
  | JobEvent
  | SettingEvent
  | SettingFileEvent
  | SessionEvent
  | CrossingEvent
  | ChangeEvent
  | SessionsForgottenEvent
  | FolderEvent
  | ChangedEvent
  | EntryEvent
  | ReceiptEvent
  | FailedEvent
  | StatusEvent
  | FoundEvent
  | CheckEvent
  | IdentityEvent
  | CodeEvent
  | TrustedEvent
  | TrustEvent
  | SealedEvent
  | ForgottenEvent
  | ExportEvent
  | LoginEvent
  | KickedEvent
  | UserEvent
  | UserChangedEvent
  | MigrationEvent
  | CommandEvent
  | CompletionEvent
  | VersionEvent
  | NoticeEvent
  | ErrorEvent
  | DoneEvent;
