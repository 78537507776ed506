/**
 * Bounds on those who have not proven anything yet: how many there are at once, and how often they come. They have
 * their own, so that they never take the place of a peer.
 */

/** What there is of a connection that can be ended. */
interface Ended {
  destroy(): void;
}

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

/** One connection whose other end is not known yet. */
export interface Stranger {
  readonly address: string;
  readonly socket: Ended;
}

/** Addresses whose rate is remembered. */
const MOST_ADDRESSES = 10_000;

export class Strangers {
  readonly #bounds: StrangerBounds;
  readonly #all = new Set<Stranger>();
  readonly #byAddress = new Map<string, Set<Stranger>>();
  readonly #rate: Bucket;
  readonly #rates = new Map<string, Bucket>();

  constructor(bounds: StrangerBounds) {
    this.#bounds = bounds;
    this.#rate = { tokens: 2 * bounds.perSecond, at: performance.now() };
  }

  /** How many there are. */
  get count(): number {
    return this.#all.size;
  }

  /**
   * Takes a new connection in, or not. Where there is no room the one that has taken longest goes: a sound handshake
   * lasts milliseconds, so the oldest is the likeliest to be none.
   */
  admit(socket: Ended, address: string, isPeers: boolean): Stranger | undefined {
    if (!this.#spend(address, isPeers)) return undefined;
    const same = this.#byAddress.get(address) ?? new Set<Stranger>();
    if (same.size >= this.#bounds.handshakesPerAddress) this.#drop(same);
    if (this.#all.size >= this.#bounds.handshakes) this.#drop(this.#all);
    const stranger = { address, socket };
    this.#all.add(stranger);
    // Dropping the last one of an address forgets its set.
    const set = this.#byAddress.get(address) ?? same;
    this.#byAddress.set(address, set.add(stranger));
    return stranger;
  }

  /** It has proven itself, or has gone. May be called again. */
  release(stranger: Stranger): void {
    this.#all.delete(stranger);
    const same = this.#byAddress.get(stranger.address);
    same?.delete(stranger);
    if (same?.size === 0) this.#byAddress.delete(stranger.address);
  }

  /** Ends all of them. */
  close(): void {
    for (const stranger of [...this.#all]) this.#end(stranger);
  }

  /** Where a peer is connected from, lanes come from too: only the bound for all holds there. */
  #spend(address: string, isPeers: boolean): boolean {
    const { perSecond, perSecondPerAddress } = this.#bounds;
    const own = this.#rates.get(address) ?? { tokens: 2 * perSecondPerAddress, at: performance.now() };
    // Used again: it moves behind those that are forgotten first.
    this.#rates.delete(address);
    this.#rates.set(address, own);
    if (this.#rates.size > MOST_ADDRESSES) {
      const [oldest] = this.#rates.keys();
      if (oldest !== undefined) this.#rates.delete(oldest);
    }
    refill(own, perSecondPerAddress);
    refill(this.#rate, perSecond);
    if ((own.tokens < 1 && !isPeers) || this.#rate.tokens < 1) return false;
    own.tokens = Math.max(0, own.tokens - 1);
    this.#rate.tokens -= 1;
    return true;
  }

  /** Ends the one that came first. */
  #drop(strangers: ReadonlySet<Stranger>): void {
    for (const oldest of strangers) {
      this.#end(oldest);
      return;
    }
  }

  #end(stranger: Stranger): void {
    this.release(stranger);
    stranger.socket.destroy();
  }
}

function refill(bucket: Bucket, perSecond: number): void {
  const now = performance.now();
  bucket.tokens = Math.min(2 * perSecond, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
  bucket.at = now;
}
