/** One machine's localstream: its identity, whom it trusts, its listeners, its sessions. The server manager. */

import { resolve } from 'node:path';

import type { UserStore } from './auth/user-store.ts';
import type { Address } from './client/dial.ts';
import type { ConnectOptions, SessionHost } from './client/link.ts';
import type { ScannedPeer } from './client/scan.ts';
import { Session } from './client/session.ts';
import type { SealMetadata } from './crypto/envelope-metadata.ts';
import type { OpenedSeal } from './crypto/envelope-open.ts';
import type { Fingerprint } from './crypto/fingerprint.ts';
import type { Browser, FoundPeer } from './discovery/browser.ts';
import type { Discovery } from './discovery/mdns.ts';
import { errorOf } from './errors.ts';
import { Limiter } from './net/limiter.ts';
import type { Listener, ListenOptions as PortOptions } from './server/listener.ts';
import type { ListenerHost } from './server/listener-host.ts';
import { Users } from './server/users.ts';
import { Recorder } from './session/recorder.ts';
import { TrustedSessions } from './session/trusted-sessions.ts';
import type { VerifiedFile } from './session/verify.ts';
import { CONNECT_OPTIONS, checkOptions, type Settings } from './settings.ts';
import { ErrorLog } from './store/error-log.ts';
import { prepareLocks } from './store/file-lock.ts';
import { ensureHome, type Home, resolveHome } from './store/home.ts';
import { loadIdentity } from './store/identity-store.ts';
import type { Warn } from './store/json-file.ts';
import { ReceiptStore } from './store/receipt-store.ts';
import { SessionStore } from './store/session-store.ts';
import { loadSettings } from './store/settings-store.ts';
import { TrustStore } from './store/trust-store.ts';
import { UnopenedSeals } from './store/unopened-seals.ts';
import { WorkerPool } from './transfer/pool.ts';

// What not every program needs is loaded by those that do: it takes longer than a small file needs to cross.

/** Milliseconds that a server is looked for which does not answer where it was, and addresses that are tried. */
const LOOK_ELSEWHERE = 2000;
const MOST_ELSEWHERE = 4;

/** Which home is opened, and how. */
export interface OpenOptions {
  /** State folder; `LOCALSTREAM_HOME` or the platform's own by default. */
  readonly home?: string;
  /** Settings by key, above those of the file and the environment. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Told of what is wrong and goes on: a settings file set aside, an unknown key. Nothing is printed. */
  readonly onWarning?: Warn;
}

/** How a listener is opened. */
export interface ListenOptions extends PortOptions {
  /** Makes the listener known on the network under {@link Localstream.name}; not when it is bound to loopback. */
  readonly advertise?: boolean;
}

/** Opened by {@link openLocalstream}, to be closed by `await using` or {@link Localstream.close}. */
export class Localstream implements AsyncDisposable {
  /** This device's name, as peers see it. */
  readonly name: string;
  readonly fingerprint: Fingerprint;
  readonly home: Home;
  /** Folder of offers that are accepted without a place of their own: the setting `inbox.folder`, or `inbox` in the home. */
  readonly inbox: string;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly sessions: SessionStore;
  readonly receipts: ReceiptStore;
  readonly log: ErrorLog;
  readonly #host: HostParts;
  readonly #listeners = new Set<Listener>();
  readonly #sessions = new Set<Session>();
  readonly #warn: Warn | undefined;
  /** Listeners and sessions that are on their way into the sets above. */
  readonly #opening = new Set<Promise<unknown>>();
  /** Ends connecting that is under way. */
  readonly #end = new AbortController();
  #discovery: Promise<Discovery> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal See {@link openLocalstream}. */
  constructor(
    parts: HostParts,
    home: Home,
    sessions: SessionStore,
    receipts: ReceiptStore,
    warn: Warn | undefined,
  ) {
    this.#host = parts;
    this.#warn = warn;
    this.home = home;
    this.inbox = parts.inbox;
    this.name = parts.name;
    this.fingerprint = parts.identity.fingerprint;
    this.settings = parts.settings;
    this.trust = parts.trust;
    this.log = parts.log;
    this.sessions = sessions;
    this.receipts = receipts;
  }

