/** Control messages out of their place: before the handshake, before the admission, twice, about nobody's transfers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import type { Offer } from '../../src/index.ts';
import { MAX_MESSAGE, MAX_STRANGER_MESSAGE } from '../../src/protocol/control-codec.ts';
import { FRAME } from '../../src/protocol/frame.ts';
import { encodeResult, OUTCOME } from '../../src/protocol/manifest.ts';
import { identities } from '../crypto/fixed.ts';
import { dialControl, dialSession, type Loose, type RawControl, transferId } from './wire-dialler.ts';
import { getting, putting, wordOf, works } from './wire-frames.ts';
import { until } from './wire-machines.ts';
import { listening, MESSAGES, rest, root } from './wire-messages.ts';

const { alice, mallory } = identities;
suite('messages before their time', () => {
  test('in place of any message of the handshake: 400 or 401, and nobody is let in', async (t) => {
    const served = await listening(t);
    for (const [name, message] of Object.entries(MESSAGES))
      for (const place of [0, 1, 2]) {
        const own = ['hello', 'share', 'confirm'][place];
        if (name === own) continue;
        const control = await dialControl(served.listener.port, alice);
        let sent = 0;
        const send = control.send.bind(control);
        control.send = (body) => {
          const changed = sent === place ? message : body;
          sent += 1;
          return send(changed);
        };
        const outcome = await control.handshake().then(
          () => rest(control),
          () => undefined,
        );
        // Our side of the handshake reads what it was told; the words are the same.
        const last = outcome ?? { flag: lastFlag(control) };
        assert.deepEqual([name, place, last.flag], [name, place, 400]);
        control.socket.destroy();
      }
    assert.deepEqual(served.listener.peers, []);
    assert.ok(served.refused.every((code) => code === 'BAD_MESSAGE'));
  });

  test('in place of the introduction and of the admission: 400, and nobody is let in', async (t) => {
    const served = await listening(t);
    for (const [name, message] of Object.entries(MESSAGES))
      for (const place of ['introduce', 'admit']) {
        if (name === place) continue;
        const control = await dialControl(served.listener.port, alice);
        await control.handshake();
        if (place === 'admit') control.send({ type: 'introduce', name: 'x', waiting: false });
        control.send(message);
        const { flag, types } = await rest(control);
        assert.deepEqual([name, place, flag], [name, place, 400], types.join());
      }
    assert.deepEqual(served.listener.peers, []);
    assert.equal(readFileSync(join(served.folder, 'a'), 'utf8'), 'hello');
  });

  test('a message of the handshake in an open session: 400', async (t) => {
    const served = await listening(t);
    const wrong = [
      'hello',
      'share',
      'confirm',
      'pair',
      'pair-share',
      'pair-tag',
      'introduce',
      'admit',
      'nonsense',
    ];
    for (const name of [...wrong, 'welcome', 'denied']) {
      const { control } = await dialSession(served.listener.port);
      control.send(MESSAGES[name] ?? {});
      assert.equal((await rest(control)).flag, 400, name);
    }
  });

  test('a length or a number that is wrong, at each stage', async (t) => {
    const served = await listening(t);
    const spoil: [name: string, run: (control: RawControl) => void][] = [
      ['length 0', (control) => control.sendBody(Buffer.alloc(0))],
      ['2^32 - 1', (control) => control.socket.write(Buffer.alloc(4, 0xff))],
      ['2^31', (control) => control.socket.write(Buffer.from('80000000', 'hex'))],
      ['no JSON', (control) => control.sendBody(Buffer.from('GET /'))],
      [
        'the same number',
        (control) =>
          control.send({
            n: Math.max(0, control.sent - 1) + (control.sent === 0 ? 1 : 0),
            type: 'ping',
            request: 1,
          }),
      ],
      ['a number left out', (control) => control.send({ n: control.sent + 1, type: 'ping', request: 1 })],
    ];
    for (const [name, run] of spoil) {
      const stranger = await dialControl(served.listener.port, alice);
      run(stranger);
      assert.deepEqual([name, (await rest(stranger)).flag], [name, 400]);
      const { control } = await dialSession(served.listener.port);
      run(control);
      assert.deepEqual([name, (await rest(control)).flag], [name, 400]);
    }
  });

  test('a long message is for peers only, and may follow the admission at once', async (t) => {
    const served = await listening(t);
    const long = (length: number, n: number) =>
      Buffer.from(
        JSON.stringify({ n, type: 'list', request: 1, path: '/', x: '' }).replace(
          '""',
          `"${'x'.repeat(length)}"`,
        ),
      );
    const stranger = await dialControl(served.listener.port, mallory);
    stranger.sendBody(long(MAX_STRANGER_MESSAGE, 0));
    assert.equal((await rest(stranger)).flag, 400);

    const control = await dialControl(served.listener.port, alice);
    await control.handshake();
    control.send({ type: 'introduce', name: 'x', waiting: false });
    // The listener is open to everybody: its admission comes without ours.
    assert.equal((await control.after('introduce'))?.type, 'admit');
    control.socket.cork();
    control.send({ type: 'admit' });
    control.sendBody(long(MAX_MESSAGE - 100, control.sent));
    control.sent += 1;
    control.socket.uncork();
    assert.equal((await control.after())?.type, 'listing');
    control.sendBody(long(MAX_MESSAGE, control.sent));
    assert.equal((await rest(control)).flag, 400);
  });
});

/** The flag of the last message in what a connection has decrypted. */
function lastFlag(control: RawControl): unknown {
  const bytes = Buffer.concat(control.reader.all);
  let last: Loose = {};
  for (let offset = 0; offset + 4 <= bytes.length; ) {
    const end = offset + 4 + bytes.readUInt32BE(offset);
    last = JSON.parse(bytes.toString('utf8', offset + 4, end));
    offset = end;
  }
  return last['flag'];
}

