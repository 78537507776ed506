/** auth: the tables of the users. */
import { errorOf } from '../../errors.ts';
import { defineCommand, required } from '../command.ts';
import { shownName } from '../peer-text.ts';
import { oneOf } from '../values.ts';

export const auth = defineCommand({
  name: 'auth',
  aliases: [],
  group: 'trust',
  scope: 'both',
  summary: 'make the tables of the users in the database of auth.url, or complete them',
  notes: [
    'Shows the SQL and asks before it is run; --yes runs it without a question. Without auth.url there is nothing to do.',
  ],
  arguments: { action: required('migrate', oneOf('an action', ['migrate']), ['migrate']) },
  options: {},
  examples: [{ line: 'auth migrate', does: 'shows what it would do, and asks' }],
  run: async ({ workspace, output, asker, globals, signal }) => {
    const users = await (await workspace.localstream()).users();
    const statements = await users.migration();
    const place = shownName(users.place);
    if (statements.length === 0) {
      output.result(
        { event: 'migration', place: users.place, statements, done: true },
        `${place}: the tables are as they have to be`,
      );
      return;
    }
    if (!output.json) output.screen.out(`${statements.map((statement) => `${statement};`).join('\n')}\n`);
    if (!globals.yes) {
      const isAllowed = await asker.confirm?.(`Run this in ${place}?`, signal);
      if (isAllowed === undefined) {
        throw errorOf('USAGE', 'nobody can be asked whether to run this', { hint: 'add --yes' });
      }
      if (!isAllowed) throw errorOf('CANCELLED', 'nothing was changed');
    }
    await users.migrate();
    output.result(
      { event: 'migration', place: users.place, statements, done: true },
      `${place}: the tables are made`,
    );
  },
});
