/** Sources and target among the words of get and put, and the patterns among the sources. */
import { existsSync } from 'node:fs';
import { glob, readdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, matchesGlob } from 'node:path';
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';
import type { Entry, Session, Source } from '../index.ts';
import { decodeName, fsPath } from '../transfer/name.ts';
import type { Context } from './context.ts';
import { shownName } from './peer-text.ts';

/** As in cp: with two or more, the last is the target. */
export function splitOperands(words: readonly string[]): {
  readonly sources: readonly string[];
  readonly target: string | undefined;
} {
  if (words.length < 2) return { sources: words, target: undefined };
  return { sources: words.slice(0, -1), target: words.at(-1) };
}

/** What is to be sent: paths with their patterns replaced, or the one text. Throws USAGE for both and for neither. */
export async function sourcesOf(
  context: Pick<Context, 'server' | 'output'>,
  paths: readonly string[],
  text: string | undefined,
): Promise<Source[]> {
  if (text !== undefined && paths.length > 0)
    throw errorOf('USAGE', 'both paths and a text are given', { hint: 'send one after the other' });
  if (text !== undefined) return [{ text }];
  if (paths.length === 0)
    throw errorOf('USAGE', 'nothing is named that could be sent', { hint: 'write a path, or --text TEXT' });
  return await expandLocal(context, paths);
}

const PATTERN = /[*?[{]/;

/** A local path as it was meant: what was typed in another process starts where that one stands. */
export function localPath({ server }: Pick<Context, 'server'>, path: string): string {
  if (server === undefined || isAbsolute(path)) return path;
  if (server.cwd === '')
    throw errorOf('NOT_FOUND', `${shownName(path)}: the folder that you are in is gone`, {
      hint: 'write the whole path',
    });
  return `${server.cwd.replace(/\/+$/, '')}/${path}`;
}

/** Local sources with their patterns replaced by what matches: in the shell there is no other shell that would do it. */
async function expandLocal(
  context: Pick<Context, 'server' | 'output'>,
  paths: readonly string[],
): Promise<string[]> {
  const cwd = context.server?.cwd;
  const found: string[] = [];
  for (const path of paths) {
    // A file that is really called so is meant.
    if (!PATTERN.test(path) || existsSync(fsPath(localPath(context, path)))) {
      found.push(localPath(context, path));
      continue;
    }
    const matches = new Set<string>();
    for await (const match of glob(path, cwd === undefined ? {} : { cwd }))
      for (const real of await asOnDisk(localPath(context, match))) matches.add(real);
    found.push(...(await chosen(context, path, [...matches].toSorted(), whyNotSent)));
  }
  return found;
}

/** What a match is called: of bytes that are not UTF-8 `glob` gives U+FFFD, and there may be several such names. */
async function asOnDisk(match: string): Promise<string[]> {
  if (!match.includes('\ufffd') || existsSync(match)) return [match];
  const folder = dirname(match);
  const names = await readdir(folder, { encoding: 'buffer' }).catch(() => []);
  const meant = names.filter((name) => name.toString('utf8') === basename(match));
  return meant.length > 0 ? meant.map((name) => join(folder, decodeName(name))) : [match];
}

/** What of the matches of a pattern can be moved. Nobody has named the others one by one: they hold nothing up. */
async function chosen(
  { output }: Pick<Context, 'output'>,
  pattern: string,
  matches: readonly string[],
  whyNot: (match: string) => Promise<string | undefined> | string | undefined,
): Promise<string[]> {
  if (matches.length === 0)
    throw errorOf('NOT_FOUND', `nothing matches ${shownName(pattern)}`, { hint: 'check the pattern' });
  const fit: string[] = [];
  for (const match of matches) {
    const reason = await whyNot(match);
    if (reason === undefined) fit.push(match);
    else output.note(`skipped ${shownName(match)}: ${reason}`);
  }
  if (fit.length === 0)
    throw errorOf('NOT_A_FILE', `no file or folder matches ${shownName(pattern)}`, {
      hint: 'check the pattern',
    });
  return fit;
}

/** Why a match can't be sent. Whatever else is wrong with it the transfer says better. */
async function whyNotSent(path: string): Promise<string | undefined> {
  try {
    const found = await stat(fsPath(path));
    return found.isFile() || found.isDirectory() ? undefined : 'it is a pipe, a device or a socket';
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? 'it is a link to nothing' : undefined;
  }
}

/** Why a match of this kind can't be fetched by itself. */
function whyNotFetched(type: Entry['type'] | undefined): string | undefined {
  if (type === 'link') return 'it is a link; get the folder that it is in';
  return type === 'other' ? 'it is a pipe, a device or a socket' : undefined;
}

/** The same for paths on a server that are to be fetched. */
export async function fetchedPaths(
  context: Pick<Context, 'output' | 'signal'>,
  session: Session,
  paths: readonly string[],
): Promise<string[]> {
  return await expandRemote(session, paths, context.signal, (pattern, types) =>
    chosen(context, pattern, [...types.keys()].toSorted(), (match) => whyNotFetched(types.get(match))),
  );
}

/**
 * The same for paths on a server, whatever they are: patterns may stand in the last component.
 *
 * @param choose picks among the matches of a pattern; all of them unless given.
 */
export async function expandRemote(
  session: Session,
  paths: readonly string[],
  signal: AbortSignal,
  choose?: (pattern: string, matches: ReadonlyMap<string, Entry['type']>) => Promise<string[]>,
): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    if (!PATTERN.test(path)) {
      found.push(path);
      continue;
    }
    const { folder } = lastOf(path);
    const matches = new Map<string, Entry['type']>();
    for await (const { name, type } of remoteMatches(session, path, signal))
      matches.set(`${folder}${name}`, type);
    found.push(...((await choose?.(path, matches)) ?? [...matches.keys()].toSorted()));
  }
  return found;
}

