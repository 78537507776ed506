/** The files behind a sender: the roots of a transfer, walked one after the other, opened again when their turn comes. */
import { basename, resolve } from 'node:path';
import { errorOf, LocalstreamError, meaningOf } from '../errors.ts';
import { flagNumber, flagOfError } from '../protocol/flags.ts';
import { PIECE_BYTES } from '../protocol/frame.ts';
import { MAX_PATHS, MAX_TEXT } from '../protocol/limits.ts';
import { ENTRY, type ManifestEntry } from '../protocol/manifest.ts';
import type { OfferedRoot } from '../protocol/messages.ts';
import { escapeText } from '../protocol/text.ts';
import type { EntryStat } from './entry-stat.ts';
import type { FilterRules } from './filter-rules.ts';
import { Folder } from './folder.ts';
import { checkLinkTarget } from './link.ts';
import {
  checkName,
  checkPath,
  decodeName,
  encodeName,
  pathText,
  type SafePath,
  SEALED_SUFFIX,
  STREAM_PATH,
} from './name.ts';
import { OpenRoots } from './open-roots.ts';
import { PathFilter } from './path-filter.ts';
import type { SealedFile, Sealing } from './sealed-source.ts';
import type { SourceFile } from './source-file.ts';
import { SourceRoot } from './source-root.ts';
import type { SourceEntry, SourceReader, SourceTree } from './source-tree.ts';
import { type IsAborted, openStream, STANDARD_INPUT, streamEntry, wakeInput } from './stream.ts';
import { openText, textEntry } from './text-source.ts';
import { type WalkEntry, walk } from './walk.ts';

/** Where a root of a transfer is; `stream` is standard input. `name` is what it is called at the other side. */
export type SourceSpec =
  | FileSpec
  | { readonly kind: 'stream'; readonly name: string }
  | { readonly kind: 'text'; readonly name: string; readonly bytes: Uint8Array };

/** A text that is sent as a file which holds nothing else. */
export interface TextSource {
  /** Up to 65,536 bytes of UTF-8. */
  readonly text: string;
  /** What it is called at the other side; `text.txt` by default. */
  readonly name?: string;
}

/** Something to send: a path, `-` for standard input, or a text. */
export type Source = string | TextSource;

/** A root that lies in the file system. */
export type FileSpec =
  /** Something that the user of this machine named: a link at its end is followed. */
  | { readonly kind: 'named'; readonly path: string }
  /** Something below a share: no link on the way is followed. */
  | {
      readonly kind: 'below';
      readonly share: string;
      readonly path: readonly string[];
      readonly name: string;
    };

/** How a file of the walk is found again; standard input has no root. */
export interface SourceHandle {
  readonly root: SourceRoot | undefined;
  readonly path: SafePath;
  /** What the walk saw there. */
  readonly seen?: EntryStat;
  /** Where a link that was followed leads: opened anew from there. */
  readonly followed?: string;
  /** What it holds, where it is no file. */
  readonly text?: Uint8Array;
  /** What it is, where it is sealed while it is read. */
  readonly sealed?: SealedFile;
}

/** What a tree is read by. */
export interface SourceOptions {
  readonly rules: FilterRules | undefined;
  /** Links are sent as what they point at. Only for what the user of this machine named. */
  readonly follow: boolean;
  /** Files are sealed while they are read. Only for what the user of this machine named. */
  readonly sealing?: Sealing | undefined;
  /** True once the transfer has ended: whoever waits for a pipe looks at it. */
  readonly aborted?: IsAborted;
}

/** What standard input is called where no other name is given. */
const STREAM_NAME = 'stdin';
/** What a text is called where no other name is given. */
const TEXT_NAME = 'text.txt';

/** Opens a root. It is the caller's to close. Throws NOT_FOUND and what else {@link SourceRoot} throws. */
export function openRoot(spec: FileSpec): SourceRoot {
  if (spec.kind === 'named') return SourceRoot.named(spec.path);
  const { share } = spec;
  return SourceRoot.below(() => Folder.open(share), checkPath(spec.path), checkName(spec.name));
}

const EMPTY = Buffer.alloc(0);

/**
 * What the user of this machine wants to send, looked at before anybody is asked.
 *
 * @throws NOT_FOUND, NOT_A_FILE, UNREADABLE; USAGE when two of them have the same name, or there are too many.
 */
