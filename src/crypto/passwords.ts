/**
 * Password hashes as strings in the PHC format. New ones are argon2id; those that other programs wrote into a shared table
 * (argon2 of all kinds, bcrypt) are verified as well. The work runs on the thread pool, a few hashes at a time.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { errorOf, LocalstreamError } from '../errors.ts';
import { Gate } from './gate.ts';

/** What an argon2id hash costs. */
export interface HashPolicy {
  /** KiB of memory. */
  readonly memory: number;
  /** Passes over the memory. */
  readonly passes: number;
  /** Lanes; more than one helps an attacker with many cores as much as us. */
  readonly lanes: number;
}

/** Today's policy: about twice the work of OWASP's minimum for argon2id (19 MiB, 2 passes, 1 lane). */
export const HASH_POLICY: HashPolicy = { memory: 32_768, passes: 3, lanes: 1 };

/** Most bytes of a password in UTF-8. */
export const MOST_PASSWORD_BYTES = 1024;

/** Bytes that we draw for a salt and take of a digest. */
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const ARGON2_VERSION = 19;

/**
 * What a stored hash may cost at most. Whoever writes into the table could otherwise buy our memory and processor with one
 * row: such a hash counts as unreadable.
 */
const MOST_MEMORY = 1_048_576;
const MOST_WORK = 8_388_608;
const MOST_LANES = 16;
const MOST_BCRYPT_COST = 15;

/** Logins that wait for their hash; at some ten a second this is a few seconds of patience. */
const MAX_WAITING = 128;

interface Argon2Hash extends HashPolicy {
  readonly scheme: 'argon2id' | 'argon2i' | 'argon2d';
  readonly version: number;
  /** Characters of base64. */
  readonly tagLength: number;
}

interface BcryptHash {
  readonly scheme: 'bcrypt';
  readonly cost: number;
}

const ARGON2 =
  /^\$(argon2(?:id|i|d))(?:\$v=(16|19))?\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3})\$[A-Za-z0-9+/]{11,86}\$([A-Za-z0-9+/]{16,172})$/;
/** Not `2x`: that is the mark of hashes which an old fault made, and they are verified by none of today's programs. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/** Takes a stored hash apart; undefined for everything that is not verified here. */
function readHash(text: string): Argon2Hash | BcryptHash | undefined {
  const bcrypt = BCRYPT.exec(text);
  if (bcrypt) {
    const cost = Number(bcrypt[1]);
    return cost >= 4 && cost <= MOST_BCRYPT_COST ? { scheme: 'bcrypt', cost } : undefined;
  }
  const [, scheme, version, memory, passes, lanes, tag = ''] = ARGON2.exec(text) ?? [];
  if (scheme !== 'argon2id' && scheme !== 'argon2i' && scheme !== 'argon2d') return undefined;
  const hash: Argon2Hash = {
    scheme,
    // Hashes without the field are of the first version.
    version: Number(version ?? 16),
    memory: Number(memory),
    passes: Number(passes),
    lanes: Number(lanes),
    tagLength: tag.length,
  };
  const fits =
    hash.memory <= MOST_MEMORY && hash.memory * hash.passes <= MOST_WORK && hash.lanes <= MOST_LANES;
  return fits ? hash : undefined;
}

/** Whether a stored text is a hash that {@link PasswordHasher.verify} can confirm a password with. */
export function isPasswordHash(text: string): boolean {
  return readHash(text) !== undefined;
}

/** What makes a text unfit as a password, or undefined. */
export function passwordFault(password: string): string | undefined {
  if (password === '') return 'it is empty';
  // bcrypt and many programs end a text at a NUL: what follows would not count.
  if (password.includes('\0')) return 'it holds a NUL';
  if (!password.isWellFormed()) return 'it is not well-formed text';
  if (Buffer.byteLength(password) > MOST_PASSWORD_BYTES)
    return `it is longer than ${MOST_PASSWORD_BYTES} bytes`;
  return undefined;
}

/** What a {@link PasswordHasher} may be given. */
export interface PasswordHasherOptions {
  /** Default {@link HASH_POLICY}. */
  readonly policy?: HashPolicy;
  /** Hashes at once; by default one for each four cores, and at most two: the thread pool has four threads. */
  readonly width?: number;
  /** Hashes that may wait for their turn. */
  readonly maxWaiting?: number;
}

/** Makes and verifies password hashes off the main thread, so that many logins do not hold up a transfer. */
export class PasswordHasher {
  readonly policy: HashPolicy;
  readonly #gate: Gate;

