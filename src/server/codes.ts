/** The pairing codes that are open on a listener. Each is good once, for one guess, and for a while. */
import { randomInt } from 'node:crypto';
import type { SessionKeys } from '../crypto/exchange.ts';
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { PairingPurpose } from '../crypto/pairing.ts';
import { newPairingCode, type PairingCode, pairingCodeText } from '../crypto/pairing-code.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import type { PairRequest } from '../protocol/messages.ts';
import { checkCode } from '../session/pair.ts';
import type { PeerInfo } from '../session/report.ts';

/** Codes to be opened with a listener. */
export interface CodeOptions {
  readonly purpose: PairingPurpose;
  /** How many, 1 by default; each lets one peer in. */
  readonly count?: number;
  /** How long they are good, in milliseconds; 10 minutes by default. */
  readonly lifetime?: number;
}

/** A code that was opened. */
export interface OpenCode {
  /** `7-nebula-duffel`, to be told to one person. */
  readonly text: string;
  /** Its public part. */
  readonly nameplate: number;
  readonly expires: Date;
  /** The peer that came in by it. Rejects with WRONG_CODE, TIMEOUT, SHUTTING_DOWN, or why the peer did not come in. */
  readonly used: Promise<PeerInfo>;
}

/** Who names a code, and on which connection. */
export interface Claimant {
  readonly channel: ControlChannel;
  readonly keys: SessionKeys;
  readonly fingerprint: Fingerprint;
}

/** A stranger has shown that it knows a code, which is spent by that. */
export interface Claim {
  readonly purpose: PairingPurpose;
  /** It is in. */
  grant(peer: PeerInfo): void;
  /** It did not come in after all. */
  fail(error: LocalstreamError): void;
}

const LIFETIME = 10 * 60_000;
/** Short enough to be said, and seldom the same on two machines. */
const MOST_NAMEPLATE = 999;
/** The most codes of a listener. */
const MOST_CODES = 100;

interface Live {
  readonly code: PairingCode;
  readonly used: PromiseWithResolvers<PeerInfo>;
  readonly timer: NodeJS.Timeout;
  /** By `performance.now()`. */
  readonly expires: number;
  readonly expire: () => void;
  busy: boolean;
}

export class Codes {
  readonly purpose: PairingPurpose;
  /** As they were opened. */
  readonly list: readonly OpenCode[];
  /** Settles when none is good any more. */
  readonly over: Promise<void>;
  readonly #over = Promise.withResolvers<void>();
  readonly #live = new Map<number, Live>();

  /** @throws USAGE. */
  constructor({ purpose, count = 1, lifetime = LIFETIME }: CodeOptions) {
    if (!Number.isInteger(count) || count < 1 || count > MOST_CODES)
      throw errorOf('USAGE', `from 1 to ${MOST_CODES} codes can be open at once`);
    this.purpose = purpose;
    this.over = this.#over.promise;
    this.list = Array.from({ length: count }, () => this.#open(lifetime));
  }

  /**
   * Answers a stranger who names a code.
   * @throws WRONG_CODE for a code that is not open or that it does not know, BUSY while somebody else tries.
   */
  async claim(claimant: Claimant, own: Fingerprint, request: PairRequest): Promise<Claim> {
    const live = this.#live.get(request.nameplate);
    if (live === undefined) throw errorOf('WRONG_CODE');
    if (live.busy) throw errorOf('BUSY', 'somebody else tries this code');
    live.busy = true;
    let isSpent = false;
    const { channel, keys, fingerprint } = claimant;
    const input = { ...live.code, purpose: this.purpose, fpC: fingerprint, fpS: own, key: keys.pairing };
    try {
      await checkCode(channel, request, input, () => {
        isSpent = true;
      });
    } catch (error) {
      if (isSpent)
        live.used.reject(
          errorOf('WRONG_CODE', 'somebody tried the code and did not know it: it is good no more', {
            cause: error,
          }),
        );
      throw error;
    } finally {
      live.busy = false;
      if (isSpent) this.#forget(live);
      else if (live.expires <= performance.now()) live.expire();
    }
    return {
      purpose: this.purpose,
      grant: (peer) => live.used.resolve(peer),
      fail: (error) => live.used.reject(error),
    };
  }

  /** Ends all that are left. */
  close(): void {
    for (const live of [...this.#live.values()]) {
      this.#forget(live);
      live.used.reject(errorOf('SHUTTING_DOWN'));
    }
  }

  #open(lifetime: number): OpenCode {
    let nameplate = randomInt(1, MOST_NAMEPLATE + 1);
    while (this.#live.has(nameplate)) nameplate = randomInt(1, MOST_NAMEPLATE + 1);
    const code = newPairingCode(nameplate);
    const used = Promise.withResolvers<PeerInfo>();
    // Whoever wants to know looks at it; nobody has to.
    used.promise.catch(() => {});
    const expire = () => {
      // A run that is under way either spends it or finds that its time is over.
      if (live.busy) return;
      this.#forget(live);
      used.reject(errorOf('TIMEOUT', 'nobody used the code in time'));
    };
    const timer = setTimeout(expire, lifetime).unref();
    const live: Live = { code, used, timer, expires: performance.now() + lifetime, expire, busy: false };
    this.#live.set(nameplate, live);
    const expires = new Date(Date.now() + lifetime);
    return { text: pairingCodeText(code), nameplate, expires, used: used.promise };
  }

  #forget(live: Live): void {
    clearTimeout(live.timer);
    this.#live.delete(live.code.nameplate);
    if (this.#live.size === 0) this.#over.resolve();
  }
}
