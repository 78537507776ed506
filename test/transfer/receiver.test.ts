import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { digestOf } from '../../src/crypto/digest.ts';
import { FRAME, MAX_OPEN_BATCHES, PIECE_BYTES } from '../../src/protocol/frame.ts';
import { ANSWER, OUTCOME } from '../../src/protocol/manifest.ts';
import { Folder } from '../../src/transfer/folder.ts';
import { checkName } from '../../src/transfer/name.ts';
import { isPartialName } from '../../src/transfer/partial.ts';
import { TargetFile } from '../../src/transfer/target-file.ts';
import { entry, Victim } from './hostile-source.ts';
import { openDescriptors } from './workplace.ts';

const MIB = 1024 * 1024;
const bytes = (size: number, fill = 1): Buffer => Buffer.alloc(size, fill);
const ROOT = entry('folder', 'root', { mode: 0o755 });
const LEAVE = entry('leave');
/** A root folder that holds these. */
const within = (...entries: ReturnType<typeof entry>[]) => [ROOT, ...entries, LEAVE];

type Step = (victim: Victim) => void;
const then =
  (...steps: readonly Step[]): Step =>
  (victim) => {
    for (const step of steps) step(victim);
  };
const twice = (step: Step): Step => then(step, step);
const whole: Step = (victim) => victim.manifest(within());
const done =
  (batches: number, entries: number): Step =>
  (victim) =>
    victim.done(batches, entries);

/** Names that lead elsewhere, or that no file can have: threats, line 1. */
const FORBIDDEN: readonly (string | Buffer)[] = [
  ...[
    '..',
    '.',
    '/',
    '../outside/precious',
    '../../outside',
    '/etc/passwd',
    'a/b',
    './x',
    'a/../../x',
    '\0',
    'a\0b',
  ],
  ...['..\\..\\x', '..\\', 'C:\\x', '\\\\server\\share', 'x'.repeat(256), 'é'.repeat(128), '/'.repeat(10)],
  ...[Buffer.from([0x2e, 0x2e, 0x2f]), Buffer.from([0x2f, 0xff]), Buffer.alloc(300, 0xff)],
];

