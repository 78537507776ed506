/** send, receive: files for one person, by a code that is told to them. */
import { resolve } from 'node:path';
import { errorOf } from '../../errors.ts';
import type { Listener, OpenCode, Source } from '../../index.ts';
import { STREAM_PATH } from '../../transfer/name.ts';
import { tellsItself } from '../announce.ts';
import { dialCode } from '../code-place.ts';
import { CODE_NOTE, codeFor, looksLikeCode } from '../code-question.ts';
import { anyNumber, defineCommand, flag, list, option, optional } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import {
  EXISTING_NOTE,
  type MoveInput,
  moveOptions,
  RECEIVE_OPTIONS,
  SOURCE_OPTIONS,
  TEXT_NOTE,
  TEXT_OPTIONS,
} from '../move.ts';
import { sourcesOf } from '../operands.ts';
import { parsePeer } from '../peer-address.ts';
import type { ProgressReporter } from '../progress-meters.ts';
import { printReceipt, RECEIVERS_HINT } from '../receipt-text.ts';
import { plural, UNITS_NOTE } from '../units.ts';
import { parseCodes, path } from '../values.ts';
import { CODE_OPTIONS, type CodePlace, openCodes, untilUsed } from './codes.ts';
import { AUTO_NOTE, AUTO_OPTIONS, type AutoInput, receiveAuto, requireFolder } from './receive-auto.ts';
import { consent, requireConsent, showText } from './receive-file.ts';
import { sendToPeers, TO_NOTE, TO_OPTIONS, type ToInput, throwFailures } from './send-to.ts';

export const send = defineCommand({
  name: 'send',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'send files and folders to whoever you tell a code, or to a peer',
  notes: [
    'Prints a code, which is good for ten minutes and for one try: a wrong guess burns it, and both sides are told. ' +
      'The other side is shown what is offered, and nobody becomes trusted.',
    TO_NOTE,
    TEXT_NOTE,
    UNITS_NOTE,
  ],
  arguments: { paths: anyNumber('what is sent, patterns too', path, 'path') },
  options: {
    to: list(
      'PEER',
      'offer it to this peer, no code: a name or HOST[:PORT]; may be given again',
      parsePeer,
      'peer',
    ),
    codes: option('N', 'so many codes for so many people, 1 unless given', parseCodes),
    ...CODE_OPTIONS,
    ...TEXT_OPTIONS,
    ...SOURCE_OPTIONS,
    ...TO_OPTIONS,
  },
  examples: [
    { line: 'send report.pdf', does: 'prints what the other person has to run' },
    { line: 'send photos --codes 3', does: 'sends a folder to three people' },
    { line: "send --text 'the door code is 4711'", does: 'shows a text to whoever has the code' },
    {
      line: 'send photos --to anna --to bob',
      does: 'offers a folder to two peers, whose operators are asked',
    },
  ],
  run: async (context, { arguments: { paths }, options }) => {
    const local = await sourcesOf(context, paths, options.text);
    // What is not there is told before anybody is given a code, or asked.
    const { namedRoots } = await import('../../transfer/source.ts');
    namedRoots(local);
    if (chosenWay(options) === 'to') await sendToPeers(context, local, options);
    else await sendByCodes(context, local, options);
  },
});

/** Whether peers are named or codes told. Throws USAGE for options of both. */
function chosenWay(options: CodeInput & ToInput): 'to' | 'code' {
  const { to, codes, port, host, hidden, fingerprint, user, passwordStdin } = options;
  const isNamed = to.length > 0;
  const foreign = Object.entries(
    isNamed
      ? { '--codes': codes, '--port': port, '--host': host, '--hidden': hidden || undefined }
      : { '--fingerprint': fingerprint, '--user': user, '--password-stdin': passwordStdin || undefined },
  ).find(([, value]) => value !== undefined);
  if (foreign !== undefined)
    throw errorOf('USAGE', `${foreign[0]} is of no use ${isNamed ? 'with' : 'without'} --to`, {
      hint: isNamed ? 'leave one of them out' : 'name the peer',
    });
  return isNamed ? 'to' : 'code';
}

