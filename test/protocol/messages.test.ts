/** The bounds of every field: the last value that is allowed, and the first that is not. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type * as v from 'valibot';
import { LocalstreamError } from '../../src/errors.ts';
import {
  ADMIT,
  BYE,
  CONFIRM,
  checkMessage,
  checkReply,
  checkSessionMessage,
  HELLO_CLIENT,
  HELLO_SERVER,
  INTRODUCE,
  PAIR,
  PAIR_SHARE,
  PAIR_TAG,
  SESSION_TYPES,
  SHARE_CLIENT,
} from '../../src/protocol/messages.ts';

const isCode = (code: string) => (error: unknown) => error instanceof LocalstreamError && error.code === code;

type Fields = Readonly<Record<string, unknown>>;

const transfer = '0'.repeat(32);
const base64 = (length: number) => Buffer.alloc(length).toString('base64');
const repeated = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const root = { name: 'a', type: 'file', size: 0 };
const entry = { name: 'a', type: 'file', size: 0, mtime: 0, mode: 0 };
const SAFE = Number.MAX_SAFE_INTEGER;

const BASE: Readonly<Record<string, Fields>> = {
  ping: { n: 0, type: 'ping', request: 0 },
  pong: { n: 0, type: 'pong', request: 0 },
  list: { n: 0, type: 'list', request: 0, path: '/' },
  listing: { n: 0, type: 'listing', request: 0, entries: [entry], last: true },
  more: { n: 0, type: 'more', request: 0 },
  mkdir: { n: 0, type: 'mkdir', request: 0, path: '/a' },
  move: { n: 0, type: 'move', request: 0, from: '/a', to: '/b' },
  remove: { n: 0, type: 'remove', request: 0, path: '/a' },
  changed: { n: 0, type: 'changed', request: 0, entries: 1, last: true },
  speed: { n: 0, type: 'speed', request: 0, direction: 'up', bytes: 1, milliseconds: 1 },
  'speed-lane': { n: 0, type: 'speed-lane', request: 0, lane: 1, bytes: 1, milliseconds: 1 },
  'speed-result': { n: 0, type: 'speed-result', request: 0, bytes: 1, milliseconds: 1 },
  failed: { n: 0, type: 'failed', request: 0, flag: 406, detail: '' },
  get: { n: 0, type: 'get', transfer, paths: ['/a'], lanes: 1, chunk: 1024 },
  put: { n: 0, type: 'put', transfer, target: '/a', roots: [root], lanes: 1, chunk: 1024, existing: 'fail' },
  offer: { n: 0, type: 'offer', transfer, roots: [root], lanes: [1], chunk: 1024 },
  accept: { n: 0, type: 'accept', transfer },
  credit: { n: 0, type: 'credit', transfer, bytes: 1 },
  refuse: { n: 0, type: 'refuse', transfer, flag: 405 },
  lanes: { n: 0, type: 'lanes', transfer, lanes: 1 },
  granted: { n: 0, type: 'granted', transfer, lanes: [1] },
  cancel: { n: 0, type: 'cancel', transfer, flag: 425 },
  receipt: { n: 0, type: 'receipt', transfer, body: '', signature: base64(384) },
  received: { n: 0, type: 'received', transfer },
  login: { n: 0, type: 'login', name: 'bob', password: 'secret' },
  welcome: { n: 0, type: 'welcome', name: 'bob' },
  denied: { n: 0, type: 'denied', flag: 430 },
  bye: { n: 0, type: 'bye', flag: 424 },
};

/** Field, values that are taken, values that are not. */
type Row = readonly [field: string, good: readonly unknown[], bad: readonly unknown[]];

