/** Who somebody is in a session: nobody until a login where the listener asks for one, with the rights of this moment. */
import type { Grant } from '../auth/user-store.ts';
import { errorOf } from '../errors.ts';
import type { PeerRights } from '../store/peer-rights.ts';
import { peerVisitor, type Visitor } from './access.ts';

/** How a listener lets peers in: everybody, those whose key is trusted or that a person lets in, or users by password. */
export const AUTHS = ['none', 'trusted', 'password'] as const;
/** How a listener lets peers in. */
export type Auth = (typeof AUTHS)[number];

export class Visit {
  #visitor: Visitor | undefined;

  /** `rights`: those of the key; where users log in, theirs count instead. */
  constructor(auth: Auth, rights: PeerRights) {
    this.#visitor = auth === 'password' ? undefined : peerVisitor(rights);
  }

  /** The rights of the key have changed. */
  mayNow(rights: PeerRights): void {
    if (this.#visitor !== undefined && this.#visitor.kind !== 'user') this.#visitor = peerVisitor(rights);
  }

  /** Whether there is anybody yet. */
  get isKnown(): boolean {
    return this.#visitor !== undefined;
  }

  /** Throws NOT_ALLOWED before the login. */
  get visitor(): Visitor {
    if (this.#visitor) return this.#visitor;
    throw errorOf(
      'NOT_ALLOWED',
      'this server wants a user to log in first: USER@HOST, or in the shell login USER',
    );
  }

  /** A user is in, or has other rights than before. */
  become(name: string, grants: readonly Grant[]): void {
    this.#visitor = { kind: 'user', name, grants };
  }
}
