/** What a transfer tells those who started it: progress while it runs, a receipt when it has ended. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { ErrorCode } from '../errors.ts';

/** The other end of a session. */
export interface PeerInfo {
  /** Id of the session, hex. */
  readonly id: string;
  /** As it names itself, or as it was named when its key was pinned. Unescaped. */
  readonly name: string;
  /** Its key is pinned here. */
  readonly trusted: boolean;
  /** The user who has logged in, where the session is a login's. */
  readonly user?: string;
  readonly fingerprint: Fingerprint;
  readonly address: string;
  readonly port: number;
  /** Negotiated key agreement, as `X25519MLKEM768`; as reported by the dialler on the listener's side. */
  readonly group: string;
  /** Negotiated suite, as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  readonly since: Date;
}

/** Which way a transfer goes, seen from here. */
export type Direction = 'send' | 'receive';

/** A look at a running transfer. Bytes are file bytes; totals grow until `totalsKnown`. */
export interface Progress {
  readonly transferId: string;
  /** Name of the peer, unescaped: see {@link PeerInfo.name}. */
  readonly peer: string;
  readonly direction: Direction;
  /**
   * `waiting`: the other side has not answered; `committing`: all bytes crossed, the receipt is awaited; `reconnecting`: the
   * connection is lost, and another one is tried.
   */
  readonly phase: 'waiting' | 'moving' | 'committing' | 'reconnecting';
  /** Reconnecting: when the next try is made, milliseconds since 1970. */
  readonly nextTry?: number;
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  /** Of `bytes`: those that were there already. */
  readonly bytesSkipped: number;
  readonly totalsKnown: boolean;
  /** Path of the file under way, unescaped. */
  readonly current: string | undefined;
}

/** A running transfer, for lists. */
export interface TransferInfo extends Progress {
  /** The user who has logged in: see {@link PeerInfo.user}. */
  readonly user?: string;
  /** Names of the files and folders that it is about, unescaped. */
  readonly names: readonly string[];
  /** Mean since the bytes began to move. */
  readonly bytesPerSecond: number;
  readonly startedAt: Date;
}

/** How one file ended. */
export interface FileOutcome {
  /** Path below the roots, unescaped. */
  readonly path: string;
  readonly outcome: 'committed' | 'same' | 'skipped' | 'failed';
  /** Bytes. */
  readonly size: number;
  /** Hex BLAKE3 of what is there now. */
  readonly digest: string | undefined;
  readonly code?: ErrorCode;
  readonly reason?: string;
  /** The name it got, now or by an earlier transfer, where its own was taken. */
  readonly savedAs?: string;
  /** Of a file that failed with EXISTS: when it was last changed where it comes from. */
  readonly mtime?: Date;
  /** Of one that was to be written here, too: the file that is there. Size in bytes. */
  readonly there?: { readonly size: number; readonly mtime: Date };
  /** It has other names at the source; hard links arrive as copies. */
  readonly linked?: true;
  /** It is a symbolic link, which has no digest. */
  readonly symlink?: true;
}

/** What became of a sealed file that has arrived. */
export interface OpenedFile {
  /** As its outcome has it, unescaped. */
  readonly path: string;
  /** The name that it has now; undefined where it was not opened. */
  readonly name: string | undefined;
  /** `kept`: it is sealed for others, and is here as it was at the server. */
  readonly outcome: 'opened' | 'same' | 'skipped' | 'kept' | 'failed';
  /** Who has sealed it; proven. */
  readonly sealer?: Fingerprint;
  readonly code?: ErrorCode;
  readonly reason?: string;
}

/** What a dry run would have written. */
export interface Planned {
  /** Files and links. */
  readonly entries: number;
  readonly files: number;
  /** Bytes of these files. */
  readonly bytes: number;
}

/** What a transfer came to, signed by its receiver. */
export interface Receipt {
  readonly transferId: string;
  readonly direction: Direction;
  readonly peer: PeerInfo;
  /** Files that are there now, whether they crossed or were there. */
  readonly files: number;
  /** Bytes of these files. */
  readonly bytes: number;
  /** Bytes of files that crossed, over all connections that it took. */
  readonly bytesMoved: number;
  readonly seconds: number;
  /** Hex BLAKE3 of the one file; of manifest and outcomes where there are several entries. */
  readonly digest: string;
  /** Failures first; bounded, the whole list is in the stored receipt. */
  readonly outcomes: readonly FileOutcome[];
  readonly failed: number;
  readonly skipped: number;
  /** Of a dry run: what it would have written, part of {@link skipped}. Absent where a sender can not tell. */
  readonly planned?: Planned;
  /** Files that have other names at the source: hard links arrive as copies. */
  readonly linked: number;
  /** OK, or the code by which the command ends: PARTIAL, or that of the only file. */
  readonly code: ErrorCode;
  /** What a text holds that was read into memory: see {@link Offer.read}. */
  readonly text?: Uint8Array;
  /** Base64: RSA-PSS of {@link signedBy} over `body`. */
  readonly signature: string;
  readonly body: string;
  readonly signedBy: Fingerprint;
  /** Sealed files that were opened after they had arrived, failures first, bounded; absent where there were none. */
  readonly opened?: readonly OpenedFile[];
}
