/** The places of a listener: so many peers at once, and so many strangers about whom somebody is being asked. */
import { errorOf } from '../errors.ts';

/** Questions about strangers that may be open at once, in all and from one address. */
const MOST_QUESTIONS = 16;
const MOST_QUESTIONS_PER_ADDRESS = 4;

export class Places {
  readonly #most: number;
  readonly #questions = new Map<string, number>();
  #taken = 0;
  #asked = 0;

  /** `most`: peers at once. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Throws FULL when no peer more may come in. */
  requireFree(): void {
    if (this.#taken >= this.#most) throw errorOf('FULL', `full (${this.#taken} of ${this.#most})`);
  }

  /** Takes a place for a peer; what it returns gives it back. Throws FULL. */
  take(): () => void {
    this.requireFree();
    this.#taken += 1;
    return once(() => {
      this.#taken -= 1;
    });
  }

  /** Takes a place for a question about somebody; what it returns gives it back. Throws BUSY. */
  ask(address: string): () => void {
    const same = this.#questions.get(address) ?? 0;
    if (this.#asked >= MOST_QUESTIONS || same >= MOST_QUESTIONS_PER_ADDRESS)
      throw errorOf('BUSY', 'too many strangers wait for an answer');
    this.#asked += 1;
    this.#questions.set(address, same + 1);
    return once(() => {
      this.#asked -= 1;
      const left = (this.#questions.get(address) ?? 1) - 1;
      if (left === 0) this.#questions.delete(address);
      else this.#questions.set(address, left);
    });
  }
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
