/**
 * DNS messages as multicast DNS uses them (RFC 1035, 6762), read and written within bounds. Labels are kept apart and
 * byte for byte, because the name of a service may hold dots; text is made of them by who needs it.
 */
import { SocketAddress } from 'node:net';

/** A name as its labels, each byte one character (latin1). */
export type Name = readonly string[];

/** Types of records that discovery reads. */
export const RECORD = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, ANY: 255 } as const;

export interface Question {
  readonly name: Name;
  readonly type: number;
}

/** What one record says. */
export type RecordData =
  | { readonly type: typeof RECORD.PTR; readonly target: Name }
  | { readonly type: typeof RECORD.SRV; readonly port: number; readonly target: Name }
  | { readonly type: typeof RECORD.TXT; readonly strings: readonly Buffer[] }
  | { readonly type: typeof RECORD.A | typeof RECORD.AAAA; readonly address: string };

export interface ResourceRecord {
  readonly name: Name;
  /** Whether it replaces what was said before (the cache-flush bit). */
  readonly flush: boolean;
  /** Seconds; 0 is a goodbye. */
  readonly ttl: number;
  readonly data: RecordData;
}

export interface Message {
  readonly isResponse: boolean;
  /** More known answers follow in the next packet. */
  readonly isTruncated: boolean;
  readonly questions: readonly Question[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
}

const HEADER_BYTES = 12;
/** RFC 6762 section 17. */
const MOST_BYTES = 9000;
const MOST_RECORDS = 512;
/** Labels in all names of a message, pointers followed: a small packet can name the same long name again and again. */
const MOST_LABELS = 4096;
const LONGEST_NAME = 255;
const LONGEST_LABEL = 63;
const INTERNET = 1;
const TOP_BIT = 0x8000;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
/** Opcode and reply code, which must be zero (RFC 6762 section 18). */
const MUST_BE_ZERO = 0x780f;

/**
 * Reads a message. Undefined for anything malformed, oversized or not meant for multicast DNS: a packet is believed as
 * a whole or not at all. Records of other types and classes are left out.
 */
export function readMessage(bytes: Buffer): Message | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MOST_BYTES) return undefined;
  const flags = bytes.readUInt16BE(2);
  const counts = [4, 6, 8, 10].map((offset) => bytes.readUInt16BE(offset));
  if ((flags & MUST_BE_ZERO) !== 0 || counts.reduce((sum, count) => sum + count, 0) > MOST_RECORDS)
    return undefined;
  try {
    const reader = new Reader(bytes);
    const [questions = 0, answers = 0, authorities = 0, additionals = 0] = counts;
    return {
      isResponse: (flags & RESPONSE) !== 0,
      isTruncated: (flags & TRUNCATED) !== 0,
      questions: reader.questions(questions),
      answers: reader.records(answers),
      authorities: reader.records(authorities),
      additionals: reader.records(additionals),
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Throws a RangeError wherever the bytes do not hold what they declare. */
class Reader {
  readonly #bytes: Buffer;
  #offset = HEADER_BYTES;
  #labels = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  questions(count: number): Question[] {
    return Array.from({ length: count }, () => {
      const name = this.#name();
      const type = this.#word();
      // The top bit asks for an answer by unicast; an answer by multicast is always allowed.
      this.#word();
      return { name, type };
    });
  }

  records(count: number): ResourceRecord[] {
    const records: ResourceRecord[] = [];
    for (let index = 0; index < count; index += 1) {
      const name = this.#name();
      const type = this.#word();
      const kind = this.#word();
      const ttl = this.#word() * 0x10000 + this.#word();
      const length = this.#word();
      const end = this.#offset + length;
      if (end > this.#bytes.length) throw new RangeError('a record is cut short');
      const data = (kind & ~TOP_BIT) === INTERNET ? this.#data(type, end) : undefined;
      // RFC 2181: a time with its top bit set is none.
      if (data) records.push({ name, flush: (kind & TOP_BIT) !== 0, ttl: ttl > 0x7fffffff ? 0 : ttl, data });
      this.#offset = end;
    }
    return records;
  }

  #word(): number {
    const word = this.#bytes.readUInt16BE(this.#offset);
    this.#offset += 2;
    return word;
  }

  #data(type: number, end: number): RecordData | undefined {
    switch (type) {
      case RECORD.PTR:
        return { type, target: this.#nameUntil(end) };
      case RECORD.SRV: {
        this.#offset += 4;
        const port = this.#word();
        return { type, port, target: this.#nameUntil(end) };
      }
      case RECORD.TXT:
        return { type, strings: this.#strings(end) };
      case RECORD.A:
      case RECORD.AAAA:
        return this.#address(type, end);
      default:
        return undefined;
    }
  }

  #strings(end: number): Buffer[] {
    const strings: Buffer[] = [];
    while (this.#offset < end) {
      const length = this.#bytes.readUInt8(this.#offset);
      const start = this.#offset + 1;
      if (start + length > end) throw new RangeError('a text is cut short');
      strings.push(this.#bytes.subarray(start, start + length));
      this.#offset = start + length;
    }
    return strings;
  }

  #address(type: typeof RECORD.A | typeof RECORD.AAAA, end: number): RecordData {
    const bytes = this.#bytes.subarray(this.#offset, end);
    if (bytes.length !== (type === RECORD.A ? 4 : 16)) throw new RangeError('an address of a wrong length');
    if (type === RECORD.A) return { type, address: bytes.join('.') };
    const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
    return { type, address: new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address };
  }

  #nameUntil(end: number): Name {
    const name = this.#name();
    if (this.#offset !== end) throw new RangeError('a name does not fill its record');
    return name;
  }

  #name(): Name {
    const labels: string[] = [];
    let at = this.#offset;
    /** Where a pointer may not lead: each has to go further back, so that there is an end. */
    let before = at;
    let jumped = false;
    let length = 0;
    for (;;) {
      const head = this.#bytes.readUInt8(at);
      at += 1;
      if (head >= 0xc0) {
        const target = this.#bytes.readUInt16BE(at - 1) & 0x3fff;
        if (!jumped) this.#offset = at + 1;
        if (target >= before || target < HEADER_BYTES) throw new RangeError('a pointer that leads forward');
        before = target;
        at = target;
        jumped = true;
        // Costs work as a label does.
        this.#labels += 1;
      } else if (head === 0) {
        if (!jumped) this.#offset = at;
        return labels;
      } else {
        length += head + 1;
        this.#labels += 1;
        const end = at + head;
        const isFit = head <= LONGEST_LABEL && length < LONGEST_NAME && end <= this.#bytes.length;
        if (!isFit || this.#labels > MOST_LABELS) throw new RangeError('a name that is none');
        labels.push(this.#bytes.toString('latin1', at, end));
        at = end;
      }
      if (this.#labels > MOST_LABELS) throw new RangeError('too many labels');
    }
  }
}

/** What a message to be written holds; the rest is empty. */
export type MessageParts = Partial<Message>;

/** Writes a message. Names must be within their bounds. */
export function writeMessage(parts: MessageParts): Buffer {
  const { questions = [], answers = [], authorities = [], additionals = [] } = parts;
  const writer = new Writer();
  const flags = (parts.isResponse ? RESPONSE | AUTHORITATIVE : 0) | (parts.isTruncated ? TRUNCATED : 0);
  const sections = [answers, authorities, additionals];
  writer.words(0, flags, questions.length, ...sections.map((section) => section.length));
  for (const { name, type } of questions) {
    writer.name(name);
    writer.words(type, INTERNET);
  }
  for (const record of sections.flat()) writer.record(record);
  return writer.bytes();
}

/** Data of a record as one sequence of bytes without pointers, as RFC 6762 section 8.2 compares them. */
export function plainData(data: RecordData): Buffer {
  const writer = new Writer();
  writer.data(data, false);
  return writer.bytes();
}

class Writer {
  readonly #parts: Buffer[] = [];
  readonly #known = new Map<string, number>();
  #length = 0;

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  words(...words: readonly number[]): void {
    const bytes = Buffer.alloc(words.length * 2);
    for (const [index, word] of words.entries()) bytes.writeUInt16BE(word, index * 2);
    this.#add(bytes);
  }

  record({ name, flush, ttl, data }: ResourceRecord): void {
    this.name(name);
    this.words(data.type, INTERNET | (flush ? TOP_BIT : 0), ttl >>> 16, ttl & 0xffff, 0);
    const length = this.#parts.at(-1);
    const start = this.#length;
    this.data(data, true);
    length?.writeUInt16BE(this.#length - start, 8);
  }

  data(data: RecordData, compress: boolean): void {
    switch (data.type) {
      case RECORD.PTR:
        this.name(data.target, compress);
        break;
      case RECORD.SRV:
        this.words(0, 0, data.port);
        // RFC 2782 has no pointers there.
        this.name(data.target, false);
        break;
      case RECORD.TXT:
        for (const string of data.strings) this.#add(Buffer.concat([Buffer.of(string.length), string]));
        break;
      default:
        this.#add(addressBytes(data.address));
    }
  }

  name(name: Name, compress = true): void {
    for (let index = 0; index < name.length; index += 1) {
      // As they are spelled: a pointer to the same name in other letters would give those to whoever reads it.
      const rest = JSON.stringify(name.slice(index));
      const at = this.#known.get(rest);
      if (compress && at !== undefined) {
        this.words(0xc000 | at);
        return;
      }
      if (this.#length < 0x4000) this.#known.set(rest, this.#length);
      const label = Buffer.from(name[index] ?? '', 'latin1');
      this.#add(Buffer.concat([Buffer.of(label.length), label]));
    }
    this.#add(Buffer.of(0));
  }

  #add(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }
}

function addressBytes(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail ?? '')];
  const all = [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
  const bytes = Buffer.alloc(16);
  for (const [index, group] of all.entries()) bytes.writeUInt16BE(group, index * 2);
  return bytes;
}

/** A text that is the same for names that DNS counts as the same: upper and lower case of ASCII are. */
export function keyOf(name: Name): string {
  return name
    .map((label) => label.replace(/[.\\]/g, '\\$&').replace(/[A-Z]/g, (letter) => letter.toLowerCase()))
    .join('.');
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The text of a label; undefined where it is not UTF-8. */
export function labelText(label: string): string | undefined {
  try {
    return UTF8.decode(Buffer.from(label, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The label of a text. */
export function textLabel(text: string): string {
  return Buffer.from(text).toString('latin1');
}
