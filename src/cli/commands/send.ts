/** send, receive: files for one person, by a code that is told to them. */
import { stat } from 'node:fs/promises';
import { errorOf, type LocalstreamError } from '../../errors.ts';
import type { Listener, OpenCode } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { fsPath } from '../../transfer/name.ts';
import { tellsItself } from '../announce.ts';
import { dialCode } from '../code-place.ts';
import { CODE_NOTE, codeFor, looksLikeCode } from '../code-question.ts';
import { defineCommand, option, optional, several } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { EXISTING_NOTE, type MoveInput, moveOptions, RECEIVE_OPTIONS, SOURCE_OPTIONS } from '../move.ts';
import { expandLocal } from '../operands.ts';
import { parsePeer } from '../peer-address.ts';
import type { ProgressReporter } from '../progress-meters.ts';
import { printReceipt } from '../receipt-text.ts';
import { plural, UNITS_NOTE } from '../units.ts';
import { parseCodes, path } from '../values.ts';
import { CODE_OPTIONS, openCodes, untilUsed } from './codes.ts';
import { consent } from './receive-file.ts';

export const send = defineCommand({
  name: 'send',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'send files and folders to whoever you tell a code',
  notes: [
    'Prints a code, which is good for ten minutes and for one try: a wrong guess burns it, and both sides are told. ' +
      'The other side is shown what is offered, and nobody becomes trusted.',
    UNITS_NOTE,
  ],
  arguments: { paths: several('what is sent, patterns too', path, 'path') },
  options: {
    codes: option('N', 'so many codes for so many people, 1 unless given', parseCodes),
    ...CODE_OPTIONS,
    ...SOURCE_OPTIONS,
  },
  examples: [
    { line: 'send report.pdf', does: 'prints what the other person has to run' },
    { line: 'send photos --codes 3', does: 'sends a folder to three people' },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    const local = await expandLocal(paths);
    // What is not there is told before anybody is given a code.
    const { namedRoots } = await import('../../transfer/source.ts');
    namedRoots(local);
    const count = options.codes ?? 1;
    await using listener = await openCodes(context, 'send', count, options);
    using progress = context.progress();
    const sending = listener.codes.map((code) => sendBy(context, listener, code, local, options, progress));
    const results = await Promise.allSettled(sending);
    progress[Symbol.dispose]();
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [toLocalstreamError(result.reason)] : [],
    );
    if (failures.length > 0) throw summary(failures, count, context.signal);
  },
});

async function sendBy(
  context: Context,
  listener: Listener,
  code: OpenCode,
  sources: readonly string[],
  options: MoveInput,
  progress: ProgressReporter,
): Promise<void> {
  const { output, signal } = context;
  try {
    const peer = await untilUsed(code, signal);
    const receipt = await listener.send(peer.id, sources, {
      ...transferOptions(context, progress),
      ...moveOptions(options),
      onTransfer: tellsItself,
    });
    printReceipt(output, receipt);
  } catch (error) {
    const failure = toLocalstreamError(error);
    if (listener.codes.length > 1 && !signal.aborted)
      output.note(`code ${code.nameplate}: ${failure.message}`);
    throw failure;
  }
}

function summary(
  failures: readonly LocalstreamError[],
  count: number,
  signal: AbortSignal,
): LocalstreamError {
  const [first = errorOf('INTERNAL')] = failures;
  const isSame = failures.every(({ code }) => code === first.code);
  if (signal.aborted || (failures.length === count && isSame)) return first;
  return errorOf('PARTIAL', `sent by ${count - failures.length} of ${plural(count, 'code')}`, {
    cause: first,
  });
}

export const receive = defineCommand({
  name: 'receive',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'take what somebody sends by a code',
  notes: [
    'A first word that looks like a code is one; a folder of such a name is written ./NAME. What is offered is asked about ' +
      'in a terminal; where nobody can be asked it is refused, unless --yes is given.',
    CODE_NOTE,
    EXISTING_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    code: optional('what the other machine shows', path),
    folder: optional('where it goes, this folder unless given', path, 'folder'),
  },
  options: {
    from: option('HOST:PORT', 'where the code is open, if it is not found', parsePeer, 'peer'),
    ...RECEIVE_OPTIONS,
  },
  examples: [
    { line: 'receive 7-nebula-duffel', does: 'takes it into this folder' },
    { line: 'receive 7-nebula-duffel in/ --yes', does: 'takes it without a question' },
  ],
  run: async (context, { arguments: words, options }) => {
    const isCode = words.code !== undefined && looksLikeCode(words.code);
    if (!isCode && words.folder !== undefined)
      throw errorOf('USAGE', 'the first word is not a pairing code', {
        hint: 'it looks like 7-nebula-duffel',
      });
    const folder = (isCode ? words.folder : words.code) ?? '.';
    await requireFolder(folder);
    const code = await codeFor(context, isCode ? words.code : undefined);
    await using session = await dialCode(context, { code, purpose: 'send' }, options.from);
    const offer = await session.nextOffer({ signal: context.signal });
    const isAttended = await consent(context, offer);
    using progress = context.progress();
    const receipt = await offer.accept(folder.endsWith('/') ? folder : `${folder}/`, {
      ...transferOptions(context, progress),
      ...moveOptions(options),
      unattended: !isAttended,
    });
    progress[Symbol.dispose]();
    printReceipt(context.output, receipt);
  },
});

/** A code is good once: what is wrong with the folder has to show before it is used. */
async function requireFolder(folder: string): Promise<void> {
  const found = await stat(fsPath(folder)).catch(() => undefined);
  if (found === undefined)
    throw errorOf('NOT_FOUND', `there is no folder '${escapeText(folder)}'`, { hint: 'make it first' });
  if (!found.isDirectory()) throw errorOf('NOT_A_FOLDER', `'${escapeText(folder)}' is not a folder`);
}
