/** help, exit. */
import { defineCommand, optional } from '../command.ts';
import { text as anyText } from '../values.ts';

export const help = defineCommand({
  name: 'help',
  aliases: [],
  group: 'shell',
  scope: 'both',
  summary: 'what there is, and how one command is used',
  notes: [],
  arguments: { command: optional('a command', anyText, 'command') },
  options: {},
  examples: [{ line: 'help get', does: 'shows arguments, options and an example' }],
  run: async (context, { arguments: { command: name } }) => {
    const { text, events } = await context.help(name);
    context.output.results(events, text);
  },
});

export const exit = defineCommand({
  name: 'exit',
  aliases: ['quit', 'bye'],
  group: 'shell',
  scope: 'shell',
  summary: 'close everything and leave',
  notes: [
    'Ctrl-D does the same, and so does Ctrl-C twice on an empty line. Where jobs run it is asked first; a script waits for ' +
      'them or cancels them before.',
  ],
  arguments: {},
  options: {},
  examples: [{ line: 'exit', does: 'leaves the shell' }],
  run: async ({ shell }) => {
    await shell?.leave();
  },
});
