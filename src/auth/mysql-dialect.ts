import * as v from 'valibot';
import { type Database, type Dialect, NAME_PATTERN } from './database.ts';

/** How MySQL and MariaDB write what the user store wants. */
export const mysqlDialect: Dialect = {
  quote,
  noteFailure: (table) =>
    `INSERT INTO ${table} (subject, failures, last) VALUES (?, 1000, ?) ON DUPLICATE KEY UPDATE
     failures = GREATEST(0, failures - GREATEST(0, ? - last) * 1000 / ?) + 1000, last = ?`,
  // The first finds it by the index, the second keeps what an administrator's collation takes for the same.
  isName: (column) =>
    `${column} = ? AND CAST(CONVERT(${column} USING utf8mb4) AS BINARY) = CAST(? AS BINARY)`,
  migration,
};

function quote(name: string): string {
  if (!NAME_PATTERN.test(name))
    throw new RangeError(`${JSON.stringify(name)} is no name of a table or column`);
  return name
    .split('.')
    .map((part) => `\`${part}\``)
    .join('.');
}

// Names compare by their bytes: with another collation 'bob' and 'Bob' would be one user.
const NAME = 'VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL';
const WORD = 'CHARACTER SET ascii COLLATE ascii_bin NOT NULL';

const COLUMNS = {
  username: NAME,
  password: `VARCHAR(255) ${WORD}`,
  disabled: 'TINYINT(1) NOT NULL DEFAULT 0',
  created: 'DATETIME(3) NULL',
  last_login: 'DATETIME(3) NULL',
};

/** Characters that a hash may have; MySQL cuts what is longer where it is not strict. */
const HASH_CHARACTERS = 128;

const COLUMN = v.object({
  name: v.pipe(v.string(), v.toLowerCase()),
  length: v.nullable(v.pipe(v.union([v.number(), v.string()]), v.transform(Number), v.number())),
});

/** What is missing: the tables, or in a table `auth` that an administrator has already, the columns. */
async function migration(database: Database, table: string): Promise<string[]> {
  const known = await columnsOf(database, table);
  const columns = Object.entries(COLUMNS).map(([name, type]) => ({ name, sql: `${quote(name)} ${type}` }));
  const statements: string[] = [];
  if (known.length === 0) {
    const all = columns.map(({ sql }) => sql).join(',\n  ');
    statements.push(`CREATE TABLE ${quote(table)} (\n  ${all},\n  PRIMARY KEY (username)\n) ENGINE=InnoDB`);
  } else {
    const changes = columns.flatMap(({ name, sql }) => {
      const column = known.find((candidate) => candidate.name === name);
      if (column === undefined) return [`ADD COLUMN ${sql}`];
      const isShort = name === 'password' && (column.length ?? 0) < HASH_CHARACTERS;
      return isShort ? [`MODIFY COLUMN ${quote(name)} VARCHAR(255) NULL`] : [];
    });
    if (changes.length > 0) statements.push(`ALTER TABLE ${quote(table)} ${changes.join(', ')}`);
  }
  if ((await columnsOf(database, `${table}_rights`)).length === 0) {
    statements.push(
      `CREATE TABLE ${quote(`${table}_rights`)} (
  username ${NAME},
  share ${NAME},
  permission VARCHAR(16) ${WORD},
  allowed TINYINT(1) NOT NULL,
  PRIMARY KEY (username, share, permission)
) ENGINE=InnoDB`,
    );
  }
  if ((await columnsOf(database, `${table}_limits`)).length === 0) {
    statements.push(
      `CREATE TABLE ${quote(`${table}_limits`)} (
  subject VARCHAR(80) ${WORD},
  failures BIGINT NOT NULL,
  last BIGINT NOT NULL,
  PRIMARY KEY (subject),
  KEY last (last)
) ENGINE=InnoDB`,
    );
  }
  if ((await columnsOf(database, `${table}_servers`)).length === 0) {
    statements.push(
      `CREATE TABLE ${quote(`${table}_servers`)} (
  fingerprint VARCHAR(64) ${WORD},
  name ${NAME},
  addresses TEXT CHARACTER SET utf8mb4 NOT NULL,
  last BIGINT NOT NULL,
  PRIMARY KEY (fingerprint)
) ENGINE=InnoDB`,
    );
  }
  return statements;
}

async function columnsOf(database: Database, table: string): Promise<v.InferOutput<typeof COLUMN>[]> {
  const [first = table, second] = table.split('.');
  const [schema, name] = second === undefined ? ['DATABASE()', first] : ['?', second];
  const rows = await database.rows(
    `SELECT COLUMN_NAME AS name, CHARACTER_MAXIMUM_LENGTH AS length FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${schema} AND TABLE_NAME = ?`,
    second === undefined ? [name] : [first, name],
  );
  return v.parse(v.array(COLUMN), rows);
}
