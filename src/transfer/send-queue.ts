import { errorOf } from '../errors.ts';
import type { LiveEntry } from './sender-entries.ts';

/** The files that the target wants or compares, in the order of its answers. */
export class SendQueue<Reference> {
  #entries: LiveEntry<Reference>[] = [];
  #head = 0;

  /** Whether no file waits. */
  get isEmpty(): boolean {
    return this.#head === this.#entries.length;
  }

  /** The file whose turn it is. */
  get first(): LiveEntry<Reference> | undefined {
    return this.#entries[this.#head];
  }

  /** Puts a file at the end. */
  add(live: LiveEntry<Reference>): void {
    live.state = 'queued';
    this.#entries.push(live);
  }

  /** Takes the first file out. */
  shift(): void {
    this.#head += 1;
    // The consumed head is dropped now and then, so that the queue stays as long as what waits in it.
    if (this.#head < 1024) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }

  /** Takes a file out that the target has given up. Throws BAD_MESSAGE when it does not wait here. */
  remove(live: LiveEntry<Reference>): void {
    const place = this.#entries.indexOf(live, this.#head);
    if (place < 0) throw errorOf('BAD_MESSAGE', 'the target settled an entry before it answered');
    this.#entries.splice(place, 1);
  }
}
