/** One interface in one IP family: the socket on the multicast group, and nothing that came from elsewhere. */
import { createSocket, type Socket } from 'node:dgram';
import { isFromLink, type LanInterface } from './interfaces.ts';
import { type Message, readMessage } from './message.ts';

const PORT = 5353;
const GROUPS = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;
const HOPS = 255;
/**
 * Messages that are looked at in one slice of time; what is above that is a flood, and left unread. Announcements and
 * answers come again.
 */
const MOST_IN_SLICE = 200;
const SLICE_MILLISECONDS = 100;

/** What a link does with what it hears. */
export interface LinkHandlers {
  readonly onMessage: (message: Message, source: string, link: Link) => void;
  /** The socket failed while it was open; the link is of no use any more. */
  readonly onFailure: (error: Error, link: Link) => void;
}

/** Counts of packets, for those who want to know what discovery costs. */
export interface LinkCounts {
  readonly sent: number;
  readonly received: number;
  readonly refused: number;
}

export class Link {
  readonly lan: LanInterface;
  readonly family: 4 | 6;
  readonly #socket: Socket;
  readonly #handlers: LinkHandlers;
  #sent = 0;
  #received = 0;
  #refused = 0;
  #slice = 0;
  #inSlice = 0;
  #closed = false;

  private constructor(lan: LanInterface, family: 4 | 6, socket: Socket, handlers: LinkHandlers) {
    this.lan = lan;
    this.family = family;
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('message', (bytes, { address, port }) => this.#hear(bytes, address, port));
    socket.on('error', (error) => handlers.onFailure(error, this));
  }

  /**
   * Joins the group. Port 5353 is shared with whatever other responder there is.
   *
   * @throws the system's error, where the port can't be shared or the interface has no multicast.
   */
  static async open(lan: LanInterface, family: 4 | 6, handlers: LinkHandlers): Promise<Link> {
    const socket = createSocket(
      family === 4 ? { type: 'udp4', reuseAddr: true } : { type: 'udp6', reuseAddr: true, ipv6Only: true },
    );
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('error', reject);
    // Bound to the interface's own address, Linux would deliver nothing that was sent to the group.
    socket.bind({ port: PORT, address: family === 4 ? '0.0.0.0' : '::' }, resolve);
    try {
      await promise;
      const via = family === 4 ? (lan.ipv4[0] ?? '') : `::%${lan.zone}`;
      socket.addMembership(GROUPS[family], via);
      socket.setMulticastInterface(via);
      socket.setMulticastTTL(HOPS);
      // Other programs on this machine want to hear us, and we them.
      socket.setMulticastLoopback(true);
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.removeAllListeners('error');
    return new Link(lan, family, socket, handlers);
  }

  get counts(): LinkCounts {
    return { sent: this.#sent, received: this.#received, refused: this.#refused };
  }

  /** Sends to the group. Never throws; `done` hears of a failure. */
  send(bytes: Uint8Array, done: (error: Error | null) => void = () => {}): void {
    if (this.#closed) {
      done(null);
      return;
    }
    this.#sent += 1;
    this.#socket.send(bytes, PORT, GROUPS[this.family], (error) => done(error));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.close(resolve);
    await promise;
  }

  #hear(bytes: Buffer, source: string, port: number): void {
    if (this.#closed) return;
    // Every socket on the port gets what is sent to the group on any interface, so each looks where it came from. Other
    // ports are those of simple resolvers, which want an answer to themselves alone: nothing is sent to whoever asks.
    if (port !== PORT || !isFromLink(this.lan, source) || this.#isFlood()) {
      this.#refused += 1;
      return;
    }
    const message = readMessage(bytes);
    if (message === undefined) {
      this.#refused += 1;
      return;
    }
    this.#received += 1;
    this.#handlers.onMessage(message, source, this);
  }

  #isFlood(): boolean {
    const slice = Math.floor(performance.now() / SLICE_MILLISECONDS);
    if (slice !== this.#slice) [this.#slice, this.#inSlice] = [slice, 0];
    this.#inSlice += 1;
    return this.#inSlice > MOST_IN_SLICE;
  }
}
