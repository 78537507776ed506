/**
 * One service on one link, published by bonjour-service. The library stands between two doors of ours: it never sees a
 * byte from the network, only questions that were read, checked and written anew, and what it sends passes through here.
 * So no packet can reach its parsers, conflicts are found by us and not printed, and names may hold dots.
 */
import { EventEmitter } from 'node:events';
import type { Bonjour, Service } from 'bonjour-service';
import type { Link } from './link.ts';
import {
  keyOf,
  type Message,
  type Name,
  plainData,
  RECORD,
  type RecordData,
  type ResourceRecord,
  writeMessage,
} from './message.ts';
import { instanceLabels, SERVICE_NAME, SERVICE_TYPE, TYPES_NAME } from './records.ts';

/** What is published. */
export interface Announced {
  readonly name: string;
  readonly host: Name;
  readonly port: number;
  readonly txt: readonly Buffer[];
  /** Of the link's interface, those on which the port answers. */
  readonly addresses: readonly string[];
  /** Seconds that the host's records live without being heard again. */
  readonly hostLife: number;
}

/** How it went: announced, taken by somebody else, or stopped before either. */
export type Outcome = 'announced' | 'taken' | 'stopped';

/** Seconds that the other records live (RFC 6762 section 10). */
const LIFE = 4500;
/** The least time between two answers with the same record, and to one who asks whether the name is free. */
const PAUSE = 1000;
const PROBE_PAUSE = 250;
/**
 * Stands for a dot inside the instance's name while the library has it, which would take a real one for the end of a
 * label. No name has it: control characters are not allowed in names.
 */
const DOT = '\x1f';

/** The socket that the library believes to have. */
class LibrarySocket extends EventEmitter {
  readonly #send: (bytes: Buffer, done: () => void) => void;

  constructor(send: (bytes: Buffer, done: () => void) => void) {
    super();
    this.#send = send;
  }

  send(
    bytes: Buffer,
    _offset: number,
    _length: number,
    _port: number,
    _address: string,
    done: () => void,
  ): void {
    this.#send(bytes, done);
  }

  close(done: () => void): void {
    done();
  }
}

export class Publication {
  readonly #link: Link;
  readonly #announced: Announced;
  readonly #name: Name;
  readonly #nameKey: string;
  readonly #hostKey: string;
  readonly #onTaken: () => void;
  readonly #onError: (error: Error) => void;
  readonly #outcome = Promise.withResolvers<Outcome>();
  readonly #socket = new LibrarySocket((bytes, done) => this.#send(bytes, done));
  readonly #answered = new Map<string, number>();
  readonly #waiting = new Map<string, { readonly timer: NodeJS.Timeout; readonly source: string }>();
  #state: 'probing' | 'announced' | 'over' = 'probing';
  #isLeaving = false;
  #bonjour: Bonjour | undefined;
  #service: Service | undefined;
  #leaving: Promise<void> | undefined;

  constructor(
    link: Link,
    announced: Announced,
    handlers: { readonly onTaken: () => void; readonly onError: (error: Error) => void },
  ) {
    this.#link = link;
    this.#announced = announced;
    this.#name = instanceLabels(announced.name);
    this.#nameKey = keyOf(this.#name);
    this.#hostKey = keyOf(announced.host);
    this.#onTaken = handlers.onTaken;
    this.#onError = handlers.onError;
  }

