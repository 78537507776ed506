import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkUserName } from '../../src/auth/user-name.ts';
import { type Grant, RIGHTS, type Right } from '../../src/auth/user-store.ts';
import {
  allows,
  GUEST,
  isDropBox,
  mayDo,
  maySee,
  OFFER_RULES,
  offerAnswer,
  peerVisitor,
  type ShareMode,
  type Verb,
  type Visitor,
} from '../../src/server/access.ts';

const MODES: readonly ShareMode[] = ['ro', 'rw', 'wo'];
const PLAIN = ['list', 'get', 'put'] as const;
const CHANGES = ['mkdir', 'move', 'remove'] as const;
const VERBS: readonly Verb[] = [...PLAIN, ...CHANGES];
const bob = checkUserName('bob');
const alice = checkUserName('alice');

/** What is given by whom: every way in which one right can stand in the table for bob and for all. */
const STANDS = ['-', 'given', 'denied'] as const;
type Stand = (typeof STANDS)[number];

function grantsOf(own: Stand, everyones: Stand, right: Right, share = 'docs'): Grant[] {
  const row = (user: Grant['user'], stand: Stand): Grant[] =>
    stand === '-' ? [] : [{ user, share, right, allowed: stand === 'given' }];
  return [...row(bob, own), ...row('*', everyones)];
}

function user(grants: readonly Grant[]): Visitor {
  return { kind: 'user', name: bob, grants };
}

/** A trusted peer with the same rows: what a user has by name it has in the share, what all users have in every share. */
function peer(grants: readonly Grant[]): Visitor {
  return peerVisitor(
    grants.map(({ user: whose, share, right, allowed }) => ({
      share: whose === '*' ? '*' : share,
      right,
      allowed,
    })),
  );
}

/** The table as the documents have it, written out. */
const CEILING: Record<ShareMode, Record<Verb, boolean>> = {
  ro: { list: true, get: true, put: false, mkdir: false, move: false, remove: false },
  rw: { list: true, get: true, put: true, mkdir: true, move: true, remove: true },
  wo: { list: false, get: false, put: true, mkdir: false, move: false, remove: false },
};
const RIGHT_OF: Record<(typeof PLAIN)[number], Right> = { list: 'list', get: 'read', put: 'write' };
const DECISION: Record<Stand, Record<Stand, boolean>> = {
  '-': { '-': false, given: true, denied: false },
  given: { '-': true, given: true, denied: false },
  denied: { '-': false, given: false, denied: false },
};

