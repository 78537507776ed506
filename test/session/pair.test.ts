/** Pairing codes between real machines, and what somebody without the words can do. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { PairingDialler, type PairingPurpose } from '../../src/crypto/pairing.ts';
import { parsePairingCode } from '../../src/crypto/pairing-code.ts';
import type { Listener, Localstream } from '../../src/index.ts';
import { encodeBytes } from '../../src/protocol/messages.ts';
import { Entrance } from '../../src/server/entrance.ts';
import { proveStranger } from '../../src/server/let-in.ts';
import { identities, type KeyName } from '../crypto/fixed.ts';
import { dialControl, type Loose, type RawControl } from '../server/wire-dialler.ts';
import { afterwards, until } from '../server/wire-machines.ts';
import { machine, sceneFolder, TEST_FLAGS } from './machines.ts';

interface Side {
  readonly base: string;
  readonly bob: Localstream;
  readonly alice: Localstream;
  readonly listener: Listener;
  readonly refused: string[];
}

async function waiting(
  t: TestContext,
  purpose: PairingPurpose,
  more: { readonly count?: number; readonly lifetime?: number } = {},
): Promise<Side> {
  const base = sceneFolder(t);
  const bob = await machine(t, base, 'bob');
  const alice = await machine(t, base, 'alice');
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    maxConnections: 10,
    codes: { purpose, ...more },
  });
  const refused: string[] = [];
  listener.on('refused', ({ error }) => refused.push(error.code));
  return { base, bob, alice, listener, refused };
}

function codeOf(listener: Listener, index = 0) {
  const code = listener.codes[index];
  assert.ok(code);
  return code;
}

/** The same nameplate with other words. */
function wrongly(text: string): string {
  const { nameplate, words } = parsePairingCode(text);
  const other = words === 'acid-abyss' ? 'acid-acid' : 'acid-abyss';
  return `${nameplate}-${parsePairingCode(`1-${other}`).words}`;
}

const at = (listener: Listener) => ({ host: '127.0.0.1', port: listener.port });

/** A dialler behind its handshake, and the run that it could make. */
async function rawRun(listener: Listener, text: string, purpose: PairingPurpose, key: KeyName = 'mallory') {
  const control = await dialControl(listener.port, identities[key]);
  const keys = await control.handshake();
  const run = new PairingDialler({
    ...parsePairingCode(text),
    purpose,
    fpC: identities[key].fingerprint,
    fpS: identities.bob.fingerprint,
    key: keys.pairing,
  });
  const { nameplate } = parsePairingCode(text);
  return { control, run, ask: { type: 'pair', nameplate, share: encodeBytes(run.share) } };
}

const bytesOf = (value: unknown) => Buffer.from(String(value), 'base64');

/** The number of the flag with which the other side says goodbye. */
async function goodbye(control: RawControl): Promise<unknown> {
  const message: Loose | undefined = await control.next();
  assert.equal(message?.type, 'bye');
  return message?.['flag'];
}
const [WRONG_CODE, NOT_TRUSTED, BUSY] = [432, 403, 422];

