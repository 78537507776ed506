/** What Tab offers: the table says what belongs where, the workspace what there is. */
import { homedir } from 'node:os';
import { type Command, type Completion, kebabCase, kindsAt, namesOf } from './command.ts';
import { type Candidate, candidatesFor } from './completion-candidates.ts';
import { forgiven } from './script.ts';
import { commandsFor } from './table.ts';
import { quoteWord, tokenise, type Word } from './tokenise.ts';
import type { Workspace } from './workspace.ts';

/** What becomes of the word before the cursor. */
export interface Completed {
  /** The word as it was typed, quotes included. */
  readonly typed: string;
  /** What stands there instead; undefined where nothing more can be said for sure. */
  readonly replacement: string | undefined;
  /** Names to choose from, where there are several. */
  readonly choices: readonly string[];
}

const NOTHING: Completed = { typed: '', replacement: undefined, choices: [] };
const GLOBAL_OPTIONS = ['--json', '--verbose', '--yes', '--help'];

/** Completes the last word of a line. Never rejects: what can't be found out is not offered. */
export async function complete(line: string, workspace: Workspace): Promise<Completed> {
  const place = placeIn(line);
  if (place === undefined) return NOTHING;
  const { before, current, typed } = place;
  const candidates = (await candidatesOf(before, current, workspace).catch(() => [])).filter(({ text }) =>
    text.startsWith(current),
  );
  const [first] = candidates;
  if (first === undefined) return NOTHING;
  const common = commonStart(candidates.map(({ text }) => text));
  const isWhole = candidates.length === 1;
  const choices = isWhole ? [] : candidates.map(({ shown }) => shown);
  if (!isWhole && common.length <= current.length) return { typed, replacement: undefined, choices };
  const isOver = isWhole && !first.goesOn;
  return { typed, replacement: quotedLike(typed, common, isOver), choices };
}

interface Place {
  readonly before: readonly string[];
  /** The word at the cursor, read; empty where a new one begins. */
  readonly current: string;
  readonly typed: string;
}

/** Finds the word at the end of a line; undefined where none of ours stands. */
function placeIn(line: string): Place | undefined {
  const backslash = process.platform === 'win32' ? 'literal' : 'escapes';
  for (const closer of ['', '"', "'"]) {
    try {
      const { commands, isOpen } = tokenise(line + closer, { home: homedir(), backslash });
      if (isOpen) continue;
      const last = commands.at(-1);
      if (last?.outside !== undefined) return undefined;
      const isNew = last === undefined || last.isJob || /(?:;|\n)\s*$/.test(line);
      const words: readonly Word[] =
        isNew && closer === '' ? wordsAtEnd(last?.words, line) : (last?.words ?? []);
      const at = words.at(-1);
      const isWithin = at !== undefined && at.end === line.length + closer.length;
      const texts = words.map(({ text }) => text);
      if (!isWithin) return { before: texts, current: '', typed: '' };
      return { before: texts.slice(0, -1), current: at.text, typed: line.slice(at.start) };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** A `;` that ends the line ends the command before it, unless it belongs to its last word. */
function wordsAtEnd(words: readonly Word[] | undefined, line: string): readonly Word[] {
  return words?.at(-1)?.end === line.length ? words : [];
}

async function candidatesOf(
  before: readonly string[],
  current: string,
  workspace: Workspace,
): Promise<readonly Candidate[]> {
  const { words, isForgiven } = forgiven(before);
  const [name, ...given] = words;
  if (name === undefined) {
    const prefix = isForgiven || !/^-[a-z]/.test(current) ? '' : '-';
    return commandNames().map((text) => ({ text: prefix + text, shown: text, goesOn: false }));
  }
  const command = commandsFor('shell').find((candidate) => namesOf(candidate).includes(name));
  if (command === undefined) return [];
  const awaited = optionOf(command, given.at(-1));
  if (awaited !== undefined) return await candidatesFor([awaited], current, workspace);
  if (current.startsWith('-')) {
    const own = Object.keys(command.options).map((option) => `--${kebabCase(option)}`);
    return [...own, ...GLOBAL_OPTIONS].map((text) => ({ text, shown: text, goesOn: false }));
  }
  return await candidatesFor(kindsOf(command, given), current, workspace);
}

/** Proper names and aliases; the forms with hyphens would only say everything twice. */
function commandNames(): string[] {
  return commandsFor('shell').flatMap(({ name, aliases }) => [name, ...aliases]);
}

/** What the value of an option completes to, where a word is an option that waits for one. */
function optionOf(command: Command, word: string | undefined): Completion | undefined {
  const [, option] = Object.entries(command.options).find(([key]) => `--${kebabCase(key)}` === word) ?? [];
  return option === undefined || option.kind === 'flag' ? undefined : option.completes;
}

function kindsOf(command: Command, given: readonly string[]): readonly Completion[] {
  let position = 0;
  for (const [index, word] of given.entries()) {
    if (!word.startsWith('-') && optionOf(command, given[index - 1]) === undefined) position += 1;
  }
  return kindsAt(command, position);
}

function commonStart(texts: readonly string[]): string {
  const [first = '', ...others] = texts;
  let length = first.length;
  for (const other of others) {
    while (!other.startsWith(first.slice(0, length))) length -= 1;
  }
  // Never half of a character.
  return /[\ud800-\udbff]$/.test(first.slice(0, length)) && length < first.length
    ? first.slice(0, length - 1)
    : first.slice(0, length);
}

const PLAIN = /[\p{L}\p{N}_@%+=:,./-]/u;

/** Writes a word in the quotes in which it was begun. They stay open while more can follow. */
function quotedLike(typed: string, text: string, isOver: boolean): string {
  const after = isOver ? ' ' : '';
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(text)) {
    const whole = quoteWord(text);
    return isOver ? `${whole} ` : whole.slice(0, -1);
  }
  if (typed.startsWith('"') || process.platform === 'win32') {
    if (!typed.startsWith('"') && [...text].every((letter) => PLAIN.test(letter) || letter === '\\'))
      return text + after;
    return `"${text.replaceAll(/["\\$`]/g, '\\$&')}${isOver ? '" ' : ''}`;
  }
  if (typed.startsWith("'") && !text.includes("'")) return `'${text}${isOver ? "' " : ''}`;
  return [...text].map((letter) => (PLAIN.test(letter) ? letter : `\\${letter}`)).join('') + after;
}
