import { errorOf, LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Database } from './database.ts';
import type { UserName } from './user-name.ts';
import type { Failure, Failures, Grant, Right, StoredUser, User, UserStore } from './user-store.ts';
import { type UserColumns, UserTable } from './user-table.ts';

/** Stands where a password hash would: no password fits it. */
const NO_HASH = '*';

/**
 * Users in another program's table, which is only read. What we know of them besides (rights, last login, whether they
 * are disabled here, failed logins) is kept in a store of our own.
 */
export class MappedUserStore implements UserStore {
  readonly writable = false;
  readonly #database: Database;
  readonly #table: UserTable;
  readonly #own: UserStore;

  /** Takes over both, and closes them. */
  constructor(database: Database, table: string, columns: UserColumns, own: UserStore) {
    this.#database = database;
    this.#table = new UserTable(database, table, columns);
    this.#own = own;
  }

  get place(): string {
    return this.#database.place;
  }

  async find(name: UserName): Promise<StoredUser | undefined> {
    const user = await this.#table.find(name);
    return user && { ...(await this.#withOwn(user)), hash: user.hash };
  }

  async active(names: readonly UserName[]): Promise<Set<UserName>> {
    const active = await this.#table.active(names);
    for (const name of active) if ((await this.#own.find(name))?.disabled) active.delete(name);
    return active;
  }

  async *list(): AsyncGenerator<User, void> {
    for await (const user of this.#table.list()) yield this.#withOwn(user);
  }

  async #withOwn(user: User): Promise<User> {
    const own = await this.#own.find(user.name);
    const { name, disabled, created, lastLogin } = user;
    return {
      name,
      disabled: disabled || own?.disabled === true,
      created,
      lastLogin: own?.lastLogin ?? lastLogin,
    };
  }

  sampleHash(): Promise<string | undefined> {
    return this.#table.sampleHash();
  }

  async add(): Promise<void> {
    throw this.#readOnly();
  }

  async setPassword(): Promise<void> {
    throw this.#readOnly();
  }

  async remove(): Promise<void> {
    throw this.#readOnly();
  }

  /** Does nothing: the hash is the other program's. */
  async renewHash(): Promise<void> {}

  #readOnly(): Error {
    return errorOf('NOT_SUPPORTED', `the users of ${this.place} are another program's, and only read here`, {
      hint: 'change it with that program; rights and disable are kept here',
    });
  }

  async setDisabled(name: UserName, disabled: boolean): Promise<void> {
    await this.#ensureOwn(name);
    await this.#own.setDisabled(name, disabled);
  }

  async noteLogin(name: UserName, when: Date): Promise<void> {
    await this.#ensureOwn(name);
    await this.#own.noteLogin(name, when);
  }

  async #ensureOwn(name: UserName): Promise<void> {
    if ((await this.#table.find(name)) === undefined)
      throw errorOf('NO_SUCH_USER', `there is no user '${escapeText(name)}'`);
    try {
      if ((await this.#own.find(name)) === undefined) await this.#own.add(name, NO_HASH);
    } catch (error) {
      // Another process was faster.
      if (!(error instanceof LocalstreamError && error.code === 'USER_EXISTS')) throw error;
    }
  }

  grants(name: UserName): Promise<Grant[]> {
    return this.#own.grants(name);
  }

  allGrants(): Promise<Grant[]> {
    return this.#own.allGrants();
  }

  async grant(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void> {
    if (user !== '*') await this.#ensureOwn(user);
    await this.#own.grant(user, share, rights);
  }

  async revoke(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void> {
    if (user !== '*') await this.#ensureOwn(user);
    await this.#own.revoke(user, share, rights);
  }

  failures(subjects: readonly string[]): Promise<Map<string, Failures>> {
    return this.#own.failures(subjects);
  }

  noteFailures(failures: readonly Failure[], now: number): Promise<void> {
    return this.#own.noteFailures(failures, now);
  }

  clearFailures(subject: string, now: number): Promise<void> {
    return this.#own.clearFailures(subject, now);
  }

  /** None: the user table is not ours, and our own store makes its tables itself. */
  migration(): Promise<string[]> {
    return this.#own.migration();
  }

  migrate(): Promise<void> {
    return this.#own.migrate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database[Symbol.asyncDispose]();
    await this.#own[Symbol.asyncDispose]();
  }
}
