import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fateOf, type Packet, parseRuleset } from '../../src/doctor/nftables.ts';

const LISTENER: Packet = { hook: 'input', protocol: 'tcp', port: 7353, family: 4, interface: 'eth0' };
const MULTICAST: Packet = {
  hook: 'input',
  protocol: 'udp',
  port: 5353,
  to: '224.0.0.251',
  family: 4,
  interface: 'eth0',
};

type Statement = Record<string, unknown>;

const drop = { drop: null };
const accept = { accept: null };
const port = (protocol: string, right: unknown) => ({
  match: { op: '==', left: { payload: { protocol, field: 'dport' } }, right },
});
const by = (right: unknown, op = '==') => ({ match: { op, left: { meta: { key: 'iifname' } }, right } });

/** A ruleset in the form of nft, with one base chain `c` and further chains. */
function ruleset(policy: string, rules: readonly Statement[][], more: Record<string, Statement[][]> = {}) {
  const table = { family: 'inet', table: 't' };
  const chain = (name: string, exprs: readonly Statement[][]) =>
    exprs.map((expr) => ({ rule: { ...table, chain: name, expr } }));
  const text = JSON.stringify({
    nftables: [
      { metainfo: { json_schema_version: 1 } },
      { chain: { ...table, name: 'c', hook: 'input', type: 'filter', prio: 0, policy } },
      ...Object.keys(more).map((name) => ({ chain: { ...table, name } })),
      ...chain('c', rules),
      ...Object.entries(more).flatMap(([name, exprs]) => chain(name, exprs)),
    ],
  });
  const parsed = parseRuleset(text);
  assert.ok(parsed);
  return parsed;
}

test('rules and policies decide, the first that fits', () => {
  assert.deepEqual(fateOf(ruleset('accept', []), LISTENER), { fate: 'passes' });
  assert.deepEqual(fateOf(ruleset('drop', []), LISTENER), { fate: 'dropped', chain: 'inet t c' });
  const opened = ruleset('drop', [[port('tcp', 7353), accept]]);
  assert.equal(fateOf(opened, LISTENER).fate, 'passes');
  assert.equal(fateOf(opened, MULTICAST).fate, 'dropped');
  const closed = ruleset('accept', [[port('udp', 5353), { counter: {} }, { reject: {} }]]);
  assert.equal(fateOf(closed, MULTICAST).fate, 'dropped');
  assert.equal(fateOf(closed, LISTENER).fate, 'passes');
  assert.equal(fateOf(closed, { ...MULTICAST, hook: 'output' }).fate, 'passes');
});

test('sets, ranges, networks, names of interfaces and negations are understood', () => {
  for (const right of [
    { set: [22, 7353] },
    { range: [7000, 8000] },
    { set: [{ range: [7353, 7353] }] },
    [7353],
  ])
    assert.equal(fateOf(ruleset('drop', [[port('tcp', right), accept]]), LISTENER).fate, 'passes');
  assert.equal(fateOf(ruleset('drop', [[by('lo'), accept]]), LISTENER).fate, 'dropped');
  assert.equal(fateOf(ruleset('drop', [[by('lo', '!='), accept]]), LISTENER).fate, 'passes');
  assert.equal(fateOf(ruleset('drop', [[by('eth*'), accept]]), LISTENER).fate, 'passes');
  const group = {
    match: {
      op: '==',
      left: { payload: { protocol: 'ip', field: 'daddr' } },
      right: { prefix: { addr: '224.0.0.0', len: 4 } },
    },
  };
  assert.equal(fateOf(ruleset('drop', [[group, accept]]), MULTICAST).fate, 'passes');
  assert.equal(
    fateOf(ruleset('drop', [[group, accept]]), { ...MULTICAST, family: 6, to: 'ff02::fb' }).fate,
    'dropped',
  );
  // A rule about TCP says nothing of UDP, negated or not.
  const negated = [
    { match: { op: '!=', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 1 } },
    drop,
  ];
  assert.equal(fateOf(ruleset('accept', [negated]), MULTICAST).fate, 'passes');
});

test('new connections are told from those that stand', () => {
  const state = (right: unknown) => ({ match: { op: 'in', left: { ct: { key: 'state' } }, right } });
  assert.equal(
    fateOf(ruleset('drop', [[state(['established', 'related']), accept]]), LISTENER).fate,
    'dropped',
  );
  const map = {
    vmap: {
      key: { ct: { key: 'state' } },
      data: {
        set: [
          ['established', accept],
          ['new', { jump: { target: 'fresh' } }],
        ],
      },
    },
  };
  const jumped = ruleset('drop', [[map]], { fresh: [[port('tcp', 7353), accept]] });
  assert.equal(fateOf(jumped, LISTENER).fate, 'passes');
  assert.equal(fateOf(jumped, MULTICAST).fate, 'dropped');
});

test('chains return, go on, and end in a circle without ending us', () => {
  const more = { a: [[{ return: null }], [drop]], b: [[drop]] };
  assert.equal(fateOf(ruleset('accept', [[{ jump: { target: 'a' } }]], more), LISTENER).fate, 'passes');
  assert.equal(
    fateOf(ruleset('drop', [[{ goto: { target: 'a' } }], [accept]], more), LISTENER).fate,
    'dropped',
    'who went does not come back',
  );
  assert.equal(
    fateOf(ruleset('accept', [[{ jump: { target: 'b' } }], [accept]], more), LISTENER).fate,
    'dropped',
  );
  const circle = { a: [[{ jump: { target: 'a' } }]] };
  assert.equal(fateOf(ruleset('accept', [[{ jump: { target: 'a' } }]], circle), LISTENER).fate, 'perhaps');
});

test('what only the kernel knows is not taken for known', () => {
  const source = {
    match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: '10.0.0.1' },
  };
  for (const unsure of [
    source,
    { limit: { rate: 1, per: 'second' } },
    port('udp', '@ports'),
    { xt: { type: 'match' } },
  ])
    assert.deepEqual(fateOf(ruleset('accept', [[unsure, drop]]), MULTICAST), {
      fate: 'perhaps',
      chain: 'inet t c',
    });
  for (const foreign of [
    { xt: null },
    { queue: {} },
    { vmap: { key: { meta: { key: 'mark' } }, data: { set: [] } } },
  ])
    assert.equal(fateOf(ruleset('accept', [[foreign]]), LISTENER).fate, 'perhaps');
});

test('every chain of the hook may drop it', () => {
  const table = { family: 'ip', table: 'other' };
  const text = JSON.stringify({
    nftables: [
      {
        chain: {
          family: 'inet',
          table: 't',
          name: 'a',
          hook: 'input',
          type: 'filter',
          prio: 0,
          policy: 'accept',
        },
      },
      { chain: { ...table, name: 'b', hook: 'input', type: 'filter', prio: 10, policy: 'drop' } },
      { chain: { ...table, name: 'n', hook: 'input', type: 'nat', prio: 0, policy: 'drop' } },
      { rule: { family: 'inet', table: 't', chain: 'a', expr: [accept] } },
    ],
  });
  const parsed = parseRuleset(text);
  assert.ok(parsed);
  assert.deepEqual(fateOf(parsed, LISTENER), { fate: 'dropped', chain: 'ip other b' });
  assert.equal(fateOf(parsed, { ...LISTENER, family: 6 }).fate, 'passes');
});

test('what is no ruleset is none', () => {
  for (const text of ['', '{', '[]', '{"nftables":1}', '{"nftables":[1]}'])
    assert.equal(parseRuleset(text), undefined);
});
