/** What a listener does for a peer in its session: the shares as far as its visit allows, tests of the speed, offers taken. */
import { errorOf } from '../errors.ts';
import type { Change, Changed } from '../session/changes.ts';
import { Connection } from '../session/connection.ts';
import { boxOf, type Continuations } from '../session/continuations.ts';
import type { LoginHandler } from '../session/logins.ts';
import type { PeerInfo } from '../session/report.ts';
import type { SpeedPermit } from '../session/speed-tests.ts';
import { NO_EARLIER_PART } from '../transfer/target.ts';
import type { Inbox } from './inbox.ts';
import type { Stranger } from './let-in.ts';
import type { ListenerHost } from './listener-host.ts';
import type { Peers } from './peers.ts';
import type { Shares } from './shares.ts';
import type { Visit } from './visit.ts';

export interface ServiceOptions {
  readonly host: ListenerHost;
  readonly shares: Shares;
  readonly peers: Peers;
  /** Absent where nothing can be offered. */
  readonly inbox: Inbox | undefined;
  readonly continuations: Continuations;
  /** A peer has changed something in a share. */
  readonly changed: (peer: PeerInfo, change: Change, changed: Changed) => void;
}

export class Service {
  readonly #options: ServiceOptions;
  #isTesting = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Opens the session of somebody who was let in. `login`: who answers when it says which user it is, where users log in. */
  open(
    { channel, keys, key }: Stranger,
    peer: PeerInfo,
    visit: Visit,
    login: LoginHandler | undefined,
  ): Connection {
    const { host, shares, peers, inbox, continuations } = this.#options;
    const { identity, settings, pool, limiter } = host;
    const connection: Connection = new Connection({
      channel,
      keys,
      identity,
      peer,
      peerKey: key,
      pool,
      limiter,
      maxRecords: settings.lane.maxRecords,
      receiptFiles: settings.receiptFiles,
      keepAlive: settings.keepAlive,
      handlers: {
        list: (path) => shares.entries(path, visit.visitor),
        change: (change) => this.#change(connection, change, visit),
        speed: () => this.#allowTest(connection.peer),
        get: ({ paths }) => shares.source(paths, visit.visitor),
        put: ({ transfer, continues, target, roots, existing, durable, dryRun, trustMtime, verify }) => {
          const place = shares.target(
            target,
            roots,
            existing,
            {
              durable: durable ?? false,
              dryRun: dryRun ?? false,
              trustMtime: trustMtime ?? false,
              verify: verify ?? false,
              reserve: settings.freeSpaceReserve,
              protectedFolder: undefined,
              rules: undefined,
              earlier: NO_EARLIER_PART,
            },
            visit.visitor,
          );
          const earlier = continuations.take(continues, transfer, peer.fingerprint, boxOf(place));
          return { ...place, earlier };
        },
        ...(login && { login }),
        offer: (offer) => {
          if (inbox) inbox.take(offer, connection.peer, visit.isKnown);
          else offer.refuse('NOT_ALLOWED', 'nothing can be offered where a code is waited for');
        },
        supersede: (transfer) => peers.supersede(transfer, peer.fingerprint),
      },
    });
    return connection;
  }

  #change(connection: Connection, change: Change, visit: Visit): Changed {
    const { host, shares } = this.#options;
    const changed = shares.change(change, visit.visitor);
    host.recorder.changed(connection, change, changed);
    this.#options.changed(connection.peer, change, changed);
    return changed;
  }

  /** Bytes for nothing are for those whom somebody trusts, one at a time. Throws NOT_ALLOWED, BUSY. */
  #allowTest(peer: PeerInfo): SpeedPermit {
    const { bytes, time } = this.#options.host.settings.speedTest;
    if (bytes === 0) throw errorOf('NOT_ALLOWED', 'its setting speedTest.bytes is 0');
    if (!peer.trusted && peer.user === undefined)
      throw errorOf('NOT_ALLOWED', 'it tests with trusted keys and users only');
    if (this.#isTesting) throw errorOf('BUSY', 'it is being tested by another peer');
    this.#isTesting = true;
    const done = () => {
      this.#isTesting = false;
    };
    return { bytes, milliseconds: time, done };
  }
}
