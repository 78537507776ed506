import * as v from 'valibot';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Bound, Database } from './database.ts';
import { dateOf, timeText } from './time-text.ts';
import { EVERYONE, type UserName, userNameOf } from './user-name.ts';
import {
  type Failure,
  type Failures,
  type Grant,
  RIGHTS,
  type Right,
  type StoredUser,
  type User,
  type UserStore,
} from './user-store.ts';

/** Rows of one page of a listing. */
const PAGE = 500;
/** Failures are stored as whole thousandths. */
const THOUSANDTHS = 1000;
/** After so long, a failure or a known device is forgotten, in milliseconds. */
const KEEP = 90 * 86_400_000;
/** Between two clearances of what is forgotten. */
const NOTES_BETWEEN_CLEARANCES = 512;
/** Subjects that are remembered; beyond, the oldest go. Names of nobody could otherwise fill the disk. */
const MOST_SUBJECTS = 100_000;

// A column of another type (VARBINARY) comes as bytes.
const TEXT = v.pipe(
  v.union([v.string(), v.instance(Uint8Array)]),
  v.transform((value) => (typeof value === 'string' ? value : Buffer.from(value).toString())),
);
const NUMBER = v.pipe(v.union([v.number(), v.bigint(), v.string()]), v.transform(Number), v.number());
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
const GRANT = v.object({ username: TEXT, share: TEXT, permission: v.picklist(RIGHTS), allowed: NUMBER });
const FAILURES = v.object({ subject: TEXT, failures: NUMBER, last: NUMBER });

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
export const OUR_COLUMNS = {
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

/** Users, rights and failures in tables of our own, in either database. */
export class SqlUserStore implements UserStore {
  readonly writable = true;
  readonly #database: Database;
  readonly #users: UserTable;
  readonly #name: string;
  readonly #auth: string;
  readonly #rights: string;
  readonly #limits: string;
  readonly #isName: string;
  #notes = 0;

  /** `table` holds the users; `TABLE_rights` and `TABLE_limits` stand beside it. */
  constructor(database: Database, table: string) {
    this.#database = database;
    this.#name = table;
    this.#users = new UserTable(database, table);
    this.#auth = database.dialect.quote(table);
    this.#isName = database.dialect.isName(database.dialect.quote('username'));
    this.#rights = database.dialect.quote(`${table}_rights`);
    this.#limits = database.dialect.quote(`${table}_limits`);
  }

  get place(): string {
    return this.#database.place;
  }

  find(name: UserName): Promise<StoredUser | undefined> {
    return this.#users.find(name);
  }

  active(names: readonly UserName[]): Promise<Set<UserName>> {
    return this.#users.active(names);
  }

  list(): AsyncGenerator<User, void> {
    return this.#users.list();
  }

  sampleHash(): Promise<string | undefined> {
    return this.#users.sampleHash();
  }

  async add(name: UserName, hash: string): Promise<void> {
    // A table that an administrator made may have no key over the names.
    const known = await this.find(name);
    const added = known
      ? undefined
      : await this.#database.change(
          `INSERT INTO ${this.#auth} (username, password, disabled, created) VALUES (?, ?, 0, ?)`,
          [name, hash, timeText(new Date())],
        );
    if (added === undefined) throw errorOf('USER_EXISTS', `there is a user '${escapeText(name)}' already`);
  }

  async setPassword(name: UserName, hash: string): Promise<void> {
    await this.#require(name);
    await this.#database.change(`UPDATE ${this.#auth} SET password = ? WHERE ${this.#isName}`, [
      hash,
      name,
      name,
    ]);
  }

  async renewHash(name: UserName, old: string, hash: string): Promise<void> {
    const sql = `UPDATE ${this.#auth} SET password = ? WHERE ${this.#isName} AND password = ?`;
    await this.#database.change(sql, [hash, name, name, old]);
  }

  async remove(name: UserName): Promise<void> {
    // In this order, where it ends in between: out first, and no rights are left for a later user of that name.
    await this.setDisabled(name, true);
    await this.#database.change(`DELETE FROM ${this.#rights} WHERE username = ?`, [name]);
    await this.#database.change(`DELETE FROM ${this.#auth} WHERE ${this.#isName}`, [name, name]);
  }

  async setDisabled(name: UserName, disabled: boolean): Promise<void> {
    await this.#require(name);
    await this.#database.change(`UPDATE ${this.#auth} SET disabled = ? WHERE ${this.#isName}`, [
      disabled ? 1 : 0,
      name,
      name,
    ]);
  }

  async noteLogin(name: UserName, when: Date): Promise<void> {
    await this.#database.change(`UPDATE ${this.#auth} SET last_login = ? WHERE ${this.#isName}`, [
      timeText(when),
      name,
      name,
    ]);
  }

  async grants(name: UserName): Promise<Grant[]> {
    const grants = await this.#readGrants('WHERE username IN (?, ?)', [name, EVERYONE]);
    return grants.filter(({ user }) => user === name || user === EVERYONE);
  }

  allGrants(): Promise<Grant[]> {
    return this.#readGrants('ORDER BY share, username, permission', []);
  }

  async #readGrants(clause: string, values: readonly Bound[]): Promise<Grant[]> {
    const rows = await this.#database.rows(
      `SELECT username, share, permission, allowed FROM ${this.#rights} ${clause}`,
      values,
    );
    return checked(GRANT, rows).flatMap(({ username, share, permission, allowed }) => {
      const user = username === EVERYONE ? EVERYONE : userNameOf(username);
      return user === username ? [{ user, share, right: permission, allowed: allowed === 1 }] : [];
    });
  }

  async grant(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void> {
    if (user !== EVERYONE) await this.#require(user);
    for (const right of rights) await this.#setRight(user, share, right, 1);
  }

  async revoke(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void> {
    if (user !== EVERYONE) {
      await this.#require(user);
      for (const right of rights) await this.#setRight(user, share, right, 0);
      return;
    }
    const sql = `DELETE FROM ${this.#rights} WHERE username = ? AND share = ? AND permission = ?`;
    for (const right of rights) await this.#database.change(sql, [EVERYONE, share, right]);
  }

  async #setRight(user: string, share: string, right: Right, allowed: 0 | 1): Promise<void> {
    await this.#database.change(
      `REPLACE INTO ${this.#rights} (username, share, permission, allowed) VALUES (?, ?, ?, ?)`,
      [user, checkShareName(share), right, allowed],
    );
  }

  async failures(subjects: readonly string[]): Promise<Map<string, Failures>> {
    if (subjects.length === 0) return new Map();
    const marks = subjects.map(() => '?').join(', ');
    const rows = await this.#database.rows(
      `SELECT subject, failures, last FROM ${this.#limits} WHERE subject IN (${marks})`,
      subjects,
    );
    return new Map(
      checked(FAILURES, rows).map(({ subject, failures, last }) => [
        subject,
        { count: failures / THOUSANDTHS, last },
      ]),
    );
  }

  async noteFailures(failures: readonly Failure[], now: number): Promise<void> {
    const sql = this.#database.dialect.noteFailure(this.#limits);
    for (const { subject, forget } of failures) {
      await this.#database.change(sql, [subject, now, now, forget, now]);
    }
    this.#notes += 1;
    if (this.#notes % NOTES_BETWEEN_CLEARANCES === 0) await this.#forget(now);
  }

  async clearFailures(subject: string, now: number): Promise<void> {
    const sql = `REPLACE INTO ${this.#limits} (subject, failures, last) VALUES (?, 0, ?)`;
    await this.#database.change(sql, [subject, now]);
  }

  async #forget(now: number): Promise<void> {
    await this.#database.change(`DELETE FROM ${this.#limits} WHERE last < ?`, [now - KEEP]);
    const rows = await this.#database.rows(
      `SELECT last AS oldest FROM ${this.#limits} ORDER BY last DESC LIMIT 1 OFFSET ${MOST_SUBJECTS}`,
    );
    const oldest = checked(v.object({ oldest: NUMBER }), rows)[0]?.oldest;
    if (oldest !== undefined) {
      await this.#database.change(`DELETE FROM ${this.#limits} WHERE last <= ?`, [oldest]);
    }
  }

  migration(): Promise<string[]> {
    return this.#database.dialect.migration(this.#database, this.#name);
  }

  async migrate(): Promise<void> {
    for (const statement of await this.migration()) await this.#database.change(statement);
  }

  async #require(name: UserName): Promise<void> {
    if ((await this.find(name)) === undefined)
      throw errorOf('NO_SUCH_USER', `there is no user '${escapeText(name)}'`);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#database[Symbol.asyncDispose]();
  }
}

/** The name of a share that rights are kept for. It need not exist: shares come and go with listeners. */
function checkShareName(share: string): string {
  const fits = share !== '' && Buffer.byteLength(share) <= 255 && share.isWellFormed();
  if (fits && share === share.trim() && !/[\p{Cc}\p{Zl}\p{Zp}/]/u.test(share)) return share;
  throw errorOf('USAGE', `'${escapeText(share)}' can't be the name of a share`);
}

function userOf(row: v.InferOutput<typeof USER>, name: UserName): User {
  return { name, disabled: row.disabled, created: row.created, lastLogin: row.last_login };
}

/** Rows as they have to be. A table that holds something else is as good as one that does not answer. */
function checked<Row>(schema: v.GenericSchema<unknown, Row>, rows: unknown[]): Row[] {
  const parsed = v.safeParse(v.array(schema), rows);
  if (parsed.success) return parsed.output;
  const field = v.getDotPath(parsed.issues[0]) ?? 'a row';
  throw errorOf('NO_USERS', `the user store holds something unexpected (${field})`);
}
