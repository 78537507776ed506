/**
 * The settings that exist: one table of what each may be and what it is for. The defaults are in
 * `config/default.json`, the layers in `config.ts`.
 */
import { distance } from 'fastest-levenshtein';
import * as v from 'valibot';
import defaults from '../config/default.json' with { type: 'json' };
import { errorOf } from './errors.ts';

/** Unit of a setting: decides how its text form is read (`64K`, `5s`). */
export type SettingUnit = 'count' | 'bytes' | 'rate' | 'milliseconds' | 'text';

interface Rule<T> {
  readonly schema: v.GenericSchema<unknown, T>;
  readonly unit: SettingUnit;
  /** What is allowed, as the end of the sentence "… must be …". */
  readonly allowed: string;
}

interface Row<T> extends Rule<T> {
  readonly about: string;
  readonly secret?: boolean;
}

/** Longest delay that a Node.js timer takes, in milliseconds; above it, it would fire at once. */
export const LONGEST_TIMER = 2_147_483_647;
const MOST_BYTES = Number.MAX_SAFE_INTEGER;

/** Longest device name in bytes of UTF-8: a DNS label, since the name is also what mDNS announces. */
export const NAME_BYTES = 63;

const NOUN = {
  count: 'a whole number',
  bytes: 'bytes',
  rate: 'bytes a second',
  milliseconds: 'milliseconds',
  text: 'a text',
};

function whole(unit: SettingUnit, least: number, most: number): Rule<number> {
  const schema = v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
  const range = most === MOST_BYTES ? `${least} or more` : `from ${least} to ${most}`;
  return { schema, unit, allowed: `${NOUN[unit]}, ${range}` };
}

function choice<const T extends readonly [string, ...string[]]>(...options: T): Rule<T[number]> {
  return { schema: v.picklist(options), unit: 'text', allowed: `one of ${options.join(', ')}` };
}

function orNull<T>(rule: Rule<T>, meaning: string): Rule<T | null> {
  return { ...rule, schema: v.nullable(rule.schema), allowed: `${rule.allowed}, or null: ${meaning}` };
}

const NAME_RULE: Rule<string> = {
  schema: v.pipe(
    v.string(),
    v.check((text) => text !== '' && cleanName(text) === text),
  ),
  unit: 'text',
  allowed: `1 to ${NAME_BYTES} bytes of text without control characters or outer spaces`,
};

const INTERFACES_RULE: Rule<string> = {
  schema: v.pipe(v.string(), v.maxLength(1024), v.regex(/^[^\s,]+(?: *, *[^\s,]+)*$/)),
  unit: 'text',
  allowed: 'names of interfaces with commas between them',
};

function text(allowed: string, pattern: RegExp): Rule<string> {
  return { schema: v.pipe(v.string(), v.maxLength(4096), v.regex(pattern)), unit: 'text', allowed };
}

const AUTH_NAME = /^[A-Za-z_][A-Za-z0-9_$]{0,47}(?:\.[A-Za-z_][A-Za-z0-9_$]{0,47})?$/;
const AUTH_COLUMNS =
  /^username=[A-Za-z_][A-Za-z0-9_$]{0,47},password=[A-Za-z_][A-Za-z0-9_$]{0,47}(?:,disabled=[A-Za-z_][A-Za-z0-9_$]{0,47})?$/;
const FILE_RULE = text('the path of a file', /^[^\0\r\n]+$/);
const FOLDER_RULE = text('the path of a folder', /^[^\0\r\n]+$/);

function row<T>(rule: Rule<T>, about: string): Row<T> {
  return { ...rule, about };
}

/** A row whose value is shown nowhere. */
function secret<T>(rule: Rule<T>, about: string): Row<T> {
  return { ...rule, about, secret: true };
}

const PORT_RULE = whole('count', 1, 65535);
const MAX_CONNECTIONS_RULE = whole('count', 1, 10_000);
const CHUNK_RULE = whole('bytes', 1024, 4_194_304);
const LANES_RULE = whole('count', 1, 16);
const LIMIT_RULE = whole('rate', 1, MOST_BYTES);
const EXISTING_RULE = choice('fail', 'overwrite', 'skip', 'rename', 'update');
const RETRY_FOR_RULE = whole('milliseconds', 0, LONGEST_TIMER);

