/** What a trusted peer may do, as it is kept with its key. */
import * as v from 'valibot';

/** Rows of rights that one peer can have. */
const MOST_RIGHTS = 1000;
/** Stands for all shares. */
export const EVERY_SHARE = '*';

const RIGHT = v.object({
  /** A share's name, or `*` for all of them. */
  share: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  right: v.picklist(['read', 'write', 'list']),
  /** False: denied, whatever else is given. */
  allowed: v.boolean(),
});

/** The schema of {@link PeerRights}. */
export const PEER_RIGHTS = v.union([v.literal('all'), v.pipe(v.array(RIGHT), v.maxLength(MOST_RIGHTS))]);

/** One right of a trusted peer in one share, given or denied. */
export type PeerRight = Readonly<v.InferOutput<typeof RIGHT>>;

/** `all`: whatever the mode of a share allows. Otherwise only what is given, below the mode. */
export type PeerRights = 'all' | readonly PeerRight[];

/** A copy to keep. */
export function copyRights(rights: PeerRights): v.InferOutput<typeof PEER_RIGHTS> {
  return rights === 'all' ? rights : rights.map((right) => ({ ...right }));
}
