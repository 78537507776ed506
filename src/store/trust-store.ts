import { isIP } from 'node:net';
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import { errorOf } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import { cleanName } from '../settings.ts';
import type { Home } from './home.ts';
import { JsonFile, type JsonFileOptions, type Warn } from './json-file.ts';
import { copyRights, PEER_RIGHTS, type PeerRights } from './peer-rights.ts';
import { acceptedSiblings, disown, SIBLINGS, type Sibling } from './siblings.ts';
import { timeStamp } from './time-stamp.ts';

/** What made a peer trusted, in the order of what it is worth, least first. */
export const TRUST_REASONS = [
  'accept-new',
  'operator',
  'confirmed',
  'fingerprint',
  'manual',
  'paired',
] as const;

/** What made a peer trusted. */
export type TrustReason = (typeof TRUST_REASONS)[number];

/** Between two looks at what other processes have written, in milliseconds. */
const LOOK_EVERY = 500;

/** Addresses that are remembered of one peer. */
const MOST_ADDRESSES = 8;
/** A peer that comes and goes is not written down again within this time, in milliseconds. */
const SEEN_STEP = 60_000;

const PEER = v.object({
  fingerprint: v.custom<Fingerprint>(isFingerprint),
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(80)),
  /** `host:port` as it was dialled, the last used first. */
  addresses: v.pipe(v.array(v.pipe(v.string(), v.maxLength(300))), v.maxLength(MOST_ADDRESSES)),
  rights: PEER_RIGHTS,
  since: timeStamp,
  how: v.picklist(TRUST_REASONS),
  lastSeen: v.nullable(timeStamp),
  /** Base64 of the DER SubjectPublicKeyInfo for which its key has vouched; absent until it was met. */
  ...SIBLINGS,
  encryptionKey: v.optional(v.pipe(v.string(), v.maxLength(1400), v.base64())),
});

/** A peer whose key is pinned. */
export type TrustedPeer = Readonly<v.InferOutput<typeof PEER>>;

const SCHEMA = v.object({ peers: v.array(PEER) });
type Content = v.InferOutput<typeof SCHEMA>;

/** What {@link TrustStore.trust} is given. */
export interface NewTrust {
  readonly fingerprint: Fingerprint;
  /** As the peer claims or the person says; made fit and unique. Absent: an existing one stays. */
  readonly name?: string;
  readonly how: TrustReason;
  /** What it may do. Absent: an existing one keeps its rights, a new one has all that modes allow. */
  readonly rights?: PeerRights;
  /** Where it was dialled, as typed. */
  readonly address?: { readonly host: string; readonly port: number };
}

/**
 * The peers whose keys this home trusts. Trust belongs to the fingerprint; names and addresses only help to find it.
 * Reads see what other processes wrote.
 */
export class TrustStore {
  readonly #file: JsonFile<Content>;
  readonly #followers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #version: string | undefined;

