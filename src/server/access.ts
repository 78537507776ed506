/**
 * Who may do what with a share: the one table that decides. The default is nothing, and what is denied is denied
 * whatever else is given.
 */
import type { Grant, Right } from '../auth/user-store.ts';
import { EVERY_SHARE, type PeerRight, type PeerRights } from '../store/peer-rights.ts';

/** How a share is open: to read, to read and write, or to drop things into without seeing what is there. */
export type ShareMode = 'ro' | 'rw' | 'wo';
/** What a peer can ask for. */
export type Verb = 'list' | 'get' | 'put' | 'mkdir' | 'move' | 'remove';

/** Who asks. */
export type Visitor =
  /** A peer whose key is trusted, or one that a person has let in, and whoever comes to a listener that is open to all. */
  | { readonly kind: 'guest' }
  /** A peer whose key is trusted with fewer rights than the modes allow. */
  | { readonly kind: 'peer'; readonly rights: readonly PeerRight[] }
  /** A user that has logged in, with its grants and those of `*`. */
  | { readonly kind: 'user'; readonly name: string; readonly grants: readonly Grant[] };

/** Whoever was let in without a login. */
export const GUEST: Visitor = { kind: 'guest' };

/** Whoever was let in without a login and has these rights. */
export function peerVisitor(rights: PeerRights): Visitor {
  return rights === 'all' ? GUEST : { kind: 'peer', rights };
}

/** What the mode allows is the ceiling for everybody. */
const ALLOWED: Record<ShareMode, readonly Verb[]> = {
  ro: ['list', 'get'],
  rw: ['list', 'get', 'put', 'mkdir', 'move', 'remove'],
  wo: ['put'],
};

/**
 * The rights that a user needs for each verb, all of them. What was left in a drop-box is nobody's to confirm, move or
 * remove, so whoever only writes changes nothing.
 */
const NEEDED: Record<Verb, readonly Right[]> = {
  list: ['list'],
  get: ['read'],
  put: ['write'],
  mkdir: ['write', 'list', 'read'],
  move: ['write', 'list', 'read'],
  remove: ['write', 'list', 'read'],
};

/** Whether a share of this mode allows a verb. */
export function allows(mode: ShareMode, verb: Verb): boolean {
  return ALLOWED[mode].includes(verb);
}

/** Whether somebody may do something with a share. */
export function mayDo(
  visitor: Visitor,
  share: { readonly name: string; readonly mode: ShareMode },
  verb: Verb,
): boolean {
  if (!allows(share.mode, verb)) return false;
  if (visitor.kind === 'guest') return true;
  const grants = rowsFor(visitor, share.name);
  return NEEDED[verb].every((right) => {
    const stands = grants.filter((grant) => grant.right === right);
    return stands.length > 0 && stands.every((grant) => grant.allowed);
  });
}

/** What stands anywhere about somebody's rights on a share. */
function rowsFor(
  visitor: Exclude<Visitor, { kind: 'guest' }>,
  share: string,
): readonly { readonly right: Right; readonly allowed: boolean }[] {
  if (visitor.kind === 'peer')
    return visitor.rights.filter((row) => row.share === share || row.share === EVERY_SHARE);
  return visitor.grants.filter(
    (row) => row.share === share && (row.user === '*' || row.user === visitor.name),
  );
}

/** Whether somebody is shown that the share exists. */
export function maySee(
  visitor: Visitor,
  share: { readonly name: string; readonly mode: ShareMode },
): boolean {
  return (['list', 'get', 'put'] as const).some((verb) => mayDo(visitor, share, verb));
}

/**
 * Whether a share is a drop-box to somebody: things can be put there, and nothing may be shown, confirmed or overwritten
 * of what others left.
 */
export function isDropBox(
  visitor: Visitor,
  share: { readonly name: string; readonly mode: ShareMode },
): boolean {
  return mayDo(visitor, share, 'put') && !(mayDo(visitor, share, 'list') && mayDo(visitor, share, 'get'));
}

/** What a share is to somebody, in the words of modes: what is listed of it. */
export function shownMode(
  visitor: Visitor,
  share: { readonly name: string; readonly mode: ShareMode },
): ShareMode {
  if (!mayDo(visitor, share, 'put')) return 'ro';
  return mayDo(visitor, share, 'list') || mayDo(visitor, share, 'get') ? 'rw' : 'wo';
}

/** What becomes of offers to a listener: a person is asked about each, or those of trusted peers are accepted. */
export const OFFER_RULES = ['ask', 'trusted'] as const;
/** See {@link OFFER_RULES}. */
export type OfferRule = (typeof OFFER_RULES)[number];

/**
 * What becomes of something that a peer offers to a listener. That is no right on a share and nobody is granted it: a person
 * says yes each time, unless the rule says it for peers whose key is trusted. Who has to log in first is nobody before.
 */
export function offerAnswer(
  rule: OfferRule,
  peer: {
    readonly isKnown: boolean;
    /** Its key is trusted, and was not taken unseen. */
    readonly isTrusted: boolean;
  },
  hasPerson: boolean,
): 'accept' | 'ask' | 'refuse' {
  if (!peer.isKnown) return 'refuse';
  if (rule === 'trusted' && peer.isTrusted) return 'accept';
  return hasPerson ? 'ask' : 'refuse';
}
