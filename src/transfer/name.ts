/**
 * Names of files, inside the program and at its two edges, the file system and the peer.
 *
 * A name is bytes on Linux and on the wire. Inside it is a string in which every byte that is not part of valid UTF-8 is
 * a lone surrogate U+DC80 to U+DCFF, after PEP 383 ("surrogateescape"), so that bytes → string → bytes loses nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { Branded } from '../crypto/brand.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';

/** One component of a path, checked: it names something in a folder, never the folder, its parent or another place. */
export type SafeName = Branded<string, 'SafeName'>;

/** A path below a root, outermost component first; empty for the root itself. */
export type SafePath = readonly SafeName[];

/** A path that stands for standard input and output. */
export const STREAM_PATH = '-';
/** What a sealed file is called where it is kept: the name within, and this. */
export const SEALED_SUFFIX = '.sealed';

/** Bytes of the longest name that the usual file systems hold. */
export const MOST_NAME_BYTES = 255;
/** Components of the deepest path that is taken from a peer or from disk: each costs an open folder. */
export const MOST_DEPTH = 128;
/** Bytes of the longest path, with its separators. */
export const MOST_PATH_BYTES = 4096;

const ESCAPE_BASE = 0xdc00;
const ASCII = /^[\x00-\x7f]*$/;
const ESCAPED = /[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]|[^\ud800-\udfff]+/g;

/** Length of the well-formed UTF-8 sequence at `offset`, 0 where there is none (Unicode 16, table 3-7). */
function sequenceLength(bytes: Uint8Array, offset: number): number {
  const lead = bytes[offset] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length <= 1) return length;
  return isUtf8(bytes.subarray(offset, offset + length)) && offset + length <= bytes.length ? length : 0;
}

/** The string form of a name's bytes. Never fails; {@link encodeName} gives the same bytes back. */
export function decodeName(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  let name = '';
  let offset = 0;
  while (offset < buffer.length) {
    const length = sequenceLength(buffer, offset);
    name +=
      length === 0
        ? String.fromCharCode(ESCAPE_BASE + (buffer[offset] ?? 0))
        : buffer.toString('utf8', offset, offset + length);
    offset += Math.max(1, length);
  }
  return name;
}

/** The bytes of a name. Throws BAD_NAME for a lone surrogate that stands for no byte. */
export function encodeName(name: string): Buffer {
  if (name.isWellFormed()) return Buffer.from(name, 'utf8');
  const parts: Buffer[] = [];
  for (const [part] of name.matchAll(ESCAPED)) {
    if (part.isWellFormed()) {
      parts.push(Buffer.from(part, 'utf8'));
      continue;
    }
    const byte = part.charCodeAt(0) - ESCAPE_BASE;
    if (byte < 0x80 || byte > 0xff) throw badName(name, 'holds half a character');
    parts.push(Buffer.of(byte));
  }
  return Buffer.concat(parts);
}

/** What the calls of `node:fs` take for a name or path: the string where it is well-formed, else its bytes. */
export function fsPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : encodeName(path);
}

function badName(name: string, why: string): LocalstreamError {
  return errorOf('BAD_NAME', `the name '${escapeText(name)}' ${why}`);
}

/** `..`, also as Windows reads it: spaces and dots at the end of a component count for nothing there. */
const PARENT = /^ *\.\.[ .]*$/;
const WINDOWS_PLACE = /^(?:\\\\|[A-Za-z]:\\)/;
const WINDOWS_CHARACTERS = /[\x00-\x1f\\:*?"<>|]/;
const WINDOWS_DEVICE = /^(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])$/i;

function reasonAnywhere(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name === '.' || name === '..') return 'means a folder, not something in it';
  if (name.includes('/')) return 'holds a separator';
  if (name.includes('\0')) return 'holds a null character';
  if (name.length > MOST_NAME_BYTES) return `is longer than ${MOST_NAME_BYTES} bytes`;
  if (ASCII.test(name) === false) {
    const bytes = encodeName(name);
    if (bytes.length > MOST_NAME_BYTES) return `is longer than ${MOST_NAME_BYTES} bytes`;
    // Escaped bytes that together are valid UTF-8 would be a second spelling of another name.
    if (!name.isWellFormed() && decodeName(bytes) !== name) return 'is not spelled as its bytes are';
  }
  if (name.includes('\\')) {
    // Legal here, but nobody means it: it is aimed at a reader on Windows, here or where the tree goes next.
    if (WINDOWS_PLACE.test(name)) return 'is a place on Windows';
    if (name.split('\\').some((part) => PARENT.test(part))) return 'leaves its folder on Windows';
  }
  return undefined;
}

