/** The handshake without sockets: what happens when a message is changed, exchanged, lost or sent twice. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import {
  commitmentOf,
  deriveSession,
  newShare,
  type SessionKeys,
  sessionExporter,
  shareLabel,
  transcriptHash,
  unwrapShare,
  wrapShare,
} from '../../src/crypto/exchange.ts';
import type { Identity } from '../../src/crypto/identity.ts';
import { errorOf, LocalstreamError } from '../../src/errors.ts';
import { ControlDecoder, encodeControl, type RawMessage } from '../../src/protocol/control-codec.ts';
import { answerHandshake, dialHandshake, type HandshakeChannel } from '../../src/protocol/handshake.ts';
import { encodeBytes } from '../../src/protocol/messages.ts';
import { encryptionPublicKey, identities, signingPublicKey } from '../crypto/fixed.ts';

const { alice, bob, mallory } = identities;

type Body = Record<string, unknown>;
/** Sees each message on its way, by its place in the handshake (0 to 4), and says what arrives instead. */
type Wire = (place: number, body: Body) => readonly Body[];

/** One direction: numbers are those of the framing, so that only the messages themselves are at stake. */
class Direction {
  readonly #decoder = new ControlDecoder();
  readonly #messages: RawMessage[] = [];
  #waiting: PromiseWithResolvers<RawMessage> | undefined;
  #number = 0;
  #over = false;

