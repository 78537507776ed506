/** Offers to a listener: who is asked, what a rule accepts, where it lands, and what is left of it when it goes wrong. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import type { ListenOptions, Offer, Receipt } from '../../src/index.ts';
import { isText, receivedText } from '../../src/session/offer.ts';
import { isPartialName } from '../../src/transfer/partial.ts';
import { TextSink } from '../../src/transfer/text-source.ts';
import { until } from '../server/wire-machines.ts';
import { Relay } from '../soak/relay.ts';
import { noise, type Pair, pair } from './machines.ts';

const MIB = 1024 * 1024;

/** A pair, and the offers that bob's listener tells of. */
interface Scene extends Pair {
  readonly inbox: string;
  readonly asked: Offer[];
  /** Those that the rule accepted. */
  readonly ruled: Offer[];
}

async function scene(
  t: TestContext,
  {
    listen = {},
    bob = {},
    alice = {},
    attended = true,
  }: {
    readonly listen?: Partial<ListenOptions>;
    readonly bob?: Readonly<Record<string, unknown>>;
    readonly alice?: Readonly<Record<string, unknown>>;
    readonly attended?: boolean;
  } = {},
): Promise<Scene> {
  const both = await pair(t, { listen, bob, alice });
  const asked: Offer[] = [];
  const ruled: Offer[] = [];
  if (attended) both.listener.on('offer', (offer) => asked.push(offer));
  both.listener.on('accepted', (offer) => ruled.push(offer));
  writeFileSync(join(both.local, 'a.txt'), 'hello\n');
  return { ...both, inbox: both.bob.inbox, asked, ruled };
}

/** The next offer that somebody is asked about. */
async function next(asked: Offer[]): Promise<Offer> {
  await until(() => asked.length > 0);
  const [offer] = asked.splice(0, 1);
  assert.ok(offer);
  return offer;
}

const trust = async ({ bob, alice }: Scene) =>
  await bob.trust.trust({ fingerprint: alice.fingerprint, name: 'alice', how: 'manual' });

