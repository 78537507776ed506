import { constants, type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import { removeLeftovers, replaceFile, versionOfFile } from './atomic-file.ts';
import { type HeldLock, withFileLock } from './file-lock.ts';
import { ensurePrivateFolder, unusable } from './home.ts';
import { jsonText } from './json-text.ts';

/** Told to the person, in one line, when something is wrong that does not stop the work. */
export type Warn = (message: string) => void;

/** What a {@link JsonFile} holds and how it is treated. */
export interface JsonFileOptions<T extends object> {
  readonly path: string;
  /** Written into the file; one with a higher number is left alone. Absent: a file that people write by hand. */
  readonly version?: number;
  readonly schema: v.GenericSchema<unknown, T>;
  /** What is there before the first write. */
  readonly empty: () => T;
  /** What happens to content that can't be understood; `refuse` where it can't be made anew. Default `set-aside`. */
  readonly broken?: 'set-aside' | 'refuse';
  /** What to do about a broken file, for `refuse`. */
  readonly hint?: string;
  readonly warn?: Warn;
  /** How long a writer waits for the lock, in milliseconds. */
  readonly patience?: number;
}

/** Files above this are not ours: reading one would exhaust the memory. */
const MOST_BYTES = 64 * 1024 * 1024;

type Content<T> = { readonly value: T } | { readonly fault: string };

/**
 * A JSON file that several processes read and change at once. Changes are made under a lock and land whole; what
 * can't be understood is set aside under another name and never lost.
 */
export class JsonFile<T extends object> {
  readonly #options: JsonFileOptions<T>;
  #seen: { readonly version: string; readonly value: T } | undefined;

  constructor(options: JsonFileOptions<T>) {
    this.#options = options;
  }

  get path(): string {
    return this.#options.path;
  }

  /** Another text for each state of the file, to notice that it has changed. */
  version(): Promise<string> {
    return versionOfFile(this.path);
  }

  /**
   * The content as it is now; read again only if the file has changed. Not to be modified.
   * @throws STATE when it can't be read, is of a newer version, or is broken where that is refused.
   */
  async read(): Promise<T> {
    const version = await versionOfFile(this.path);
    if (this.#seen?.version === version) return this.#seen.value;
    const loaded = await this.#load();
    const content = 'fault' in loaded ? await this.#mend(loaded.fault) : loaded;
    // The stat came first: content that changed since is at worst read once too often.
    this.#seen = { version, value: content.value };
    return content.value;
  }

  /**
   * Changes the content: `change` gets it and returns the new one, or undefined to leave it. Nothing that another
   * process writes meanwhile is lost.
   * @returns the content after it.
   * @throws STATE as {@link read} does or when it can't be written, BUSY when the lock is not to be had.
   */
  async update(change: (value: T) => T | undefined | Promise<T | undefined>): Promise<T> {
    ensurePrivateFolder(dirname(this.path));
    for (let attempt = 1; attempt <= 5; attempt++) {
      const result = await withFileLock(
        this.path,
        (lock) => this.#change(change, lock),
        this.#options.patience,
      );
      if (result !== undefined) return result;
      // The lock was lost, to a process that thought this one dead: start over from what that one wrote.
    }
    throw errorOf('BUSY', `${this.path} was changed again and again by another program`, {
      hint: 'try again',
    });
  }

  #write(value: T): string {
    const { version } = this.#options;
    return `${jsonText(version === undefined ? value : { version, ...value }, 1)}\n`;
  }

  async #change(
    change: (value: T) => T | undefined | Promise<T | undefined>,
    lock: HeldLock,
  ): Promise<T | undefined> {
    let before = await versionOfFile(this.path);
    let content = await this.#load();
    if ('fault' in content) {
      content = await this.#setAside(content.fault);
      before = await versionOfFile(this.path);
    }
    const next = await change(content.value);
    if (next === undefined) return content.value;
    const unchanged = async () => (await lock.isHeld()) && (await versionOfFile(this.path)) === before;
    try {
      await removeLeftovers(this.path);
      return (await replaceFile(this.path, this.#write(next), unchanged)) ? next : undefined;
    } catch (error) {
      throw unusable(this.path, error);
    }
  }

  /** A start goes on with an empty content even where the broken file can't be moved, on a read-only disk. */
  async #mend(fault: string): Promise<{ readonly value: T }> {
    if (this.#options.broken === 'refuse') return this.#setAside(fault);
    try {
      return await withFileLock(
        this.path,
        async () => {
          // Read once more: another process may just have mended it.
          const again = await this.#load();
          return 'fault' in again ? await this.#setAside(again.fault) : again;
        },
        this.#options.patience,
      );
    } catch (error) {
      this.#options.warn?.(
        `${this.path} can't be used (${fault}): ${error instanceof Error ? error.message : error}`,
      );
      return { value: this.#options.empty() };
    }
  }

  async #load(): Promise<Content<T>> {
    const text = await this.#readText();
    if (text === undefined) return { value: this.#options.empty() };
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      // The parser's own message quotes the content, which may be a secret.
      return { fault: text.trim() === '' ? 'it is empty' : 'it is not JSON, or cut short' };
    }
    const version = v.safeParse(v.object({ version: v.pipe(v.number(), v.safeInteger()) }), parsed);
    if (this.#options.version !== undefined) {
      if (!version.success) return { fault: 'it has no version' };
      if (version.output.version > this.#options.version) throw this.#newer(version.output.version);
      if (version.output.version < this.#options.version) return { fault: 'its version is unknown' };
    }
    const checked = v.safeParse(this.#options.schema, parsed);
    if (checked.success) return { value: checked.output };
    const place = checked.issues.map((issue) => v.getDotPath(issue)).find((path) => path !== null);
    return { fault: `its field ${place ?? '(root)'} is missing or malformed` };
  }

  async #readText(): Promise<string | undefined> {
    try {
      // Not blocking: opening a pipe that stands in the file's place would wait for a writer for ever.
      const handle = await open(this.path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      try {
        await this.#checkFile(handle);
        // Editors on some systems begin a file with a byte order mark.
        return (await handle.readFile('utf8')).replace(/^\uFEFF/, '');
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error instanceof LocalstreamError ? error : unusable(this.path, error);
    }
  }

  async #checkFile(handle: FileHandle): Promise<void> {
    const stats = await handle.stat();
    if (!stats.isFile()) throw unusable(this.path, undefined, 'it is not a file');
    if (stats.size > MOST_BYTES)
      throw unusable(this.path, undefined, `it is too large (${stats.size} bytes)`);
    if (process.getuid === undefined) return;
    if (stats.uid !== process.getuid()) {
      throw unusable(this.path, undefined, `it belongs to another user (${stats.uid})`);
    }
    if ((stats.mode & 0o077) === 0) return;
    const closed = await handle.chmod(0o600).then(
      () => ', closed to them now',
      () => '',
    );
    this.#options.warn?.(`${this.path} was open to other users${closed}`);
  }

  async #setAside(fault: string): Promise<{ readonly value: T }> {
    if (this.#options.broken === 'refuse') {
      throw errorOf('STATE', `${this.path} can't be used: ${fault}`, {
        hint: this.#options.hint ?? 'restore it from a backup or move it away',
      });
    }
    const aside = `${this.path}.broken-${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${process.pid}`;
    try {
      await rename(this.path, aside);
      this.#options.warn?.(`${this.path} can't be used (${fault}): kept as ${aside}, started anew`);
    } catch (error) {
      throw unusable(this.path, error, `${fault}, and it can't be set aside`);
    }
    return { value: this.#options.empty() };
  }

  #newer(version: number): Error {
    return errorOf('STATE', `${this.path} was written by a newer localstream (version ${version})`, {
      hint: 'update localstream on this machine, or set LOCALSTREAM_HOME to another folder',
    });
  }
}