suite('messages about nobody’s transfers', () => {
  test('an answer, a receipt or a word about a transfer that is not there is passed over', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    for (const name of [
      'accept',
      'refuse',
      'lanes',
      'credit',
      'cancel',
      'receipt',
      'received',
      'granted',
      'pong',
      'listing',
      'failed',
      'more',
    ]) {
      session.control.send(MESSAGES[name] ?? {});
      await works(session);
    }
    assert.deepEqual(served.listener.transfers, []);
  });

  test('a transfer of another session is nobody’s here', async (t) => {
    const served = await listening(t);
    const one = await dialSession(served.listener.port, alice);
    const other = await dialSession(served.listener.port, mallory);
    const { transfer: id, lane } = await getting(one, '/docs/small.bin');
    for (const name of ['accept', 'refuse', 'lanes', 'credit', 'cancel', 'receipt', 'received'])
      other.control.send({ ...MESSAGES[name], transfer: id });
    await works(other);
    assert.equal((await lane.next())?.header.type, FRAME.manifest);
    await works(one);
    // Its number is free in another session, where it is another transfer.
    other.control.send({ ...MESSAGES['get'], transfer: id });
    assert.equal((await other.control.after())?.type, 'offer');
  });

  test('an offer to a listener is refused where nobody is asked', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    session.control.send(MESSAGES['offer'] ?? {});
    const answer = await session.control.after();
    assert.deepEqual([answer?.type, answer?.['flag']], ['refuse', 405]);
    await works(session);
  });

  test('an offer to a listener that comes twice, one after its withdrawal, and one too many', async (t) => {
    const served = await listening(t);
    const asked: Offer[] = [];
    served.listener.on('offer', (offer) => asked.push(offer));
    const session = await dialSession(served.listener.port);
    const offer = (number: number) => ({ ...MESSAGES['offer'], transfer: transferId(number), lanes: [] });
    for (let number = 1; number <= 5; number += 1) session.control.send(offer(number));
    const many = await wordOf(session, transferId(5));
    assert.deepEqual([many?.type, many?.['flag']], ['refuse', 422]);
    assert.equal(asked.length, 4);
    session.control.send({ type: 'cancel', transfer: transferId(1), flag: 425 });
    await until(() => asked[0]?.signal.aborted === true);
    await assert.rejects(asked[0]?.accept() ?? Promise.resolve(), { code: 'CLOSED' });
    await asked[1]?.reject();
    assert.equal((await wordOf(session, transferId(2)))?.['flag'], 404);
    session.control.send(offer(6));
    await until(() => asked.length === 5);
    session.control.send(offer(6));
    assert.equal((await rest(session.control)).flag, 400);
    await until(() => asked.every(({ signal }, index) => signal.aborted || index === 1));
  });

  test('a transfer asked for twice is refused the second time, and the first one goes on', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    const { transfer: id, lane } = await getting(session, '/docs/small.bin');
    for (const name of ['get', 'put']) {
      session.control.send({ ...MESSAGES[name], transfer: id });
      const answer = await wordOf(session, id);
      assert.deepEqual([name, answer?.type], [name, 'refuse']);
    }
    assert.equal((await lane.next())?.header.type, FRAME.manifest);
    await works(session);
  });

  test('an acceptance twice starts it once', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    const { transfer: id, lane } = await getting(session, '/docs/small.bin');
    session.control.send({ type: 'accept', transfer: id });
    session.control.send({ type: 'offer', transfer: id, roots: [root], lanes: [], chunk: 1024 });
    assert.equal((await lane.next())?.header.type, FRAME.manifest);
    session.control.send({ type: 'list', request: 3, path: '/' });
    assert.equal((await session.control.after('refuse'))?.type, 'listing');
  });

  test('a receipt from a source, an acknowledgement before the receipt, a receipt of lies: cancelled', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    const lies: [name: string, flag: number, run: () => Promise<string>][] = [
      [
        'a receipt from the source',
        400,
        async () => {
          const { transfer: id } = await putting(session);
          session.control.send({ ...MESSAGES['receipt'], transfer: id });
          return id;
        },
      ],
      [
        'an acknowledgement before the receipt',
        400,
        async () => {
          const { transfer: id } = await putting(session);
          session.control.send({ type: 'received', transfer: id });
          return id;
        },
      ],
      [
        'an acknowledgement from the target',
        400,
        async () => {
          const { transfer: id } = await getting(session, '/docs/a');
          session.control.send({ type: 'received', transfer: id });
          return id;
        },
      ],
      [
        'a receipt twice',
        400,
        async () => {
          const { transfer: id } = await getting(session, '/docs/a');
          for (let count = 0; count < 2; count += 1)
            session.control.send({ ...MESSAGES['receipt'], transfer: id });
          return id;
        },
      ],
      [
        'a receipt that nobody signed',
        417,
        async () => {
          const { transfer: id, lane } = await getting(session, '/docs/a');
          assert.equal((await lane.next())?.header.type, FRAME.manifest);
          lane.frame(FRAME.answer, Buffer.of(1));
          assert.equal((await lane.next())?.header.type, FRAME.pack);
          const digest = digestOf(Buffer.from('hello'));
          lane.frame(
            FRAME.result,
            encodeResult({ index: 0, outcome: OUTCOME.committed, flag: 200, digest, note: Buffer.alloc(0) }),
          );
          assert.equal((await lane.next())?.header.type, FRAME.done);
          session.control.send({ ...MESSAGES['receipt'], transfer: id });
          return id;
        },
      ],
    ];
    for (const [name, flag, run] of lies) {
      const id = await run();
      const word = await wordOf(session, id);
      assert.deepEqual([name, word?.type, word?.['flag']], [name, 'cancel', flag]);
    }
    await works(session);
    await until(() => served.failed.length === lies.length);
  });

  test('lanes that nobody grants to a listener, and listings that nobody asked for', async (t) => {
    const served = await listening(t);
    const session = await dialSession(served.listener.port);
    const { transfer: id } = await getting(session, '/docs/a');
    session.control.send({ type: 'granted', transfer: id, lanes: [1, 2, 3] });
    const { types } = await rest(session.control);
    assert.ok(types.at(-1) === 'bye' || types.at(-1) === 'cancel', types.join());
    assert.equal(served.listener.host, '127.0.0.1');
  });
});
