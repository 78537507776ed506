/**
 * Takes a typed line apart as a POSIX shell does: quotes, backslash, `#`, `;`, `&`, and `$'…'` for what can't be typed.
 * A `!` where a command begins hands the rest of the line to the system's shell. Nothing is expanded but a leading `~`: no variables, no globs. Words keep their place in the line, for completion.
 */
import { errorOf, type LocalstreamError } from '../errors.ts';
import { decodeName } from '../transfer/name.ts';

/** One word of a line. */
export interface Word {
  readonly text: string;
  /** Offsets in the line, quotes included. */
  readonly start: number;
  readonly end: number;
}

/** One command of a line. */
export interface TypedCommand {
  /** None for a line of the system's shell. */
  readonly words: readonly Word[];
  /** It ends in `&`. */
  readonly isJob: boolean;
  /** After `!`: what the system's shell is to run, as it was typed. */
  readonly outside?: string;
}

/** A line taken apart. */
export interface Line {
  /** The commands of the line, in order; none of them is empty. */
  readonly commands: readonly TypedCommand[];
  /** The line ends within quotes or after a backslash: more must follow before it means anything. */
  readonly isOpen: boolean;
}

export interface TokeniseOptions {
  /** What a leading `~` stands for. Absent: itself. */
  readonly home?: string;
  /** Windows writes paths with backslashes, so there it escapes nothing outside quotes. */
  readonly backslash?: 'escapes' | 'literal';
}

