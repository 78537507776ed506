import { closeSync, openSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { errorOf, systemCode } from '../errors.ts';
import { type Bound, type Database, type Dialect, NAME_PATTERN } from './database.ts';

/** Of the tables; a file of a newer localstream is refused rather than half understood. */
const VERSION = 1;
/** How long another process may hold the file, in milliseconds; we wait on the main thread. */
const PATIENCE = 2000;
/** SQLite's codes for a row whose key is taken. */
const TAKEN = [1555, 2067];

const dialect: Dialect = {
  quote,
  noteFailure: (table) =>
    `INSERT INTO ${table} (subject, failures, last) VALUES (?, 1000, ?) ON CONFLICT (subject) DO UPDATE SET
     failures = CAST(MAX(0, failures - MAX(0, ? - last) * 1000 / ?) AS INTEGER) + 1000, last = ?`,
  isName: (column) => `${column} = ? AND ${column} = ?`,
  // Made when the file is opened.
  migration: () => Promise.resolve([]),
};

function quote(name: string): string {
  if (!NAME_PATTERN.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a table`);
  return `"${name}"`;
}

function schemaOf(table: string): string {
  return `
    CREATE TABLE ${quote(table)} (
      username TEXT NOT NULL PRIMARY KEY,
      password TEXT NOT NULL,
      disabled INTEGER NOT NULL DEFAULT 0,
      created TEXT,
      last_login TEXT
    ) STRICT;
    CREATE TABLE ${quote(`${table}_rights`)} (
      username TEXT NOT NULL,
      share TEXT NOT NULL,
      permission TEXT NOT NULL,
      allowed INTEGER NOT NULL,
      PRIMARY KEY (username, share, permission)
    ) STRICT;
    CREATE TABLE ${quote(`${table}_limits`)} (
      subject TEXT NOT NULL PRIMARY KEY,
      failures INTEGER NOT NULL,
      last INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX ${quote(`${table}_limits_last`)} ON ${quote(`${table}_limits`)} (last);
    PRAGMA user_version = ${VERSION};`;
}

/** One file, for this process and others at once. */
class SqliteDatabase implements Database {
  readonly place: string;
  readonly dialect = dialect;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(place: string, database: DatabaseSync) {
    this.place = place;
    this.#database = database;
  }

  async rows(sql: string, values: readonly Bound[] = []): Promise<unknown[]> {
    return this.#attempt(() => this.#prepare(sql).all(...values));
  }

  async change(sql: string, values: readonly Bound[] = []): Promise<number | undefined> {
    return this.#attempt(() => {
      try {
        return Number(this.#prepare(sql).run(...values).changes);
      } catch (error) {
        if (TAKEN.includes(sqliteCode(error) ?? 0)) return undefined;
        throw error;
      }
    });
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    // The few with a list have many lengths: they are not worth keeping.
    if (this.#statements.size < 64) this.#statements.set(sql, statement);
    return statement;
  }

  #attempt<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (cause) {
      throw errorOf('NO_USERS', `the user store ${this.place} failed: ${messageOf(cause)}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }
}

/**
 * Opens the user file, or makes it, readable by this user only.
 * @throws STATE where it is damaged, of a newer localstream, or can't be read and written.
 */
export async function openSqliteDatabase(path: string, table: string): Promise<Database> {
  const { DatabaseSync } = await import('node:sqlite');
  createPrivately(path);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: PATIENCE, defensive: true });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;');
    makeTables(database, table);
    return new SqliteDatabase(path, database);
  } catch (cause) {
    if (database?.isOpen) database.close();
    throw unusable(path, messageOf(cause), cause);
  }
}

/** Under the write lock, so that of two processes that start at once one makes the tables. */
function makeTables(database: DatabaseSync, table: string): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version > VERSION) throw new Error('it was written by a newer localstream');
    if (version === 0) database.exec(schemaOf(table));
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** SQLite would make it with the rights of the process's mask; its journals take over the rights of the file. */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw unusable(path, messageOf(cause), cause);
  }
}

function unusable(path: string, reason: string, cause: unknown): Error {
  return errorOf('STATE', `the user store ${path} can't be used: ${reason}`, {
    hint: 'restore it from a backup, or remove it to begin without users',
    cause,
  });
}

function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