suite('a code for pairing', () => {
  test('makes both trusted for good, by their own keys', async (t) => {
    const { bob, alice, listener } = await waiting(t, 'pair');
    const code = codeOf(listener);
    const session = await alice.connect({ ...at(listener), pairing: { code: code.text, purpose: 'pair' } });
    const peer = await code.used;
    assert.equal(peer.fingerprint, alice.fingerprint);
    assert.deepEqual([peer.trusted, session.peer.trusted], [true, true]);
    assert.equal((await bob.trust.get(alice.fingerprint))?.how, 'paired');
    assert.equal((await alice.trust.get(bob.fingerprint))?.how, 'paired');
    await session.close();
    // From now on no code is needed, in either direction.
    const plain = await bob.listen({ port: 0, host: '127.0.0.1' });
    await using again = await alice.connect(at(plain));
    assert.equal(again.peer.trusted, true);
    const back = await alice.listen({ port: 0, host: '127.0.0.1' });
    await using other = await bob.connect(at(back));
    assert.equal(other.peer.name, "alice's-device");
  });

  test('is burnt by one wrong guess, and both are told', async (t) => {
    const { bob, alice, listener } = await waiting(t, 'pair');
    const code = codeOf(listener);
    const pairing = { code: wrongly(code.text), purpose: 'pair' as const };
    const told = assert.rejects(code.used, { code: 'WRONG_CODE' });
    await assert.rejects(alice.connect({ ...at(listener), pairing }), { code: 'WRONG_CODE', exit: 3 });
    await told;
    const right = { code: code.text, purpose: 'pair' as const };
    await assert.rejects(alice.connect({ ...at(listener), pairing: right }), { code: 'WRONG_CODE' });
    assert.deepEqual([await bob.trust.list(), await alice.trust.list()], [[], []]);
  });

  test('is none for sending, and the other way round', async (t) => {
    for (const [open, typed] of [
      ['send', 'pair'],
      ['pair', 'send'],
    ] as const) {
      const { bob, alice, listener } = await waiting(t, open);
      const { text, used } = codeOf(listener);
      const told = assert.rejects(used, { code: 'WRONG_CODE' });
      const pairing = { code: text, purpose: typed };
      await assert.rejects(alice.connect({ ...at(listener), pairing }), { code: 'WRONG_CODE' });
      await told;
      assert.deepEqual([await bob.trust.list(), await alice.trust.list()], [[], []]);
      await Promise.all([bob.close(), alice.close()]);
    }
  });

  test('is good once, and not after its time', async (t) => {
    const { alice, listener } = await waiting(t, 'send', { lifetime: 1 });
    const { text, used } = codeOf(listener);
    await assert.rejects(used, { code: 'TIMEOUT' });
    await listener.codesOver;
    const pairing = { code: text, purpose: 'send' as const };
    await assert.rejects(alice.connect({ ...at(listener), pairing }), { code: 'WRONG_CODE' });
  });

  test('ends with its listener', async (t) => {
    const { listener } = await waiting(t, 'send');
    const told = assert.rejects(codeOf(listener).used, { code: 'SHUTTING_DOWN' });
    await listener.close();
    await told;
  });

  test('that cannot be one is refused before anybody is dialled', async (t) => {
    const { alice, listener, refused } = await waiting(t, 'pair');
    const pairing = { code: '7-crossword', purpose: 'pair' as const };
    await assert.rejects(alice.connect({ ...at(listener), pairing }), { code: 'USAGE' });
    assert.deepEqual(refused, []);
  });

  test('that is not open there is wrong, also where no codes are', async (t) => {
    const { bob, alice, listener } = await waiting(t, 'pair');
    const { nameplate, words } = parsePairingCode(codeOf(listener).text);
    const pairing = { code: `${nameplate === 1 ? 2 : 1}-${words}`, purpose: 'pair' as const };
    await assert.rejects(alice.connect({ ...at(listener), pairing }), { code: 'WRONG_CODE' });
    const plain = await bob.listen({ port: 0, host: '127.0.0.1', open: true });
    await assert.rejects(alice.connect({ ...at(plain), pairing }), {
      code: 'WRONG_CODE',
      message: 'nobody waits for a code there',
    });
  });
});

