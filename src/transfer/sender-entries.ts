/** What the sending end knows of the entries and batches that are under way. */
import type { FlagName } from '../errors.ts';
import type { SourceEntry } from './source-tree.ts';

/** How far an entry has come. */
export type State =
  | 'announced'
  | 'later'
  | 'queued'
  | 'sent'
  | 'same'
  | 'differs'
  | 'failed'
  | 'none'
  | 'settled';

/** An entry of a batch that is open. */
export interface LiveEntry<Reference> {
  readonly batch: LiveBatch<Reference>;
  readonly index: number;
  readonly source: SourceEntry<Reference>;
  state: State;
  /** With `have` and `compare`, and with a basis: what the target has. */
  digest: Buffer | undefined;
  compare: boolean;
  pieces: Buffer[] | undefined;
  piecesBytes: number;
  failure: { readonly flag: FlagName; readonly reason: string } | undefined;
  /** Bytes of a stream, known at its end. */
  streamed: number | undefined;
}

/** A batch of the manifest of which the target has not settled everything. */
export interface LiveBatch<Reference> {
  readonly number: number;
  readonly entries: LiveEntry<Reference>[];
  open: number;
}