type CodeInput = MoveInput & CodePlace & { readonly codes: number | undefined };

async function sendByCodes(context: Context, sources: readonly Source[], options: CodeInput): Promise<void> {
  const count = options.codes ?? 1;
  await using listener = await openCodes(context, 'send', count, options);
  using progress = context.progress();
  const group = count > 1 ? (await context.workspace.localstream()).newGroup() : undefined;
  const sending = listener.codes.map((code) =>
    sendBy(context, listener, code, sources, { ...options, group }, progress),
  );
  const results = await Promise.allSettled(sending);
  progress[Symbol.dispose]();
  throwFailures(results, context.signal, (done) => `sent by ${done} of ${plural(count, 'code')}`);
}

async function sendBy(
  context: Context,
  listener: Listener,
  code: OpenCode,
  sources: readonly Source[],
  { group, ...options }: MoveInput & { readonly group: number | undefined },
  progress: ProgressReporter,
): Promise<void> {
  const { output, signal } = context;
  try {
    const peer = await untilUsed(code, signal);
    const receipt = await listener.send(peer.id, sources, {
      ...transferOptions(context, progress),
      ...moveOptions(options),
      ...(group === undefined ? {} : { group }),
      onTransfer: tellsItself,
    });
    printReceipt(output, receipt, RECEIVERS_HINT);
  } catch (error) {
    const failure = toLocalstreamError(error);
    if (listener.codes.length > 1 && !signal.aborted)
      output.note(`code ${code.nameplate}: ${failure.message}`);
    throw failure;
  }
}

export const receive = defineCommand({
  name: 'receive',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'take what somebody sends by a code',
  notes: [
    'A first word that looks like a code is one; a folder of such a name is written ./NAME. What is offered is asked about ' +
      'in a terminal; where nobody can be asked --yes must be given, or the code is not used.',
    CODE_NOTE,
    AUTO_NOTE,
    EXISTING_NOTE,
    UNITS_NOTE,
  ],
  arguments: {
    code: optional('what the other machine shows', path, 'code'),
    folder: optional('where it goes, this folder unless given', path, 'folder'),
  },
  options: {
    from: option('HOST:PORT', 'where the code is open, if it is not found', parsePeer, 'host'),
    auto: flag('no code: accept what trusted peers send to a listener here, until it is stopped'),
    ...AUTO_OPTIONS,
    ...RECEIVE_OPTIONS,
  },
  examples: [
    { line: 'receive 7-nebula-duffel', does: 'takes it into this folder' },
    { line: 'receive 7-nebula-duffel in/ --yes', does: 'takes it without a question' },
    { line: 'receive --auto in/ --count 1', does: 'waits for one offer of a trusted peer' },
  ],
  run: async (context, { arguments: words, options }) => {
    if (options.auto) return await receiveAuto(context, words, options);
    requireNoAuto(options);
    const isCode = words.code !== undefined && looksLikeCode(words.code);
    if (!isCode && words.folder !== undefined)
      throw errorOf('USAGE', 'the first word is not a pairing code', {
        hint: 'it looks like 7-nebula-duffel',
      });
    const folder = (isCode ? words.folder : words.code) ?? '.';
    if (folder === STREAM_PATH)
      throw errorOf('USAGE', 'what comes by a code goes into a folder, not to standard output', {
        hint: 'name a folder; one called - is written ./-',
      });
    // A code is good once: what is wrong with the folder has to show before it is used.
    await requireFolder(folder);
    const code = await codeFor(context, isCode ? words.code : undefined);
    requireConsent(context);
    await using session = await dialCode(context, { code, purpose: 'send' }, options.from);
    const offer = await session.nextOffer({ signal: context.signal });
    const isAttended = await consent(context, offer, resolve(folder));
    if (offer.text) return await showText(context, offer);
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

function requireNoAuto(options: AutoInput): void {
  const given = Object.keys(AUTO_OPTIONS).find((name) => options[name as keyof AutoInput]);
  if (given !== undefined)
    throw errorOf('USAGE', `--${given} is of use with --auto only`, { hint: 'add --auto, or leave it out' });
}
