/** What the operating system's errors mean to a transfer. */
import { constants } from 'node:os';
import { getSystemErrorMessage } from 'node:util';
import { type ErrorCode, errorOf, LocalstreamError, systemCode } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';

/** Names of errors that Node.js itself has none for, the used up quota among them: it only gives their numbers. */
const NAME_BY_NUMBER = new Map(Object.entries(constants.errno).map(([name, number]) => [-number, name]));

function nameOf(error: unknown): string | undefined {
  const code = systemCode(error);
  if (code === undefined || /^E[A-Z0-9]+$/.test(code)) return code;
  const number = error instanceof Error && 'errno' in error ? Number(error.errno) : Number.NaN;
  return NAME_BY_NUMBER.get(number) ?? code;
}

/** What was being done, as the end of "cannot …"; it decides what a missing permission is called. */
export type FileAction = 'read' | 'write' | 'create' | 'replace' | 'remove' | 'open' | 'list' | 'change';

const READING = new Set<FileAction>(['read', 'open', 'list']);

const CODES = new Map<string, ErrorCode>([
  ['ENOENT', 'NOT_FOUND'],
  ['ENOTDIR', 'NOT_A_FOLDER'],
  ['EISDIR', 'IS_A_FOLDER'],
  ['EEXIST', 'EXISTS'],
  ['ENOTEMPTY', 'EXISTS'],
  ['ENOSPC', 'NO_SPACE'],
  ['EDQUOT', 'NO_SPACE'],
  ['EFBIG', 'NO_SPACE'],
  ['ELOOP', 'NOT_A_FILE'],
  ['ENXIO', 'NOT_A_FILE'],
  ['ENAMETOOLONG', 'BAD_NAME'],
  ['EILSEQ', 'BAD_NAME'],
  ['EMFILE', 'BUSY'],
  ['ENFILE', 'BUSY'],
]);

/** Refusals whose meaning depends on the direction. */
const DENIED = new Set(['EACCES', 'EPERM', 'EROFS', 'ETXTBSY', 'EBUSY']);

function codeFor(system: string, action: FileAction): ErrorCode {
  if (DENIED.has(system)) return READING.has(action) ? 'UNREADABLE' : 'UNWRITABLE';
  // A file system that can't spell a name says that the argument is invalid.
  if (system === 'EINVAL' && action === 'create') return 'BAD_NAME';
  return CODES.get(system) ?? 'IO';
}

/** Descriptions of the system that a reader would not understand. */
const REASONS = new Map([
  ['EDQUOT', 'the disk quota is used up'],
  ['EFBIG', 'the file is larger than this file system can hold'],
  ['ELOOP', 'it is a symbolic link, and those are not followed'],
  ['ENOTDIR', 'something else is where a folder has to be'],
  ['ENXIO', 'it is a device or a socket'],
]);

function reasonFor(error: Error, system: string): string {
  const known = REASONS.get(system);
  if (known !== undefined) return known;
  const number = 'errno' in error && typeof error.errno === 'number' ? error.errno : 0;
  return getSystemErrorMessage(number) ?? system;
}

/**
 * Turns what a call of `node:fs` threw into a typed error that names the file and keeps the system's error as `cause`.
 * Anything else (a typed error, a defect) comes back as it is.
 */
export function fileError(error: unknown, action: FileAction, name: string): unknown {
  const system = nameOf(error);
  if (error instanceof LocalstreamError || !(error instanceof Error) || system === undefined) return error;
  if (!('syscall' in error)) return error;
  const quoted = `'${escapeText(name)}'`;
  const isMissing = system === 'ENOENT' && READING.has(action);
  const message = isMissing
    ? `there is no ${quoted}`
    : `cannot ${action} ${quoted}: ${reasonFor(error, system)}`;
  return errorOf(codeFor(system, action), message, { cause: error });
}

/** Runs one step on a file and turns its failure into a typed error, see {@link fileError}. */
export function attempt<T>(action: FileAction, name: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw fileError(error, action, name);
  }
}

/** Does what the file system may refuse because it has no such thing; false if it did. */
export function unlessRefused(step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (!failedWith(error, 'EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS')) throw error;
    return false;
  }
}

/** Whether a system call failed in one of these ways. */
export function failedWith(error: unknown, ...codes: readonly string[]): boolean {
  const code = nameOf(error instanceof LocalstreamError ? error.cause : error);
  return code !== undefined && codes.includes(code);
}
