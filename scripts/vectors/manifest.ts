import { fixed, VectorFile } from './frozen.ts';
import { hex, join, u8, u16, u32, u64 } from './layout.ts';

const FILE = 1;
const FOLDER = 2;
const LEAVE = 3;
const LINK = 4;
const FAILED = 5;

interface Entry {
  readonly kind: number;
  readonly mode: number;
  readonly mtime: number;
  readonly size: number;
  readonly name: string | Uint8Array;
  readonly extra: string | Uint8Array;
  readonly linked?: true;
  readonly stored?: number;
}

const file: Entry = {
  kind: FILE,
  mode: 0o644,
  mtime: 1_700_000_000_123_456,
  size: 5,
  name: 'a.txt',
  extra: '',
};
const folder: Entry = { ...file, kind: FOLDER, mode: 0o755, size: 0, name: 'photos' };
const leave: Entry = { ...folder, kind: LEAVE, name: '' };
const link: Entry = { ...folder, kind: LINK, mode: 0o777, name: 'here', extra: '../a.txt' };
const failed: Entry = {
  ...folder,
  kind: FAILED,
  mode: 0,
  mtime: 0,
  size: 410,
  name: 'secret',
  extra: 'cannot read it',
};

/** One entry as it crosses; its flags and the lengths can be given falsely. */
function entryBytes(entry: Entry, lie: { flags?: number; name?: number; extra?: number } = {}): Buffer {
  const { kind, mode, mtime, size } = entry;
  const { linked = false, stored } = entry;
  const [name, extra] = [join(entry.name), stored === undefined ? join(entry.extra) : u64(stored)];
  const lengths = [u16(lie.name ?? name.length), u16(lie.extra ?? extra.length)];
  return join(
    u8(kind),
    u8(lie.flags ?? (linked ? 1 : 0) + (stored === undefined ? 0 : 2)),
    u16(mode),
    u64(mtime),
    u64(size),
    ...lengths,
    name,
    extra,
  );
}

const entries = (...list: readonly Entry[]) => ({
  payload: hex(...list.map((entry) => entryBytes(entry))),
  entries: list.map((entry) => ({ ...entry, name: hex(entry.name), extra: hex(entry.extra) })),
});

const digest = (text: string): Buffer => fixed(text);
const one = digest('one');
const two = digest('two');

const packed = (index: number, bytes: string, of: Uint8Array = one): Buffer =>
  join(u16(index), u32(Buffer.byteLength(bytes)), of, bytes);

function result(
  index: number,
  outcome: number,
  flag: number,
  of: Uint8Array,
  note: string | Uint8Array,
): Buffer {
  const bytes = join(note);
  return join(u16(index), u8(outcome), u16(flag), of, u8(bytes.length), bytes);
}

const ZEROS = Buffer.alloc(32);
const UNSAFE = 2n ** 53n;

/** A group of vectors: payloads and what they say, and payloads that must be refused. */
function group(cases: object, mustFail: Readonly<Record<string, string>>): object {
  return { cases, mustFail };
}

