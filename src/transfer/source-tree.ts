/** What the sending end of a transfer reads from, as it sees it: what the walk finds, and files that are open. */
import type { Digest } from '../crypto/digest.ts';
import type { ManifestEntry } from '../protocol/manifest.ts';

/** One thing that the walk found, as the manifest will say it, and how the tree finds it again. */
export interface SourceEntry<Reference> {
  readonly entry: ManifestEntry;
  /** Path below the root, for people. */
  readonly path: string;
  readonly reference: Reference;
  /** The file has holes: stretches of zeros are worth looking for. */
  readonly sparse?: boolean;
}

/** An open file. Errors are typed. */
export interface SourceReader {
  /** Fills the buffer from `position`; returns fewer bytes only at the end of the file. */
  readAt(buffer: Buffer, position: number): number;
  /** Throws SOURCE_CHANGED when the file is no longer what it was when it was opened. */
  verifyUnchanged(): void;
  close(): void;
  /** The digest of what has been read in order, where somebody else keeps it; otherwise the sender computes its own. */
  readonly digest?: Pick<Digest, 'update' | 'digest'>;
  /** Everything that tells what is read here from what another state of the same file would give; absent where it has one only. */
  readonly state?: string;
}

/** What the sender reads from. */
export interface SourceTree<Reference> {
  walk(): Iterator<SourceEntry<Reference>>;
  open(reference: Reference, size: number): SourceReader;
}