function reasonOnWindows(name: string): string | undefined {
  const character = WINDOWS_CHARACTERS.exec(name)?.[0];
  if (character !== undefined) return `holds '${escapeText(character)}', which Windows does not allow`;
  if (/[ .]$/.test(name)) return 'ends in a dot or a space, which Windows drops';
  // `CON .txt` is the console as well: what counts stands before the first dot, less its spaces.
  const stem = (name.split('.')[0] ?? '').trimEnd();
  if (WINDOWS_DEVICE.test(stem)) return 'is a device on Windows';
  return undefined;
}

/**
 * Checks one name from a peer, from disk or from the command line. Names are taken as they are: `%2F` is four ordinary
 * characters, and nothing is decoded, trimmed or normalised.
 *
 * macOS: a colon is allowed (Finder shows it as a slash, no call takes it for one); bytes that are not UTF-8 are not,
 * since its file systems refuse them. Windows: what the system can't hold or would read as something else.
 *
 * @throws BAD_NAME, saying which rule it breaks.
 */
export function checkName(name: string, platform: NodeJS.Platform = process.platform): SafeName {
  let reason = reasonAnywhere(name);
  if (reason === undefined && (platform === 'win32' || platform === 'darwin') && !name.isWellFormed())
    reason = 'is not Unicode text, and this system holds no other';
  if (reason === undefined && platform === 'win32') reason = reasonOnWindows(name);
  if (reason !== undefined) throw badName(name, reason);
  return name as SafeName;
}

/**
 * Checks a path below a root: its components, or text such as `a/b/c`. Text with a slash at either end, or two together,
 * has an empty component and is refused.
 *
 * @throws BAD_NAME for a bad component, for more than {@link MOST_DEPTH} of them, and for more than
 *   {@link MOST_PATH_BYTES} in all.
 */
export function checkPath(
  path: readonly string[] | string,
  platform: NodeJS.Platform = process.platform,
): SafePath {
  if (typeof path === 'string' && path.length > MOST_PATH_BYTES) throw longPath(path);
  const components = typeof path === 'string' ? path.split('/') : path;
  if (components.length > MOST_DEPTH)
    throw errorOf('BAD_NAME', `a path is ${components.length} folders deep, and ${MOST_DEPTH} are allowed`);
  const checked = components.map((component) => checkName(component, platform));
  const bytes = checked.reduce((sum, name) => sum + encodeName(name).length + 1, -1);
  if (bytes > MOST_PATH_BYTES) throw longPath(checked.join('/'));
  return checked;
}

function longPath(path: string): LocalstreamError {
  return errorOf('BAD_NAME', `the path '${escapeText(path)}' is longer than ${MOST_PATH_BYTES} bytes`);
}

/** Characters that HFS+ ignores when it compares names. */
const IGNORED = /[\u200b-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;

/**
 * Two names with the same key may be one file: for systems that fold case and normal form (macOS, Windows, a folder that
 * was probed, see `Folder.foldsCase`). It takes a few names for equal that some of them tell apart, since a missed
 * collision under `--overwrite` loses a file and a false one is only reported.
 */
export function collisionKey(name: string, folds: boolean = foldsByDefault(process.platform)): string {
  if (!folds) return name;
  const plain = name.normalize('NFC').replace(IGNORED, '');
  return plain.toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFC');
}

/** Whether the usual file systems of a platform take `A` and `a` for one name. */
export function foldsByDefault(platform: NodeJS.Platform): boolean {
  return platform === 'darwin' || platform === 'win32';
}

/** The components of a checked path as one text, for messages and for the wire. */
export function pathText(path: readonly string[]): string {
  return path.join('/');
}