suite('an offer to a listener', () => {
  test('is asked about with who and what, and lands in the inbox beside what is there', async (t) => {
    const at = await scene(t);
    const { local, session, inbox, asked, alice, listener } = at;
    for (const name of ['tree', 'tree/empty']) mkdirSync(join(local, name));
    writeFileSync(join(local, 'tree', 'b.txt'), 'there\n');
    const receipts: string[] = [];
    listener.on('receipt', ({ transferId }) => receipts.push(transferId));
    const begun: string[] = [];
    const sending = session.send([join(local, 'a.txt'), join(local, 'tree')], {
      onTransfer: (id) => begun.push(id),
    });
    const offer = await next(asked);
    assert.deepEqual(
      [offer.from.fingerprint, offer.from.name, offer.from.trusted, offer.folder],
      [alice.fingerprint, "alice's device", false, inbox],
    );
    assert.deepEqual(offer.roots, [
      { name: 'a.txt', type: 'file', size: 6 },
      { name: 'tree', type: 'folder', size: null },
    ]);
    assert.deepEqual(offer.total, { files: 2, bytes: 12, more: false });
    assert.deepEqual(readdirSync(inbox), [], 'nothing is written before the answer');
    const received = await offer.accept();
    const sent = await sending;
    assert.equal(sent.digest, received.digest);
    assert.equal(sent.signedBy, at.bob.fingerprint);
    assert.deepEqual(begun, [offer.id]);
    assert.deepEqual(receipts, [offer.id]);
    assert.deepEqual(readdirSync(inbox).sort(), ['a.txt', 'tree']);
    assert.deepEqual(readdirSync(join(inbox, 'tree')).sort(), ['b.txt', 'empty']);

    writeFileSync(join(local, 'a.txt'), 'another\n');
    const again = session.send([join(local, 'a.txt')]);
    await (await next(asked)).accept();
    assert.deepEqual(
      (await again).outcomes.map(({ savedAs }) => savedAs),
      ['a (2).txt'],
    );
    assert.equal(readFileSync(join(inbox, 'a.txt'), 'utf8'), 'hello\n');
    assert.equal(readFileSync(join(inbox, 'a (2).txt'), 'utf8'), 'another\n');

    const elsewhere = session.send([join(local, 'a.txt')]);
    const third = await next(asked);
    await assert.rejects(third.accept(join(at.base, 'none', 'x', 'y')), { code: 'NOT_FOUND' });
    await third.accept(join(at.base, 'renamed.txt'));
    await elsewhere;
    assert.equal(readFileSync(join(at.base, 'renamed.txt'), 'utf8'), 'another\n');
    await assert.rejects(third.accept(), { code: 'CLOSED' });
  });

  test('is asked about in the order of coming, however long whoever sends it is looked up', async (t) => {
    const at = await scene(t);
    const { trust } = at.bob;
    const look = trust.get.bind(trust);
    let looks = 0;
    t.mock.method(trust, 'get', async (fingerprint: Parameters<typeof look>[0]) => {
      looks += 1;
      if (looks === 1) await new Promise((resolve) => setTimeout(resolve, 100));
      return await look(fingerprint);
    });
    for (const name of ['1', '2', '3']) writeFileSync(join(at.local, name), name);
    const sending = ['1', '2', '3'].map((name) => at.session.send([join(at.local, name)]));
    await until(() => at.asked.length === 3);
    assert.deepEqual(
      at.asked.map(({ roots }) => roots[0]?.name),
      ['1', '2', '3'],
    );
    assert.deepEqual(at.listener.offers, at.asked);
    for (const offer of at.asked) await offer.accept();
    await Promise.all(sending);
  });

  test('is refused where nobody is asked, by a no, by silence and after a withdrawal', async (t) => {
    const at = await scene(t, { bob: { decisionTimeout: 1000 }, attended: false });
    const { session, local, asked, listener, inbox } = at;
    const send = (signal?: AbortSignal) => session.send([join(local, 'a.txt')], signal ? { signal } : {});
    await assert.rejects(send(), { code: 'NOT_ALLOWED', message: /nobody is there to be asked/, exit: 3 });
    listener.on('offer', (offer) => asked.push(offer));
    const no = assert.rejects(send(), { code: 'REJECTED', exit: 3 });
    await (await next(asked)).reject();
    await no;
    const late = assert.rejects(send(), { code: 'TIMEOUT', exit: 4 });
    const silent = await next(asked);
    await late;
    await until(() => silent.signal.aborted);
    await assert.rejects(silent.accept(), { code: 'CLOSED' });
    const stop = new AbortController();
    const withdrawn = assert.rejects(send(stop.signal), { code: 'CANCELLED' });
    const gone = await next(asked);
    stop.abort();
    await withdrawn;
    await until(() => gone.signal.aborted);
    await assert.rejects(session.send([join(local, 'none')]), { code: 'NOT_FOUND' });
    assert.deepEqual(readdirSync(inbox), []);
  });

  test('is accepted by the rule for trusted peers, as trust stands when it comes', async (t) => {
    const at = await scene(t, { listen: { inbox: { accept: 'trusted' } }, attended: false });
    const { session, local, inbox, ruled, bob, alice } = at;
    let present = session;
    const send = async () => await present.send([join(local, 'a.txt')]);
    await assert.rejects(send(), { code: 'NOT_ALLOWED' });
    await trust(at);
    assert.equal((await send()).code, 'OK');
    assert.deepEqual(
      ruled.map(({ from, roots }) => [from.trusted, from.name, roots[0]?.name]),
      [[true, 'alice', 'a.txt']],
    );
    assert.deepEqual(readdirSync(inbox), ['a.txt']);
    await bob.trust.forget(alice.fingerprint);
    // That has ended the session; the listener is open to strangers.
    await session.closed;
    present = await alice.connect({ host: '127.0.0.1', port: at.listener.port });
    await assert.rejects(send(), { code: 'NOT_ALLOWED' });
    // One that nobody has compared is as good as unknown.
    await bob.trust.trust({ fingerprint: alice.fingerprint, name: 'alice', how: 'accept-new' });
    await assert.rejects(send(), { code: 'NOT_ALLOWED' });
    // Strangers are asked about where there is somebody.
    at.listener.on('offer', (offer) => at.asked.push(offer));
    const sending = send();
    await (await next(at.asked)).accept();
    assert.equal((await sending).outcomes[0]?.outcome, 'same');
  });

  test('tells both sides where the inbox is gone, and a listener does not open without one', async (t) => {
    const at = await scene(t, { bob: { 'inbox.accept': 'trusted' } });
    await trust(at);
    rmSync(at.inbox, { recursive: true });
    await assert.rejects(at.session.send([join(at.local, 'a.txt')]), {
      code: 'UNWRITABLE',
      message: "the inbox can't be used there",
    });
    assert.deepEqual(at.asked, []);
    await assert.rejects(at.bob.listen({ port: 0, host: '127.0.0.1' }), { code: 'NOT_FOUND' });
    const inbox = { folder: join(at.local, 'a.txt') };
    await assert.rejects(at.bob.listen({ port: 0, host: '127.0.0.1', inbox }), { code: 'NOT_A_FOLDER' });
  });

  test('is none where a login is wanted first, nor where a code is waited for', async (t) => {
    const at = await scene(t);
    const strict = await at.bob.listen({ port: 0, host: '127.0.0.1', auth: 'password' });
    const coded = await at.bob.listen({ port: 0, host: '127.0.0.1', codes: { purpose: 'send' } });
    for (const listener of [strict, coded]) listener.on('offer', (offer) => at.asked.push(offer));
    const unknown = await at.alice.connect({ host: '127.0.0.1', port: strict.port });
    await assert.rejects(unknown.send([join(at.local, 'a.txt')]), { code: 'NOT_ALLOWED', message: /log in/ });
    const pairing = { code: coded.codes[0]?.text ?? '', purpose: 'send' as const };
    const guest = await at.alice.connect({ host: '127.0.0.1', port: coded.port, pairing });
    await assert.rejects(guest.send([join(at.local, 'a.txt')]), { code: 'NOT_ALLOWED', message: /a code/ });
    assert.deepEqual([at.asked, coded.inbox], [[], undefined]);
  });

  test('of hidden names is not written into the home folder unless somebody has seen it', async (t) => {
    const at = await scene(t, {
      listen: { inbox: { accept: 'trusted', folder: process.env['HOME'] ?? '/' } },
    });
    await trust(at);
    const name = `.localstream-test-${process.pid}`;
    writeFileSync(join(at.local, name), 'x');
    const receipt = await at.session.send([join(at.local, name)]);
    assert.notEqual(receipt.code, 'OK');
    assert.ok(!existsSync(join(process.env['HOME'] ?? '/', name)));
  });

  test('to several machines under one number is read once, and each has its own answer', async (t) => {
    const at = await scene(t);
    const { bob, alice, local, inbox } = at;
    const second = await bob.listen({ port: 0, host: '127.0.0.1', open: true });
    const other = await alice.connect({ host: '127.0.0.1', port: second.port });
    writeFileSync(join(local, 'big'), noise(8 * MIB));
    const group = alice.newGroup();
    const sending = Promise.allSettled(
      [at.session, other].map((session) => session.send([join(local, 'big')], { group })),
    );
    second.on('offer', (offer) => void offer.reject());
    await (await next(at.asked)).accept();
    const [one, two] = await sending;
    assert.equal(one?.status, 'fulfilled');
    assert.ok(two?.status === 'rejected' && two.reason.code === 'REJECTED');
    assert.ok(readFileSync(join(inbox, 'big')).equals(noise(8 * MIB)));
  });
});

