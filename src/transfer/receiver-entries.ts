/** What the receiving end knows of the entries, batches and folders that are under way. */
import type { Digest } from '../crypto/digest.ts';
import { type FlagName, LocalstreamError } from '../errors.ts';
import { flagOfError } from '../protocol/flags.ts';
import type { ManifestEntry } from '../protocol/manifest.ts';
import type { SafeName } from './name.ts';
import type { Settled, Version } from './progress.ts';
import type { BasisFile, FolderAttributes, PartialFile, Placement } from './target-store.ts';

/** Why an entry failed, as the source is told it. */
export interface Failure {
  readonly flag: FlagName;
  readonly reason: string;
}

/** An error as the source is told it: what is no error of ours may name things that are none of its business. */
export function failureOf(error: unknown): Failure {
  const reason = error instanceof LocalstreamError ? error.message : 'it could not be written';
  return { flag: flagOfError(error), reason };
}

/** A folder that is received into. */
export interface Branch<Folder> {
  readonly parent: Branch<Folder> | undefined;
  readonly name: SafeName;
  readonly path: string;
  /** Folders above it within its root; 0 for the folder that a root stands in. */
  readonly depth: number;
  /** Undefined when it could not be entered: all below it fails. */
  readonly folder: Folder | undefined;
  failure: Failure | undefined;
  readonly created: boolean;
  /** Left out by the receiver's own rules, with all that is in it. */
  readonly excluded: boolean;
  /** Files are on their way to it: it need not be made before they come. */
  expectsFiles: boolean;
  /** Settles the entry of a folder that is not made yet; to be called before the first of its files is settled. */
  settleFirst: (() => void) | undefined;
  /** Something of it has failed that the same command, given again, may bring. */
  isUnfinished: boolean;
  /** Entries below it that are not settled. */
  pending: number;
  closed: FolderAttributes | undefined;
  readonly attributes: FolderAttributes;
}

type State = 'settled' | 'wanted' | 'have' | 'compare' | 'later' | 'basis';

/** An entry of a batch that is open. */
export interface LiveEntry<Folder> {
  readonly batch: LiveBatch<Folder>;
  readonly index: number;
  readonly entry: ManifestEntry;
  readonly path: string;
  readonly branch: Branch<Folder>;
  name: SafeName | undefined;
  state: State;
  place: Placement['place'];
  /** See {@link Settled}. */
  saved: SafeName | undefined;
  /** The file that is there and may not be replaced. */
  there: Version | undefined;
  /** Digest of what is there, for `have` and `compare`; of the whole basis for `basis`. */
  digest: Buffer | undefined;
  basis: Basis | undefined;
  /** Bytes that are set aside for it on the disk and not written yet. */
  reserved: number;
  /** Its bytes: as announced, for a stream as it turned out. */
  size: number;
}

/** A batch of the manifest of which not everything is settled. */
export interface LiveBatch<Folder> {
  readonly number: number;
  readonly entries: LiveEntry<Folder>[];
  open: number;
  /** What follows from the answers, and has to wait until they have left. */
  afterAnswers: (() => void)[];
  results: Buffer[];
  resultBytes: number;
  rows: Settled[];
}

/** What is there of a file before the source sends the rest. */
export interface Basis {
  readonly compare: boolean;
  /** Where it is looked for: in a partial, and in an old file where there is none or nothing of use in it. */
  readonly from: { readonly partial: boolean; readonly old: SafeName | undefined };
  /** Files are opened when their turn to be hashed comes: a manifest names more of them than can be open. */
  opened: boolean;
  /** The partial that goes on being written, or the old target that is copied from. */
  partial: PartialFile | undefined;
  old: BasisFile | undefined;
  /** Bytes that are described to the source: whole pieces, and the last one where the sizes agree. */
  length: number;
  position: number;
  /** Digest of `[0, position)`. */
  readonly digest: Digest;
  digests: Buffer[];
  sent: number;
}

/** Where an entry goes: the folder, and the name there where it may have one. */
export interface EntryPlace<Folder> {
  readonly branch: Branch<Folder>;
  readonly name: SafeName | undefined;
  readonly path: string;
}

/** Notes an entry in its batch and its folder, both of which wait for it from now on. */
export function addEntry<Folder>(
  batch: LiveBatch<Folder>,
  index: number,
  entry: ManifestEntry,
  { branch, name, path }: EntryPlace<Folder>,
  place: Placement['place'],
): LiveEntry<Folder> {
  const live: LiveEntry<Folder> = {
    batch,
    index,
    entry,
    path,
    branch,
    name,
    state: 'wanted',
    place,
    saved: undefined,
    there: undefined,
    digest: undefined,
    basis: undefined,
    reserved: 0,
    size: Math.max(0, entry.size),
  };
  batch.entries[index] = live;
  branch.pending += 1;
  return live;
}

/** Bytes that a file will take on the disk, as far as that is known: holes take none. */
export function roomOf({ size, stored }: ManifestEntry): number {
  return stored ?? size;
}

/** Digest of the old target of a file, where it is as long as the new one will be. */
export function oldDigest({ basis, entry }: LiveEntry<unknown>): Buffer | undefined {
  const whole = basis?.old && basis.old.size === entry.size && basis.length === entry.size;
  return whole ? basis.digest.digest() : undefined;
}
