import * as v from 'valibot';
import { errorOf } from '../errors.ts';
import type { Database } from './database.ts';
import { dateOf } from './time-text.ts';
import { type UserName, userNameOf } from './user-name.ts';
import type { StoredUser, User } from './user-store.ts';

/** Rows of one page of a listing. */
const PAGE = 500;

/** Text, also of a column that comes as bytes (VARBINARY). */
export const TEXT = v.pipe(
  v.union([v.string(), v.instance(Uint8Array)]),
  v.transform((value) => (typeof value === 'string' ? value : Buffer.from(value).toString())),
);
/** A number, however the driver hands it over. */
export const NUMBER = v.pipe(v.union([v.number(), v.bigint(), v.string()]), v.transform(Number), v.number());
/** Anything but 0, nothing and null, as number, text or bits: a column that we do not understand locks out. */
const YES = v.pipe(
  v.unknown(),
  v.transform((value) => {
    if (value instanceof Uint8Array) return value.some((byte) => byte !== 0 && byte !== 0x30);
    return value !== null && !['', '0', 'false'].includes(String(value));
  }),
);
const TIME = v.pipe(v.nullable(v.string()), v.transform(dateOf));
const USER = v.object({ username: TEXT, disabled: YES, created: TIME, last_login: TIME });
const STORED = v.object({
  ...USER.entries,
  password: v.pipe(
    v.nullable(TEXT),
    v.transform((hash) => hash ?? ''),
  ),
});
/** The columns of a user table; what is absent is not read. */
export interface UserColumns {
  readonly username: string;
  readonly password: string;
  /** A column that is 0, empty or null for users that may log in. */
  readonly disabled?: string;
  readonly created?: string;
  readonly lastLogin?: string;
}

/** The columns of our own table. */
const OUR_COLUMNS = {
  username: 'username',
  password: 'password',
  disabled: 'disabled',
  created: 'created',
  lastLogin: 'last_login',
} as const satisfies UserColumns;

/** What a user table in any database can be asked; the part of the store that another program's table has too. */
export class UserTable {
  readonly #database: Database;
  readonly #columns: UserColumns;
  readonly #select: string;
  readonly #table: string;

  constructor(database: Database, table: string, columns: UserColumns = OUR_COLUMNS) {
    this.#database = database;
    this.#columns = columns;
    this.#table = database.dialect.quote(table);
    const column = (name: string | undefined, as: string) =>
      `${name === undefined ? 'NULL' : database.dialect.quote(name)} AS ${as}`;
    const { username, disabled, created, lastLogin } = columns;
    this.#select = [
      column(username, 'username'),
      column(disabled, 'disabled'),
      column(created, 'created'),
      column(lastLogin, 'last_login'),
    ].join(', ');
  }

  async find(name: UserName): Promise<StoredUser | undefined> {
    const { quote } = this.#database.dialect;
    const { username, password } = this.#columns;
    const rows = await this.#database.rows(
      `SELECT ${this.#select}, ${quote(password)} AS password FROM ${this.#table} WHERE ${quote(username)} = ? LIMIT 16`,
      [name],
    );
    // The column's collation may take other names for the same: 'BOB', 'bob ', 'böb'. A user is who has exactly this one.
    const row = checked(STORED, rows).find((candidate) => candidate.username === name);
    return row && { ...userOf(row, name), hash: row.password };
  }

  async active(names: readonly UserName[]): Promise<Set<UserName>> {
    const active = new Set<UserName>();
    const { quote } = this.#database.dialect;
    for (let start = 0; start < names.length; start += PAGE) {
      const page = names.slice(start, start + PAGE);
      const rows = await this.#database.rows(
        `SELECT ${this.#select} FROM ${this.#table} WHERE ${quote(this.#columns.username)} IN (${page.map(() => '?').join(', ')})`,
        page,
      );
      const found = checked(USER, rows);
      for (const name of page) {
        if (found.some((row) => row.username === name && !row.disabled)) active.add(name);
      }
    }
    return active;
  }

  async *list(): AsyncGenerator<User, void> {
    const name = this.#database.dialect.quote(this.#columns.username);
    let last: string | undefined;
    for (;;) {
      const after = last === undefined ? '' : `WHERE ${name} > ?`;
      const rows: unknown[] = await this.#database.rows(
        `SELECT ${this.#select} FROM ${this.#table} ${after} ORDER BY ${name} LIMIT ${PAGE}`,
        last === undefined ? [] : [last],
      );
      const page = checked(USER, rows);
      for (const row of page) {
        const user = userNameOf(row.username);
        // Another program may have names that nobody can log in with here.
        if (user === row.username) yield userOf(row, user);
      }
      last = page.at(-1)?.username;
      if (page.length < PAGE || last === undefined) return;
    }
  }

  async sampleHash(): Promise<string | undefined> {
    const password = this.#database.dialect.quote(this.#columns.password);
    const rows = await this.#database.rows(
      `SELECT ${password} AS password FROM ${this.#table} WHERE ${password} LIKE '$%' LIMIT 1`,
    );
    return checked(v.object({ password: TEXT }), rows)[0]?.password;
  }
}

function userOf(row: v.InferOutput<typeof USER>, name: UserName): User {
  return { name, disabled: row.disabled, created: row.created, lastLogin: row.last_login };
}

/** Rows as they have to be. A table that holds something else is as good as one that does not answer. */
export function checked<Row>(schema: v.GenericSchema<unknown, Row>, rows: unknown[]): Row[] {
  const parsed = v.safeParse(v.array(schema), rows);
  if (parsed.success) return parsed.output;
  const field = v.getDotPath(parsed.issues[0]) ?? 'a row';
  throw errorOf('NO_USERS', `the user store holds something unexpected (${field})`);
}
