import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LocalstreamError, type Receipt } from '../../src/index.ts';
import { isPartialName } from '../../src/transfer/partial.ts';
import { until } from '../server/wire-machines.ts';
import { survey } from '../transfer/engine-tree.ts';
import { machine, noise, pair } from './machines.ts';

const MIB = 1024 * 1024;

suite('many transfers at once', () => {
  test('twenty in one session, both ways, all come to their end', async (t) => {
    const { base, share, local, session, listener } = await pair(t);
    mkdirSync(join(base, 'mine'));
    const running: Promise<Receipt>[] = [];
    for (let number = 0; number < 10; number += 1) {
      for (const folder of [share, join(base, 'mine')]) {
        mkdirSync(join(folder, `tree ${number}`));
        writeFileSync(join(folder, `tree ${number}`, 'big'), noise(3 * MIB, number));
        for (let small = 0; small < 40; small += 1)
          writeFileSync(join(folder, `tree ${number}`, `s${small}`), noise(small * 100, small));
      }
      running.push(session.get([`/share/tree ${number}`], join(local, `got ${number}`)));
      running.push(session.put([join(base, 'mine', `tree ${number}`)], `/share/put ${number}`));
    }
    for (const receipt of await Promise.all(running))
      assert.deepEqual([receipt.code, receipt.files], ['OK', 41]);
    for (let number = 0; number < 10; number += 1) {
      const wanted = [...survey(join(base, 'mine', `tree ${number}`))]
        .map(([path, { value }]) => [path, value])
        .sort();
      for (const folder of [join(local, `got ${number}`), join(share, `put ${number}`)])
        assert.deepEqual([...survey(folder)].map(([path, { value }]) => [path, value]).sort(), wanted);
    }
    await until(() => listener.transfers.length === 0);
  });

  test('eleven small ones leave no warning of the process', async (t) => {
    const { share, local, session } = await pair(t);
    writeFileSync(join(share, 'x'), noise(500));
    const warnings: string[] = [];
    const note = (warning: Error) => warnings.push(String(warning));
    process.on('warning', note);
    t.after(() => process.off('warning', note));
    const running = Array.from({ length: 11 }, (_, number) =>
      session.get(['/share/x'], join(local, `x${number}`)),
    );
    for (const { code } of await Promise.all(running)) assert.equal(code, 'OK');
    assert.deepEqual(warnings, []);
  });

  test('more than a session may have are refused, the others go on', async (t) => {
    const { share, local, session } = await pair(t);
    writeFileSync(join(share, 'x'), noise(200_000));
    const running = Array.from({ length: 60 }, (_, number) =>
      session.get(['/share/x'], join(local, `x${number}`)).then(
        ({ code }) => code,
        (error: unknown) => (error instanceof LocalstreamError ? error.code : String(error)),
      ),
    );
    const codes = await Promise.all(running);
    assert.deepEqual([...new Set(codes)].sort(), ['BUSY', 'OK']);
    assert.ok(codes.filter((code) => code === 'OK').length >= 32);
  });

  for (const [what, size] of [
    ['small', 5000],
    ['middling', 400_000],
    ['large', 3 * MIB],
  ] as const)
    test(`two that write the same ${what} file leave one of them whole`, async (t) => {
      const { base, share, bob, session, listener } = await pair(t);
      const mallory = await machine(t, base, 'mallory');
      const other = await mallory.connect({
        host: '127.0.0.1',
        port: listener.port,
        fingerprint: bob.fingerprint,
      });
      for (let round = 0; round < 15; round += 1) {
        const contents = [noise(size, 2 * round), noise(size + (round % 3), 2 * round + 1)];
        for (const [index, content] of contents.entries()) {
          mkdirSync(join(base, `from ${index}`), { recursive: true });
          writeFileSync(join(base, `from ${index}`, 'x'), content);
        }
        const ended = await Promise.all(
          [session, other].map((one, index) =>
            one.put([join(base, `from ${index}`, 'x')], '/share/', { existing: 'overwrite' }).then(
              ({ code, outcomes }) => ({ code, outcome: outcomes[0]?.outcome, content: contents[index] }),
              (error: unknown) => ({ code: String(error), outcome: undefined, content: contents[index] }),
            ),
          ),
        );
        const there = readFileSync(join(share, 'x'));
        const won = ended.filter(({ code }) => code === 'OK');
        assert.ok(won.length > 0, ended.map(({ code }) => code).join());
        for (const { code } of ended) assert.ok(['OK', 'BUSY'].includes(code), code);
        assert.ok(
          won.some(({ content }) => content?.equals(there)),
          `round ${round}: what is there is not what was confirmed`,
        );
        assert.deepEqual([...survey(share).keys()].filter(isPartialName), []);
      }
    });
});