  /** @param broken What becomes of a file that can't be understood. */
  constructor(home: Home, warn?: Warn, broken: JsonFileOptions<Content>['broken'] = 'set-aside') {
    this.#file = new JsonFile({
      path: home.trustFile,
      broken,
      version: 1,
      schema: SCHEMA,
      empty: () => ({ peers: [] }),
      ...(warn === undefined ? {} : { warn }),
    });
  }

  /** Has somebody told when trust has changed, by this process or another. What it returns ends that. */
  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY).unref();
    return () => {
      this.#followers.delete(changed);
      if (this.#followers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#version = undefined;
    };
  }

  /** All trusted peers, by name. */
  async list(): Promise<TrustedPeer[]> {
    const { peers } = await this.#file.read();
    return peers.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  /** The peer with a fingerprint, or undefined when it is not trusted. */
  async get(fingerprint: Fingerprint): Promise<TrustedPeer | undefined> {
    const { peers } = await this.#file.read();
    return peers.find((peer) => peer.fingerprint === fingerprint);
  }

  /** The peer with a name; upper and lower case are the same, as in host names. */
  async byName(name: string): Promise<TrustedPeer | undefined> {
    const { peers } = await this.#file.read();
    return peers.find((peer) => isSameName(peer.name, name));
  }

  /** The peer that was last met when this address was dialled: one that presents another key there has changed it. */
  async byAddress(host: string, port: number): Promise<TrustedPeer | undefined> {
    const address = addressText(host, port);
    const { peers } = await this.#file.read();
    return peers.find((peer) => peer.addresses.includes(address));
  }

  /** Pins a key. For a key that is pinned already, a better reason, a new name and the address are taken over. */
  async trust(trust: NewTrust): Promise<TrustedPeer> {
    const { peers } = await this.#file.update(({ peers }) => {
      const known = peers.find((peer) => peer.fingerprint === trust.fingerprint);
      const others = peers.filter((peer) => peer !== known);
      const peer = {
        fingerprint: trust.fingerprint,
        name: known && trust.name === undefined ? known.name : freeName(trust.name ?? '', others),
        addresses: known?.addresses ?? [],
        rights: copyRights(trust.rights ?? known?.rights ?? 'all'),
        since: known?.since ?? new Date(),
        how: better(known?.how, trust.how),
        lastSeen: known?.lastSeen ?? null,
        ...(known?.encryptionKey !== undefined && { encryptionKey: known.encryptionKey }),
        ...(known?.siblings !== undefined && { siblings: known.siblings }),
        ...(known?.disowned !== undefined && { disowned: known.disowned }),
      };
      const next = [...others, peer];
      return {
        peers: trust.address
          ? withAddress(next, peer.fingerprint, addressText(trust.address.host, trust.address.port))
          : next,
      };
    });
    this.#tell();
    return found(peers, trust.fingerprint);
  }

  /**
   * Takes the trust back. A server that others have named is named by them no more; those that it has named itself go with
   * it.
   * @returns whether the key was trusted, or named.
   */
  async forget(fingerprint: Fingerprint): Promise<boolean> {
    let known = false;
    await this.#file.update(({ peers }) => {
      const others = peers
        .filter((peer) => peer.fingerprint !== fingerprint)
        .map((peer) => disown(peer, fingerprint));
      known = others.length < peers.length || others.some((peer) => !peers.includes(peer));
      return known ? { peers: others } : undefined;
    });
    this.#tell();
    return known;
  }

  /**
   * Gives a trusted peer another name, made unique.
   * @throws NOT_TRUSTED when the key is not trusted, USAGE where nothing of the name can stand as one.
   */
  async rename(fingerprint: Fingerprint, name: string): Promise<TrustedPeer> {
    if (fitName(name) === '')
      throw errorOf('USAGE', `'${escapeText(name, 60)}' can't be the name of a peer`, {
        hint: 'write letters or digits',
      });
    const { peers } = await this.#file.update(({ peers }) => {
      const known = found(peers, fingerprint);
      const others = peers.filter((peer) => peer !== known);
      return { peers: [...others, { ...known, name: freeName(name, others) }] };
    });
    return found(peers, fingerprint);
  }

  /**
   * Notes the servers that a trusted one names in its place, instead of those before. Only for what it has said itself over
   * a session with its key.
   * @returns those that may take its place; all, where its key is not trusted and nothing is kept.
   */
  async noteSiblings(fingerprint: Fingerprint, named: readonly Sibling[]): Promise<readonly Sibling[]> {
    let accepted: readonly Sibling[] = named;
    await this.#file.update(({ peers }) => {
      const known = peers.find((peer) => peer.fingerprint === fingerprint);
      if (known === undefined) return undefined;
      const siblings = acceptedSiblings(known, named);
      accepted = siblings;
      if (JSON.stringify(siblings) === JSON.stringify(known.siblings ?? [])) return undefined;
      return { peers: peers.map((peer) => (peer === known ? { ...known, siblings } : peer)) };
    });
    return accepted;
  }

  /** The trusted server that has named this one, if any. */
  async namedBy(fingerprint: Fingerprint): Promise<TrustedPeer | undefined> {
    const { peers } = await this.#file.read();
    return peers.find(({ siblings }) => siblings?.some((sibling) => sibling.fingerprint === fingerprint));
  }

  /** Notes the encryption key (DER SubjectPublicKeyInfo) of a trusted peer. Does nothing for others. */
  async noteEncryptionKey(fingerprint: Fingerprint, spki: Uint8Array): Promise<void> {
    const encryptionKey = Buffer.from(spki).toString('base64');
    const isNews = (peers: readonly TrustedPeer[]) =>
      peers.some((peer) => peer.fingerprint === fingerprint && peer.encryptionKey !== encryptionKey);
    if (!isNews((await this.#file.read()).peers)) return;
    await this.#file.update(({ peers }) => ({
      peers: peers.map((peer) => (peer.fingerprint === fingerprint ? { ...peer, encryptionKey } : peer)),
    }));
  }

  /**
   * Notes that a trusted peer was met, and where if it was dialled; the address then belongs to no other peer. Does
   * nothing for a key that is not trusted.
   */
  async noteAddress(
    fingerprint: Fingerprint,
    dialled?: { readonly host: string; readonly port: number },
  ): Promise<void> {
    const address = dialled && addressText(dialled.host, dialled.port);
    const now = new Date();
    const isNews = (peers: readonly TrustedPeer[]) => {
      const known = peers.find((peer) => peer.fingerprint === fingerprint);
      if (known === undefined) return false;
      return (
        now.getTime() - (known.lastSeen?.getTime() ?? 0) > SEEN_STEP ||
        (address !== undefined && known.addresses[0] !== address)
      );
    };
    // Without the lock first: most meetings are no news.
    if (!isNews((await this.#file.read()).peers)) return;
    await this.#file.update(({ peers }) => {
      if (!isNews(peers)) return undefined;
      const seen = peers.map((peer) =>
        peer.fingerprint === fingerprint ? { ...peer, lastSeen: now } : peer,
      );
      return { peers: address === undefined ? seen : withAddress(seen, fingerprint, address) };
    });
  }

  async #look(): Promise<void> {
    const version = await this.#file.version();
    const isNews = version !== this.#version;
    this.#version = version;
    if (isNews) this.#tell();
  }

  #tell(): void {
    for (const changed of this.#followers) changed();
  }
}

