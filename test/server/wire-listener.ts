/** A listener that says whatever a test wants, to our dialler. */
import { once } from 'node:events';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import type { TestContext } from 'node:test';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import {
  LANE_EXPORTER_LABEL,
  laneExporter,
  laneProof,
  SESSION_EXPORTER_LABEL,
  type SessionKeys,
  sessionExporter,
} from '../../src/crypto/exchange.ts';
import type { Identity } from '../../src/crypto/identity.ts';
import { checkPeer, contextOptions, exportSecret } from '../../src/net/tls.ts';
import { answerHandshake } from '../../src/protocol/handshake.ts';
import { LANE_REQUEST_BYTES, readLaneRequest } from '../../src/protocol/lane-proof.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE, PREFACE_BYTES } from '../../src/protocol/limits.ts';
import { RawControl, RawLane, Reader } from './wire-dialler.ts';
import { afterwards } from './wire-machines.ts';

/** One connection as it came. */
export class RawAccepted extends RawControl {
  #keys: SessionKeys | undefined;

  get keys(): SessionKeys {
    if (!this.#keys) throw new Error('no session');
    return this.#keys;
  }

  /** The listener's side of the handshake, as it should be; the preface is read first. */
  override async handshake(capabilities?: readonly string[]): Promise<SessionKeys> {
    const preface = await this.reader.exactly(PREFACE_BYTES);
    if (preface?.toString() !== CONTROL_PREFACE) throw new Error(`the preface is ${preface}`);
    const { key, fingerprint } = checkPeer(this.socket);
    const exporter = sessionExporter(exportSecret(this.socket, SESSION_EXPORTER_LABEL));
    const { identity } = this;
    const input = {
      identity,
      exporter,
      peerKey: key,
      peerFingerprint: fingerprint,
      ...(capabilities && { capabilities }),
    };
    this.#keys = await answerHandshake(this.channel(), input);
    return this.#keys;
  }

  /** Everything up to the admission of both sides. */
  async session(capabilities?: readonly string[]): Promise<void> {
    await this.handshake(capabilities);
    this.send({ type: 'introduce', name: 'raw', waiting: false });
    await this.next();
    this.send({ type: 'admit' });
    const admit = await this.next();
    if (admit?.type !== 'admit') throw new Error(`not let in: ${JSON.stringify(admit)}`);
  }

  /** Takes this connection for a lane of a session. `change` spoils the answer. */
  async lane(keys: SessionKeys, change: (answer: Buffer) => Buffer = (answer) => answer): Promise<RawLane> {
    const preface = await this.reader.exactly(PREFACE_BYTES);
    if (preface?.toString() !== LANE_PREFACE) throw new Error(`the preface is ${preface}`);
    const bytes = await this.reader.exactly(LANE_REQUEST_BYTES);
    if (bytes === undefined) throw new Error('no request for a lane');
    const exporter = laneExporter(exportSecret(this.socket, LANE_EXPORTER_LABEL));
    this.socket.write(change(laneProof('s', keys, exporter, keys.id, readLaneRequest(bytes).number)));
    return new RawLane(this.reader);
  }
}

export class RawListener {
  readonly port: number;
  /** All connections, in their order. */
  readonly accepted: RawAccepted[] = [];
  /** TCP connections that have ended, whether TLS stood or not. */
  ended = 0;
  #taken = 0;
  #wake = Promise.withResolvers<void>();

  private constructor(port: number) {
    this.port = port;
  }

  /** Opens it; it goes with the test. */
  static async open(t: TestContext, identity: Identity, options: TlsOptions = {}): Promise<RawListener> {
    const server = createServer({
      ...contextOptions(identity),
      ALPNProtocols: [ALPN],
      requestCert: true,
      rejectUnauthorized: false,
      ...options,
    });
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const listener = new RawListener((server.address() as AddressInfo).port);
    server.on('connection', (socket: Socket) =>
      socket.once('close', () => {
        listener.ended += 1;
      }),
    );
    server.on('secureConnection', (socket: TLSSocket) => {
      listener.accepted.push(new RawAccepted(new Reader(socket), identity));
      listener.#wake.resolve();
      listener.#wake = Promise.withResolvers<void>();
    });
    afterwards(t, () => {
      for (const { socket } of listener.accepted) socket.destroy();
      server.close();
    });
    return listener;
  }

  /** The next connection that nobody took. */
  async next(): Promise<RawAccepted> {
    for (;;) {
      const connection = this.accepted[this.#taken];
      if (connection) {
        this.#taken += 1;
        return connection;
      }
      await this.#wake.promise;
    }
  }
}

/** A TCP server that does something with each connection; it goes with the test. */
export async function tcpServer(t: TestContext, handle: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: TcpServer = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterwards(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
