/** What waits for a person's answer in the shell, numbered so that a word and a number answer it. */
import { errorOf } from '../errors.ts';
import type { Offer, TrustAnswer, TrustQuestion } from '../index.ts';

/** An unknown peer at the door, or something that a peer wants to send. */
export type Matter =
  | {
      readonly kind: 'peer';
      readonly number: number;
      readonly question: TrustQuestion;
      readonly answer: (answer: TrustAnswer) => void;
    }
  | { readonly kind: 'offer'; readonly number: number; readonly offer: Offer };

/** Is told of a question. */
export interface QuestionTeller {
  asked(number: number): void;
  withdrawn?(number: number): void;
}

/** The open questions of one shell. A number is never used twice, so that a late answer can't meet another question. */
export class Pending {
  readonly #matters = new Map<number, Matter>();
  #last = 0;
  /** Whether they are those of a server, which a shell tells from its own. */
  isServers = false;

  /** What is typed for a number, after accept and reject. */
  nameOf(number: number): string {
    return `${this.isServers ? 's' : ''}${number}`;
  }

  /** Open matters, oldest first. */
  get matters(): readonly Matter[] {
    return [...this.#matters.values()];
  }

  /**
   * Asks about a peer.
   * @param tell Is given the number when the question is open, and when it is taken back.
   * @returns the answer; rejects with the signal's reason when the question is withdrawn.
   */
  ask(question: TrustQuestion, signal: AbortSignal, tell: QuestionTeller): Promise<TrustAnswer> {
    signal.throwIfAborted();
    const number = ++this.#last;
    return new Promise((resolve, reject) => {
      const withdraw = () => {
        this.#matters.delete(number);
        tell.withdrawn?.(number);
        reject(signal.reason);
      };
      signal.addEventListener('abort', withdraw, { once: true });
      const answer = (given: TrustAnswer) => {
        signal.removeEventListener('abort', withdraw);
        this.#matters.delete(number);
        resolve(given);
      };
      this.#matters.set(number, { kind: 'peer', number, question, answer });
      tell.asked(number);
    });
  }

  /**
   * Numbers an offer, which is forgotten when it is withdrawn.
   * @param withdrawn Is told then, unless the offer was answered before.
   */
  add(offer: Offer, withdrawn: (number: number) => void): number {
    const number = ++this.#last;
    this.#matters.set(number, { kind: 'offer', number, offer });
    const forget = () => {
      if (this.#matters.delete(number)) withdrawn(number);
    };
    offer.signal.addEventListener('abort', forget, { once: true });
    return number;
  }

  /** Forgets the offers that are not among those still open, of the server and of all listeners. */
  keepOffers(open: readonly Offer[]): void {
    const ids = new Set(open.map((offer) => offer.id));
    for (const matter of this.matters) {
      if (matter.kind === 'offer' && !ids.has(matter.offer.id)) this.#matters.delete(matter.number);
    }
  }

  /** The matter with a number. Throws USAGE, listing those that are open. */
  find(number: number): Matter {
    const matter = this.#matters.get(number);
    if (matter !== undefined) return matter;
    const open = [...this.#matters.keys()].map((key) => this.nameOf(key));
    throw errorOf('USAGE', `there is no open question ${this.nameOf(number)}`, {
      hint: open.length === 0 ? 'none is open now' : `open now: ${open.join(', ')}`,
    });
  }
}