  /** Asks whether the name is free and then announces it. Within about a second. */
  async start(): Promise<Outcome> {
    const { default: BonjourService } = await import('bonjour-service');
    if (this.#state === 'over') return 'stopped';
    // `socket` is an option of the multicast-dns beneath, which the types of bonjour-service do not list.
    const options = { type: 'udp4', socket: this.#socket, bind: false, multicast: false };
    const bonjour = new BonjourService(options, (error: Error) => this.#onError(error));
    this.#bonjour = bonjour;
    bonjour['server'].mdns.on('error', (error: Error) => this.#onError(error));
    const { name, host, port } = this.#announced;
    const service = bonjour.publish({
      name: name.replaceAll('.', DOT),
      type: SERVICE_TYPE,
      protocol: 'tcp',
      port,
      host: host.join('.'),
      probe: true,
    });
    service.records = () => this.#records();
    service.once('up', () => {
      if (this.#state !== 'probing') return;
      this.#state = 'announced';
      this.#outcome.resolve('announced');
    });
    this.#service = service;
    return await this.#outcome.promise;
  }

  /** Takes in a message of the link. */
  hear(message: Message, source: string): void {
    if (this.#state === 'over') return;
    if (message.isResponse) this.#watch([...message.answers, ...message.additionals]);
    else this.#question(message, source);
  }

  /** Says goodbye, unless the name is somebody else's, and ends. */
  stop(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  async #leave(): Promise<void> {
    const wasAnnounced = this.#state === 'announced';
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    this.#isLeaving = wasAnnounced;
    this.#state = 'over';
    this.#outcome.resolve('stopped');
    const bonjour = this.#bonjour;
    if (bonjour === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#service?.stop(resolve);
    await promise;
    this.#isLeaving = false;
    bonjour.destroy();
  }

  /** What the library announces and answers with. Made anew each time, because it marks them when it says goodbye. */
  #records(): ReturnType<Service['records']> {
    const { host, port, txt, addresses, hostLife } = this.#announced;
    const dotted = (name: Name) => name.map((label) => textOf(label).replaceAll('.', DOT)).join('.');
    const [type, name, target] = [dotted(SERVICE_NAME), dotted(this.#name), dotted(host)];
    const unique = { flush: true };
    const records: ReturnType<Service['records']> = [
      { name: type, type: 'PTR', ttl: LIFE, data: name },
      Object.assign(unique, { name, type: 'SRV' as const, ttl: hostLife, data: { port, target } }),
      Object.assign({ flush: true }, { name, type: 'TXT' as const, ttl: LIFE, data: [...txt] }),
      // Without the mark of the only truth: the other interface of this machine may be on the same network.
      ...addresses.map((address) => ({
        name: target,
        type: address.includes(':') ? ('AAAA' as const) : ('A' as const),
        ttl: hostLife,
        data: address,
      })),
    ];
    // The type as such is not ours to withdraw.
    if (!this.#isLeaving) records.push({ name: dotted(TYPES_NAME), type: 'PTR', ttl: LIFE, data: type });
    return records;
  }

  /** What the library wants to send. */
  #send(bytes: Buffer, done: () => void): void {
    const isQuestion = (bytes.readUInt16BE(2) & 0x8000) === 0;
    if (isQuestion ? this.#state !== 'probing' : this.#state === 'over' && !this.#isLeaving) {
      // The library waits for the answer before it goes on.
      done();
      return;
    }
    const packet = isQuestion ? this.#probe() : withDots(bytes, this.#announced.name);
    this.#link.send(packet, (error) => {
      if (error) this.#onError(error);
      done();
    });
  }

  /** The library's question whether the name is free, with what we want to say of it, as RFC 6762 section 8.2 asks. */
  #probe(): Buffer {
    return writeMessage({
      questions: [{ name: this.#name, type: RECORD.ANY }],
      authorities: this.#proposal().map((data) => ({
        name: this.#name,
        flush: false,
        ttl: this.#announced.hostLife,
        data,
      })),
    });
  }

  #proposal(): RecordData[] {
    const { host, port, txt } = this.#announced;
    return [
      { type: RECORD.TXT, strings: txt },
      { type: RECORD.SRV, port, target: host },
    ];
  }

  /** Looks for somebody else who says that the name is theirs. */
  #watch(records: readonly ResourceRecord[]): void {
    if (records.some((record) => this.#isOurGoodbye(record)) && this.#mayAnswer('pointer', PAUSE))
      this.#ask(SERVICE_NAME, RECORD.PTR);
    const theirs = records.filter(({ name, ttl }) => ttl > 0 && keyOf(name) === this.#nameKey);
    const services = theirs.filter(({ data }) => data.type === RECORD.SRV && !this.#isOurs(data));
    const [rival] = services;
    if (rival === undefined) return;
    if (this.#state === 'probing' || Buffer.compare(plainData(rival.data), this.#ownService()) > 0) {
      this.#giveWay();
    } else if (this.#mayAnswer('defence', PAUSE)) {
      this.#ask(this.#name, RECORD.ANY);
    }
  }

  /** Somebody says that we are gone. Whoever hears it forgets us in a second, unless we speak up. */
  #isOurGoodbye({ ttl, data }: ResourceRecord): boolean {
    return (
      ttl === 0 &&
      data.type === RECORD.PTR &&
      this.#state === 'announced' &&
      keyOf(data.target) === this.#nameKey
    );
  }

  #ownService(): Buffer {
    const { host, port } = this.#announced;
    return plainData({ type: RECORD.SRV, port, target: host });
  }

  #isOurs(data: RecordData): boolean {
    const { host, port } = this.#announced;
    return data.type === RECORD.SRV && data.port === port && keyOf(data.target) === keyOf(host);
  }

  #giveWay(): void {
    if (this.#state === 'over') return;
    // No goodbye: it would take away what the other has announced.
    this.#state = 'over';
    this.#outcome.resolve('taken');
    this.#onTaken();
  }

  #question(message: Message, source: string): void {
    if (this.#state === 'probing') {
      const theirs = message.authorities.filter(({ name }) => keyOf(name) === this.#nameKey);
      if (
        theirs.length > 0 &&
        compareProposals(
          theirs.map(({ data }) => data),
          this.#proposal(),
        ) > 0
      ) {
        this.#giveWay();
      }
      return;
    }
    // More of what an asker knows already, after a question that was cut off.
    if (message.questions.length === 0 && this.#isKnown(message)) this.#forgetQuestion('pointer', source);
    for (const { name, type } of message.questions) {
      const key = keyOf(name);
      const any = type === RECORD.ANY;
      if (key === SERVICE_KEY && (any || type === RECORD.PTR)) {
        if (!this.#isKnown(message)) this.#answerLater('pointer', SERVICE_NAME, message.isTruncated, source);
      } else if (key === TYPES_KEY && (any || type === RECORD.PTR)) {
        const isKnown = message.answers.some(
          ({ data }) => data.type === RECORD.PTR && keyOf(data.target) === SERVICE_KEY,
        );
        if (!isKnown) this.#answerLater('types', TYPES_NAME, message.isTruncated, source);
      } else if (key === this.#nameKey && (any || type === RECORD.SRV || type === RECORD.TXT)) {
        if (this.#mayAnswer(`name ${type}`, any ? PROBE_PAUSE : PAUSE)) this.#ask(this.#name, type);
      } else if (key === this.#hostKey && (any || type === RECORD.A || type === RECORD.AAAA)) {
        if (this.#mayAnswer(`host ${type}`, PAUSE)) this.#ask(this.#announced.host, type);
      }
    }
  }

  /** Whether the asker has us in its list, and for long enough (RFC 6762 section 7.1). */
  #isKnown({ answers }: Message): boolean {
    return answers.some(
      ({ ttl, data }) => data.type === RECORD.PTR && ttl >= LIFE / 2 && keyOf(data.target) === this.#nameKey,
    );
  }

  /** Answers after a while by chance, so that not all machines speak at once (RFC 6762 section 6). */
  #answerLater(key: string, name: Name, isTruncated: boolean, source: string): void {
    if (this.#waiting.has(key)) return;
    const wait = isTruncated ? 400 + Math.random() * 100 : 20 + Math.random() * 100;
    const timer = setTimeout(() => {
      this.#waiting.delete(key);
      if (this.#mayAnswer(key, PAUSE)) this.#ask(name, RECORD.PTR);
    }, wait);
    this.#waiting.set(key, { timer, source });
  }

  #forgetQuestion(key: string, source: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting?.source !== source) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(key);
  }

  #mayAnswer(key: string, pause: number): boolean {
    const now = performance.now();
    if (now - (this.#answered.get(key) ?? Number.NEGATIVE_INFINITY) < pause) return false;
    this.#answered.set(key, now);
    return true;
  }

  /** Puts a question of ours to the library, which answers to everybody. */
  #ask(name: Name, type: number): void {
    const safe = name.map((label) => label.replaceAll('.', DOT));
    const question = writeMessage({ questions: [{ name: safe, type }] });
    this.#socket.emit('message', question, { address: '', port: 0, family: 'IPv4', size: question.length });
  }
}

const SERVICE_KEY = keyOf(SERVICE_NAME);
const TYPES_KEY = keyOf(TYPES_NAME);

function textOf(label: string): string {
  return Buffer.from(label, 'latin1').toString();
}

/** Puts the dots back into a packet of the library. */
function withDots(packet: Buffer, name: string): Buffer {
  if (!name.includes('.')) return packet;
  const real = Buffer.from(name);
  const label = (bytes: Buffer) => Buffer.concat([Buffer.of(bytes.length), bytes]);
  const standIn = label(Buffer.from(name.replaceAll('.', DOT)));
  const copy = Buffer.from(packet);
  for (let at = copy.indexOf(standIn); at >= 0; at = copy.indexOf(standIn, at + standIn.length)) {
    label(real).copy(copy, at);
  }
  return copy;
}

/** Who of two that want a name at the same moment gets it: above 0 when the first does (RFC 6762 section 8.2). */
function compareProposals(first: readonly RecordData[], second: readonly RecordData[]): number {
  const sorted = (proposal: readonly RecordData[]) =>
    proposal.map((data) => Buffer.concat([Buffer.of(0, data.type), plainData(data)])).sort(Buffer.compare);
  const [ours, theirs] = [sorted(first), sorted(second)];
  for (const [index, record] of ours.entries()) {
    const other = theirs[index];
    if (other === undefined) return 1;
    const order = Buffer.compare(record, other);
    if (order !== 0) return order;
  }
  return ours.length - theirs.length;
}
