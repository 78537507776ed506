/** seal, open: files that only some peers can read, wherever they are kept. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorOf, systemCode } from '../../errors.ts';
import { escapeText } from '../../protocol/text.ts';
import { checkName } from '../../transfer/name.ts';
import { fileError } from '../../transfer/system-error.ts';
import { defineCommand, flag, list, option, required } from '../command.ts';
import type { Context } from '../context.ts';
import { writeNewFile } from '../new-file.ts';
import { shownName } from '../peer-text.ts';
import { path, text } from '../values.ts';
import { findReaders } from './peers.ts';

const STREAM = '-';
const SUFFIX = '.sealed';
const READ_BYTES = 1024 * 1024;
/** Of a seal: what is in it is secret, it itself is not. */
const SEAL_MODE = 0o644;

export const seal = defineCommand({
  name: 'seal',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'encrypt a file for trusted peers, signed by this machine',
  notes: [
    'The readers must have been connected once since they were trusted: their encryption key is known from then on. Their ' +
      'fingerprints can be seen in the sealed file, its name and content cannot.',
    'Outside the shell "-" is standard input, and as --output standard output.',
  ],
  arguments: { file: required('what is sealed', path, 'path') },
  options: {
    for: list('PEER[,PEER]', 'who can open it; may be given again', text, 'peer'),
    output: option('FILE', `where it goes, FILE${SUFFIX} unless given`, path, 'path'),
    name: option('NAME', 'the name within, where standard input is sealed', text),
  },
  examples: [{ line: 'seal report.pdf --for alice,bob', does: `writes report.pdf${SUFFIX}` }],
  run: async (context, { arguments: { file }, options }) => {
    const localstream = await context.workspace.localstream();
    const readers = await findReaders(localstream, options.for);
    if (readers.length === 0)
      throw errorOf('USAGE', 'nobody is named who can open it', { hint: 'add --for PEER' });
    const { source, metadata } = await sourceOf(context, file, options.name);
    const target = options.output ?? (file === STREAM ? STREAM : `${file}${SUFFIX}`);
    const sealed = await localstream.seal(source, readers, metadata);
    await write(context, target, sealed, { mode: SEAL_MODE });
    told(context, 'sealed', target, localstream.fingerprint);
  },
});

export const open = defineCommand({
  name: 'open',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'decrypt a sealed file, checked to its end',
  notes: [
    'It gets the name, time and mode that it was sealed with, and only when its last byte has been checked. On standard ' +
      'output everything is to be thrown away where the status is not 0.',
    'Outside the shell "-" is standard input, and as --output standard output.',
  ],
  arguments: { file: required('the sealed file', path, 'path') },
  options: {
    output: option(
      'FILE|DIR',
      'where it goes; its own name in this folder, or in DIR, unless given',
      path,
      'path',
    ),
    fromAnyone: flag('open what was sealed by somebody whose key is not trusted'),
  },
  examples: [{ line: `open report.pdf${SUFFIX}`, does: 'writes report.pdf into this folder' }],
  run: async (context, { arguments: { file }, options: { output, fromAnyone } }) => {
    const localstream = await context.workspace.localstream();
    const { source } = await sourceOf(context, file, undefined);
    const { metadata, sealer, data } = await localstream.openSeal(source, { fromAnyone });
    const target = await openedTarget(output ?? '.', metadata.name);
    await write(context, target, data, { mode: metadata.mode, mtime: metadata.mtime });
    told(context, 'opened', target, sealer);
  },
});

/** Into a folder it goes under its own name, as a file that is fetched does. */
async function openedTarget(output: string, name: string): Promise<string> {
  if (output === STREAM) return output;
  const found = await stat(output).catch(() => undefined);
  return found?.isDirectory() || output.endsWith('/') ? join(output, checkName(name)) : output;
}

function told({ output }: Context, event: 'sealed' | 'opened', target: string, sealer: string): void {
  const by = event === 'opened' ? `, sealed by ${sealer}` : '';
  const out = target === STREAM ? output.aside() : output;
  out.result({ event, path: target, sealer }, `${event}: ${escapeText(target, 1000)}${by}`);
}

async function sourceOf(context: Context, file: string, name: string | undefined) {
  const { signal } = context;
  if (file === STREAM) {
    requireStreams(context);
    const metadata = { name: name ?? 'stdin', mtime: Date.now(), mode: 0o600 };
    return { source: stoppable(process.stdin, signal), metadata };
  }
  const found = await stat(file).catch((cause: unknown) => {
    if (systemCode(cause) !== 'ENOENT') throw fileError(cause, 'read', file);
    throw errorOf('NOT_FOUND', `${shownName(file)}: there is no such file here`, {
      hint: 'check the path',
      cause,
    });
  });
  if (!found.isFile())
    throw errorOf('NOT_A_FILE', `'${escapeText(file)}' is no file`, { hint: 'use tar first' });
  const source = stoppable(createReadStream(file, { highWaterMark: READ_BYTES }), signal);
  const metadata = {
    name: name ?? basename(file),
    mtime: Math.trunc(found.mtimeMs),
    mode: found.mode & 0o777,
  };
  return { source, metadata };
}

async function* stoppable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    signal.throwIfAborted();
    yield chunk;
  }
}

async function write(
  context: Context,
  target: string,
  source: AsyncIterable<Uint8Array>,
  marks: { readonly mode: number; readonly mtime?: number },
): Promise<void> {
  if (target !== STREAM) {
    await writeNewFile(target, source, marks);
    return;
  }
  requireStreams(context);
  for await (const chunk of source) if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
}

function requireStreams({ shell }: Context): void {
  if (shell !== undefined)
    throw errorOf('USAGE', '"-" is for use outside the shell', { hint: 'name a file' });
}