suite('a text', () => {
  test('is read into memory by who is asked, or kept where that is wanted', async (t) => {
    const at = await scene(t);
    const { session, asked, inbox, base } = at;
    const sending = session.send([{ text: 'two\nlines', name: 'note' }]);
    const offer = await next(asked);
    assert.deepEqual([offer.text, offer.roots], [true, [{ name: 'note', type: 'file', size: 9 }]]);
    const { text, receipt } = await offer.read();
    assert.equal(text, 'two\nlines');
    assert.equal((await sending).digest, receipt.digest);
    await assert.rejects(offer.accept(), { code: 'CLOSED' });
    const again = session.send([{ text: 'x' }]);
    await (await next(asked)).accept(join(base, 'kept'));
    await again;
    assert.equal(readFileSync(join(base, 'kept'), 'utf8'), 'x');
    assert.deepEqual(readdirSync(inbox), []);
    // With a file beside it, it is one.
    const mixed = session.send([{ text: 'x' }, join(at.local, 'a.txt')]);
    const both = await next(asked);
    assert.equal(both.text, false);
    await assert.rejects(both.read(), { code: 'NOT_SUPPORTED' });
    await both.accept();
    await mixed;
    assert.deepEqual(readdirSync(inbox).sort(), ['a.txt', 'text.txt']);
  });

  test('that a rule accepts is told to who shows texts, and kept in the inbox otherwise', async (t) => {
    const at = await scene(t, { listen: { inbox: { accept: 'trusted' } }, attended: false });
    await trust(at);
    await at.session.send([{ text: 'kept' }]);
    assert.equal(readFileSync(join(at.inbox, 'text.txt'), 'utf8'), 'kept');
    const shown: string[] = [];
    at.listener.on('text', ({ from }, { text }) => shown.push(`${from.name}: ${text}`));
    await at.session.send([{ text: 'shown' }]);
    await until(() => shown.length > 0);
    assert.deepEqual(shown, ['alice: shown']);
    assert.deepEqual(readdirSync(at.inbox), ['text.txt']);
  });

  test('is bounded, and is what it claims to be or no text', async (t) => {
    const { session } = await scene(t);
    for (const text of ['', 'x'.repeat(65_537), '\ud800'])
      await assert.rejects(session.send([{ text }]), { code: 'USAGE' });
    await assert.rejects(session.send([{ text: 'x', name: '../x' }]), { code: 'BAD_NAME' });
    const root = { name: 'a', type: 'file' as const, size: 65_536 };
    assert.ok(isText({ roots: [root], text: true }));
    const others = [
      { roots: [root], text: false },
      { roots: [{ ...root, size: 65_537 }], text: true },
      { roots: [{ ...root, size: null }], text: true },
      { roots: [{ ...root, type: 'folder' as const }], text: true },
      { roots: [root, { ...root, name: 'b' }], text: true },
    ];
    for (const other of others) assert.ok(!isText(other), JSON.stringify(other));
    const sink = new TextSink(4);
    sink.write(Buffer.from([1, 2, 3]));
    assert.throws(() => sink.write(Buffer.from([4, 5])), { code: 'LIMIT' });
    const receipt = { code: 'OK', outcomes: [], text: Buffer.from([0xff]) } as unknown as Receipt;
    assert.throws(() => receivedText(receipt), { code: 'BAD_MESSAGE' });
  });
});

