/** The pairing code that a person was told: typed as a word, set for a script, or asked for. */
import { env } from 'node:process';
import { completePairingCode, parsePairingCode } from '../crypto/pairing-code.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { Context } from './context.ts';

type Prompt = ReturnType<typeof import('inquirer').createPromptModule>;

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
  const { asker, signal } = context;
  if (asker.code !== undefined) return await asker.code(signal);
  throw errorOf('USAGE', 'the code is missing', { hint: `write it, or set ${VARIABLE}` });
}

/** The line that the other machine shows, where somebody has pasted all of it. */
const PASTED = /^\s*(?:localstream\s+)?(?:receive|pair)\s+(?=\d)/i;

/** One line of the list below the question. */
interface Choice {
  readonly name: string;
  readonly value: string;
  /** Shown beside a line that can't be chosen. */
  readonly disabled?: string;
}

const WORD_FOLLOWS: Choice = { name: 'a word follows,', value: '', disabled: 'Tab completes it' };

/**
 * What a half typed code can become, for a question with suggestions. A code in any form that is understood is offered as
 * it is shown elsewhere. Throws, with what is wrong, for a whole code that is none.
 */
export function codeChoices(typed: string): Choice[] {
  const text = typed.replace(PASTED, '').trim();
  if (text === '') return [];
  const whole = faultOf(text);
  if (whole === undefined) {
    const { nameplate, words } = parsePairingCode(text);
    return [{ name: `${nameplate}-${words}`, value: `${nameplate}-${words}` }];
  }
  if (/^\d{1,4}$/.test(text)) return [{ name: `${text}-`, value: `${text}-` }];
  if (/^\d{1,4}-(?:[a-z]+-)?$/i.test(text)) return [WORD_FOLLOWS];
  const found = completePairingCode(text);
  if (found.length === 0) throw new Error(whole);
  return found.map((name) => ({ name, value: name }));
}

/** Asks for a code. Throws what inquirer throws when the question is left. */
export async function askCode(prompt: Prompt): Promise<string> {
  let typed = '';
  const { code } = await prompt([
    {
      type: 'search',
      name: 'code',
      message: 'The code, as the other machine shows it:',
      source: (term: string | undefined) => {
        typed = term ?? '';
        return codeChoices(typed);
      },
      // What is only begun is completed by Enter, and taken by another one: a word that was not meant burns the code.
      validate: (value: string) => faultOf(typed.replace(PASTED, '')) ?? faultOf(value) ?? true,
    },
  ]);
  return String(code);
}

/** What is wrong with a code; undefined where it is one. */
function faultOf(text: string): string | undefined {
  try {
    parsePairingCode(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
  }
}
