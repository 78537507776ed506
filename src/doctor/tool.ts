/** Asks a program of the system, within bounds. */
import { execFile } from 'node:child_process';
import { delimiter } from 'node:path';
import { systemCode } from '../errors.ts';

const MILLISECONDS = 5000;
const MOST_BYTES = 16 * 1024 * 1024;
/** Where systems keep what is for administrators; not every user has them in the path. */
const MORE_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** What came of it. */
export type Ran =
  | { readonly outcome: 'ended'; readonly status: number; readonly output: string; readonly errors: string }
  | { readonly outcome: 'absent' }
  /** It took too long, said too much, or could not be started. */
  | { readonly outcome: 'failed'; readonly reason: string };

/** Runs a program to its end; never throws, unless the signal aborts. */
export async function runTool(
  command: string,
  words: readonly string[],
  signal: AbortSignal,
  milliseconds = MILLISECONDS,
): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const path = [process.env['PATH'] ?? '', ...(process.platform === 'win32' ? [] : MORE_FOLDERS)];
  execFile(
    command,
    words,
    {
      env: { ...process.env, PATH: path.join(delimiter), LC_ALL: 'C' },
      timeout: milliseconds,
      killSignal: 'SIGKILL',
      maxBuffer: MOST_BYTES,
      signal,
      windowsHide: true,
    },
    (error, output, errors) => {
      const code: unknown = error?.code;
      if (error === null) resolve({ outcome: 'ended', status: 0, output, errors });
      else if (typeof code === 'number') resolve({ outcome: 'ended', status: code, output, errors });
      else if (systemCode(error) === 'ENOENT') resolve({ outcome: 'absent' });
      else if (error.killed === true) {
        resolve({ outcome: 'failed', reason: `${command} did not answer in ${milliseconds / 1000} s` });
      } else resolve({ outcome: 'failed', reason: error.message });
    },
  );
  const ran = await promise;
  signal.throwIfAborted();
  return ran;
}
