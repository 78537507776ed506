/**
 * The servers that share one user base: each writes down that it is there, so that all can name each other to clients who
 * have logged in. What stands here is as good as the database's rights: who may write it may have clients sent to a server
 * of its own.
 */
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import type { Database } from './database.ts';
import type { RegisteredServer, ServerTable } from './user-store.ts';
import { checked, NUMBER, TEXT } from './user-table.ts';

/** A server that was not heard of for so long is named no more, in milliseconds. */
const FRESH = 120_000;
/** And after so long it is forgotten. */
const KEEP = 86_400_000;
/** Servers that are named at once. */
const MOST_SERVERS = 16;
const MOST_ADDRESSES = 8;

const ADDRESSES = v.pipe(
  v.string(),
  v.parseJson(),
  v.array(v.pipe(v.string(), v.maxLength(300))),
  v.maxLength(MOST_ADDRESSES),
);
const ROW = v.object({ fingerprint: TEXT, name: TEXT, addresses: TEXT, last: NUMBER });

/** The table in a database. */
export class ServerRegistry implements ServerTable {
  readonly #database: Database;
  readonly #table: string;

  /** `table`: as it stands in a statement. */
  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  async note({ fingerprint, name, addresses }: RegisteredServer, now: number): Promise<void> {
    const written = JSON.stringify(addresses.slice(0, MOST_ADDRESSES));
    await this.#database.change(
      `REPLACE INTO ${this.#table} (fingerprint, name, addresses, last) VALUES (?, ?, ?, ?)`,
      [fingerprint, name, written, now],
    );
    await this.#database.change(`DELETE FROM ${this.#table} WHERE last < ?`, [now - KEEP]);
  }

  async remove(fingerprint: Fingerprint): Promise<void> {
    await this.#database.change(`DELETE FROM ${this.#table} WHERE fingerprint = ?`, [fingerprint]);
  }

  /** Rows that make no sense are left out. */
  async others(fingerprint: Fingerprint, now: number): Promise<RegisteredServer[]> {
    const rows = await this.#database.rows(
      `SELECT fingerprint, name, addresses, last FROM ${this.#table} WHERE last > ? AND fingerprint <> ? ORDER BY last DESC LIMIT ${MOST_SERVERS}`,
      [now - FRESH, fingerprint],
    );
    return checked(ROW, rows).flatMap((row) => {
      const addresses = v.safeParse(ADDRESSES, row.addresses);
      if (!isFingerprint(row.fingerprint) || !addresses.success) return [];
      return [{ fingerprint: row.fingerprint, name: row.name.slice(0, 80), addresses: addresses.output }];
    });
  }
}
