/** What a caller may say of a transfer, whichever end of it is here. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { LocalstreamError } from '../errors.ts';
import type { ExistingPolicy } from '../protocol/messages.ts';
import type { PeerInfo, Progress } from './report.ts';

/** A try that is about to be made. */
export interface RetryNotice {
  /** From 1. */
  readonly attempt: number;
  /** When it will be made. */
  readonly at: Date;
  /** After which time no more are made. */
  readonly until: Date;
  /** Why the last one failed; what broke the connection, before the first. */
  readonly error: LocalstreamError;
}

/**
 * How files are moved, either way. An option that can't be is refused with USAGE before anything is asked for. What one of
 * the callbacks throws, at once or by its promise, ends the transfer: it rejects with that error, and the session goes on.
 */
export interface TransferOptions {
  readonly signal?: AbortSignal;
  /** Aborted before `signal`: what is there of unfinished files is removed, not kept for a resume. */
  readonly discard?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** TCP connections that carry the bytes, 1 to 16; by default one, four where the round trip takes over 10 ms. */
  readonly lanes?: number;
  /** File bytes in a frame, 1024 to 4194304; the setting `chunk` by default. */
  readonly chunk?: number;
  /** Bytes a second at the most, 1 at least. */
  readonly limit?: number;
  /** What becomes of a target that exists and differs; the setting `existing` by default. */
  readonly existing?: ExistingPolicy;
  /** Lines of a `.gitignore` file: what they match is left out; later ones win, `!` takes back. */
  readonly exclude?: readonly string[];
  /** Only these, as the outcomes of an earlier transfer name them. */
  readonly only?: readonly string[];
  /** The receiver brings everything to the disk before it counts as committed. */
  readonly durable?: boolean;
  /** Nothing is written: the outcomes say what would be done. */
  readonly dryRun?: boolean;
  /** A target of the same size and time counts as the same, unread. */
  readonly trustMtime?: boolean;
  /** What was written is read again before it gets its name. */
  readonly verify?: boolean;
  /**
   * How long a lost connection is tried again, in milliseconds; the setting `retryFor` by default, 0 for not at all. As long
   * at the most are connections made that all break before the transfer has come further.
   */
  readonly retryFor?: number;
  /** Told the number of the transfer as it begins, and of each that goes on with it after a lost connection. */
  readonly onTransfer?: (transferId: string) => void;
  /** The connection was lost: told before each try, whichever transfer of the session has begun with them. */
  readonly onRetry?: (next: RetryNotice) => void;
  /** The server is gone: told of the one that it has named before, at which the transfer goes on. */
  readonly onElsewhere?: (server: PeerInfo) => void;
}

/** How files are sent. */
export interface PutOptions extends TransferOptions {
  /** `.gitignore` files in what is sent count too. */
  readonly gitignore?: boolean;
  /** Links are sent as what they point at. */
  readonly follow?: boolean;
  /** Transfers of one group send the same files and read them once: see {@link Localstream.newGroup}. */
  readonly group?: number;
}

/** How files are received. */
export interface ReceiveOptions extends TransferOptions {
  /** Nobody was asked about the names: hidden files are not written into the user's home folder. */
  readonly unattended?: boolean;
}

/** How files are fetched. */
export interface GetOptions extends ReceiveOptions {
  /** Sealed files stay as they are at the server. */
  readonly keepSealed?: boolean;
  /** Sealed files are opened whoever has sealed them; otherwise this machine or a trusted peer. */
  readonly fromAnyone?: boolean;
}

/** How files are put into a share. */
export interface SealedPutOptions extends PutOptions {
  /**
   * Files are sealed for these trusted peers before they leave, each under its name and `.sealed`: the server can neither
   * read nor replace them. Names of files and folders, sizes, times and where links point stay visible.
   */
  readonly sealFor?: readonly Fingerprint[];
}
