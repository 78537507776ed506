/**
 * Sessions with peers whose keys are trusted: who is forgotten, here or by another process of this home, is out at once
 * with what is running, and other rights count from then on.
 */
import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, type LocalstreamError } from '../errors.ts';
import type { PeerRights } from '../store/peer-rights.ts';
import type { TrustStore } from '../store/trust-store.ts';

/** A session as it is looked after. */
export interface TrustedSession {
  readonly fingerprint: Fingerprint;
  /** Its key was trusted when it began. */
  readonly trusted: boolean;
  /** Its rights as they are now. */
  update?(rights: PeerRights): void;
  /** May not stay. */
  end(reason: LocalstreamError): void;
}

export class TrustedSessions {
  readonly #trust: TrustStore;
  /** With whether the key has been trusted since the session began. */
  readonly #sessions = new Map<TrustedSession, boolean>();
  #unfollow: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  #again = false;

  constructor(trust: TrustStore) {
    this.#trust = trust;
  }

  /** Looks after a session from now on. What it returns ends that. */
  follow(session: TrustedSession): () => void {
    this.#sessions.set(session, session.trusted);
    this.#unfollow ??= this.#trust.follow(() => this.#look());
    // It may have been forgotten while it came in.
    this.#look();
    return () => {
      this.#sessions.delete(session);
      if (this.#sessions.size > 0) return;
      this.#unfollow?.();
      this.#unfollow = undefined;
    };
  }

  #look(): void {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = this.#compare().finally(() => {
      this.#looking = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#look();
    });
  }

  async #compare(): Promise<void> {
    const peers = await this.#trust.list().catch(() => undefined);
    // Trust that can't be read for now is not taken back.
    if (peers === undefined) return;
    const known = new Map(peers.map((peer) => [peer.fingerprint, peer.rights]));
    for (const [session, wasTrusted] of [...this.#sessions]) {
      const rights = known.get(session.fingerprint);
      if (rights !== undefined) {
        this.#sessions.set(session, true);
        session.update?.(rights);
      } else if (wasTrusted) session.end(errorOf('REJECTED', 'the key is trusted no more'));
    }
  }
}