describe('the matrix', () => {
  for (const mode of MODES) {
    const share = { name: 'docs', mode };
    for (const verb of PLAIN) {
      it(`${mode}, ${verb}`, () => {
        assert.equal(allows(mode, verb), CEILING[mode][verb]);
        assert.equal(mayDo(GUEST, share, verb), CEILING[mode][verb]);
        for (const visitor of [user([]), peer([])])
          assert.equal(mayDo(visitor, share, verb), false, 'the default is nothing');
        for (const right of RIGHTS) {
          for (const own of STANDS) {
            for (const everyones of STANDS) {
              const expected = CEILING[mode][verb] && right === RIGHT_OF[verb] && DECISION[own][everyones];
              const words = `${right}: own ${own}, everyone's ${everyones}`;
              for (const visitor of [user, peer]) {
                const grants = grantsOf(own, everyones, right);
                assert.equal(mayDo(visitor(grants), share, verb), expected, words);
                assert.equal(mayDo(visitor(grants.reverse()), share, verb), expected, `${words}, reversed`);
              }
            }
          }
        }
      });
    }
  }

  for (const mode of MODES) {
    const share = { name: 'docs', mode };
    for (const verb of CHANGES) {
      it(`${mode}, ${verb}: every stand of all three rights`, () => {
        assert.equal(allows(mode, verb), CEILING[mode][verb]);
        assert.equal(mayDo(GUEST, share, verb), CEILING[mode][verb]);
        const stands = STANDS.flatMap((own) => STANDS.map((everyones) => [own, everyones] as const));
        for (const write of stands) {
          for (const list of stands) {
            for (const read of stands) {
              const all = [write, list, read];
              const grants = [
                ...grantsOf(...write, 'write'),
                ...grantsOf(...list, 'list'),
                ...grantsOf(...read, 'read'),
              ];
              const expected = CEILING[mode][verb] && all.every(([own, star]) => DECISION[own][star]);
              const words = all.map((pair) => pair.join(' ')).join(', ');
              for (const visitor of [user, peer]) {
                assert.equal(mayDo(visitor(grants), share, verb), expected, words);
                assert.equal(
                  mayDo(visitor(grants.toReversed()), share, verb),
                  expected,
                  `${words}, reversed`,
                );
                assert.ok(!expected || !isDropBox(visitor(grants), share), `${words}: a drop-box`);
              }
            }
          }
        }
      });
    }
  }

  it('takes a share for itself alone, and a user too', () => {
    const all = RIGHTS.flatMap((right) => grantsOf('given', '-', right));
    for (const name of ['Docs', 'docs ', 'doc', 'docs/sub', '*', '']) {
      for (const verb of VERBS) assert.equal(mayDo(user(all), { name, mode: 'rw' }, verb), false, name);
    }
    const stranger: Visitor = { kind: 'user', name: alice, grants: all };
    for (const verb of VERBS) assert.equal(mayDo(stranger, { name: 'docs', mode: 'rw' }, verb), false);
    const star: Visitor = {
      kind: 'user',
      name: bob,
      grants: RIGHTS.flatMap((right) => grantsOf('given', '-', right, '*')),
    };
    for (const verb of VERBS) assert.equal(mayDo(star, { name: 'docs', mode: 'rw' }, verb), false);
  });

  it('takes a share for itself where a peer has rights, and gives one with all of them what the mode allows', () => {
    const all = peer(RIGHTS.flatMap((right) => grantsOf('given', '-', right)));
    for (const name of ['Docs', 'docs ', 'doc', 'docs/sub', '*', '']) {
      for (const verb of VERBS) assert.equal(mayDo(all, { name, mode: 'rw' }, verb), false, name);
    }
    assert.equal(peerVisitor('all'), GUEST);
  });

  it('shows a share to who may do anything with it', () => {
    for (const mode of MODES) {
      const share = { name: 'docs', mode };
      assert.equal(maySee(GUEST, share), true);
      assert.equal(maySee(user([]), share), false);
      for (const right of RIGHTS) {
        const verb = PLAIN.find((candidate) => RIGHT_OF[candidate] === right);
        assert.ok(verb);
        assert.equal(maySee(user(grantsOf('given', '-', right)), share), CEILING[mode][verb]);
      }
    }
  });

  it('makes a drop-box of what can be written and not seen', () => {
    const rights = (...given: readonly Right[]) =>
      user(given.flatMap((right) => grantsOf('given', '-', right)));
    assert.equal(isDropBox(GUEST, { name: 'docs', mode: 'wo' }), true);
    assert.equal(isDropBox(GUEST, { name: 'docs', mode: 'rw' }), false);
    assert.equal(isDropBox(GUEST, { name: 'docs', mode: 'ro' }), false);
    const share = { name: 'docs', mode: 'rw' } as const;
    assert.equal(isDropBox(rights('write'), share), true);
    assert.equal(
      isDropBox(rights('write', 'list'), share),
      true,
      'names are seen, contents are not to be compared',
    );
    assert.equal(isDropBox(rights('write', 'read'), share), true);
    assert.equal(isDropBox(rights('write', 'read', 'list'), share), false);
    assert.equal(isDropBox(rights('read', 'list'), share), false);
  });
});

describe('an offer', () => {
  it('is asked about, and accepted by the rule for who is trusted: every case', () => {
    const told: string[] = [];
    for (const rule of OFFER_RULES)
      for (const isKnown of [true, false])
        for (const isTrusted of [true, false])
          for (const hasPerson of [true, false]) {
            const answer = offerAnswer(rule, { isKnown, isTrusted }, hasPerson);
            told.push(
              `${rule} ${isKnown ? 'known' : 'unknown'} ${isTrusted ? 'trusted' : 'stranger'} ${hasPerson ? 'person' : 'nobody'}: ${answer}`,
            );
          }
    assert.deepEqual(told, [
      'ask known trusted person: ask',
      'ask known trusted nobody: refuse',
      'ask known stranger person: ask',
      'ask known stranger nobody: refuse',
      'ask unknown trusted person: refuse',
      'ask unknown trusted nobody: refuse',
      'ask unknown stranger person: refuse',
      'ask unknown stranger nobody: refuse',
      'trusted known trusted person: accept',
      'trusted known trusted nobody: accept',
      'trusted known stranger person: ask',
      'trusted known stranger nobody: refuse',
      'trusted unknown trusted person: refuse',
      'trusted unknown trusted nobody: refuse',
      'trusted unknown stranger person: refuse',
      'trusted unknown stranger nobody: refuse',
    ]);
  });
});
