/**
 * Every error that localstream throws on purpose. Each carries a stable `code`; the class says what a caller can do
 * about it and fixes the exit status of the command line.
 */
import flags from '../config/server_message_flags.json' with { type: 'json' };

/** A reply code that the two ends share: a row of `config/server_message_flags.json`. */
export type FlagName = keyof typeof flags;

/** Codes that never cross the wire, with the exit status and the meaning of each. */
const LOCAL_CODES = {
  USAGE: { exit: 2, meaning: 'the command is not written as it must be' },
  BAD_SETTING: { exit: 2, meaning: 'a setting has a value that it cannot have' },
  NO_SERVER: { exit: 1, meaning: 'no server runs here, or none has that port' },
  SERVER_RUNNING: { exit: 1, meaning: 'a server of this home is running already' },
  NOT_CONNECTED: { exit: 1, meaning: 'no server is connected' },
  PORT_IN_USE: { exit: 1, meaning: 'another program has that port' },
  PORT_DENIED: { exit: 1, meaning: 'this user may not open that port' },
  NO_SUCH_HOST: { exit: 4, meaning: 'the name does not resolve' },
  UNREACHABLE: { exit: 4, meaning: 'nothing answers there' },
  NOT_LOCALSTREAM: { exit: 4, meaning: 'something else answers there' },
  KEY_CHANGED: { exit: 6, meaning: 'a known peer presents another key' },
  LOST: { exit: 4, meaning: 'the connection was lost' },
  STATE: { exit: 1, meaning: 'the state folder cannot be used' },
  NO_SUCH_USER: { exit: 1, meaning: 'there is no user of that name' },
  USER_EXISTS: { exit: 1, meaning: 'there is a user of that name' },
  NO_USERS: { exit: 4, meaning: 'the user store does not answer' },
  COMMAND_FAILED: { exit: 1, meaning: 'a command of the system, run with !, failed' },
  UNWELL: { exit: 1, meaning: 'doctor found a problem' },
  WARNED: { exit: 5, meaning: 'doctor found something to look at, and no problem' },
  TERMINATED: { exit: 143, meaning: 'ended by a signal' },
} as const;

/** A stable code: shared with peers ({@link FlagName}) or local to this machine. */
export type ErrorCode = FlagName | keyof typeof LOCAL_CODES;

/** What stands beside the message of an error. */
export interface ErrorDetail {
  /** What the person can do about it, as one clause. */
  readonly hint?: string;
  /** The lower layer's error, kept as it was. */
  readonly cause?: unknown;
}

/** The base of all errors thrown by localstream. `message` says what and why in one line; `hint` what to do. */
export class LocalstreamError extends Error {
  override readonly name: string = 'LocalstreamError';
  /** Stable code, for programs. */
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.hint = detail.hint;
  }

  /** The exit status that a command ends with because of this error. */
  get exit(): number {
    return exitOf(this.code);
  }
}

/** It failed on this machine or at the peer, and trying the same again will fail again (exit 1). */
export class FailedError extends LocalstreamError {
  override readonly name = 'FailedError';
}
/** The call or the command is wrong (exit 2). */
export class UsageError extends LocalstreamError {
  override readonly name = 'UsageError';
}
/** Not let in, or not allowed to (exit 3). */
export class AccessError extends LocalstreamError {
  override readonly name = 'AccessError';
}
/** Unreachable, lost, full or slow: later it may work (exit 4). */
export class UnavailableError extends LocalstreamError {
  override readonly name = 'UnavailableError';
}
/** Some files or some receivers were not served (exit 5). */
export class PartialError extends LocalstreamError {
  override readonly name = 'PartialError';
}
/** A digest is wrong or a key has changed (exit 6). */
export class AlarmError extends LocalstreamError {
  override readonly name = 'AlarmError';
}
/** Ended on request: Ctrl-C, `cancel`, an aborted signal (exit 130 or 143). */
export class CancelledError extends LocalstreamError {
  override readonly name = 'CancelledError';
}

const CLASS_BY_EXIT = new Map<number, typeof LocalstreamError>([
  [1, FailedError],
  [2, UsageError],
  [3, AccessError],
  [4, UnavailableError],
  [5, PartialError],
  [6, AlarmError],
  [130, CancelledError],
  [143, CancelledError],
]);

function rowOf(code: ErrorCode): { readonly exit: number; readonly meaning: string } {
  return code in flags ? flags[code as FlagName] : LOCAL_CODES[code as keyof typeof LOCAL_CODES];
}

/** The exit status that belongs to a code. */
export function exitOf(code: ErrorCode): number {
  return rowOf(code).exit;
}

/** The sentence that the code tables give for a code. */
export function meaningOf(code: ErrorCode): string {
  return rowOf(code).meaning;
}

/** All codes with their exit status and meaning, for the reference and the tests. */
export function allCodes(): { readonly code: ErrorCode; readonly exit: number; readonly meaning: string }[] {
  return [...Object.keys(flags), ...Object.keys(LOCAL_CODES)].map((name) => {
    const code = name as ErrorCode;
    return { code, exit: exitOf(code), meaning: meaningOf(code) };
  });
}

/** Makes the error of a code, of the class that the code's exit status asks for. */
export function errorOf(code: ErrorCode, message?: string, detail?: ErrorDetail): LocalstreamError {
  const errorClass = CLASS_BY_EXIT.get(exitOf(code)) ?? LocalstreamError;
  return new errorClass(code, message ?? meaningOf(code), detail);
}

/** The `code` of a Node.js system error (`ENOENT`, …), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