function found(peers: readonly TrustedPeer[], fingerprint: Fingerprint): Content['peers'][number] {
  const peer = peers.find((candidate) => candidate.fingerprint === fingerprint);
  if (peer === undefined) throw errorOf('NOT_TRUSTED', `no trusted peer has the key ${fingerprint}`);
  return peer;
}

function better(known: TrustReason | undefined, given: TrustReason): TrustReason {
  if (known === undefined) return given;
  return TRUST_REASONS.indexOf(given) > TRUST_REASONS.indexOf(known) ? given : known;
}

function withAddress(peers: Content['peers'], fingerprint: Fingerprint, address: string): Content['peers'] {
  return peers.map((peer) => {
    const others = peer.addresses.filter((other) => other !== address);
    const isIts = peer.fingerprint === fingerprint;
    return { ...peer, addresses: (isIts ? [address, ...others] : others).slice(0, MOST_ADDRESSES) };
  });
}

function isSameName(a: string, b: string): boolean {
  return a.normalize('NFC').toLowerCase() === b.normalize('NFC').toLowerCase();
}

/** What of a name can stand where a peer is written; nothing, of some. */
function fitName(wanted: string): string {
  return cleanName(wanted.replaceAll(/[\s:/\\@[\]]+/g, '-')).replace(/^-+/, '');
}

/** A name that can stand where a peer is written (`[USER@]HOST[:PORT]:/PATH`) and that no other peer has. */
function freeName(wanted: string, others: readonly TrustedPeer[]): string {
  const fit = fitName(wanted) || 'peer';
  // A peer that calls itself by an address must not be found where that address was meant.
  const base = isIP(fit) === 0 ? fit : `peer-${fit}`;
  const isTaken = (name: string) => others.some((peer) => isSameName(peer.name, name));
  let name = base;
  for (let number = 2; isTaken(name); number++) name = `${base}-${number}`;
  return name;
}

/** An address in the one form in which it is compared: lower case, IPv6 in brackets and shortened. */
export function addressText(host: string, port: number): string {
  const bare = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  if (isIP(bare) !== 6) return `${bare}:${port}`;
  // The URL parser knows the canonical form, but no zone.
  return bare.includes('%') ? `[${bare}]:${port}` : `${new URL(`http://[${bare}]`).hostname}:${port}`;
}
