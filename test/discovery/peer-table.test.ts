import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type MessageParts, RECORD, readMessage, writeMessage } from '../../src/discovery/message.ts';
import { PeerTable } from '../../src/discovery/peer-table.ts';
import { announcement, type Claim, HOSTILE, recordsOf } from './packets.ts';

function hear(table: PeerTable, parts: Buffer | MessageParts, source = '10.77.0.9', now = 0): boolean {
  const message = readMessage(Buffer.isBuffer(parts) ? parts : writeMessage({ isResponse: true, ...parts }));
  assert.ok(message);
  return table.hear(message, source, now);
}

function names(table: PeerTable, now = 0): string[] {
  return table.sightings(now).map(({ name }) => name);
}

function withTtl(claim: Claim, types: readonly number[], ttl: number) {
  return recordsOf(claim).map((record) => (types.includes(record.data.type) ? { ...record, ttl } : record));
}

describe('a peer', () => {
  test('is known when name, port and an address have been heard, in any order of one packet', () => {
    for (const answers of [recordsOf({ name: 'a.b' }), recordsOf({ name: 'a.b' }).reverse()]) {
      const table = new PeerTable();
      assert.ok(hear(table, { answers: answers.slice(0, 2), additionals: answers.slice(2) }));
      assert.deepEqual(table.sightings(0), [
        {
          name: 'a.b',
          host: 'host-a\\.b.local',
          port: 7353,
          addresses: ['10.77.0.9'],
          source: '10.77.0.9',
          lastSeen: 0,
          fingerprintHint: 'QUJDREVGR0hJ',
          version: 1,
          login: false,
          nameplates: [],
        },
      ]);
    }
  });

  test('of which only the name was heard is asked for, three times and no more', () => {
    const table = new PeerTable();
    hear(table, { answers: recordsOf({ name: 'a' }).slice(0, 1) });
    assert.deepEqual(names(table), []);
    assert.deepEqual(
      table.missing().map(({ type }) => type),
      [RECORD.SRV, RECORD.TXT],
    );
    hear(table, { answers: recordsOf({ name: 'a' }).slice(1, 2) });
    assert.deepEqual(
      table.missing().map(({ name: [label], type }) => [label, type]),
      [
        ['host-a', RECORD.A],
        ['host-a', RECORD.AAAA],
        ['a', RECORD.TXT],
      ],
    );
    assert.ok(table.isMissing);
    table.missing();
    assert.ok(!table.isMissing);
    assert.deepEqual(table.missing(), []);
    table.expire(10_000);
    assert.equal(table.size, 0);
  });

  test('without TXT is known, and gives no hint', () => {
    const table = new PeerTable();
    hear(table, { answers: recordsOf({ name: 'a' }).filter(({ data }) => data.type !== RECORD.TXT) });
    assert.equal(table.sightings(0)[0]?.fingerprintHint, undefined);
    assert.deepEqual(names(table), ['a']);
  });

  test('goes a second after its goodbye, and stays when it comes back before', () => {
    const table = new PeerTable();
    hear(table, announcement({ name: 'a' }));
    hear(table, announcement({ name: 'b' }));
    for (const name of ['a', 'b'])
      hear(table, { answers: withTtl({ name }, [RECORD.PTR], 0) }, '10.77.0.9', 5000);
    hear(table, announcement({ name: 'b' }), '10.77.0.9', 5500);
    assert.equal(table.nextEnd(), 6000);
    assert.ok(table.expire(6000));
    assert.deepEqual(names(table, 6000), ['b']);
  });

  test('goes when what it said has had its time, its address as well as its name', () => {
    for (const type of [RECORD.PTR, RECORD.SRV, RECORD.A]) {
      const table = new PeerTable();
      hear(table, { answers: withTtl({ name: 'a' }, [type], 7) });
      table.expire(6999);
      assert.deepEqual(names(table, 6999), ['a'], String(type));
      table.expire(7000);
      assert.deepEqual(names(table, 7000), [], String(type));
      table.expire(20_000);
      assert.equal(table.size, 0);
    }
  });

  test('is asked for again at four fifths of its life, then thrice more, and not when it said goodbye', () => {
    const table = new PeerTable();
    hear(table, announcement({ name: 'a', ttl: 100 }));
    const due: (number | undefined)[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const next = table.nextRefresh();
      due.push(next);
      table.refreshed(next ?? 0);
    }
    assert.deepEqual(due, [80_000, 85_000, 90_000, 95_000, undefined]);
    hear(table, announcement({ name: 'a', ttl: 100 }), '10.77.0.9', 96_000);
    assert.equal(table.nextRefresh(), 176_000);
    hear(table, announcement({ name: 'a', ttl: 0 }), '10.77.0.9', 97_000);
    assert.equal(table.nextRefresh(), undefined);
  });

  test('need not answer while more than half of its life is left', () => {
    const table = new PeerTable();
    hear(table, announcement({ name: 'a', ttl: 100 }));
    assert.deepEqual(
      table.known(49_999).map(({ ttl }) => ttl),
      [50],
    );
    assert.deepEqual(table.known(50_000), []);
  });

  test('that moved is where it said last', () => {
    const table = new PeerTable();
    hear(table, announcement({ name: 'a', addresses: ['10.77.0.9', 'fd77::9'] }));
    hear(table, announcement({ name: 'a', addresses: ['10.77.0.10', 'fd77::9'] }), '10.77.0.10', 5000);
    table.expire(6000);
    assert.deepEqual(table.sightings(6000)[0]?.addresses, ['fd77::9', '10.77.0.10']);
  });
});

