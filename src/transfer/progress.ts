/** What a transfer counts while it runs, and what it says of each entry that is settled. */
import type { FlagName } from '../errors.ts';
import {
  ENTRY,
  type EntryKind,
  type ManifestEntry,
  OUTCOME,
  type OutcomeCode,
} from '../protocol/manifest.ts';

/** Counted by the worker, read by everybody else. Bytes are plain file bytes. */
export interface Counters {
  files: number;
  filesTotal: number;
  /** Bytes that are done with, whether they crossed or were there already. */
  bytes: number;
  bytesTotal: number;
  /** Of `bytes`: those that did not have to cross. */
  bytesSkipped: number;
  /** The walk has ended: the totals do not grow any more. */
  totalsKnown: boolean;
}

export function newCounters(): Counters {
  return { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0, bytesSkipped: 0, totalsKnown: false };
}

/** What two files of one name are told apart by. */
export interface Version {
  /** Bytes. */
  readonly size: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
}

/** One entry that has come to its end. */
export interface Settled {
  /** Path below the roots of the transfer, unescaped. */
  readonly path: string;
  readonly kind: EntryKind;
  readonly outcome: OutcomeCode;
  readonly size: number;
  /** Hex BLAKE3 of the file that is there now. */
  readonly digest: string | undefined;
  readonly flag: FlagName;
  /** It had other names at the source: each of them is a copy here. */
  readonly linked: boolean;
  /** Reason of a failure, or the name it was saved under. */
  readonly note: string;
  /** Receiving: the name that it has here, where whoever goes on with this transfer could not find it without. */
  readonly saved?: string;
  /** Of a file that failed as another one is there: when it was last changed at the source, microseconds since 1970. */
  readonly mtime?: number;
  /** The other one, where it was looked at by this end. */
  readonly there?: Version;
}

/** Whether it is a file, and no stream, that was not written as another one has its name. */
export function failsAsTaken(
  { kind, size }: Pick<ManifestEntry, 'kind' | 'size'>,
  outcome: OutcomeCode,
  flag: FlagName,
): boolean {
  return kind === ENTRY.file && size >= 0 && outcome === OUTCOME.failed && flag === 'EXISTS';
}
