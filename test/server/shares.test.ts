import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { type Listener, LocalstreamError, type Session } from '../../src/index.ts';
import { GUEST } from '../../src/server/access.ts';
import { Shares } from '../../src/server/shares.ts';
import { checkName } from '../../src/transfer/name.ts';
import { partialName } from '../../src/transfer/partial.ts';
import { needs } from '../needs.ts';
import { pair, sceneFolder } from '../session/machines.ts';
import { survey } from '../transfer/engine-tree.ts';
import { picture } from '../transfer/workplace.ts';
import { until } from './wire-machines.ts';

const MODES = ['ro', 'rw', 'wo'] as const;
type Mode = (typeof MODES)[number];
type Verb = 'list' | 'get' | 'put';
const HALF = partialName(checkName('half'));

/** What each share holds. */
function plant(folder: string): void {
  mkdirSync(join(folder, 'folder', 'inner'), { recursive: true });
  writeFileSync(join(folder, 'file'), 'file');
  writeFileSync(join(folder, 'folder', 'file'), 'inner file');
  symlinkSync('folder', join(folder, 'within'));
  symlinkSync('file', join(folder, 'alias'));
  symlinkSync('../outside', join(folder, 'out'));
  symlinkSync('../outside/secret', join(folder, 'secret'));
  writeFileSync(join(folder, HALF), 'half');
  execFileSync('mkfifo', [join(folder, 'pipe')]);
}

/**
 * Every form that a path below a share can have, and what the verbs make of it where the share allows them. A put is of
 * one file, to exactly this path; a move to it goes as that does, where the file is not there already.
 */
