import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { suite, type TestContext, test } from 'node:test';
import {
  type ConnectOptions,
  type Listener,
  type ListenOptions,
  type Localstream,
  LocalstreamError,
  type TrustAnswer,
  type TrustQuestion,
} from '../../src/index.ts';
import { identities } from '../crypto/fixed.ts';
import { until } from '../server/wire-machines.ts';
import { machine, sceneFolder } from '../session/machines.ts';

interface Scene {
  readonly bob: Localstream;
  readonly alice: Localstream;
  readonly listener: Listener;
  readonly refused: string[];
  connect(options?: Partial<ConnectOptions>): ReturnType<Localstream['connect']>;
}

/** Bob listens, alice is not connected yet. */
async function scene(
  t: TestContext,
  listen: Partial<ListenOptions> = {},
  flags: Readonly<Record<string, unknown>> = {},
): Promise<Scene> {
  const base = sceneFolder(t);
  const bob = await machine(t, base, 'bob', flags);
  const alice = await machine(t, base, 'alice', flags);
  const listener = await bob.listen({ port: 0, host: '127.0.0.1', maxConnections: 5, open: true, ...listen });
  const refused: string[] = [];
  listener.on('refused', ({ error }) => refused.push(error.code));
  const connect = (options: Partial<ConnectOptions> = {}) =>
    alice.connect({ host: '127.0.0.1', port: listener.port, ...options });
  return { bob, alice, listener, refused, connect };
}

/** Answers every question the same, and keeps them. */
function asked(answer: TrustAnswer): {
  questions: TrustQuestion[];
  decide: (question: TrustQuestion) => Promise<TrustAnswer>;
} {
  const questions: TrustQuestion[] = [];
  return {
    questions,
    decide: async (question) => {
      questions.push(question);
      return answer;
    },
  };
}

const pinned = async (one: Localstream): Promise<string[]> =>
  (await one.trust.list()).map(({ fingerprint, how }) => `${fingerprint} ${how}`);
const bobKey = identities.bob.fingerprint;
const aliceKey = identities.alice.fingerprint;

suite('an unknown server', () => {
  test('is refused where nobody can be asked, and told nothing', async (t) => {
    const { alice, listener, connect } = await scene(t);
    await assert.rejects(connect(), (error) => {
      assert.ok(error instanceof LocalstreamError);
      assert.deepEqual([error.code, error.exit], ['NOT_TRUSTED', 3]);
      assert.ok(error.message.includes(bobKey));
      return true;
    });
    assert.deepEqual(await pinned(alice), []);
    assert.deepEqual(listener.peers, []);
  });

  for (const [answer, pins] of [
    ['once', []],
    ['trust', [`${bobKey} confirmed`]],
  ] as const)
    test(`is accepted by "${answer}", after a question that says who it is`, async (t) => {
      const { alice, listener, connect } = await scene(t);
      const { questions, decide } = asked(answer);
      const session = await connect({ decide });
      assert.deepEqual(
        questions.map(({ role, claimedName, fingerprint, address }) => ({
          role,
          claimedName,
          fingerprint,
          address,
        })),
        [{ role: 'server', claimedName: "bob's device", fingerprint: bobKey, address: '127.0.0.1' }],
      );
      assert.match(questions[0]?.checkNumber ?? '', /^\d{6}$/);
      assert.equal(session.peer.trusted, answer === 'trust');
      assert.deepEqual(await pinned(alice), pins);
      await until(() => listener.peers.length === 1);
      const again = asked('reject');
      const second = connect({ decide: again.decide });
      if (answer === 'trust') assert.equal((await second).peer.trusted, true);
      else await assert.rejects(second, { code: 'REJECTED' });
      assert.equal(again.questions.length, answer === 'trust' ? 0 : 1);
    });

  test('is left by "reject", and by an answer that is none', async (t) => {
    const { alice, connect, listener } = await scene(t);
    await assert.rejects(connect({ decide: asked('reject').decide }), { code: 'REJECTED' });
    const other: unknown = 'yes';
    await assert.rejects(connect({ decide: async () => other as TrustAnswer }), { code: 'REJECTED' });
    await assert.rejects(connect({ decide: () => Promise.reject(new Error('the terminal is gone')) }), {
      code: 'INTERNAL',
    });
    assert.deepEqual(await pinned(alice), []);
    await until(() => listener.peers.length === 0);
  });

  test('is pinned unseen by accept-new, and by its fingerprint', async (t) => {
    const { alice, connect } = await scene(t);
    await (await connect({ acceptNew: true })).close();
    assert.deepEqual(await pinned(alice), [`${bobKey} accept-new`]);
    await alice.trust.forget(bobKey);
    await (await connect({ fingerprint: bobKey })).close();
    assert.deepEqual(await pinned(alice), [`${bobKey} fingerprint`]);
    await (await connect()).close();
  });
});