suite('one sender and several receivers', () => {
  test('are served each by itself: who says no, leaves or stops holds up nobody', async (t) => {
    const { base, local, bob, session, listener } = await pair(t);
    const mallory = await machine(t, base, 'mallory');
    const address = { host: '127.0.0.1', port: listener.port, fingerprint: bob.fingerprint };
    const sessions = [session];
    for (let number = 0; number < 4; number += 1) sessions.push(await mallory.connect(address));
    await until(() => listener.peers.length === 5);
    mkdirSync(join(base, 'tree'));
    writeFileSync(join(base, 'tree', 'big'), noise(40 * MIB));
    for (let number = 0; number < 100; number += 1)
      writeFileSync(join(base, 'tree', `s${number}`), noise(number * 50, number));
    const stop = new AbortController();
    const ends = sessions.map(async (one, index) => {
      const offer = await one.nextOffer();
      if (index === 1) return await offer.reject();
      if (index === 2) return await one.close();
      const options = index === 3 ? { signal: stop.signal } : {};
      const running = offer.accept(join(local, `tree ${index}`), options);
      if (index === 3)
        await until(() => one.transfers.some(({ bytes }) => bytes > MIB)).then(() => stop.abort());
      await running.catch((error: unknown) => assert.ok(error instanceof LocalstreamError));
    });
    const peers = new Map(listener.peers.map((peer) => [peer.id, peer]));
    const ids = sessions.map(({ peer }) => peers.get(peer.id)?.id ?? '');
    const results = await listener.sendToAll(ids, [join(base, 'tree')]);
    await Promise.all(ends);
    const codes = results.map((result) =>
      result.status === 'fulfilled' ? result.value.code : codeOf(result.reason),
    );
    assert.deepEqual(codes, ['OK', 'REJECTED', 'CLOSED', 'CLOSED', 'OK']);
    const wanted = [...survey(join(base, 'tree'))].map(([path, { value }]) => [path, value]).sort();
    for (const index of [0, 4])
      assert.deepEqual(
        [...survey(join(local, `tree ${index}`))].map(([path, { value }]) => [path, value]).sort(),
        wanted,
      );
  });

  test('all are told when the source changes under them', async (t) => {
    const { base, local, bob, session, listener } = await pair(t);
    const mallory = await machine(t, base, 'mallory');
    const other = await mallory.connect({
      host: '127.0.0.1',
      port: listener.port,
      fingerprint: bob.fingerprint,
    });
    await until(() => listener.peers.length === 2);
    mkdirSync(join(base, 'tree'));
    writeFileSync(join(base, 'tree', 'big'), noise(30 * MIB));
    writeFileSync(join(base, 'tree', 'small'), 'small');
    const receipts = [session, other].map(async (one, index) =>
      (await one.nextOffer()).accept(join(local, `tree ${index}`)),
    );
    const sending = listener.sendToAll(
      listener.peers.map(({ id }) => id),
      [join(base, 'tree')],
      { limit: 8 * MIB },
    );
    const changed = noise(30 * MIB, 2);
    await until(() => session.transfers.some(({ bytes }) => bytes > MIB));
    writeFileSync(join(base, 'tree', 'big'), changed);
    for (const receipt of await Promise.all(receipts)) {
      assert.deepEqual([receipt.code, receipt.failed, receipt.files], ['PARTIAL', 1, 1]);
      assert.deepEqual(
        [receipt.outcomes[0]?.path, receipt.outcomes[0]?.code],
        ['tree/big', 'SOURCE_CHANGED'],
      );
    }
    for (const result of await sending)
      assert.equal(result.status === 'fulfilled' && result.value.code, 'PARTIAL');
  });
});

const codeOf = (error: unknown): string => (error instanceof LocalstreamError ? error.code : String(error));

suite('a worker that dies', () => {
  test('ends its transfers with a typed error, and the next ones work', async (t) => {
    const workers: Worker[] = [];
    const note = (message: unknown): void => {
      if (typeof message === 'object' && message && 'worker' in message && message.worker instanceof Worker)
        workers.push(message.worker);
    };
    subscribe('worker_threads', note);
    t.after(() => unsubscribe('worker_threads', note));
    const { share, local, session, listener, failed } = await pair(t);
    writeFileSync(join(share, 'big'), noise(20 * MIB));
    const running = session.get(['/share/big'], `${local}/`, { limit: 10 * MIB });
    running.catch(() => {});
    await until(() => session.transfers.some(({ bytes }) => bytes > MIB));
    assert.ok(workers.length > 0);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await assert.rejects(running, { code: 'INTERNAL' });
    await until(() => failed.length > 0 && listener.transfers.length === 0);
    const receipt = await session.get(['/share/big'], `${local}/`);
    assert.equal(receipt.code, 'OK');
    assert.ok(readFileSync(join(local, 'big')).equals(noise(20 * MIB)));
  });
});
