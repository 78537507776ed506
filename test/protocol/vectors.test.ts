/** Replays the vectors of the wire: whole, cut at each byte, and with each byte changed. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type * as v from 'valibot';
import { LocalstreamError } from '../../src/errors.ts';
import { ControlDecoder, encodeControl, type RawMessage } from '../../src/protocol/control-codec.ts';
import { type FrameType, HEADER_BYTES, readHeader, writeHeader } from '../../src/protocol/frame.ts';
import {
  type AnswerCode,
  type EntryKind,
  encodeAnswers,
  encodeBasis,
  encodeDone,
  encodeEnd,
  encodeFailed,
  encodeResult,
  readAnswers,
  readBasis,
  readDone,
  readEnd,
  readEntries,
  readFailed,
  readPack,
  readResults,
  readSame,
} from '../../src/protocol/manifest.ts';
import {
  ADMIT,
  CONFIRM,
  checkMessage,
  checkSessionMessage,
  encodeBytes,
  HELLO_CLIENT,
  HELLO_SERVER,
  INTRODUCE,
  PAIR,
  PAIR_SHARE,
  PAIR_TAG,
  SHARE_CLIENT,
  SHARE_SERVER,
} from '../../src/protocol/messages.ts';
import frames from '../vectors/frames.json' with { type: 'json' };
import manifest from '../vectors/manifest.json' with { type: 'json' };
import messages from '../vectors/messages.json' with { type: 'json' };
import { packAgain, sameAgain, writeEntries } from './payloads.ts';

const SCHEMAS: Readonly<Record<string, v.GenericSchema>> = {
  'client hello': HELLO_CLIENT,
  'server hello': HELLO_SERVER,
  'client share': SHARE_CLIENT,
  'server share': SHARE_SERVER,
  confirm: CONFIRM,
  pair: PAIR,
  'pair share': PAIR_SHARE,
  'pair tag': PAIR_TAG,
  introduce: INTRODUCE,
  admit: ADMIT,
};

/** What the checks of a step make of a message. */
function checked(step: string, value: unknown): unknown {
  const schema = SCHEMAS[step];
  return schema === undefined ? checkSessionMessage(value) : checkMessage(schema, value);
}

/** The frame of a checked message, as we would send it. */
function encodedAgain(message: unknown): Buffer {
  assert.ok(typeof message === 'object' && message !== null && 'n' in message);
  const { n, ...rest } = message;
  const fields = Object.entries(rest).map(([key, value]) => [
    key,
    value instanceof Uint8Array ? encodeBytes(value) : value,
  ]);
  return encodeControl(Number(n), Object.fromEntries(fields)).frame;
}

/** A decoder that has seen so many messages. */
function decoderAt(number: number): ControlDecoder {
  const decoder = new ControlDecoder();
  for (let n = 0; n < number; n += 1) decoder.push(encodeControl(n, {}).frame);
  return decoder;
}

function isCode(...codes: readonly string[]): (error: unknown) => boolean {
  return (error) => error instanceof LocalstreamError && codes.includes(error.code);
}

/** A message as JSON has it, where -0 is 0. */
const asJson = (message: unknown): unknown => JSON.parse(JSON.stringify(message));

/** Runs `read` on a changed copy for each byte: either it is refused, or what is read is written the same again. */
function changeEachByte(
  bytes: Buffer,
  read: (changed: Buffer) => Buffer,
  same?: (a: Buffer, b: Buffer) => boolean,
): void {
  for (let place = 0; place < bytes.length; place += 1)
    for (const change of [0x01, 0x20, 0x80, 0xff]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(place) ^ change, place);
      let again: Buffer;
      try {
        again = read(changed);
      } catch (error) {
        assert.ok(isCode('BAD_MESSAGE', 'LIMIT')(error), `byte ${place} ^ ${change}: ${error}`);
        continue;
      }
      assert.ok(same ? same(changed, again) : changed.equals(again), `byte ${place} ^ ${change}`);
    }
}

