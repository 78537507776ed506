/** pair: two machines trust each other for good, by a code that a person carries from one to the other. */

import type { PeerInfo } from '../../index.ts';
import { dialCode } from '../code-place.ts';
import { CODE_NOTE, codeFor } from '../code-question.ts';
import { defineCommand, option, optional } from '../command.ts';
import type { Context } from '../context.ts';
import { parsePeer } from '../peer-address.ts';
import { shownName } from '../peer-text.ts';
import { text } from '../values.ts';
import { CODE_OPTIONS, openCodes, untilUsed } from './codes.ts';

/** Said in the place of a code by who was shown one and wants to be asked for it. */
const ASK = 'ask';

export const pair = defineCommand({
  name: 'pair',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'trust another machine for good, and be trusted by it, over a short code',
  notes: [
    'Without a code it shows one and waits ten minutes for the machine on which it is typed. One wrong guess burns the code.',
    `The word "${ASK}" in the place of the code has it taken from LOCALSTREAM_CODE, or asked for.`,
    CODE_NOTE,
  ],
  arguments: { code: optional('what the other machine shows', text, 'code') },
  options: {
    from: option('HOST:PORT', 'where the code is open, if it is not found', parsePeer, 'host'),
    ...CODE_OPTIONS,
  },
  examples: [
    { line: 'pair', does: 'shows a code such as 7-nebula-duffel' },
    { line: 'pair 7-nebula-duffel', does: 'trusts the machine that shows it' },
  ],
  run: async (context, { arguments: { code: word }, options }) => {
    if (word === undefined && options.from === undefined) {
      await using listener = await openCodes(context, 'pair', 1, options);
      const [code] = listener.codes;
      if (code) tell(context, await untilUsed(code, context.signal));
      return;
    }
    const code = await codeFor(context, word === ASK ? undefined : word);
    await using session = await dialCode(context, { code, purpose: 'pair' }, options.from);
    tell(context, session.peer);
  },
});

function tell({ output }: Context, { name, fingerprint }: PeerInfo): void {
  output.result({ event: 'trusted', name, fingerprint }, `trusted: ${shownName(name)}, ${fingerprint}`);
}
