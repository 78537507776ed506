import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { addressText, TrustStore } from '../../src/store/trust-store.ts';
import { otherProcess, someFingerprint, temporaryHome, warnings } from './temporary-home.ts';

const [ALICE, BOB, CAROL] = [someFingerprint(1), someFingerprint(2), someFingerprint(3)];

test('a pinned key is found by fingerprint, name and dialled address, by another store too', async (t) => {
  const home = temporaryHome(t);
  const address = { host: 'NAS.local.', port: 7353 };
  const made = await new TrustStore(home).trust({
    fingerprint: ALICE,
    name: 'alice',
    how: 'confirmed',
    address,
  });
  const store = new TrustStore(home);
  assert.deepEqual(await store.get(ALICE), made);
  assert.deepEqual(await store.byName('Alice'), made);
  assert.deepEqual(await store.byAddress('nas.local', 7353), made);
  assert.ok(made.since instanceof Date);
  assert.equal(await store.get(BOB), undefined);
  assert.equal(await store.byName('bob'), undefined);
  assert.equal(await store.byAddress('nas.local', 7354), undefined);
});

test('names are unique and can be written where a peer is', async (t) => {
  const store = new TrustStore(temporaryHome(t));
  const name = async (number: number, wanted: string) =>
    (await store.trust({ fingerprint: someFingerprint(number), name: wanted, how: 'operator' })).name;
  assert.equal(await name(1, 'bob'), 'bob');
  assert.equal(await name(2, 'Bob'), 'Bob-2');
  assert.equal(await name(3, 'bob'), 'bob-3');
  assert.equal(await name(4, 'a b:c/d@e\u001b[2J'), 'a-b-c-d-e-2J');
  assert.equal(
    await name(5, '192.0.2.7'),
    'peer-192.0.2.7',
    'a peer is not found where an address was meant',
  );
  assert.equal(await name(6, '\u202e'), 'peer');
  assert.equal(await name(7, '--yes'), 'yes', 'a name is never an option');
  assert.ok(Buffer.byteLength(await name(8, 'ü'.repeat(500))) <= 63);
  assert.equal(await name(1, 'bob'), 'bob', 'its own name is free for it');
  assert.equal((await store.rename(someFingerprint(1), 'BOB-3')).name, 'BOB-3-2');
  await assert.rejects(store.rename(someFingerprint(99), 'x'), { code: 'NOT_TRUSTED' });
});

test('trusting again keeps since, name and the better reason', async (t) => {
  const store = new TrustStore(temporaryHome(t));
  const first = await store.trust({ fingerprint: ALICE, name: 'alice', how: 'accept-new' });
  const better = await store.trust({ fingerprint: ALICE, how: 'paired' });
  assert.deepEqual([better.since, better.name, better.how], [first.since, 'alice', 'paired']);
  assert.equal((await store.trust({ fingerprint: ALICE, how: 'accept-new' })).how, 'paired');
  assert.equal((await store.list()).length, 1);
});

test('an address belongs to the peer that was last met there, and a peer has at most eight', async (t) => {
  const store = new TrustStore(temporaryHome(t));
  await store.trust({
    fingerprint: ALICE,
    name: 'alice',
    how: 'manual',
    address: { host: '192.0.2.1', port: 1 },
  });
  await store.trust({
    fingerprint: BOB,
    name: 'bob',
    how: 'manual',
    address: { host: '192.0.2.1', port: 1 },
  });
  assert.equal((await store.byAddress('192.0.2.1', 1))?.name, 'bob');
  assert.deepEqual((await store.get(ALICE))?.addresses, []);
  for (let port = 2; port < 12; port++) await store.noteAddress(ALICE, { host: '192.0.2.1', port });
  const { addresses, lastSeen } = (await store.get(ALICE)) ?? {};
  assert.deepEqual(
    addresses,
    [11, 10, 9, 8, 7, 6, 5, 4].map((port) => `192.0.2.1:${port}`),
  );
  assert.ok(lastSeen instanceof Date);
});

test('meeting a key that is not trusted, or one again at once, writes nothing', async (t) => {
  const home = temporaryHome(t);
  const store = new TrustStore(home);
  await store.trust({ fingerprint: ALICE, name: 'alice', how: 'manual' });
  await store.noteAddress(ALICE, { host: 'a', port: 1 });
  const before = readFileSync(home.trustFile, 'utf8');
  await store.noteAddress(CAROL, { host: 'a', port: 1 });
  await store.noteAddress(ALICE, { host: 'a', port: 1 });
  await store.noteAddress(ALICE);
  assert.equal(readFileSync(home.trustFile, 'utf8'), before);
});

test('trust is taken back, here and for others', async (t) => {
  const home = temporaryHome(t);
  const [one, other] = [new TrustStore(home), new TrustStore(home)];
  await one.trust({ fingerprint: ALICE, name: 'alice', how: 'manual' });
  assert.ok(await other.get(ALICE));
  assert.equal(await one.forget(ALICE), true);
  assert.equal(await other.get(ALICE), undefined);
  assert.equal(await other.forget(ALICE), false);
});

test('what another process pins is seen, and two that pin at once both do', async (t) => {
  const home = temporaryHome(t);
  const store = new TrustStore(home);
  assert.deepEqual(await store.list(), []);
  const runs = await Promise.all(['1', '2', '3'].map((number) => otherProcess(['trust', home.data, number])));
  assert.deepEqual(
    runs.map((run) => run.errors),
    ['', '', ''],
  );
  assert.deepEqual(
    (await store.list()).map((peer) => peer.name),
    ['bob', 'bob-2', 'bob-3'],
  );
});

test('a broken trust file is set aside and told, a newer one is refused and stays', async (t) => {
  const home = temporaryHome(t);
  await new TrustStore(home).trust({ fingerprint: ALICE, name: 'alice', how: 'manual' });
  const good = readFileSync(home.trustFile, 'utf8');
  const broken = [
    '',
    good.slice(0, 60),
    'garbage',
    good.replace(ALICE, ALICE.slice(0, -1)),
    good.replace('manual', 'magic'),
  ];
  for (const content of broken) {
    writeFileSync(home.trustFile, content, { mode: 0o600 });
    const { warn, told } = warnings();
    const store = new TrustStore(home, warn);
    assert.deepEqual(await store.list(), [], content);
    assert.match(told.join(), /trust\.json can't be used/);
    await store.trust({ fingerprint: BOB, name: 'bob', how: 'manual' });
    assert.equal((await store.list()).length, 1);
  }
  const kept = readdirSync(home.data).filter((name) => name.startsWith('trust.json.broken-'));
  assert.deepEqual(
    new Set(kept.map((name) => readFileSync(`${home.data}/${name}`, 'utf8'))),
    new Set(broken),
  );
  const newer = good.replace('"version": 1', '"version": 2');
  writeFileSync(home.trustFile, newer);
  await assert.rejects(new TrustStore(home).get(ALICE), { code: 'STATE', message: /newer/ });
  await assert.rejects(new TrustStore(home).forget(ALICE), { code: 'STATE', message: /newer/ });
  assert.equal(readFileSync(home.trustFile, 'utf8'), newer);
});

test('addresses are compared in one form', () => {
  assert.equal(addressText('[FE80:0::1]', 1), '[fe80::1]:1');
  assert.equal(addressText('fe80::1%eth0', 1), '[fe80::1%eth0]:1');
  assert.equal(addressText('::ffff:192.0.2.1', 1), addressText('::FFFF:c000:201', 1));
  assert.equal(addressText('Host.', 1), 'host:1');
});
