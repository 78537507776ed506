/** The connection of a session, and another one in its place when it breaks: same server, same key, nothing asked again. */
import type { SealSecret } from '../crypto/envelope-repeat.ts';
import { type Fingerprint, parseFingerprint } from '../crypto/fingerprint.ts';
import type { Identity } from '../crypto/identity.ts';
import { errorOf, exitOf, LocalstreamError } from '../errors.ts';
import type { Limiter } from '../net/limiter.ts';
import { CHANGE, SPEED } from '../protocol/limits.ts';
import type { NamedSibling } from '../protocol/messages.ts';
import { Connection, type ConnectionHandlers } from '../session/connection.ts';
import { type Decide, introduce, sayBye, type TrustQuestion } from '../session/introduce.ts';
import type { TypedCode } from '../session/pair.ts';
import type { Recorder } from '../session/recorder.ts';
import type { PeerInfo } from '../session/report.ts';
import { typed } from '../session/transfers.ts';
import type { TrustedSessions } from '../session/trusted-sessions.ts';
import { CONNECT_OPTIONS, checkOptions, type Settings } from '../settings.ts';
import type { TrustStore } from '../store/trust-store.ts';
import type { UnopenedSeals } from '../store/unopened-seals.ts';
import type { WorkerPool } from '../transfer/pool.ts';
import { type Address, type Dialled, dial, dialLane } from './dial.ts';
import { ServerTrust } from './trust-server.ts';

/** What a session works with. */
export interface SessionHost {
  readonly identity: Identity;
  readonly name: string;
  readonly settings: Settings;
  readonly trust: TrustStore;
  readonly pool: WorkerPool;
  readonly limiter: Limiter | undefined;
  readonly recorder: Recorder;
  /** Folder of offers that are accepted without a place of their own. */
  readonly inbox: string;
  /** Servers whose keys were pinned unseen in this run. */
  readonly unseen: Set<Fingerprint>;
  readonly sealSecret: () => Promise<SealSecret>;
  readonly unopenedSeals: UnopenedSeals;
  readonly trusted: TrustedSessions;
  /** Where a server may be now that it does not answer where it was. All of it is hearsay: its key decides. */
  readonly elsewhere?: (
    fingerprint: Fingerprint,
    signal: AbortSignal | undefined,
  ) => Promise<readonly Address[]>;
}

/** Where a server is, and what is known of its key. */
export interface ConnectOptions {
  readonly host: string;
  /** The setting `port` by default. */
  readonly port?: number;
  /** The key that the server must have; it is pinned. */
  readonly fingerprint?: Fingerprint;
  /** The key that the server must have because it is pinned for whom is meant. Unlike {@link fingerprint} nobody has compared it by that. */
  readonly pinned?: Fingerprint;
  /** Pins an unknown key unseen. It stays unverified: nobody has compared anything. */
  readonly acceptNew?: boolean;
  /** Asked about an unknown key. Absent, with neither of the above: it is refused. */
  readonly decide?: Decide;
  readonly signal?: AbortSignal;
  /** A pairing code that was shown at the server: it decides, and nobody is asked. */
  readonly pairing?: TypedCode;
  /** The server's operator is being asked; the check number can be compared meanwhile. */
  readonly onWaiting?: (question: TrustQuestion) => void;
}

/** Who decides about the server's key, and what is known of it afterwards. */
interface KeyCheck {
  readonly asks: boolean;
  readonly name: string | undefined;
  readonly trusted: boolean;
  check(fingerprint: Fingerprint): Promise<void>;
  decide(question: TrustQuestion, signal: AbortSignal): Promise<void>;
}

export class Link {
  readonly #host: SessionHost;
  #address: Address;
  /** Servers that may take the place of this one, by its own word. */
  #siblings: readonly Server[] = [];
  readonly #handlers: ConnectionHandlers;
  /** Of the first connection, without the milliseconds of its handshake. */
  readonly roundTrip: number;
  connection: Connection;
  /** Kept for as long as the session, so that a connection that broke is made again without a question. */
  #user: { readonly name: string; readonly password: string } | undefined;

