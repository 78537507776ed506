/**
 * What has been heard on one interface. Everything in it is somebody's claim, so all of it is bounded: how many peers,
 * how many of one sender, how many addresses, how long.
 */
import { isIPv6 } from 'node:net';
import {
  keyOf,
  labelText,
  type Message,
  type Name,
  type Question,
  RECORD,
  type RecordData,
  type ResourceRecord,
} from './message.ts';
import { type Hints, parseTxt, SERVICE_NAME } from './records.ts';

/** A peer of which everything is known that is needed to reach it. */
export interface Sighting extends Hints {
  readonly name: string;
  /** Key of the host that the service is on. */
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  /** Where the packets came from. */
  readonly source: string;
  /** Milliseconds, as the clock that the table is given. */
  readonly lastSeen: number;
}

const MOST_PEERS = 512;
const MOST_PEERS_OF_SOURCE = 32;
const MOST_ADDRESSES = 16;
const MOST_SOURCES_TOLD = 20;
/** Milliseconds. Genuine peers answer before it is over; a flood is forgotten. */
const LONGEST_HOST_LIFE = 300_000;
const LONGEST_LIFE = 4_500_000;
/** Milliseconds that a name without the rest is waited for. */
const INCOMPLETE_LIFE = 10_000;
/** A goodbye takes effect after this long (RFC 6762 section 10.1). */
const GOODBYE = 1000;
/** At these parts of its life a record is asked for again (RFC 6762 section 5.2). */
const REFRESH = [0.8, 0.85, 0.9, 0.95];
const MOST_ASKED = 3;

interface Life {
  at: number;
  /** Milliseconds from `at`. */
  ttl: number;
}

interface Service extends Life {
  readonly port: number;
  readonly target: Name;
  readonly host: string;
}

interface Entry {
  readonly name: string;
  readonly labels: Name;
  readonly source: string;
  readonly pointer: Life;
  service: Service | undefined;
  text: (Life & { readonly hints: Hints }) | undefined;
  lastSeen: number;
  /** How often it was asked for since it was heard. */
  asked: number;
}

const SERVICE_KEY = keyOf(SERVICE_NAME);
const NO_HINTS: Hints = parseTxt([]);

function endOf({ at, ttl }: Life): number {
  return at + ttl;
}

function lifeOf(record: ResourceRecord, now: number): Life {
  const isHosts = record.data.type !== RECORD.PTR && record.data.type !== RECORD.TXT;
  if (record.ttl === 0) return { at: now, ttl: GOODBYE };
  return { at: now, ttl: Math.min(record.ttl * 1000, isHosts ? LONGEST_HOST_LIFE : LONGEST_LIFE) };
}

/** Takes one away; whether it was the last. */
function countDown(counts: Map<string, number>, key: string): boolean {
  const left = (counts.get(key) ?? 1) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
  return left <= 0;
}

export class PeerTable {
  readonly #entries = new Map<string, Entry>();
  /** Names by their sender. */
  readonly #counts = new Map<string, number>();
  /** Services by the host that they are on. */
  readonly #services = new Map<string, number>();
  /** By host: its addresses. Only hosts that a service is on. */
  readonly #hosts = new Map<string, Map<string, Life>>();

