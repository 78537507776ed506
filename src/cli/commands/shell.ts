/** help, exit. */
import { defineCommand, GROUPS, kebabCase, optional } from '../command.ts';
import { usageOf } from '../usage.ts';
import { text } from '../values.ts';

export const help = defineCommand({
  name: 'help',
  aliases: [],
  group: 'shell',
  scope: 'both',
  summary: 'what there is, and how one command is used',
  notes: [],
  arguments: { command: optional('a command', text, 'command') },
  options: {},
  examples: [{ line: 'help get', does: 'shows arguments, options and an example' }],
  run: async (context, { arguments: { command: name } }) => {
    const { output } = context;
    const help = context.help(name);
    if (!output.json) {
      output.screen.out(help);
      return;
    }
    for (const command of context.commands) {
      const names = [command.name, kebabCase(command.name), ...command.aliases];
      if (name !== undefined && !names.includes(name)) continue;
      const { name: proper, group, scope, summary } = command;
      output.event({
        event: 'command',
        name: proper,
        aliases: [...new Set(names)].slice(1),
        group: GROUPS[group],
        scope,
        summary,
        usage: usageOf(command),
      });
    }
  },
});

export const exit = defineCommand({
  name: 'exit',
  aliases: ['quit', 'bye'],
  group: 'shell',
  scope: 'shell',
  summary: 'close everything and leave',
  notes: ['Ctrl-D does the same, and so does Ctrl-C twice on an empty line.'],
  arguments: {},
  options: {},
  examples: [{ line: 'exit', does: 'leaves the shell' }],
  run: async ({ shell }) => {
    shell?.leave();
  },
});