const whole = (min: number, max: number): [readonly unknown[], readonly unknown[]] => [
  [min, min + 1, max],
  [min - 1, max + 1, 2 ** 53, min + 0.5, Number.POSITIVE_INFINITY, `${min}`, null, [min], true],
];
const text = (max: number): [readonly unknown[], readonly unknown[]] => [
  ['', 'x', 'x'.repeat(max)],
  ['x'.repeat(max + 1), 1, null, ['x'], {}],
];
const request: Row = ['request', ...whole(0, 2 ** 32 - 1)];
const flag: Row = ['flag', ...whole(0, 999)];
const detail: Row = ['detail', ...text(1024)];
const chunk: Row = ['chunk', ...whole(1024, 4_194_304)];
const wanted: Row = ['lanes', ...whole(1, 16)];
const numbers: Row = [
  'lanes',
  [[], [1], [2 ** 32 - 1], repeated(16, 1)],
  [[0], [2 ** 32], [1.5], ['1'], repeated(17, 1), 1, null, {}],
];
const id = (field: string): Row => [
  field,
  ['0123456789abcdef0123456789abcdef'],
  ['', '0'.repeat(31), '0'.repeat(33), 'A'.repeat(32), 'g'.repeat(32), `${'0'.repeat(31)}\n`, 1, null],
];
const yes = (field: string): Row => [field, [true, false], [0, 1, 'true', null]];
const roots: Row = [
  'roots',
  [
    [root],
    repeated(4096, root),
    [{ ...root, name: 'x'.repeat(1024) }],
    [
      { ...root, size: SAFE },
      { ...root, type: 'folder', size: null },
      { ...root, type: 'link' },
    ],
  ],
  [
    [],
    repeated(4097, root),
    [{ ...root, name: 'x'.repeat(1025) }],
    [{ ...root, size: -1 }],
    [{ ...root, size: 2 ** 53 }],
    [{ ...root, size: undefined }],
    [{ ...root, type: 'share' }],
    [{ ...root, more: 1 }],
    [[]],
    {},
  ],
];
const continues = id('continues');

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  ping: [request],
  pong: [request],
  list: [request, ['path', ...text(8192)]],
  listing: [
    request,
    yes('last'),
    [
      'entries',
      [
        [],
        repeated(256, entry),
        [
          {
            ...entry,
            name: 'x'.repeat(1024),
            target: 'x'.repeat(8192),
            size: SAFE,
            mtime: SAFE,
            mode: 0o7777,
          },
        ],
        [{ ...entry, mtime: -SAFE, type: 'share', shareMode: 'wo' }],
      ],
      [
        repeated(257, entry),
        [{ ...entry, name: 'x'.repeat(1025) }],
        [{ ...entry, target: 'x'.repeat(8193) }],
        [{ ...entry, size: -1 }],
        [{ ...entry, size: 2 ** 53 }],
        [{ ...entry, mtime: 2 ** 53 }],
        [{ ...entry, mtime: 0.5 }],
        [{ ...entry, mode: 0o10000 }],
        [{ ...entry, shareMode: 'all' }],
        [1],
        'x',
      ],
    ],
  ],
  more: [request],
  mkdir: [request, ['path', ...text(8192)]],
  move: [request, ['from', ...text(8192)], ['to', ...text(8192)]],
  remove: [request, ['path', ...text(8192)], yes('recursive')],
  changed: [request, ['entries', ...whole(0, 256)], yes('last')],
  speed: [
    request,
    ['direction', ['up', 'down'], ['', 'UP', 'both', 1, null]],
    ['bytes', ...whole(1, 2 ** 30)],
    ['milliseconds', ...whole(1, 60_000)],
  ],
  'speed-lane': [
    request,
    ['lane', ...whole(1, 2 ** 32 - 1)],
    ['bytes', ...whole(1, 2 ** 30)],
    ['milliseconds', ...whole(1, 60_000)],
  ],
  'speed-result': [
    request,
    ['bytes', [0, 1, SAFE], [-1, 0.5, 2 ** 53, '1', null]],
    ['milliseconds', [0, 1, SAFE], [-1, 0.5, 2 ** 53, '1', null]],
  ],
  failed: [request, flag, detail],
  get: [
    id('transfer'),
    [
      'paths',
      [['/'], repeated(256, '/a'), ['x'.repeat(8192)]],
      [[], repeated(4097, '/a'), ['x'.repeat(8193)], '/', [1]],
    ],
    wanted,
    chunk,
    yes('follow'),
    continues,
  ],
  put: [
    id('transfer'),
    ['target', ...text(8192)],
    roots,
    wanted,
    chunk,
    ['existing', ['fail', 'overwrite', 'skip', 'rename', 'update'], ['', 'FAIL', null, 1]],
    yes('durable'),
    yes('dryRun'),
    yes('trustMtime'),
    yes('verify'),
    continues,
  ],
  offer: [
    id('transfer'),
    roots,
    numbers,
    ['wanted', ...whole(1, 16)],
    chunk,
    [
      'total',
      [
        { files: 0, bytes: 0, more: false },
        { files: SAFE, bytes: SAFE, more: true },
      ],
      [
        { files: -1, bytes: 0, more: false },
        { files: 0, bytes: 0.5, more: false },
        { files: 0, bytes: 0 },
        1,
        null,
        [],
      ],
    ],
    yes('text'),
    continues,
  ],
  accept: [id('transfer'), numbers, chunk, yes('credit')],
  credit: [id('transfer'), ['bytes', ...whole(1, SAFE)]],
  refuse: [id('transfer'), flag, detail],
  lanes: [id('transfer'), wanted],
  granted: [id('transfer'), numbers],
  cancel: [id('transfer'), flag, detail, yes('discard')],
  receipt: [
    id('transfer'),
    ['body', ...text(192 * 1024)],
    [
      'signature',
      [base64(384)],
      [base64(383), base64(385), base64(384).replace('A', '-'), ` ${base64(384)}`, '', 1, null],
    ],
  ],
  received: [id('transfer')],
  login: [
    ['name', ...text(1024)],
    ['password', ...text(1024)],
  ],
  welcome: [['name', ...text(1024)]],
  denied: [flag, detail],
  bye: [flag, detail],
};