  constructor(options: PasswordHasherOptions = {}) {
    this.policy = options.policy ?? HASH_POLICY;
    const width = options.width ?? Math.min(2, Math.max(1, availableParallelism() >> 2));
    this.#gate = new Gate(width, options.maxWaiting ?? MAX_WAITING);
  }

  /**
   * Hashes a password with a fresh salt: `$argon2id$v=19$m=…,t=…,p=…$SALT$TAG`.
   * @throws USAGE for a password that is empty, too long or holds a NUL; BUSY.
   */
  async hash(password: string): Promise<string> {
    const fault = passwordFault(password);
    if (fault !== undefined) throw errorOf('USAGE', `that can't be a password: ${fault}`);
    const { memory, passes, lanes } = this.policy;
    const { hash } = await import('@node-rs/argon2');
    const options = { memoryCost: memory, timeCost: passes, parallelism: lanes, outputLen: TAG_BYTES };
    return this.#gate.run(() => hash(password, options));
  }

  /**
   * Whether the password is the one of a stored hash. A hash that can't be read (another scheme, a locked account's `*`,
   * nothing at all) is no password's, after the time that any other takes.
   * @throws BUSY where too many wait already.
   */
  async verify(password: string, stored: string): Promise<boolean> {
    const hash = readHash(stored);
    if (hash === undefined || passwordFault(password) !== undefined) return this.verifyNothing(password);
    try {
      return await this.#compute(password, stored);
    } catch (error) {
      if (error instanceof LocalstreamError) throw error;
      // It looks like a hash and is none: a salt that is no base64, a cost below argon2's own least.
      return this.verifyNothing(password);
    }
  }

  /**
   * Spends the time of a verification and answers no: for users that do not exist.
   * @param like A stored hash whose cost is imitated; without it, that of the policy.
   * @throws BUSY where too many wait already.
   */
  async verifyNothing(password: string, like?: string): Promise<false> {
    const hash = like === undefined ? undefined : readHash(like);
    const fit = passwordFault(password) === undefined ? password : 'x';
    await this.#compute(fit, this.#decoy(hash));
    return false;
  }

  /** Whether a hash is weaker than the policy, and is to be replaced when its password is next known. */
  needsRehash(stored: string): boolean {
    const hash = readHash(stored);
    if (hash?.scheme !== 'argon2id' || hash.version !== ARGON2_VERSION) return true;
    const { memory, passes } = this.policy;
    return hash.memory < memory || hash.passes < passes || hash.tagLength < base64Length(TAG_BYTES);
  }

  /** A hash that no password is known for. It is drawn anew each time, so that nobody can go looking for one. */
  #decoy(like: Argon2Hash | BcryptHash | undefined): string {
    if (like?.scheme === 'bcrypt') {
      return `$2b$${String(like.cost).padStart(2, '0')}$${bcryptText(22, '.Oeu')}${bcryptText(31)}`;
    }
    const { memory, passes, lanes } = like ?? this.policy;
    const tagBytes = Math.floor(((like?.tagLength ?? base64Length(TAG_BYTES)) * 3) / 4);
    const scheme = `$${like?.scheme ?? 'argon2id'}$v=${like?.version ?? ARGON2_VERSION}`;
    return `${scheme}$m=${memory},t=${passes},p=${lanes}$${base64(SALT_BYTES)}$${base64(tagBytes)}`;
  }

  /** Throws the native package's error for a text that is no hash after all. */
  async #compute(password: string, stored: string): Promise<boolean> {
    if (stored.startsWith('$2')) {
      const { verify } = await import('@node-rs/bcrypt');
      return this.#gate.run(() => verify(password, stored));
    }
    const { verify } = await import('@node-rs/argon2');
    return this.#gate.run(() => verify(stored, password));
  }
}

function base64Length(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}

/** Random bytes in the base64 of PHC strings, without padding. */
function base64(bytes: number): string {
  return randomBytes(bytes).toString('base64').replaceAll('=', '');
}

const BCRYPT_ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Random characters of bcrypt's base64; the last one out of `last`, where a whole character would be too many bits. */
function bcryptText(length: number, last: string = BCRYPT_ALPHABET): string {
  return Array.from({ length }, (_, index) => {
    const alphabet = index === length - 1 ? last : BCRYPT_ALPHABET;
    return alphabet.charAt(randomInt(alphabet.length));
  }).join('');
}
