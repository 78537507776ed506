/** Whether a server's key is the one that is expected: the client's half of trust. */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import type { Decide, TrustQuestion } from '../session/introduce.ts';
import type { TrustedPeer, TrustStore } from '../store/trust-store.ts';
import type { Address } from './dial.ts';

export interface ServerTrustOptions {
  readonly trust: TrustStore;
  readonly address: Address;
  /** The key that is expected, as somebody has read it out. */
  readonly fingerprint?: Fingerprint | undefined;
  /** An unknown key is pinned unseen. */
  readonly acceptNew?: boolean | undefined;
  readonly decide?: Decide | undefined;
  /** Keys that were pinned unseen in this run. */
  readonly unseen: Set<Fingerprint>;
}

/** How a server came to be accepted. */
export type Standing = 'pinned' | 'another' | 'fingerprint' | 'named' | 'unknown';

export class ServerTrust {
  readonly #options: ServerTrustOptions;
  #known: TrustedPeer | undefined;
  #standing: Standing = 'unknown';

  constructor(options: ServerTrustOptions) {
    this.#options = options;
  }

  /** The name under which its key is pinned. */
  get name(): string | undefined {
    return this.#known?.name;
  }

  /** Its key is pinned. */
  get trusted(): boolean {
    return this.#known !== undefined;
  }

  /** A person is going to be asked. */
  get asks(): boolean {
    const { acceptNew, decide } = this.#options;
    if (!decide) return false;
    return this.#standing === 'another' || (this.#standing === 'unknown' && !acceptNew);
  }

  /** Looks at a key before anything is sent to its holder. Throws KEY_CHANGED, NOT_TRUSTED. */
  async check(fingerprint: Fingerprint): Promise<void> {
    const { trust, address, fingerprint: expected, acceptNew, decide } = this.#options;
    if (expected !== undefined && expected !== fingerprint)
      throw errorOf('KEY_CHANGED', `the server's key is ${fingerprint}, not ${expected} as expected`, {
        hint: 'somebody may be in the middle: compare the fingerprint on the server with `localstream identity`',
      });
    this.#known = await trust.get(fingerprint);
    const before = await trust.byAddress(address.host, address.port);
    if (this.#known) {
      const another = expected === undefined && before !== undefined && before.fingerprint !== fingerprint;
      this.#standing = another ? 'another' : 'pinned';
      // Addresses change hands; but whoever meant one peer must not send to another unawares.
      if (another && !decide)
        throw errorOf(
          'NOT_TRUSTED',
          `this is '${escapeText(this.#known.name)}', not '${escapeText(before.name)}'`,
          {
            hint: `if that is meant, add --fingerprint ${fingerprint}`,
          },
        );
      return;
    }
    if (expected !== undefined) {
      this.#standing = 'fingerprint';
      return;
    }
    // Whoever meant one of several servers of the same users meant any of them.
    const naming = await trust.namedBy(fingerprint);
    if (naming !== undefined && (before === undefined || before.fingerprint === naming.fingerprint)) {
      this.#standing = 'named';
      return;
    }
    if (before)
      throw errorOf(
        'KEY_CHANGED',
        `'${escapeText(before.name)}' has another key: it was ${before.fingerprint}, now it is ${fingerprint}`,
        {
          hint: `if the machine was set up anew, compare the new fingerprint there, then \`localstream trust ${fingerprint}\``,
        },
      );
    if (!acceptNew && !decide)
      throw errorOf('NOT_TRUSTED', `the server's key ${fingerprint} is not known here`, {
        hint: 'compare it there with `localstream identity`, then use --fingerprint, or --accept-new',
      });
  }

  /** Decides about an unknown key, once its name and the check number are known. Throws REJECTED. */
  async decide(question: TrustQuestion, signal: AbortSignal): Promise<void> {
    const { trust, address, acceptNew, decide, unseen } = this.#options;
    const { fingerprint, claimedName } = question;
    if (this.#standing === 'pinned') {
      await trust.noteAddress(fingerprint, address);
      return;
    }
    const pin = async (how: 'fingerprint' | 'accept-new' | 'confirmed') => {
      // A name that was given here is not exchanged for what the peer calls itself.
      const name = this.#known ? {} : { name: claimedName };
      this.#known = await trust.trust({ fingerprint, ...name, how, address });
    };
    if (this.#standing === 'named') return;
    if (this.#standing === 'fingerprint') return await pin('fingerprint');
    if (acceptNew && this.#standing === 'unknown') {
      unseen.add(fingerprint);
      return await pin('accept-new');
    }
    const answer = await decide?.(question, signal);
    if (answer !== 'once' && answer !== 'trust') throw errorOf('REJECTED', 'the server was not accepted');
    if (answer === 'trust') await pin('confirmed');
  }
}
