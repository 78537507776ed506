/** The pairing code that a person was told: typed as a word, set for a script, or asked for. */
import { env } from 'node:process';
import { parsePairingCode } from '../crypto/pairing-code.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Context } from './context.ts';
import { canAsk } from './question.ts';

const VARIABLE = 'LOCALSTREAM_CODE';

/** Told wherever a code can be typed. */
export const CODE_NOTE =
  'A code on the command line can be seen by who else is logged in here; it is good for one try only. For scripts there ' +
  'is the environment variable LOCALSTREAM_CODE, and without either the code is asked for.';

/** Whether a word is meant as a code: a number, and something behind a dash. */
export function looksLikeCode(word: string): boolean {
  return /^\d{1,4}-[a-z]+-[a-z]+$/i.test(word);
}

/** The code: the word, the environment's, or what a person answers. Throws USAGE. */
export async function codeFor(context: Context, word: string | undefined): Promise<string> {
  const given = word ?? env[VARIABLE];
  if (given !== undefined && given !== '') {
    parsePairingCode(given);
    return given;
  }
  if (context.shell !== undefined || !canAsk())
    throw errorOf('USAGE', 'the code is missing', { hint: `write it, or set ${VARIABLE}` });
  return await askCode(context);
}

async function askCode({ output, signal }: Context): Promise<string> {
  const { createPromptModule } = await import('inquirer');
  signal.throwIfAborted();
  using _held = output.screen.hold();
  const prompt = createPromptModule({ input: process.stdin, output: process.stderr, signal });
  try {
    const { code } = await prompt([
      { type: 'input', name: 'code', message: 'The code, as the other machine shows it:', validate: faultOf },
    ]);
    return String(code);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error && error.name === 'ExitPromptError')
      throw errorOf('CANCELLED', 'cancelled', { cause: error });
    throw error;
  }
}

/** What is wrong with a code, in the form that inquirer wants. */
function faultOf(text: string): true | string {
  try {
    parsePairingCode(text);
    return true;
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
  }
}