const ROWS = {
  name: row(orNull(NAME_RULE, "the host's name"), 'the name by which other people see this device'),
  port: row(PORT_RULE, 'the port that is opened and dialled where none is given'),
  maxConnections: row(MAX_CONNECTIONS_RULE, 'peers that a listener lets in at once'),
  chunk: row(CHUNK_RULE, 'plaintext of one data frame'),
  lanes: row(orNull(LANES_RULE, 'by round trip'), 'connections that carry the bytes of one transfer'),
  limit: row(
    orNull(LIMIT_RULE, 'no limit'),
    'what all transfers of this process together may send and receive',
  ),
  existing: row(EXISTING_RULE, 'what happens to a target that exists'),
  'inbox.folder': row(
    orNull(FOLDER_RULE, 'the folder inbox in the home'),
    'where offers go that are accepted without a place of their own',
  ),
  'inbox.accept': row(
    choice('ask', 'trusted'),
    'whether a person is asked about every offer to a listener, or those of trusted peers are accepted',
  ),
  freeSpaceReserve: row(whole('bytes', 0, MOST_BYTES), 'free space that a transfer leaves on the disk'),
  receiptFiles: row(whole('count', 1, 1_000_000), 'files that a receipt lists one by one, failures first'),
  retryFor: row(RETRY_FOR_RULE, 'how long a lost connection is dialled again'),
  workers: row(
    orNull(whole('count', 1, 256), 'cores less one, at least 2'),
    'threads that read, hash and write files',
  ),
  color: row(choice('auto', 'always', 'never'), 'colour in the terminal'),
  handshakeTimeout: row(whole('milliseconds', 100, 600_000), 'time that a peer has to prove itself'),
  decisionTimeout: row(
    whole('milliseconds', 1000, 86_400_000),
    'time that a person has to answer a question',
  ),
  'keepAlive.interval': row(whole('milliseconds', 100, 3_600_000), 'pause after which a quiet peer is asked'),
  'keepAlive.silence': row(
    whole('milliseconds', 200, 7_200_000),
    'silence after which a peer counts as lost',
  ),
  'discovery.enabled': row(
    choice('on', 'off'),
    'whether listeners make themselves known on the network, and others are looked for there',
  ),
  'discovery.interfaces': row(
    orNull(INTERFACES_RULE, 'all that reach others'),
    'interfaces on which peers are announced and looked for',
  ),
  'discovery.lifetime': row(
    whole('milliseconds', 2000, 4_500_000),
    'how long others believe that this machine is there when it has gone without a word',
  ),
  'shell.listen': row(
    choice('on', 'hidden', 'off'),
    'whether the shell opens a listener: made known on the network, hidden, or none',
  ),
  'strangers.handshakes': row(whole('count', 1, 100_000), 'unproven connections at once, of all addresses'),
  'strangers.handshakesPerAddress': row(
    whole('count', 1, 100_000),
    'unproven connections at once, of one address',
  ),
  'strangers.perSecond': row(whole('count', 1, 100_000), 'new connections a second, of all addresses'),
  'strangers.perSecondPerAddress': row(
    whole('count', 1, 100_000),
    'new connections a second, of one address',
  ),
  'strangers.decryptions': row(whole('count', 1, 256), 'RSA decryptions for unproven peers at once'),
  'lane.maxRecords': row(whole('count', 16, 16_777_216), 'TLS records after which a connection is replaced'),
  'sessions.keep': row(whole('count', 1, 100_000), 'sessions that the history holds'),
  'sessions.transfers': row(whole('count', 1, 1000), 'transfers that the history lists of one session'),
  'sessions.paths': row(whole('count', 0, 1000), 'paths that the history lists of one transfer'),
  'receipts.keep': row(whole('count', 1, 1_000_000), 'receipts that are kept'),
  'receipts.maxDays': row(whole('count', 1, 36_500), 'days that a receipt is kept'),
  'auth.url': row(
    orNull(
      text(
        'mysql://USER@HOST[:PORT]/DATABASE or mysql://USER@localhost/DATABASE?socket=PATH, without a password',
        /^(?:mysql|mariadb):\/\/[^\s:@/]+@[^\s@/]+\/[^\s/?#]+(?:\?socket=[^\s&#]+)?$/,
      ),
      'the file users.db in the home',
    ),
    'where the users are',
  ),
  'auth.passwordFile': row(orNull(FILE_RULE, 'no file'), 'the file with the password for auth.url'),
  'auth.password': secret(
    orNull(text('a text', /^[^\0\r\n]+$/), 'none, or that of auth.passwordFile'),
    'the password for auth.url; only in the settings file',
  ),
  'auth.table': row(
    text('the name of a table, a database and a dot before it', AUTH_NAME),
    'the table of the users; the rights and the limits stand beside it',
  ),
  'auth.columns': row(
    orNull(text('username=COLUMN,password=COLUMN[,disabled=COLUMN]', AUTH_COLUMNS), 'the table is our own'),
    "columns of another program's table, which is then only read",
  ),
  'auth.tls': row(
    orNull(choice('verify', 'encrypt', 'off'), 'verify, and off on this machine'),
    'TLS to the database: with the right certificate, with any, or none',
  ),
  'auth.caFile': row(
    orNull(FILE_RULE, "the system's"),
    'certificates (PEM) that the database may be certified by',
  ),
  'auth.connections': row(whole('count', 1, 64), 'connections to the database at once'),
  'auth.timeout': row(whole('milliseconds', 100, 60_000), 'time that the database has for an answer'),
  'speedTest.bytes': row(
    whole('bytes', 0, 1_073_741_824),
    'bytes of one test of the speed by a trusted peer, each way; 0 allows none',
  ),
  'speedTest.time': row(whole('milliseconds', 100, 60_000), 'time that such a test may take, each way'),
  'log.maxBytes': row(whole('bytes', 4096, 1_073_741_824), 'size at which the error log is rotated'),
  'log.keep': row(whole('count', 1, 1000), 'rotated error logs that are kept'),
} satisfies Record<keyof typeof defaults, Row<unknown>>;

/** The full name of a setting, as it is written in files, in `config set` and in the documents. */
export type SettingKey = keyof typeof ROWS;

type Resolved = { name: string; workers: number };
type Value<K extends SettingKey> = K extends keyof Resolved
  ? Resolved[K]
  : v.InferOutput<(typeof ROWS)[K]['schema']>;
type Group<K extends string> = K extends `${infer G}.${string}` ? G : never;

/**
 * All settings, two levels deep (`settings.port`, `settings.keepAlive.silence`). Times are milliseconds, sizes bytes.
 * `name` and `workers` are filled in where they are left to this machine.
 */
export type Settings = {
  readonly [K in SettingKey as K extends `${string}.${string}` ? never : K]: Value<K>;
} & {
  readonly [G in Group<SettingKey>]: {
    readonly [K in SettingKey as K extends `${G}.${infer R}` ? R : never]: Value<K>;
  };
};

/** One setting as the documents and `config list` show it. */
export interface SettingDescription {
  readonly key: SettingKey;
  readonly default: string | number | null;
  readonly allowed: string;
  readonly about: string;
  readonly unit: SettingUnit;
  /** Its environment variable. */
  readonly variable: string;
  /** It must be shown nowhere. */
  readonly secret: boolean;
}

/** What the environment variable of every setting begins with. */
export const VARIABLE_PREFIX = 'LOCALSTREAM_';

function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(ROWS, key);
}

