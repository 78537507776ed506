import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { errorOf } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { MappedUserStore } from './mapped-store.ts';
import { MysqlDatabase, type MysqlOptions } from './mysql-database.ts';
import { SqlUserStore } from './sql-user-store.ts';
import { openSqliteDatabase } from './sqlite-database.ts';
import type { UserStore } from './user-store.ts';
import type { UserColumns } from './user-table.ts';

/** The name of the user table in a file of our own. */
const OUR_TABLE = 'auth';
const DEFAULT_PORT = 3306;

/**
 * Opens the user store that the settings name: a file (`Home.usersFile`), or a MySQL or MariaDB. A database is only
 * connected to when it is first asked, so that one that is down stops no start.
 * @throws STATE for a file that can't be used, BAD_SETTING for settings that make no sense together.
 */
export async function openUserStore(file: string, settings: Settings['auth']): Promise<UserStore> {
  if (settings.url === null) {
    return new SqlUserStore(await openSqliteDatabase(file, OUR_TABLE), OUR_TABLE);
  }
  const database = new MysqlDatabase(await mysqlOptions(settings, settings.url));
  if (settings.columns === null) return new SqlUserStore(database, settings.table, true);
  const own = new SqlUserStore(await openSqliteDatabase(file, OUR_TABLE), OUR_TABLE);
  return new MappedUserStore(database, settings.table, columnsOf(settings.columns), own);
}

async function mysqlOptions(settings: Settings['auth'], text: string): Promise<MysqlOptions> {
  let url: URL;
  let parts: { user: string; database: string };
  try {
    url = new URL(text);
    parts = { user: decodeURIComponent(url.username), database: decodeURIComponent(url.pathname.slice(1)) };
  } catch {
    throw errorOf('BAD_SETTING', 'auth.url can not be read');
  }
  const socket = url.searchParams.get('socket');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isHere = socket !== null || ['localhost', '127.0.0.1', '::1'].includes(host);
  const tls = settings.tls ?? (isHere ? 'off' : 'verify');
  // The driver compares a certificate with names only, and would take one for localhost in place of an address's.
  if (tls === 'verify' && socket === null && isIP(host) !== 0)
    throw errorOf('BAD_SETTING', `auth.url has an address, and a certificate can't be checked for that`, {
      hint: "write the server's name there, or set auth.tls to encrypt or off",
    });
  const authorities = settings.caFile === null ? undefined : await read('auth.caFile', settings.caFile);
  return {
    host,
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    ...(socket !== null && { socket }),
    ...parts,
    password: await passwordOf(settings),
    tls,
    ...(authorities !== undefined && { authorities }),
    connections: settings.connections,
    timeout: settings.timeout,
  };
}

async function passwordOf({ password, passwordFile }: Settings['auth']): Promise<string | undefined> {
  if (passwordFile === null) return password ?? undefined;
  // Editors and secret mounts leave one line end behind.
  return (await read('auth.passwordFile', passwordFile)).replace(/\r?\n$/, '');
}

async function read(setting: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw errorOf('BAD_SETTING', `${setting} can't be read: ${reason}`, { cause });
  }
}

/** `username=login,password=hash,disabled=locked`; the setting's rule has checked the form. */
function columnsOf(text: string): UserColumns {
  const names = new Map(text.split(',').map((pair) => pair.split('=', 2) as [string, string]));
  const [username, password, disabled] = ['username', 'password', 'disabled'].map((key) => names.get(key));
  if (username === undefined || password === undefined)
    throw errorOf('BAD_SETTING', 'auth.columns has to name the columns of username and password');
  return { username, password, ...(disabled !== undefined && { disabled }) };
}
