import { setTimeout as pause } from 'node:timers/promises';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { PasswordHasher, passwordFault } from '../crypto/passwords.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import {
  accountSubject,
  addressSubject,
  blockedUntil,
  deviceSubject,
  LIMIT_RULES,
  type LimitKind,
  type LimitRule,
} from './limits.ts';
import { type UserName, userNameOf } from './user-name.ts';
import type { Grant, StoredUser, UserStore } from './user-store.ts';

/** Who wants in. */
export interface LoginRequest {
  /** As it was sent. */
  readonly name: string;
  readonly password: string;
  /** The IP address that it came from. */
  readonly address: string;
  /** The key that the session has proven. */
  readonly device: Fingerprint;
}

/** Who is in. */
export interface LoggedIn {
  readonly name: UserName;
  readonly grants: readonly Grant[];
}

/** What {@link Logins} may be given. */
export interface LoginOptions {
  readonly hasher?: PasswordHasher;
  readonly rules?: Readonly<Record<LimitKind, LimitRule>>;
  /** Milliseconds since 1970. Servers that share a store should have about the same. */
  readonly now?: () => number;
  /** A refusal comes at the next multiple of so many milliseconds after the question: hashes of many costs take one time. */
  readonly step?: number;
  /** Tells the operator, once an outage, why nobody can log in. */
  readonly onTrouble?: (error: LocalstreamError) => void;
  /** The store answers again. */
  readonly onRecovered?: () => void;
}

const STEP = 250;
/** A sample of the hashes in the table is taken again after so long, in milliseconds. */
const SAMPLE_AGE = 600_000;

interface Subject {
  readonly name: string;
  readonly rule: LimitRule;
}

/**
 * Decides over names and passwords. Unknown users, wrong passwords and disabled users get one answer after one time; too
 * many of them make the next ones wait; a store that is down refuses and says so to the operator only.
 */
export class Logins {
  readonly #store: UserStore;
  readonly #hasher: PasswordHasher;
  readonly #rules: Readonly<Record<LimitKind, LimitRule>>;
  readonly #now: () => number;
  readonly #step: number;
  readonly #options: LoginOptions;
  /** Attempts under way by subject: until one is over it counts as failed, or thirty at once would be thirty guesses. */
  readonly #pending = new Map<string, number>();
  #settled = Promise.withResolvers<void>();
  #settledCount = 0;
  #sample: { hash: string | undefined; until: number } | undefined;
  #down = false;

  constructor(store: UserStore, options: LoginOptions = {}) {
    this.#store = store;
    this.#hasher = options.hasher ?? new PasswordHasher();
    this.#rules = options.rules ?? LIMIT_RULES;
    this.#now = options.now ?? Date.now;
    this.#step = options.step ?? STEP;
    this.#options = options;
  }

  /**
   * Lets a user in, or not.
   * @throws LOGIN_FAILED for a user that does not exist, is disabled, or has another password; LOGIN_LATER where too many
   *   failed or the store does not answer, and BUSY where too many wait.
   */
  async login(request: LoginRequest): Promise<LoggedIn> {
    const start = performance.now();
    try {
      const result = await this.#attempt(request);
      this.#tellRecovered();
      return result;
    } catch (error) {
      if (error instanceof LocalstreamError && error.code === 'LOGIN_FAILED') {
        this.#tellRecovered();
        await this.#waitForStep(start);
        throw error;
      }
      if (error instanceof LocalstreamError && ['LOGIN_LATER', 'BUSY'].includes(error.code)) throw error;
      const trouble =
        error instanceof LocalstreamError
          ? error
          : errorOf('INTERNAL', 'a login failed for a reason of this program', { cause: error });
      this.#tellTrouble(trouble);
      // No cause: what is wrong here is none of the peer's business.
      throw errorOf('LOGIN_LATER');
    }
  }