  /** Open listeners. */
  get listeners(): readonly Listener[] {
    return [...this.#listeners];
  }

  /** Opens a port. Throws PORT_IN_USE, PORT_DENIED, NO_SUCH_HOST, NOT_FOUND or NOT_A_FOLDER for a share, USAGE. */
  async listen(options: ListenOptions): Promise<Listener> {
    this.#requireOpen();
    const start = async () => {
      const { Listener } = await import('./server/listener.ts');
      return await Listener.start(this.#host, options);
    };
    const listener = await this.#keep(start(), this.#listeners);
    if (options.advertise && !isLoopback(listener.host) && !this.#closing) void this.#advertise(listener);
    return listener;
  }

  /**
   * Looks for peers on the local network until the browser is stopped. What it finds are claims of whoever sends
   * packets: nobody is dialled, and the key decides who it is.
   */
  async discover(): Promise<Browser> {
    this.#requireOpen();
    return (await this.#startDiscovery()).browse();
  }

  /**
   * Tries a port on the addresses of this machine's own networks, of a wide one on the 254 around its own. For networks
   * that keep multicast back: it knocks at every door, and listeners tell their operators. Nobody is trusted by it.
   *
   * @param options.port the setting `port` by default.
   * @throws USAGE, CANCELLED.
   */
  async *scan(
    options: { readonly port?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<ScannedPeer, void> {
    this.#requireOpen();
    checkOptions(CONNECT_OPTIONS, options);
    const [{ scan }, { interfaceNames }] = await Promise.all([
      import('./client/scan.ts'),
      import('./discovery/interfaces.ts'),
    ]);
    const { port = this.settings.port, signal } = options;
    yield* scan({ port, interfaces: interfaceNames(this.settings.discovery.interfaces), signal });
  }

  /** Connects to a server: see {@link Session.connect} for what it throws. */
  async connect(options: ConnectOptions): Promise<Session> {
    this.#requireOpen();
    this.#host.pool.warm();
    const host = {
      ...this.#host,
      elsewhere: (fingerprint: Fingerprint, signal?: AbortSignal) => this.#whereIs(fingerprint, signal),
    };
    const own = this.#end.signal;
    const signal = options.signal ? AbortSignal.any([options.signal, own]) : own;
    const connecting = Session.connect(host, { ...options, signal });
    prepareLocks();
    return await this.#keep(connecting, this.#sessions);
  }

  /**
   * A number for {@link PutOptions.group}: {@link Session.send} to several peers under one number reads and hashes the files
   * once for those who are near each other.
   */
  newGroup(): number {
    return this.#host.pool.newGroup();
  }

  /** Checks received files at or below a path against their receipts. Throws NOT_FOUND, CANCELLED. */
  async *verify(path: string, signal?: AbortSignal): AsyncGenerator<VerifiedFile, void> {
    const { verifyReceived } = await import('./session/verify.ts');
    yield* verifyReceived(this.receipts, path, signal);
  }

  /** The users, for who manages them. Belongs to this object, and is closed with it. Throws STATE, BAD_SETTING. */
  async users(): Promise<UserStore> {
    this.#requireOpen();
    return await this.#host.users.store();
  }

  /**
   * Seals a file for trusted peers: only they can read it, and see that it is of this machine.
   *
   * @throws NOT_TRUSTED for a reader that is not trusted, NOT_FOUND for one whose encryption key is not known, USAGE, BAD_NAME.
   */
  async seal(
    source: AsyncIterable<Uint8Array>,
    readers: readonly Fingerprint[],
    metadata: SealMetadata,
  ): Promise<AsyncGenerator<Uint8Array, void>> {
    const { identity, trust } = this.#host;
    const [{ Sealer }, { readersOf }] = await Promise.all([
      import('./crypto/envelope-seal.ts'),
      import('./client/seal-readers.ts'),
    ]);
    const known = await readersOf(trust, readers);
    return new Sealer({ readers: known, identity, metadata }).seal(source);
  }

  /**
   * Opens a sealed file of this machine itself or a trusted peer; of anybody with `fromAnyone`. Only at the end of the
   * data is it known that all of them are as they were sealed.
   *
   * @throws INTEGRITY, NOT_ALLOWED where it is sealed for others, NOT_TRUSTED for an unknown sealer, NOT_SUPPORTED.
   */
  async openSeal(
    source: AsyncIterable<Uint8Array>,
    options: { readonly fromAnyone?: boolean } = {},
  ): Promise<OpenedSeal> {
    const { identity, trust } = this.#host;
    const accept = async (sealer: Fingerprint) =>
      (options.fromAnyone ?? false) ||
      sealer === identity.fingerprint ||
      (await trust.get(sealer)) !== undefined;
    const { openSeal } = await import('./crypto/envelope-open.ts');
    return await openSeal(source, { identity, accept });
  }

  /** Closes listeners and sessions, also those that are being opened, writes what is not written. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Holds on to what is being opened until it has closed. Throws SHUTTING_DOWN where {@link close} was faster. */
  async #keep<One extends { close(): Promise<void>; readonly closed: Promise<unknown> }>(
    opening: Promise<One>,
    open: Set<One>,
  ): Promise<One> {
    const kept = opening.then(async (one) => {
      if (this.#closing) await one.close();
      this.#requireOpen();
      open.add(one);
      void one.closed.then(() => open.delete(one));
      return one;
    });
    this.#opening.add(kept);
    try {
      return await kept;
    } catch (error) {
      this.#requireOpen();
      throw error;
    } finally {
      this.#opening.delete(kept);
    }
  }

  #requireOpen(): void {
    if (this.#closing) throw errorOf('SHUTTING_DOWN', 'localstream is being closed');
  }

  #startDiscovery(): Promise<Discovery> {
    this.#discovery ??= import('./discovery/mdns.ts').then(({ Discovery }) =>
      Discovery.start({
        settings: this.settings,
        fingerprint: this.fingerprint,
        ...(this.#warn && { onWarning: this.#warn }),
      }),
    );
    return this.#discovery;
  }

  /** Where somebody on the network says to be the server of this key, after a change of addresses. */
  async #whereIs(fingerprint: Fingerprint, signal: AbortSignal | undefined): Promise<Address[]> {
    if (this.settings.discovery.enabled === 'off' || this.#closing) return [];
    await using browser = await this.discover();
    const { isHintOf } = await import('./discovery/records.ts');
    const stop = () => browser.stop();
    const late = setTimeout(stop, LOOK_ELSEWHERE).unref();
    signal?.addEventListener('abort', stop, { once: true });
    const is = ({ fingerprintHint }: FoundPeer) => isHintOf(fingerprintHint, fingerprint);
    for await (const { change, peer } of browser) if (change !== 'vanish' && is(peer)) break;
    clearTimeout(late);
    signal?.removeEventListener('abort', stop);
    const ways = browser
      .found()
      .filter(is)
      .flatMap(({ addresses }) => addresses);
    return ways.slice(0, MOST_ELSEWHERE).map(({ host, port }) => ({ host, port }));
  }

  /** In the background: the port serves at once, and takes part in the network's names a second later. */
  async #advertise(listener: Listener): Promise<void> {
    try {
      const discovery = await this.#startDiscovery();
      const { host, port } = listener;
      const { name, fingerprint } = this;
      const nameplates = listener.codes.map(({ nameplate }) => nameplate);
      const advertisement = await discovery.advertise({
        name,
        port,
        fingerprint,
        login: listener.auth === 'password',
        nameplates,
        host,
      });
      // Who has no code left is of no use to anybody else.
      const over = nameplates.length > 0 ? [listener.codesOver] : [];
      await Promise.race([listener.closed, ...over]);
      await advertisement.stop();
    } catch (error) {
      this.log.write({ error, doing: `making port ${listener.port} known` });
    }
  }

  async #close(): Promise<void> {
    // First: whoever looks for this machine shall not find what is about to be gone.
    await Promise.allSettled([this.#discovery?.then((discovery) => discovery.stop())]);
    // Or a port would open, and a session begin, after all is closed.
    this.#end.abort();
    await Promise.allSettled(this.#opening);
    const all = [...this.#sessions, ...this.#listeners];
    await Promise.allSettled(all.map((one) => one.close()));
    // A thread takes as long to end as what is not written takes to be written.
    await Promise.all([this.#host.pool.close(), this.#closeStores()]);
  }

  async #closeStores(): Promise<void> {
    await this.#host.recorder.flush();
    await this.#host.users[Symbol.asyncDispose]();
    await this.sessions.close();
    await this.log.close();
  }
}

/** What listeners and sessions work with. */
type HostParts = ListenerHost & Omit<SessionHost, 'elsewhere'>;

/**
 * Opens the localstream of this user, making keys and folders on first use.
 *
 * @throws STATE when the home can't be used or the identity is damaged, BAD_SETTING.
 */
export async function openLocalstream(options: OpenOptions = {}): Promise<Localstream> {
  const { onWarning: warn } = options;
  const home = resolveHome(process.env, options.home);
  ensureHome(home);
  const { settings } = await loadSettings({
    home,
    flags: options.flags ?? {},
    ...(warn && { warn }),
  });
  const identity = await loadIdentity(home, warn);
  const trust = new TrustStore(home, warn);
  const sessions = new SessionStore(home, settings.sessions, warn);
  const receipts = new ReceiptStore(home, settings.receipts);
  const log = new ErrorLog(home, settings.log, warn);
  const recorder = new Recorder({ sessions, receipts, log });
  const pool = new WorkerPool(settings.workers);
  const users = new Users(home.usersFile, settings.auth);
  users.onTrouble((error) => {
    if (error) log.write({ error, doing: 'the users' });
  });
  const limiter = settings.limit === null ? undefined : new Limiter(settings.limit);
  return new Localstream(
    {
      identity,
      name: settings.name,
      settings,
      trust,
      pool,
      limiter,
      recorder,
      log,
      users,
      inbox: settings.inbox.folder === null ? home.inbox : resolve(settings.inbox.folder),
      unseen: new Set(),
      sealSecret: async () => {
        const { SealSecrets } = await import('./store/seal-secret.ts');
        return await new SealSecrets(home, identity, warn).get();
      },
      unopenedSeals: new UnopenedSeals(home, warn),
      trusted: new TrustedSessions(trust),
    },
    home,
    sessions,
    receipts,
    warn,
  );
}

/** Where only this machine itself can come from. */
function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}
