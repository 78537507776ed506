/** One port being served, as its owner has it: opened and closed, its shares and peers, and all that it tells of them. */
import { EventEmitter } from 'node:events';
import { resolve } from 'node:path';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { Change, Changed } from '../session/changes.ts';
import { Continuations } from '../session/continuations.ts';
import type { Decide } from '../session/introduce.ts';
import type { Offer, ReceivedText } from '../session/offer.ts';
import type { PeerInfo, Receipt, TransferInfo } from '../session/report.ts';
import { checkOptions, LISTEN_OPTIONS } from '../settings.ts';
import { Folder } from '../transfer/folder.ts';
import type { Source } from '../transfer/source.ts';
import { Admission } from './admission.ts';
import { type CodeOptions, Codes, type OpenCode } from './codes.ts';
import { Entrance } from './entrance.ts';
import { Inbox, type InboxOptions } from './inbox.ts';
import type { ListenerHost } from './listener-host.ts';
import { Outbox, type SendOptions } from './outbox.ts';
import { Peers } from './peers.ts';
import { Service } from './service.ts';
import { type Share, type ShareOptions, Shares } from './shares.ts';
import { addressesOf } from './siblings.ts';
import type { Auth } from './visit.ts';

/** Where to listen, and who gets in. */
export interface ListenOptions {
  /** 1 to 65535; 0 takes a free one, which {@link Listener.port} tells. */
  readonly port: number;
  /** Address to bind; all interfaces by default. */
  readonly host?: string;
  /** Peers that may be connected at once; the setting `maxConnections` by default. */
  readonly maxConnections?: number;
  readonly shares?: readonly ShareOptions[];
  /** Everybody is let in: `auth` is `none`. */
  readonly open?: boolean;
  /**
   * Who is let in: everybody (`none`), whose key is trusted or whom `decide` lets in (`trusted`, the default), or users
   * who log in (`password`): whatever their key, and trusted keys too.
   */
  readonly auth?: Auth;
  /** Asked for each unknown key. Absent: unknown keys are refused. */
  readonly decide?: Decide;
  /** Opens pairing codes: see {@link Listener.codes}. Then only those come in who know one, trusted or not. */
  readonly codes?: CodeOptions;
  /**
   * What becomes of what peers offer: see {@link Session.send}. Those that no rule accepts are told by the event `offer`,
   * and refused where nobody listens to it. A listener with codes takes no offers.
   */
  readonly inbox?: InboxOptions;
}

interface ListenerEvents {
  /** Somebody was let in. */
  peer: [PeerInfo];
  left: [PeerInfo, LocalstreamError];
  /** Running transfers, now and then. */
  progress: [TransferInfo];
  /** Somebody was not let in, or was none of ours. */
  refused: [{ readonly address: string; readonly error: LocalstreamError }];
  /** A transfer with a peer has begun; look at {@link Listener.transfers} for how it goes. */
  transfer: [TransferInfo];
  receipt: [Receipt];
  /** A peer has made a folder, moved or removed something; of a big folder one part after the other. */
  changed: [Changed & { readonly peer: PeerInfo; readonly change: Change }];
  failed: [{ readonly transfer: TransferInfo; readonly error: LocalstreamError }];
  /** A peer wants to send something, and is to be answered. */
  offer: [Offer];
  /** An offer is accepted by the rule of the inbox. */
  accepted: [Offer];
  /** A text that the rule has accepted. Where nobody listens to this, texts go into the inbox like files. */
  text: [Offer, ReceivedText];
  /** Why users can't log in for now; nothing once they can again. */
  users: [LocalstreamError | undefined];
}