suite('a source that names what it may not', () => {
  for (const name of FORBIDDEN)
    test(`is refused ${JSON.stringify(String(name).slice(0, 40))} as a file, a folder, a link and what has failed`, (t) => {
      const victim = new Victim(t);
      const shown = `root/`;
      victim.manifest(
        within(
          entry('file', name, { size: 1 }),
          entry('folder', name),
          entry('file', 'below', { size: 1 }),
          LEAVE,
          entry('link', name, { extra: 'a' }),
          entry('file', 'good', { size: 1 }),
        ),
      );
      const refused = victim.rows.filter((row) => row.flag === 'BAD_NAME');
      victim.pack([{ index: 6, bytes: bytes(1) }]);
      victim.done(1, 8);
      assert.deepEqual(readdirSync(victim.target), ['root']);
      assert.deepEqual(readdirSync(join(victim.target, 'root')), ['good']);
      assert.ok(refused.length >= 0);
      const failed = victim.rows.filter((row) => row.outcome === OUTCOME.failed);
      assert.deepEqual(
        failed.map((row) => row.flag),
        ['BAD_NAME', 'BAD_NAME', 'BAD_NAME', 'BAD_NAME'],
      );
      for (const row of failed) assert.ok(row.path.startsWith(shown) && row.path.length < 1000);
    });

  for (const name of FORBIDDEN)
    test(`is refused ${JSON.stringify(String(name).slice(0, 40))} as a root`, (t) => {
      const victim = new Victim(t);
      for (const kind of ['file', 'folder', 'link'] as const) {
        const one = new Victim(t);
        one.manifest(kind === 'folder' ? [entry(kind, name), LEAVE] : [entry(kind, name, { extra: '' })]);
        assert.equal(one.rows[0]?.flag, 'BAD_NAME');
        assert.deepEqual(readdirSync(one.target), []);
      }
      assert.deepEqual(readdirSync(victim.target), []);
    });

  for (const target of [
    '../x',
    '..',
    '/etc/passwd',
    'a/../..',
    'a/..',
    './..',
    'b/../../outside',
    '',
    'a\0b',
    '\\x',
  ])
    test(`has its link to ${JSON.stringify(target)} left out`, (t) => {
      const victim = new Victim(t, {}, (folder) => {
        mkdirSync(join(folder, 'root'));
        writeFileSync(join(folder, 'root', 'link'), 'mine');
      });
      victim.manifest(within(entry('link', 'link', { extra: target })));
      victim.done(1, 3);
      assert.deepEqual(
        [victim.row('root/link')?.outcome, victim.row('root/link')?.flag],
        [OUTCOME.skipped, 'LEAVES_TREE'],
      );
      assert.equal(readFileSync(join(victim.target, 'root', 'link'), 'utf8'), 'mine');
    });

  test('can’t write through a link that it has sent, nor through one that is there', (t) => {
    const victim = new Victim(t, {}, (folder) => {
      mkdirSync(join(folder, 'root', 'inner'), { recursive: true });
      symlinkSync('../../outside', join(folder, 'root', 'mine'));
      symlinkSync('../../outside/precious', join(folder, 'root', 'precious'));
    });
    victim.manifest(
      within(
        entry('link', 'sent', { extra: 'inner' }),
        entry('folder', 'sent'),
        entry('file', 'through', { size: 1 }),
        LEAVE,
        entry('folder', 'mine', { mode: 0o777 }),
        entry('file', 'precious', { size: 1 }),
        LEAVE,
        entry('file', 'precious', { size: 1 }),
      ),
    );
    victim.pack([{ index: 8, bytes: bytes(1) }]);
    victim.done(1, 10);
    for (const path of ['root/sent/through', 'root/mine', 'root/mine/precious'])
      assert.equal(victim.row(path)?.flag, 'NOT_A_FOLDER', path);
    // The link itself is replaced, not what it points to.
    assert.equal(victim.row('root/precious')?.outcome, OUTCOME.committed);
    assert.ok(readFileSync(join(victim.target, 'root', 'precious')).equals(bytes(1)));
    assert.deepEqual(readdirSync(join(victim.target, 'root', 'inner')), []);
  });

  test('is refused what it did not offer: another root, one root twice, another kind', (t) => {
    const other = new Victim(t);
    other.refuses('BAD_MESSAGE', () => other.manifest([entry('folder', 'other'), LEAVE]));
    const twice = new Victim(t);
    twice.refuses('BAD_MESSAGE', () => twice.manifest([ROOT, LEAVE, ROOT, LEAVE]));
    const beside = new Victim(t);
    beside.refuses('BAD_MESSAGE', () => beside.manifest([...within(), entry('file', 'extra', { size: 1 })]));
    const kind = new Victim(t);
    kind.refuses('BAD_MESSAGE', () => kind.manifest([entry('file', 'root', { size: 1 })]));
    const file = new Victim(t, { offered: [['root', 'file']] });
    file.refuses('BAD_MESSAGE', () => file.manifest(within(entry('file', '.bashrc', { size: 1 }))));
    for (const victim of [other, twice, beside, kind, file])
      for (const name of readdirSync(victim.target)) assert.equal(name, 'root');
  });

  test('can’t put one kind of thing in the place of another', (t) => {
    const victim = new Victim(t, {}, (folder) => {
      mkdirSync(join(folder, 'root', 'folder'), { recursive: true });
      writeFileSync(join(folder, 'root', 'folder', 'kept'), 'kept');
      writeFileSync(join(folder, 'root', 'file'), 'file');
    });
    victim.manifest(
      within(
        entry('folder', 'file'),
        entry('file', 'below', { size: 1 }),
        LEAVE,
        entry('file', 'folder', { size: 1 }),
        entry('link', 'folder', { extra: 'file' }),
      ),
    );
    victim.done(1, 7);
    assert.equal(victim.row('root/file')?.flag, 'NOT_A_FOLDER');
    assert.equal(victim.row('root/file/below')?.flag, 'NOT_A_FOLDER');
    assert.deepEqual(
      victim.rows.filter((row) => row.path === 'root/folder').map((row) => row.flag),
      ['IS_A_FOLDER', 'IS_A_FOLDER'],
    );
    assert.equal(readFileSync(join(victim.target, 'root', 'file'), 'utf8'), 'file');
    assert.equal(readFileSync(join(victim.target, 'root', 'folder', 'kept'), 'utf8'), 'kept');
  });

  test('that names a file twice leaves one whole file', (t) => {
    const victim = new Victim(t, { existing: 'fail' });
    victim.manifest(within(entry('file', 'x', { size: 2 }), entry('file', 'x', { size: 3 })));
    victim.pack([
      { index: 1, bytes: bytes(2) },
      { index: 2, bytes: bytes(3, 2) },
    ]);
    victim.done(1, 4);
    assert.deepEqual(
      victim.rows.filter((row) => row.path === 'root/x').map((row) => row.flag),
      ['OK', 'EXISTS'],
    );
    assert.ok(readFileSync(join(victim.target, 'root', 'x')).equals(bytes(2)));
  });
});