suite('bounds of the messages of a session', () => {
  for (const [type, rows] of Object.entries(ROWS)) {
    const base = BASE[type];
    assert.ok(base);
    for (const [field, good, bad] of rows)
      test(`${type}.${field}`, () => {
        for (const value of good) checkSessionMessage({ ...base, [field]: value });
        for (const value of bad)
          assert.throws(
            () => checkSessionMessage({ ...base, [field]: value }),
            isCode('BAD_MESSAGE'),
            `${field}: ${JSON.stringify(value).slice(0, 80)}`,
          );
      });

    test(`${type}: a field that is missing, one that nobody knows`, () => {
      checkSessionMessage(base);
      const needed = Object.keys(base).filter((field) => field !== 'detail');
      for (const field of needed)
        assert.throws(
          () => checkSessionMessage({ ...base, [field]: undefined }),
          isCode('BAD_MESSAGE'),
          field,
        );
      // A later version may add fields; this one does not see them.
      assert.ok(!('later' in checkSessionMessage({ ...base, later: { a: [1] } })));
    });
  }

  test('every type has its rows here', () => {
    assert.deepEqual(Object.keys(ROWS), Object.keys(BASE));
    assert.deepEqual(Object.keys(ROWS).sort(), [...SESSION_TYPES].sort());
    for (const type of [
      'hello',
      'share',
      'confirm',
      'introduce',
      'admit',
      '',
      '__proto__',
      'constructor',
      1,
      null,
    ])
      assert.throws(() => checkSessionMessage({ ...BASE['ping'], type }), isCode('BAD_MESSAGE'), `${type}`);
    for (const value of [undefined, null, 1, 'ping', [], [BASE['ping']]])
      assert.throws(() => checkSessionMessage(value), isCode('BAD_MESSAGE'));
  });

  test('the error names the field and never its content', () => {
    assert.throws(
      () => checkSessionMessage({ ...BASE['list'], path: { 'secret \x1b[31m': 1 } }),
      (error) =>
        error instanceof LocalstreamError && /path/.test(error.message) && !/secret/.test(error.message),
    );
  });
});

suite('bounds of the handshake', () => {
  const hello = {
    n: 0,
    type: 'hello',
    versions: [1],
    capabilities: [],
    encryptionKey: base64(422),
    signature: base64(384),
  };
  const { versions: _versions, ...common } = hello;
  const answer = { ...common, version: 1, commitment: base64(32) };
  const rows: [schema: v.GenericSchema, base: Fields, rows: Row[]][] = [
    [
      HELLO_CLIENT,
      hello,
      [
        ['versions', [[1], [65_535], repeated(16, 2)], [[], [0], [65_536], repeated(17, 1), 1, ['1']]],
        [
          'capabilities',
          [[], ['x'.repeat(64)], repeated(64, '')],
          [['x'.repeat(65)], repeated(65, ''), [1], ''],
        ],
        ['encryptionKey', ['', base64(1024)], [base64(1026), 'A', 'AB==', 'A===', '\n', 1]],
        ['signature', [base64(384)], [base64(383), base64(385), 1]],
      ],
    ],
    [
      HELLO_SERVER,
      answer,
      [
        ['version', ...whole(1, 65_535)],
        ['commitment', [base64(32)], [base64(31), base64(33), '']],
      ],
    ],
    [
      SHARE_CLIENT,
      { n: 1, type: 'share', ciphertext: base64(384) },
      [['ciphertext', [base64(384)], [base64(383), base64(385), '', null]]],
    ],
    [
      CONFIRM,
      { n: 2, type: 'confirm', mac: base64(32) },
      [['mac', [base64(32)], [base64(31), base64(33), '', 1]]],
    ],
    [
      PAIR,
      { n: 3, type: 'pair', nameplate: 7, share: base64(32) },
      [
        ['nameplate', ...whole(1, 9999)],
        ['share', [base64(32)], [base64(31), base64(33), '', 1]],
      ],
    ],
    [
      PAIR_SHARE,
      { n: 3, type: 'pair-share', share: base64(32) },
      [['share', [base64(32)], [base64(33), null]]],
    ],
    [
      PAIR_TAG,
      { n: 4, type: 'pair-tag', tag: base64(64) },
      [['tag', [base64(64)], [base64(63), base64(65), '']]],
    ],
    [
      INTRODUCE,
      { n: 3, type: 'introduce', name: '', waiting: false },
      [['name', ...text(256)], ['group', ...text(64)], yes('waiting')],
    ],
  ];
  for (const [schema, base, fields] of rows)
    for (const [field, good, bad] of fields)
      test(`${String(base['type'])}.${field}`, () => {
        for (const value of good) checkMessage(schema, { ...base, [field]: value });
        for (const value of bad)
          assert.throws(
            () => checkMessage(schema, { ...base, [field]: value }),
            isCode('BAD_MESSAGE'),
            `${field}: ${JSON.stringify(value).slice(0, 80)}`,
          );
      });

  test('where a goodbye may come instead, it is heard', () => {
    const bye = { n: 3, type: 'bye', flag: 421, detail: 'full (10 of 10)' };
    assert.throws(
      () => checkReply(ADMIT, bye),
      (error) => isCode('FULL')(error) && error instanceof Error && error.message === 'full (10 of 10)',
    );
    checkReply(ADMIT, { n: 3, type: 'admit' });
    assert.throws(() => checkReply(ADMIT, { n: 3, type: 'bye', flag: 'x' }), isCode('BAD_MESSAGE'));
    checkMessage(BYE, bye);
  });
});