  put(body: Body): void {
    const { n: _n, ...message } = body;
    const [raw] = this.#decoder.push(encodeControl(this.#number, message).frame);
    this.#number += 1;
    assert.ok(raw);
    if (this.#waiting) this.#waiting.resolve(raw);
    else this.#messages.push(raw);
    this.#waiting = undefined;
  }

  take(): Promise<RawMessage> {
    const next = this.#messages.shift();
    if (next) return Promise.resolve(next);
    if (this.#over) return Promise.reject(errorOf('LOST'));
    this.#waiting = Promise.withResolvers<RawMessage>();
    return this.#waiting.promise;
  }

  end(): void {
    this.#over = true;
    this.#waiting?.reject(errorOf('LOST'));
  }
}

interface Sides {
  readonly dialler?: Identity;
  readonly listener?: Identity;
  /** Whose TLS key each side sees. */
  readonly seenByDialler?: Identity;
  readonly seenByListener?: Identity;
  readonly exporterC?: Buffer;
  readonly exporterS?: Buffer;
}

/** Runs both sides over a wire. An end that fails hangs up, as the sockets do. */
async function run(wire: Wire = (_place, body) => [body], sides: Sides = {}) {
  const { dialler = alice, listener = bob } = sides;
  const { seenByDialler = listener, seenByListener = dialler } = sides;
  const exporter = randomBytes(32);
  const { exporterC = exporter, exporterS = exporter } = sides;
  const towardsS = new Direction();
  const towardsC = new Direction();
  let place = 0;
  const channel = (out: Direction, into: Direction): HandshakeChannel => {
    let number = 0;
    return {
      send: (message) => {
        const { body } = encodeControl(number, message);
        number += 1;
        const at = place;
        place += 1;
        for (const arriving of wire(at, JSON.parse(body.toString()))) out.put(arriving);
        return body;
      },
      receive: () => into.take(),
    };
  };
  const keyOf = (identity: Identity) =>
    signingPublicKey(identity === alice ? 'alice' : identity === bob ? 'bob' : 'mallory');
  const hangUp = <T>(promise: Promise<T>, direction: Direction): Promise<T> =>
    promise.catch((error: unknown) => {
      direction.end();
      throw error;
    });
  const [c, s] = await Promise.allSettled([
    hangUp(
      dialHandshake(channel(towardsS, towardsC), {
        identity: dialler,
        peerKey: keyOf(seenByDialler),
        peerFingerprint: seenByDialler.fingerprint,
        exporter: sessionExporter(exporterC),
      }),
      towardsS,
    ),
    hangUp(
      answerHandshake(channel(towardsC, towardsS), {
        identity: listener,
        peerKey: keyOf(seenByListener),
        peerFingerprint: seenByListener.fingerprint,
        exporter: sessionExporter(exporterS),
      }),
      towardsC,
    ),
  ]);
  return { c, s };
}

const codeOf = (result: PromiseSettledResult<SessionKeys>): string => {
  if (result.status === 'fulfilled') return 'proven';
  assert.ok(result.reason instanceof LocalstreamError, String(result.reason));
  return result.reason.code;
};

const at =
  (wanted: number, change: (body: Body) => Body | readonly Body[]): Wire =>
  (place, body) => {
    if (place !== wanted) return [body];
    const changed = change(body);
    return Array.isArray(changed) ? changed : [changed as Body];
  };

/** A base64 field with its first byte changed. */
const turned =
  (field: string) =>
  (body: Body): Body => {
    const bytes = Buffer.from(String(body[field]), 'base64');
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    return { ...body, [field]: encodeBytes(bytes) };
  };

suite('the handshake', () => {
  test('both sides get the same keys, other ones each time', async () => {
    const one = await run();
    const other = await run();
    assert.ok(one.c.status === 'fulfilled' && other.c.status === 'fulfilled');
    assert.deepEqual(one.c, one.s);
    assert.notDeepEqual(one.c.value.id, other.c.value.id);
    assert.match(one.c.value.checkNumber, /^\d{6}$/);
  });

  // Who notices first is told here; the other side finds the connection closed.
  const changes: [name: string, wire: Wire, c: string, s: string][] = [
    ['no version in common', at(0, (body) => ({ ...body, versions: [2, 3] })), 'LOST', 'VERSION'],
    ['an answer of another version', at(1, (body) => ({ ...body, version: 2 })), 'VERSION', 'LOST'],
    [
      'a version more in the hello',
      at(0, (body) => ({ ...body, versions: [1, 2] })),
      'BAD_HANDSHAKE',
      'LOST',
    ],
    [
      'a capability more in the hello',
      at(0, (body) => ({ ...body, capabilities: ['x'] })),
      'BAD_HANDSHAKE',
      'LOST',
    ],
    ['a field that nobody knows in the hello', at(0, (body) => ({ ...body, x: 1 })), 'BAD_HANDSHAKE', 'LOST'],
    [
      'a field that nobody knows in the answer',
      at(1, (body) => ({ ...body, x: 1 })),
      'BAD_HANDSHAKE',
      'LOST',
    ],
    ["another key for the dialler's", at(0, turned('encryptionKey')), 'LOST', 'BAD_HANDSHAKE'],
    ["another signature for the dialler's", at(0, turned('signature')), 'LOST', 'BAD_HANDSHAKE'],
    ["another key for the listener's", at(1, turned('encryptionKey')), 'BAD_HANDSHAKE', 'LOST'],
    ["another signature for the listener's", at(1, turned('signature')), 'BAD_HANDSHAKE', 'LOST'],
    ['another commitment', at(1, turned('commitment')), 'BAD_HANDSHAKE', 'LOST'],
    ["another ciphertext for the dialler's", at(2, turned('ciphertext')), 'LOST', 'BAD_HANDSHAKE'],
    ["another ciphertext for the listener's", at(3, turned('ciphertext')), 'BAD_HANDSHAKE', 'LOST'],
    ["another MAC for the listener's", at(3, turned('mac')), 'BAD_HANDSHAKE', 'LOST'],
    // The dialler has all it needs by then, and only the listener's word is missing.
    ["another MAC for the dialler's", at(4, turned('mac')), 'proven', 'BAD_HANDSHAKE'],
    ["the listener's MAC sent back", macSentBack(), 'proven', 'BAD_HANDSHAKE'],
    ['a goodbye in place of the answer', at(1, () => ({ type: 'bye', flag: 422 })), 'BUSY', 'LOST'],
    [
      "a goodbye in place of the listener's share",
      at(3, () => ({ type: 'bye', flag: 423 })),
      'TIMEOUT',
      'LOST',
    ],
    [
      "a goodbye in place of the dialler's share",
      at(2, () => ({ type: 'bye', flag: 401 })),
      'LOST',
      'BAD_HANDSHAKE',
    ],
    ['a goodbye in place of the hello', at(0, () => ({ type: 'bye', flag: 424 })), 'LOST', 'CLOSED'],
  ];
  for (const [name, wire, expectedC, expectedS] of changes)
    test(`${name}: ${expectedC} at the dialler, ${expectedS} at the listener`, async () => {
      const { c, s } = await run(wire);
      assert.deepEqual([codeOf(c), codeOf(s)], [expectedC, expectedS]);
    });

  test('every message in every other place is refused', async () => {
    const sent: Body[] = [];
    await run((_place, body) => {
      sent.push(body);
      return [body];
    });
    assert.equal(sent.length, 5);
    for (const [place, own] of sent.entries())
      for (const other of [
        ...sent,
        { type: 'introduce', name: '', waiting: false },
        { type: 'admit' },
        { type: 'ping', request: 0 },
      ]) {
        if (other === own) continue;
        const { c, s } = await run(at(place, () => other));
        const codes = [codeOf(c), codeOf(s)];
        // A message that merely is of an earlier run has the right form and the wrong content.
        assert.ok(
          codes.includes('BAD_MESSAGE') || codes.includes('BAD_HANDSHAKE'),
          `${JSON.stringify(other).slice(0, 40)} in place ${place}: ${codes}`,
        );
        assert.notEqual(codes[1], 'proven');
      }
  });

  test('a message sent twice is refused', async () => {
    // The last one of each side is followed by what comes after the handshake, which refuses it in its turn.
    for (const place of [0, 1, 2]) {
      const { c, s } = await run(at(place, (body) => [body, body]));
      const codes = [codeOf(c), codeOf(s)];
      assert.ok(codes.includes('BAD_MESSAGE'), `${place}: ${codes}`);
    }
  });

  test('messages of another run of the same two are of no use', async () => {
    const earlier: Body[] = [];
    await run((_place, body) => {
      earlier.push(body);
      return [body];
    });
    for (const place of [1, 2, 3, 4]) {
      const { s } = await run(at(place, () => earlier[place] ?? {}));
      assert.notEqual(codeOf(s), 'proven', `${place}`);
    }
    // The hello holds nothing but the key: it is the same each time.
    const { c, s } = await run(at(0, () => earlier[0] ?? {}));
    assert.deepEqual([codeOf(c), codeOf(s)], ['proven', 'proven']);
  });

  test('a side that hangs up leaves the other one with an error, at every step', async () => {
    for (let place = 0; place < 5; place += 1) {
      const { c, s } = await run((now, body) => {
        if (now === place) throw errorOf('LOST');
        return [body];
      });
      assert.ok(c.status === 'rejected' || s.status === 'rejected', `${place}`);
    }
  });

  test('a listener may not choose its share once it has seen the other one', async () => {
    for (const honest of [true, false]) {
      const towardsS = new Direction();
      const towardsC = new Direction();
      const exporter = sessionExporter(randomBytes(32));
      let number = 0;
      const dialling = dialHandshake(
        {
          send: (message) => {
            const { body } = encodeControl(number, message);
            number += 1;
            towardsS.put(JSON.parse(body.toString()));
            return body;
          },
          receive: () => towardsC.take(),
        },
        { identity: alice, peerKey: signingPublicKey('bob'), peerFingerprint: bob.fingerprint, exporter },
      );
      const label = (role: 'c' | 's') => shareLabel(role, alice.fingerprint, bob.fingerprint, exporter);
      const wrap = (share: ReturnType<typeof newShare>) =>
        wrapShare(encryptionPublicKey('alice'), share, label('s'));
      const first = newShare();
      const promised = wrap(first);
      const helloC = (await towardsS.take()).bytes;
      const helloS = {
        type: 'hello',
        version: 1,
        capabilities: [],
        encryptionKey: encodeBytes(bob.encryptionSpki),
        signature: encodeBytes(bob.encryptionSignature),
        commitment: encodeBytes(commitmentOf(promised)),
      };
      towardsC.put(helloS);
      const ctC = Buffer.from(String(((await towardsS.take()).value as Body)['ciphertext']), 'base64');
      const shareC = await unwrapShare(bob, ctC, label('c'));
      // With both shares in hand the check number could be tried until it suits.
      const shareS = honest ? first : newShare();
      const ctS = honest ? promised : wrap(shareS);
      const transcript = transcriptHash(helloC, encodeControl(0, helloS).body, ctC, ctS);
      const fingerprints = { fpC: alice.fingerprint, fpS: bob.fingerprint };
      const keys = deriveSession({ exporter, shareC, shareS, transcript, ...fingerprints });
      towardsC.put({ type: 'share', ciphertext: encodeBytes(ctS), mac: encodeBytes(keys.confirmS) });
      if (honest) assert.equal((await dialling).checkNumber, keys.checkNumber);
      else
        await assert.rejects(
          dialling,
          (error) => error instanceof LocalstreamError && error.code === 'BAD_HANDSHAKE',
        );
    }
  });

  test('one between two TLS connections gets nowhere', async () => {
    // It passes everything on: the two see its key instead of each other's.
    const passed = await run(undefined, { seenByDialler: mallory, seenByListener: mallory });
    assert.deepEqual([codeOf(passed.c), codeOf(passed.s)], ['LOST', 'BAD_HANDSHAKE']);
    // It holds both keys' trust somehow, but the connections are two: the exporters differ.
    const two = await run(undefined, { exporterS: randomBytes(32) });
    assert.deepEqual([codeOf(two.c), codeOf(two.s)], ['LOST', 'BAD_HANDSHAKE']);
  });

  test('a peer with two keys of one pair is refused', async () => {
    const { s } = await run(at(0, (body) => ({ ...body, encryptionKey: encodeBytes(alice.signingSpki) })));
    assert.equal(codeOf(s), 'BAD_HANDSHAKE');
  });
});

function macSentBack(): Wire {
  let macS: unknown;
  return (place, body) => {
    if (place === 3) macS = body['mac'];
    return [place === 4 ? { ...body, mac: macS } : body];
  };
}