/** The names of all settings. */
export const settingKeys: readonly SettingKey[] = Object.keys(ROWS).filter(isSettingKey);

/** The environment variable of a setting. */
export function variableOf(key: SettingKey): string {
  return VARIABLE_PREFIX + key.replace(/[A-Z]/g, '_$&').replace('.', '_').toUpperCase();
}

/** The default of a setting, as `config/default.json` has it. */
export function defaultOf(key: SettingKey): string | number | null {
  return defaults[key];
}

/** Describes every setting, in the order of `config/default.json`. */
export function describeSettings(): SettingDescription[] {
  return settingKeys.map((key) => {
    const { allowed, about, unit, secret = false }: Row<unknown> = ROWS[key];
    return { key, default: defaultOf(key), allowed, about, unit, variable: variableOf(key), secret };
  });
}

/** A word that is longer is no slip of the fingers, and comparing it would take long. */
const LONGEST_WORD = 64;

/** The candidate that a mistyped word most likely meant, or undefined when none is close. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  let best: string | undefined;
  // Two slips (two letters that changed places are two), in a long word a third of it; never more than half a word.
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase());
    if (steps < least && steps * 2 <= Math.max(word.length, candidate.length))
      [best, least] = [candidate, steps];
  }
  return best;
}

/** The words ` (did you mean …?)`, or nothing when no candidate is close. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? '' : ` (did you mean ${meant}?)`;
}

/**
 * Checks that a name is one of a setting.
 * @throws BAD_SETTING, with the nearest name that exists.
 */
export function settingKey(key: string): SettingKey {
  if (isSettingKey(key)) return key;
  throw errorOf('BAD_SETTING', `there is no setting ${quote(key)}${didYouMean(key, settingKeys)}`);
}