describe('a table', () => {
  test('holds 512 names, 32 of one sender and 16 addresses of one host', () => {
    const table = new PeerTable();
    for (let at = 0; at < 100; at += 1) hear(table, announcement({ name: `greedy-${at}` }), '10.77.0.1');
    assert.equal(table.size, 32);
    for (let at = 0; at < 1000; at += 1)
      hear(table, announcement({ name: `one-${at}` }), `10.78.${at >> 8}.${at % 256}`);
    assert.equal(table.size, 512);
    const addresses = Array.from({ length: 40 }, (_, at) => `10.77.1.${at}`);
    const other = new PeerTable();
    hear(other, announcement({ name: 'a', addresses }));
    assert.equal(other.sightings(0)[0]?.addresses.length, 16);
  });

  test('that is full takes in a new sender at the cost of the greediest', () => {
    const table = new PeerTable();
    for (let at = 0; at < 512; at += 1)
      hear(table, announcement({ name: `flood-${at}` }), `10.78.0.${at >> 4}`);
    assert.equal(table.size, 512);
    hear(table, announcement({ name: 'honest' }), '10.77.0.5');
    assert.equal(table.size, 512);
    assert.ok(names(table).includes('honest'));
  });

  test('lets no life last longer than five minutes unheard', () => {
    const table = new PeerTable();
    hear(table, announcement({ name: 'a', ttl: 0x7fffffff }));
    table.expire(300_000);
    assert.equal(table.size, 0);
  });

  test('takes nothing of what nobody has named', () => {
    const table = new PeerTable();
    const [, service, text, address] = recordsOf({ name: 'a' });
    assert.ok(service && text && address);
    assert.ok(!hear(table, { answers: [service, text, address] }));
    const other = { ...service, name: ['_http', '_tcp', 'local'] };
    assert.ok(
      !hear(table, {
        answers: [{ ...other, data: { type: RECORD.PTR, target: ['x', '_http', '_tcp', 'local'] } }],
      }),
    );
    const pointer = recordsOf({ name: 'a' }).slice(0, 1);
    const astray = { type: RECORD.PTR, target: ['x', '_http', '_tcp', 'local'] } as const;
    hear(table, { answers: pointer.map((record) => ({ ...record, data: astray })) });
    assert.equal(table.size, 0);
  });

  test('survives hostile packets', () => {
    const table = new PeerTable();
    for (const bytes of HOSTILE.values()) {
      const message = readMessage(bytes);
      if (message) table.hear(message, '10.77.0.9', 0);
    }
    assert.deepEqual(names(table), []);
  });

  test('forgets everything in the end, whatever was heard and when', () => {
    const claim = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      ttl: fc.constantFrom(0, 1, 120, 4500),
      host: fc.constantFrom('x', 'y'),
      addresses: fc.subarray(['10.0.0.1', '10.0.0.2', 'fd77::1']),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(claim, fc.nat(400_000)), { maxLength: 20 }), (heard) => {
        const table = new PeerTable();
        for (const [one, at] of heard.toSorted((a, b) => a[1] - b[1])) {
          table.expire(at);
          hear(table, announcement(one), '10.77.0.9', at);
        }
        for (let turn = 0; table.size > 0; turn += 1) {
          assert.ok(turn < 100);
          const end = table.nextEnd();
          assert.ok(end !== undefined && end <= 400_000 + 4_500_000);
          table.expire(end);
        }
        assert.equal(table.nextEnd(), undefined);
      }),
    );
  });
});
