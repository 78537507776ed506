/** Many logins at once beside a transfer. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkUserName } from '../../src/auth/user-name.ts';
import { PasswordHasher } from '../../src/crypto/passwords.ts';
import { identities } from '../crypto/fixed.ts';
import { dialSession } from '../server/wire-dialler.ts';
import { until } from '../server/wire-machines.ts';
import { machine, noise, sceneFolder } from './machines.ts';

const LOGINS = 30;
const PASSWORD = 'correct horse';

test('thirty logins at once all end as they should, and a transfer goes on between them', async (t) => {
  const base = sceneFolder(t);
  const [share, local] = [join(base, 'share'), join(base, 'local')];
  for (const folder of [share, local]) mkdirSync(folder);
  const bytes = noise(24_000_000);
  writeFileSync(join(share, 'big'), bytes);
  const bob = await machine(t, base, 'bob');
  const alice = await machine(t, base, 'alice');
  const users = await bob.users();
  // As they are made in earnest: it is their cost that could starve the transfer.
  const hash = await new PasswordHasher().hash(PASSWORD);
  const names = Array.from({ length: LOGINS }, (_, index) => checkUserName(`user ${index}`));
  for (const name of [checkUserName('ann'), ...names]) await users.add(name, hash);
  await users.grant('*', 'share', ['read']);
  const listener = await bob.listen({
    port: 0,
    host: '127.0.0.1',
    auth: 'password',
    maxConnections: LOGINS + 1,
    shares: [{ name: 'share', folder: share }],
  });
  const session = await alice.connect({
    host: '127.0.0.1',
    port: listener.port,
    fingerprint: bob.fingerprint,
  });
  await session.login('ann', PASSWORD);
  const strangers = [];
  for (let index = 0; index < LOGINS; index += 1)
    strangers.push(await dialSession(listener.port, identities.mallory));

  const got = session.get(['/share/big'], `${local}/`, { limit: 2_000_000 });
  const crossed = () => listener.transfers.reduce((sum, transfer) => sum + transfer.bytes, 0);
  await until(() => crossed() > 0);
  const atFirst = crossed();
  const between: number[] = [];
  // Each tenth has another password: who is wrong does not hold up who is right.
  const answers = await Promise.all(
    strangers.map(async ({ control }, index) => {
      const password = index % 10 === 0 ? `${PASSWORD}!` : PASSWORD;
      control.send({ type: 'login', name: `user ${index}`, password });
      const answer = await control.after();
      between.push(crossed());
      return answer?.type;
    }),
  );
  assert.deepEqual(
    answers,
    names.map((_, index) => (index % 10 === 0 ? 'denied' : 'welcome')),
  );
  assert.equal(listener.peers.length, 1 + LOGINS - LOGINS / 10);
  // What had crossed by each answer: it grew while they came, and not only before the first or after the last.
  assert.ok((between.at(-1) ?? 0) > atFirst, between.join());
  assert.ok(new Set(between).size > 3, between.join());
  assert.equal((await got).code, 'OK');
  assert.deepEqual(readFileSync(join(local, 'big')), bytes);
});
