/** The little that the user store asks of a database, and what SQLite and MySQL write differently. */

/** A value as it is bound to a `?`; never part of the text of a statement. */
export type Bound = string | number | null;

/** A connection, or a pool of them. All methods throw NO_USERS while it does not answer. */
export interface Database extends AsyncDisposable {
  readonly place: string;
  readonly dialect: Dialect;
  /** The rows of a query, unchecked. */
  rows(sql: string, values?: readonly Bound[]): Promise<unknown[]>;
  /**
   * Runs a statement that changes something.
   * @returns the rows that it changed, or undefined where a row of the same key was there already.
   */
  change(sql: string, values?: readonly Bound[]): Promise<number | undefined>;
}

/** What the two write differently. */
export interface Dialect {
  /** A name of a table or a column, checked and quoted. */
  quote(name: string): string;
  /** `INSERT INTO t (subject, failures, last) VALUES (?, 1000, ?)`, or else one failure more: binds forget, last twice. */
  noteFailure(table: string): string;
  /** The condition that a (quoted) column holds exactly this name; binds it twice. */
  isName(column: string): string;
  /** The statements that make a table what it has to be. */
  migration(database: Database, table: string): Promise<string[]>;
}

/** Names of tables and columns are settings: nothing but letters, digits, `_` and `$`, a database before a dot. */
export const NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_$]{0,47}(?:\.[A-Za-z_][A-Za-z0-9_$]{0,47})?$/;