  /** Number of names known, complete or not. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes over what a response says.
   * @returns whether anything may look different now.
   */
  hear(message: Message, source: string, now: number): boolean {
    const records = [...message.answers, ...message.additionals];
    // In the order in which they make sense of each other, whatever the packet's.
    const pointers = records.filter((record) => this.#isPointer(record)).slice(0, MOST_PEERS_OF_SOURCE);
    for (const record of pointers) this.#hearPointer(record, source, now);
    if (this.#entries.size === 0) return false;
    let changed = pointers.length > 0;
    const heard = new Set<Entry>();
    for (const { name, ...record } of records) {
      const { data } = record;
      if (data.type === RECORD.PTR) continue;
      const key = keyOf(name);
      const entry = this.#entries.get(key);
      if (entry !== undefined) {
        this.#hearEntry(entry, data, lifeOf({ name, ...record }, now), record.ttl === 0);
        heard.add(entry);
        changed = true;
      }
    }
    for (const record of records) changed = this.#hearAddress(record, now) || changed;
    for (const entry of heard) {
      entry.lastSeen = now;
      if (this.#weakest(entry) !== undefined) entry.asked = 0;
    }
    return changed;
  }

  /** Forgets what has had its time. Returns whether there was any. */
  expire(now: number): boolean {
    const before = this.#entries.size;
    let changed = false;
    for (const [key, entry] of this.#entries) {
      if (this.#endOfEntry(entry) <= now) this.#forget(key, entry);
    }
    for (const [host, addresses] of this.#hosts) {
      for (const [address, life] of addresses) {
        if (endOf(life) > now) continue;
        addresses.delete(address);
        changed = true;
      }
      if (addresses.size === 0 || !this.#services.has(host)) this.#hosts.delete(host);
    }
    return changed || this.#entries.size < before;
  }

  /** When {@link expire} has something to do next; undefined when never. */
  nextEnd(): number | undefined {
    let next: number | undefined;
    const take = (end: number) => {
      if (next === undefined || end < next) next = end;
    };
    for (const entry of this.#entries.values()) take(this.#endOfEntry(entry));
    for (const addresses of this.#hosts.values()) for (const life of addresses.values()) take(endOf(life));
    return next;
  }

  /** The peers that are complete. */
  sightings(now: number): Sighting[] {
    const sightings: Sighting[] = [];
    for (const { name, service, text, source, lastSeen } of this.#entries.values()) {
      if (service === undefined) continue;
      const known = this.#hosts.get(service.host) ?? new Map<string, Life>();
      const addresses = [...known].filter(([, life]) => endOf(life) > now).map(([address]) => address);
      if (addresses.length === 0) continue;
      const { host, port } = service;
      sightings.push({ name, host, port, addresses, source, lastSeen, ...(text?.hints ?? NO_HINTS) });
    }
    return sightings;
  }

  /** What a question for peers need not be answered with: what is known and has more than half of its life left. */
  known(now: number): ResourceRecord[] {
    const known: ResourceRecord[] = [];
    for (const entry of this.#entries.values()) {
      const weakest = this.#weakest(entry);
      if (weakest === undefined || now - weakest.at >= weakest.ttl / 2) continue;
      const { at, ttl } = entry.pointer;
      known.push({
        name: SERVICE_NAME,
        flush: false,
        ttl: Math.floor((at + ttl - now) / 1000),
        data: { type: RECORD.PTR, target: entry.labels },
      });
    }
    return known;
  }

  /** When peers have to be asked for again lest they are forgotten; undefined when never. */
  nextRefresh(): number | undefined {
    let next: number | undefined;
    for (const entry of this.#entries.values()) {
      const due = this.#refreshOf(entry);
      if (due !== undefined && (next === undefined || due < next)) next = due;
    }
    return next;
  }

  /** Notes that a question went out, for the peers that it was due for. */
  refreshed(now: number): void {
    for (const entry of this.#entries.values()) {
      while ((this.#refreshOf(entry) ?? now + 1) <= now) entry.asked += 1;
    }
  }

  /** Questions for what is missing of peers whose name alone was heard: a few at a time, each name a few times. */
  missing(): Question[] {
    const questions: Question[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.asked >= MOST_ASKED || this.#weakest(entry) !== undefined) continue;
      if (questions.length >= MOST_SOURCES_TOLD) break;
      entry.asked += 1;
      const { service, labels, text } = entry;
      if (service === undefined) questions.push({ name: labels, type: RECORD.SRV });
      else {
        questions.push({ name: service.target, type: RECORD.A });
        questions.push({ name: service.target, type: RECORD.AAAA });
      }
      if (text === undefined) questions.push({ name: labels, type: RECORD.TXT });
    }
    return questions;
  }

  /** Whether {@link missing} has anything. */
  get isMissing(): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.asked < MOST_ASKED && this.#weakest(entry) === undefined) return true;
    }
    return false;
  }

  #isPointer({ name, data }: ResourceRecord): boolean {
    return data.type === RECORD.PTR && name.length === SERVICE_NAME.length && keyOf(name) === SERVICE_KEY;
  }

  #hearPointer(record: ResourceRecord, source: string, now: number): void {
    if (record.data.type !== RECORD.PTR) return;
    const labels = record.data.target;
    const [label = ''] = labels;
    const name = labelText(label);
    if (labels.length !== SERVICE_NAME.length + 1 || keyOf(labels.slice(1)) !== SERVICE_KEY || !name) return;
    const key = keyOf(labels);
    const known = this.#entries.get(key);
    const life = lifeOf(record, now);
    if (known !== undefined) {
      Object.assign(known.pointer, life);
    } else if (record.ttl > 0 && this.#makeRoom(source)) {
      this.#counts.set(source, (this.#counts.get(source) ?? 0) + 1);
      this.#entries.set(key, {
        name,
        labels,
        source,
        pointer: life,
        service: undefined,
        text: undefined,
        lastSeen: now,
        asked: 0,
      });
    }
  }

  #hearEntry(entry: Entry, data: RecordData, life: Life, isGoodbye: boolean): void {
    if (data.type === RECORD.SRV) {
      if (isGoodbye) {
        if (entry.service) Object.assign(entry.service, life);
      } else if (data.port > 0 && data.target.length > 0) {
        const host = keyOf(data.target);
        // Before the old one is left: it is mostly the same.
        this.#services.set(host, (this.#services.get(host) ?? 0) + 1);
        this.#leaveHost(entry);
        entry.service = { ...life, port: data.port, target: data.target, host };
      }
    } else if (data.type === RECORD.TXT && !isGoodbye) {
      entry.text = { ...life, hints: parseTxt(data.strings) };
    }
  }

  #hearAddress(record: ResourceRecord, now: number): boolean {
    const { data } = record;
    if (data.type !== RECORD.A && data.type !== RECORD.AAAA) return false;
    const host = keyOf(record.name);
    let addresses = this.#hosts.get(host);
    if (addresses === undefined) {
      if (!this.#services.has(host) || record.ttl === 0) return false;
      addresses = new Map();
      this.#hosts.set(host, addresses);
    }
    const known = addresses.get(data.address);
    if (record.ttl === 0 && known === undefined) return false;
    // What the host said before in another packet no longer holds (RFC 6762 section 10.2).
    if (record.flush && record.ttl > 0) {
      for (const [address, life] of addresses) {
        const isSameType = isIPv6(address) === (data.type === RECORD.AAAA);
        if (isSameType && now - life.at > GOODBYE) life.ttl = Math.min(life.ttl, now - life.at + GOODBYE);
      }
    }
    if (known === undefined && addresses.size >= MOST_ADDRESSES) return false;
    addresses.set(data.address, lifeOf(record, now));
    return true;
  }

  /** The part of a complete peer that ends first; undefined where one is missing. */
  #weakest(entry: Entry): Life | undefined {
    const { pointer, service } = entry;
    if (service === undefined) return undefined;
    let best: Life | undefined;
    for (const life of this.#hosts.get(service.host)?.values() ?? []) {
      if (best === undefined || endOf(life) > endOf(best)) best = life;
    }
    if (best === undefined) return undefined;
    return [pointer, service].reduce(
      (weakest, life) => (endOf(life) < endOf(weakest) ? life : weakest),
      best,
    );
  }

  #endOfEntry(entry: Entry): number {
    const weakest = this.#weakest(entry);
    if (weakest !== undefined) return endOf(weakest);
    const { pointer, service, lastSeen } = entry;
    return Math.min(
      endOf(pointer),
      service ? endOf(service) : Number.POSITIVE_INFINITY,
      lastSeen + INCOMPLETE_LIFE,
    );
  }

  #refreshOf(entry: Entry): number | undefined {
    const weakest = this.#weakest(entry);
    const part = REFRESH[entry.asked];
    // What has said goodbye is not called back.
    if (weakest === undefined || part === undefined || weakest.ttl <= GOODBYE) return undefined;
    return weakest.at + weakest.ttl * part;
  }

  #forget(key: string, entry: Entry): void {
    this.#entries.delete(key);
    countDown(this.#counts, entry.source);
    this.#leaveHost(entry);
  }

  #leaveHost({ service }: Entry): void {
    if (service && countDown(this.#services, service.host)) this.#hosts.delete(service.host);
  }

  /** Whether one more name of a sender has a place. A full table takes it from the sender with the most. */
  #makeRoom(source: string): boolean {
    const own = this.#counts.get(source) ?? 0;
    if (own >= MOST_PEERS_OF_SOURCE) return false;
    if (this.#entries.size < MOST_PEERS) return true;
    const [greediest, most] = [...this.#counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    if (most <= own + 1) return false;
    for (const [key, entry] of this.#entries) {
      if (entry.source !== greediest) continue;
      this.#forget(key, entry);
      return true;
    }
    return false;
  }
}
