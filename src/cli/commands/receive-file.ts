/** receive_file: takes what a server offers. */
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errorOf } from '../../errors.ts';
import type { Offer } from '../../index.ts';
import { fsPath } from '../../transfer/name.ts';
import { tellsItself } from '../announce.ts';
import { defineCommand, option, required } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { EXISTING_NOTE, moveOptions, RECEIVE_OPTIONS, TREE_NOTE } from '../move.ts';
import { localPath } from '../operands.ts';
import { parsePeer } from '../peer-address.ts';
import { offerEvent, offerText, peerText } from '../peer-text.ts';
import { printReceipt, receiptEvent, receiptLine } from '../receipt-text.ts';
import { textEvent, textFor } from '../received-text.ts';
import { UNITS_NOTE } from '../units.ts';
import { path } from '../values.ts';
import { REACH_OPTIONS, TRUST_NOTE, withSession } from './reaching.ts';

export const receiveFile = defineCommand({
  name: 'receive_file',
  aliases: [],
  group: 'move',
  scope: 'both',
  background: true,
  summary: 'take the offer that is pending, or wait for the next',
  notes: [
    'A file keeps its name in a PATH that is a folder or ends in "/"; otherwise PATH is the name.',
    TREE_NOTE,
    EXISTING_NOTE,
    'An offer that was not shown before is asked about; where nobody can be asked --yes must be given, or no server is ' +
      'dialled. Under --yes nothing hidden, such as .bashrc, is written into the home folder.',
    TRUST_NOTE,
    UNITS_NOTE,
  ],
  arguments: { path: required('where it goes', path, 'path') },
  options: { from: option('PEER', 'the server', parsePeer, 'host'), ...RECEIVE_OPTIONS, ...REACH_OPTIONS },
  examples: [
    {
      line: 'receive_file ~/in/ --from nas --yes',
      does: 'waits for what nas sends and takes it without a question',
    },
  ],
  run: async (context, { arguments: { path: target }, options }) => {
    if (context.shell === undefined && options.from === undefined) {
      throw errorOf('USAGE', 'no peer is named', { hint: 'add --from PEER' });
    }
    // What comes from the server that the shell is connected to is shown in any case.
    if (options.from !== undefined) requireConsent(context);
    await withSession(context, options.from, options, async (session) => {
      if (session.offers.length === 0) {
        context.output.note(`waiting for an offer of ${peerText(session.peer)}`);
      }
      const offer = await session.nextOffer({ signal: context.signal });
      const isAttended = await consent(context, offer, await folderOf(target));
      if (offer.text) return await showText(context, offer);
      using progress = context.progress();
      const accepted = offer.accept(target, {
        ...transferOptions(context, progress),
        ...moveOptions(options),
        unattended: !isAttended,
      });
      // Where the target was refused at once the offer is still there, under its number.
      context.workspace.keepOffers();
      const receipt = await accepted;
      progress[Symbol.dispose]();
      printReceipt(context.output, receipt);
    });
  },
});

/** Takes a text and shows it. Its receipt is no result: a script reads the text. */
export async function showText(context: Context, offer: Offer): Promise<void> {
  const { output } = context;
  using progress = context.progress();
  const reading = offer.read({ ...transferOptions(context, progress), onTransfer: tellsItself });
  context.workspace.keepOffers();
  const { text, receipt } = await reading;
  progress[Symbol.dispose]();
  output.result(textEvent(offer, text), () => textFor(output, text));
  output.note(receiptLine(receipt), receiptEvent(receipt));
}

/** Takes an offer that was shown under a number: into the inbox, or where the person says. */
export async function takeOffer(context: Context, offer: Offer, target: string | undefined): Promise<void> {
  if (offer.text && target === undefined) return await showText(context, offer);
  using progress = context.progress();
  const place = target === undefined ? undefined : localPath(context, target);
  const accepted = offer.accept(place, {
    ...transferOptions(context, progress),
    existing: 'rename',
    onTransfer: tellsItself,
  });
  // Where the target was refused at once the offer is still there, under its number.
  context.workspace.keepOffers();
  const receipt = await accepted;
  progress[Symbol.dispose]();
  printReceipt(context.output, receipt);
}

/** Where a file goes by a target: the folder that it is, or that it is in. */
async function folderOf(target: string): Promise<string> {
  const place = resolve(target);
  const found = await stat(fsPath(place)).catch(() => undefined);
  return target.endsWith('/') || found?.isDirectory() ? place : dirname(place);
}

/** Throws USAGE where nobody could say yes to an offer: refusing it would take it from its sender, and burn a code. */
export function requireConsent({ globals, asker }: Context): void {
  if (globals.yes || asker.offer !== undefined) return;
  throw errorOf('USAGE', 'nobody can be asked here about what is offered', { hint: 'add --yes to take it' });
}

/**
 * Makes sure that a person knows what comes, or said that anything may. Refuses the offer and throws otherwise.
 * @param folder Where it goes; the offer itself names the inbox, which has no part in it.
 * @returns whether a person has seen the names.
 */
export async function consent(context: Context, offer: Offer, folder: string): Promise<boolean> {
  const { workspace, globals, asker, signal, output } = context;
  const wasShown = workspace.pending.matters.some(
    (matter) => matter.kind === 'offer' && matter.offer.id === offer.id,
  );
  if (wasShown) return true;
  const placed = { ...offer, folder };
  if (globals.yes) {
    output.note(`${peerText(offer.from)} offers ${offerText(offer)}`, offerEvent(placed));
    return false;
  }
  if (await asker.offer?.(placed, signal)) return true;
  await offer.reject();
  throw errorOf('REJECTED', 'the offer was refused');
}