  async #attempt(request: LoginRequest): Promise<LoggedIn> {
    const subjects = await this.#admit(request);
    try {
      const user = await this.#verified(request);
      if (user === undefined) {
        const failures = subjects.map(({ name, rule }) => ({ subject: name, forget: rule.forget }));
        await this.#store.noteFailures(failures, this.#now());
        throw errorOf('LOGIN_FAILED');
      }
      const grants = await this.#store.grants(user.name);
      await this.#noteSuccess(user, request);
      return { name: user.name, grants };
    } finally {
      for (const { name } of subjects) this.#release(name);
    }
  }

  /** Waits for those before it, if they could yet fail; throws LOGIN_LATER where too many have. */
  async #admit({ name, address, device }: LoginRequest): Promise<readonly Subject[]> {
    const known: Subject = { name: deviceSubject(name, device), rule: this.#rules.device };
    const from: Subject = { name: addressSubject(address), rule: this.#rules.address };
    const stranger: readonly Subject[] = [
      { name: accountSubject(name), rule: this.#rules.account },
      from,
      { name: 'all', rule: this.#rules.all },
    ];
    for (;;) {
      const settled = this.#settledCount;
      const failures = await this.#store.failures([known, ...stranger].map((subject) => subject.name));
      // Whoever ended while we asked may have failed: what was read is older than that.
      if (settled !== this.#settledCount) continue;
      const subjects = failures.has(known.name) ? [known, from] : stranger;
      const now = this.#now();
      const until = Math.max(
        ...subjects.map(({ name: subject, rule }) => blockedUntil(rule, failures.get(subject), now)),
      );
      if (until > now) throw tooMany(until - now);
      const couldFail = subjects.some(({ name: subject, rule }) => {
        const pending = this.#pending.get(subject) ?? 0;
        return pending > 0 && blockedUntil(rule, failures.get(subject), now, pending) > now;
      });
      if (!couldFail) {
        for (const { name: subject } of subjects)
          this.#pending.set(subject, (this.#pending.get(subject) ?? 0) + 1);
        return subjects;
      }
      await this.#settled.promise;
    }
  }

  #release(subject: string): void {
    const pending = (this.#pending.get(subject) ?? 1) - 1;
    if (pending === 0) this.#pending.delete(subject);
    else this.#pending.set(subject, pending);
    this.#settledCount += 1;
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
  }

  /** The user whose password this is. Takes the same steps for everybody. */
  async #verified({ name: text, password }: LoginRequest): Promise<StoredUser | undefined> {
    const name = passwordFault(password) === undefined ? userNameOf(text) : undefined;
    const user = name === undefined ? undefined : await this.#store.find(name);
    const sample = await this.#sampleHash();
    const right = user
      ? await this.#hasher.verify(password, user.hash)
      : await this.#hasher.verifyNothing(password, sample);
    // It may have waited for its turn: who has been disabled meanwhile, or got another password, does not come in.
    const current = name === undefined ? undefined : await this.#store.find(name);
    if (!right || user === undefined || current === undefined || current.disabled) return undefined;
    return current.hash === user.hash ? current : await this.#verifiedAgain(current, password);
  }

  /**
   * For a password that was right until the hash became this one: another login may have renewed it. That a second hash
   * takes longer tells nothing to who guesses, since nobody gets here with a wrong password.
   */
  async #verifiedAgain({ name, hash }: StoredUser, password: string): Promise<StoredUser | undefined> {
    if (!(await this.#hasher.verify(password, hash))) return undefined;
    const latest = await this.#store.find(name);
    return latest?.disabled || latest?.hash !== hash ? undefined : latest;
  }

  async #sampleHash(): Promise<string | undefined> {
    const now = this.#now();
    if (this.#sample === undefined || this.#sample.until < now) {
      this.#sample = { hash: await this.#store.sampleHash(), until: now + SAMPLE_AGE };
    }
    return this.#sample.hash;
  }

  async #noteSuccess(user: StoredUser, { name, password, device }: LoginRequest): Promise<void> {
    const now = this.#now();
    await this.#store.clearFailures(deviceSubject(name, device), now);
    await this.#store.noteLogin(user.name, new Date(now));
    if (!this.#store.writable || !this.#hasher.needsRehash(user.hash)) return;
    try {
      await this.#store.renewHash(user.name, user.hash, await this.#hasher.hash(password));
    } catch (error) {
      // The next login tries again; this one has succeeded.
      if (!(error instanceof LocalstreamError)) throw error;
    }
  }

  async #waitForStep(start: number): Promise<void> {
    if (this.#step > 0) await pause(this.#step - ((performance.now() - start) % this.#step));
  }

  #tellTrouble(error: LocalstreamError): void {
    if (this.#down) return;
    this.#down = true;
    this.#options.onTrouble?.(error);
  }

  #tellRecovered(): void {
    if (!this.#down) return;
    this.#down = false;
    this.#options.onRecovered?.();
  }
}

function tooMany(milliseconds: number): Error {
  return errorOf('LOGIN_LATER', `too many logins failed; try again in ${Math.ceil(milliseconds / 1000)} s`);
}
