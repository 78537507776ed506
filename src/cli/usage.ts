/** How a command is written, in one line. */
import { type Command, kebabCase } from './command.ts';

/** `get REMOTE [LOCAL] [--from PEER] …`. What has dots may be given again. */
export function usageOf(command: Command): string {
  const positional = Object.entries(command.arguments).map(([name, { kind, required }]) => {
    const shown = `${name.toUpperCase()}${kind === 'rest' ? '...' : ''}`;
    return required ? shown : `[${shown}]`;
  });
  const named = Object.entries(command.options).map(([name, option]) => {
    const long = `--${kebabCase(name)}`;
    if (option.kind === 'flag') return `[${long}]`;
    return option.kind === 'list' ? `[${long} ${option.value}]...` : `[${long} ${option.value}]`;
  });
  return [command.name, ...positional, ...named].join(' ');
}
