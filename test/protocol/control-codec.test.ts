import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { LocalstreamError } from '../../src/errors.ts';
import {
  ControlDecoder,
  encodeControl,
  MAX_MESSAGE,
  MAX_STRANGER_MESSAGE,
} from '../../src/protocol/control-codec.ts';

const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

function framed(body: Uint8Array, length = body.length): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, body]);
}

/** The body of message 0 with just so many bytes. */
const bodyOf = (length: number): Buffer => Buffer.from(`{"n":0,"t":"${'x'.repeat(length - 14)}"}`);

suite('framing of control messages', () => {
  for (const [who, limit] of [
    ['a stranger', MAX_STRANGER_MESSAGE],
    ['a peer', MAX_MESSAGE],
  ] as const)
    test(`lengths for ${who}: ${limit} bytes and no more`, () => {
      const decoder = () => Object.assign(new ControlDecoder(), { limit });
      // Refused by the length alone: nothing is waited for, and nothing set aside.
      for (const length of [0, limit + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
        assert.throws(
          () => decoder().push(framed(Buffer.alloc(0), length)),
          isCode('BAD_MESSAGE'),
          `${length}`,
        );
      assert.throws(() => decoder().push(framed(Buffer.from('0'))), isCode('BAD_MESSAGE'));
      assert.equal(decoder().push(framed(bodyOf(limit)))[0]?.bytes.length, limit);
      assert.deepEqual(decoder().push(framed(bodyOf(limit)).subarray(0, -1)), []);
    });

  test('each message has the number that is due', () => {
    for (const numbers of [[1], [0, 0], [0, 2], [0, 1, 1], [-1], [0.5], [2 ** 53]]) {
      const decoder = new ControlDecoder();
      assert.throws(() => {
        for (const n of numbers) decoder.push(framed(Buffer.from(JSON.stringify({ n }))));
      }, isCode('BAD_MESSAGE'));
    }
  });

  test('however they are cut, the same messages come', () => {
    const message = fc.record({ type: fc.string(), text: fc.string({ unit: 'binary', maxLength: 300 }) });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 20 }),
        fc.array(fc.nat(400), { minLength: 1 }),
        (sent, cuts) => {
          const bytes = Buffer.concat(sent.map((one, number) => encodeControl(number, one).frame));
          const decoder = new ControlDecoder();
          const found: unknown[] = [];
          let offset = 0;
          for (let turn = 0; offset < bytes.length; turn += 1) {
            const length = 1 + (cuts[turn % cuts.length] ?? 0);
            // A copy, since sockets reuse nothing but tests could.
            for (const { value } of decoder.push(Buffer.from(bytes.subarray(offset, offset + length))))
              found.push(value);
            offset += length;
          }
          assert.deepEqual(
            found,
            sent.map((one, n) => ({ n, ...JSON.parse(JSON.stringify(one)) })),
          );
        },
      ),
    );
  });

  test('what was handed out is not written over by what follows', () => {
    const decoder = new ControlDecoder();
    const two = Buffer.concat([0, 1].map((n) => encodeControl(n, { text: `${n}`.repeat(50) }).frame));
    const [first] = decoder.push(two.subarray(0, 80));
    assert.ok(first);
    const before = first.bytes.toString();
    for (const byte of two.subarray(80)) decoder.push(Buffer.of(byte));
    decoder.push(encodeControl(2, { text: 'x'.repeat(500) }).frame);
    assert.equal(first.bytes.toString(), before);
  });

  test('trickled bytes cost about as much memory as they are', () => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    assert.ok(typeof collect === 'function');
    const used = () => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const decoder = Object.assign(new ControlDecoder(), { limit: MAX_MESSAGE });
    const bytes = framed(bodyOf(MAX_MESSAGE));
    const before = used();
    for (const byte of bytes.subarray(0, -1)) decoder.push(Buffer.of(byte));
    const grown = used() - before;
    assert.ok(grown < 8 * MAX_MESSAGE, `${grown} bytes for ${MAX_MESSAGE}`);
    assert.equal(decoder.push(bytes.subarray(-1))[0]?.bytes.length, MAX_MESSAGE);
  });

  test('deep nesting is a message like any other, and no way to crash', () => {
    const depth = 100_000;
    const body = Buffer.from(`{"n":0,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`);
    const decoder = Object.assign(new ControlDecoder(), { limit: MAX_MESSAGE });
    assert.equal(decoder.push(framed(body)).length, 1);
  });

  test('names that objects have are fields like any other', () => {
    const [raw] = new ControlDecoder().push(
      framed(Buffer.from('{"n":0,"__proto__":{"n":7},"constructor":1}')),
    );
    assert.ok(raw && typeof raw.value === 'object' && raw.value !== null);
    assert.equal(Object.getPrototypeOf(raw.value), Object.prototype);
  });

  test('a message of ours that is too long is refused here', () => {
    assert.throws(() => encodeControl(0, { text: 'x'.repeat(MAX_MESSAGE) }), isCode('LIMIT'));
    const longest = encodeControl(0, { t: 'x'.repeat(MAX_MESSAGE - 14) });
    assert.equal(longest.body.length, MAX_MESSAGE);
    assert.equal(longest.frame.readUInt32BE(0), MAX_MESSAGE);
  });

  test('bytes that are not UTF-8 are kept by their escapes', () => {
    const { body } = encodeControl(0, { path: '/caf\udce9' });
    assert.equal(body.toString('latin1'), '{"n":0,"path":"/caf\\udce9"}');
    const [raw] = new ControlDecoder().push(framed(body));
    assert.deepEqual(raw?.value, { n: 0, path: '/caf\udce9' });
  });
});
