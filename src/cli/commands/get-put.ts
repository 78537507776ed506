/** get, put: files and folders from and to the shares of a server. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorOf, systemCode } from '../../errors.ts';
import type { Fingerprint, Planned, Session, Source } from '../../index.ts';
import { formatBytes } from '../../protocol/size-text.ts';
import { fsPath, STREAM_PATH } from '../../transfer/name.ts';
import { anyNumber, defineCommand, flag, list, option, several } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import {
  EXISTING_NOTE,
  type MoveInput,
  moveAndAsk,
  moveOptions,
  RECEIVE_OPTIONS,
  SOURCE_OPTIONS,
  TARGET_OPTIONS,
  TEXT_OPTIONS,
  TREE_NOTE,
} from '../move.ts';
import { fetchedPaths, sourcesOf, splitOperands } from '../operands.ts';
import { looksRemote, type PeerAddress, parsePeer } from '../peer-address.ts';
import { shownName } from '../peer-text.ts';
import { UNITS_NOTE } from '../units.ts';
import { path, text } from '../values.ts';
import { onePeer, placeOf, REACH_OPTIONS, type Reach, TRUST_NOTE, withSession } from './reaching.ts';

const TARGET_NOTE =
  'A file goes into a target that is a folder or ends in "/"; otherwise the target is its name.';
const LOCAL_NOTE =
  'The local side is never taken for a peer, whatever it holds: put a:b nas:/in/ sends the file a:b.';

const OPEN_NOTE =
  'A file that ends in .sealed and is sealed for this machine is opened when it has arrived: it gets the name, time and mode ' +
  'from within, or the name that is given here, and the sealed file goes. What has been changed since it was sealed is ' +
  'removed, and the status is 6. What is sealed for others stays as it is.';
const SEAL_NOTE =
  'With --seal-for each file is sealed before it leaves and kept as NAME.sealed; the server can neither read nor replace what ' +
  'is in it. It sees names, folders, sizes, times, where links point, and the fingerprints of the readers.';

const GET_OPTIONS = {
  from: option('PEER', 'the server', parsePeer, 'host'),
  ...RECEIVE_OPTIONS,
  keepSealed: flag('leave sealed files as they are at the server'),
  fromAnyone: flag('open what was sealed by somebody whose key is not trusted'),
  ...REACH_OPTIONS,
} as const;
const PUT_OPTIONS = {
  to: option('PEER', 'the server', parsePeer, 'host'),
  sealFor: list('PEER[,PEER]', 'encrypt files so that only these trusted peers can read them', text, 'peer'),
  ...SOURCE_OPTIONS,
  ...TARGET_OPTIONS,
  ...REACH_OPTIONS,
} as const;

export const get = defineCommand({
  name: 'get',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'fetch files and folders from a server',
  notes: [TARGET_NOTE, TREE_NOTE, EXISTING_NOTE, OPEN_NOTE, LOCAL_NOTE, TRUST_NOTE, UNITS_NOTE],
  arguments: {
    paths: several(
      'what is fetched, /SHARE/PATH or PEER:/SHARE/PATH, patterns too; of several the last is the local target',
      path,
      'remote',
    ),
  },
  options: GET_OPTIONS,
  examples: [
    { line: 'get nas:/docs/a.pdf .', does: 'fetches a file into this folder' },
    { line: 'get nas:/docs ./', does: 'fetches a folder into this one' },
    { line: 'get /docs/a.pdf b.pdf --from nas', does: 'fetches a file under another name' },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    const { sources, target = '.' } = splitOperands(paths);
    await fetchPaths(context, sources, target, options);
  },
});

export const mget = defineCommand({
  name: 'mget',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'fetch several files and folders into the folder where you are',
  notes: ['As get, but all operands are sources.', TREE_NOTE, EXISTING_NOTE, TRUST_NOTE],
  arguments: {
    paths: several('what is fetched, /SHARE/PATH or PEER:/SHARE/PATH, patterns too', path, 'remote'),
  },
  options: GET_OPTIONS,
  examples: [{ line: "mget '/docs/*.pdf' /docs/a.txt --from nas", does: 'fetches what matches, and a.txt' }],
  run: async (context, { arguments: { paths }, options }) =>
    // A folder goes into this one then, as files do.
    await fetchPaths(context, paths, './', options),
});

/** What the options of get and of put were given as. */
type GetInput = MoveInput &
  Reach & {
    readonly from: PeerAddress | undefined;
    readonly keepSealed: boolean;
    readonly fromAnyone: boolean;
  };
type PutInput = MoveInput &
  Reach & { readonly to: PeerAddress | undefined; readonly sealFor: readonly string[] };

async function fetchPaths(
  context: Context,
  sources: readonly string[],
  target: string,
  options: GetInput,
): Promise<void> {
  const places = sources.map((source) => placeOf(context, source, options.from));
  // The receipt would stand among the bytes.
  const output = target === STREAM_PATH ? context.output.aside() : context.output;
  await withSession(context, onePeer(places), options, async (session) => {
    const remote = await fetchedPaths(
      { ...context, output },
      session,
      places.map((place) => place.path),
    );
    let planned: Planned | undefined;
    await moveAndAsk({ ...context, output }, options, async (again) => {
      using progress = context.progress();
      const receipt = await session.get(remote, target, {
        ...transferOptions(context, progress),
        ...moveOptions(options),
        keepSealed: options.keepSealed,
        fromAnyone: options.fromAnyone,
        ...again,
      });
      planned = receipt.planned;
      return receipt;
    });
    if (planned && target !== STREAM_PATH) await noteRoom({ ...context, output }, planned, target);
  });
}

