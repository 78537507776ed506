import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  buildTxt,
  hintOf,
  hostLabels,
  instanceName,
  isHintOf,
  parseTxt,
} from '../../src/discovery/records.ts';
import { someFingerprint } from '../store/temporary-home.ts';

const fingerprint = someFingerprint(7);

function txt(...strings: readonly string[]) {
  return parseTxt(strings.map((string) => Buffer.from(string)));
}

describe('the TXT record', () => {
  test('says version, a short fingerprint and whether a login is wanted, and nothing else', () => {
    assert.deepEqual(buildTxt(fingerprint, true).map(String), [
      'txtvers=1',
      `fp=${fingerprint.slice(7, 19)}`,
      'v=1',
      'login=1',
    ]);
    assert.deepEqual(parseTxt(buildTxt(fingerprint, true)), {
      fingerprintHint: fingerprint.slice(7, 19),
      version: 1,
      login: true,
      nameplates: [],
    });
    assert.equal(parseTxt(buildTxt(fingerprint, false)).login, false);
  });

  test('of another version says nothing', () => {
    const nothing = { fingerprintHint: undefined, version: undefined, login: false, nameplates: [] };
    assert.deepEqual(txt('txtvers=2', 'fp=QUJDREVGR0hJ', 'v=1', 'login=1'), nothing);
    assert.deepEqual(txt('fp=QUJDREVGR0hJ', 'login=1'), nothing);
    assert.deepEqual(parseTxt([]), nothing);
  });

  test('is read by RFC 6763: keys of any case, the first of two, unknown ones passed over', () => {
    assert.deepEqual(txt('TXTVERS=1', 'FP=QUJDREVGR0hJ', 'fp=AAAAAAAAAAAA', 'x=y', '=z', 'flag', 'LOGIN=1'), {
      fingerprintHint: 'QUJDREVGR0hJ',
      version: undefined,
      login: true,
      nameplates: [],
    });
  });

  test('names the codes that are open, and takes for one only what can be one', () => {
    const strings = buildTxt(fingerprint, false, [7, 812]);
    assert.equal(strings.at(-1)?.toString(), 'codes=7,812');
    assert.deepEqual(parseTxt(strings).nameplates, [7, 812]);
    assert.deepEqual(txt('txtvers=1', 'codes=0,-1,7,1e3,10000, 8,').nameplates, [7]);
    const many = Array.from({ length: 100 }, (_, index) => 9000 + index);
    const [last] = buildTxt(fingerprint, false, many).slice(-1);
    assert.ok(last !== undefined && last.length <= 255);
    assert.equal(txt('txtvers=1', `codes=${many.join(',')}`).nameplates.length, 50);
  });

  test('gives no hint that is none', () => {
    for (const bad of ['', 'short', '\x1b[31mredredred', 'a'.repeat(44), 'abcdefgh=', 'abcdefg h']) {
      assert.equal(txt('txtvers=1', `fp=${bad}`).fingerprintHint, undefined, bad);
    }
    for (const bad of ['0', '-1', '1e3', '99999', ' 1']) {
      assert.equal(txt('txtvers=1', `v=${bad}`).version, undefined, bad);
    }
  });

  test('of any bytes is read within bounds', () => {
    const string = fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(string, { maxLength: 100 }), (strings) => {
        const { fingerprintHint = '' } = parseTxt([Buffer.from('txtvers=1'), ...strings]);
        assert.match(fingerprintHint, /^[A-Za-z0-9+/]{0,43}$/);
      }),
    );
    const late = Array.from({ length: 6 }, () => Buffer.from(`x=${'y'.repeat(250)}`));
    assert.equal(parseTxt([Buffer.from('txtvers=1'), ...late, Buffer.from('login=1')]).login, false);
  });

  test('hints at one key', () => {
    assert.ok(isHintOf(hintOf(fingerprint), fingerprint));
    assert.ok(!isHintOf(hintOf(fingerprint), someFingerprint(8)));
    assert.ok(!isHintOf(undefined, fingerprint));
  });
});

describe('the name of an instance', () => {
  test('is the device name, then that with a number', () => {
    assert.equal(instanceName('nas'), 'nas');
    assert.equal(instanceName('nas', 2), 'nas (2)');
    assert.equal(instanceName('v2.0', 13), 'v2.0 (13)');
    assert.equal(instanceName('\n'), 'localstream');
  });

  test('is never longer than a label and never cut within a character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 80 }),
        fc.integer({ min: 1, max: 999 }),
        (wanted, n) => {
          const name = instanceName(wanted, n);
          assert.ok(name !== '' && Buffer.byteLength(name) <= 63);
          assert.ok(name.isWellFormed());
          assert.doesNotMatch(name, /\p{Cc}/u);
        },
      ),
    );
    assert.equal(instanceName('ä'.repeat(31), 2), `${'ä'.repeat(29)} (2)`);
  });
});

test('the host of an advertisement differs by key and port, and not by time', () => {
  const [label = ''] = hostLabels(fingerprint, 7353);
  assert.match(label, /^localstream-[0-9a-f]{12}-7353$/);
  assert.deepEqual(hostLabels(fingerprint, 7353), [label, 'local']);
  assert.notEqual(hostLabels(fingerprint, 7354)[0], label);
  assert.notEqual(hostLabels(someFingerprint(8), 7353)[0], label);
});
