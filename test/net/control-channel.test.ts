import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { errorOf, LocalstreamError } from '../../src/errors.ts';
import { ControlChannel } from '../../src/net/control-channel.ts';
import { MAX_MESSAGE, MAX_STRANGER_MESSAGE } from '../../src/protocol/control-codec.ts';

/** A channel at one end of a connection; the other end is bare. */
async function channel(t: TestContext): Promise<{ channel: ControlChannel; other: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const other = connect({ port: address.port, host: '127.0.0.1' });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  server.close();
  other.on('error', () => {});
  t.after(() => {
    other.destroy();
    accepted.destroy();
  });
  return { channel: new ControlChannel(accepted), other };
}

function encoded(number: number, message: object): Buffer {
  return framed(Buffer.from(JSON.stringify({ n: number, ...message })));
}

function framed(body: Uint8Array, length = body.length): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, body]);
}

const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

/** What the other end reads until it is closed. */
async function readAll(other: Socket): Promise<Record<string, unknown>[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of other) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const messages: Record<string, unknown>[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const end = offset + 4 + bytes.readUInt32BE(offset);
    messages.push(JSON.parse(bytes.toString('utf8', offset + 4, end)));
    offset = end;
  }
  return messages;
}

suite('the control channel', () => {
  test('messages come in order, however they are cut', async (t) => {
    const { channel: control, other } = await channel(t);
    const bytes = Buffer.concat(
      [0, 1, 2].map((number) => encoded(number, { type: 'ping', request: number })),
    );
    for (const byte of bytes) other.write(Uint8Array.of(byte));
    for (const number of [0, 1, 2])
      assert.deepEqual((await control.receive()).value, { n: number, type: 'ping', request: number });
  });

  test('what it sends is numbered and framed, and the body is told', async (t) => {
    const { channel: control, other } = await channel(t);
    const bodies = [control.send({ type: 'a' }), control.send({ type: 'b', text: 'é' })];
    control.fail(errorOf('CLOSED'));
    const messages = await readAll(other);
    assert.deepEqual(messages, [
      { n: 0, type: 'a' },
      { n: 1, type: 'b', text: 'é' },
    ]);
    assert.deepEqual(
      bodies.map((body) => JSON.parse(body.toString())),
      messages,
    );
  });

  const broken: [name: string, bytes: Buffer][] = [
    ['a length of 0', framed(Buffer.alloc(0))],
    ['a length of 2^32 - 1', framed(Buffer.alloc(0), 2 ** 32 - 1)],
    ['no JSON', framed(Buffer.from('GET'))],
    ['a wrong number', encoded(1, { type: 'ping', request: 0 })],
    ['no UTF-8', framed(Buffer.from([0x7b, 0xff, 0x7d]))],
  ];
  for (const [name, bytes] of broken)
    test(`${name}: it ends, and the other side is told why`, async (t) => {
      const { channel: control, other } = await channel(t);
      other.write(bytes);
      await assert.rejects(control.receive(), isCode('BAD_MESSAGE'));
      assert.equal((await control.ended).code, 'BAD_MESSAGE');
      assert.deepEqual(await readAll(other), [{ n: 0, type: 'bye', flag: 400 }]);
      assert.throws(() => control.send({ type: 'ping' }), isCode('BAD_MESSAGE'));
    });

  test('a stranger is held to short messages, a peer to long ones', async (t) => {
    const of = (length: number) => framed(Buffer.from(`{"n":0,"t":"${'x'.repeat(length - 14)}"}`));
    for (const [admitted, bound] of [
      [false, MAX_STRANGER_MESSAGE],
      [true, MAX_MESSAGE],
    ] as const) {
      const sound = await channel(t);
      if (admitted) sound.channel.admit();
      sound.other.write(of(bound));
      assert.equal((await sound.channel.receive()).bytes.length, bound);
      const long = await channel(t);
      if (admitted) long.channel.admit();
      long.other.write(of(bound + 1).subarray(0, 4));
      await assert.rejects(long.channel.receive(), isCode('BAD_MESSAGE'));
    }
  });

  test('a peer that sends more than is taken is held up, not gathered', async (t) => {
    const { channel: control, other } = await channel(t);
    control.admit();
    const filler = 'x'.repeat(200_000);
    let written = 0;
    let blocked = false;
    // 400 MB, if it all were taken.
    for (let number = 0; number < 2000 && !blocked; number += 1) {
      const bytes = encoded(number, { filler });
      written += 1;
      if (!other.write(bytes)) {
        const drained = once(other, 'drain').then(() => false);
        blocked = await Promise.race([drained, quiet().then(() => true)]);
      }
    }
    assert.ok(blocked, 'everything was taken');
    for (let number = 0; number < written; number += 1)
      assert.equal(((await control.receive()).value as { n: number }).n, number);
  });

  test('a peer that takes nothing ends it before the memory is full', async (t) => {
    const { channel: control, other } = await channel(t);
    other.pause();
    const filler = 'x'.repeat(200_000);
    let sent = 0;
    assert.throws(() => {
      for (; sent < 2000; sent += 1) control.send({ filler });
    }, isCode('LOST'));
    assert.ok(sent < 100, `${sent} messages were held`);
    assert.equal((await control.ended).code, 'LOST');
  });

  test('a peer that goes without a word is lost; what came before still counts', async (t) => {
    const { channel: control, other } = await channel(t);
    other.end(Buffer.concat([encoded(0, { type: 'a' }), encoded(1, { type: 'b' }).subarray(0, 7)]));
    assert.equal((await control.ended).code, 'LOST');
    assert.deepEqual((await control.receive()).value, { n: 0, type: 'a' });
    await assert.rejects(control.receive(), isCode('LOST'));
  });

  test('a reset is lost as well', async (t) => {
    const { channel: control, other } = await channel(t);
    other.resetAndDestroy();
    assert.equal((await control.ended).code, 'LOST');
  });

  test('it ends once, for the first reason', async (t) => {
    const { channel: control } = await channel(t);
    control.fail(errorOf('TIMEOUT'));
    control.fail(errorOf('CLOSED'));
    assert.equal((await control.ended).code, 'TIMEOUT');
    await assert.rejects(control.receive(), isCode('TIMEOUT'));
  });
});

/** Some turns of the event loop in which nothing has to happen. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
