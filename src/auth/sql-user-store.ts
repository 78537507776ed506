import * as v from 'valibot';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Bound, Database } from './database.ts';
import { ServerRegistry } from './server-registry.ts';
import { timeText } from './time-text.ts';
import { EVERYONE, type UserName, userNameOf } from './user-name.ts';
import {
  type Failure,
  type Failures,
  type Grant,
  RIGHTS,
  type Right,
  type ServerTable,
  type StoredUser,
  type User,
  type UserStore,
} from './user-store.ts';
import { checked, NUMBER, TEXT, UserTable } from './user-table.ts';

/** Failures are stored as whole thousandths. */
const THOUSANDTHS = 1000;
/** After so long, a failure or a known device is forgotten, in milliseconds. */
const KEEP = 90 * 86_400_000;
/** Between two clearances of what is forgotten. */
const NOTES_BETWEEN_CLEARANCES = 512;
/** Subjects that are remembered; beyond, the oldest go. Names of nobody could otherwise fill the disk. */
const MOST_SUBJECTS = 100_000;

const GRANT = v.object({ username: TEXT, share: TEXT, permission: v.picklist(RIGHTS), allowed: NUMBER });
const FAILURES = v.object({ subject: TEXT, failures: NUMBER, last: NUMBER });

/** Users, rights and failures in tables of our own, in either database. */
export class SqlUserStore implements UserStore {
  readonly writable = true;
  readonly servers: ServerTable | undefined;
  readonly #database: Database;
  readonly #users: UserTable;
  readonly #name: string;
  readonly #auth: string;
  readonly #rights: string;
  readonly #limits: string;
  readonly #isName: string;
  #notes = 0;

  /**
   * `table` holds the users; `TABLE_rights` and `TABLE_limits` stand beside it, and `TABLE_servers` where other machines
   * use the same database (`shared`).
   */
  constructor(database: Database, table: string, shared = false) {
    this.servers = shared
      ? new ServerRegistry(database, database.dialect.quote(`${table}_servers`))
      : undefined;
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
