import type { Pool, PoolConnection, PoolOptions, ResultSetHeader } from 'mysql2/promise';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import type { Bound, Database } from './database.ts';
import { mysqlDialect } from './mysql-dialect.ts';

/** What it takes to reach a MySQL or MariaDB. */
export interface MysqlOptions {
  readonly host: string;
  readonly port: number;
  /** Path of a Unix socket, in place of host and port. */
  readonly socket?: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  /** `off`; `encrypt`: without asking who it is; `verify`: its certificate has to be right for the host. */
  readonly tls: 'off' | 'encrypt' | 'verify';
  /** Certificates (PEM) to trust in place of the system's. */
  readonly authorities?: string;
  /** Connections at once. */
  readonly connections: number;
  /** Milliseconds that one question may take, connecting included. */
  readonly timeout: number;
}

/** Questions that may wait for a connection. */
const MOST_WAITING = 256;
/** An unused connection is closed after so long, in milliseconds. */
const IDLE = 60_000;
/** Codes of the driver and the server that say that this connection has ended, and nothing of the question. */
const LOST = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_ENQUEUE_AFTER_QUIT',
  'ECONNRESET',
  'EPIPE',
  'ER_SERVER_SHUTDOWN',
  'ER_CONNECTION_KILLED',
  'ER_CLIENT_INTERACTION_TIMEOUT',
]);

const HINTS: Readonly<Record<string, string>> = {
  ER_NO_SUCH_TABLE: 'make the tables: localstream auth migrate',
  ER_BAD_FIELD_ERROR: 'the table lacks a column: localstream auth migrate, or mend auth.columns',
  ER_ACCESS_DENIED_ERROR:
    'check the user in auth.url and the password in the file that auth.passwordFile names',
  ER_TABLEACCESS_DENIED_ERROR: 'grant what docs/users.md lists',
  ER_DBACCESS_DENIED_ERROR: 'grant what docs/users.md lists',
  HANDSHAKE_NO_SSL_SUPPORT: 'let the server offer TLS, or set auth.tls',
};

/** A pool of connections that heals: what has died is replaced, and no question waits longer than it may. */
export class MysqlDatabase implements Database {
  readonly place: string;
  readonly dialect = mysqlDialect;
  readonly #options: MysqlOptions;
  #pool: Promise<Pool> | undefined;
  #closed = false;

  constructor(options: MysqlOptions) {
    this.#options = options;
    const where = options.socket ?? `${options.host}:${options.port}`;
    this.place = `mysql://${where}/${options.database}`;
  }

  async rows(sql: string, values: readonly Bound[] = []): Promise<unknown[]> {
    const [rows] = await this.#ask(sql, values);
    return Array.isArray(rows) ? rows : [];
  }

  async change(sql: string, values: readonly Bound[] = []): Promise<number | undefined> {
    try {
      const [result] = await this.#ask(sql, values);
      return isResult(result) ? result.affectedRows : 0;
    } catch (error) {
      if (error instanceof LocalstreamError && systemCode(error.cause) === 'ER_DUP_ENTRY') return undefined;
      throw error;
    }
  }

  /** Prepared at the server: what is bound is never part of the text. */
  async #ask(sql: string, values: readonly Bound[]): Promise<[unknown, unknown]> {
    const late = AbortSignal.timeout(this.#options.timeout);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#askOnce(sql, values, late);
      } catch (error) {
        // After a restart of the server every connection of the pool may be dead.
        const again =
          attempt <= this.#options.connections && !late.aborted && LOST.has(systemCode(error) ?? '');
        if (!again) throw this.#explain(error, late);
      }
    }
  }

  async #askOnce(sql: string, values: readonly Bound[], late: AbortSignal): Promise<[unknown, unknown]> {
    const connection = await this.#connection(late);
    let answered = false;
    try {
      const answer = await unlessLate(connection.execute(sql, [...values]), late);
      answered = true;
      return answer;
    } catch (error) {
      // An answer that is on its way would be taken for that of the next question.
      answered = !late.aborted && isRefusal(error);
      throw error;
    } finally {
      if (answered) connection.release();
      else connection.destroy();
    }
  }

  async #connection(late: AbortSignal): Promise<PoolConnection> {
    if (this.#closed) throw new Error('it has been closed');
    this.#pool ??= this.#open();
    const pool = await this.#pool;
    const coming = pool.getConnection();
    try {
      return await unlessLate(coming, late);
    } catch (error) {
      // It may come after all; the next question has a use for it.
      coming.then(
        (connection) => connection.release(),
        () => {},
      );
      throw error;
    }
  }

  async #open(): Promise<Pool> {
    const { createPool } = await import('mysql2/promise');
    const { socket, host, port, user, password, database, connections, timeout } = this.#options;
    const options: PoolOptions = {
      ...(socket === undefined ? { host, port } : { socketPath: socket }),
      user,
      ...(password !== undefined && { password }),
      database,
      ...this.#tls(),
      charset: 'utf8mb4',
      connectTimeout: timeout,
      connectionLimit: connections,
      maxIdle: 1,
      idleTimeout: IDLE,
      queueLimit: MOST_WAITING,
      dateStrings: true,
      multipleStatements: false,
      // The server may be anybody's: it must not make us run text that it sent, nor read our files.
      disableEval: true,
      flags: ['-LOCAL_FILES'],
    };
    const pool = createPool(options);
    // A connection that dies unused is no news: the pool has dropped it.
    pool.on('connection', (connection) => connection.on('error', () => {}));
    return pool;
  }

  #tls(): Pick<PoolOptions, 'ssl'> {
    const { tls, authorities } = this.#options;
    if (tls === 'off') return {};
    return {
      ssl: {
        minVersion: 'TLSv1.2',
        rejectUnauthorized: tls === 'verify',
        verifyIdentity: tls === 'verify',
        ...(authorities !== undefined && { ca: authorities }),
      },
    };
  }

  #explain(cause: unknown, late: AbortSignal): Error {
    const code = systemCode(cause) ?? '';
    const reason = late.aborted ? `no answer in ${this.#options.timeout} ms` : reasonOf(cause);
    const hint = HINTS[code];
    return errorOf('NO_USERS', `the user store ${this.place} failed: ${reason}`, {
      cause,
      ...(hint !== undefined && { hint }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const pool = await this.#pool?.catch(() => undefined);
    this.#pool = undefined;
    // A server that has stalled never takes leave: its connections end with the process.
    (await pool) &&
      (await unlessLate(pool?.end() ?? Promise.resolve(), AbortSignal.timeout(500)).catch(() => {}));
  }
}

/** Whether the server answered this question with an error: the connection is then as good as before. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'sqlState' in error && !('fatal' in error && error.fatal === true);
}

function isResult(value: unknown): value is ResultSetHeader {
  return typeof value === 'object' && value !== null && 'affectedRows' in value;
}

function unlessLate<Result>(promise: Promise<Result>, late: AbortSignal): Promise<Result> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const fail = () => reject(late.reason);
  if (late.aborted) fail();
  late.addEventListener('abort', fail, { once: true });
  return Promise.race([promise, over]).finally(() => late.removeEventListener('abort', fail));
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return error instanceof Error ? error.message : String(error);
}
