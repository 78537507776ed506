/** A server whose key a pairing code vouches for: whoever knows the words on this very connection is the one that is meant. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import type { TrustQuestion } from '../session/introduce.ts';
import type { TypedCode } from '../session/pair.ts';
import type { TrustedPeer, TrustStore } from '../store/trust-store.ts';

export class CodeTrust {
  /** Nobody is asked. */
  readonly asks = false;
  readonly #trust: TrustStore;
  readonly #pairing: TypedCode;
  #known: TrustedPeer | undefined;

  constructor(trust: TrustStore, pairing: TypedCode) {
    this.#trust = trust;
    this.#pairing = pairing;
  }

  /** The name under which its key is pinned. */
  get name(): string | undefined {
    return this.#known?.name;
  }

  /** Its key is pinned. */
  get trusted(): boolean {
    return this.#known !== undefined;
  }

  /** Any key will do until the code is proven, before which nothing is told to its holder. */
  async check(fingerprint: Fingerprint): Promise<void> {
    this.#known = await this.#trust.get(fingerprint);
  }

  /** The code was proven. Only one that was given for pairing makes the key trusted. */
  async decide({ fingerprint, claimedName }: TrustQuestion): Promise<void> {
    if (this.#pairing.purpose !== 'pair') return;
    this.#known = await this.#trust.trust({ fingerprint, name: claimedName, how: 'paired' });
  }
}
