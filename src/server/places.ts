/** The places of a listener: peers, strangers about whom somebody is being asked, and those who have yet to log in. */
import { errorOf } from '../errors.ts';

/** Questions about strangers that may be open at once, in all and from one address. */
const MOST_QUESTIONS = 16;
const MOST_QUESTIONS_PER_ADDRESS = 4;
/** Who has yet to log in costs a connection and nobody's attention: a whole office may come at once, also by one address. */
const MOST_LOGINS = 64;
const MOST_LOGINS_PER_ADDRESS = 32;

/** Counts those who wait for something, in all and by address. */
class Waiting {
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #byAddress = new Map<string, number>();
  #all = 0;

  constructor(most: number, mostOfOne: number) {
    this.#most = most;
    this.#mostOfOne = mostOfOne;
  }

  /** One more; what it returns ends that. Throws BUSY with these words. */
  add(address: string, busy: string): () => void {
    const same = this.#byAddress.get(address) ?? 0;
    if (this.#all >= this.#most || same >= this.#mostOfOne) throw errorOf('BUSY', busy);
    this.#all += 1;
    this.#byAddress.set(address, same + 1);
    return once(() => {
      this.#all -= 1;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
  }
}

export class Places {
  readonly #most: number;
  readonly #questions = new Waiting(MOST_QUESTIONS, MOST_QUESTIONS_PER_ADDRESS);
  readonly #logins = new Waiting(MOST_LOGINS, MOST_LOGINS_PER_ADDRESS);
  #taken = 0;

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
    return this.#questions.add(address, 'too many strangers wait for an answer');
  }

  /** Takes a place for somebody who has yet to log in; what it returns gives it back. Throws BUSY. */
  awaitLogin(address: string): () => void {
    return this.#logins.add(address, 'too many have yet to log in');
  }
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