suite('a code for sending', () => {
  test('lets one peer in to be sent to, and trusts nobody', async (t) => {
    const { base, bob, alice, listener } = await waiting(t, 'send');
    writeFileSync(join(base, 'a.txt'), 'hello\n');
    const code = codeOf(listener);
    const pairing = { code: code.text.toUpperCase().replaceAll('-', ' '), purpose: 'send' as const };
    await using session = await alice.connect({ ...at(listener), pairing });
    const peer = await code.used;
    assert.deepEqual([peer.trusted, session.peer.trusted], [false, false]);
    const sent = listener.send(peer.id, [join(base, 'a.txt')]);
    const offer = await session.nextOffer();
    const receipt = await offer.accept(join(base, 'b.txt'));
    assert.equal((await sent).digest, receipt.digest);
    assert.equal(await readFile(join(base, 'b.txt'), 'utf8'), 'hello\n');
    assert.deepEqual([await bob.trust.list(), await alice.trust.list()], [[], []]);
  });

  test('lets nobody in who has none, not even who is trusted', async (t) => {
    const { bob, alice, listener } = await waiting(t, 'send');
    await bob.trust.trust({ fingerprint: alice.fingerprint, name: 'alice', how: 'manual' });
    await assert.rejects(alice.connect({ ...at(listener), acceptNew: true }), { code: 'NOT_TRUSTED' });
    const control = await dialControl(listener.port, identities.mallory);
    await control.handshake();
    control.send({ type: 'introduce', name: 'raw', waiting: false });
    assert.equal(await goodbye(control), NOT_TRUSTED);
  });

  test('several are open at once, each for itself', async (t) => {
    const { alice, listener } = await waiting(t, 'send', { count: 3 });
    const [first, second, third] = [codeOf(listener), codeOf(listener, 1), codeOf(listener, 2)];
    assert.equal(new Set(listener.codes.map(({ nameplate }) => nameplate)).size, 3);
    const told = assert.rejects(second.used, { code: 'WRONG_CODE' });
    await assert.rejects(
      alice.connect({ ...at(listener), pairing: { code: wrongly(second.text), purpose: 'send' } }),
      { code: 'WRONG_CODE' },
    );
    await told;
    await using one = await alice.connect({
      ...at(listener),
      pairing: { code: first.text, purpose: 'send' },
    });
    await using two = await alice.connect({
      ...at(listener),
      pairing: { code: third.text, purpose: 'send' },
    });
    assert.notEqual(one.peer.id, two.peer.id);
    assert.deepEqual([(await first.used).id, (await third.used).id], [one.peer.id, two.peer.id]);
    await listener.codesOver;
  });
});