suite('a manifest out of order', () => {
  test('ends the transfer', (t) => {
    const cases: [string, Step][] = [
      ['leaves what it did not enter', (victim) => victim.manifest([LEAVE])],
      ['leaves more than it entered', (victim) => victim.manifest([...within(), LEAVE])],
      ['ends within a folder', (victim) => victim.manifest([ROOT])],
      ['begins with the second batch', (victim) => victim.manifest(within(), 1)],
      ['repeats a batch', twice((victim) => victim.manifest(within(), 0, false))],
      ['goes on after the last batch', then(whole, (victim) => victim.manifest([LEAVE], 1))],
      ['is empty', (victim) => victim.take(FRAME.manifest, Buffer.alloc(0))],
      ['is cut', (victim) => victim.take(FRAME.manifest, Buffer.alloc(10))],
      ['is an answer', (victim) => victim.take(FRAME.answer, Buffer.alloc(1))],
      [
        'is done before a file is',
        then((victim) => victim.manifest(within(entry('file', 'a', { size: 1 }))), done(1, 3)),
      ],
      ['is done with other counts', then(whole, done(1, 3))],
      ['is done with other batches', then(whole, done(2, 2))],
      ['is done while it goes on', then((victim) => victim.manifest(within(), 0, false), done(1, 2))],
      ['goes on after it is done', then(whole, twice(done(1, 2)))],
    ];
    for (const [what, step] of cases) {
      const victim = new Victim(t);
      assert.throws(() => step(victim), { code: 'BAD_MESSAGE' }, what);
    }
  });

  test('with too many open batches ends it', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, entry('file', 'a', { size: 1 })], 0, false);
    for (let batch = 1; batch < MAX_OPEN_BATCHES; batch += 1)
      victim.manifest([entry('file', `a${batch}`, { size: 1 })], batch, false);
    victim.refuses('LIMIT', () =>
      victim.manifest([entry('file', 'z', { size: 1 })], MAX_OPEN_BATCHES, false),
    );
  });

  test('may be empty', (t) => {
    const victim = new Victim(t);
    victim.done(0, 0);
    assert.ok(victim.receiver.finished);
  });

  test('10,000 folders deep ends it soon, and names nothing at length', (t) => {
    const victim = new Victim(t);
    let entries = [ROOT];
    let batch = 0;
    const name = 'd'.repeat(200);
    victim.refuses('LIMIT', () => {
      for (let depth = 0; depth < 10_000; depth += 1) {
        entries.push(entry('folder', name));
        if (entries.length < 200) continue;
        victim.manifest(entries, batch, false);
        batch += 1;
        entries = [];
      }
    });
    victim.receiver.abort();
    for (const { path } of victim.rows) assert.ok(path.length < 5000, String(path.length));
    assert.deepEqual(readdirSync(victim.target), []);
  });

  test('with a folder of a long name does not repeat it a thousand times', (t) => {
    const victim = new Victim(t);
    victim.manifest([ROOT, entry('folder', 'n'.repeat(60_000))], 0, false);
    const files = Array.from({ length: 1000 }, (_, number) => entry('file', `f${number}`, { size: 1 }));
    victim.manifest([...files, LEAVE, LEAVE], 1);
    victim.done(2, 1004);
    const characters = victim.rows.reduce((sum, { path, note }) => sum + path.length + note.length, 0);
    assert.equal(victim.rows.length, 1002);
    assert.ok(characters < 1_000_000, String(characters));
  });
});

