import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  keyOf,
  labelText,
  type Message,
  plainData,
  RECORD,
  readMessage,
  textLabel,
  writeMessage,
} from '../../src/discovery/message.ts';
import { announcement, HOSTILE, labelsOf, question, recordsOf } from './packets.ts';

/** The answer of avahi 0.8 to a question for `_localstream._tcp`, as it came over the wire. */
const AVAHI = Buffer.from(
  '0000840000000005000000000c5f6c6f63616c73747265616d045f746370056c6f63616c00000c000100001194000b085a6fc3ab20322e30c0' +
    '0cc02f0010800100001194002609747874766572733d310f66703d51554a44524556475230684a03763d31076c6f67696e3d31c02f002180' +
    '01000000780012000000001e61096e65696768626f7572c01ec07e001c8001000000780010fd770000000000000000000000000001c07e00' +
    '0180010000007800040a4d0001',
  'hex',
);

function read(bytes: Buffer): Message {
  const message = readMessage(bytes);
  assert.ok(message);
  return message;
}

const label = fc
  .uint8Array({ minLength: 1, maxLength: 63 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
const name = fc.array(label, { minLength: 1, maxLength: 3 });
const data = fc.oneof(
  name.map((target) => ({ type: RECORD.PTR, target })),
  fc.record({ type: fc.constant(RECORD.SRV), port: fc.nat(65535), target: name }, { noNullPrototype: true }),
  fc
    .array(
      fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 4 },
    )
    .map((strings) => ({ type: RECORD.TXT, strings })),
  fc.ipV4().map((address) => ({ type: RECORD.A, address })),
);
const plain = { noNullPrototype: true };
const record = fc.record({ name, flush: fc.boolean(), ttl: fc.nat(0x7fffffff), data }, plain);

describe('a message', () => {
  test('is read as it was written, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            isResponse: fc.boolean(),
            isTruncated: fc.boolean(),
            questions: fc.array(fc.record({ name, type: fc.nat(255) }, plain), { maxLength: 4 }),
            answers: fc.array(record, { maxLength: 4 }),
            authorities: fc.array(record, { maxLength: 2 }),
            additionals: fc.array(record, { maxLength: 4 }),
          },
          plain,
        ),
        (message) => {
          assert.deepEqual(read(writeMessage(message)), message);
        },
      ),
    );
  });

  test('names IPv6 addresses in their one short form', () => {
    const bytes = announcement({ name: 'a', addresses: ['fe80::1', '2001:db8::', '::1', 'fd77:0:0:1::9'] });
    const addresses = read(bytes).answers.flatMap(({ data }) =>
      data.type === RECORD.AAAA ? [data.address] : [],
    );
    assert.deepEqual(addresses, ['fe80::1', '2001:db8::', '::1', 'fd77:0:0:1::9']);
  });

  test('keeps the letters of a name that is there in others already', () => {
    const answers = ['nas', 'NAS', 'nas'].map((label) => ({
      name: [label],
      flush: false,
      ttl: 0,
      data: { type: RECORD.PTR, target: [label, 'Local'] },
    }));
    const message = {
      isResponse: true,
      isTruncated: false,
      questions: [],
      answers,
      authorities: [],
      additionals: [],
    };
    assert.deepEqual(read(writeMessage(message)), message);
  });

  test('keeps the dots of a label', () => {
    const [pointer] = read(announcement({ name: 'v2.0 of Zoë\\' })).answers;
    assert.ok(pointer?.data.type === RECORD.PTR);
    assert.equal(labelText(pointer.data.target[0] ?? ''), 'v2.0 of Zoë\\');
    assert.notEqual(keyOf(['a.b', 'c']), keyOf(['a', 'b', 'c']));
    assert.equal(keyOf(['NaS', 'Local']), 'nas.local');
  });

  test('says nothing of a label that is not UTF-8', () => {
    assert.equal(labelText('\xff\xfe'), undefined);
    assert.equal(labelText(textLabel('日本')), '日本');
  });

  test('of avahi is understood', () => {
    const labels = labelsOf('Zoë 2.0');
    const target = ['neighbour', 'local'];
    const strings = ['txtvers=1', 'fp=QUJDREVGR0hJ', 'v=1', 'login=1'].map((one) => Buffer.from(one));
    assert.deepEqual(read(AVAHI).answers, [
      { name: labels.slice(1), flush: false, ttl: 4500, data: { type: RECORD.PTR, target: labels } },
      { name: labels, flush: true, ttl: 4500, data: { type: RECORD.TXT, strings } },
      { name: labels, flush: true, ttl: 120, data: { type: RECORD.SRV, port: 7777, target } },
      { name: target, flush: true, ttl: 120, data: { type: RECORD.AAAA, address: 'fd77::1' } },
      { name: target, flush: true, ttl: 120, data: { type: RECORD.A, address: '10.77.0.1' } },
    ]);
  });

  test('compares its records by their plain bytes', () => {
    assert.equal(
      plainData({ type: RECORD.SRV, port: 258, target: ['ab', 'local'] }).toString('hex'),
      `00000000010202616205${Buffer.from('local').toString('hex')}00`,
    );
  });
});

describe('a hostile packet', () => {
  for (const [what, bytes] of HOSTILE) {
    if (what === 'a service without TXT') continue;
    test(`is not believed: ${what}`, () => assert.equal(readMessage(bytes), undefined));
  }

  test('of any bytes is read or refused, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void readMessage(Buffer.from(bytes))),
    );
  });

  test('made of a good one by a flipped, cut or doubled byte is read or refused', () => {
    const good = writeMessage({
      isResponse: true,
      answers: recordsOf({ name: 'Zoë 2.0', addresses: ['10.0.0.1', 'fe80::1'] }),
    });
    for (let at = 0; at < good.length; at += 1) {
      for (const flip of [0x01, 0x40, 0x80, 0xc0, 0xff]) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ flip;
        readMessage(bad);
      }
      readMessage(good.subarray(0, at));
      readMessage(Buffer.concat([good.subarray(0, at), good.subarray(at - 1)]));
    }
  });

  test('that names one long name again and again is refused before it costs anything', () => {
    const long = Array.from({ length: 120 }, () => 'a');
    const records = Array.from({ length: 500 }, () => ({
      name: long,
      flush: false,
      ttl: 1,
      data: { type: RECORD.A, address: '10.0.0.1' } as const,
    }));
    const bytes = writeMessage({ isResponse: true, answers: records });
    assert.ok(bytes.length <= 9000);
    assert.equal(readMessage(bytes), undefined);
    assert.ok(readMessage(writeMessage({ isResponse: true, answers: records.slice(0, 30) })));
  });

  test('of more than 9000 bytes is refused', () => {
    const strings = Array.from({ length: 40 }, () => Buffer.alloc(255));
    const answers = [{ name: ['a'], flush: false, ttl: 1, data: { type: RECORD.TXT, strings } as const }];
    assert.equal(readMessage(writeMessage({ isResponse: true, answers })), undefined);
    assert.ok(readMessage(question()));
  });
});
