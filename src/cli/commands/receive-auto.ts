/** receive --auto: a listener in the foreground that accepts what trusted peers send, for scripts. */
import { stat } from 'node:fs/promises';
import { errorOf } from '../../errors.ts';
import type { Listener, Offer, Receipt } from '../../index.ts';
import { escapeText } from '../../protocol/text.ts';
import { fsPath } from '../../transfer/name.ts';
import { announceFailure, tellsItself } from '../announce.ts';
import { flag, kebabCase, option } from '../command.ts';
import type { Context } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { RECEIVE_OPTIONS } from '../move.ts';
import { parseBindHost, parsePort } from '../peer-address.ts';
import { printReceipt, receiptEvent, receiptLine } from '../receipt-text.ts';
import { textEvent, textFor } from '../received-text.ts';
import { plural } from '../units.ts';
import { parseCount, parseMax } from '../values.ts';
import { openListener } from './serving.ts';

/** What goes with --auto alone. */
export const AUTO_OPTIONS = {
  count: option('N', 'with --auto: end after so many offers have arrived', parseCount),
  port: option('P', 'with --auto: the port; the setting port unless given', parsePort, 'port'),
  host: option('H', 'with --auto: the address to listen on; all unless given', parseBindHost),
  max: option('N', 'with --auto: peers at once; 10 unless given', parseMax),
  hidden: flag('with --auto: do not make it known on the network'),
} as const;

/** Told with it. */
export const AUTO_NOTE =
  'With --auto there is no code and no question: a listener accepts what peers with a trusted key offer (send --to), puts it into the ' +
  'folder, renames what is taken, and turns everybody else away. It ends with status 0 on SIGTERM or Ctrl-C, or after --count offers.';

/** What {@link AUTO_OPTIONS} were given as. */
export interface AutoInput {
  readonly count: number | undefined;
  readonly port: number | undefined;
  readonly host: string | undefined;
  readonly max: number | undefined;
  readonly hidden: boolean;
}

/** Peers at once: one that is slow must not keep others out. */
const PEERS = 10;

/** Accepts offers until so many have arrived, or a signal says stop. Throws PARTIAL where files failed. */
export async function receiveAuto(
  context: Context,
  words: { readonly code: string | undefined; readonly folder: string | undefined },
  options: AutoInput & Readonly<Record<string, unknown>>,
): Promise<void> {
  const { code: folder = '.', folder: second } = words;
  const foreign = Object.entries(RECEIVE_OPTIONS).find(([name]) => isGiven(options[name]));
  if (foreign !== undefined)
    throw errorOf('USAGE', `--${kebabCase(foreign[0])} is of no use with --auto`, {
      hint: 'leave one of them out',
    });
  if (second !== undefined || options['from'] !== undefined)
    throw errorOf('USAGE', 'with --auto there is a folder and no code', { hint: 'write receive --auto DIR' });
  await requireFolder(folder);
  const { output } = context;
  const { settings } = await context.workspace.localstream();
  const { count, port = settings.port, host, max = PEERS, hidden } = options;
  // Nobody is asked, not even in a terminal: what runs by itself does the same wherever it is started.
  const text = (offer: Offer, said: string) =>
    output.result(textEvent(offer, said), () => textFor(output, said));
  const unattended = { ...context, asker: { text } };
  const listening = { port, host, max, hidden, open: false, inbox: folder, offers: 'trusted' as const };
  const incomplete: string[] = [];
  await using listener = await openListener(unattended, listening);
  listener.on('transfer', ({ transferId }) => tellsItself(transferId));
  await untilEnough(context, listener, count, (receipt) => {
    // The text itself is the result.
    if (receipt.text) {
      output.note(receiptLine(receipt), receiptEvent(receipt));
      return;
    }
    try {
      printReceipt(output, receipt);
    } catch (error) {
      incomplete.push(toLocalstreamError(error).message);
    }
  });
  const [first] = incomplete;
  if (first === undefined) return;
  throw errorOf('PARTIAL', `${plural(incomplete.length, 'offer')} did not arrive whole: ${first}`);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}

/** Calls back for each offer that has arrived; resolves after so many, once nothing is under way, or on a signal. */
function untilEnough(
  { signal, background }: Context,
  listener: Listener,
  count: number | undefined,
  arrived: (receipt: Receipt) => void,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let number = 0;
  const look = () => {
    if (count !== undefined && number >= count && listener.transfers.length === 0) resolve();
  };
  listener.on('receipt', (receipt) => {
    number += 1;
    arrived(receipt);
    look();
  });
  listener.on('failed', ({ transfer, error }) => {
    announceFailure(background, transfer, error);
    look();
  });
  if (signal.aborted) resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}

/** Throws NOT_FOUND, NOT_A_FOLDER. */
export async function requireFolder(folder: string): Promise<void> {
  const found = await stat(fsPath(folder)).catch(() => undefined);
  if (found === undefined)
    throw errorOf('NOT_FOUND', `there is no folder '${escapeText(folder)}'`, { hint: 'make it first' });
  if (!found.isDirectory()) throw errorOf('NOT_A_FOLDER', `'${escapeText(folder)}' is not a folder`);
}
