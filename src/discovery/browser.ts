/** Looks for peers on all links, and goes on looking until it is stopped. */

import { isIPv6 } from 'node:net';
import type { LanInterface } from './interfaces.ts';
import type { Link } from './link.ts';
import { type Message, RECORD, type ResourceRecord, writeMessage } from './message.ts';
import { PeerTable, type Sighting } from './peer-table.ts';
import { byRank, dialledAs, type PeerAddress, rankOf } from './reachability.ts';
import { SERVICE_NAME } from './records.ts';

/** Somebody on the network who says to be a localstream. The key decides whether that is so. */
export interface FoundPeer {
  /** As it came: to be escaped by who shows it. */
  readonly name: string;
  /** The likeliest to be reached first. */
  readonly addresses: readonly PeerAddress[];
  /** Beginning of the fingerprint that it claims, in base64. */
  readonly fingerprintHint: string | undefined;
  readonly login: boolean;
  /** The public numbers of the pairing codes that it waits for. */
  readonly nameplates: readonly number[];
  readonly lastSeen: Date;
  /** Whether it is a listener of this machine's own identity. */
  readonly own: boolean;
}

/** What has changed since the reader last looked. */
export interface PeerEvent {
  readonly change: 'appear' | 'change' | 'vanish';
  readonly peer: FoundPeer;
}

/** What the browser is told of the rest. */
export interface BrowserContext {
  readonly isOwn: (sighting: Sighting) => boolean;
  readonly onError: (error: Error, link: Link) => void;
  readonly onStop: (browser: Browser) => void;
}

/** Milliseconds: however much is heard, everything is looked through at most this often. */
const WORK_PAUSE = 100;
const FIRST_ASK = 1000;
const SLOWEST_ASK = 3_600_000;
const MISSING_PAUSE = 1000;
const LONGEST_WAIT = 60_000;
/** Bytes of a packet that any network carries whole. */
const PACKET_BYTES = 1200;

interface Place {
  lan: LanInterface;
  readonly table: PeerTable;
  missingAsked: number;
}

/** Who is on the local network, from the first look until it is stopped. What it finds are claims. */
export class Browser implements AsyncIterable<PeerEvent>, AsyncDisposable {
  readonly #context: BrowserContext;
  /** By interface: what was heard by IPv4 and by IPv6 there is of the same peers. */
  readonly #places = new Map<string, Place>();
  readonly #asking = new Map<Link, NodeJS.Timeout>();
  #work: NodeJS.Timeout | undefined;
  #workAt = Number.POSITIVE_INFINITY;
  #lastWork = Number.NEGATIVE_INFINITY;
  #news = Promise.withResolvers<void>();
  #stopped = false;

  /** @internal See `Discovery.browse`. */
  constructor(context: BrowserContext) {
    this.#context = context;
  }

