/** What stays open from one command to the next: this machine's localstream, the connection, the open questions. */
import { errorOf } from '../errors.ts';
import type { Listener, Localstream, Session, Settings } from '../index.ts';
import { resolveHome } from '../store/home.ts';
import { Jobs } from './jobs.ts';
import { Neighbours } from './neighbours.ts';
import { Pending } from './pending.ts';

/** One for each process. Nothing is opened before a command needs it. */
export class Workspace implements AsyncDisposable {
  readonly pending = new Pending();
  readonly jobs = new Jobs();
  readonly neighbours = new Neighbours();
  /** The listener that the shell has opened by itself. */
  door: Listener | undefined;
  /** Ports of the server of the home, where the shell works with one. */
  serverPorts: readonly number[] = [];
  /** Told when another server, or none, is connected, or another folder is where the shell stands. */
  onSession: () => void = () => {};
  #session: Session | undefined;
  #folder = '/';
  readonly #home: string | undefined;
  readonly #warn: (message: string) => void;
  #localstream: Promise<Localstream> | undefined;
  #opened: Localstream | undefined;

  /**
   * @param home Folder of the home, where not the usual one.
   * @param warn Is told of what is wrong in it and does not stop anything.
   */
  constructor(home: string | undefined, warn: (message: string) => void) {
    this.#home = home;
    const told = new Set<string>();
    // The settings are read once more when the rest is opened, and would say everything twice.
    this.#warn = (message) => {
      if (!told.has(message)) warn(message);
      told.add(message);
    };
  }

  /** The server that the shell is connected to. */
  get session(): Session | undefined {
    return this.#session;
  }

  set session(session: Session | undefined) {
    this.#session = session;
    this.#folder = '/';
    this.onSession();
  }

  /** The folder of the server that paths without a leading slash start from. */
  get folder(): string {
    return this.#folder;
  }

  set folder(folder: string) {
    this.#folder = folder;
    this.onSession();
  }

  /** The settings, which can be had without making keys. Throws BAD_SETTING, STATE. */
  async settings(): Promise<Settings> {
    const { loadSettings } = await import('../store/settings-store.ts');
    const home = resolveHome(process.env, this.#home);
    return (await loadSettings({ home, warn: this.#warn })).settings;
  }

  /** This machine's localstream, opened by the first call. */
  localstream(): Promise<Localstream> {
    this.#localstream ??= this.#open().catch((error: unknown) => {
      // Before the next command, what was in the way may be mended.
      this.#localstream = undefined;
      throw error;
    });
    return this.#localstream;
  }

  /** The same where it is open already. */
  get opened(): Localstream | undefined {
    return this.#opened;
  }

  /** Forgets the numbers of offers that are answered. */
  keepOffers(): void {
    const listeners = this.#opened?.listeners ?? [];
    this.pending.keepOffers([
      ...(this.#session?.offers ?? []),
      ...listeners.flatMap((listener) => listener.offers),
    ]);
  }

  /** The connected server. Throws NOT_CONNECTED. */
  connected(): Session {
    if (this.session !== undefined) return this.session;
    throw errorOf('NOT_CONNECTED', 'no server is connected', {
      hint: 'connect HOST, or write PEER:/SHARE/PATH',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.jobs.cancelAll();
    await this.neighbours[Symbol.asyncDispose]();
    const session = this.session;
    this.session = undefined;
    await session?.close();
    // It may just be opening, for a shell that is left at once.
    await (await this.#localstream?.catch(() => undefined))?.close();
  }

  async #open(): Promise<Localstream> {
    const { openLocalstream } = await import('../index.ts');
    this.#opened = await openLocalstream({
      ...(this.#home === undefined ? {} : { home: this.#home }),
      onWarning: this.#warn,
    });
    return this.#opened;
  }
}
