import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { suite, type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { LaneGroup, type LaneGroupOptions } from '../../src/net/lane-group.ts';
import type { Slot } from '../../src/net/lane-socket.ts';
import {
  FRAME,
  type FrameHeader,
  type FrameType,
  HEADER_BYTES,
  makeFrame,
  SEQUENCE_MODULUS,
  sequenceDistance,
  stampSequence,
} from '../../src/protocol/frame.ts';
import { hidePrivateFields, tlsPair } from './tls-pair.ts';

const LIMIT = 65_536;

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function slotsOf(count: number): Slot[] {
  return Array.from({ length: count }, (_, number) => ({
    number,
    bytes: Buffer.allocUnsafeSlow(HEADER_BYTES + LIMIT),
  }));
}

interface Received {
  readonly sequence: number;
  readonly payload: string;
}

/** One end: a group, and what it says. Slots are given back at once unless `hold`. */
class End {
  readonly group: LaneGroup;
  readonly received: Received[] = [];
  readonly held: Slot[] = [];
  readonly reasons: string[] = [];
  readonly over = Promise.withResolvers<string>();
  worn = 0;
  hold = false;

  constructor(slots: number, options: Partial<LaneGroupOptions> = {}) {
    this.group = new LaneGroup(
      { limit: LIMIT, slots: slotsOf(slots), maxRecords: 2 ** 23, patience: 60_000, ...options },
      {
        frame: (slot, header: FrameHeader) => {
          const payload = sha256(slot.bytes.subarray(HEADER_BYTES, HEADER_BYTES + header.length));
          this.received.push({ sequence: header.sequence, payload });
          if (this.hold) this.held.push(slot);
          else setImmediate(() => this.group.release(slot));
        },
        worn: () => {
          this.worn += 1;
        },
        ended: ({ code }) => {
          this.reasons.push(code);
          this.over.resolve(code);
        },
      },
    );
  }

  releaseAll(): void {
    for (const slot of this.held.splice(0)) this.group.release(slot);
  }
}

/** A group at one end of some connections; the other ends are written by hand. */
async function byHand(t: TestContext, lanes: number, slots: number, options: Partial<LaneGroupOptions> = {}) {
  const end = new End(slots, options);
  t.after(() => end.group.close());
  const others: TLSSocket[] = [];
  for (let number = 0; number < lanes; number += 1) {
    const { dialled, accepted } = await tlsPair(t);
    others.push(dialled);
    dialled.resume();
    end.group.add(accepted, number);
  }
  const other = (index: number): TLSSocket => {
    const socket = others[index];
    assert.ok(socket);
    return socket;
  };
  return { end, others, other };
}

function frame(
  sequence: number,
  payload: Uint8Array = Buffer.from([sequence & 0xff]),
  type: FrameType = FRAME.data,
) {
  const made = makeFrame(type, payload);
  stampSequence(made, sequence);
  return made;
}

const retire = (): Buffer => frame(0, Buffer.alloc(0), FRAME.retire);

suite('numbers of frames', () => {
  test('they begin again after 2^32 and stay in order', () => {
    assert.equal(sequenceDistance(SEQUENCE_MODULUS - 1, 0), 1);
    assert.equal(sequenceDistance(0, SEQUENCE_MODULUS - 1), -1);
    assert.equal(sequenceDistance(5, 5), 0);
    assert.equal(sequenceDistance(0, 2 ** 31 - 1), 2 ** 31 - 1);
    assert.equal(sequenceDistance(0, 2 ** 31), -(2 ** 31));
  });
});

suite('the lanes of a transfer', () => {
  for (const lanes of [1, 2, 4, 16])
    for (const hide of [false, true])
      test(`${lanes} of them carry one ordered stream${hide ? ', by data events' : ''}`, async (t) => {
        const source = new End(lanes + 2);
        // The fewest slots that a transfer gives its lanes.
        const target = new End(lanes + 2);
        for (let number = 0; number < lanes; number += 1) {
          const { dialled, accepted } = await tlsPair(t);
          if (hide) hidePrivateFields(accepted);
          source.group.add(dialled, number);
          target.group.add(accepted, number);
        }
        const sent = Array.from({ length: 1500 }, (_, index) =>
          randomBytes(randomInt(0, index % 50 === 0 ? LIMIT : 200)),
        );
        for (const payload of sent) source.group.send(makeFrame(FRAME.data, payload));
        await until(() => target.received.length === sent.length || target.reasons.length > 0);
        assert.deepEqual(target.reasons, []);
        assert.deepEqual(
          target.received.map(({ payload }) => payload),
          sent.map(sha256),
        );
        assert.deepEqual(
          target.received.map(({ sequence }) => sequence),
          sent.map((_, index) => index),
        );
        source.group.close();
        target.group.close();
      });

  test('both directions at once, while lanes are replaced again and again', async (t) => {
    const ends = [new End(5, { maxRecords: 16 }), new End(5, { maxRecords: 16 })] as const;
    const connect = async (number: number): Promise<void> => {
      const { dialled, accepted } = await tlsPair(t);
      // The listener has a lane first, as in a session.
      ends[1].group.add(accepted, number);
      ends[0].group.add(dialled, number);
    };
    await connect(0);
    await connect(1);
    const sent: Buffer[] = [];
    const arrived = () =>
      ends.every(({ received, reasons }) => received.length === sent.length || reasons.length > 0);
    let most = 0;
    for (let lanes = 2; lanes < 20; lanes += 1) {
      // The first end asks, as a dialler does, once a lane of its own is worn.
      while (ends[0].worn < lanes - 1) {
        const payload = randomBytes(randomInt(1, 3000));
        sent.push(payload);
        for (const end of ends) end.group.send(makeFrame(FRAME.data, payload));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const connecting = connect(lanes);
      for (const end of ends) end.group.send(makeFrame(FRAME.data, Buffer.from('meanwhile')));
      sent.push(Buffer.from('meanwhile'));
      await connecting;
      most = Math.max(most, ends[0].group.size, ends[1].group.size);
    }
    await until(arrived);
    for (const { received, reasons } of ends) {
      assert.deepEqual(reasons, []);
      assert.deepEqual(
        received.map(({ payload }) => payload),
        sent.map(sha256),
      );
    }
    assert.ok(most <= 4, `${most} lanes at once`);
    for (const { group } of ends) group.close();
  });

  test('a lane that is far behind holds up the others, and nothing is lost or refused', async (t) => {
    const { end, other } = await byHand(t, 2, 4);
    // One lane has frames 0, 2, 4, …; the other one's are all there long before them.
    const odd = Buffer.concat(Array.from({ length: 500 }, (_, index) => frame(2 * index + 1)));
    other(1).write(odd);
    await new Promise((resolve) => other(1).write('', resolve));
    assert.equal(end.received.length, 0);
    for (let index = 0; index < 500; index += 1) other(0).write(frame(2 * index));
    await until(() => end.received.length === 1000 || end.reasons.length > 0);
    assert.deepEqual(end.reasons, []);
    assert.deepEqual(
      end.received.map(({ sequence }) => sequence),
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });

  test('no more is taken than there are slots, until they are given back', async (t) => {
    const { end, other } = await byHand(t, 1, 3);
    end.hold = true;
    for (let sequence = 0; sequence < 50; sequence += 1) other(0).write(frame(sequence, Buffer.alloc(LIMIT)));
    await until(() => end.held.length === 3);
    // A turn of the event loop for each frame that may not come.
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(end.received.length, 3);
    while (end.received.length < 50) {
      end.releaseAll();
      await until(() => end.held.length > 0);
    }
    assert.deepEqual(end.reasons, []);
  });

  test('a frame that came already is refused, on its own lane or on another one', async (t) => {
    for (const lane of [0, 1]) {
      const { end, other } = await byHand(t, 2, 5);
      other(0).write(Buffer.concat([frame(0), frame(1)]));
      await until(() => end.received.length === 2);
      other(lane).write(frame(1));
      assert.equal(await end.over.promise, 'BAD_MESSAGE');
      assert.equal(end.received.length, 2);
    }
  });

  test('a frame that waits may not come a second time', async (t) => {
    const { end, other } = await byHand(t, 2, 6);
    other(0).write(frame(2));
    other(1).write(frame(2));
    assert.equal(await end.over.promise, 'BAD_MESSAGE');
    assert.equal(end.received.length, 0);
  });

  test('a frame that never comes ends it, though other frames do', async (t) => {
    const { end, other } = await byHand(t, 2, 6, { patience: 100 });
    other(0).write(Buffer.concat([frame(0), frame(2)]));
    other(1).write(frame(3));
    assert.equal(await end.over.promise, 'BAD_MESSAGE');
    assert.deepEqual(
      end.received.map(({ sequence }) => sequence),
      [0],
    );
  });

  test('a lane that is not here yet may bring the frame that is missing', async (t) => {
    const { end, other } = await byHand(t, 1, 6, { patience: 60_000 });
    other(0).write(Buffer.concat([frame(0), frame(2)]));
    await until(() => end.received.length === 1);
    const { dialled, accepted } = await tlsPair(t);
    dialled.write(Buffer.concat([frame(1), frame(3)]));
    end.group.add(accepted, 9);
    await until(() => end.received.length === 4);
    assert.deepEqual(end.reasons, []);
  });

  test('the last lane may be retired when another one follows', async (t) => {
    const { end, other } = await byHand(t, 1, 4);
    other(0).write(Buffer.concat([frame(0), retire()]));
    await until(() => end.group.size === 0);
    const { dialled, accepted } = await tlsPair(t);
    dialled.write(frame(1));
    end.group.add(accepted, 1);
    await until(() => end.received.length === 2);
    assert.deepEqual(end.reasons, []);
  });

  test('the last lane may not be retired for good', async (t) => {
    const { end, other } = await byHand(t, 1, 4, { patience: 100 });
    other(0).write(retire());
    assert.equal(await end.over.promise, 'BAD_MESSAGE');
  });

  test('more lanes than slots are refused', async (t) => {
    const { end } = await byHand(t, 3, 3);
    const { dialled, accepted } = await tlsPair(t);
    end.group.add(accepted, 3);
    assert.equal(await end.over.promise, 'LIMIT');
    assert.equal(accepted.destroyed, true);
    dialled.destroy();
  });

  test('a lane that comes when all is over is closed', async (t) => {
    const { end, others } = await byHand(t, 2, 5);
    end.group.close();
    await until(() => others.every((socket) => socket.destroyed || socket.readableEnded));
    const { accepted } = await tlsPair(t);
    end.group.add(accepted, 2);
    assert.equal(accepted.destroyed, true);
    assert.deepEqual(end.reasons, []);
  });

  test('a lane that breaks is told of once', async (t) => {
    const { end, other } = await byHand(t, 2, 5);
    other(0).destroy();
    assert.equal(await end.over.promise, 'LOST');
    assert.deepEqual(end.reasons, ['LOST']);
    assert.equal(end.group.size, 1);
  });
});
