/** The peers that are in: the connection of each, the lanes that come for it, and what becomes of its transfers. */
import type { TLSSocket } from 'node:tls';
import { LANE_EXPORTER_LABEL, laneExporter, laneProof, sameBytes } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import { exportSecret } from '../net/tls.ts';
import type { LaneRequest } from '../protocol/lane-proof.ts';
import type { Connection } from '../session/connection.ts';
import type { Continuations } from '../session/continuations.ts';
import type { Recorder } from '../session/recorder.ts';
import type { PeerInfo, Receipt, TransferInfo } from '../session/report.ts';

export interface PeersHost {
  /** Of the listener. */
  readonly port: number;
  readonly recorder: Recorder;
  readonly continuations: Continuations;
}

/** What is told of them. */
export interface PeersEvents {
  entered(peer: PeerInfo): void;
  left(peer: PeerInfo, reason: LocalstreamError): void;
  /** A transfer has begun. */
  begun(transfer: TransferInfo): void;
  /** Running transfers, now and then. */
  progress(transfer: TransferInfo): void;
  done(receipt: Receipt): void;
  failed(transfer: TransferInfo, error: LocalstreamError): void;
}

/** How often running transfers are told of, in milliseconds. */
const PROGRESS_EVERY = 250;

export class Peers {
  readonly #host: PeersHost;
  readonly #events: PeersEvents;
  readonly #connections = new Map<string, Connection>();
  /** Told of each that comes in. */
  readonly #awaiting = new Set<(connection: Connection) => void>();
  #progress: NodeJS.Timeout | undefined;

  constructor(host: PeersHost, events: PeersEvents) {
    this.#host = host;
    this.#events = events;
  }

  get list(): readonly PeerInfo[] {
    return [...this.#connections.values()].map((connection) => connection.peer);
  }

  get transfers(): readonly TransferInfo[] {
    return [...this.#connections.values()].flatMap(({ transfers }) =>
      transfers.map((transfer) => transfer.info()),
    );
  }

  /** By {@link PeerInfo.id}. */
  get(id: string): Connection | undefined {
    return this.#connections.get(id);
  }

  /** One is in. `leave` is called when it is so no more. */
  enter(connection: Connection, leave: (reason: LocalstreamError) => void): void {
    const { peer } = connection;
    const { recorder, port, continuations } = this.#host;
    this.#connections.set(peer.id, connection);
    recorder.follow(connection, 'server', port);
    connection.on('transfer', (transfer) => {
      this.#events.begun(transfer.info());
      this.#watch();
    });
    connection.on('settled', (transfer, _, names) => {
      if (transfer.direction === 'receive') continuations.note(transfer, peer.fingerprint, names);
    });
    connection.on('over', (transfer, result) => {
      if (result instanceof LocalstreamError) {
        this.#events.failed(transfer.info(), result);
        return;
      }
      // A sender that never got its receipt comes back with all of it.
      if (transfer.isAcknowledged) continuations.forget(transfer.id);
      this.#events.done(result);
    });
    void connection.ended.then((reason) => {
      this.#connections.delete(peer.id);
      leave(reason);
      this.#events.left(peer, reason);
    });
    this.#events.entered(peer);
    for (const look of this.#awaiting) look(connection);
  }

  /** Hands over the connection of whoever has this key, as soon as there is one. What it returns ends that. */
  whenBack(fingerprint: Fingerprint, take: (connection: Connection) => void): () => void {
    const look = (connection: Connection) => {
      if (connection.peer.fingerprint === fingerprint) take(connection);
    };
    this.#awaiting.add(look);
    for (const connection of this.#connections.values()) look(connection);
    return () => void this.#awaiting.delete(look);
  }

  /** A lane is opened. Whether the session, the number or the proof was wrong is nobody's business: one error for all. */
  addLane(socket: TLSSocket, request: LaneRequest, known: () => void): void {
    const refused = () => errorOf('BAD_HANDSHAKE', 'a lane could not be proven');
    const connection = this.#connections.get(request.id.toString('hex'));
    if (!connection) throw refused();
    const exporter = laneExporter(exportSecret(socket, LANE_EXPORTER_LABEL));
    const { keys } = connection;
    if (!sameBytes(request.proof, laneProof('c', keys, exporter, keys.id, request.number))) throw refused();
    const transfer = connection.claimLane(request.number);
    if (!transfer) throw refused();
    known();
    socket.write(laneProof('s', keys, exporter, keys.id, request.number));
    transfer.addLane(socket, request.number);
  }

  /** A peer is back and goes on with a transfer whose old connection may still look alive here. */
  async supersede(transfer: string, fingerprint: Fingerprint): Promise<void> {
    for (const connection of this.#connections.values()) {
      if (connection.peer.fingerprint !== fingerprint) continue;
      if (connection.transfers.some(({ id }) => id === transfer))
        await connection.close(errorOf('LOST', 'the peer came back by another connection'));
    }
  }

  /** Ends the sessions of all. */
  async close(): Promise<void> {
    const connections = [...this.#connections.values()];
    await Promise.allSettled(connections.map((connection) => connection.close(errorOf('SHUTTING_DOWN'))));
  }

  /** Tells of progress while there is any. */
  #watch(): void {
    this.#progress ??= setInterval(() => {
      const running = this.transfers;
      for (const transfer of running) this.#events.progress(transfer);
      if (running.length > 0) return;
      clearInterval(this.#progress);
      this.#progress = undefined;
    }, PROGRESS_EVERY).unref();
  }
}