suite('somebody without the words', () => {
  test('waits while another tries, and burns nothing by that', async (t) => {
    const { alice, listener } = await waiting(t, 'pair');
    const { text, used } = codeOf(listener);
    const first = await rawRun(listener, text, 'pair');
    first.control.send(first.ask);
    const answer = await first.control.next();
    assert.equal(answer?.type, 'pair-share');
    const second = await rawRun(listener, text, 'pair', 'alice');
    second.control.send(second.ask);
    assert.equal(await goodbye(second.control), BUSY);
    first.control.send({
      type: 'pair-tag',
      tag: encodeBytes(first.run.receiveShare(bytesOf(answer?.['share']))),
    });
    const tag = await first.control.next();
    first.run.receiveTag(bytesOf(tag?.['tag']));
    first.control.send({ type: 'introduce', name: 'raw', waiting: false });
    first.control.send({ type: 'admit' });
    assert.equal((await used).fingerprint, identities.mallory.fingerprint);
    assert.equal(await alice.trust.get(identities.mallory.fingerprint), undefined);
  });

  const ends: Record<string, (control: RawControl) => void> = {
    'hangs up': (control) => control.socket.destroy(),
    'sends a tag of zeros': (control) =>
      void control.send({ type: 'pair-tag', tag: encodeBytes(Buffer.alloc(64)) }),
    'sends something else': (control) => void control.send({ type: 'introduce', name: 'x', waiting: false }),
    'sends a tag that is too short': (control) =>
      void control.send({ type: 'pair-tag', tag: encodeBytes(Buffer.alloc(63)) }),
  };
  for (const [name, end] of Object.entries(ends)) {
    test(`burns the code where it has the share and ${name}`, async (t) => {
      const { listener } = await waiting(t, 'pair');
      const { text, used } = codeOf(listener);
      const told = assert.rejects(used, { code: 'WRONG_CODE' });
      const { control, ask } = await rawRun(listener, wrongly(text), 'pair');
      control.send(ask);
      assert.equal((await control.next())?.type, 'pair-share');
      end(control);
      await told;
      await listener.codesOver;
    });
  }

  const shares: Record<string, Buffer> = {
    'the identity': Buffer.alloc(32),
    'no point': Buffer.alloc(32, 0xff),
  };
  for (const [name, share] of Object.entries(shares)) {
    test(`learns nothing by sending ${name}, and burns nothing`, async (t) => {
      const { alice, listener } = await waiting(t, 'pair');
      const { text } = codeOf(listener);
      const { control, ask } = await rawRun(listener, text, 'pair');
      control.send({ ...ask, share: encodeBytes(share) });
      assert.equal(await goodbye(control), WRONG_CODE);
      await using session = await alice.connect({
        ...at(listener),
        pairing: { code: text, purpose: 'pair' },
      });
      assert.equal(session.peer.trusted, true);
    });
  }

  test('gains nothing in the middle, with a session to each', async (t) => {
    const { bob, alice, listener } = await waiting(t, 'pair');
    const { text, used } = codeOf(listener);
    const relayed: string[] = [];
    const middle = await Entrance.open(
      {
        identity: identities.mallory,
        port: 0,
        host: '127.0.0.1',
        strangers: { handshakes: 8, handshakesPerAddress: 8, perSecond: 100, perSecondPerAddress: 100 },
        patience: 5000,
      },
      {
        session: async (socket) => {
          const victim = await proveStranger(socket, identities.mallory, 5000);
          const server = await dialControl(listener.port, identities.mallory);
          await server.handshake();
          const pass = (message: Loose) => {
            relayed.push(String(message.type));
            return Object.fromEntries(Object.entries(message).filter(([key]) => key !== 'n'));
          };
          const upwards = async () => {
            for (;;) server.send(pass((await victim.channel.receive()).value as Loose));
          };
          const downwards = async () => {
            for (let next = await server.next(); next !== undefined; next = await server.next())
              victim.channel.send(pass(next));
          };
          await Promise.allSettled([upwards(), downwards()]);
        },
        lane: async () => {},
        refused: () => {},
        failed: () => {},
        isPeers: () => false,
      },
    );
    afterwards(t, () => middle.stop());
    const told = assert.rejects(used, { code: 'WRONG_CODE' });
    const pairing = { code: text, purpose: 'pair' as const };
    await assert.rejects(alice.connect({ host: '127.0.0.1', port: middle.port, pairing }), {
      code: 'WRONG_CODE',
    });
    await told;
    await until(() => relayed.includes('bye'));
    // It got as far as a run that was relayed whole, and that is where it ended.
    assert.deepEqual(relayed.slice(0, 4), ['pair', 'pair-share', 'pair-tag', 'bye']);
    assert.deepEqual([await bob.trust.list(), await alice.trust.list()], [[], []]);
  });

  test('cannot pose as the one who showed the code', async (t) => {
    const base = sceneFolder(t);
    const alice = await machine(t, base, 'alice', TEST_FLAGS);
    const rogue = await Entrance.open(
      {
        identity: identities.mallory,
        port: 0,
        host: '127.0.0.1',
        strangers: { handshakes: 8, handshakesPerAddress: 8, perSecond: 100, perSecondPerAddress: 100 },
        patience: 5000,
      },
      {
        session: async (socket) => {
          const { channel } = await proveStranger(socket, identities.mallory, 5000);
          const { value } = await channel.receive();
          const share = (value as Loose)['share'];
          // Alice's own share, sent back to her.
          channel.send({ type: 'pair-share', share });
          await channel.ended;
        },
        lane: async () => {},
        refused: () => {},
        failed: () => {},
        isPeers: () => false,
      },
    );
    afterwards(t, () => rogue.stop());
    const pairing = { code: '7-acid-abyss', purpose: 'pair' as const };
    await assert.rejects(alice.connect({ host: '127.0.0.1', port: rogue.port, pairing }), {
      code: 'WRONG_CODE',
    });
    assert.deepEqual(await alice.trust.list(), []);
  });
});