const FORMS: readonly {
  readonly form: string;
  readonly list: string;
  readonly get: string;
  readonly put: string;
  /** What becomes of a move to it, where that is not what becomes of a put. */
  readonly move?: string;
  readonly make: string;
  /** What is moved or removed by this path; `FOLDER` where that may need leave to take all that is in it. */
  readonly take: string;
}[] = [
  { form: '', list: 'OK', get: 'OK', put: 'OK', make: 'NOT_ALLOWED', take: 'NOT_ALLOWED' },
  { form: '/', list: 'OK', get: 'OK', put: 'OK', make: 'NOT_ALLOWED', take: 'NOT_ALLOWED' },
  { form: '/.', list: 'OK', get: 'OK', put: 'OK', make: 'NOT_ALLOWED', take: 'NOT_ALLOWED' },
  { form: '/file', list: 'OK', get: 'OK', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  { form: '//file', list: 'OK', get: 'OK', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  { form: '/./file', list: 'OK', get: 'OK', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  {
    form: '/file/',
    list: 'NOT_A_FOLDER',
    get: 'OK',
    put: 'NOT_A_FOLDER',
    make: 'EXISTS',
    take: 'NOT_A_FOLDER',
  },
  { form: '/folder', list: 'OK', get: 'OK', put: 'OK', make: 'EXISTS', take: 'FOLDER' },
  { form: '/folder/', list: 'OK', get: 'OK', put: 'OK', make: 'EXISTS', take: 'FOLDER' },
  { form: '/folder/file', list: 'OK', get: 'OK', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  { form: '/folder/new', list: 'NOT_FOUND', get: 'NOT_FOUND', put: 'OK', make: 'OK', take: 'NOT_FOUND' },
  { form: '/folder/inner', list: 'OK', get: 'OK', put: 'OK', make: 'EXISTS', take: 'FOLDER' },
  { form: '/missing/', list: 'NOT_FOUND', get: 'NOT_FOUND', put: 'NOT_FOUND', make: 'OK', take: 'NOT_FOUND' },
  {
    form: '/missing/x',
    list: 'NOT_FOUND',
    get: 'NOT_FOUND',
    put: 'NOT_FOUND',
    make: 'NOT_FOUND',
    take: 'NOT_FOUND',
  },
  { form: '/missing', list: 'NOT_FOUND', get: 'NOT_FOUND', put: 'OK', make: 'OK', take: 'NOT_FOUND' },
  {
    form: '/file/x',
    list: 'NOT_A_FOLDER',
    get: 'NOT_A_FOLDER',
    put: 'NOT_A_FOLDER',
    make: 'NOT_A_FOLDER',
    take: 'NOT_A_FOLDER',
  },
  { form: '/within', list: 'OK', get: 'NOT_A_FILE', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  {
    form: '/within/file',
    list: 'NOT_A_FOLDER',
    get: 'NOT_A_FOLDER',
    put: 'NOT_A_FOLDER',
    make: 'NOT_A_FOLDER',
    take: 'NOT_A_FOLDER',
  },
  { form: '/alias', list: 'OK', get: 'NOT_A_FILE', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  { form: '/out', list: 'OK', get: 'NOT_A_FILE', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  {
    form: '/out/',
    list: 'NOT_A_FOLDER',
    get: 'NOT_A_FILE',
    put: 'NOT_A_FOLDER',
    make: 'EXISTS',
    take: 'NOT_A_FOLDER',
  },
  {
    form: '/out/secret',
    list: 'NOT_A_FOLDER',
    get: 'NOT_A_FOLDER',
    put: 'NOT_A_FOLDER',
    make: 'NOT_A_FOLDER',
    take: 'NOT_A_FOLDER',
  },
  { form: '/secret', list: 'OK', get: 'NOT_A_FILE', put: 'EXISTS', make: 'EXISTS', take: 'OK' },
  {
    form: '/pipe',
    list: 'OK',
    get: 'NOT_A_FILE',
    put: 'NOT_A_FILE',
    move: 'EXISTS',
    make: 'EXISTS',
    take: 'OK',
  },
  {
    form: `/${HALF}`,
    list: 'NOT_FOUND',
    get: 'NOT_FOUND',
    put: 'NOT_FOUND',
    make: 'NOT_FOUND',
    take: 'NOT_FOUND',
  },
  { form: '/..', list: 'BAD_NAME', get: 'BAD_NAME', put: 'BAD_NAME', make: 'BAD_NAME', take: 'BAD_NAME' },
  {
    form: '/../outside/secret',
    list: 'BAD_NAME',
    get: 'BAD_NAME',
    put: 'BAD_NAME',
    make: 'BAD_NAME',
    take: 'BAD_NAME',
  },
  {
    form: '/folder/../../outside/secret',
    list: 'BAD_NAME',
    get: 'BAD_NAME',
    put: 'BAD_NAME',
    make: 'BAD_NAME',
    take: 'BAD_NAME',
  },
  {
    form: '/folder/..',
    list: 'BAD_NAME',
    get: 'BAD_NAME',
    put: 'BAD_NAME',
    make: 'BAD_NAME',
    take: 'BAD_NAME',
  },
  { form: '/..\\x', list: 'BAD_NAME', get: 'BAD_NAME', put: 'BAD_NAME', make: 'BAD_NAME', take: 'BAD_NAME' },
  {
    form: '/%2e%2e/outside',
    list: 'NOT_FOUND',
    get: 'NOT_FOUND',
    put: 'NOT_FOUND',
    make: 'NOT_FOUND',
    take: 'NOT_FOUND',
  },
  { form: '/C:\\x', list: 'BAD_NAME', get: 'BAD_NAME', put: 'BAD_NAME', make: 'BAD_NAME', take: 'BAD_NAME' },
  { form: '/fi\0le', list: 'BAD_NAME', get: 'BAD_NAME', put: 'BAD_NAME', make: 'BAD_NAME', take: 'BAD_NAME' },
  {
    form: `/${'x'.repeat(256)}`,
    list: 'BAD_NAME',
    get: 'BAD_NAME',
    put: 'BAD_NAME',
    make: 'BAD_NAME',
    take: 'BAD_NAME',
  },
  {
    form: '/a'.repeat(129),
    list: 'BAD_NAME',
    get: 'BAD_NAME',
    put: 'BAD_NAME',
    make: 'BAD_NAME',
    take: 'BAD_NAME',
  },
];
const ALLOWED: Record<Mode, readonly Verb[]> = {
  ro: ['list', 'get'],
  rw: ['list', 'get', 'put'],
  wo: ['put'],
};

interface Scene {
  readonly base: string;
  readonly session: Session;
  readonly listener: Listener;
  readonly shareOf: (mode: Mode) => string;
  readonly outside: string;
}

/** Three shares of the same content, one of each mode, with something beside them. */
async function scene(t: TestContext): Promise<Scene> {
  const base = sceneFolder(t);
  chmodSync(base, 0o700);
  const outside = join(base, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  const shareOf = (mode: Mode): string => join(base, mode);
  for (const mode of MODES) {
    mkdirSync(shareOf(mode));
    plant(shareOf(mode));
  }
  writeFileSync(join(base, 'mine'), 'mine');
  const { session, listener } = await pair(t, {
    base,
    listen: { shares: MODES.map((mode) => ({ name: mode, folder: shareOf(mode), mode })) },
  });
  return { base, session, listener, shareOf, outside };
}

async function codeOf(run: () => Promise<string>): Promise<string> {
  try {
    return await run();
  } catch (error) {
    assert.ok(error instanceof LocalstreamError, String(error));
    return error.code;
  }
}

suite('a share', () => {
  for (const mode of MODES)
    test(`that is ${mode} allows each verb, for each form of a path, exactly what it should`, async (t) => {
      for (const verb of ['list', 'get', 'put'] as const) {
        const { base, session, shareOf, outside } = await scene(t);
        const before = [
          picture(outside),
          ...MODES.filter((other) => other !== mode).map((other) => picture(shareOf(other))),
        ];
        const kept = picture(shareOf(mode));
        for (const [index, row] of FORMS.entries()) {
          const path = `/${mode}${row.form}`;
          const code = await codeOf(async () => {
            if (verb === 'list') {
              for await (const entry of session.list(path)) assert.notEqual(entry.name, HALF);
              return 'OK';
            }
            if (verb === 'get') return (await session.get([path], join(base, `got ${index}`))).code;
            return (await session.put([join(base, 'mine')], path)).code;
          });
          const expected = expectedCode(mode, verb, row);
          assert.equal(code, expected, `${verb} ${JSON.stringify(path.slice(0, 60))}`);
        }
        const after = [
          picture(outside),
          ...MODES.filter((other) => other !== mode).map((other) => picture(shareOf(other))),
        ];
        assert.deepEqual(after, before, 'something else was touched');
        if (verb !== 'put' || mode === 'ro') assert.deepEqual(picture(shareOf(mode)), kept);
        await session.close();
      }
    });

  test('of another name, or another case, is not there', async (t) => {
    const { session, base } = await scene(t);
    for (const path of ['/RO', '/r', '/other/file', '/ro\u200b', '/ rw'])
      for (const run of [
        async () => {
          for await (const _ of session.list(path)) assert.fail();
          return 'OK';
        },
        async () => (await session.get([path], join(base, 'x'))).code,
        async () => (await session.put([join(base, 'mine')], path)).code,
      ])
        assert.equal(await codeOf(run), 'NOT_FOUND', path);
    const names = [];
    for await (const { name, type, shareMode } of session.list('/'))
      names.push(`${name} ${type} ${shareMode}`);
    assert.deepEqual(names, ['ro share ro', 'rw share rw', 'wo share wo']);
  });

  test('shows what lies in it, and not where links lead that leave it', async (t) => {
    const { session } = await scene(t);
    const seen = new Map<string, string>();
    for await (const { name, type, target } of session.list('/ro')) seen.set(name, `${type} ${target ?? ''}`);
    assert.deepEqual([...seen].sort(), [
      ['alias', 'link file'],
      ['file', 'file '],
      ['folder', 'folder '],
      ['out', 'link '],
      ['pipe', 'other '],
      ['secret', 'link '],
      ['within', 'link folder'],
    ]);
  });

  test('that can not be read does not say where it lies', needs('root'), (t) => {
    const base = sceneFolder(t);
    chmodSync(base, 0o755);
    // The path that the folder has by then is neither the one that was given nor one that is shown as it is.
    const folder = join(base, 'real\n');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    const link = join(base, 'link');
    symlinkSync(folder, link);
    const shares = new Shares([{ name: 'docs', folder: link, mode: 'rw' }]);
    const attempts: readonly [what: string, run: () => unknown][] = [
      ['a folder in it', () => [...shares.entries('/docs/sub', GUEST)]],
      ['itself', () => [...shares.entries('/docs', GUEST)]],
      ['what is removed', () => shares.change({ type: 'remove', path: '/docs/sub', recursive: true }, GUEST)],
    ];
    for (const path of [join(folder, 'sub'), folder]) chmodSync(path, 0o711);
    // This holds for the whole process, of which nothing else runs meanwhile.
    process.seteuid?.(65_534);
    try {
      for (const [what, run] of attempts)
        assert.throws(run, { code: 'UNREADABLE', message: "the share 'docs' can't be used" }, what);
    } finally {
      process.seteuid?.(0);
    }
  });
});

function expectedCode(mode: Mode, verb: Verb, { form, ...row }: (typeof FORMS)[number]): string {
  const [first] = [row.list];
  // What can't be a path at all is refused before anything is looked up; halves of files are not there for anybody.
  if (first === 'BAD_NAME' || form === `/${HALF}`) return row[verb];
  if (!ALLOWED[mode].includes(verb)) return 'NOT_ALLOWED';
  if (mode !== 'wo') return row[verb];
  // Into a drop-box one thing is put under one name, whatever is there.
  const parts = form.split('/').filter((part) => part !== '' && part !== '.');
  const isInside = parts.length > 0 && /\/\.?$/.test(form);
  return parts.length > 1 || isInside ? 'NOT_ALLOWED' : 'OK';
}

/** Every change, with the path under test in each place that it can have. */
const CHANGES: readonly {
  readonly name: string;
  readonly run: (session: Session, mode: Mode, path: string) => Promise<unknown>;
  readonly expected: (row: (typeof FORMS)[number]) => string;
}[] = [
  { name: 'mkdir', run: (session, _mode, path) => session.makeFolder(path), expected: ({ make }) => make },
  {
    name: 'move from',
    run: (session, mode, path) => session.move(path, `/${mode}/fresh`),
    expected: ({ take }) => (take === 'FOLDER' ? 'OK' : take),
  },
  {
    name: 'move to',
    run: (session, mode, path) => session.move(`/${mode}/source`, path),
    expected: ({ form, put, move = put }) => (/^\/?\.?$/.test(form) ? 'EXISTS' : move),
  },
  {
    name: 'remove',
    run: (session, _mode, path) => session.remove(path),
    expected: ({ take }) => (take === 'FOLDER' ? 'IS_A_FOLDER' : take),
  },
  {
    name: 'remove with all in it',
    run: (session, _mode, path) => session.remove(path, { recursive: true }),
    expected: ({ take }) => (take === 'FOLDER' ? 'OK' : take),
  },
];

suite('changes in a share', () => {
  for (const mode of MODES)
    for (const { name, run, expected } of CHANGES)
      test(`that is ${mode}: ${name}, for each form of a path`, async (t) => {
        const { session, shareOf, outside } = await scene(t);
        const folder = shareOf(mode);
        const others = [outside, ...MODES.filter((other) => other !== mode).map(shareOf)];
        const before = others.map(picture);
        for (const row of FORMS) {
          rmSync(folder, { recursive: true });
          mkdirSync(folder);
          plant(folder);
          writeFileSync(join(folder, 'source'), 'source');
          const kept = survey(folder);
          const code = await codeOf(async () => {
            await run(session, mode, `/${mode}${row.form}`);
            return 'OK';
          });
          const isNowhere = row.list === 'BAD_NAME' || row.form === `/${HALF}`;
          const wanted = isNowhere ? row.list : mode === 'rw' ? expected(row) : 'NOT_ALLOWED';
          // Of a move what is to be moved is looked at first.
          const isRefused = mode !== 'rw' && name === 'move to';
          assert.equal(code, isRefused ? 'NOT_ALLOWED' : wanted, JSON.stringify(row.form.slice(0, 60)));
          if (code !== 'OK') assert.deepEqual(survey(folder), kept, row.form);
          else assert.notDeepEqual(survey(folder), kept, row.form);
        }
        assert.deepEqual(others.map(picture), before, 'something else was touched');
      });

  test('say what is missing, and in which share', async (t) => {
    const { base, session } = await scene(t);
    const missing = { code: 'NOT_FOUND', message: "there is no 'none' in the share 'rw'" };
    await assert.rejects(async () => {
      for await (const _ of session.list('/rw/none')) assert.fail();
    }, missing);
    await assert.rejects(session.get(['/rw/folder', '/rw/none/x'], join(base, 'got')), missing);
    await assert.rejects(session.makeFolder('/rw/none/x'), missing);
    await assert.rejects(session.move('/rw/none', '/rw/named'), missing);
    await assert.rejects(session.move('/rw/folder', '/rw/none/x'), missing);
    await assert.rejects(session.remove('/rw/none'), missing);
  });

  test('do what they say: made, moved with all in it, removed without following a link', async (t) => {
    const { session, shareOf, outside, listener } = await scene(t);
    const [rw, beside] = [shareOf('rw'), picture(outside)];
    const seen: unknown[] = [];
    listener.on('changed', ({ peer, change, entries, last }) =>
      seen.push([peer.name, change, entries, last]),
    );
    await session.makeFolder('/rw/made');
    assert.equal(statSync(join(rw, 'made')).mode & 0o777, 0o777 & ~process.umask());
    await session.move('/rw/folder', '/rw/made/');
    await session.move('/rw/made/folder/file', '/rw/named');
    assert.equal(readFileSync(join(rw, 'named'), 'utf8'), 'inner file');
    await session.move('/rw/out', '/rw/made');
    assert.equal(readlinkSync(join(rw, 'made', 'out')), '../outside');
    assert.deepEqual(readdirSync(join(rw, 'made')).sort(), ['folder', 'out']);
    for (const to of ['/rw/made/folder', '/rw/made/folder/inner', '/rw/made'])
      await assert.rejects(session.move('/rw/made', to), { code: 'BAD_NAME' });
    assert.equal(await session.remove('/rw/made', { recursive: true }), 4);
    await assert.rejects(session.remove('/rw/made', { recursive: true }), { code: 'NOT_FOUND' });
    assert.deepEqual(picture(outside), beside);
    assert.deepEqual(seen[0], ["alice's device", { type: 'mkdir', path: '/rw/made' }, 1, true]);
    assert.deepEqual(seen.at(-1), [
      "alice's device",
      { type: 'remove', path: '/rw/made', recursive: true },
      4,
      true,
    ]);
  });

  test('never go from one share to another', async (t) => {
    const base = sceneFolder(t);
    const [one, two] = [join(base, 'one'), join(base, 'two')];
    for (const folder of [one, two]) mkdirSync(folder);
    writeFileSync(join(one, 'file'), 'file');
    const shares = [one, two].map((folder) => ({ folder, mode: 'rw' as const }));
    const { session } = await pair(t, { base, listen: { shares } });
    await assert.rejects(session.move('/one/file', '/two/file'), {
      code: 'NOT_SUPPORTED',
      message: 'a move stays within one share; get and put carry from one to another',
    });
    await assert.rejects(session.move('/one/file', '/'), { code: 'NOT_ALLOWED' });
    assert.deepEqual([readdirSync(one), readdirSync(two)], [['file'], []]);
  });

  test('remove a big folder part by part, which may be stopped between two of them', async (t) => {
    const { session, shareOf } = await scene(t);
    const many = join(shareOf('rw'), 'many');
    for (let folder = 0; folder < 10; folder += 1) {
      mkdirSync(join(many, `${folder}`), { recursive: true });
      for (let file = 0; file < 99; file += 1) writeFileSync(join(many, `${folder}`, `${file}`), '');
    }
    const stop = new AbortController();
    const told: number[] = [];
    await assert.rejects(
      session.remove('/rw/many', {
        recursive: true,
        signal: stop.signal,
        onProgress: (entries) => {
          told.push(entries);
          stop.abort();
        },
      }),
      { code: 'CANCELLED' },
    );
    assert.deepEqual(told, [256]);
    assert.ok(readdirSync(many).length >= 7);
    assert.equal(await session.remove('/rw/many', { recursive: true }), 1001 - 256);
    assert.deepEqual(readdirSync(shareOf('rw')).includes('many'), false);
  });

  test('leave what is just being received, and clear away what was left of it', async (t) => {
    const { session, shareOf } = await scene(t);
    const folder = join(shareOf('rw'), 'folder');
    const half = join(folder, HALF);
    const open = openSync(half, 'wx');
    await assert.rejects(session.remove('/rw/folder', { recursive: true }), {
      code: 'BUSY',
      message: 'a file is just being received there',
    });
    closeSync(open);
    assert.ok(existsSync(half));
    await session.remove('/rw/folder', { recursive: true });
    assert.equal(existsSync(folder), false);
  });

  test('that fail on the way are told of, as far as they went', async (t) => {
    const base = sceneFolder(t);
    const share = join(base, 'docs');
    const folder = join(share, 'many');
    mkdirSync(folder, { recursive: true });
    const open = openSync(join(folder, HALF), 'wx');
    for (let file = 0; file < 100; file += 1) writeFileSync(join(folder, `${file}`), '');
    const shares = [{ name: 'docs', folder: share, mode: 'rw' as const }];
    const { session, listener, bob } = await pair(t, { base, listen: { shares } });
    let told = 0;
    listener.on('changed', ({ entries }) => {
      told += entries;
    });
    let heard = 0;
    const onProgress = (entries: number) => {
      heard = entries;
    };
    const removed = session.remove('/docs/many', { recursive: true, onProgress });
    await assert.rejects(removed, { code: 'BUSY', message: 'a file is just being received there' });
    closeSync(open);
    // In memory the oldest entry is listed last; where the order is another one, it may be in the way from the start.
    const gone = 101 - readdirSync(folder).length;
    assert.deepEqual([told, heard], [gone, gone]);
    const kept = (await bob.sessions.list()).flatMap(({ changes }) => changes);
    assert.deepEqual(
      kept.map(({ action, path, entries }) => [action, path, entries]),
      gone === 0 ? [] : [['rm', '/docs/many', gone]],
    );
  });

  test('fail by name where the system does not allow them', async (t) => {
    const { session, shareOf } = await scene(t);
    const inner = join(shareOf('rw'), 'folder', 'inner');
    writeFileSync(join(inner, 'x'), '');
    const immutable = spawnSync('chattr', ['+i', join(inner, 'x')]);
    if (immutable.status !== 0) {
      t.skip('nothing can be made immutable on this file system');
      return;
    }
    try {
      await assert.rejects(session.remove('/rw/folder', { recursive: true }), {
        code: 'UNWRITABLE',
        message: /'x'/,
      });
      await assert.rejects(session.move('/rw/folder/inner/x', '/rw/y'), { code: 'UNWRITABLE' });
      assert.equal(existsSync(join(shareOf('rw'), 'y')), false);
    } finally {
      spawnSync('chattr', ['-i', join(inner, 'x')]);
    }
    assert.deepEqual(readdirSync(inner), ['x']);
  });
});

suite('a drop-box', () => {
  test('shows, confirms, enters and changes nothing of what is there', async (t) => {
    const { base, session, shareOf } = await scene(t);
    const drop = shareOf('wo');
    const before = survey(drop);
    mkdirSync(join(base, 'tree', 'folder'), { recursive: true });
    writeFileSync(join(base, 'tree', 'file'), 'dropped');
    writeFileSync(join(base, 'tree', 'folder', 'file'), 'dropped too');
    writeFileSync(join(base, 'file'), 'file');
    const told: unknown[] = [];
    const tell = async (target: string, source: string) => {
      const receipt = await session.put([source], target);
      told.push([
        receipt.code,
        receipt.files,
        receipt.outcomes.map(({ outcome, savedAs, reason }) => [outcome, savedAs, reason]),
      ]);
    };
    // What is there and what is not, a file, a folder, a link, by the same words.
    for (const name of ['file', 'folder', 'within', 'out', 'pipe', 'new'])
      await tell(`/wo/${name}`, join(base, 'file'));
    for (const row of told) assert.deepEqual(row, ['OK', 1, [['committed', undefined, undefined]]]);
    told.length = 0;
    for (const name of ['folder', 'file', 'within', 'fresh']) await tell(`/wo/${name}`, join(base, 'tree'));
    for (const row of told)
      assert.deepEqual(row, [
        'OK',
        2,
        [
          ['committed', undefined, undefined],
          ['committed', undefined, undefined],
        ],
      ]);
    for (const existing of ['overwrite', 'skip', 'update'] as const)
      await assert.rejects(session.put([join(base, 'file')], '/wo/', { existing }), { code: 'NOT_ALLOWED' });
    const after = survey(drop);
    for (const [path, seen] of before) assert.deepEqual(after.get(path), seen, path);
    const names = readdirSync(drop);
    for (const name of ['file (2)', 'folder (2)', 'folder (3)', 'within (2)', 'new', 'fresh'])
      assert.ok(names.includes(name), name);
    assert.equal(readFileSync(join(drop, 'folder (3)', 'folder', 'file'), 'utf8'), 'dropped too');
    const receipt = await session.put([join(base, 'tree')], '/wo/', { dryRun: true });
    assert.deepEqual(
      receipt.outcomes.map(({ reason }) => reason),
      ['would create', 'would create'],
    );
  });

  test('tells nothing of itself by how a put fails', async (t) => {
    const { base, session } = await scene(t);
    for (const path of ['/wo/folder/', '/wo/missing/', '/wo/folder/x', '/wo/missing/x', '/wo/file/x'])
      await assert.rejects(session.put([join(base, 'mine')], path), {
        code: 'NOT_ALLOWED',
        message: 'things are put into a drop-box itself, not into a folder in it',
      });
    await until(() => session.transfers.length === 0);
  });
});
