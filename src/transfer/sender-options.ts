import type { Counters, Settled } from './progress.ts';

/** What the sending end of a transfer is told of how to send, and whom it tells of what it does. */
export interface SenderOptions {
  /** File bytes in a frame. */
  readonly chunk: number;
  readonly counters: Counters;
  /** Told of entries as the target settles them. */
  readonly settled: (rows: Settled[]) => void;
}