  /** Everybody who is there now, by name. */
  found(): FoundPeer[] {
    const peers = new Map<
      string,
      { sighting: Sighting; own: boolean; addresses: Map<string, PeerAddress> }
    >();
    const now = performance.now();
    for (const { lan, table } of this.#places.values()) {
      for (const sighting of table.sightings(now)) {
        // Two machines may have one name on two networks.
        const key = `${sighting.name.toLowerCase()}\0${sighting.fingerprintHint ?? ''}`;
        const own = this.#context.isOwn(sighting);
        const peer = peers.get(key) ?? { sighting, own, addresses: new Map() };
        peers.set(key, peer);
        peer.own ||= own;
        if (sighting.lastSeen > peer.sighting.lastSeen) peer.sighting = sighting;
        for (const address of waysTo(sighting, lan)) {
          const way = `${address.host} ${address.port}`;
          const known = peer.addresses.get(way);
          if (known === undefined || address.rank < known.rank) peer.addresses.set(way, address);
        }
      }
    }
    return [...peers.values()]
      .filter(({ addresses }) => addresses.size > 0)
      .map(({ sighting, own, addresses }) => ({
        name: sighting.name,
        addresses: [...addresses.values()].sort(byRank),
        fingerprintHint: sighting.fingerprintHint,
        login: sighting.login,
        nameplates: sighting.nameplates,
        lastSeen: new Date(Date.now() - (now - sighting.lastSeen)),
        own,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** First everybody who is there, then each change, until {@link stop}. A slow reader misses steps, never the state. */
  async *[Symbol.asyncIterator](): AsyncGenerator<PeerEvent, void, undefined> {
    let known = new Map<string, { readonly peer: FoundPeer; readonly state: string }>();
    while (!this.#stopped) {
      const news = this.#news.promise;
      const current = new Map(
        this.found().map((peer) => [
          `${peer.name}\0${peer.fingerprintHint ?? ''}`,
          { peer, state: stateOf(peer) },
        ]),
      );
      for (const [key, { peer }] of known) if (!current.has(key)) yield { change: 'vanish', peer };
      for (const [key, { peer, state }] of current) {
        const before = known.get(key);
        if (before === undefined) yield { change: 'appear', peer };
        else if (before.state !== state) yield { change: 'change', peer };
      }
      known = current;
      await news;
    }
  }

  /** Stops looking; the loops over it end. May be called again. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#asking.values()) clearTimeout(timer);
    this.#asking.clear();
    clearTimeout(this.#work);
    this.#news.resolve();
    this.#context.onStop(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }

  /** @internal Looks on this link as well. */
  attach(link: Link): void {
    const { lan } = link;
    const place = this.#places.get(lan.name);
    if (place) place.lan = lan;
    else this.#places.set(lan.name, { lan, table: new PeerTable(), missingAsked: Number.NEGATIVE_INFINITY });
    // After a while by chance: many machines start at once when the power comes back.
    this.#askIn(link, 20 + Math.random() * 100, FIRST_ASK);
  }

  /** @internal The link is closed. What was heard on its interface goes when no other link is left there. */
  detach(link: Link): void {
    clearTimeout(this.#asking.get(link));
    this.#asking.delete(link);
    if ([...this.#asking.keys()].some(({ lan }) => lan.name === link.lan.name)) return;
    this.#places.delete(link.lan.name);
    this.#plan(0);
  }

  /** @internal */
  hear(message: Message, source: string, link: Link): void {
    if (!message.isResponse || this.#stopped) return;
    const table = this.#places.get(link.lan.name)?.table;
    if (table?.hear(message, source, performance.now())) this.#plan(0);
  }

  #askIn(link: Link, wait: number, next: number): void {
    const timer = setTimeout(() => {
      this.#ask(link);
      this.#askIn(link, next, Math.min(next * 2, SLOWEST_ASK));
    }, wait);
    this.#asking.set(link, timer);
  }

  /** Asks for peers, and says which ones need not answer. */
  #ask(link: Link): void {
    const known = this.#places.get(link.lan.name)?.table.known(performance.now()) ?? [];
    let questions = [{ name: SERVICE_NAME, type: RECORD.PTR }];
    let rest = known;
    do {
      let answers: ResourceRecord[] = [];
      let packet = writeMessage({ questions });
      // Each name is written once: the bytes of a record are known before it is added.
      let bytes = packet.length + (questions.length === 0 ? 30 : 0);
      let count = 0;
      for (const { data } of rest) {
        bytes += 13 + (data.type === RECORD.PTR ? (data.target[0]?.length ?? 0) : 0) + 2;
        if (bytes > PACKET_BYTES) break;
        count += 1;
      }
      answers = rest.slice(0, count);
      rest = rest.slice(count);
      packet = writeMessage({ questions, answers, isTruncated: rest.length > 0 });
      this.#send(link, packet);
      questions = [];
    } while (rest.length > 0);
  }

  #send(link: Link, packet: Buffer): void {
    link.send(packet, (error) => {
      if (error) this.#context.onError(error, link);
    });
  }

  /** Looks through the tables at a time, or as soon after as the pause allows. */
  #plan(at: number): void {
    if (this.#stopped) return;
    const now = performance.now();
    const when = Math.max(at, this.#lastWork + WORK_PAUSE, now);
    if (when >= this.#workAt) return;
    clearTimeout(this.#work);
    this.#workAt = when;
    this.#work = setTimeout(() => this.#look(), when - now);
  }

  #look(): void {
    const now = performance.now();
    this.#workAt = Number.POSITIVE_INFINITY;
    this.#lastWork = now;
    let next = now + LONGEST_WAIT;
    for (const [name, place] of this.#places) {
      const { table } = place;
      table.expire(now);
      const links = [...this.#asking.keys()].filter(({ lan }) => lan.name === name);
      if ((table.nextRefresh() ?? next) <= now) {
        for (const link of links) this.#ask(link);
        table.refreshed(now);
      }
      if (table.isMissing && now - place.missingAsked >= MISSING_PAUSE) {
        place.missingAsked = now;
        const packet = writeMessage({ questions: table.missing() });
        for (const link of links) this.#send(link, packet);
      }
      if (table.isMissing) next = Math.min(next, place.missingAsked + MISSING_PAUSE);
      next = Math.min(next, table.nextEnd() ?? next, table.nextRefresh() ?? next);
    }
    this.#plan(next);
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** What a reader is told changes of: not that it was heard again. */
function stateOf({ addresses, login, nameplates, own }: FoundPeer): string {
  return JSON.stringify([addresses, login, nameplates, own]);
}

function waysTo({ addresses, port }: Sighting, lan: LanInterface): PeerAddress[] {
  const ways: PeerAddress[] = [];
  for (const address of addresses) {
    const rank = rankOf(address, lan);
    if (rank === undefined) continue;
    const family = isIPv6(address) ? 6 : 4;
    ways.push({ host: dialledAs(address, lan), port, family, interface: lan.name, rank });
  }
  return ways;
}