function manifestGroup(): object {
  const whole = entryBytes(file);
  return group(
    {
      'a file': entries(file),
      'an empty file': entries({ ...file, size: 0 }),
      'a stream': entries({ ...file, size: -1 }),
      'the largest file': entries({ ...file, size: Number.MAX_SAFE_INTEGER }),
      'before 1970': entries({ ...file, mtime: -1 }),
      'the ends of time': entries(
        { ...file, mtime: Number.MIN_SAFE_INTEGER },
        { ...file, mtime: Number.MAX_SAFE_INTEGER },
      ),
      'a name that is not UTF-8': entries({ ...file, name: Buffer.from('636166e9', 'hex') }),
      'a name of 300 bytes': entries({ ...file, name: 'x'.repeat(300) }),
      'a folder and what is in it': entries(folder, file, link, failed, leave),
      'a folder that cannot be listed': entries(folder, { ...failed, name: '.' }, leave),
      'a file with other names': entries({ ...file, linked: true }),
      'a sparse file': entries({ ...file, size: 5_000_000, stored: 4096 }),
      'a sparse file with other names': entries({ ...file, size: 2 ** 40, linked: true, stored: 0 }),
      'every permission': entries({ ...file, mode: 0o777 }),
    },
    {
      empty: '',
      'a byte missing': hex(whole.subarray(0, -1)),
      'a byte more': hex(whole, u8(0)),
      'kind 0': hex(entryBytes({ ...file, kind: 0 })),
      'kind 6': hex(entryBytes({ ...file, kind: 6 })),
      'a flag that nobody knows': hex(entryBytes(file, { flags: 4 })),
      'a sparse file that does not say what it takes': hex(entryBytes(file, { flags: 2 })),
      'a sparse file that says it in four bytes': hex(entryBytes({ ...file, extra: 'four' }, { flags: 2 })),
      'a sparse file that takes all its bytes': hex(entryBytes({ ...file, stored: 5 })),
      'a sparse stream': hex(entryBytes({ ...file, size: -1, stored: 0 })),
      'a sparse folder': hex(entryBytes({ ...folder, stored: 0 })),
      'every flag': hex(entryBytes(file, { flags: 255 })),
      'a folder that is linked': hex(entryBytes(folder, { flags: 1 })),
      'a mode with the setuid bit': hex(entryBytes({ ...file, mode: 0o4755 })),
      'a size of -2': hex(entryBytes({ ...file, size: -2 })),
      'a size of 2^53': hex(u8(FILE), u8(0), u16(0), u64(0), u64(UNSAFE), u16(1), u16(0), 'a'),
      'a size of 2^63': hex(u8(FILE), u8(0), u16(0), u64(0), u64(2n ** 63n), u16(1), u16(0), 'a'),
      'a time of 2^53': hex(u8(FILE), u8(0), u16(0), u64(UNSAFE), u64(0), u16(1), u16(0), 'a'),
      'a time of -2^53': hex(u8(FILE), u8(0), u16(0), u64(-UNSAFE), u64(0), u16(1), u16(0), 'a'),
      'a file without a name': hex(entryBytes({ ...file, name: '' })),
      'a leave with a name': hex(entryBytes({ ...leave, name: 'photos' })),
      'a folder with a size': hex(entryBytes({ ...folder, size: 1 })),
      'a leave with a size': hex(entryBytes({ ...leave, size: -1 })),
      'a link with a size': hex(entryBytes({ ...link, size: 1 })),
      'a file with a target': hex(entryBytes({ ...file, extra: 'x' })),
      'a folder with a target': hex(entryBytes({ ...folder, extra: 'x' })),
      'a failed entry that says it is done': hex(entryBytes({ ...failed, size: 0 })),
      'a failed entry with a flag of four digits': hex(entryBytes({ ...failed, size: 1000 })),
      'a name longer than the batch': hex(entryBytes(file, { name: 6 })),
      'a name of 65535 bytes that are not there': hex(entryBytes(file, { name: 65_535 })),
      'a target of 4096 bytes': hex(entryBytes({ ...link, extra: 'x'.repeat(4096) })),
    },
  );
}

