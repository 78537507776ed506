import * as v from 'valibot';
import { LocalstreamError } from '../errors.ts';
import type { Home } from './home.ts';
import { JsonFile, type Warn } from './json-file.ts';

/** Marks that are kept, the newest. */
const MOST_MARKS = 10_000;
const MOST_CHARACTERS = 200;

const SCHEMA = v.object({ marks: v.array(v.pipe(v.string(), v.maxLength(MOST_CHARACTERS))) });
type Content = v.InferOutput<typeof SCHEMA>;

/**
 * Remembers by their marks which sealed files gets have brought and not opened, also in another run: whichever get opens
 * one may remove it. Where nothing can be read or written here, the sealed file stays, which loses nothing.
 */
export class UnopenedSeals {
  readonly #file: JsonFile<Content>;
  readonly #warn: Warn | undefined;

  constructor(home: Home, warn?: Warn) {
    this.#warn = warn;
    this.#file = new JsonFile({
      path: home.unopenedFile,
      version: 1,
      schema: SCHEMA,
      empty: () => ({ marks: [] }),
      ...(warn === undefined ? {} : { warn }),
    });
  }

  /** Lends the marks to `work`, and keeps what it adds and removes, whether it throws or not. */
  async change<Result>(work: (marks: Set<string>) => Promise<Result>): Promise<Result> {
    const before = await this.#read();
    const after = new Set(before);
    try {
      return await work(after);
    } finally {
      await this.#write(before, after);
    }
  }

  async #read(): Promise<ReadonlySet<string>> {
    try {
      return new Set((await this.#file.read()).marks);
    } catch (error) {
      this.#tell(error);
      return new Set();
    }
  }

  async #write(before: ReadonlySet<string>, after: ReadonlySet<string>): Promise<void> {
    const added = [...after].filter((mark) => !before.has(mark));
    const removed = new Set([...before].filter((mark) => !after.has(mark)));
    if (added.length === 0 && removed.size === 0) return;
    try {
      await this.#file.update(({ marks }) => {
        // Another process may have changed it meanwhile.
        const kept = marks.filter((mark) => !removed.has(mark));
        return { marks: [...new Set([...kept, ...added])].slice(-MOST_MARKS) };
      });
    } catch (error) {
      this.#tell(error);
    }
  }

  #tell(error: unknown): void {
    if (!(error instanceof LocalstreamError)) throw error;
    this.#warn?.(`sealed files that are not opened yet will stay: ${error.message}`);
  }
}
