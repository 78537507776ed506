/** A dialler that says whatever a test wants, at whatever step. */
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
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
import type { RawMessage } from '../../src/protocol/control-codec.ts';
import {
  type FrameHeader,
  type FrameType,
  HEADER_BYTES,
  makeFrame,
  readHeader,
} from '../../src/protocol/frame.ts';
import { dialHandshake, type HandshakeChannel } from '../../src/protocol/handshake.ts';
import { writeLaneRequest } from '../../src/protocol/lane-proof.ts';
import { ALPN, CONTROL_PREFACE, LANE_PREFACE } from '../../src/protocol/limits.ts';
import { identities } from '../crypto/fixed.ts';

/** A message as it came, with whatever fields it has. */
export type Loose = Readonly<Record<string, unknown>> & { readonly type?: string };

/** Bytes of a socket, read as a test wants them. */
export class Reader {
  readonly socket: TLSSocket;
  /** Everything that was decrypted. */
  readonly all: Buffer[] = [];
  #held = Buffer.alloc(0);
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.all.push(chunk);
      this.#held = Buffer.concat([this.#held, chunk]);
      this.#stir();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#stir();
    });
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Exactly that many bytes; undefined when the connection ends before. */
  async exactly(length: number): Promise<Buffer | undefined> {
    while (this.#held.length < length) {
      if (this.#ended) return undefined;
      await this.#wake.promise;
    }
    const bytes = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return bytes;
  }

  /** Resolves when the connection has ended. */
  async ended(): Promise<void> {
    while (!this.#ended) await this.#wake.promise;
  }

  get isOver(): boolean {
    return this.#ended;
  }
}

/** TLS to a listener, with whatever options a test wants to be different. */
export async function dialTls(
  port: number,
  identity: Identity | undefined,
  extra: ConnectionOptions = {},
): Promise<Reader> {
  const socket = connect({
    ...contextOptions(identity),
    host: '127.0.0.1',
    port,
    servername: '',
    ALPNProtocols: [ALPN],
    rejectUnauthorized: false,
    ...extra,
  });
  const reader = new Reader(socket);
  await once(socket, 'secureConnect');
  return reader;
}

/** One control connection. */
export class RawControl {
  readonly reader: Reader;
  readonly identity: Identity;
  sent = 0;

  constructor(reader: Reader, identity: Identity) {
    this.reader = reader;
    this.identity = identity;
  }

  get socket(): TLSSocket {
    return this.reader.socket;
  }

  /** Sends a message with the number that is due, unless it has one. Returns its body. */
  send(message: object): Buffer {
    const body = Buffer.from(JSON.stringify({ n: this.sent, ...message }));
    this.sent += 1;
    this.sendBody(body);
    return body;
  }

  /** Sends a body, whatever it is. */
  sendBody(body: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    this.socket.write(Buffer.concat([length, body]));
  }

  /** The next message; undefined when the connection ends. */
  async next(): Promise<Loose | undefined> {
    return (await this.raw())?.value as Loose | undefined;
  }

  async raw(): Promise<RawMessage | undefined> {
    const length = await this.reader.exactly(4);
    const bytes = length && (await this.reader.exactly(length.readUInt32BE(0)));
    return bytes && { bytes, value: JSON.parse(bytes.toString()) };
  }

  /** The next message that is none of `ping`. */
  async after(...skipped: string[]): Promise<Loose | undefined> {
    for (;;) {
      const message = await this.next();
      if (message?.type === undefined || !['ping', ...skipped].includes(message.type)) return message;
    }
  }

  /** What the handshake sends and receives by. */
  channel(): HandshakeChannel {
    return {
      send: (message) => this.send(message),
      receive: async () => {
        const message = await this.raw();
        if (message === undefined) throw new Error('the connection has ended');
        return message;
      },
    };
  }

  /** Runs the handshake as it should be. */
  async handshake(): Promise<SessionKeys> {
    const { key, fingerprint } = this.server();
    const exporter = sessionExporter(exportSecret(this.socket, SESSION_EXPORTER_LABEL));
    const { identity } = this;
    const input = { identity, exporter, peerKey: key, peerFingerprint: fingerprint };
    return await dialHandshake(this.channel(), input);
  }

  #server: ReturnType<typeof checkPeer> | undefined;
  /** The server's certificate; Node hands it out once. */
  server(): ReturnType<typeof checkPeer> {
    this.#server ??= checkPeer(this.socket);
    return this.#server;
  }
}

/** TLS and the preface. */
export async function dialControl(port: number, identity: Identity = identities.alice): Promise<RawControl> {
  const reader = await dialTls(port, identity);
  reader.socket.write(CONTROL_PREFACE);
  return new RawControl(reader, identity);
}

/** A session that was let in. */
export interface RawSession {
  readonly control: RawControl;
  readonly keys: SessionKeys;
  readonly port: number;
}

/** Everything up to the admission of both sides. */
export async function dialSession(port: number, identity: Identity = identities.alice): Promise<RawSession> {
  const control = await dialControl(port, identity);
  const keys = await control.handshake();
  control.send({ type: 'introduce', name: 'raw', waiting: false });
  await control.next();
  control.send({ type: 'admit' });
  const admit = await control.next();
  if (admit?.type !== 'admit') throw new Error(`not let in: ${JSON.stringify(admit)}`);
  return { control, keys, port };
}

/** A frame as it came. */
export interface RawFrame {
  readonly header: FrameHeader;
  readonly payload: Buffer;
}

/** One lane: frames with any numbers. */
export class RawLane {
  readonly reader: Reader;
  sent = 0;

  constructor(reader: Reader) {
    this.reader = reader;
  }

  /** Sends a frame with the sequence number that is due, unless it is given one. */
  frame(type: FrameType | number, payload: Uint8Array, at: Partial<FrameHeader> = {}): void {
    const frame = makeFrame(type as FrameType, payload, at);
    frame.writeUInt32BE(at.sequence ?? this.sent, 8);
    this.sent += 1;
    this.reader.socket.write(frame);
  }

  async next(): Promise<RawFrame | undefined> {
    const head = await this.reader.exactly(HEADER_BYTES);
    if (head === undefined) return undefined;
    const header = readHeader(head, 2 ** 23);
    const payload = await this.reader.exactly(header.length);
    return payload && { header, payload };
  }
}

/** Opens a lane; `change` spoils the request, `identity` shows a certificate. */
export async function dialLane(
  session: Pick<RawSession, 'keys' | 'port'>,
  number: number,
  change: (request: Buffer) => Buffer = (request) => request,
  identity?: Identity,
): Promise<RawLane> {
  const reader = await dialTls(session.port, identity);
  const exporter = laneExporter(exportSecret(reader.socket, LANE_EXPORTER_LABEL));
  const { keys } = session;
  const proof = laneProof('c', keys, exporter, keys.id, number);
  const request = writeLaneRequest({ id: keys.id, number, proof });
  reader.socket.write(Buffer.concat([Buffer.from(LANE_PREFACE), change(request)]));
  const answer = await reader.exactly(32);
  if (answer === undefined) throw new Error('the lane was refused');
  if (!answer.equals(laneProof('s', keys, exporter, keys.id, number)))
    throw new Error('the lane was not proven');
  return new RawLane(reader);
}

/** Some transfer id. */
export function transferId(number = 1): string {
  return number.toString(16).padStart(32, '0');
}
