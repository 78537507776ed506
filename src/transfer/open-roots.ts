import type { SourceRoot } from './source-root.ts';

/** Roots that are held open. */
const MOST_OPEN_ROOTS = 64;

/** Those roots of a transfer that are open: there may be more of them than a process may hold open. */
export class OpenRoots implements Disposable {
  /** The least recently used first. */
  readonly #open = new Set<SourceRoot>();
  #walked: SourceRoot | undefined;

  /** It is walked, and stays open until that ends. */
  *walking<Entry>(root: SourceRoot, entries: Iterable<Entry>): Generator<Entry> {
    this.#walked = root;
    try {
      yield* entries;
    } finally {
      this.#walked = undefined;
      this.use(root);
    }
  }

  /** It is used now, and stays open until enough others were. */
  use(root: SourceRoot): void {
    if (root === this.#walked) return;
    this.#open.delete(root);
    this.#open.add(root);
    const [oldest] = this.#open;
    if (oldest === undefined || this.#open.size <= MOST_OPEN_ROOTS) return;
    this.#open.delete(oldest);
    oldest.close();
  }

  [Symbol.dispose](): void {
    this.#walked?.close();
    for (const root of this.#open) root.close();
    this.#open.clear();
  }
}