suite('bytes that were not asked for', () => {
  const FILE = entry('file', 'x', { size: 2 * MIB });
  const cases: [string, Step][] = [
    ['more than announced, at once', (v) => v.data(1, 0, bytes(2 * MIB + 1))],
    [
      'more than announced, in the end',
      then(
        (v) => v.data(1, 0, bytes(2 * MIB)),
        (v) => v.data(1, 2 * MIB, bytes(1)),
      ),
    ],
    ['beyond all numbers', (v) => v.data(1, 2n ** 63n, bytes(1))],
    ['at the edge of all numbers', (v) => v.data(1, BigInt(Number.MAX_SAFE_INTEGER), bytes(1))],
    ['none at all', (v) => v.data(1, 0, bytes(0))],
    ['without an offset', (v) => v.take(FRAME.data, Buffer.alloc(7), { index: 1 })],
    ['with a gap before them', (v) => v.data(1, MIB, bytes(1))],
    ['with a small gap before them', (v) => v.data(1, 1, bytes(1))],
    ['a second time', twice((v) => v.data(1, 0, bytes(MIB)))],
    ['of a folder', (v) => v.data(0, 0, bytes(1))],
    ['of a leave', (v) => v.data(2, 0, bytes(1))],
    ['of nothing', (v) => v.data(77, 0, bytes(1))],
    ['of a batch that never was', (v) => v.data(1, 0, bytes(1), 5)],
    ['as a pack of another length', (v) => v.pack([{ index: 1, bytes: bytes(5) }])],
    ['as a pack of nothing', (v) => v.take(FRAME.pack, Buffer.alloc(0))],
    ['as a pack that is cut', (v) => v.take(FRAME.pack, Buffer.alloc(30))],
    ['as a pack of a folder', (v) => v.pack([{ index: 0, bytes: bytes(0) }])],
    ['as a pack of a batch that never was', (v) => v.pack([{ index: 0, bytes: bytes(0) }], 3)],
    ['as a hole of 2^60', (v) => v.hole(1, 0, 2n ** 60n)],
    ['as a hole beyond a frame', (v) => v.hole(1, 0, 4 * MIB + 1)],
    ['as a hole past the end', (v) => v.hole(1, 0, 2 * MIB + 1)],
    ['as a hole of nothing', (v) => v.hole(1, 0, 0)],
    ['as a hole that is cut', (v) => v.take(FRAME.data, Buffer.alloc(12), { index: 1, flags: 1 })],
    ['as the same', (v) => v.same([{ index: 1, digest: digestOf(bytes(2 * MIB)) }])],
    ['as the same of a folder', (v) => v.same([{ index: 0, digest: digestOf(bytes(0)) }])],
    ['as a difference', (v) => v.take(FRAME.differs, Buffer.alloc(0), { index: 1 })],
    ['as a failure of a folder', (v) => v.failed(0, 410, 'why')],
    ['as a failure of nothing', (v) => v.failed(9, 410, 'why')],
    [
      'with an end of another size',
      then(
        (v) => v.data(1, 0, bytes(MIB)),
        (v) => v.end(1, MIB, digestOf(bytes(MIB))),
      ),
    ],
  ];
  for (const [what, step] of cases)
    test(`${what} end the transfer and change nothing`, (t) => {
      const victim = new Victim(t, {}, (folder) => {
        mkdirSync(join(folder, 'root'));
        writeFileSync(join(folder, 'root', 'x'), 'mine');
      });
      victim.manifest(within(FILE));
      assert.throws(
        () => step(victim),
        (error: Error & { code?: string }) => ['BAD_MESSAGE', 'LIMIT'].includes(error.code ?? ''),
        what,
      );
      victim.receiver.abort();
      assert.equal(readFileSync(join(victim.target, 'root', 'x'), 'utf8'), 'mine');
      assert.ok(victim.rows.every((row) => row.path !== 'root/x'));
    });

  test('of one file within another end it', (t) => {
    const victim = new Victim(t);
    victim.manifest(within(FILE, entry('file', 'y', { size: MIB })));
    victim.data(1, 0, bytes(MIB));
    victim.refuses('BAD_MESSAGE', () => victim.data(2, 0, bytes(MIB)));
  });

  const endings: readonly (readonly [string, Step])[] = [
    ['called the same', (v) => v.same([{ index: 1, digest: digestOf(bytes(100)) }])],
    ['packed', (v) => v.pack([{ index: 1, bytes: bytes(100) }])],
    ['said to differ', (v) => v.take(FRAME.differs, Buffer.alloc(0), { index: 1 })],
  ];
  for (const [what, step] of endings)
    test(`of a file that is then ${what} end it, and leave its name to others`, (t) => {
      const victim = new Victim(t, {}, (folder) => {
        mkdirSync(join(folder, 'root'));
        writeFileSync(join(folder, 'root', 'x'), bytes(100));
      });
      victim.manifest(within(entry('file', 'x', { size: 100 })));
      assert.equal(victim.answers[0]?.payload[1], ANSWER.have);
      const before = openDescriptors();
      victim.data(1, 0, bytes(1));
      victim.refuses('BAD_MESSAGE', () => then(step, done(1, 3))(victim));
      assert.ok(!victim.receiver.finished);
      victim.receiver.abort();
      assert.ok(openDescriptors() <= before);
      using folder = Folder.open(join(victim.target, 'root'));
      TargetFile.open(folder, checkName('x'), { size: 100 }).discard();
      assert.deepEqual(readdirSync(join(victim.target, 'root')), ['x']);
    });

  test('of what was refused are not taken', (t) => {
    const victim = new Victim(t, { existing: 'fail' }, (folder) => {
      mkdirSync(join(folder, 'root'));
      writeFileSync(join(folder, 'root', 'x'), 'mine');
    });
    victim.manifest(within(FILE, entry('file', 'y', { size: 1 })));
    assert.equal(victim.answers[0]?.payload[1], ANSWER.skip);
    victim.data(1, 0, bytes(MIB));
    victim.pack([{ index: 1, bytes: bytes(2 * MIB) }]);
    assert.equal(readFileSync(join(victim.target, 'root', 'x'), 'utf8'), 'mine');
  });

  test('of what the source is only to compare end it', (t) => {
    const victim = new Victim(t, { existing: 'fail' }, (folder) => {
      mkdirSync(join(folder, 'root'));
      writeFileSync(join(folder, 'root', 'x'), bytes(100));
    });
    victim.manifest(within(entry('file', 'x', { size: 100 })));
    assert.equal(victim.answers[0]?.payload[1], ANSWER.compare);
    victim.refuses('BAD_MESSAGE', () => victim.pack([{ index: 1, bytes: bytes(100, 2) }]));
    assert.ok(readFileSync(join(victim.target, 'root', 'x')).equals(bytes(100)));
  });
});

