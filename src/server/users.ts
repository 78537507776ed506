/**
 * The users of this machine's listeners: one store and one set of limits for all of them, opened when the first login
 * comes. Who is in is looked at again and again: a disabled user is out, and a changed right counts, within seconds.
 */
import type { Logins } from '../auth/login.ts';
import type { UserName } from '../auth/user-name.ts';
import type { Grant, UserStore } from '../auth/user-store.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { typed } from '../session/transfers.ts';
import type { Settings } from '../settings.ts';
import { Siblings } from './siblings.ts';

/** Between two looks at those who are in, in milliseconds. */
const LOOK_EVERY = 2000;

/** Who wants in, from where. */
export interface UserRequest {
  readonly name: string;
  readonly password: string;
  readonly address: string;
  readonly device: Fingerprint;
}

/** A session of somebody who is in. */
export interface UserSession {
  readonly name: UserName;
  /** The rights as they are now. */
  update(grants: readonly Grant[]): void;
  /** May not stay. */
  end(reason: LocalstreamError): void;
}

/** Told why nobody can log in, and with nothing once it works again. */
export type OnTrouble = (error: LocalstreamError | undefined) => void;

export class Users implements AsyncDisposable {
  /** The servers that share these users. */
  readonly siblings: Siblings;
  readonly #file: string;
  readonly #settings: Settings['auth'];
  readonly #sessions = new Set<UserSession>();
  readonly #listeners = new Set<OnTrouble>();
  #opened: Promise<{ readonly store: UserStore; readonly logins: Logins }> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #hasTrouble = false;

  /** `file`: where users are kept when the settings name no database. */
  constructor(file: string, settings: Settings['auth']) {
    this.#file = file;
    this.#settings = settings;
    // Without a database there is nobody to tell, and no reason to open the store.
    this.siblings = new Siblings(async () =>
      settings.url === null ? undefined : (await this.store()).servers,
    );
  }

  /** The store itself. Throws STATE, BAD_SETTING. */
  async store(): Promise<UserStore> {
    return (await this.#open()).store;
  }

  /** Lets a user in, or not. Throws LOGIN_FAILED, LOGIN_LATER, BUSY. */
  async login(request: UserRequest): Promise<{ readonly name: UserName; readonly grants: readonly Grant[] }> {
    let logins: Logins;
    try {
      ({ logins } = await this.#open());
    } catch (error) {
      this.#tell(typed(error));
      // No cause: what is wrong here is none of the peer's business.
      throw errorOf('LOGIN_LATER');
    }
    return await logins.login(request);
  }

  /** Has a session looked at from now on. What it returns ends that. */
  follow(session: UserSession): () => void {
    this.#sessions.add(session);
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY).unref();
    return () => {
      this.#sessions.delete(session);
      if (this.#sessions.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  /** Has somebody told of trouble with the store. What it returns ends that. */
  onTrouble(listener: OnTrouble): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.store[Symbol.asyncDispose]();
  }

  #open(): Promise<{ readonly store: UserStore; readonly logins: Logins }> {
    if (this.#opened) return this.#opened;
    const opening = this.#start();
    this.#opened = opening;
    // The next one tries again: what is wrong with the file may be mended.
    opening.catch(() => {
      this.#opened = undefined;
    });
    void opening.then(
      () => this.#tell(undefined),
      () => {},
    );
    return opening;
  }

  async #start(): Promise<{ readonly store: UserStore; readonly logins: Logins }> {
    const [{ openUserStore }, { Logins }] = await Promise.all([
      import('../auth/open-store.ts'),
      import('../auth/login.ts'),
    ]);
    const store = await openUserStore(this.#file, this.#settings);
    const onTrouble = (error: LocalstreamError) => this.#tell(error);
    return { store, logins: new Logins(store, { onTrouble, onRecovered: () => this.#tell(undefined) }) };
  }

  #tell(error: LocalstreamError | undefined): void {
    const hasTrouble = error !== undefined;
    if (hasTrouble === this.#hasTrouble) return;
    this.#hasTrouble = hasTrouble;
    for (const listener of this.#listeners) listener(error);
  }

  /** Ends the sessions of those who are gone, and tells the others their rights. A store that is down changes nothing. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const { store } = await this.#open();
      const asked = [...this.#sessions];
      const names = [...new Set(asked.map(({ name }) => name))];
      const active = await store.active(names);
      for (const session of asked)
        if (!active.has(session.name)) session.end(errorOf('REJECTED', 'the user may not stay'));
      for (const name of active) {
        const grants = await store.grants(name);
        for (const session of asked) if (session.name === name) session.update(grants);
      }
    } catch {
      // Whoever is in stays in while the store does not answer; the next login tells the operator.
    } finally {
      this.#isLooking = false;
    }
  }
}
