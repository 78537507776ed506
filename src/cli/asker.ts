/** Who can be asked. A question that nobody can be asked is a no, so an absent method means no. */
import type { FileOutcome, Offer, TrustAnswer, TrustQuestion } from '../index.ts';

/** Asks the person at the terminal, where there is one. */
export interface Asker {
  /** An unknown server answers. Rejects when the signal aborts. */
  readonly server?: (question: TrustQuestion, signal: AbortSignal) => Promise<TrustAnswer>;
  /** An unknown client wants in. Rejects when the signal aborts. */
  readonly client?: (question: TrustQuestion, signal: AbortSignal) => Promise<TrustAnswer>;
  /** A peer wants to send something that was not asked about yet. */
  readonly offer?: (offer: Offer, signal: AbortSignal) => Promise<boolean>;
  /** A peer offers something to a listener, which waits for nobody. Answers it by itself, or lets a command do so. */
  readonly inbox?: (offer: Offer, listener: number) => void;
  /** A text that a rule has accepted is a result of the command; without this it is told beside them. */
  readonly text?: (offer: Offer, text: string) => void;
  /** A pairing code that somebody was told, in whatever form it is typed. */
  readonly code?: (signal: AbortSignal) => Promise<string>;
  /** The shell is left while jobs run. */
  readonly leave?: (question: string, signal: AbortSignal) => Promise<boolean>;
  /** Text that nobody may see on the screen. */
  readonly password?: (message: string, signal: AbortSignal) => Promise<string>;
  /** Something that can't be taken back is about to be done. */
  readonly confirm?: (question: string, signal: AbortSignal) => Promise<boolean>;
  /** Targets exist and differ. What becomes of one; `all` is for every one that is left. */
  readonly existing?: (
    differing: FileOutcome,
    others: number,
    signal: AbortSignal,
  ) => Promise<ExistingAnswer>;
}

/** What becomes of a target that exists and differs. */
export interface ExistingAnswer {
  readonly policy: 'overwrite' | 'skip' | 'rename';
  readonly all: boolean;
}
