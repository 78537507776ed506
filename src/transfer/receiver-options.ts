/** What the receiving end of a transfer is told of how to receive, and whom it tells of what it does. */
import type { ExistingPolicy } from '../protocol/messages.ts';
import type { Counters, Settled } from './progress.ts';

export interface ReceiverOptions {
  readonly existing: ExistingPolicy;
  /** A drop-box: nothing is compared, resumed or told of what is there, and what collides gets another name. */
  readonly blind: boolean;
  /** Nothing is written: each entry is settled with what would be done. */
  readonly dryRun: boolean;
  /** A file of the same size and time counts as the same, unread. */
  readonly trustMtime: boolean;
  /** What was written is read again before it gets its name. */
  readonly verify: boolean;
  readonly counters: Counters;
  /** Sends a frame to the source. */
  readonly emit: (frame: Buffer) => void;
  readonly settled: (rows: Settled[]) => void;
  /** True once the transfer is cancelled: long loops look at it. */
  readonly aborted: () => boolean;
}
