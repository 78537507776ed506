/** Trees as plain values: made by chance, put on the disk, read back from it. Names are bytes, written as latin1 text. */
import * as fs from 'node:fs';
import fc from 'fast-check';
import { digestOf } from '../../src/crypto/digest.ts';
import { fsTime } from '../../src/transfer/entry-stat.ts';

export interface Content {
  readonly seed: number;
  readonly size: number;
  /** Places whose byte is another one than the seed alone makes. */
  readonly edits: readonly number[];
  /** All but the first and the last kibibyte is a hole. */
  readonly sparse: boolean;
}
export interface FileNode {
  readonly kind: 'file';
  readonly content: Content;
  readonly mode: number;
  /** Microseconds since 1970. */
  readonly mtime: number;
}
export interface FolderNode {
  readonly kind: 'folder';
  readonly mode: number;
  readonly mtime: number;
  readonly entries: ReadonlyMap<string, Node>;
}
export interface LinkNode {
  readonly kind: 'link';
  readonly target: string;
  readonly mtime: number;
}
export type Node = FileNode | FolderNode | LinkNode;

const BLOCK = 4096;
const EDGE = 1024;

/** The bytes of a file: the same for the same description, different in every block. */
export function bytesOf({ seed, size, edits, sparse }: Content): Buffer {
  const bytes = Buffer.alloc(size);
  for (let start = 0; start < size; start += BLOCK) {
    const block = bytes.subarray(start, start + BLOCK);
    block.fill((seed * 31 + start / BLOCK) % 251);
    if (block.length >= 8) block.writeUInt32LE((seed * 2654435761 + start) >>> 0, 0);
  }
  if (sparse && size > 2 * EDGE) bytes.fill(0, EDGE, size - EDGE);
  for (const place of edits) if (place < size) bytes[place] = (bytes[place] ?? 0) ^ 0xff;
  return bytes;
}

function writeContent(path: Buffer, content: Content): void {
  const bytes = bytesOf(content);
  const descriptor = fs.openSync(path, 'wx', 0o600);
  try {
    if (!content.sparse) fs.writeSync(descriptor, bytes, 0, bytes.length, 0);
    for (let start = 0; content.sparse && start < bytes.length; start += BLOCK) {
      const block = bytes.subarray(start, start + BLOCK);
      if (block.some((byte) => byte !== 0)) fs.writeSync(descriptor, block, 0, block.length, start);
    }
    fs.ftruncateSync(descriptor, bytes.length);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** A path below a folder, as bytes. */
export function at(folder: string | Buffer, ...names: readonly string[]): Buffer {
  const base = typeof folder === 'string' ? Buffer.from(folder) : folder;
  return Buffer.concat([base, ...names.flatMap((name) => [Buffer.from('/'), Buffer.from(name, 'latin1')])]);
}

/** Makes a tree on the disk. */
export function build(path: Buffer, node: Node): void {
  const now = Date.now() / 1000;
  if (node.kind === 'link') {
    fs.symlinkSync(Buffer.from(node.target, 'latin1'), path);
    fs.lutimesSync(path, now, fsTime(node.mtime));
    return;
  }
  if (node.kind === 'file') writeContent(path, node.content);
  else {
    fs.mkdirSync(path);
    for (const [name, child] of node.entries) build(at(path, name), child);
  }
  // Without the rights of root a test could not read its own files.
  const least = process.getuid?.() === 0 ? 0 : node.kind === 'file' ? 0o400 : 0o700;
  fs.chmodSync(path, node.mode | least);
  fs.utimesSync(path, now, fsTime(node.mtime));
}

/** One entry as it is on the disk, contents by their digest. */
export interface Seen {
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly mode: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly size: number;
  /** Hex BLAKE3 of a file, target of a link. */
  readonly value: string;
  /** Bytes that it takes on the disk. */
  readonly room: number;
}

/** Everything below a folder, by path (latin1, without the folder itself). */
export function survey(folder: string | Buffer): Map<string, Seen> {
  const seen = new Map<string, Seen>();
  const visit = (path: Buffer, shown: string): void => {
    for (const bytes of fs.readdirSync(path, { encoding: 'buffer' })) {
      const name = bytes.toString('latin1');
      const below = shown === '' ? name : `${shown}/${name}`;
      const entry = look(at(path, name));
      seen.set(below, entry);
      if (entry.kind === 'folder') visit(at(path, name), below);
    }
  };
  visit(at(folder), '');
  return seen;
}

/** One entry. */
export function look(path: Buffer): Seen {
  const stat = fs.lstatSync(path, { bigint: true });
  const kind = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'folder'
      : stat.isSymbolicLink()
        ? 'link'
        : 'other';
  let value = '';
  if (kind === 'file') value = digestOf(fs.readFileSync(path)).toString('hex');
  if (kind === 'link') value = fs.readlinkSync(path, { encoding: 'buffer' }).toString('latin1');
  return {
    kind,
    mode: Number(stat.mode & 0o7777n),
    mtime: stat.mtimeNs,
    size: kind === 'file' ? Number(stat.size) : 0,
    value,
    room: Number(stat.blocks) * 512,
  };
}

const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

/** Names that a file system holds, the awkward ones among them. */
const someName = fc.oneof(
  fc.constantFrom(
    ...['a', 'b', 'c', 'a (2)', 'with space', ' leading', 'trailing ', 'trailing.', `it's`, 'say "hi"'],
    ...[
      'new\nline',
      '-rf',
      '.hidden',
      '..dots',
      'CON',
      'a:b',
      '%2F',
      'back\\slash',
      '*',
      '$HOME',
      '\x1b[31m',
    ],
    ...[
      utf8('😀'),
      utf8('é'),
      utf8('e\u0301'),
      utf8('日本語'),
      utf8('\u202e'),
      '\xff\xfe',
      'half\xc3',
      '\x80.txt',
    ],
    ...['x'.repeat(255), utf8('é'.repeat(127)), 'archive.tar.gz'],
  ),
  fc
    .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 12 })
    .map((bytes) => String.fromCharCode(...bytes).replaceAll('/', '_'))
    .filter((name) => name !== '.' && name !== '..' && !name.includes('\\')),
);

