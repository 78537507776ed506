import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { suite, type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type LaneEvents, LaneSocket, type Slot } from '../../src/net/lane-socket.ts';
import { FRAME, type FrameHeader, HEADER_BYTES, makeFrame, stampSequence } from '../../src/protocol/frame.ts';
import { hidePrivateFields, tlsPair } from './tls-pair.ts';

const LIMIT = 100_000;

interface Seen {
  readonly header: FrameHeader;
  readonly digest: string;
}

/** Takes frames into a few slots and gives each slot back when it is told to. */
class Taker implements LaneEvents {
  readonly seen: Seen[] = [];
  readonly held: Slot[] = [];
  readonly free: Slot[];
  readonly reasons: string[] = [];
  retirements = 0;
  /** Times that a lane had to wait. */
  waits = 0;
  readonly over = Promise.withResolvers<string>();

  constructor(slots: number, slotBytes = HEADER_BYTES + LIMIT) {
    const memory = new SharedArrayBuffer(slots * slotBytes);
    this.free = Array.from({ length: slots }, (_, number) => ({
      number,
      bytes: Buffer.from(memory, number * slotBytes, slotBytes),
    }));
  }

  takeSlot(): Slot | undefined {
    const slot = this.free.pop();
    if (!slot) this.waits += 1;
    return slot;
  }

  frame(_lane: LaneSocket, slot: Slot, header: FrameHeader): void {
    this.seen.push({ header, digest: sha256(slot.bytes.subarray(0, HEADER_BYTES + header.length)) });
    this.held.push(slot);
  }

  retired(): void {
    this.retirements += 1;
  }