suite('a server whose key is not the expected one', () => {
  test('is refused loudly, with both fingerprints, whatever else was said', async (t) => {
    const { alice, listener, connect } = await scene(t);
    const mallory = identities.mallory.fingerprint;
    const loudly = (error: unknown): true => {
      assert.ok(error instanceof LocalstreamError);
      assert.deepEqual([error.code, error.exit], ['KEY_CHANGED', 6]);
      for (const key of [bobKey, mallory]) assert.ok(error.message.includes(key), error.message);
      return true;
    };
    const { decide, questions } = asked('trust');
    await assert.rejects(connect({ fingerprint: mallory, decide, acceptNew: true }), loudly);
    // At this address another key was pinned.
    await alice.trust.trust({
      fingerprint: mallory,
      name: 'old bob',
      how: 'manual',
      address: { host: '127.0.0.1', port: listener.port },
    });
    for (const options of [{}, { decide }, { acceptNew: true }, { decide, acceptNew: true }])
      await assert.rejects(connect(options), loudly);
    assert.equal(questions.length, 0);
    assert.deepEqual(await pinned(alice), [`${mallory} manual`]);
    assert.deepEqual(listener.peers, []);
    // Only the new fingerprint itself mends that.
    await (await connect({ fingerprint: bobKey })).close();
  });

  test('and that is another peer’s is not taken for the one that was meant', async (t) => {
    const { alice, listener, connect } = await scene(t);
    const address = { host: '127.0.0.1', port: listener.port };
    await alice.trust.trust({
      fingerprint: identities.mallory.fingerprint,
      name: 'carol',
      how: 'manual',
      address,
    });
    await alice.trust.trust({ fingerprint: bobKey, name: 'bob', how: 'manual' });
    await assert.rejects(connect({ acceptNew: true }), {
      code: 'NOT_TRUSTED',
      message: "this is 'bob', not 'carol'",
    });
    const { decide, questions } = asked('trust');
    const session = await connect({ decide });
    assert.deepEqual([questions.length, session.peer.name], [1, 'bob']);
  });

  test('but a trusted key at a new address is that peer', async (t) => {
    const { bob, alice, connect } = await scene(t);
    await (await connect({ acceptNew: true })).close();
    const second = await bob.listen({ port: 0, host: '127.0.0.1', open: true, maxConnections: 5 });
    const session = await alice.connect({ host: '127.0.0.1', port: second.port });
    assert.deepEqual([session.peer.trusted, session.peer.fingerprint], [true, bobKey]);
    const [known] = await alice.trust.list();
    assert.ok(known?.addresses.includes(`127.0.0.1:${second.port}`));
  });
});