export function namedRoots(paths: readonly Source[]): { roots: OfferedRoot[]; specs: SourceSpec[] } {
  if (paths.length === 0 || paths.length > MAX_PATHS)
    throw errorOf('USAGE', `one to ${MAX_PATHS} paths can be sent at once`, {
      hint: 'send the folder they are in',
    });
  const roots = new Map<string, OfferedRoot>();
  const specs: SourceSpec[] = [];
  for (const path of paths) {
    if (typeof path !== 'string') {
      const spec = textSpec(path);
      if (roots.has(spec.name)) throw namedTwice(spec.name);
      roots.set(spec.name, { name: spec.name, type: 'file', size: spec.bytes.length });
      specs.push(spec);
      continue;
    }
    if (path === STREAM_PATH) {
      wakeInput();
      roots.set(STREAM_NAME, { name: STREAM_NAME, type: 'file', size: null });
      specs.push({ kind: 'stream', name: STREAM_NAME });
      continue;
    }
    const spec = { kind: 'named' as const, path };
    using root = openRoot(spec);
    const { type, size } = root.stat;
    if (type !== 'file' && type !== 'folder')
      throw errorOf('NOT_A_FILE', `'${escapeText(path)}' can't be sent`);
    if (roots.has(root.name)) throw namedTwice(root.name);
    roots.set(root.name, { name: root.name, type, size: type === 'file' ? size : null });
    if (type === 'file') root.open([root.name]).close();
    specs.push(spec);
  }
  return { roots: [...roots.values()], specs };
}

function namedTwice(name: string): LocalstreamError {
  return errorOf('USAGE', `two of the paths are called '${escapeText(name)}'`, {
    hint: 'send them one by one',
  });
}

function textSpec({ text, name = TEXT_NAME }: TextSource): SourceSpec & { readonly kind: 'text' } {
  if (!text.isWellFormed()) throw errorOf('USAGE', 'the text is not UTF-8', { hint: 'send it as a file' });
  const bytes = Buffer.from(text);
  if (bytes.length === 0 || bytes.length > MAX_TEXT)
    throw errorOf('USAGE', `a text has from 1 to ${MAX_TEXT} bytes, this one ${bytes.length}`, {
      hint: 'send it as a file',
    });
  return { kind: 'text', name: checkName(name), bytes };
}

/** Opens the roots for a sender. A root that has gone meanwhile fails by name, the others are sent. */
export function openSourceTree(
  specs: readonly SourceSpec[],
  options: SourceOptions,
): SourceTree<SourceHandle> & Disposable {
  const roots = new OpenRoots();
  function* walkAll(): Generator<SourceEntry<SourceHandle>> {
    for (const spec of specs)
      for (const found of walkSpec(spec, roots, options))
        yield options.sealing ? sealedEntry(found, options.sealing) : found;
  }
  return {
    walk: walkAll,
    open: (handle: SourceHandle, size: number): SourceReader => {
      const { sealed } = handle;
      if (handle.root) roots.use(handle.root);
      if (!sealed || !options.sealing) return openPlain(handle, size, options.aborted);
      const reader = openPlain(handle, sealed.size, options.aborted);
      try {
        return options.sealing.read(reader, sealed);
      } catch (error) {
        reader.close();
        throw error;
      }
    },
    [Symbol.dispose]: () => roots[Symbol.dispose](),
  };
}

function openPlain(
  { root, path, seen, followed, text }: SourceHandle,
  size: number,
  aborted: IsAborted = () => false,
): SourceReader {
  if (text) return openText(text);
  if (!root) return openStream(STANDARD_INPUT, aborted);
  const file = followed === undefined ? root.open(path, seen) : openFollowed(followed);
  if (file.size === size) return file;
  file.close();
  throw errorOf('SOURCE_CHANGED', 'the file changed its size after it was announced');
}

/** The entry of a file that is sealed while it is read; everything else as it is. */
function sealedEntry(found: SourceEntry<SourceHandle>, sealing: Sealing): SourceEntry<SourceHandle> {
  const { entry, path, reference } = found;
  if (entry.kind !== ENTRY.file) return found;
  try {
    const sealed = sealing.asSealed(entry, reference.seen);
    return {
      entry: sealed.entry,
      path: `${path}${SEALED_SUFFIX}`,
      reference: { ...reference, sealed: sealed.file },
    };
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    return failedEntry(path.split('/'), decodeName(entry.name), error, reference);
  }
}

function* walkSpec(
  spec: SourceSpec,
  roots: OpenRoots,
  options: SourceOptions,
): Generator<SourceEntry<SourceHandle>> {
  if (spec.kind === 'stream') {
    yield streamEntry(spec.name, { root: undefined, path: [checkName(spec.name)] });
    return;
  }
  if (spec.kind === 'text') {
    const { name, bytes } = spec;
    yield textEntry(name, bytes, { root: undefined, path: [checkName(name)], text: bytes });
    return;
  }
  let root: SourceRoot;
  try {
    root = openRoot(spec);
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    // The name under which it was offered.
    const name = spec.kind === 'named' ? basename(resolve(spec.path)) : spec.name;
    yield failedEntry([name], name, error, undefined);
    return;
  }
  const follow = options.follow && spec.kind === 'named';
  const filter = options.rules && new PathFilter(options.rules);
  const context = { filter, follow, isFollowed: false, above: [], inodes: [] };
  yield* roots.walking(root, walkRoot(root, context));
}

/** Where a walk stands: within the walks of the links that led to it. */
interface WalkContext {
  readonly filter: PathFilter | undefined;
  readonly follow: boolean;
  /** Its root is one that a followed link led to. */
  readonly isFollowed: boolean;
  /** Path of the folder in which a followed link lies. */
  readonly above: SafePath;
  /** The folders on the way, to notice a link to one of them. */
  readonly inodes: readonly string[];
}