/** Payloads of lane frames. */
export function writeManifestVectors(): void {
  const pack = join(packed(0, 'hello'), packed(1, '', two));
  const results = join(
    result(0, 1, 200, one, ''),
    result(1, 2, 200, two, ''),
    result(2, 3, 412, ZEROS, ''),
    result(3, 4, 415, ZEROS, 'there is not enough free space'),
    result(1023, 1, 200, one, Buffer.from('636166e9', 'hex')),
  );
  const resultValues = [
    { index: 0, outcome: 1, flag: 200, digest: hex(one), note: '' },
    { index: 1, outcome: 2, flag: 200, digest: hex(two), note: '' },
    { index: 2, outcome: 3, flag: 412, digest: hex(ZEROS), note: '' },
    { index: 3, outcome: 4, flag: 415, digest: hex(ZEROS), note: hex('there is not enough free space') },
    { index: 1023, outcome: 1, flag: 200, digest: hex(one), note: '636166e9' },
  ];
  const answers = join(u8(1), u8(0), u8(2), one, u8(3), two, u8(4));
  const end = join(u64(5), one);
  const done = join(u32(2), u64(1025), one);
  new VectorFile('manifest.json').write({
    about:
      'Payloads of lane frames. Bytes in hexadecimal, names too. `count` is the number of entries of the batch that is answered.',
    manifest: manifestGroup(),
    pack: group(
      {
        'two files': {
          payload: hex(pack),
          files: [
            { index: 0, digest: hex(one), bytes: hex('hello') },
            { index: 1, digest: hex(two), bytes: '' },
          ],
        },
      },
      {
        empty: '',
        'a byte missing': hex(pack.subarray(0, -1)),
        'a byte more': hex(pack, u8(0)),
        'a length over the payload': hex(u16(0), u32(6), one, 'hello'),
        'a length of 2^32 - 1': hex(u16(0), u32(2 ** 32 - 1), one, 'hello'),
      },
    ),
    answer: group(
      {
        'one of each': {
          payload: hex(answers),
          count: 5,
          answers: [
            { code: 1 },
            { code: 0 },
            { code: 2, digest: hex(one) },
            { code: 3, digest: hex(two) },
            { code: 4 },
          ],
        },
        'a second answer': { payload: '01', count: 1, answers: [{ code: 1 }] },
      },
      {
        // For a batch of five entries.
        empty: '',
        'one missing': hex(answers.subarray(0, -1)),
        'one more': hex(answers, u8(0)),
        'a digest cut': hex(u8(0), u8(0), u8(0), u8(0), u8(2), one.subarray(1)),
        'code 5': hex(u8(0), u8(0), u8(0), u8(0), u8(5)),
      },
    ),
    basis: group(
      {
        'the first two pieces': { payload: hex(u64(0), one, two), first: 0, digests: hex(one, two) },
        'no pieces': { payload: hex(u64(0)), first: 0, digests: '' },
        'a late piece': { payload: hex(u64(4_000_000_000), one), first: 4_000_000_000, digests: hex(one) },
      },
      {
        empty: '',
        'no number': hex(u32(0), u16(0), u8(0)),
        'a digest cut': hex(u64(0), one.subarray(1)),
        'a number of 2^53': hex(u64(UNSAFE), one),
        'a number of 2^64 - 1': hex(u64(2n ** 64n - 1n), one),
      },
    ),
    result: group(
      { 'one of each': { payload: hex(results), results: resultValues } },
      {
        empty: '',
        'a byte missing': hex(results.subarray(0, -1)),
        'a byte more': hex(results, u8(0)),
        'outcome 0': hex(result(0, 0, 200, one, '')),
        'outcome 5': hex(result(0, 5, 200, one, '')),
        'a note longer than the payload': hex(result(0, 1, 200, one, '').subarray(0, -1), u8(1)),
      },
    ),
    end: group(
      { 'five bytes': { payload: hex(end), size: 5, digest: hex(one) } },
      {
        empty: '',
        'a byte missing': hex(end.subarray(1)),
        'a byte more': hex(end, u8(0)),
        'a size of 2^53': hex(u64(UNSAFE), one),
      },
    ),
    same: group(
      {
        'two files': {
          payload: hex(u16(3), one, u16(4), two),
          rows: [
            { index: 3, digest: hex(one) },
            { index: 4, digest: hex(two) },
          ],
        },
      },
      { empty: '', 'a byte missing': hex(u16(3), one.subarray(1)), 'a byte more': hex(u16(3), one, u8(0)) },
    ),
    failed: group(
      {
        'with a reason': {
          payload: hex(u16(416), 'the file shrank: é'),
          flag: 416,
          reason: 'the file shrank: é',
        },
        'without one': { payload: hex(u16(410)), flag: 410, reason: '' },
        'with the longest': { payload: hex(u16(410), 'x'.repeat(1024)), flag: 410, reason: 'x'.repeat(1024) },
      },
      {
        empty: '',
        'half a flag': hex(u8(1)),
        'a reason of 1025 bytes': hex(u16(410), 'x'.repeat(1025)),
        'a reason that is not UTF-8': hex(u16(410), Buffer.of(0xff)),
      },
    ),
    done: group(
      {
        'two batches': { payload: hex(done), batches: 2, entries: 1025, digest: hex(one) },
        'nothing at all': { payload: hex(u32(0), u64(0), two), batches: 0, entries: 0, digest: hex(two) },
      },
      {
        empty: '',
        'a byte missing': hex(done.subarray(1)),
        'a byte more': hex(done, u8(0)),
        'entries of 2^53': hex(u32(2), u64(UNSAFE), one),
      },
    ),
  });
}