suite('an unknown client', () => {
  test('is refused where nobody can be asked', async (t) => {
    const { alice, bob, listener, refused, connect } = await scene(t, { open: false });
    await assert.rejects(connect({ acceptNew: true }), {
      code: 'NOT_TRUSTED',
      exit: 3,
      message: "this machine's key is not trusted there",
      hint: `ask for \`localstream trust ${alice.fingerprint}\` there`,
    });
    await until(() => refused.length > 0);
    assert.deepEqual([refused, listener.peers, await pinned(bob)], [['NOT_TRUSTED'], [], []]);
  });

  for (const [answer, pins] of [
    ['once', []],
    ['trust', [`${aliceKey} operator`]],
  ] as const)
    test(`is let in by "${answer}"; both ends see one check number`, async (t) => {
      const there = asked(answer);
      const { bob, listener, connect } = await scene(t, { open: false, decide: there.decide });
      const here = asked('trust');
      const waited: TrustQuestion[] = [];
      const session = await connect({ decide: here.decide, onWaiting: (question) => waited.push(question) });
      const [question] = there.questions;
      assert.deepEqual(
        [question?.role, question?.claimedName, question?.fingerprint],
        ['client', "alice's device", aliceKey],
      );
      assert.equal(question?.checkNumber, here.questions[0]?.checkNumber);
      assert.equal(question?.checkNumber, waited[0]?.checkNumber);
      assert.deepEqual(await pinned(bob), pins);
      await until(() => listener.peers.length === 1);
      assert.equal(listener.peers[0]?.trusted, answer === 'trust');
      assert.equal(session.peer.id, listener.peers[0]?.id);
      await session.close();
      await (await connect()).close();
      assert.equal(there.questions.length, answer === 'trust' ? 1 : 2);
    });

  test('is turned away by "reject"', async (t) => {
    const { bob, refused, connect } = await scene(t, { open: false, decide: asked('reject').decide });
    await assert.rejects(connect({ acceptNew: true }), { code: 'REJECTED', exit: 3 });
    await until(() => refused.length > 0);
    assert.deepEqual([refused, await pinned(bob)], [['REJECTED'], []]);
  });

  test('that leaves while somebody thinks about it takes the question with it', async (t) => {
    const signals: AbortSignal[] = [];
    const { listener, connect } = await scene(t, {
      open: false,
      decide: (_question, signal) => {
        signals.push(signal);
        return new Promise(() => {});
      },
    });
    const stop = new AbortController();
    const connecting = connect({ acceptNew: true, signal: stop.signal });
    connecting.catch(() => {});
    await until(() => signals.length === 1);
    stop.abort();
    await assert.rejects(connecting, { code: 'CANCELLED', exit: 130 });
    await until(() => signals[0]?.aborted === true);
    assert.deepEqual(listener.peers, []);
  });

  test('and a question about it end with the listener', async (t) => {
    const signals: AbortSignal[] = [];
    const { listener, connect } = await scene(t, {
      open: false,
      decide: (_question, signal) => {
        signals.push(signal);
        return new Promise(() => {});
      },
    });
    const connecting = connect({ acceptNew: true });
    connecting.catch(() => {});
    await until(() => signals.length === 1);
    await listener.close();
    await assert.rejects(connecting, (error) => {
      assert.ok(
        error instanceof LocalstreamError && ['SHUTTING_DOWN', 'LOST', 'CLOSED'].includes(error.code),
        String(error),
      );
      return true;
    });
    await until(() => signals[0]?.aborted === true);
  });

  test('is not asked about for ever', async (t) => {
    const { refused, connect } = await scene(
      t,
      { open: false, decide: () => new Promise(() => {}) },
      { decisionTimeout: 1000 },
    );
    await assert.rejects(connect({ acceptNew: true }), { code: 'TIMEOUT', exit: 4 });
    await until(() => refused.length > 0);
    assert.ok(['TIMEOUT', 'LOST', 'CLOSED'].includes(refused[0] ?? ''), refused[0]);
  });

  test('takes no place that is taken: the one too many is told so', async (t) => {
    const { listener, connect } = await scene(t, { maxConnections: 2 });
    const sessions = [await connect({ acceptNew: true }), await connect()];
    await until(() => listener.peers.length === 2);
    await assert.rejects(connect(), (error) => {
      assert.ok(error instanceof LocalstreamError);
      assert.deepEqual([error.code, error.exit], ['FULL', 4]);
      assert.match(error.message, /2 of 2/);
      return true;
    });
    await sessions[0]?.close();
    await until(() => listener.peers.length === 1);
    await (await connect()).close();
  });
});

suite('what can’t be connected to', () => {
  test('says why', async (t) => {
    const { alice, listener } = await scene(t);
    const { port } = listener;
    await listener.close();
    await assert.rejects(alice.connect({ host: '127.0.0.1', port }), { code: 'UNREACHABLE' });
    await assert.rejects(alice.connect({ host: 'no-such-host.invalid', port }), { code: 'NO_SUCH_HOST' });
    await assert.rejects(alice.connect({ host: '127.0.0.1', port, signal: AbortSignal.abort() }), {
      code: 'CANCELLED',
    });
    await alice.close();
    await assert.rejects(alice.connect({ host: '127.0.0.1', port }), { code: 'SHUTTING_DOWN' });
  });

  test('a listener that can’t be opened says why as well', async (t) => {
    const { bob, listener } = await scene(t);
    const folder = sceneFolder(t);
    mkdirSync(`${folder}/a`);
    const share = (path: string, name?: string) => [{ folder: path, ...(name !== undefined && { name }) }];
    const refused: [Partial<ListenOptions>, string][] = [
      [{ port: listener.port }, 'PORT_IN_USE'],
      [{ host: '192.0.2.1' }, 'NO_SUCH_HOST'],
      [{ shares: share(`${folder}/none`) }, 'NOT_FOUND'],
      [{ shares: share('/dev/null') }, 'NOT_A_FOLDER'],
      [{ shares: share('/') }, 'USAGE'],
      [{ shares: [...share(`${folder}/a`), ...share(folder, 'a')] }, 'USAGE'],
      [{ shares: share(folder, '..') }, 'BAD_NAME'],
    ];
    for (const [options, code] of refused)
      await assert.rejects(bob.listen({ port: 0, host: '127.0.0.1', ...options }), { code }, code);
    assert.deepEqual(bob.listeners, [listener]);
  });
});
