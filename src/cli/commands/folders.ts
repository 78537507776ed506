/** cd, pwd, lcd, lpwd, lls: where the shell stands, on the server and here. */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorOf, systemCode } from '../../errors.ts';
import type { Entry, Session } from '../../index.ts';
import { fsPath } from '../../transfer/name.ts';
import { defineCommand, optional, required } from '../command.ts';
import { jobCount } from '../jobs.ts';
import { peerName, shownName } from '../peer-text.ts';
import { normalFolder, resolveRemote } from '../remote-folder.ts';
import { path } from '../values.ts';
import { entryEvent, entryLine } from './list-dir.ts';

export const cd = defineCommand({
  name: 'cd',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'go to a folder of the server',
  notes: [
    'Remote paths that begin with no slash start there from then on. Without FOLDER it is the list of shares.',
  ],
  arguments: { folder: optional('/SHARE/..., or from where you are', path, 'remote') },
  options: {},
  examples: [{ line: 'cd /docs', does: 'lets ls and get a.pdf mean that folder' }],
  run: async ({ workspace, signal }, { arguments: { folder = '/' } }) => {
    const session = workspace.connected();
    const wanted = normalFolder(resolveRemote(workspace.folder, folder));
    await checkFolder(session, wanted, signal);
    if (workspace.session === session) workspace.folder = wanted;
  },
});

/** Throws what the server says of a folder that can't be listed, and NOT_FOUND for what is none. */
async function checkFolder(session: Session, folder: string, signal: AbortSignal): Promise<void> {
  if (folder === '/') return;
  const [share, ...inside] = folder.slice(1).split('/');
  if (inside.length > 0) {
    for await (const _ of session.list(`${folder}/`, { signal })) break;
    return;
  }
  // A share that only takes files can't be listed, and is a place to put them all the same.
  for await (const { name } of session.list('/', { signal })) if (name === share) return;
  throw errorOf('NOT_FOUND', `${shownName(folder)}: there is no such share`, { hint: 'ls / shows them' });
}

export const pwd = defineCommand({
  name: 'pwd',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'the folder of the server where you are',
  notes: [],
  arguments: {},
  options: {},
  examples: [{ line: 'pwd', does: 'shows what ls without a path lists' }],
  run: async ({ workspace, output }) => {
    const { peer } = workspace.connected();
    output.result(
      { event: 'folder', side: 'remote', path: workspace.folder },
      `${peerName(peer)}:${shownName(workspace.folder)}`,
    );
  },
});

export const lcd = defineCommand({
  name: 'lcd',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'go to a folder of this machine',
  notes: ['Not while jobs run, whose paths start from the folder where they were begun.'],
  arguments: { folder: required('the folder', path, 'folder') },
  options: {},
  examples: [{ line: 'lcd ~', does: 'lets get write into your own folder' }],
  run: async ({ workspace }, { arguments: { folder } }) => {
    const { running } = workspace.jobs;
    if (running.length > 0) {
      throw errorOf('BUSY', `${jobCount(running)} still running`, {
        hint: 'wait for them, or write whole paths',
      });
    }
    try {
      process.chdir(fsPath(folder).toString());
    } catch (error) {
      throw localError(folder, error);
    }
  },
});

export const lpwd = defineCommand({
  name: 'lpwd',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'the folder of this machine where you are',
  notes: [],
  arguments: {},
  options: {},
  examples: [{ line: 'lpwd', does: 'shows where get writes to' }],
  run: async ({ output }) => {
    const here = process.cwd();
    output.result({ event: 'folder', side: 'local', path: here }, shownName(here));
  },
});

export const lls = defineCommand({
  name: 'lls',
  aliases: [],
  group: 'reach',
  scope: 'shell',
  summary: 'list a folder of this machine',
  notes: ['In the columns of list_dir.'],
  arguments: { folder: optional('a folder or file; where you are unless given', path, 'path') },
  options: {},
  examples: [{ line: 'lls', does: 'shows what put can send' }],
  run: async ({ output, signal }, { arguments: { folder = '.' } }) => {
    for (const entry of await localEntries(folder)) {
      signal.throwIfAborted();
      output.result(entryEvent(entry), () => entryLine(entry, output.style.paint));
      await output.screen.ready();
    }
  },
});

async function localEntries(place: string): Promise<Entry[]> {
  try {
    const stats = await lstat(fsPath(resolve(place)));
    if (!stats.isDirectory() && !(stats.isSymbolicLink() && place.endsWith('/')))
      return [await localEntry(place, place)];
    const names = await readdir(fsPath(resolve(place)));
    return await Promise.all(names.toSorted().map((name) => localEntry(join(place, name), name)));
  } catch (error) {
    throw localError(place, error);
  }
}

async function localEntry(place: string, name: string): Promise<Entry> {
  const stats = await lstat(fsPath(place));
  const type = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'folder'
      : stats.isSymbolicLink()
        ? 'link'
        : 'other';
  const target = type === 'link' ? { target: await readlink(fsPath(place), 'utf8') } : {};
  return { name, type, size: stats.size, mtime: stats.mtime, mode: stats.mode & 0o7777, ...target };
}

function localError(place: string, error: unknown): Error {
  const code = systemCode(error);
  if (code === 'ENOENT')
    return errorOf('NOT_FOUND', `${shownName(place)}: there is no such folder here`, {
      hint: 'check the path',
      cause: error,
    });
  if (code === 'ENOTDIR')
    return errorOf('NOT_A_FOLDER', `${shownName(place)}: it is no folder, or leads through a file`, {
      hint: 'check the path',
      cause: error,
    });
  if (code === 'EACCES' || code === 'EPERM')
    return errorOf('UNREADABLE', `${shownName(place)}: this user may not go there`, {
      hint: 'ask who owns it',
      cause: error,
    });
  return errorOf('IO', `${shownName(place)}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