suite('messages.json', () => {
  for (const [name, { step, n, body, frame }] of Object.entries(messages.cases)) {
    const bytes = Buffer.from(frame, 'hex');

    test(`${name}: whole, in pieces and cut`, () => {
      assert.equal(bytes.subarray(4).toString(), body);
      const [raw, ...none] = decoderAt(n).push(bytes);
      assert.ok(raw && none.length === 0);
      assert.equal(raw.bytes.toString(), body);
      assert.deepEqual(encodedAgain(checked(step, raw.value)), bytes);
      const decoder = decoderAt(n);
      for (const [place, byte] of bytes.entries()) {
        const found: RawMessage[] = decoder.push(Buffer.of(byte));
        assert.equal(found.length, place === bytes.length - 1 ? 1 : 0, `byte ${place}`);
        if (found[0]) assert.deepEqual(found[0].value, raw.value);
      }
    });

    test(`${name}: each byte changed`, () => {
      // Unknown fields are dropped and JSON has several spellings: what is read again has to mean the same.
      const meaning = (whole: Buffer) => checked(step, JSON.parse(whole.subarray(4).toString()));
      changeEachByte(
        bytes,
        (changed) => {
          const found = decoderAt(n).push(changed);
          // A shorter length leaves bytes for another message, a longer one waits for more.
          return found[0] ? encodedAgain(checked(step, found[0].value)) : changed;
        },
        (changed, again) => {
          if (changed.readUInt32BE(0) > bytes.length - 4) return changed.equals(again);
          assert.deepEqual(encodedAgain(meaning(again)), again);
          assert.deepEqual(asJson(meaning(again)), asJson(meaning(changed)));
          return true;
        },
      );
    });
  }

  for (const [name, { step, body }] of Object.entries(messages.mustFail))
    test(`must fail: ${name}`, () => {
      assert.throws(() => checked(step, JSON.parse(body)), isCode('BAD_MESSAGE'));
    });

  for (const [name, bytes] of Object.entries(messages.brokenFrames))
    test(`broken frame: ${name}`, () => {
      assert.throws(() => new ControlDecoder().push(Buffer.from(bytes, 'hex')), isCode('BAD_MESSAGE'));
    });
});

suite('frames.json', () => {
  for (const [name, { limit, header, bytes }] of Object.entries(frames.cases))
    test(name, () => {
      const whole = Buffer.from(bytes, 'hex');
      assert.equal(whole.length, HEADER_BYTES);
      const read = readHeader(whole, limit);
      assert.deepEqual(read, header);
      const written = Buffer.alloc(HEADER_BYTES);
      writeHeader(written, { ...header, type: header.type as FrameType });
      assert.deepEqual(written, whole);
      changeEachByte(whole, (changed) => {
        const again = Buffer.alloc(HEADER_BYTES);
        writeHeader(again, readHeader(changed, limit));
        return again;
      });
      for (let cut = 0; cut < HEADER_BYTES; cut += 1)
        assert.throws(() => readHeader(whole.subarray(0, cut), limit), RangeError);
    });

  for (const [name, { limit, code, bytes }] of Object.entries(frames.mustFail))
    test(`must fail: ${name}`, () => {
      assert.throws(() => readHeader(Buffer.from(bytes, 'hex'), limit), isCode(code));
    });
});

const fromHex = (text: string): Buffer => Buffer.from(text, 'hex');
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Reads a payload and writes it again. */
type Codec = (payload: Buffer) => Buffer;

function writtenAgain(read: Codec, cases: Readonly<Record<string, { payload: string }>>): void {
  for (const [name, { payload }] of Object.entries(cases))
    test(`${name}: whole, cut and changed`, () => {
      const whole = fromHex(payload);
      assert.deepEqual(read(whole), whole);
      changeEachByte(whole, read);
      for (let cut = 0; cut < whole.length; cut += 1) {
        const part = whole.subarray(0, cut);
        try {
          // A batch or a list that ends with an entry is one, and then it is written the same.
          assert.deepEqual(read(part), part);
        } catch (error) {
          assert.ok(isCode('BAD_MESSAGE')(error), `${cut} bytes: ${error}`);
        }
      }
    });
}

function refused(read: Codec, mustFail: Readonly<Record<string, string>>): void {
  for (const [name, payload] of Object.entries(mustFail))
    test(`must fail: ${name}`, () => {
      assert.throws(() => read(fromHex(payload)), isCode('BAD_MESSAGE'));
    });
}

suite('manifest.json: manifest', () => {
  const { cases, mustFail } = manifest.manifest;
  const read: Codec = (payload) => writeEntries(readEntries(payload));
  for (const [name, { payload, entries }] of Object.entries(cases))
    test(`${name}: entries`, () => {
      const found = readEntries(fromHex(payload));
      const shown = found.map((entry) => ({ ...entry, name: toHex(entry.name), extra: toHex(entry.extra) }));
      assert.deepEqual(shown, entries);
      const given = entries.map(({ kind, mode, mtime, size, name: bytes, extra, ...flags }) => ({
        kind: kind as EntryKind,
        mode,
        mtime,
        size,
        name: fromHex(bytes),
        extra: fromHex(extra),
        ...('linked' in flags && { linked: true as const }),
        ...('stored' in flags && typeof flags.stored === 'number' && { stored: flags.stored }),
      }));
      assert.equal(toHex(writeEntries(given)), payload);
    });
  writtenAgain(read, cases);
  refused(read, mustFail);

  test('a batch has 1024 entries at the most', () => {
    const leave = fromHex(cases['a folder and what is in it'].payload).subarray(-24);
    assert.equal(readEntries(leave).length, 1);
    const most = Buffer.concat(Array.from({ length: 1024 }, () => leave));
    assert.equal(readEntries(most).length, 1024);
    assert.throws(() => readEntries(Buffer.concat([most, leave])), isCode('BAD_MESSAGE'));
  });
});

