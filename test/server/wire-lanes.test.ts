/** Lanes of real transfers: who may open one, and what several and replaced ones make of a file. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { LANE_PREFACE } from '../../src/protocol/limits.ts';
import { identities } from '../crypto/fixed.ts';
import { dialLane, dialSession, dialTls, type RawSession, transferId } from './wire-dialler.ts';
import { afterwards, folderOf, machine, type Served, serve, until } from './wire-machines.ts';

/** A session with a get that waits for its lanes; their numbers. */
async function offered(session: RawSession, id: string, lanes = 1): Promise<number[]> {
  session.control.send({ type: 'get', transfer: id, paths: ['/docs/a.bin'], lanes, chunk: 1024 });
  const offer = await session.control.after();
  assert.equal(offer?.type, 'offer');
  const numbers = offer['lanes'];
  assert.ok(Array.isArray(numbers) && numbers.length === lanes);
  session.control.send({ type: 'accept', transfer: id });
  return numbers.map(Number);
}

async function withFile(
  t: TestContext,
  bytes = 50_000,
  flags = {},
): Promise<Served & { content: Buffer; folder: string }> {
  const content = randomBytes(bytes);
  const folder = folderOf(t, { 'a.bin': content });
  const served = await serve(t, { shares: [{ name: 'docs', folder, mode: 'rw' }] }, flags);
  return { ...served, content, folder };
}

/** The first frame of a lane comes: it has been taken in. */
async function works(session: RawSession, number: number): Promise<void> {
  const lane = await dialLane(session, number);
  const first = await lane.next();
  assert.equal(first?.header.type, 1);
}

suite('who may open a lane', () => {
  const refused = /the lane was refused/;

  test('each bit of the request counts', async (t) => {
    const served = await withFile(t);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    // The id, the number and the proof, a bit of each end of them.
    for (const place of [0, 15, 16, 19, 20, 51])
      await assert.rejects(
        dialLane(session, number, (request) => {
          request.writeUInt8(request.readUInt8(place) ^ 1, place);
          return request;
        }),
        refused,
      );
    assert.ok(served.refused.every((code) => code === 'BAD_HANDSHAKE'));
    // None of that has used the number up.
    await works(session, number);
  });

  test('a number is good once', async (t) => {
    const served = await withFile(t);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    await works(session, number);
    await assert.rejects(dialLane(session, number), refused);
  });

  test('a number that was not granted is none, 0 and the largest too', async (t) => {
    const served = await withFile(t);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    for (const other of [0, number - 1, number + 1, 2 ** 31, 2 ** 32 - 1])
      await assert.rejects(dialLane(session, other), refused, `${other}`);
    await works(session, number);
  });

  test('a number of another session is none, whoever has it', async (t) => {
    const served = await withFile(t);
    const { port } = served.listener;
    const one = await dialSession(port, identities.alice);
    const other = await dialSession(port, identities.mallory);
    const [number = 0] = await offered(one, transferId(1));
    await assert.rejects(dialLane(other, number), refused);
    // The id of the one with the keys of the other.
    await assert.rejects(dialLane({ port, keys: { ...other.keys, id: one.keys.id } }, number), refused);
    await works(one, number);
  });

  test('a proof is good on its own connection only', async (t) => {
    const served = await withFile(t);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    let proven: Buffer | undefined;
    await assert.rejects(
      dialLane(session, number, (request) => {
        proven = Buffer.from(request);
        // It is held back on this connection, and sent on another one.
        return Buffer.alloc(request.length);
      }),
      refused,
    );
    const moved = await dialTls(served.listener.port, undefined);
    assert.ok(proven);
    moved.socket.write(Buffer.concat([Buffer.from(LANE_PREFACE), proven]));
    await moved.ended();
    assert.equal(Buffer.concat(moved.all).length, 0);
    await works(session, number);
  });

  test('a lane shows no certificate, however sound its proof', async (t) => {
    const served = await withFile(t);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    await assert.rejects(dialLane(session, number, undefined, identities.alice), refused);
    await works(session, number);
  });

  test('with its session a lane ends, and so do its numbers', async (t) => {
    const served = await withFile(t, 5_000_000);
    const session = await dialSession(served.listener.port);
    const [first = 0, second = 0] = await offered(session, transferId(), 2);
    const lane = await dialLane(session, first);
    session.control.socket.destroy();
    await lane.reader.ended();
    await until(() => served.listener.peers.length === 0);
    await assert.rejects(dialLane(session, second), refused);
  });

  test('with its transfer a lane ends, and so do its numbers', async (t) => {
    const served = await withFile(t, 5_000_000);
    const session = await dialSession(served.listener.port);
    const [first = 0, second = 0] = await offered(session, transferId(), 2);
    const lane = await dialLane(session, first);
    session.control.send({ type: 'cancel', transfer: transferId(), flag: 425 });
    await lane.reader.ended();
    await until(() => served.listener.transfers.length === 0);
    await assert.rejects(dialLane(session, second), refused);
  });

  test('an operator who ends a session ends its lanes', async (t) => {
    const served = await withFile(t, 5_000_000);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    const lane = await dialLane(session, number);
    await served.listener.kick(session.keys.id.toString('hex'));
    await lane.reader.ended();
    assert.equal((await session.control.after())?.['flag'], 404);
  });

  test('more lanes than a transfer has room for end it, and nothing else', async (t) => {
    const served = await withFile(t, 5_000_000);
    const session = await dialSession(served.listener.port);
    const [number = 0] = await offered(session, transferId());
    await works(session, number);
    let lanes = 1;
    let ended = false;
    while (!ended && lanes < 100) {
      session.control.send({ type: 'lanes', transfer: transferId(), lanes: 16 });
      const message = await session.control.after('receipt');
      ended = message?.type === 'cancel';
      if (ended) break;
      assert.equal(message?.type, 'granted');
      for (const granted of message['lanes'] as number[]) {
        lanes += 1;
        await dialLane(session, granted).catch(() => {});
      }
    }
    assert.ok(ended && lanes <= 32, `${lanes} lanes`);
    session.control.send({ type: 'ping', request: 5 });
    assert.equal((await session.control.after('granted', 'cancel'))?.type, 'pong');
  });
});

