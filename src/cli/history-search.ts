/** Looking for an earlier line by a part of it, as Ctrl-R does in other shells. What is typed is looked for at once. */

/** What becomes of a key: it goes on, it is over and the line stands as found, or over and the line is as before. */
export type Outcome = 'searching' | 'found' | 'given up';

export class HistorySearch {
  /** The line as it was typed before. */
  readonly before: string;
  readonly #history: readonly string[];
  #words = '';
  /** Place in the history, the latest first; -1 before anything was looked for. */
  #at = -1;
  #isFailing = false;

  /** @param history Earlier lines, the latest first. */
  constructor(history: readonly string[], before: string) {
    this.#history = history;
    this.before = before;
  }

  /** What stands in the place of the prompt. */
  get prompt(): string {
    return `${this.#isFailing ? 'not found' : 'search'} '${this.#words}': `;
  }

  /** The line that was found, or the one that was typed before. */
  get line(): string {
    return this.#history[this.#at] ?? this.before;
  }

  /** Takes one character. */
  take(character: string): Outcome {
    switch (character) {
      case '\x12':
        this.#look(this.#at + 1, 1);
        return 'searching';
      case '\x13':
        this.#look(this.#at - 1, -1);
        return 'searching';
      case '\x7f':
      case '\b':
        this.#words = [...this.#words].slice(0, -1).join('');
        this.#at = -1;
        this.#look(0, 1);
        return 'searching';
      case '\x07':
      case '\x03':
        return 'given up';
    }
    if (/\p{Cc}/u.test(character)) return 'found';
    this.#words += character;
    this.#look(Math.max(0, this.#at), 1);
    return 'searching';
  }

  /** Goes on from a place to where the words are; stays where nothing has them. */
  #look(from: number, step: 1 | -1): void {
    this.#isFailing = false;
    if (this.#words === '') return;
    const current = this.#history[this.#at];
    for (let at = from; at >= 0 && at < this.#history.length; at += step) {
      const line = this.#history[at];
      // The same line again is no other one.
      if (line?.includes(this.#words) && (line !== current || at === this.#at)) {
        this.#at = at;
        return;
      }
    }
    this.#isFailing = true;
  }
}
