/** verify: received files against the receipts of their transfers. */
import { errorOf } from '../../errors.ts';
import { escapeText } from '../../protocol/text.ts';
import { defineCommand, flag, optional } from '../command.ts';
import { plural } from '../units.ts';
import { path } from '../values.ts';

export const verify = defineCommand({
  name: 'verify',
  aliases: [],
  group: 'move',
  scope: 'both',
  summary: 'check received files against their receipts',
  notes: [
    'Every file at or below PATH that was received here is read again and compared with the digest in the newest receipt ' +
      'that names it. Files that somebody has changed since show as changed, too.',
  ],
  arguments: { path: optional('a file or folder; this folder unless given', path, 'path') },
  options: { all: flag('list intact files too') },
  examples: [{ line: 'verify backup', does: 'says which files in backup are not what was received' }],
  run: async ({ workspace, output, signal }, { arguments: { path: place = '.' }, options: { all } }) => {
    const localstream = await workspace.localstream();
    const count = { intact: 0, changed: 0, missing: 0, unreadable: 0 };
    for await (const file of localstream.verify(place, signal)) {
      count[file.state] += 1;
      const event = {
        event: 'verified' as const,
        path: file.path,
        state: file.state,
        expected: file.expected,
        found: file.found ?? null,
        received: file.received.toISOString(),
      };
      if (all || file.state !== 'intact' || output.json)
        output.result(event, `${file.state.padEnd(10)}  ${escapeText(file.path, 1000)}`);
    }
    const { intact, changed, missing, unreadable } = count;
    output.note(
      `${plural(intact, 'file')} intact, ${changed} changed, ${missing} missing, ${unreadable} unreadable`,
    );
    if (changed > 0) throw errorOf('INTEGRITY', `${plural(changed, 'file')} changed since it was received`);
    if (missing + unreadable > 0) throw errorOf('PARTIAL', 'not every file is there and can be read');
  },
});