/** Moves a file both ways with some lanes, and compares. */
async function bothWays(
  t: TestContext,
  how: { lanes: number; chunk: number; maxRecords?: number; bytes?: number },
): Promise<number> {
  const flags = {
    'lane.maxRecords': how.maxRecords ?? 8_388_608,
    'strangers.handshakes': 1000,
    'strangers.handshakesPerAddress': 1000,
  };
  const served = await withFile(t, how.bytes ?? 3_000_000, flags);
  let connections = 0;
  const client = await machine(t, 'alice', flags);
  const session = await client.connect({ host: '127.0.0.1', port: served.listener.port, acceptNew: true });
  const out = folderOf(t, {});
  const { lanes, chunk } = how;
  const original = TLSSocket.prototype.exportKeyingMaterial;
  // Each end asks for it once a connection.
  TLSSocket.prototype.exportKeyingMaterial = function (...args) {
    connections += 1;
    return original.apply(this, args);
  };
  try {
    const got = await session.get(['/docs/a.bin'], `${out}/`, { lanes, chunk, retryFor: 0 });
    assert.equal(got.code, 'OK');
    const sent = await session.put([join(out, 'a.bin')], '/docs/b.bin', { lanes, chunk, retryFor: 0 });
    assert.equal(sent.code, 'OK');
    assert.equal(sent.digest, got.digest);
  } finally {
    TLSSocket.prototype.exportKeyingMaterial = original;
  }
  assert.ok(readFileSync(join(out, 'a.bin')).equals(served.content));
  assert.ok(readFileSync(join(served.folder, 'b.bin')).equals(served.content));
  assert.deepEqual(served.failed, []);
  // What crossed the end of a transfer, a granted lane above all, has not harmed the session.
  const names: string[] = [];
  for await (const { name } of session.list('/docs')) names.push(name);
  assert.deepEqual(names.sort(), ['a.bin', 'b.bin']);
  return connections / 2;
}

suite('what lanes carry', () => {
  test('one, four and sixteen lanes give the identical file', async (t) => {
    for (const lanes of [1, 4, 16]) {
      const used = await bothWays(t, { lanes, chunk: 65_536 });
      // All may have crossed before the last of many lanes stands.
      assert.ok(used <= 2 * lanes && used > (lanes === 1 ? 1 : 2), `${used} of ${2 * lanes}`);
    }
  });

  test('a file that is there before all of its lanes are is there', async (t) => {
    const served = await withFile(t, 5, { 'strangers.handshakesPerAddress': 100 });
    const client = await machine(t, 'alice');
    const session = await client.connect({ host: '127.0.0.1', port: served.listener.port, acceptNew: true });
    const out = folderOf(t, {});
    for (let time = 0; time < 10; time += 1) {
      const options = { lanes: 16, retryFor: 0 };
      assert.equal((await session.get(['/docs/a.bin'], join(out, `${time}`), options)).code, 'OK');
      assert.equal((await session.put([join(out, `${time}`)], '/docs/', options)).code, 'OK');
    }
    assert.deepEqual(served.failed, []);
  });

  test('frames of the smallest and of the largest chunk do', async (t) => {
    await bothWays(t, { lanes: 4, chunk: 1024, bytes: 1_000_001 });
    await bothWays(t, { lanes: 2, chunk: 4_194_304, bytes: 9_000_001 });
  });

  test('a transfer crosses many lanes, each of which carries only so much', async (t) => {
    const lanes = await bothWays(t, { lanes: 1, chunk: 4096, maxRecords: 32, bytes: 2_000_000 });
    assert.ok(lanes >= 8, `${lanes} lanes`);
    const several = await bothWays(t, { lanes: 4, chunk: 16_384, maxRecords: 32, bytes: 4_000_000 });
    assert.ok(several >= 14, `${several} lanes`);
  });

  test('without the way past the stream, which a later Node might not have, the result is the same', async (t) => {
    // The one symbol by which the lanes know that the way is there.
    const original = Object.getOwnPropertySymbols;
    let hidden = 0;
    Object.getOwnPropertySymbols = (object: object) => {
      const symbols = original(object);
      if (!(object instanceof TLSSocket)) return symbols;
      hidden += 1;
      return symbols.filter(({ description }) => description !== 'kBufferCb');
    };
    afterwards(t, () => {
      Object.getOwnPropertySymbols = original;
    });
    await bothWays(t, { lanes: 2, chunk: 65_536 });
    await bothWays(t, { lanes: 1, chunk: 4096, maxRecords: 32, bytes: 1_000_000 });
    assert.ok(hidden >= 8);
  });
});