function* walkRoot(root: SourceRoot, context: WalkContext): Generator<SourceEntry<SourceHandle>> {
  const inodes = [...context.inodes];
  const { above } = context;
  for (const step of walk(root, context.filter)) {
    if (step.type === 'leave') inodes.pop();
    const depth = above.length + inodes.length - context.inodes.length;
    if (step.type === 'link' && context.follow) {
      yield* followLink(step.path, root, { ...context, inodes });
      continue;
    }
    const found = toEntry(step, root, depth, above);
    if (!context.isFollowed || step.type !== 'file') yield found;
    else yield { ...found, reference: { ...found.reference, followed: root.pathOf(step.path) } };
    if (step.type === 'folder') inodes.push(inodeOf(step.stat));
  }
}

/** Sends what a link points at, under the name of the link. */
function* followLink(
  path: SafePath,
  root: SourceRoot,
  context: WalkContext,
): Generator<SourceEntry<SourceHandle>> {
  const name = path.at(-1);
  const shown = [...context.above, ...path];
  let target: SourceRoot;
  try {
    target = SourceRoot.named(root.pathOf(path), name);
  } catch (error) {
    if (!(error instanceof LocalstreamError)) throw error;
    yield failedEntry(shown, name ?? '', error, { root, path: [] });
    return;
  }
  if (target.stat.type === 'folder' && context.inodes.includes(inodeOf(target.stat))) {
    target.close();
    const error = errorOf('NOT_A_FILE', 'a link to a folder that it lies in');
    yield failedEntry(shown, name ?? '', error, { root, path: [] });
    return;
  }
  try {
    if (target.stat.type === 'folder') {
      // There may be more such links than folders can be open: its files are opened later, by their own paths.
      yield* walkRoot(target, { ...context, above: shown.slice(0, -1), isFollowed: true });
      return;
    }
    const [step] = walk(target);
    if (!step) return;
    const entry = toEntry(step, target, 0, shown.slice(0, -1));
    const { seen } = entry.reference;
    yield { ...entry, reference: { root, path, ...(seen && { seen }), followed: root.pathOf(path) } };
  } finally {
    target.close();
  }
}

function openFollowed(path: string): SourceFile {
  const root = SourceRoot.named(path);
  try {
    return root.open([root.name]);
  } finally {
    // The file holds its folder by itself.
    root.close();
  }
}

function inodeOf(stat: EntryStat): string {
  return `${stat.device}:${stat.inode}`;
}

function toEntry(
  step: WalkEntry,
  root: SourceRoot,
  depth: number,
  above: SafePath,
): SourceEntry<SourceHandle> {
  if (step.type === 'failed') {
    // A folder that can't be listed fails within itself.
    const name = above.length + step.path.length === depth ? '.' : (step.path.at(-1) ?? '.');
    return failedEntry([...above, ...step.path], name, step.error, { root, path: [] });
  }
  const { path, stat } = step;
  const leaf = path.at(-1) ?? '';
  const leaving =
    step.type === 'link' ? leavingError(step.target, above.length + path.length - 1) : undefined;
  // Not even where it points is told: that may be a place on this machine.
  if (leaving) return failedEntry([...above, ...path], leaf, leaving, { root, path: [] });
  const entry: ManifestEntry = {
    kind: ENTRY[step.type],
    mode: stat.mode & 0o777,
    mtime: stat.mtime,
    size: step.type === 'file' ? stat.size : 0,
    name: step.type === 'leave' ? EMPTY : encodeName(leaf),
    extra: step.type === 'link' ? encodeName(step.target) : EMPTY,
    ...(step.type === 'file' && stat.links > 1 && { linked: true as const }),
    // Of small ones it makes no difference.
    ...(step.type === 'file' && stat.sparse && stat.size > PIECE_BYTES && { stored: stat.stored }),
  };
  return {
    entry,
    path: pathText([...above, ...path]),
    reference: step.type === 'file' ? { root, path, seen: stat } : { root, path },
    ...(step.type === 'file' && stat.sparse && { sparse: true }),
  };
}

/** Why a link in a folder of this depth may not be sent. */
function leavingError(target: string, depth: number): LocalstreamError | undefined {
  try {
    checkLinkTarget(target, depth);
    return undefined;
  } catch (error) {
    if (error instanceof LocalstreamError) return error;
    throw error;
  }
}

function failedEntry(
  path: readonly string[],
  name: string,
  error: LocalstreamError,
  reference: SourceHandle | undefined,
): SourceEntry<SourceHandle> {
  const entry: ManifestEntry = {
    kind: ENTRY.failed,
    mode: 0,
    mtime: 0,
    size: flagNumber(flagOfError(error)),
    name: encodeName(name),
    // Its text may name folders of this machine, which is nothing to the other side.
    extra: Buffer.from(meaningOf(error.code)),
  };
  // Never asked for: a failed entry has no bytes.
  return { entry, path: pathText(path), reference: reference as SourceHandle };
}
