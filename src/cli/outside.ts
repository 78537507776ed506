/** Lines after `!`, which the system's shell runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { errorOf, LocalstreamError } from '../errors.ts';

/** What becomes of the streams. */
export interface OutsideOptions {
  /** Whether it reads from the terminal: the stdin of a script holds the script. */
  readonly reads: boolean;
  /** Its stdout goes to stderr: ours belongs to events. */
  readonly aside: boolean;
}

/** Runs a line, or the shell itself where the line is empty. Throws COMMAND_FAILED when its status is not 0. */
export async function runOutside(line: string, { reads, aside }: OutsideOptions): Promise<void> {
  const shell = process.env[process.platform === 'win32' ? 'ComSpec' : 'SHELL'] || '/bin/sh';
  const stdin = reads ? 'inherit' : 'ignore';
  const child =
    line === ''
      ? spawn(shell, { stdio: [stdin, aside ? 2 : 1, 2] })
      : spawn(line, { shell, stdio: [stdin, aside ? 2 : 1, 2] });
  try {
    const [status, signal]: unknown[] = await once(child, 'close');
    if (status === 0) return;
    throw errorOf(
      'COMMAND_FAILED',
      `the command ended with ${typeof signal === 'string' ? signal : String(status)}`,
    );
  } catch (error) {
    if (error instanceof LocalstreamError) throw error;
    throw errorOf('NOT_FOUND', `${shell} can't be started`, { hint: 'set SHELL', cause: error });
  }
}
