/**
 * Bounds on those who have not proven anything yet: how many there are at once, and how often they come. They have
 * their own, so that they never take the place of a peer.
 */
import type { Socket } from 'node:net';

export interface StrangerBounds {
  /** Handshakes under way, in all and from one address. */
  readonly handshakes: number;
  readonly handshakesPerAddress: number;
  /** New connections a second, in all and from one address; twice as many may come at once. */
  readonly perSecond: number;
  readonly perSecondPerAddress: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Addresses whose rate is remembered. */
const MOST_ADDRESSES = 10_000;

export class Strangers {
  readonly #bounds: StrangerBounds;
  readonly #sockets = new Set<Socket>();
  readonly #byAddress = new Map<string, Set<Socket>>();
  readonly #all: Bucket;
  readonly #buckets = new Map<string, Bucket>();

  constructor(bounds: StrangerBounds) {
    this.#bounds = bounds;
    this.#all = { tokens: 2 * bounds.perSecond, at: performance.now() };
  }

  /** Handshakes under way. */
  get count(): number {
    return this.#sockets.size;
  }

  /**
   * Takes a new connection in, or not. Where there is no room the one that has taken longest goes: a sound handshake
   * lasts milliseconds, so the oldest is the likeliest to be none.
   */
  admit(socket: Socket, address: string): boolean {
    if (!this.#spend(address)) return false;
    const same = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, same);
    if (same.size >= this.#bounds.handshakesPerAddress) drop(same);
    if (this.#sockets.size >= this.#bounds.handshakes) drop(this.#sockets);
    this.#sockets.add(socket);
    same.add(socket);
    socket.once('close', () => this.release(socket, address));
    return true;
  }

  /** It has proven itself, or has gone. */
  release(socket: Socket, address: string): void {
    this.#sockets.delete(socket);
    const same = this.#byAddress.get(address);
    same?.delete(socket);
    if (same?.size === 0) this.#byAddress.delete(address);
  }

  /** Ends all of them. */
  close(): void {
    for (const socket of [...this.#sockets]) socket.destroy();
  }

  #spend(address: string): boolean {
    const own = this.#buckets.get(address) ?? {
      tokens: 2 * this.#bounds.perSecondPerAddress,
      at: performance.now(),
    };
    // Used again: it moves behind those that are forgotten first.
    this.#buckets.delete(address);
    this.#buckets.set(address, own);
    if (this.#buckets.size > MOST_ADDRESSES) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    refill(own, this.#bounds.perSecondPerAddress);
    refill(this.#all, this.#bounds.perSecond);
    if (own.tokens < 1 || this.#all.tokens < 1) return false;
    own.tokens -= 1;
    this.#all.tokens -= 1;
    return true;
  }
}

function refill(bucket: Bucket, perSecond: number): void {
  const now = performance.now();
  bucket.tokens = Math.min(2 * perSecond, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
  bucket.at = now;
}

/** Destroys the one that came first. */
function drop(sockets: ReadonlySet<Socket>): void {
  for (const socket of sockets) {
    socket.destroy();
    return;
  }
}
