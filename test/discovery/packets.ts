/** Packets for tests: proper ones, and those that other programs died of. */
import {
  type MessageParts,
  type Name,
  RECORD,
  type ResourceRecord,
  textLabel,
  writeMessage,
} from '../../src/discovery/message.ts';
import { SERVICE_NAME } from '../../src/discovery/records.ts';

export interface Claim {
  readonly name: string;
  readonly host?: string;
  readonly port?: number;
  readonly addresses?: readonly string[];
  readonly txt?: readonly string[];
  /** Seconds. */
  readonly ttl?: number;
}

export function labelsOf(name: string): Name {
  return [textLabel(name), ...SERVICE_NAME];
}

/** The records of a peer. */
export function recordsOf(claim: Claim): ResourceRecord[] {
  const { name, host = `host-${name}`, port = 7353, ttl = 120 } = claim;
  const { addresses = ['10.77.0.9'], txt = ['txtvers=1', 'fp=QUJDREVGR0hJ', 'v=1', 'login=0'] } = claim;
  const labels = labelsOf(name);
  const target = [textLabel(host).slice(0, 63), 'local'];
  return [
    { name: SERVICE_NAME, flush: false, ttl, data: { type: RECORD.PTR, target: labels } },
    { name: labels, flush: true, ttl, data: { type: RECORD.SRV, port, target } },
    {
      name: labels,
      flush: true,
      ttl,
      data: { type: RECORD.TXT, strings: txt.map((one) => Buffer.from(one)) },
    },
    ...addresses.map((address) => ({
      name: target,
      flush: true,
      ttl,
      data: { type: address.includes(':') ? RECORD.AAAA : RECORD.A, address },
    })),
  ];
}

/** A response with one peer in it. */
export function announcement(claim: Claim): Buffer {
  return writeMessage({ isResponse: true, answers: recordsOf(claim) });
}

/** A question for peers, with what is known already. */
export function question(known: readonly ResourceRecord[] = [], parts: MessageParts = {}): Buffer {
  return writeMessage({ questions: [{ name: SERVICE_NAME, type: RECORD.PTR }], answers: known, ...parts });
}

function header(...counts: readonly number[]): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(0x8400, 2);
  for (const [index, count] of counts.entries()) bytes.writeUInt16BE(count, 4 + index * 2);
  return bytes;
}

const SERVICE = Buffer.from('\x0c_localstream\x04_tcp\x05local\0', 'latin1');

/** Hostile packets, each with what it is. */
export const HOSTILE: ReadonlyMap<string, Buffer> = new Map([
  // bonjour-service's browser dies of it where it has a `txt` filter.
  [
    'a service without TXT',
    writeMessage({
      isResponse: true,
      answers: recordsOf({ name: 'bare' }).filter(
        ({ data }) => data.type !== RECORD.TXT && data.type !== RECORD.A,
      ),
    }),
  ],
  ['nothing', Buffer.alloc(0)],
  ['a cut header', header(1).subarray(0, 11)],
  ['many declared, none there', header(65535, 65535, 65535, 65535)],
  ['a name that points at itself', Buffer.concat([header(0, 1), Buffer.of(0xc0, 12, 0, 12, 0, 1)])],
  ['two names that point at each other', Buffer.concat([header(0, 1), Buffer.of(0xc0, 14, 0xc0, 12, 0, 12)])],
  ['a pointer into the header', Buffer.concat([header(1), Buffer.of(0xc0, 0, 0, 12, 0, 1)])],
  ['a label of a reserved kind', Buffer.concat([header(1), Buffer.of(0x80, 1, 0, 0, 12, 0, 1)])],
  [
    'a name longer than any may be',
    Buffer.concat([
      header(1),
      ...Array.from({ length: 6 }, () => Buffer.concat([Buffer.of(63), Buffer.alloc(63, 'a')])),
      Buffer.of(0, 0, 12, 0, 1),
    ]),
  ],
  [
    'a record longer than the packet',
    Buffer.concat([header(0, 1), SERVICE, Buffer.of(0, 12, 0, 1, 0, 0, 0, 120, 255, 255, 0)]),
  ],
  [
    'an address of three bytes',
    Buffer.concat([header(0, 1), SERVICE, Buffer.of(0, 1, 0, 1, 0, 0, 0, 120, 0, 3, 1, 2, 3)]),
  ],
  [
    'a text longer than its record',
    Buffer.concat([header(0, 1), SERVICE, Buffer.of(0, 16, 0, 1, 0, 0, 0, 120, 0, 2, 200, 65)]),
  ],
  // What bonjour-service makes of a name of 70 bytes and a text of 300, without an error.
  [
    'a label of 70 bytes',
    Buffer.concat([header(0, 1), Buffer.of(70), Buffer.alloc(70, 'a'), SERVICE, Buffer.of(0, 12, 0, 1)]),
  ],
  [
    'a text of 300 bytes, its length cut to 44',
    Buffer.concat([
      header(0, 1),
      SERVICE,
      Buffer.of(0, 16, 0, 1, 0, 0, 0, 120, 1, 45, 44),
      Buffer.alloc(300, 'x'),
    ]),
  ],
  ['another opcode', Buffer.from('0000a800000000000000000000', 'hex')],
  ['an error', Buffer.from('00008403000000000000000000', 'hex')],
]);
