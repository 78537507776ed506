import { chmodSync, mkdirSync, readdirSync, type Stats, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { errorOf, systemCode } from '../errors.ts';

/** The folders and files that one localstream lives in. Two homes on one machine are two devices. */
export interface Home {
  /** Folder of the user's settings. */
  readonly config: string;
  /** Folder of identity, trust, sessions, receipts and inbox. */
  readonly data: string;
  /** Folder of the error log. */
  readonly log: string;
  readonly settingsFile: string;
  readonly identityFile: string;
  readonly trustFile: string;
  /** What seals are drawn from that go on after a broken transfer. */
  readonly sealingFile: string;
  /** Which sealed files were fetched and not opened. */
  readonly unopenedFile: string;
  readonly sessionsFile: string;
  /** The users, where no database is set. */
  readonly usersFile: string;
  /** Held by the server of this home for as long as it lives. */
  readonly serverLock: string;
  /** What that server prints, where it has no terminal. */
  readonly serverLog: string;
  readonly receipts: string;
  /** Where offers land that name no other place. */
  readonly inbox: string;
  readonly errorLog: string;
}

const require = createRequire(import.meta.url);

/**
 * Where the home is. `explicit`, or else `LOCALSTREAM_HOME` of `env`, puts everything below that one folder;
 * otherwise it is where the platform keeps such things: the XDG folders (with the `XDG_*` variables of this process)
 * on Linux, `Library` on macOS, `AppData` on Windows. Touches no file.
 * @throws STATE when the platform's folders can't be told.
 */
export function resolveHome(env: Readonly<Record<string, string | undefined>>, explicit?: string): Home {
  const { LOCALSTREAM_HOME } = env;
  const root = explicit ?? LOCALSTREAM_HOME;
  if (root) {
    const folder = resolve(root);
    return homeAt({ config: folder, data: folder, log: join(folder, 'log') });
  }
  return homeAt(platformFolders());
}

function homeAt({ config, data, log }: { config: string; data: string; log: string }): Home {
  return {
    config,
    data,
    log,
    settingsFile: join(config, 'config.json'),
    identityFile: join(data, 'identity.json'),
    trustFile: join(data, 'trust.json'),
    sealingFile: join(data, 'sealing.json'),
    unopenedFile: join(data, 'unopened.json'),
    sessionsFile: join(data, 'sessions.json'),
    usersFile: join(data, 'users.db'),
    serverLock: join(data, 'server.lock'),
    serverLog: join(log, 'server.log'),
    receipts: join(data, 'receipts'),
    inbox: join(data, 'inbox'),
    errorLog: join(log, 'error.log'),
  };
}

function platformFolders(): { config: string; data: string; log: string } {
  try {
    // Loaded here because it asks for the user's home as it loads, and that fails for a user id without an account,
    // who can still work with LOCALSTREAM_HOME.
    const { default: envPaths } = require('env-paths') as typeof import('env-paths');
    const { config, data, log } = envPaths('localstream', { suffix: '' });
    const relative = [config, data, log].find((path) => !isAbsolute(path));
    if (relative !== undefined) throw new Error(`${relative} is not an absolute path`);
    return { config, data, log };
  } catch (cause) {
    throw errorOf('STATE', `it can't be told where this user keeps program data: ${reasonOf(cause)}`, {
      hint: 'set LOCALSTREAM_HOME to a folder for localstream',
      cause,
    });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Makes the folders of a home, private to this user (0700). A folder of ours that others may enter is closed to
 * them.
 * @throws STATE for a home that can't be made or used: a file in its place, no right to write, a read-only disk,
 * a folder of another user, or one that is open to others and holds other things than ours.
 */
export function ensureHome(home: Home): void {
  for (const folder of new Set([home.config, home.data, home.log])) ensurePrivateFolder(folder);
  // Made with the rights of their parent's guard, and never wider.
  for (const folder of [home.receipts, home.inbox]) ensurePrivateFolder(folder);
}

const OURS =
  /^(config|identity|trust|sealing|unopened|sessions)\.json|^users\.db|^server\.(lock|sock|log)|^(receipts|inbox|log|history)$|^error\.log|\.localstream-/;

/**
 * Makes one folder with mode 0700, or checks that an existing one is private.
 * @throws STATE as {@link ensureHome} does.
 */
export function ensurePrivateFolder(folder: string): void {
  let stats: Stats;
  try {
    makeFolder(folder);
    stats = statSync(folder);
  } catch (error) {
    throw unusable(folder, error);
  }
  if (!stats.isDirectory()) throw unusable(folder, undefined, 'there is a file in its place');
  if (process.getuid === undefined) return;
  const user = process.getuid();
  if (stats.uid !== user) {
    throw errorOf('STATE', `the folder ${folder} belongs to another user (${stats.uid}, this is ${user})`, {
      hint: 'run as that user, give the folder to this one (chown), or set LOCALSTREAM_HOME to another',
    });
  }
  if ((stats.mode & 0o077) !== 0 || (stats.mode & 0o700) !== 0o700) closeToOthers(folder, stats.mode);
}

/** Not the `recursive` of the platform, which says that the path is missing where the disk is read-only. */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, 0o700);
  } catch (error) {
    // Another process that starts at the same time has made it.
    if (systemCode(error) !== 'EEXIST' || !statSync(folder, { throwIfNoEntry: false })) throw error;
  }
}

/** Changing the mode of, say, a home folder or /tmp, named by mistake, would harm what else lives there. */
function closeToOthers(folder: string, mode: number): void {
  try {
    const foreign = (mode & 0o1000) !== 0 ? 'all' : readdirSync(folder).find((name) => !OURS.test(name));
    if (foreign === undefined) {
      chmodSync(folder, 0o700);
      return;
    }
  } catch (error) {
    throw unusable(folder, error);
  }
  throw errorOf('STATE', `the folder ${folder} is open to other users and holds other things as well`, {
    hint: `close it (chmod 700 ${folder}) or set LOCALSTREAM_HOME to a folder of its own`,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is read-only',
  EEXIST: 'there is a file in its place',
  ENOTDIR: 'there is a file in its place',
  ENOSPC: 'the disk is full',
  EDQUOT: "this user's quota is used up",
  ELOOP: 'it is a link that leads in a circle',
  ENAMETOOLONG: 'the name is too long',
  EISDIR: 'there is a folder in its place',
};

/** The STATE error of a path that can't be used, with the reason in words. */
export function unusable(path: string, cause: unknown, reason?: string): Error {
  const why = reason ?? REASONS[systemCode(cause) ?? ''] ?? reasonOf(cause);
  return errorOf('STATE', `${path} can't be used: ${why}`, {
    hint: 'mend that or set LOCALSTREAM_HOME to a folder that this user can write',
    ...(cause === undefined ? {} : { cause }),
  });
}
