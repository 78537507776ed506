/** A private MariaDB in a temporary folder, which tests may kill, stall and restart. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';

/** The password of the user `localstream`. */
export const PASSWORD = "it's a 'secret'; -- with \"quotes\"";

export class Mariadb implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  #process: ChildProcess | undefined;

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'localstream-mariadb-'));
    this.socket = join(this.folder, 'socket');
  }

  /** Installs, starts and fills one: databases `users` and `other`, a user with rights on both. */
  static async start(): Promise<Mariadb> {
    const server = new Mariadb();
    const { status, stderr, stdout } = spawnSync(
      'mariadb-install-db',
      [
        '--no-defaults',
        `--datadir=${server.folder}/data`,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
        ...runAs(),
      ],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`mariadb-install-db: ${stdout}${stderr}`);
    await server.run();
    await server.sql(
      'CREATE DATABASE users',
      'CREATE DATABASE other',
      `CREATE USER localstream@localhost IDENTIFIED BY '${PASSWORD.replaceAll("'", "''")}'`,
      'GRANT ALL ON users.* TO localstream@localhost',
      'GRANT ALL ON other.* TO localstream@localhost',
    );
    return server;
  }

  /** Starts the process, and returns when it answers. `more` are options besides; without a port it has the socket only. */
  async run(more: readonly string[] = ['--skip-networking']): Promise<void> {
    this.#process = spawn(
      'mariadbd',
      [
        '--no-defaults',
        `--datadir=${this.folder}/data`,
        `--socket=${this.socket}`,
        `--pid-file=${this.folder}/pid`,
        ...more,
        '--innodb-buffer-pool-size=16M',
        '--innodb-log-file-size=8M',
        '--innodb-flush-log-at-trx-commit=2',
        '--performance-schema=OFF',
        ...runAs(),
      ],
      { stdio: 'ignore' },
    );
    for (;;) {
      try {
        return await this.sql('SELECT 1');
      } catch (error) {
        if (this.#process.exitCode !== null) throw error;
        await pause(50);
      }
    }
  }

  /** Runs statements as the database's root. */
  async sql(...statements: readonly string[]): Promise<void> {
    const connection = await createConnection({ socketPath: this.socket, user: 'root' });
    // What is cut on purpose is no failure.
    connection.on('error', () => {});
    try {
      for (const statement of statements) await connection.query(statement);
    } finally {
      connection.destroy();
    }
  }

  /** Cuts every connection of the user `localstream`. */
  cut(): Promise<void> {
    return this.sql('KILL CONNECTION USER localstream@localhost');
  }

  stall(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Kills it without a warning. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined || process.exitCode !== null) return;
    const ended = once(process, 'exit');
    process.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The server refuses to run as root unless told to. */
function runAs(): string[] {
  return process.getuid?.() === 0 ? [`--user=${userInfo().username}`] : [];
}

/** Stands between client and server, and cuts the connection after so many bytes of the server's answers. */
export class Cutter implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes that the server may still answer. */
  left = Number.POSITIVE_INFINITY;

  constructor(target: string, path: string) {
    this.path = path;
    this.#server = createServer((client) => {
      const upstream = connect(target);
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket
          .on('error', () => {})
          .on('close', () => {
            this.#sockets.delete(socket);
            client.destroy();
            upstream.destroy();
          });
      }
      client.pipe(upstream);
      upstream.on('data', (chunk: Buffer) => {
        client.write(chunk.subarray(0, Math.min(chunk.length, this.left)));
        this.left -= chunk.length;
        if (this.left <= 0) client.destroySoon();
      });
    });
    this.#server.listen(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
