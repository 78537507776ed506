/**
 * How somebody at the entrance becomes a peer: it proves its key, is let in, finds a place, and where users log in it
 * waits until its user is known.
 */
import type { TLSSocket } from 'node:tls';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import type { PairRequest } from '../protocol/messages.ts';
import type { Connection } from '../session/connection.ts';
import type { Decide } from '../session/introduce.ts';
import type { LoginAnswer } from '../session/logins.ts';
import { typed } from '../session/transfers.ts';
import { type Approval, Approvals } from './approvals.ts';
import type { Claim, Codes } from './codes.ts';
import { type Entry, letIn, proveStranger, type Stranger, turnAway } from './let-in.ts';
import type { ListenerHost } from './listener-host.ts';
import type { Peers } from './peers.ts';
import { Places } from './places.ts';
import type { Service } from './service.ts';
import { type Auth, Visit } from './visit.ts';

export interface AdmissionOptions {
  readonly host: ListenerHost;
  /** Of the listener. */
  readonly port: number;
  readonly auth: Auth;
  readonly decide: Decide | undefined;
  readonly codes: Codes | undefined;
  /** Peers at once. */
  readonly maxConnections: number;
  readonly service: Service;
  readonly peers: Peers;
  /** A login has failed. Who is not let in at all is told by what {@link Admission.greet} throws. */
  readonly refused: (address: string, error: LocalstreamError) => void;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #places: Places;
  readonly #approvals = new Approvals();
  /** Those who have proven their key and are being let in. */
  readonly #meeting = new Set<ControlChannel>();
  /** Those whose user is not known yet. */
  readonly #waiting = new Set<Connection>();
  #isClosed = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#places = new Places(options.maxConnections);
  }

  /** Somebody wants a session. `known` is called once it is no stranger any more. Throws why it may not stay. */
  async greet(socket: TLSSocket, known: () => void): Promise<void> {
    const { host, auth, decide, codes } = this.#options;
    const { identity, settings, trust, name } = host;
    const stranger = await proveStranger(socket, identity, settings.handshakeTimeout);
    let giveBack = () => {};
    let claim: Claim | undefined;
    this.#meeting.add(stranger.channel);
    try {
      if (this.#isClosed) throw errorOf('SHUTTING_DOWN');
      this.#places.requireFree();
      const isBack = auth === 'trusted' && this.#approvals.has(stranger.fingerprint);
      const entry = await letIn(stranger, {
        name,
        trust,
        open: auth !== 'trusted' || isBack,
        decide,
        patience: settings.decisionTimeout,
        promptness: settings.handshakeTimeout,
        proven: known,
        ask: () => this.#places.ask(stranger.address),
        enter: () => {
          // Who has not logged in takes no user's place, and there are not many of them.
          const isAwaited = auth === 'password';
          giveBack = isAwaited ? this.#places.awaitLogin(stranger.address) : this.#places.take();
        },
        claim: codes && ((request) => this.#claim(codes, stranger, request, known)),
      });
      claim = entry.claim;
      if (this.#isClosed) throw errorOf('SHUTTING_DOWN');
      this.#start(stranger, entry, giveBack, this.#approval(entry, isBack));
      claim?.grant(entry.peer);
    } catch (error) {
      claim?.fail(typed(error));
      giveBack();
      turnAway(stranger.channel, error);
      throw error;
    } finally {
      this.#meeting.delete(stranger.channel);
    }
  }

  /** Nobody is let in any more, and those who are not in yet are told so. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // Somebody may think about these for minutes.
    for (const channel of this.#meeting) turnAway(channel, errorOf('SHUTTING_DOWN'));
    const waiting = [...this.#waiting];
    await Promise.allSettled(waiting.map((connection) => connection.close(errorOf('SHUTTING_DOWN'))));
  }

  async #claim(codes: Codes, stranger: Stranger, request: PairRequest, known: () => void): Promise<Claim> {
    // While it has the code to itself, others must not push it out: that would burn the code.
    known();
    return await codes.claim(stranger, this.#options.host.identity.fingerprint, request);
  }

  /** What a person has decided about a session. Throws NOT_TRUSTED. */
  #approval({ peer, claim }: Entry, isBack: boolean): Approval | undefined {
    const { auth, codes } = this.#options;
    const { fingerprint, trusted } = peer;
    if (auth !== 'trusted' || (trusted && !codes)) return undefined;
    if (!isBack || claim) return { fingerprint, at: performance.now() };
    const approval = this.#approvals.use(fingerprint);
    // Another connection of it may have used it up while this one introduced itself, or somebody wanted that peer out.
    if (!approval) throw errorOf('NOT_TRUSTED');
    return approval;
  }

  #start(
    stranger: Stranger,
    { peer, rights }: Entry,
    giveBack: () => void,
    approval: Approval | undefined,
  ): void {
    const { host, auth, service } = this.#options;
    const visit = new Visit(auth, rights);
    const login = (name: string, password: string): Promise<LoginAnswer> =>
      this.#login(connection, visit, { name, password }, giveBack);
    const connection = service.open(stranger, peer, visit, auth === 'password' ? login : undefined);
    if (visit.isKnown) this.#enter(connection, giveBack, approval);
    else this.#await(connection, giveBack);
    const { fingerprint, trusted } = peer;
    const leave = host.trusted.follow({
      fingerprint,
      trusted,
      update: (now) => visit.mayNow(now),
      end: (reason) => void connection.close(reason),
    });
    void connection.ended.then(leave);
  }

  /** Until its user is known there is nothing but time for it to say who that is. */
  #await(connection: Connection, giveBack: () => void): void {
    this.#waiting.add(connection);
    const { decisionTimeout } = this.#options.host.settings;
    const late = setTimeout(() => {
      if (this.#waiting.has(connection)) void connection.close(errorOf('TIMEOUT', 'nobody logged in'));
    }, decisionTimeout).unref();
    void connection.ended.then(() => {
      clearTimeout(late);
      if (this.#waiting.delete(connection)) giveBack();
    });
  }

  /** Somebody says who it is. Throws LOGIN_FAILED, LOGIN_LATER, FULL, BUSY, NOT_ALLOWED. */
  async #login(
    connection: Connection,
    visit: Visit,
    said: { readonly name: string; readonly password: string },
    giveBack: () => void,
  ): Promise<LoginAnswer> {
    const { host, port, refused } = this.#options;
    const { users, log, identity } = host;
    const { address, fingerprint } = connection.peer;
    if (visit.isKnown) throw errorOf('NOT_ALLOWED', 'somebody is logged in already; connect again');
    this.#places.requireFree();
    const user = await users.login({ ...said, address, device: fingerprint }).catch((reason: unknown) => {
      const error = typed(reason);
      log.write({ error, address, peer: fingerprint, doing: `a login on port ${port}` });
      refused(address, error);
      throw error;
    });
    const siblings = await users.siblings.others(identity.fingerprint);
    // It may have left, or the listener been closed, while the password was looked at.
    if (!this.#waiting.has(connection)) throw errorOf('CLOSED');
    const leave = this.#places.take();
    this.#waiting.delete(connection);
    giveBack();
    visit.become(user.name, user.grants);
    connection.peer = { ...connection.peer, user: user.name };
    const forget = users.follow({
      name: user.name,
      update: (grants) => visit.become(user.name, grants),
      end: (reason) => void connection.close(reason),
    });
    void connection.ended.then(forget);
    this.#enter(connection, leave);
    return { name: user.name, siblings };
  }

  #enter(connection: Connection, giveBack: () => void, approval?: Approval): void {
    this.#options.peers.enter(connection, (reason) => {
      if (reason.code !== 'LOST') {
        // Who leaves by itself may still come back by another session of it that broke.
        if (reason.code !== 'CLOSED') this.#approvals.revoke(connection.peer.fingerprint);
      } else if (approval) this.#approvals.keep(approval);
      giveBack();
    });
  }
}