suite('manifest.json: pack', () => {
  const { cases, mustFail } = manifest.pack;
  for (const [name, { payload, files }] of Object.entries(cases))
    test(`${name}: files`, () => {
      const found = [...readPack(fromHex(payload))];
      const shown = found.map(({ index, digest, bytes }) => ({
        index,
        digest: toHex(digest),
        bytes: toHex(bytes),
      }));
      assert.deepEqual(shown, files);
    });
  writtenAgain(packAgain, cases);
  refused(packAgain, mustFail);
});

suite('manifest.json: answer', () => {
  const { cases, mustFail } = manifest.answer;
  for (const [name, { payload, count, answers }] of Object.entries(cases)) {
    test(`${name}: answers`, () => {
      const found = readAnswers(fromHex(payload), count);
      const shown = found.map(({ code, digest }) => ({ code, ...(digest && { digest: toHex(digest) }) }));
      assert.deepEqual(shown, answers);
      const given = answers.map((answer) => ({
        code: answer.code as AnswerCode,
        ...('digest' in answer && { digest: fromHex(answer.digest) }),
      }));
      assert.equal(toHex(encodeAnswers(given)), payload);
    });
    suite(name, () =>
      writtenAgain((bytes) => encodeAnswers(readAnswers(bytes, count)), { [name]: { payload } }),
    );
  }
  refused((payload) => encodeAnswers(readAnswers(payload, 5)), mustFail);
});

suite('manifest.json: basis', () => {
  const { cases, mustFail } = manifest.basis;
  const read: Codec = (payload) => encodeBasis(readBasis(payload));
  for (const [name, { payload, first, digests }] of Object.entries(cases))
    test(`${name}: pieces`, () => {
      assert.deepEqual(readBasis(fromHex(payload)), { first, digests: fromHex(digests) });
    });
  writtenAgain(read, cases);
  refused(read, mustFail);
});

suite('manifest.json: result', () => {
  const { cases, mustFail } = manifest.result;
  const read: Codec = (payload) => Buffer.concat(readResults(payload).map(encodeResult));
  for (const [name, { payload, results }] of Object.entries(cases))
    test(`${name}: results`, () => {
      const shown = readResults(fromHex(payload)).map(({ digest, note, ...rest }) => ({
        ...rest,
        digest: toHex(digest),
        note: toHex(note),
      }));
      assert.deepEqual(shown, results);
    });
  writtenAgain(read, cases);
  refused(read, mustFail);
});

suite('manifest.json: end, same, failed, done', () => {
  const { end, same, failed, done } = manifest;
  const readers: Readonly<Record<string, Codec>> = {
    end: (payload) => {
      const { size, digest } = readEnd(payload);
      return encodeEnd(size, digest);
    },
    failed: (payload) => {
      const { flag, reason } = readFailed(payload);
      return encodeFailed(flag, reason);
    },
    done: (payload) => {
      const found = readDone(payload);
      return encodeDone(found.batches, found.entries, found.manifestDigest);
    },
    same: sameAgain,
  };
  for (const [kind, group] of Object.entries({ end, same, failed, done })) {
    const read = readers[kind];
    assert.ok(read);
    suite(kind, () => {
      writtenAgain(read, group.cases);
      refused(read, group.mustFail);
    });
  }

  test('what they say', () => {
    for (const { payload, size, digest } of Object.values(end.cases))
      assert.deepEqual(readEnd(fromHex(payload)), { size, digest: fromHex(digest) });
    for (const { payload, rows } of Object.values(same.cases))
      assert.deepEqual(
        readSame(fromHex(payload)),
        rows.map(({ index, digest }) => ({ index, digest: fromHex(digest) })),
      );
    for (const { payload, flag, reason } of Object.values(failed.cases))
      assert.deepEqual(readFailed(fromHex(payload)), { flag, reason });
    for (const { payload, batches, entries, digest } of Object.values(done.cases))
      assert.deepEqual(readDone(fromHex(payload)), { batches, entries, manifestDigest: fromHex(digest) });
  });
});