const KIB = 1024;
const MIB = KIB * KIB;

/** Sizes on both sides of every border: packs, pieces, frames. */
const someSize = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3000) },
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 1023, 1024, 1025, 65_498, 65_499, 65_536, 200_000) },
  { weight: 2, arbitrary: fc.constantFrom(256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 700_000, MIB - 1, MIB) },
  { weight: 1, arbitrary: fc.constantFrom(MIB + 1, 2 * MIB, 2 * MIB + 12_345, 3 * MIB) },
);

/** From 1938 to 2191. */
const someTime = fc.oneof(fc.integer({ min: -1e15, max: 7e15 }), fc.constantFrom(0, -1, 1, 999_999, 1e15));

const someContent: fc.Arbitrary<Content> = fc.record({
  seed: fc.nat(200),
  size: someSize,
  edits: fc.array(fc.nat(3 * MIB), { maxLength: 2 }),
  sparse: fc.boolean(),
});

const someFile: fc.Arbitrary<FileNode> = fc.record({
  kind: fc.constant('file'),
  content: someContent,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  mtime: someTime,
});

const someLink: fc.Arbitrary<LinkNode> = fc.record({
  kind: fc.constant('link'),
  target: fc.oneof(
    fc.constantFrom(
      'a',
      'a/b',
      '../a',
      '../../a',
      '../../../b',
      '..',
      '/etc/passwd',
      'a/../..',
      './c',
      '\xff',
      'c/./a',
    ),
    someName,
  ),
  mtime: someTime,
});

const folderOf = (child: fc.Arbitrary<Node>): fc.Arbitrary<FolderNode> =>
  fc.record({
    kind: fc.constant('folder'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    mtime: someTime,
    entries: fc
      .uniqueArray(fc.tuple(someName, child), { maxLength: 5, selector: ([name]) => name })
      .map((entries) => new Map(entries)),
  });

const leaf: fc.Arbitrary<Node> = fc.oneof(
  { weight: 4, arbitrary: someFile },
  { weight: 1, arbitrary: someLink },
);
const level = (child: fc.Arbitrary<Node>): fc.Arbitrary<Node> =>
  fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: folderOf(child) });

/** A folder of up to four levels. */
export const someFolder: fc.Arbitrary<FolderNode> = folderOf(level(level(folderOf(leaf))));

/** What may be sent: a folder mostly, sometimes a file. */
export const someRoot: fc.Arbitrary<Node> = fc.oneof(
  { weight: 5, arbitrary: someFolder },
  { weight: 1, arbitrary: someFile },
);