function quote(value: unknown): string {
  // In JSON there is no NaN, and no bigint.
  const isNumber = typeof value === 'number' || typeof value === 'bigint';
  const text = (isNumber ? undefined : JSON.stringify(value)) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** As everywhere in the program `MB` is decimal; `MiB` is binary. */
const BYTES = ['k', 'm', 'g', 't'].flatMap((prefix, index): [string, number][] => [
  [`${prefix}b`, 1000 ** (index + 1)],
  [`${prefix}ib`, 1024 ** (index + 1)],
]);
/** A letter alone counts as its kind has it: chunks and sizes of disks in powers of 1024, speeds in powers of 1000. */
const LETTERS = (base: number) =>
  ['', 'k', 'm', 'g', 't'].map((prefix, power): [string, number] => [prefix, base ** power]);

const FACTORS: Readonly<Record<string, ReadonlyMap<string, number>>> = {
  bytes: new Map([...LETTERS(1024), ...BYTES, ['b', 1]]),
  rate: new Map([...LETTERS(1000), ...BYTES, ['b', 1]]),
  milliseconds: new Map([
    ['', 1],
    ['ms', 1],
    ['s', 1000],
    ['m', 60_000],
    ['min', 60_000],
    ['h', 3_600_000],
  ]),
  count: new Map([['', 1]]),
};

/** Without what binary fractions add: 4.1 MB are 4,100,000 bytes. */
function exact(product: number): number {
  return Number(product.toPrecision(15));
}

function fromText(key: SettingKey, text: string): unknown {
  const { unit, schema } = ROWS[key];
  const word = text.trim();
  if (['null', 'none', 'auto'].includes(word) && v.is(schema, null)) return null;
  if (unit === 'text') return text;
  const [, digits, suffix = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*(?:\/s)?)$/i.exec(word) ?? [];
  const lower = suffix.toLowerCase();
  const factor = FACTORS[unit]?.get(unit === 'rate' ? lower.replace(/\/s$/, '') : lower);
  return digits === undefined || factor === undefined ? text : exact(Number(digits) * factor);
}

/**
 * Checks one value; a text is read as the command line and the environment write it (`64K`, `5s`, `auto`).
 * @throws BAD_SETTING, naming what is allowed.
 */
export function checkSetting(key: SettingKey, value: unknown, place?: string): string | number | null {
  const result = v.safeParse(ROWS[key].schema, typeof value === 'string' ? fromText(key, value) : value);
  if (result.success) return result.output;
  const where = place === undefined ? '' : ` in ${place}`;
  // What was meant for a secret, or is a URL with a password in it, is not repeated.
  const shown = key.startsWith('auth.') ? 'that' : quote(value);
  throw errorOf('BAD_SETTING', `${key} can't be ${shown}${where}`, {
    hint: `it must be ${ROWS[key].allowed}`,
  });
}

/** What the caller of the library may say of one transfer in place of a setting. */
export const TRANSFER_OPTIONS = {
  chunk: CHUNK_RULE,
  lanes: LANES_RULE,
  limit: LIMIT_RULE,
  existing: EXISTING_RULE,
  retryFor: RETRY_FOR_RULE,
};
/** The same of a server that is dialled, and of a port that is opened: there 0 takes a free one. */
export const CONNECT_OPTIONS = { port: PORT_RULE };
export const LISTEN_OPTIONS = { port: whole('count', 0, 65535), maxConnections: MAX_CONNECTIONS_RULE };

/**
 * Checks what the caller of the library says in place of settings; what is left out is not looked at.
 * @throws USAGE, naming what is allowed.
 */
export function checkOptions(rules: Readonly<Record<string, Rule<unknown>>>, options: object): void {
  for (const [name, { schema, allowed }] of Object.entries(rules)) {
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined && !v.is(schema, value))
      throw errorOf('USAGE', `the option ${name} can't be ${quote(value)}: it must be ${allowed}`);
  }
}

/**
 * A name fit to be shown and announced: NFC, no control or direction characters, one line, at most
 * {@link NAME_BYTES} bytes, cut between characters. May be empty.
 */
export function cleanName(text: string): string {
  // Nearly every name is of this kind, and a segmenter takes 10 ms to load.
  if (/^[!-~]+(?: [!-~]+)*$/.test(text) && text.length <= NAME_BYTES) return text;
  const shown = text
    .slice(0, 1024)
    .toWellFormed()
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
  let end = 0;
  let bytes = 0;
  for (const { segment } of new Intl.Segmenter('en').segment(shown)) {
    bytes += Buffer.byteLength(segment);
    if (bytes > NAME_BYTES) break;
    end += segment.length;
  }
  return shown.slice(0, end).trim();
}
