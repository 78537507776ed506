/** Other servers for which a trusted one vouches. They are no trusted peers: they may be dialled in its place, and no more. */
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';

const MOST_SIBLINGS = 16;
/** Siblings of one server that were forgotten and shall not come back by its word. */
const MOST_DISOWNED = 64;

const SIBLING = v.object({
  fingerprint: v.custom<Fingerprint>(isFingerprint),
  /** As it calls itself. */
  name: v.pipe(v.string(), v.maxLength(256)),
  /** `host:port`. */
  addresses: v.pipe(v.array(v.pipe(v.string(), v.maxLength(300))), v.maxLength(8)),
});

// With their types written out: declarations could not name what a brand is made of.
const siblings: v.GenericSchema<Kept[]> = v.pipe(v.array(SIBLING), v.maxLength(MOST_SIBLINGS));
const disowned: v.GenericSchema<Fingerprint[]> = v.pipe(
  v.array(v.custom<Fingerprint>(isFingerprint)),
  v.maxLength(MOST_DISOWNED),
);

/** What stands with a trusted server. */
export const SIBLINGS = { siblings: v.optional(siblings), disowned: v.optional(disowned) };

/** A server that another one has named. */
export interface Sibling {
  readonly fingerprint: Fingerprint;
  readonly name: string;
  readonly addresses: readonly string[];
}

/** One that is kept. */
export interface Kept {
  fingerprint: Fingerprint;
  name: string;
  addresses: string[];
}
interface Vouching {
  readonly fingerprint: Fingerprint;
  readonly siblings?: Kept[] | undefined;
  readonly disowned?: Fingerprint[] | undefined;
}

/** Those of the named servers that may take its place: not itself, and none that was forgotten. */
export function acceptedSiblings(
  { fingerprint, disowned = [] }: Vouching,
  named: readonly Sibling[],
): Kept[] {
  const without = new Set([fingerprint, ...disowned]);
  return named
    .filter((sibling) => !without.has(sibling.fingerprint))
    .slice(0, MOST_SIBLINGS)
    .map(({ addresses, ...sibling }) => ({ ...sibling, addresses: [...addresses] }));
}

/** The server without a sibling that is forgotten; as it was where it has no such sibling. */
export function disown<Peer extends Vouching>(peer: Peer, sibling: Fingerprint): Peer {
  const { siblings = [], disowned = [] } = peer;
  if (!siblings.some(({ fingerprint }) => fingerprint === sibling)) return peer;
  return {
    ...peer,
    siblings: siblings.filter(({ fingerprint }) => fingerprint !== sibling),
    disowned: [...disowned, sibling].slice(-MOST_DISOWNED),
  };
}