const BLANK = /[ \t\r]/;
const SINGLE = /'([^']*)'/y;
const ANSI = /\$'((?:[^'\\]|\\.)*)'/sy;
const DOUBLE = /"((?:[^"\\]|\\.)*)"/sy;
const PLAIN = /[^\s;#&'"\\$~]+/y;

/** Takes a line apart. Throws USAGE for an `&` that ends no command. */
export function tokenise(line: string, options: TokeniseOptions = {}): Line {
  const commands: TypedCommand[] = [];
  let words: Word[] = [];
  let offset = 0;
  const endCommand = (isJob = false) => {
    if (words.length > 0) commands.push({ words, isJob });
    words = [];
  };
  while (offset < line.length) {
    const character = line.charAt(offset);
    if (BLANK.test(character)) offset += 1;
    else if (character === ';' || character === '\n') {
      endCommand();
      offset += 1;
    } else if (character === '#') {
      const end = line.indexOf('\n', offset);
      offset = end < 0 ? line.length : end;
    } else if (character === '!' && words.length === 0) {
      const end = line.indexOf('\n', offset);
      const outside = line.slice(offset + 1, end < 0 ? line.length : end).trim();
      commands.push({ words, isJob: false, outside });
      offset = end < 0 ? line.length : end;
    } else if (character === '&') {
      if (words.length === 0 || !isJobEnd(line, offset)) throw strayAmpersand();
      endCommand(true);
      offset += 1;
    } else {
      const word = readWord(line, offset, options);
      if (word === undefined) return { commands, isOpen: true };
      // A word that an escaped line end left empty is no word.
      if (
        word.end > word.start &&
        !(word.text === '' && /^(?:\\\n)+$/.test(line.slice(word.start, word.end)))
      ) {
        words.push(word);
      }
      offset = word.end;
    }
  }
  endCommand();
  return { commands, isOpen: false };
}

/** Reads a word, or returns undefined where the line ends before the word does. */
function readWord(line: string, start: number, options: TokeniseOptions): Word | undefined {
  let text = '';
  let offset = start;
  if (options.home !== undefined && /^~(?=[/\s;&]|$)/.test(line.slice(start, start + 2))) {
    text = options.home;
    offset += 1;
  }
  while (offset < line.length) {
    const character = line.charAt(offset);
    if (BLANK.test(character) || character === '\n' || character === ';') break;
    if (character === '&') {
      if (isJobEnd(line, offset)) break;
      throw strayAmpersand();
    }
    const piece = readPiece(line, offset, options);
    if (piece === undefined) return undefined;
    text += piece.text;
    offset = piece.end;
  }
  return { text, start, end: offset };
}

/** An & in the midst of a word belongs to a name more often than it ends a command: AT&T.pdf. */
function isJobEnd(line: string, offset: number): boolean {
  return /^&(?:[\s;]|$)/.test(line.slice(offset, offset + 2));
}

function strayAmpersand(): LocalstreamError {
  return errorOf('USAGE', 'an & runs the command before it in the background, and stands behind it', {
    hint: "write '&' in quotes where it belongs to a name",
  });
}

interface Piece {
  readonly text: string;
  readonly end: number;
}

function readPiece(line: string, offset: number, options: TokeniseOptions): Piece | undefined {
  const character = line.charAt(offset);
  if (character === "'") return quoted(SINGLE, line, offset, (inner) => inner);
  // Within double quotes a backslash escapes only what would else end or change them.
  if (character === '"')
    return quoted(DOUBLE, line, offset, (inner) => inner.replace(/\\(["\\$`\n])/g, unescapeOne));
  if (line.startsWith("$'", offset)) return quoted(ANSI, line, offset, fromAnsi);
  if (character === '\\' && options.backslash !== 'literal') {
    if (offset + 1 >= line.length) return undefined;
    const next = String.fromCodePoint(line.codePointAt(offset + 1) ?? 0);
    return { text: next === '\n' ? '' : next, end: offset + 1 + next.length };
  }
  PLAIN.lastIndex = offset;
  const text = PLAIN.exec(line)?.[0] ?? character;
  return { text, end: offset + text.length };
}

function quoted(
  pattern: RegExp,
  line: string,
  offset: number,
  read: (inner: string) => string,
): Piece | undefined {
  pattern.lastIndex = offset;
  const match = pattern.exec(line);
  if (match === null) return undefined;
  return { text: read(match[1] ?? ''), end: pattern.lastIndex };
}

function unescapeOne(_: string, character: string): string {
  return character === '\n' ? '' : character;
}

const ANSI_ESCAPE = /\\(?:x([0-9a-fA-F]{1,2})|u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|(.))/gs;
const ANSI_LETTERS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', 0: '\0' };

/** Bytes given as `\xHH` are put together before they are read as text, so that `\xc3\xa9` is é and `\xff` a byte. */
function fromAnsi(inner: string): string {
  const parts: Buffer[] = [];
  let last = 0;
  for (const match of inner.matchAll(ANSI_ESCAPE)) {
    parts.push(Buffer.from(inner.slice(last, match.index)));
    const [, byte, braced, four, letter = ''] = match;
    if (byte !== undefined) parts.push(Buffer.of(Number.parseInt(byte, 16)));
    else if (braced !== undefined || four !== undefined)
      parts.push(Buffer.from(character(braced ?? four ?? '')));
    else parts.push(Buffer.from(ANSI_LETTERS[letter] ?? letter));
    last = match.index + match[0].length;
  }
  parts.push(Buffer.from(inner.slice(last)));
  return decodeName(Buffer.concat(parts));
}

function character(hex: string): string {
  const code = Number.parseInt(hex, 16);
  return code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code);
}

const BARE = /^[\p{L}\p{N}_@%+=:,./-]+$/u;
const HARD = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Writes a word so that {@link tokenise} reads it back, in the form that is easiest on the eye. */
export function quoteWord(text: string): string {
  if (BARE.test(text)) return text;
  if (!HARD.test(text)) return `'${text.replaceAll("'", `'"'"'`)}'`;
  let inner = '';
  for (const part of text) {
    const code = part.codePointAt(0) ?? 0;
    if (part === "'" || part === '\\') inner += `\\${part}`;
    else if (!HARD.test(part)) inner += part;
    else if (code < 0x80) inner += `\\x${code.toString(16).padStart(2, '0')}`;
    // A byte that is not UTF-8 (see transfer/name.ts).
    else if (code >= 0xdc80 && code <= 0xdcff) inner += `\\x${(code - 0xdc00).toString(16)}`;
    else inner += `\\u{${code.toString(16)}}`;
  }
  return `$'${inner}'`;
}