  ended(_lane: LaneSocket, reason: { code: string }): void {
    this.reasons.push(reason.code);
    this.over.resolve(reason.code);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Frames of all sizes, numbered. */
function someFrames(count: number, largest: number): Buffer[] {
  return Array.from({ length: count }, (_, sequence) => {
    const length = sequence % 7 === 0 ? 0 : randomInt(1, sequence % 5 === 0 ? largest : 300);
    const frame = makeFrame(FRAME.data, randomBytes(length), { batch: 7, index: sequence % 65_536 });
    stampSequence(frame, sequence);
    return frame;
  });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** A lane on one end of a connection, whose other end writes bytes. */
async function lane(t: TestContext, end: 'dialled' | 'accepted', taker: Taker, limit = LIMIT, hide = false) {
  const pair = await tlsPair(t);
  const socket = pair[end];
  if (hide) hidePrivateFields(socket);
  const other: TLSSocket = end === 'dialled' ? pair.accepted : pair.dialled;
  other.resume();
  return { lane: new LaneSocket(socket, 1, limit, taker), other };
}

suite('lanes', () => {
  test('the pinned Node decrypts into slots on both ends', async (t) => {
    for (const end of ['dialled', 'accepted'] as const) {
      const { lane: made } = await lane(t, end, new Taker(1));
      assert.equal(made.direct, true, `${end}: ${process.version}`);
    }
  });

  for (const end of ['dialled', 'accepted'] as const)
    for (const hide of [false, true])
      test(`${end}, ${hide ? 'by data events' : 'into slots'}: what is written arrives, however slowly it is taken`, async (t) => {
        const taker = new Taker(2);
        const { lane: made, other } = await lane(t, end, taker, LIMIT, hide);
        assert.equal(made.direct, !hide);
        const frames = someFrames(400, LIMIT);
        // All at once: far more than the slots hold, in pieces that end anywhere.
        const bytes = Buffer.concat(frames);
        for (let offset = 0; offset < bytes.length; ) {
          const count = randomInt(1, 60_000);
          other.write(bytes.subarray(offset, offset + count));
          offset += count;
        }
        while (taker.seen.length < frames.length) {
          await until(() => taker.held.length > 0 || taker.seen.length === frames.length);
          // Both slots are taken for a while, so that the lane stands still with bytes under way.
          await until(() => taker.free.length === 0 || taker.seen.length === frames.length);
          taker.free.push(...taker.held.splice(0));
          made.resume();
        }
        assert.deepEqual(
          taker.seen.map(({ digest }) => digest),
          frames.map(sha256),
        );
        assert.ok(taker.waits > 20, 'it never had to wait');
        assert.deepEqual(taker.reasons, []);
        made.destroy();
      });

  const spoiled: [name: string, code: string, bytes: () => Buffer][] = [
    ['an unknown type', 'BAD_MESSAGE', () => headerOf(1, 99)],
    ['a type of 0', 'BAD_MESSAGE', () => headerOf(1, 0)],
    ['one byte over the limit', 'LIMIT', () => headerOf(LIMIT + 1, FRAME.data)],
    ['2^31 bytes', 'LIMIT', () => headerOf(2 ** 31, FRAME.data)],
    ['2^32 - 1 bytes', 'LIMIT', () => headerOf(2 ** 32 - 1, FRAME.data)],
    ['a manifest over its own bound', 'LIMIT', () => headerOf(65_537, FRAME.manifest)],
    ['retire with bytes', 'BAD_MESSAGE', () => headerOf(1, FRAME.retire)],
    ['a frame after retire', 'BAD_MESSAGE', () => Buffer.concat([headerOf(0, FRAME.retire), numbered(0)])],
    ['the same number twice', 'BAD_MESSAGE', () => Buffer.concat([numbered(3), numbered(3)])],
    ['a number that goes back', 'BAD_MESSAGE', () => Buffer.concat([numbered(3), numbered(2)])],
  ];
  for (const hide of [false, true])
    for (const [name, code, bytes] of spoiled)
      test(`${name}: ${code}${hide ? ', by data events' : ''}`, async (t) => {
        const taker = new Taker(4);
        const { other } = await lane(t, 'accepted', taker, LIMIT, hide);
        other.write(bytes());
        assert.equal(await taker.over.promise, code);
        assert.deepEqual(taker.reasons, [code]);
      });

  test('a frame that fits the bound and not the slot is refused before its bytes', async (t) => {
    for (const hide of [false, true]) {
      const taker = new Taker(4, HEADER_BYTES + 1000);
      const { other } = await lane(t, 'accepted', taker, LIMIT, hide);
      other.write(Buffer.concat([headerOf(1001, FRAME.data), Buffer.alloc(1001)]));
      assert.equal(await taker.over.promise, 'LIMIT');
      assert.equal(taker.seen.length, 0);
    }
  });

  test('a connection that is cut at any byte of a frame is lost, and no part of the frame counts', async (t) => {
    const frame = makeFrame(FRAME.data, Buffer.alloc(5, 1));
    for (let cut = 0; cut < frame.length; cut += 1) {
      const taker = new Taker(1);
      const { other } = await lane(t, 'dialled', taker);
      other.end(frame.subarray(0, cut));
      assert.equal(await taker.over.promise, 'LOST');
      assert.equal(taker.seen.length, 0, `${cut}`);
    }
  });

  test('frames that wait when the connection ends still count', async (t) => {
    for (const hide of [false, true]) {
      const taker = new Taker(1);
      const { lane: made, other } = await lane(t, 'accepted', taker, LIMIT, hide);
      other.end(Buffer.concat([numbered(0), numbered(1), headerOf(0, FRAME.retire)]));
      await until(() => taker.seen.length === 1 && taker.waits > 0);
      taker.free.push(...taker.held.splice(0));
      made.resume();
      await until(() => taker.retirements === 1);
      assert.equal(taker.seen.length, 2);
    }
  });

  test('both ends retire a lane, and it closes without an error', async (t) => {
    const { dialled, accepted } = await tlsPair(t);
    const takers = [new Taker(1), new Taker(1)] as const;
    const one = new LaneSocket(dialled, 1, LIMIT, takers[0]);
    const other = new LaneSocket(accepted, 1, LIMIT, takers[1]);
    one.write(numbered(0), 0, () => {});
    one.retire();
    await until(() => takers[1].retirements === 1);
    assert.equal(takers[1].seen.length, 1, 'what was written before counts');
    other.retire();
    await until(() => dialled.destroyed && accepted.destroyed);
    assert.deepEqual([takers[0].reasons, takers[1].reasons], [[], []]);
    assert.equal(one.idle, false);
  });

  test('records are counted both ways, so that a lane is replaced in time', async (t) => {
    const { dialled, accepted } = await tlsPair(t);
    const taker = new Taker(3);
    const writer = new LaneSocket(dialled, 1, LIMIT, new Taker(1));
    const reader = new LaneSocket(accepted, 1, LIMIT, taker);
    for (const sequence of [0, 1, 2]) {
      const frame = makeFrame(FRAME.data, Buffer.alloc(LIMIT));
      await new Promise<void>((resolve) => writer.write(frame, sequence, resolve));
    }
    await until(() => taker.seen.length === 3);
    assert.equal(writer.records, 3 * Math.ceil((LIMIT + HEADER_BYTES) / 16_384));
    assert.ok(reader.records >= writer.records, `${reader.records}`);
    writer.destroy();
    reader.destroy();
  });
});

function headerOf(length: number, type: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  header.writeUInt8(type, 4);
  return header;
}

function numbered(sequence: number): Buffer {
  const frame = makeFrame(FRAME.data, Buffer.from('bytes'));
  stampSequence(frame, sequence);
  return frame;
}
