/** What was typed in the shell: a private file, bounded, shared by the shells of one home. */
import { appendFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../errors.ts';
import { replaceFile } from '../store/atomic-file.ts';
import { ensurePrivateFolder, type Home } from '../store/home.ts';

/** Lines that are kept. */
export const HISTORY_LINES = 1000;
/** The file is cut back to {@link HISTORY_LINES} when it has grown beyond this, so that not every line rewrites it. */
const MOST_BYTES = 256 * 1024;
/** A longer line is a paste by mistake. */
const LONGEST_LINE = 4096;

/** The lines of earlier shells. None of its failures stops a shell. */
export class History {
  readonly #path: string;
  readonly #warn: (message: string) => void;
  #isUsable = true;

  constructor(home: Home, warn: (message: string) => void) {
    this.#path = join(home.data, 'history');
    this.#warn = warn;
  }

  /** Earlier lines, the latest first. */
  async load(): Promise<string[]> {
    try {
      await using file = await open(this.#path, 'r');
      const { size } = await file.stat();
      const start = Math.max(0, size - MOST_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, MOST_BYTES)), {
        position: start,
      });
      const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
      // Where the file was not read from its start, the first line is half a line.
      const whole = (start > 0 ? lines.slice(1) : lines).filter(isKept).slice(-HISTORY_LINES);
      if (start > 0) await replaceFile(this.#path, `${whole.join('\n')}\n`);
      return whole.reverse();
    } catch (error) {
      this.#isUsable = systemCode(error) === 'ENOENT';
      if (!this.#isUsable) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#warn(`${this.#path} can't be used (${reason}): it is left as it is, and no lines are kept`);
      }
      return [];
    }
  }

  /** Keeps a line. One that begins with a space is kept out, as shells do it. */
  async add(line: string): Promise<void> {
    if (!this.#isUsable || line.startsWith(' ') || !isKept(line)) return;
    try {
      await appendFile(this.#path, `${line}\n`, { mode: 0o600 });
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#isUsable = false;
    }
  }
}

/** The history of a home, or undefined where the home can't be used; the first command that needs it will say why. */
export async function openHistory(home: Home, warn: (message: string) => void): Promise<History | undefined> {
  try {
    ensurePrivateFolder(home.data);
    return new History(home, warn);
  } catch {
    return undefined;
  }
}

/** Control characters would act on the terminal when the line is called up again. */
function isKept(line: string): boolean {
  return line.trim() !== '' && line.length <= LONGEST_LINE && !/\p{Cc}/u.test(line);
}
