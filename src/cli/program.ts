/** The program with all its commands. */
import type { Help } from './context.ts';
import { helpFor, type Invocation, parseCommandLine, type Surface } from './parser.ts';
import { COMMANDS } from './table.ts';

export type { Invocation, Surface } from './parser.ts';

/**
 * Understands a command line.
 * @param columns Of the terminal, for help.
 * @throws USAGE, naming what is wrong and what was probably meant.
 */
export function parseWords(words: readonly string[], surface: Surface, columns = 80): Invocation {
  return parseCommandLine(words, { commands: COMMANDS, surface, columns });
}

/** The help of one command, or of all. Throws USAGE for a command that there is not. */
export function helpOf(name: string | undefined, surface: Surface, columns = 80): Help {
  return helpFor(name, { commands: COMMANDS, surface, columns });
}