/** Says so where what a dry run would write does not fit; where a transfer goes on, a part of it is there already. */
async function noteRoom({ output, workspace }: Context, { bytes }: Planned, target: string): Promise<void> {
  const { freeBytes } = await import('../../doctor/disk.ts');
  const { freeSpaceReserve } = (await workspace.localstream()).settings;
  const left = Math.max(0, (await freeBytes(resolve(target))) - freeSpaceReserve);
  if (bytes > left)
    output.note(
      `there is too little room for ${formatBytes(bytes)}: ${formatBytes(left)} are left above freeSpaceReserve`,
    );
}

export const put = defineCommand({
  name: 'put',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'send files and folders to a share of a server',
  notes: [
    TARGET_NOTE,
    TREE_NOTE,
    EXISTING_NOTE,
    SEAL_NOTE,
    'With --text that is what the file holds; it is called text.txt unless the target is a name.',
    'Without a target it goes to the one share that takes files, where there is only one. A source of - is standard input.',
    LOCAL_NOTE,
    TRUST_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    paths: anyNumber(
      'what is sent, patterns too; of several the last is /SHARE/PATH or PEER:/SHARE/PATH',
      path,
      'path',
    ),
  },
  options: { ...TEXT_OPTIONS, ...PUT_OPTIONS },
  examples: [
    { line: 'put a.pdf nas:/docs/', does: 'sends a file into a folder' },
    { line: 'put photos nas:/backup/', does: 'sends a folder, or what has changed in it since' },
    { line: 'put a.pdf /docs/b.pdf --to nas', does: 'sends a file under another name' },
    { line: "put --text 'back on monday' nas:/docs/note.txt", does: 'writes a text into a file' },
    {
      line: 'put plans nas:/backup/ --seal-for alice',
      does: 'sends a folder that only alice can read there',
    },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    if (options.text !== undefined && paths.length < 2) {
      await sendSources(context, [{ text: options.text }], paths[0], options);
      return;
    }
    const { sources, target } = splitOperands(paths);
    await sendSources(context, await sourcesOf(context, sources, options.text), target, options);
  },
});

export const mput = defineCommand({
  name: 'mput',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'send several files and folders to the folder of the server where you are',
  notes: [
    'As put, but all operands are sources. Where you are nowhere yet, it is the one share that takes files.',
    TREE_NOTE,
    EXISTING_NOTE,
    TRUST_NOTE,
  ],
  arguments: { paths: several('what is sent, patterns too', path, 'path') },
  options: PUT_OPTIONS,
  examples: [{ line: "mput '*.pdf' notes.txt --to nas", does: 'sends what matches, and notes.txt' }],
  run: async (context, { arguments: { paths }, options }) =>
    await sendSources(context, await sourcesOf(context, paths, undefined), undefined, options),
});

/** @param typed undefined for where the shell stands. */
async function sendSources(
  context: Context,
  local: readonly Source[],
  typed: string | undefined,
  options: PutInput,
): Promise<void> {
  if (context.shell === undefined && typed === undefined && options.to === undefined) {
    throw errorOf('USAGE', 'no peer is named', { hint: 'write put LOCAL PEER:/SHARE/, or add --to PEER' });
  }
  if (options.passwordStdin && local.includes(STREAM_PATH)) {
    throw errorOf('USAGE', 'standard input can hold the password or the file, not both', {
      hint: 'name a file in LOCALSTREAM_PASSWORD_FILE',
    });
  }
  const place = placeOf(context, typed, options.to);
  for (const source of local) await checkSource(source);
  const sealFor = await readersFor(context, options.sealFor);
  await withSession(context, place.peer, options, async (session) => {
    const target = place.path === '/' ? await onlyWritableShare(session, context.signal) : place.path;
    await moveAndAsk(context, options, async (again) => {
      using progress = context.progress();
      return await session.put(local, target, {
        ...transferOptions(context, progress),
        ...moveOptions(options),
        ...(sealFor && { sealFor }),
        ...again,
      });
    });
  });
}

/** For whom a put seals; undefined where it does not. Known before a connection is made. */
async function readersFor(
  { workspace }: Context,
  named: readonly string[],
): Promise<readonly Fingerprint[] | undefined> {
  if (named.length === 0) return undefined;
  const { findReaders } = await import('./peers.ts');
  const readers = await findReaders(await workspace.localstream(), named);
  if (readers.length > 0) return readers;
  throw errorOf('USAGE', 'nobody is named who can open it', { hint: 'write --seal-for PEER' });
}

/** A source that is not there is told before a connection is made, and a swapped pair of arguments as what it is. */
async function checkSource(local: Source): Promise<void> {
  if (typeof local !== 'string' || local === STREAM_PATH) return;
  try {
    await stat(fsPath(local));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') return; // Whatever else is wrong with it the transfer says better.
    const hint = looksRemote(local)
      ? 'put sends what is here; get fetches what is on a peer'
      : 'check the path';
    throw errorOf('NOT_FOUND', `${shownName(local)}: there is no such file here`, { hint, cause: error });
  }
}

async function onlyWritableShare(session: Session, signal: AbortSignal): Promise<string> {
  const writable: string[] = [];
  for await (const entry of session.list('/', { signal })) {
    if (entry.shareMode === 'rw' || entry.shareMode === 'wo') writable.push(`/${entry.name}/`);
  }
  const [first, second] = writable;
  if (first === undefined) {
    throw errorOf('NOT_ALLOWED', 'none of the shares takes files', {
      hint: 'list_dir / shows what they allow',
    });
  }
  if (second === undefined) return first;
  throw errorOf('USAGE', `${writable.length} shares take files, and none is named`, {
    hint: `name one: ${writable.slice(0, 5).map(shownName).join(', ')}`,
  });
}
