/** Where a command runs: in this process, or in the server of the home, if one is running. */
import { LocalstreamError } from '../errors.ts';
import type { Command, Input } from './command.ts';
import type { Context } from './context.ts';
import { noServer } from './no-server.ts';

/** A command as it was typed. */
export interface Typed {
  readonly command: Command;
  readonly input: Input;
  /** Itself among them. */
  readonly words: readonly string[];
}

/** Runs a command that was given to the program, once. Throws NO_SERVER where it is about a server and none is running. */
export async function runOutsideShell(context: Context, { command, input, words }: Typed): Promise<void> {
  const { server } = command;
  if (server === undefined) return await command.run(context, input);
  const { findServer, runThere } = await import('./daemon/remote.ts');
  const socket = await findServer(context.globals.home);
  if (socket === undefined && server.once === 'needed') throw noServer();
  if (socket === undefined) return await command.run(context, input);
  try {
    await runThere(socket, words, context);
  } catch (error) {
    // A port that the server does not have is opened here, as if there were no server.
    const isOther = error instanceof LocalstreamError && error.code === 'NO_SERVER';
    if (!isOther || server.once === 'needed') throw error;
    await command.run(context, input);
  }
}

/** Runs a command of the shell. */
export async function runInShell(context: Context, { command, input, words }: Typed): Promise<void> {
  if (command.server?.shell && (await context.forward?.(words))) return;
  await command.run(context, input);
}

/** Has the server of the home run what a shell was given about one of its questions or jobs. Throws NO_SERVER. */
export async function runInServer({ forward }: Context): Promise<void> {
  if (!(await forward?.())) throw noServer();
}