suite('a file that is not what its digest says', () => {
  test('fails by name, leaves what is there, and keeps no partial', (t) => {
    const victim = new Victim(t, {}, (folder) => {
      mkdirSync(join(folder, 'root'));
      for (const name of ['a', 'b']) writeFileSync(join(folder, 'root', name), 'mine');
    });
    victim.manifest(within(entry('file', 'a', { size: 3 }), entry('file', 'b', { size: 2 * MIB })));
    victim.pack([{ index: 1, bytes: bytes(3), digest: digestOf(bytes(3, 9)) }]);
    victim.data(2, 0, bytes(2 * MIB));
    victim.end(2, 2 * MIB, digestOf(bytes(2 * MIB, 9)));
    victim.done(1, 4);
    for (const name of ['a', 'b']) {
      assert.equal(victim.row(`root/${name}`)?.flag, 'INTEGRITY');
      assert.equal(victim.row(`root/${name}`)?.digest, undefined);
      assert.equal(readFileSync(join(victim.target, 'root', name), 'utf8'), 'mine');
    }
    assert.deepEqual(readdirSync(join(victim.target, 'root')).sort(), ['a', 'b']);
  });

  test('but is shorter ends the transfer, and what there is of it is kept for a resume', (t) => {
    const victim = new Victim(t);
    victim.manifest(within(entry('file', 'a', { size: 2 * MIB })));
    victim.data(1, 0, bytes(MIB));
    victim.refuses('BAD_MESSAGE', () => victim.end(1, 2 * MIB, digestOf(bytes(MIB))));
    victim.receiver.abort();
    assert.deepEqual(readdirSync(join(victim.target, 'root')).map(isPartialName), [true]);
  });

  test('is not called the same by a wrong digest, nor where only a partial is there', (t) => {
    const same = new Victim(t, { existing: 'fail' }, (folder) => {
      mkdirSync(join(folder, 'root'));
      writeFileSync(join(folder, 'root', 'x'), bytes(100));
    });
    same.manifest(within(entry('file', 'x', { size: 100 })));
    same.refuses('BAD_MESSAGE', () => same.same([{ index: 1, digest: digestOf(bytes(100, 2)) }]));

    const first = new Victim(t);
    first.manifest(within(entry('file', 'x', { size: PIECE_BYTES })));
    first.data(1, 0, bytes(PIECE_BYTES));
    first.receiver.abort();
    const names = readdirSync(join(first.target, 'root'));
    assert.equal(names.length, 1);
    const second = new Victim(t, {}, (folder) => {
      mkdirSync(join(folder, 'root'));
      writeFileSync(join(folder, 'root', names[0] ?? ''), bytes(PIECE_BYTES), { mode: 0o600 });
    });
    second.manifest(within(entry('file', 'x', { size: PIECE_BYTES })));
    second.refuses('BAD_MESSAGE', () => second.same([{ index: 1, digest: digestOf(bytes(PIECE_BYTES)) }]));
  });
});

