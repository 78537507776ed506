/** get, put: files from and to the shares of a server. */
import { stat } from 'node:fs/promises';
import { errorOf, systemCode } from '../../errors.ts';
import type { Session } from '../../index.ts';
import { fsPath } from '../../transfer/name.ts';
import { defineCommand, flag, option, optional, required } from '../command.ts';
import { transferOptions } from '../context.ts';
import { looksRemote, parsePeer } from '../peer-address.ts';
import { shownName } from '../peer-text.ts';
import { printReceipt } from '../receipt-text.ts';
import { UNITS_NOTE } from '../units.ts';
import { CHUNK_SUMMARY, parseChunk, path } from '../values.ts';
import { placeOf, REACH_OPTIONS, TRUST_NOTE, withSession } from './reaching.ts';

const TARGET_NOTE =
  'A file goes into a target that is a folder or ends in "/"; otherwise the target is its name. An existing target is ' +
  'left alone and the status is 5, unless --overwrite is given.';
const LOCAL_NOTE =
  'The local side is never taken for a peer, whatever it holds: put a:b nas:/in/ sends the file a:b.';

/** How files are moved. */
export const MOVE_OPTIONS = {
  overwrite: flag('replace targets that exist'),
  chunk: option('BYTES', CHUNK_SUMMARY, parseChunk),
} as const;

/** The same for the library. */
export function moveOptions({
  overwrite,
  chunk,
}: {
  readonly overwrite: boolean;
  readonly chunk: number | undefined;
}) {
  return {
    ...(overwrite ? { existing: 'overwrite' as const } : {}),
    ...(chunk === undefined ? {} : { chunk }),
  };
}

export const get = defineCommand({
  name: 'get',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'fetch a file from a server',
  notes: [TARGET_NOTE, LOCAL_NOTE, TRUST_NOTE, UNITS_NOTE],
  arguments: {
    remote: required('/SHARE/PATH or PEER:/SHARE/PATH', path, 'remote'),
    local: optional('where it goes; this folder unless given', path, 'path'),
  },
  options: { from: option('PEER', 'the server', parsePeer, 'peer'), ...MOVE_OPTIONS, ...REACH_OPTIONS },
  examples: [
    { line: 'get nas:/docs/a.pdf .', does: 'fetches a file into this folder' },
    { line: 'get /docs/a.pdf b.pdf --from nas', does: 'fetches it under another name' },
  ],
  run: async (context, { arguments: { remote, local }, options }) => {
    const place = placeOf(context, remote, options.from);
    await withSession(context, place.peer, options, async (session) => {
      using progress = context.progress();
      const receipt = await session.get([place.path], local ?? '.', {
        ...transferOptions(context, progress),
        ...moveOptions(options),
      });
      progress[Symbol.dispose]();
      printReceipt(context.output, receipt);
    });
  },
});

export const put = defineCommand({
  name: 'put',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'send a file to a share of a server',
  notes: [
    TARGET_NOTE,
    'Without a target it goes to the one share that takes files, where there is only one.',
    LOCAL_NOTE,
    TRUST_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    local: required('what is sent', path, 'path'),
    remote: optional('/SHARE/PATH or PEER:/SHARE/PATH', path, 'remote'),
  },
  options: { to: option('PEER', 'the server', parsePeer, 'peer'), ...MOVE_OPTIONS, ...REACH_OPTIONS },
  examples: [
    { line: 'put a.pdf nas:/docs/', does: 'sends a file into a folder' },
    { line: 'put a.pdf /docs/b.pdf --to nas', does: 'sends it under another name' },
  ],
  run: async (context, { arguments: { local, remote }, options }) => {
    if (context.shell === undefined && remote === undefined && options.to === undefined) {
      throw errorOf('USAGE', 'no peer is named', { hint: 'write put LOCAL PEER:/SHARE/, or add --to PEER' });
    }
    const place = placeOf(context, remote, options.to);
    await checkSource(local);
    await withSession(context, place.peer, options, async (session) => {
      const target = place.path === '/' ? await onlyWritableShare(session, context.signal) : place.path;
      using progress = context.progress();
      const receipt = await session.put([local], target, {
        ...transferOptions(context, progress),
        ...moveOptions(options),
      });
      progress[Symbol.dispose]();
      printReceipt(context.output, receipt);
    });
  },
});

/** A source that is not there is told before a connection is made, and a swapped pair of arguments as what it is. */
async function checkSource(local: string): Promise<void> {
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