  private constructor(host: SessionHost, address: Address, handlers: ConnectionHandlers, opened: Opened) {
    this.#host = host;
    this.#address = address;
    this.#handlers = handlers;
    this.connection = opened.connection;
    this.roundTrip = opened.roundTrip;
  }

  /** Connects for the first time: see {@link Session.connect}. */
  static async open(host: SessionHost, options: ConnectOptions, handlers: ConnectionHandlers): Promise<Link> {
    const { trust, settings } = host;
    const address = { host: options.host, port: options.port ?? settings.port };
    const { fingerprint, pinned, acceptNew, decide, pairing } = options;
    checkOptions(CONNECT_OPTIONS, options);
    const expected = fingerprint ?? pinned;
    // Any other text would be told as a key that has changed.
    if (expected !== undefined) parseFingerprint(expected);
    const check =
      pairing === undefined
        ? new ServerTrust({ trust, address, fingerprint: expected, acceptNew, decide, unseen: host.unseen })
        : await trustByCode(trust, pairing);
    const opened = await open(host, address, check, handlers, options);
    if (fingerprint !== undefined) host.unseen.delete(fingerprint);
    return new Link(host, address, handlers, opened);
  }

  /**
   * Throws NOT_TRUSTED unless the server's key was pinned before, given, paired or confirmed by a person: a password is
   * for no other, since whoever stands in the middle would have it.
   */
  async requireConfirmed(): Promise<void> {
    const { fingerprint } = this.connection.peer;
    if (!this.#host.unseen.has(fingerprint)) return;
    const known = await this.#host.trust.get(fingerprint);
    if (known !== undefined && known.how !== 'accept-new') return;
    throw errorOf(
      'NOT_TRUSTED',
      `no password goes to a server whose key nobody has compared: ${fingerprint}`,
      {
        hint: 'compare it there with `localstream identity`, then use --fingerprint in place of --accept-new',
      },
    );
  }

  /** Logs in; a connection in place of this one does so too. Throws NOT_TRUSTED, LOGIN_FAILED, LOGIN_LATER, … */
  async login(name: string, password: string): Promise<string> {
    await this.requireConfirmed();
    const { name: user, siblings } = await this.connection.login(name, password);
    this.#user = { name, password };
    await this.#noteSiblings(siblings);
    return user;
  }

  async #noteSiblings(named: readonly NamedSibling[]): Promise<void> {
    const { fingerprint } = this.connection.peer;
    const { trust } = this.#host;
    // Who was only named itself vouches for nobody.
    const isPinned = (await trust.get(fingerprint)) !== undefined;
    if (!isPinned && (await trust.namedBy(fingerprint)) !== undefined) return;
    // Not to be able to write it down keeps nobody from going on in this run.
    const accepted = await trust.noteSiblings(fingerprint, named).catch(() => named);
    this.#siblings = accepted.flatMap(({ fingerprint: key, name, addresses }) =>
      addresses.flatMap((text) => {
        const address = addressOf(text);
        return address && key !== fingerprint ? [{ fingerprint: key, name, address }] : [];
      }),
    );
  }

  /**
   * Connects again, where it was or where it is said to be now. Only the key that was there before will do, whatever was
   * asked about it then; or, where it does not answer, that of a server that it has named, at which the same user logs in.
   */
  async reopen(signal?: AbortSignal): Promise<void> {
    const { fingerprint, name, trusted } = this.connection.peer;
    try {
      await this.#reopenAt({ fingerprint, name, address: this.#address }, trusted, signal);
    } catch (error) {
      // Full, or without its users for now: another one may have room.
      const isElsewhere =
        (await this.#goOnAtSibling(error, signal)) ||
        (isAway(error) && (await this.#reopenElsewhere(signal)));
      if (!isElsewhere) throw error;
    }
  }

  /** Goes on at a server that this one has named. False where none of them answers as it should. */
  async #goOnAtSibling(error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
    if (!(error instanceof LocalstreamError) || exitOf(error.code) !== 4) return false;
    const { fingerprint, name } = this.connection.peer;
    const left: Server = { fingerprint, name, address: this.#address };
    for (const sibling of this.#siblings) {
      if (signal?.aborted) return false;
      try {
        const known = await this.#host.trust.get(sibling.fingerprint);
        await this.#reopenAt({ ...sibling, ...(known && { name: known.name }) }, known !== undefined, signal);
      } catch {
        // Whatever is wrong with this one, another may do; the first stays what is tried again.
        continue;
      }
      this.#address = sibling.address;
      const others = this.#siblings.filter((other) => other.fingerprint !== sibling.fingerprint);
      this.#siblings = [left, ...others];
      return true;
    }
    return false;
  }

  async #reopenElsewhere(signal: AbortSignal | undefined): Promise<boolean> {
    const { elsewhere, trust } = this.#host;
    const { fingerprint, name, trusted } = this.connection.peer;
    const { host, port } = this.#address;
    for (const address of (await elsewhere?.(fingerprint, signal)) ?? []) {
      if (address.host === host && address.port === port) continue;
      try {
        await this.#reopenAt({ fingerprint, name, address }, trusted, signal);
      } catch (error) {
        if (isAway(error)) continue;
        throw error;
      }
      this.#address = address;
      if (trusted) await trust.noteAddress(fingerprint, address);
      return true;
    }
    return false;
  }

  async #reopenAt(
    { fingerprint, name, address }: Server,
    trusted: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const check: KeyCheck = {
      asks: false,
      name,
      trusted,
      check: async (found) => {
        if (found !== fingerprint)
          throw errorOf('KEY_CHANGED', `another key answers now: ${found}, before it was ${fingerprint}`);
      },
      decide: async () => {},
    };
    const { connection } = await open(this.#host, address, check, this.#handlers, signal ? { signal } : {});
    const stop = () => void connection.close();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      if (this.#user && !signal?.aborted) await connection.login(this.#user.name, this.#user.password);
      // Whoever wanted it may be gone since it was open.
      if (signal?.aborted) throw errorOf('CANCELLED');
    } catch (error) {
      await connection.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    this.connection = connection;
  }
}

/** A server that may be dialled, and the key that it must have. */
interface Server {
  readonly fingerprint: Fingerprint;
  readonly name: string;
  readonly address: Address;
}

/** Reads `host:port`, IPv6 in brackets. */
function addressOf(text: string): Address | undefined {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  return host === undefined || Number(port) < 1 || Number(port) > 65535
    ? undefined
    : { host, port: Number(port) };
}

interface Opened {
  readonly connection: Connection;
  readonly roundTrip: number;
}

async function open(
  host: SessionHost,
  address: Address,
  check: KeyCheck,
  handlers: ConnectionHandlers,
  options: Pick<ConnectOptions, 'signal' | 'onWaiting' | 'pairing'>,
): Promise<Opened> {
  const { identity, settings } = host;
  const { signal } = options;
  const patience = settings.handshakeTimeout;
  const checkKey = (fingerprint: Fingerprint) => check.check(fingerprint);
  const dialled = await dial({ ...address, identity, patience, signal, checkKey });
  const { channel, keys, server, remote } = dialled;
  const { fingerprint, key, group, cipher } = server;
  const claimed = await letEachOtherIn(host, dialled, check, options);
  await host.trust.noteEncryptionKey(fingerprint, dialled.encryptionKey);
  const peer: PeerInfo = {
    id: keys.id.toString('hex'),
    name: check.name ?? claimed,
    trusted: check.trusted,
    fingerprint,
    address: remote.host,
    port: remote.port,
    group,
    cipher,
    since: new Date(),
  };
  const connection = new Connection({
    channel,
    keys,
    identity,
    peer,
    peerKey: key,
    pool: host.pool,
    limiter: host.limiter,
    maxRecords: settings.lane.maxRecords,
    receiptFiles: settings.receiptFiles,
    keepAlive: settings.keepAlive,
    handlers,
    canChange: dialled.capabilities.includes(CHANGE),
    canMeasure: dialled.capabilities.includes(SPEED),
    openLane: (number) => dialLane(remote, fingerprint, keys, number, patience),
  });
  host.recorder.follow(connection, 'client');
  return { connection, roundTrip: dialled.roundTrip };
}

async function letEachOtherIn(
  host: SessionHost,
  dialled: Dialled,
  check: KeyCheck,
  options: Pick<ConnectOptions, 'signal' | 'onWaiting' | 'pairing'>,
): Promise<string> {
  const { channel, keys, server, remote } = dialled;
  const { signal } = options;
  const question = (claimedName: string): TrustQuestion => ({
    role: 'server',
    claimedName,
    fingerprint: server.fingerprint,
    checkNumber: keys.checkNumber,
    address: remote.host,
  });
  const stop = () => channel.fail(errorOf('CANCELLED'));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    if (options.pairing) await pairBy(options.pairing, host, dialled);
    const { claimedName } = await introduce({
      channel,
      name: host.name,
      group: server.group,
      asks: check.asks,
      patience: host.settings.decisionTimeout,
      promptness: host.settings.handshakeTimeout,
      decide: (claimed, until) => check.decide(question(claimed), until),
      onWaiting: (claimed) => options.onWaiting?.(question(claimed)),
    });
    return claimedName;
  } catch (error) {
    throw whyNotIn(error, host.identity.fingerprint);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** What we do not know we have found out before: here it is the other side that says so, and means our key. */
function whyNotIn(error: unknown, own: Fingerprint): unknown {
  if (!(error instanceof LocalstreamError) || error.code !== 'NOT_TRUSTED') return error;
  return errorOf('NOT_TRUSTED', "this machine's key is not trusted there", {
    cause: error,
    hint: `ask for \`localstream trust ${own}\` there`,
  });
}

async function trustByCode(trust: TrustStore, pairing: TypedCode): Promise<KeyCheck> {
  const [{ CodeTrust }, { parsePairingCode }] = await Promise.all([
    import('./code-trust.ts'),
    import('../crypto/pairing-code.ts'),
  ]);
  // A slip of the pen is told before anybody is dialled.
  parsePairingCode(pairing.code);
  return new CodeTrust(trust, pairing);
}

async function pairBy({ code, purpose }: TypedCode, host: SessionHost, dialled: Dialled): Promise<void> {
  const { channel, keys, server } = dialled;
  const [{ proveCode }, { parsePairingCode }] = await Promise.all([
    import('../session/pair.ts'),
    import('../crypto/pairing-code.ts'),
  ]);
  const [fpC, fpS] = [host.identity.fingerprint, server.fingerprint];
  try {
    await proveCode(channel, { ...parsePairingCode(code), purpose, fpC, fpS, key: keys.pairing });
  } catch (error) {
    const reason = typed(error);
    sayBye(channel, reason);
    channel.fail(reason);
    throw reason;
  }
}

/** Codes that say that the server is not at an address, whoever else may be. */
const AWAY = new Set(['UNREACHABLE', 'TIMEOUT', 'NOT_LOCALSTREAM', 'NO_SUCH_HOST', 'KEY_CHANGED']);

function isAway(error: unknown): boolean {
  return error instanceof LocalstreamError && AWAY.has(error.code);
}

/** Whether an error means that the connection broke, and not that somebody ended it. */
export function isBroken(error: LocalstreamError): boolean {
  return error.code === 'LOST';
}
