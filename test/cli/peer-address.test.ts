import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatPeer,
  looksRemote,
  parseBindHost,
  parsePeer,
  parsePort,
  parseRemotePath,
} from '../../src/cli/peer-address.ts';
import { refused } from './refused.ts';

const NONE = undefined;

test('peers are read as they are written', () => {
  const table: [string, string | undefined, string, number | undefined][] = [
    ['nas', NONE, 'nas', NONE],
    ['nas:7354', NONE, 'nas', 7354],
    ['NAS.local', NONE, 'NAS.local', NONE],
    ['10.0.0.5:1', NONE, '10.0.0.5', 1],
    ['10.0.0.5:65535', NONE, '10.0.0.5', 65535],
    ['[::1]', NONE, '::1', NONE],
    ['[::1]:7353', NONE, '::1', 7353],
    ['[fe80::1%eth0]:7353', NONE, 'fe80::1%eth0', 7353],
    ['alice@nas', 'alice', 'nas', NONE],
    ['alice@example.org@nas:7354', 'alice@example.org', 'nas', 7354],
    ['alice@[::1]:7354', 'alice', '::1', 7354],
    ['bücher', NONE, 'bücher', NONE],
    ['😀', NONE, '😀', NONE],
  ];
  for (const [text, user, host, port] of table) assert.deepEqual(parsePeer(text), { user, host, port }, text);
});

test('each bad peer is refused with its own message', () => {
  const table: [string, RegExp][] = [
    ['', /peer is empty/],
    [':7353', /has no host/],
    ['alice@', /has no host/],
    ['alice@:7353', /has no host/],
    ['@nas', /no user before the @/],
    ['nas:', /no port after its colon/],
    ['nas:0', /no port 0/],
    ['nas:70000', /no port 70000/],
    ['nas:65536', /no port 65536/],
    ['nas:99999999999999999999', /no port 9999/],
    ['nas:abc', /"abc" is not a port/],
    ['nas:-1', /"-1" is not a port/],
    ['nas:7353 ', /is not a port/],
    ['nas:７３５３', /is not a port/],
    ['[::1', /bracket without its pair/],
    ['::1]', /bracket without its pair/],
    ['[::1]]:7353', /bracket without its pair/],
    ['[nas]:7353', /not an IPv6 address/],
    ['[10.0.0.5]', /not an IPv6 address/],
    ['[]', /not an IPv6 address/],
    ['::1', /could end in a port or not/],
    ['fe80::1:7353', /could end in a port or not/],
    ['nas/docs', /is a path, not a peer/],
    ['na s', /not the name of a host/],
    ['-nas', /not the name of a host/],
    ['na\x1bs', /not the name of a host/],
    ['na\ns:1', /not the name of a host/],
    ['x'.repeat(254), /not the name of a host/],
    ['al\u0007ice@nas', /not the name of a user/],
  ];
  for (const [text, message] of table) refused(() => parsePeer(text), message);
});

test('a port of another kind is refused', () => {
  for (const text of [
    '',
    '0',
    '00',
    '70000',
    'abc',
    '1e3',
    '0x10',
    '7353.0',
    '+1',
    ' 1',
    '1 ',
    '-5',
    '1_000',
  ]) {
    refused(() => parsePort(text), /port/);
  }
  assert.equal(parsePort('07353'), 7353);
});

test('remote paths are read as they are written', () => {
  const table: [string, string, number | undefined, string][] = [
    ['nas:', 'nas', NONE, '/'],
    ['nas:/', 'nas', NONE, '/'],
    ['nas:/docs/a.pdf', 'nas', NONE, '/docs/a.pdf'],
    ['nas:docs/a.pdf', 'nas', NONE, '/docs/a.pdf'],
    ['nas:7354:/docs', 'nas', 7354, '/docs'],
    ['nas:7354:', 'nas', 7354, '/'],
    ['[::1]:/docs', '::1', NONE, '/docs'],
    ['[::1]:7354:/docs', '::1', 7354, '/docs'],
    ['nas:/docs/a:b@c', 'nas', NONE, '/docs/a:b@c'],
    ['nas:/docs/ a "b" \n 😀', 'nas', NONE, '/docs/ a "b" \n 😀'],
    ['nas:/docs/\udcff', 'nas', NONE, '/docs/\udcff'],
    ['nas:/docs/', 'nas', NONE, '/docs/'],
  ];
  for (const [text, host, port, path] of table) {
    assert.deepEqual(parseRemotePath(text), { peer: { user: NONE, host, port }, path }, JSON.stringify(text));
  }
  assert.equal(parseRemotePath('alice@nas:/x').peer.user, 'alice');
});

test('each bad remote path is refused with its own message', () => {
  refused(() => parseRemotePath('docs/a.pdf'), /names no peer/);
  refused(() => parseRemotePath('./a:b'), /names no peer/);
  refused(() => parseRemotePath('nas:7354'), /peer without a path/);
  refused(() => parseRemotePath(':/docs'), /has no host/);
  refused(() => parseRemotePath('nas:0:/docs'), /no port 0/);
  refused(() => parseRemotePath('nas:70000:/docs'), /no port 70000/);
  refused(() => parseRemotePath('[::1:/docs'), /bracket without its pair/);
  refused(() => parseRemotePath('[::g]:/docs'), /not an IPv6 address/);
});

test('local and remote paths are told apart', () => {
  const table: [string, boolean, boolean][] = [
    ['a.pdf', false, false],
    ['./a:b', false, false],
    ['/tmp/a:b', false, false],
    ['a:b', true, true],
    ['nas:/docs', true, true],
    ['[::1]:/docs', true, true],
    ['[::1]', false, false],
    ['[a]b/c:d', false, false],
    ['C:\\x', true, false],
    ['c:/x', true, false],
    ['C:', true, false],
    ['C:x', true, true],
    ['.\\a:b', true, false],
    ['', false, false],
  ];
  for (const [text, onLinux, onWindows] of table) {
    assert.equal(looksRemote(text, 'linux'), onLinux, `${text} on Linux`);
    assert.equal(looksRemote(text, 'win32'), onWindows, `${text} on Windows`);
  }
});

test('an address to listen on may be IPv6 with or without brackets', () => {
  assert.equal(parseBindHost('::1'), '::1');
  assert.equal(parseBindHost('[::1]'), '::1');
  assert.equal(parseBindHost('127.0.0.1'), '127.0.0.1');
  for (const text of ['', '[::1', '127.0.0.1:80x y', 'a b']) refused(() => parseBindHost(text), /./);
});

test('what formatPeer writes is what parsePeer reads', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
      fc.integer({ min: 1, max: 65535 }),
      (host, port) => {
        assert.deepEqual(parsePeer(formatPeer(host, port)), { user: NONE, host, port });
      },
    ),
  );
});

test('no text makes the parsers throw anything but a usage error', () => {
  const text = fc.string({
    unit: fc.constantFrom('[', ']', ':', '@', '/', '.', 'a', '0', '9', ' ', '%', '😀', '\n'),
  });
  fc.assert(
    fc.property(text, (typed) => {
      for (const parse of [parsePeer, parseRemotePath, parseBindHost, parsePort]) {
        try {
          parse(typed);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'USAGE');
        }
      }
    }),
    { numRuns: 500 },
  );
});
