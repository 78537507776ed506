/**
 * Where users, their rights and the failed logins are kept. The two kinds, `node:sqlite` and MySQL, pass one suite of
 * tests. Every call throws an {@link UnavailableError} `NO_USERS` while the store does not answer, and never answers "no
 * such user" or "no failures" instead.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { UserName } from './user-name.ts';

/** What a user may do in a share. */
export const RIGHTS = ['read', 'write', 'list'] as const;

/** What a user may do in a share. */
export type Right = (typeof RIGHTS)[number];

/** A user as it may be shown. */
export interface User {
  readonly name: UserName;
  readonly disabled: boolean;
  /** Absent where the table is another program's. */
  readonly created: Date | undefined;
  readonly lastLogin: Date | undefined;
}

/** A user with the hash of its password, for the login alone. */
export interface StoredUser extends User {
  /** A PHC string, or a text that no password fits. */
  readonly hash: string;
}

/** One right in one share, given or denied. */
export interface Grant {
  /** The user, or `*` for all of them. */
  readonly user: UserName | '*';
  readonly share: string;
  readonly right: Right;
  /** False: denied, whatever else is given. */
  readonly allowed: boolean;
}

/** How often logins failed, for one account, one address, or all of them. */
export interface Failures {
  /** With fractions: failures are forgotten little by little. */
  readonly count: number;
  /** Milliseconds since 1970 of the last one. */
  readonly last: number;
}

/** A failure to be noted. */
export interface Failure {
  readonly subject: string;
  /** Milliseconds after which one failure is forgotten. */
  readonly forget: number;
}

/** A server as others are told of it. */
export interface RegisteredServer {
  readonly fingerprint: Fingerprint;
  /** As it calls itself. */
  readonly name: string;
  /** `host:port`. */
  readonly addresses: readonly string[];
}

/** The servers that share one store. */
export interface ServerTable {
  /** Writes down that a server is there. `now`: milliseconds since 1970. */
  note(server: RegisteredServer, now: number): Promise<void>;
  /** It is closed. */
  remove(fingerprint: Fingerprint): Promise<void>;
  /** The servers that are there, but this one; the ones that were heard of last first. */
  others(fingerprint: Fingerprint, now: number): Promise<RegisteredServer[]>;
}

/** The users who may log in, and their rights, in SQLite or MySQL. */
export interface UserStore extends AsyncDisposable {
  /** Where it is, for the operator: a path, or `mysql://HOST/DATABASE` without a password. */
  readonly place: string;
  /** False where the user table is another program's: users are then added, changed and removed there. */
  readonly writable: boolean;

  /** The servers that use the same store; undefined where it is this machine's own. */
  readonly servers?: ServerTable | undefined;

  /** The user of exactly this name. */
  find(name: UserName): Promise<StoredUser | undefined>;
  /** Which of these users exist and are not disabled. */
  active(names: readonly UserName[]): Promise<Set<UserName>>;
  /** All users by name, a page at a time. */
  list(): AsyncGenerator<User, void>;
  /** Some user's hash, so that a login of nobody can be made to cost as much. */
  sampleHash(): Promise<string | undefined>;

  /** @throws USER_EXISTS; NOT_SUPPORTED where it is not {@link writable}, as the three below. */
  add(name: UserName, hash: string): Promise<void>;
  /** @throws NO_SUCH_USER. */
  setPassword(name: UserName, hash: string): Promise<void>;
  /** Replaces a hash by another of the same password, unless it has changed meanwhile. */
  renewHash(name: UserName, old: string, hash: string): Promise<void>;
  /** Removes a user and its rights: who gets that name later begins with none. @throws NO_SUCH_USER. */
  remove(name: UserName): Promise<void>;
  /** @throws NO_SUCH_USER. */
  setDisabled(name: UserName, disabled: boolean): Promise<void>;
  noteLogin(name: UserName, when: Date): Promise<void>;

  /** The grants of a user and those of `*`. */
  grants(name: UserName): Promise<Grant[]>;
  /** All grants, by share and user. */
  allGrants(): Promise<Grant[]>;
  /** Gives rights, taking a denial back. @throws NO_SUCH_USER. */
  grant(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void>;
  /**
   * Takes rights. From a user they are denied, so that what `*` has does not bring them back; from `*` they are only
   * taken, so that those who have them by name keep them. @throws NO_SUCH_USER.
   */
  revoke(user: UserName | '*', share: string, rights: readonly Right[]): Promise<void>;

  /** The failures of some subjects; those without any are left out. */
  failures(subjects: readonly string[]): Promise<Map<string, Failures>>;
  noteFailures(failures: readonly Failure[], now: number): Promise<void>;
  /** Notes a subject without failures, as of now. */
  clearFailures(subject: string, now: number): Promise<void>;

  /** The SQL statements that would make the tables what they have to be; none when they are. */
  migration(): Promise<string[]>;
  /** Runs them. */
  migrate(): Promise<void>;
}
