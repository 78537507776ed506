/** A relay in front of a server, so that what crosses is counted by neither of the two ends. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes on the wire so far: file bytes and what TLS and the protocol add. */
export interface Crossed {
  /** Towards the server. */
  up: number;
  /** From the server. */
  down: number;
}

export class Relay implements AsyncDisposable {
  readonly crossed: Crossed = { up: 0, down: 0 };
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Listens on the loopback and passes everything on to another port of it. */
  static async start(target: number): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the port is not known');
    const relay = new Relay(server, address.port);
    server.on('connection', (near) => {
      const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
      relay.#join(near, far, 'up');
      relay.#join(far, near, 'down');
    });
    return relay;
  }

  /** Passes one direction on, no faster than it is taken, and the end of either side, however it ends. */
  #join(source: Socket, sink: Socket, direction: keyof Crossed): void {
    this.#sockets.add(source);
    source.setNoDelay(true);
    source.on('data', (bytes: Buffer) => {
      this.crossed[direction] += bytes.length;
      if (sink.write(bytes)) return;
      source.pause();
      sink.once('drain', () => source.resume());
    });
    source.on('end', () => sink.end());
    source.on('error', () => {});
    source.on('close', () => {
      this.#sockets.delete(source);
      sink.destroy();
    });
  }

  /** Breaks every connection; new ones are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