suite('an offer whose connection breaks', () => {
  /** Alice comes by a relay, which can be cut. */
  async function relayed(t: TestContext, flags: Readonly<Record<string, unknown>> = { retryFor: 60_000 }) {
    const at = await scene(t, { bob: flags, alice: flags });
    const relay = await Relay.start(at.listener.port);
    t.after(() => relay[Symbol.asyncDispose]());
    const session = await at.alice.connect({ host: '127.0.0.1', port: relay.port, acceptNew: true });
    return { ...at, relay, session };
  }
  const held = (inbox: string) =>
    readdirSync(inbox)
      .filter(isPartialName)
      .reduce((sum, name) => sum + readFileSync(join(inbox, name)).length, 0);

  test('goes on where it stood, and nobody is asked again', async (t) => {
    const { local, session, inbox, asked, relay } = await relayed(t);
    writeFileSync(join(inbox, 'big'), 'taken');
    const content = noise(24 * MIB);
    writeFileSync(join(local, 'big'), content);
    const sending = session.send([join(local, 'big')], { limit: 16 * MIB });
    const offer = await next(asked);
    const receiving = offer.accept();
    await until(() => held(inbox) > 4 * MIB);
    relay.cut();
    const [sent, received] = await Promise.all([sending, receiving]);
    assert.equal(sent.digest, received.digest);
    assert.deepEqual(asked, []);
    assert.deepEqual(readdirSync(inbox).sort(), ['big', 'big (2)']);
    assert.ok(readFileSync(join(inbox, 'big (2)')).equals(content));
    assert.ok(received.bytesMoved < content.length, 'what was there did not cross again');
    assert.ok(sent.bytesMoved >= content.length, 'what crossed before counts');
  });

  test('before it was answered is withdrawn and asked about anew', async (t) => {
    const { local, session, inbox, asked, relay } = await relayed(t);
    const sending = session.send([join(local, 'a.txt')]);
    const first = await next(asked);
    relay.cut();
    await until(() => first.signal.aborted);
    const second = await next(asked);
    assert.notEqual(second.id, first.id);
    await second.accept();
    await sending;
    assert.deepEqual(readdirSync(inbox), ['a.txt']);
  });

  test('is lost to both where nobody comes back in time', async (t) => {
    const { local, session, inbox, asked, relay } = await relayed(t, { retryFor: 1000 });
    writeFileSync(join(local, 'big'), noise(24 * MIB));
    const sending = session.send([join(local, 'big')], { limit: 8 * MIB });
    const receiving = (await next(asked)).accept();
    await until(() => held(inbox) > 2 * MIB);
    const lost = Promise.all([
      assert.rejects(sending, { code: 'LOST' }),
      assert.rejects(receiving, { code: 'LOST' }),
    ]);
    await relay[Symbol.asyncDispose]();
    await lost;
    assert.deepEqual(asked, []);
  });
});