suite('a failure that the source tells', () => {
  test('never counts as done, whatever its number', (t) => {
    const victim = new Victim(t);
    victim.manifest(
      within(
        entry('file', 'a', { size: 1 }),
        entry('file', 'b', { size: 1 }),
        entry('failed', 'c', { size: 200 }),
      ),
    );
    victim.failed(1, 200, 'fine');
    victim.failed(2, 65_535, 'odd');
    victim.done(1, 5);
    for (const name of ['a', 'b', 'c'])
      assert.deepEqual(
        [victim.row(`root/${name}`)?.outcome, victim.row(`root/${name}`)?.flag],
        [OUTCOME.failed, 'INTERNAL'],
      );
  });

  test('of a file that waits for its own check lets the others go on', (t) => {
    const victim = new Victim(t, {}, (folder) => {
      mkdirSync(join(folder, 'root'));
      for (const name of ['a', 'b']) writeFileSync(join(folder, 'root', name), bytes(2 * MIB));
    });
    const frame = () =>
      victim.manifest(within(entry('file', 'a', { size: 2 * MIB }), entry('file', 'b', { size: 2 * MIB })));
    frame();
    victim.failed(1, 410, 'gone');
    victim.end(2, 2 * MIB, digestOf(bytes(2 * MIB)));
    victim.done(1, 4);
    assert.equal(victim.row('root/a')?.flag, 'UNREADABLE');
    assert.equal(victim.row('root/b')?.outcome, OUTCOME.same);
  });

  test('may come late, when the file was given up here', (t) => {
    const victim = new Victim(t, {}, (folder) => mkdirSync(join(folder, 'root')));
    victim.manifest([ROOT, entry('file', 'x', { size: 5 })], 0, false);
    victim.pack([{ index: 1, bytes: bytes(5), digest: digestOf(bytes(5, 2)) }]);
    victim.manifest([LEAVE], 1);
    assert.equal(victim.row('root/x')?.flag, 'INTEGRITY');
    victim.failed(1, 416, 'changed');
    victim.data(1, 0, bytes(5));
    victim.pack([{ index: 1, bytes: bytes(5) }]);
    victim.done(2, 3);
    assert.ok(victim.receiver.finished);
  });
});

suite('a name that another takes while the file is on its way', () => {
  for (const [what, size] of [
    ['small', 100],
    ['large', 2 * MIB],
  ] as const) {
    const ended = (t: TestContext, there: Buffer) => {
      const victim = new Victim(t, { existing: 'fail' });
      victim.manifest(within(entry('file', 'x', { size })));
      mkdirSync(join(victim.target, 'root'));
      writeFileSync(join(victim.target, 'root', 'x'), there);
      if (size < MIB) victim.pack([{ index: 1, bytes: bytes(size) }]);
      else {
        victim.data(1, 0, bytes(size));
        victim.end(1, size, digestOf(bytes(size)));
      }
      victim.done(1, 3);
      assert.deepEqual(readFileSync(join(victim.target, 'root', 'x')), there);
      const left = readdirSync(join(victim.target, 'root')).filter(isPartialName);
      return { row: victim.row('root/x'), left: left.length };
    };

    test(`is no matter where it holds the same: ${what}`, (t) => {
      const { row, left } = ended(t, bytes(size));
      assert.deepEqual([row?.outcome, row?.flag, left], [OUTCOME.same, 'OK', 0]);
    });

    test(`is left alone where it holds something else: ${what}`, (t) => {
      for (const there of [bytes(size, 2), bytes(size - 1), bytes(size + 1), bytes(0)]) {
        const { row } = ended(t, there);
        assert.deepEqual([row?.outcome, row?.flag], [OUTCOME.failed, 'EXISTS']);
      }
    });
  }
});
