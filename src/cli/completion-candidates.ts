/** The things that there are to complete to: paths on both sides, peers, ports and numbers. */
import { readdir, stat } from 'node:fs/promises';
import { completePairingCode } from '../crypto/pairing-code.ts';
import { escapeText } from '../protocol/text.ts';
import { decodeName, fsPath } from '../transfer/name.ts';
import type { Completion } from './command.ts';
import { looksRemote } from './peer-address.ts';
import { typedName } from './reach.ts';
import { resolveRemote } from './remote-folder.ts';
import { commandsFor } from './table.ts';
import type { Workspace } from './workspace.ts';

/** One thing that a word can become. */
export interface Candidate {
  readonly text: string;
  readonly shown: string;
  /** Whether more of the word may follow, as after a folder. */
  readonly goesOn: boolean;
}

/** Entries of one folder that are looked at. */
const MOST_ENTRIES = 2000;
/** Milliseconds that a listing of the server is remembered, and that a new one is waited for. */
const FRESH = 5000;
const PATIENCE = 2000;

/** Everything of those kinds that a word may become; who asks keeps what begins as the word does. */
export async function candidatesFor(
  kinds: readonly Completion[],
  current: string,
  workspace: Workspace,
): Promise<Candidate[]> {
  const all: Candidate[] = [];
  for (const kind of kinds) all.push(...(await ofKind(kind, current, workspace)));
  return [...new Map(all.map((candidate) => [candidate.text, candidate])).values()];
}

async function ofKind(kind: Completion, current: string, workspace: Workspace): Promise<Candidate[]> {
  const { pending, jobs, opened } = workspace;
  if (typeof kind !== 'string') return kind.map(whole);
  if (kind === 'command') return commandsFor('shell').map(({ name }) => whole(name));
  if (kind === 'path' || kind === 'folder') return await localPaths(current, kind === 'folder');
  if (kind === 'remote') return await remotePaths(current, workspace);
  if (kind === 'port') {
    const own = (opened?.listeners ?? []).map(({ port }) => port);
    return [...own, ...workspace.serverPorts].map((port) => whole(String(port)));
  }
  if (kind === 'question') return pending.matters.map(({ number }) => whole(String(number)));
  if (kind === 'code')
    return completePairingCode(current).map((text) => ({ text, shown: text, goesOn: text.endsWith('-') }));
  if (kind === 'job') return jobs.running.map(({ number }) => whole(String(number)));
  if (kind === 'peer') return (await trustedNames(workspace)).map(whole);
  if (kind === 'host') return (await hostNames(workspace)).map(whole);
  return [];
}

async function trustedNames(workspace: Workspace): Promise<string[]> {
  const peers = await (await workspace.localstream()).trust.list();
  return peers.map(({ name }) => typedName(name)).filter((name) => name !== '');
}

/** Trusted peers, and whoever is found on the network. */
async function hostNames(workspace: Workspace): Promise<string[]> {
  const trusted = await trustedNames(workspace);
  const found = await workspace.neighbours.names(await workspace.localstream()).catch(() => []);
  return [...new Set([...trusted, ...found])];
}

function whole(text: string): Candidate {
  return { text, shown: text, goesOn: false };
}

/** The folder that a half typed path is in, and the beginning of a name in it. */
function splitPath(typed: string): { readonly folder: string; readonly start: string } {
  const slash = Math.max(typed.lastIndexOf('/'), process.platform === 'win32' ? typed.lastIndexOf('\\') : -1);
  return { folder: typed.slice(0, slash + 1), start: typed.slice(slash + 1) };
}

function entry(folder: string, name: string, isFolder: boolean): Candidate {
  const suffix = isFolder ? '/' : '';
  return { text: `${folder}${name}${suffix}`, shown: `${escapeText(name, 60)}${suffix}`, goesOn: isFolder };
}

/** Names with a leading dot are offered once the dot is typed. */
function isOffered(name: string, start: string): boolean {
  return name.startsWith(start) && (start !== '' || !name.startsWith('.'));
}

async function localPaths(current: string, foldersOnly: boolean): Promise<Candidate[]> {
  const { folder, start } = splitPath(current);
  const found: Candidate[] = [];
  const names = await readdir(fsPath(folder === '' ? '.' : folder), {
    withFileTypes: true,
    encoding: 'buffer',
  });
  for (const item of names) {
    const name = decodeName(item.name);
    if (!isOffered(name, start)) continue;
    const isFolder = item.isDirectory() || (item.isSymbolicLink() && (await isFolderAt(`${folder}${name}`)));
    if (isFolder || !foldersOnly) found.push(entry(folder, name, isFolder));
    if (found.length >= MOST_ENTRIES) break;
  }
  return found.sort((a, b) => (a.text < b.text ? -1 : 1));
}

async function isFolderAt(path: string): Promise<boolean> {
  const stats = await stat(fsPath(path)).catch(() => undefined);
  return stats?.isDirectory() ?? false;
}

type Listing = readonly { readonly name: string; readonly isFolder: boolean }[];
const listings = new WeakMap<object, Map<string, { readonly at: number; readonly entries: Listing }>>();

async function remotePaths(current: string, workspace: Workspace): Promise<Candidate[]> {
  const { session } = workspace;
  if (looksRemote(current)) return [];
  // Where no server is connected, a path begins with one.
  if (session === undefined) {
    if (current.includes('/')) return [];
    const names = await hostNames(workspace);
    return names.map((name) => ({ text: `${name}:/`, shown: `${name}:/`, goesOn: true }));
  }
  const { folder, start } = splitPath(current);
  const place = resolveRemote(workspace.folder, folder);
  const known = listings.get(session) ?? new Map();
  listings.set(session, known);
  let listing = known.get(place);
  if (listing === undefined || performance.now() - listing.at > FRESH) {
    const entries: { name: string; isFolder: boolean }[] = [];
    for await (const { name, type } of session.list(place, { signal: AbortSignal.timeout(PATIENCE) })) {
      entries.push({ name, isFolder: type === 'folder' || type === 'share' });
      if (entries.length >= MOST_ENTRIES) break;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    listing = { at: performance.now(), entries };
    known.set(place, listing);
  }
  const inRoot = folder === '' && workspace.folder === '/' ? '/' : folder;
  // From the list of shares paths are written whole, as they stand everywhere else.
  const prefix = current === '' ? inRoot : folder;
  return listing.entries
    .filter(({ name }: Listing[number]) => isOffered(name, start))
    .map(({ name, isFolder }: Listing[number]) => entry(prefix, name, isFolder));
}