/** An open port with its shares and peers, made by `listen`. */
export class Listener extends EventEmitter<ListenerEvents> implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
  readonly open: boolean;
  readonly auth: Auth;
  /** Settles when the port has been closed. */
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #host: ListenerHost;
  readonly #shares: Shares;
  readonly #entrance: Entrance;
  readonly #codes: Codes | undefined;
  readonly #inbox: Inbox | undefined;
  readonly #outbox: Outbox;
  readonly #peers: Peers;
  readonly #admission: Admission;
  #closing: Promise<void> | undefined;
  /** Tells the other servers of its users that it is closed. */
  #leave: () => Promise<void> = async () => {};

  private constructor(
    host: ListenerHost,
    options: ListenOptions,
    shares: Shares,
    entrance: Entrance,
    codes: Codes | undefined,
  ) {
    super();
    this.#host = host;
    this.closed = this.#closed.promise;
    this.#entrance = entrance;
    this.#shares = shares;
    this.#codes = codes;
    this.auth = options.auth ?? (options.open ? 'none' : 'trusted');
    this.open = this.auth === 'none';
    this.maxConnections = options.maxConnections ?? host.settings.maxConnections;
    this.host = entrance.host;
    this.port = entrance.port;
    const continuations = new Continuations();
    const peers = this.#openPeers(continuations);
    const inbox = codes === undefined ? this.#openInbox(options.inbox ?? {}, continuations) : undefined;
    this.#peers = peers;
    this.#inbox = inbox;
    this.#outbox = new Outbox({
      settings: host.settings,
      peers,
      isClosing: () => this.#closing !== undefined,
      closed: this.closed,
    });
    this.#admission = new Admission({
      host,
      port: this.port,
      auth: this.auth,
      decide: options.decide,
      codes,
      maxConnections: this.maxConnections,
      service: new Service({
        host,
        shares,
        peers,
        inbox,
        continuations,
        changed: (peer, change, changed) => this.emit('changed', { peer, change, ...changed }),
      }),
      peers,
      refused: (address, error) => this.emit('refused', { address, error }),
    });
    if (this.auth === 'password') {
      const quiet = host.users.onTrouble((error) => this.emit('users', error));
      void this.closed.then(quiet);
      const { name, identity } = host;
      const addresses = addressesOf(this.host, this.port);
      this.#leave = host.users.siblings.join({ fingerprint: identity.fingerprint, name }, addresses);
    }
  }

  /** Opens a port. Throws USAGE, PORT_IN_USE, PORT_DENIED, NO_SUCH_HOST, and what is wrong with the shares. */
  static async start(host: ListenerHost, options: ListenOptions): Promise<Listener> {
    checkOptions(LISTEN_OPTIONS, options);
    if (options.open && options.auth !== undefined && options.auth !== 'none')
      throw errorOf('USAGE', `a listener can't be open to everybody and ask for ${options.auth}`);
    const shares = new Shares(options.shares ?? []);
    const { folder, accept = host.settings.inbox.accept } = options.inbox ?? {};
    // Where nobody is asked, what is wrong with it has to show now.
    if (folder !== undefined || accept === 'trusted') Folder.open(folder ?? host.inbox).close();
    const codes = options.codes && new Codes(options.codes);
    const { identity, settings, log } = host;
    const listening = Promise.withResolvers<Listener>();
    let peers = (): readonly PeerInfo[] => [];
    const entrance = await Entrance.open(
      {
        identity,
        port: options.port,
        host: options.host,
        strangers: settings.strangers,
        patience: settings.handshakeTimeout,
      },
      {
        session: async (socket, known) => await (await listening.promise).#admission.greet(socket, known),
        lane: async (socket, request, known) =>
          (await listening.promise).#peers.addLane(socket, request, known),
        isPeers: (address) => peers().some((peer) => peer.address === address),
        refused: (address, error) => {
          log.write({ error, address, doing: `a connection to port ${entrance.port}` });
          void listening.promise.then((listener) => listener.emit('refused', { address, error }));
        },
        failed: (error) => log.write({ error, doing: `listening on port ${entrance.port}` }),
      },
    );
    const listener = new Listener(host, options, shares, entrance, codes);
    peers = () => listener.peers;
    listening.resolve(listener);
    return listener;
  }

  /** Where offers go that are accepted without a place of their own, and by which rule; undefined where there are codes. */
  get inbox(): Required<InboxOptions> | undefined {
    return this.#inbox && { folder: this.#inbox.folder, accept: this.#inbox.accept };
  }

  /** Offers of peers that wait for an answer, oldest first. */
  get offers(): readonly Offer[] {
    return this.#inbox?.offers ?? [];
  }

  get shares(): readonly Share[] {
    return this.#shares.list;
  }

  /** The pairing codes that were opened with it, used or not. */
  get codes(): readonly OpenCode[] {
    return this.#codes?.list ?? [];
  }

  /** Settles when the last pairing code is used, burnt or too old. */
  get codesOver(): Promise<void> {
    return this.#codes?.over ?? Promise.resolve();
  }

  get peers(): readonly PeerInfo[] {
    return this.#peers.list;
  }

  get transfers(): readonly TransferInfo[] {
    return this.#peers.transfers;
  }

  /**
   * Offers files to one connected peer and sends them once it accepts.
   *
   * @param peerId {@link PeerInfo.id}
   * @throws USAGE for options that are wrong; NOT_CONNECTED, NOT_FOUND, REJECTED, CANCELLED, LOST, …
   */
  async send(peerId: string, paths: readonly Source[], options: SendOptions = {}): Promise<Receipt> {
    return await this.#outbox.send(peerId, paths, options);
  }

  /**
   * Offers the same files to several peers at once. They are read and hashed once for those who are near each other;
   * one that is slow or fails holds up nobody else.
   *
   * @returns how it ended for each, in their order; see {@link send} for the reasons.
   */
  async sendToAll(
    peerIds: readonly string[],
    paths: readonly Source[],
    options: Omit<SendOptions, 'group'> = {},
  ): Promise<PromiseSettledResult<Receipt>[]> {
    const group = this.#host.pool.newGroup();
    return await Promise.allSettled(peerIds.map((peerId) => this.send(peerId, paths, { ...options, group })));
  }

  /** Ends the session of a peer at once, running transfers included. */
  async kick(peerId: string): Promise<void> {
    await this.#peers.get(peerId)?.close(errorOf('REJECTED', 'ended by the operator'));
  }

  /** Closes the port and every session on it. The port is free when it resolves. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#entrance.stop();
    this.#codes?.close();
    this.#inbox?.close();
    await Promise.all([this.#admission.close(), this.#peers.close()]);
    await Promise.all([this.#entrance.freed(), this.#leave()]);
    this.#closed.resolve();
  }

  #openPeers(continuations: Continuations): Peers {
    const { recorder } = this.#host;
    return new Peers(
      { port: this.port, recorder, continuations },
      {
        entered: (peer) => this.emit('peer', peer),
        left: (peer, reason) => {
          this.#inbox?.left(peer.id);
          this.emit('left', peer, reason);
        },
        begun: (transfer) => this.emit('transfer', transfer),
        progress: (transfer) => this.emit('progress', transfer),
        done: (receipt) => this.emit('receipt', receipt),
        failed: (transfer, error) => this.emit('failed', { transfer, error }),
      },
    );
  }

  #openInbox({ folder, accept }: InboxOptions, continuations: Continuations): Inbox {
    const { inbox, settings, trust, log } = this.#host;
    return new Inbox({
      folder: folder === undefined ? inbox : resolve(folder),
      accept: accept ?? settings.inbox.accept,
      settings,
      trust,
      continuations,
      hasPerson: () => this.listenerCount('offer') > 0,
      ask: (offer) => this.emit('offer', offer),
      accepted: (offer) => this.emit('accepted', offer),
      showsTexts: () => this.listenerCount('text') > 0,
      showText: (offer, received) => this.emit('text', offer, received),
      failed: (error, { address, fingerprint: peer }) =>
        log.write({ error, address, peer, doing: `an offer on port ${this.port}` }),
    });
  }
}