/**
 * The entries of a folder on a server that a pattern in the last component means.
 *
 * @throws NOT_FOUND where nothing matches, NOT_SUPPORTED for a pattern further up.
 */
async function* remoteMatches(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Entry> {
  const { folder, last } = lastOf(path);
  if (PATTERN.test(folder))
    throw errorOf('NOT_SUPPORTED', `a pattern can only stand for the last name in ${shownName(path)}`, {
      hint: 'get the folder and use --include and --exclude',
    });
  let isFound = false;
  for await (const entry of session.list(folder, { signal })) {
    const { name } = entry;
    if (name !== last && (hidden(name, last) || !matchesGlob(name, last))) continue;
    isFound = true;
    yield entry;
  }
  if (!isFound)
    throw errorOf('NOT_FOUND', `nothing matches ${shownName(path)}`, { hint: 'check the pattern' });
}

function lastOf(path: string): { readonly folder: string; readonly last: string } {
  const whole = path.replace(/\/+$/, '');
  const slash = whole.lastIndexOf('/');
  return { folder: path.slice(0, slash + 1), last: whole.slice(slash + 1) };
}

/** Some systems can't hold a pattern as a name at all. */
const NO_SUCH_NAME = new Set<string>(['NOT_FOUND', 'BAD_NAME']);

/** What a path on a server lists. Where nothing has its last name, that may be a pattern, and the matches are listed. */
export async function* listed(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Entry> {
  try {
    yield* session.list(path, { signal });
  } catch (error) {
    const { folder, last } = lastOf(path);
    const isPattern = PATTERN.test(last) && !PATTERN.test(folder);
    if (!isPattern || !(error instanceof LocalstreamError) || !NO_SUCH_NAME.has(error.code)) throw error;
    yield* remoteMatches(session, path, signal);
  }
}

/** As shells have it, a star stands for no leading dot. */
function hidden(name: string, pattern: string): boolean {
  return name.startsWith('.') && !pattern.startsWith('.');
}
