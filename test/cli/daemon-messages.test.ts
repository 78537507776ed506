import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  errorOfFailure,
  failureOf,
  readAnswer,
  readLines,
  readNews,
  readRequest,
  readSteering,
} from '../../src/cli/daemon/messages.ts';
import { errorOf, LocalstreamError } from '../../src/errors.ts';

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
after(() => server.close());

/** What arrives of pieces that are written one by one. */
async function received(
  pieces: readonly Buffer[],
  mostBytes = 1000,
): Promise<{ values: unknown[]; bad: string[] }> {
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const accepted = once(server, 'connection');
  const client = connect(address.port, '127.0.0.1');
  const [socket]: Socket[] = await accepted;
  assert.ok(socket);
  const values: unknown[] = [];
  const bad: string[] = [];
  readLines(
    socket,
    mostBytes,
    (value) => values.push(value),
    ({ code }) => bad.push(code),
  );
  const ended = once(socket, 'end');
  for (const piece of pieces) await new Promise((resolve) => client.write(piece, resolve));
  client.end();
  await ended;
  socket.destroy();
  return { values, bad };
}

test('lines arrive whole, however they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 5 }),
      fc.array(fc.nat(400), { maxLength: 8 }),
      async (sent, cuts) => {
        const bytes = Buffer.from(sent.map((value) => `${JSON.stringify(value)}\n`).join(''));
        const places = [
          0,
          ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b),
          bytes.length,
        ];
        const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        const { values, bad } = await received(pieces, 1_000_000);
        assert.deepEqual(values, JSON.parse(JSON.stringify(sent)));
        assert.deepEqual(bad, []);
      },
    ),
    { numRuns: 40 },
  );
});

test('a line that is too long or no JSON is told once, and nothing is read after it', async () => {
  const tooLong = await received([
    Buffer.from('{"a":1}\n'),
    Buffer.alloc(5000, 'a'),
    Buffer.from('\n{"b":2}\n'),
  ]);
  assert.deepEqual(tooLong, { values: [{ a: 1 }], bad: ['BAD_MESSAGE'] });
  const broken = await received([Buffer.from('{"a":1}\nnope\n{"b":2}\n'), Buffer.from('\n\n')]);
  assert.deepEqual(broken, { values: [{ a: 1 }], bad: ['BAD_MESSAGE'] });
});

test('whatever comes is understood or refused with one code', () => {
  for (const read of [readRequest, readSteering, readAnswer, readNews]) {
    fc.assert(
      fc.property(fc.anything({ maxDepth: 3 }), (value) => {
        try {
          read(value);
        } catch (error) {
          assert.ok(error instanceof LocalstreamError, String(error));
          assert.ok(['BAD_MESSAGE', 'NOT_SUPPORTED'].includes(error.code));
        }
      }),
    );
  }
});

test('an error is the same on the other side; an unknown one is a defect, and no crash', () => {
  const error = errorOf('PORT_IN_USE', 'port 1 is in use', { hint: 'choose another' });
  const there = errorOfFailure(JSON.parse(JSON.stringify(failureOf(error))));
  assert.deepEqual(
    [there.code, there.message, there.hint, there.exit],
    ['PORT_IN_USE', 'port 1 is in use', 'choose another', 1],
  );
  assert.equal(errorOfFailure({ code: 'FROM_TOMORROW', message: 'what', hint: null }).code, 'INTERNAL');
});
