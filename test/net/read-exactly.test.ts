import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import { LocalstreamError } from '../../src/errors.ts';
import { readExactly } from '../../src/net/read-exactly.ts';
import { tlsPair } from './tls-pair.ts';

const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

const FOREVER = 60_000;

async function pair(t: TestContext) {
  const { dialled, accepted } = await tlsPair(t);
  return { other: dialled, socket: accepted };
}

suite('reading the first bytes of a connection', () => {
  test('exactly as many as are wanted are taken, however they are cut; the rest stays', async (t) => {
    for (const parts of [['LS1 CTRLrest'], ['LS1 ', 'CTRLre', 'st'], [...'LS1 CTRLrest']]) {
      const { other, socket } = await pair(t);
      const reading = readExactly(socket, 8, FOREVER);
      for (const part of parts) other.write(part);
      assert.equal((await reading).toString(), 'LS1 CTRL');
      assert.equal((await readExactly(socket, 4, FOREVER)).toString(), 'rest');
      assert.equal(socket.listenerCount('data'), 0);
      assert.equal(socket.isPaused(), true);
    }
  });

  test('a connection that ends before is said to be closed', async (t) => {
    for (const text of ['', 'LS1 CTR']) {
      const { other, socket } = await pair(t);
      other.end(text);
      await assert.rejects(readExactly(socket, 8, FOREVER), isCode('CLOSED'));
    }
  });

  test('one that stays silent is given up', async (t) => {
    const { other, socket } = await pair(t);
    other.write('LS1');
    await assert.rejects(readExactly(socket, 8, 50), isCode('TIMEOUT'));
  });

  test('one that breaks is lost or closed', async (t) => {
    const { other, socket } = await pair(t);
    const reading = readExactly(socket, 8, FOREVER);
    other.destroy();
    await assert.rejects(reading, (error) => isCode('LOST')(error) || isCode('CLOSED')(error));
    if (!socket.closed) await once(socket, 'close');
  });
});
