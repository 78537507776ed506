/** Commands as a commander program: understands what was typed, one-shot or in the shell, and writes the help. */
import { CommanderError, Command as Program } from 'commander';
import { errorOf, type LocalstreamError } from '../errors.ts';
import { escapeText } from '../protocol/text.ts';
import {
  type Arguments,
  type Command,
  GROUPS,
  type Input,
  kebabCase,
  namesOf,
  type Options,
} from './command.ts';
import type { Globals, Help } from './context.ts';
import type { CommandEvent } from './events.ts';
import { PROGRAM_NOTES, SHELL_NOTES } from './help-text.ts';
import { usageOf } from './usage.ts';

/** Where commands are typed. */
export type Surface = 'shell' | 'once';

/** What was typed, understood. */
export type Invocation =
  | { readonly kind: 'command'; readonly command: Command; readonly input: Input; readonly globals: Globals }
  | {
      readonly kind: 'shell';
      readonly globals: Globals;
      readonly script?: string;
      /** Its listener is not made known. */
      readonly hidden: boolean;
    }
  | { readonly kind: 'help'; readonly help: Help }
  | { readonly kind: 'version' };

/** Options of the program that no command takes from it. */
interface ShellValues {
  readonly c?: string;
  readonly hidden?: boolean;
}

interface GlobalValues {
  readonly json?: boolean;
  readonly home?: string;
  readonly verbose?: boolean;
  readonly yes?: boolean;
}

/** Which commands are understood, and where they are typed. */
export interface Grammar {
  /** Also those of the other surface, for what is said about them. */
  readonly commands: readonly Command[];
  readonly surface: Surface;
  /** Of the terminal, for help. */
  readonly columns: number;
}

/**
 * Understands a command line.
 * @throws USAGE, naming what is wrong and what was probably meant.
 */
export function parseCommandLine(words: readonly string[], grammar: Grammar): Invocation {
  let found: Invocation | undefined;
  // To build a program of all commands takes longer than most of them run.
  const named = commandCalled(words[0], grammar);
  const program = programOf(grammar, named === undefined ? commandsOf(grammar) : [named], (invocation) => {
    found = invocation;
  });
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { kind: 'version' };
    if (error.code === 'commander.helpDisplayed') {
      const { events } = helpFor(commandNamed(words, grammar)?.name, grammar);
      return { kind: 'help', help: { text: helpShown.get(program) ?? '', events } };
    }
    // commander's way of saying that there are options at the most, and no command.
    if (error.code === 'commander.help') {
      const { c: script, hidden = false } = program.opts<ShellValues>();
      return {
        kind: 'shell',
        globals: globalsOf(program.opts<GlobalValues>()),
        hidden,
        ...(script === undefined ? {} : { script }),
      };
    }
    if (error.code === 'commander.unknownCommand') throw unknownCommand(program.args[0] ?? '', grammar);
    throw usageError(error, commandNamed(words, grammar));
  }
  if (found === undefined) throw new Error('the parser found neither a command nor an error');
  return found;
}

/** Whether a flag is given, for an error in what was typed: it has to know in which form it is wanted. */
export function isAskedFor(flag: '--json' | '--verbose', words: readonly string[]): boolean {
  return words.slice(0, words.includes('--') ? words.indexOf('--') : words.length).includes(flag);
}

/** The help of one command, or of all. Throws USAGE for a command that there is not. */
export function helpFor(name: string | undefined, grammar: Grammar): Help {
  const command = commandCalled(name, grammar);
  if (name !== undefined && command === undefined) throw unknownCommand(name, grammar);
  const commands = command === undefined ? commandsOf(grammar) : [command];
  const program = programOf(grammar, commands, () => {});
  const shown = command === undefined ? program : program.commands[0];
  return { text: helpText(shown ?? program), events: commands.map(commandEvent) };
}

/** Those that work where it is typed. */
function commandsOf({ commands, surface }: Grammar): readonly Command[] {
  return commands.filter(({ scope }) => scope === surface || scope === 'both');
}

function commandCalled(name: string | undefined, grammar: Grammar): Command | undefined {
  if (name === undefined) return undefined;
  return commandsOf(grammar).find((command) => namesOf(command).includes(name));
}

function commandEvent(command: Command): CommandEvent {
  const { name, group, scope, summary } = command;
  const [, ...aliases] = namesOf(command);
  return { event: 'command', name, aliases, group: GROUPS[group], scope, summary, usage: usageOf(command) };
}

/** What commander wrote for `--help`, by the program that wrote it. */
const helpShown = new WeakMap<Program, string>();

function helpText(program: Program): string {
  let text = '';
  program.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
  });
  program.outputHelp();
  return text;
}

function programOf(
  { surface, columns }: Grammar,
  commands: readonly Command[],
  found: (invocation: Invocation) => void,
): Program {
  const prefix = surface === 'once' ? 'localstream ' : '';
  const program = new Program();
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => helpShown.set(program, (helpShown.get(program) ?? '') + text),
      writeErr: () => {},
      getOutHelpWidth: () => columns,
    })
    .configureHelp({
      // Below that a column of text is harder to read than one that the terminal breaks.
      minWidthToWrap: 20,
      subcommandTerm: (sub) => sub.name(),
      // Without a default: that of what may be given again is an empty list.
      optionDescription: ({ description }) => description,
      commandUsage: (sub) => prefix + (sub === program ? sub.usage() : `${sub.name()} ${sub.usage()}`),
    })
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText('after', `\n${(surface === 'once' ? PROGRAM_NOTES : SHELL_NOTES).join('\n')}`);
  if (surface === 'once') {
    program
      .usage('[options] [command]')
      .description('An encrypted file shell for the local network. Without a command it opens the shell.')
      .version('', '-V, --version', 'print the version')
      .option('-c <commands>', 'run commands of the shell, parted by ; or line ends')
      .option('--hidden', "do not make the shell's listener known on the network")
      .helpOption('-h, --help', 'print this');
  } else {
    program.usage('command').helpOption(false);
  }
  addGlobals(program, surface);
  for (const command of commands) program.addCommand(subcommandOf(command, surface, program, found));
  return program;
}

function addGlobals(program: Program, surface: Surface): void {
  program.optionsGroup('Everywhere:').option('--json', 'print events, one JSON object a line');
  if (surface === 'once') program.option('--home <dir>', 'folder of identity, trust and settings');
  program
    .option('--verbose', 'say more on stderr')
    .option('--yes', 'accept offers; never trusts a key, overwrites or deletes');
}

function subcommandOf(
  command: Command,
  surface: Surface,
  program: Program,
  found: (invocation: Invocation) => void,
): Program {
  const [, ...aliases] = namesOf(command);
  const sub = new Program(command.name)
    .copyInheritedSettings(program)
    .aliases(aliases)
    .helpGroup(`${GROUPS[command.group]}:`)
    .summary(command.summary)
    .description(`${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`)
    .allowExcessArguments(false)
    .helpOption('-h, --help', 'print this');
  for (const [name, { kind, required, summary }] of Object.entries(command.arguments)) {
    const dots = kind === 'rest' ? '...' : '';
    sub.argument(required ? `<${name}${dots}>` : `[${name}${dots}]`, summary);
  }
  for (const [name, option] of Object.entries(command.options)) {
    const long = `--${kebabCase(name)}`;
    if (option.kind === 'flag')
      sub.option(option.short === undefined ? long : `-${option.short}, ${long}`, option.summary);
    else if (option.kind === 'option') sub.option(`${long} <${option.value}>`, option.summary);
    else sub.option(`${long} <${option.value}>`, option.summary, collect, []);
  }
  addGlobals(sub, surface);
  const after = [
    ...(aliases.length === 0 ? [] : [`Also: ${aliases.join(', ')}`, '']),
    ...command.notes.flatMap((note) => [...wrap(note, sub), '']),
    command.examples.length === 1 ? 'Example:' : 'Examples:',
    ...command.examples.flatMap(({ line, does }) => [
      `  ${surface === 'once' && command.scope !== 'shell' ? 'localstream ' : ''}${line}`,
      `      ${does}`,
    ]),
  ];
  sub.addHelpText('after', `\n${after.join('\n')}`);
  sub.action(() => {
    const { c: script, hidden } = program.opts<ShellValues>();
    if (script !== undefined) {
      throw errorOf('USAGE', `-c and ${command.name} are both given`, {
        hint: 'write the command into the text of -c',
      });
    }
    if (hidden === true) {
      throw errorOf('USAGE', `--hidden before ${command.name} is for the shell`, {
        hint: 'leave it out, or write it behind the command where that takes it',
      });
    }
    const input = inputOf(command, sub.args, sub.opts());
    const globals = globalsOf({ ...program.opts<GlobalValues>(), ...givenGlobals(sub) });
    found({ kind: 'command', command, input, globals });
  });
  return sub;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function wrap(text: string, program: Program): string[] {
  const width = program.configureOutput().getOutHelpWidth?.() ?? 80;
  return program.createHelp().boxWrap(text, Math.max(20, width)).split('\n');
}

function givenGlobals(program: Program): GlobalValues {
  const { json, home, verbose, yes } = program.opts<GlobalValues>();
  return {
    ...(json === undefined ? {} : { json }),
    ...(home === undefined ? {} : { home }),
    ...(verbose === undefined ? {} : { verbose }),
    ...(yes === undefined ? {} : { yes }),
  };
}

function globalsOf({ json = false, home, verbose = false, yes = false }: GlobalValues): Globals {
  if (home === '') throw errorOf('USAGE', 'the folder of --home is empty', { hint: 'write --home DIR' });
  return { json, home, verbose, yes };
}

/** Reads each text that commander has sorted out with the parser of its place in the table. */
function inputOf(
  command: Command,
  words: readonly string[],
  named: Record<string, unknown>,
): Input<Arguments, Options> {
  const positional: Record<string, unknown> = {};
  for (const [index, [name, { kind, parse }]] of Object.entries(command.arguments).entries()) {
    if (kind === 'rest') {
      positional[name] = words.slice(index).map(parse);
      break;
    }
    const word = words[index];
    positional[name] = word === undefined ? undefined : parse(word);
  }
  const options: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(command.options)) {
    const value = named[name];
    if (option.kind === 'flag') options[name] = value === true;
    else if (option.kind === 'option')
      options[name] = typeof value === 'string' ? option.parse(value) : undefined;
    else options[name] = Array.isArray(value) ? value.map((text) => option.parse(String(text))) : [];
  }
  return { arguments: positional, options };
}

function commandNamed(words: readonly string[], grammar: Grammar): Command | undefined {
  return words.map((word) => commandCalled(word, grammar)).find((command) => command !== undefined);
}

/** commander's message in our form: `send_file: missing required argument 'port'`. */
function usageError(error: CommanderError, command: Command | undefined): LocalstreamError {
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/, ' (did you mean $1?)')
    .replace(/\.$/, '')
    .replace(
      /^too many arguments.*Expected (\d+) arguments? but got (\d+)$/,
      'too many arguments: $1 expected, $2 given',
    )
    .replace(/^option '(.*)' argument missing$/, "option '$1' needs a value");
  return errorOf('USAGE', command === undefined ? message : `${command.name}: ${message}`, {
    hint: habitHint(message, command) ?? `see "help${command === undefined ? '' : ` ${command.name}`}"`,
  });
}

/** What hands that know scp, rsync and ls type without thinking, and where. */
const HABITS: readonly {
  readonly option: RegExp;
  readonly isOf: (command: Command) => boolean;
  readonly hint: string;
}[] = [
  {
    option: /^(?:-[rap]+|-R|--recursive|--archive)$/,
    isOf: ({ options }) => 'exclude' in options,
    hint: 'leave it out: folders go whole, with their times and permissions',
  },
  {
    option: /^-(?=.*l)[lath1]+$/,
    isOf: ({ name }) => name === 'list_dir',
    hint: 'leave it out: type, size and time are always shown',
  },
  {
    option: /^--(?:gitignore|follow)$/,
    isOf: ({ options }) => 'exclude' in options,
    hint: 'it is for those who send: put, mput, send and send_file',
  },
  {
    option: /^(?:-p|--parents)$/,
    isOf: ({ name }) => name === 'mkdir',
    hint: 'name each folder, the outer one first: mkdir nas:/docs/2027 nas:/docs/2027/may',
  },
  {
    option: /^-[pP]$/,
    isOf: ({ options }) => 'acceptNew' in options,
    hint: 'write a port behind the host: HOST:PORT',
  },
];

function habitHint(message: string, command: Command | undefined): string | undefined {
  const given = /^unknown option '(.*?)'/.exec(message)?.[1];
  if (given === undefined || command === undefined) return undefined;
  return HABITS.find(({ option, isOf }) => option.test(given) && isOf(command))?.hint;
}

/**
 * Names of commands that a mistyped one is near to, best alone; commander counts letters that changed places as one slip.
 * It does so for the first alias of a command at the most, so that each alias is given to it as a command.
 */
function namesNear(typed: string, grammar: Grammar): string[] {
  const program = new Program().exitOverride().configureOutput({ writeErr: () => {} });
  for (const { name, aliases } of commandsOf(grammar))
    for (const one of [name, ...aliases]) program.command(one);
  try {
    // With hyphens before it, it would be an option.
    program.parse([typed.replace(/^-+/, '')], { from: 'user' });
  } catch (error) {
    const [, list = ''] = /\(Did you mean (?:one of )?(.*)\?\)$/.exec(String(error)) ?? [];
    const names = list === '' ? [] : list.split(', ');
    // Hardly anybody mistypes the first letter.
    const likely = names.filter((name) => name[0] === typed[0]);
    return likely.length > 0 ? likely : names;
  }
  return [];
}

function unknownCommand(name: string, grammar: Grammar): LocalstreamError {
  const { surface } = grammar;
  const other = commandCalled(name, { ...grammar, surface: surface === 'shell' ? 'once' : 'shell' });
  if (other !== undefined) {
    return surface === 'once'
      ? errorOf('USAGE', `${other.name} works in the shell only`, {
          hint: 'start localstream without a command',
        })
      : errorOf('USAGE', `${other.name} works outside the shell only`, {
          hint: `run localstream ${other.name}`,
        });
  }
  const near = namesNear(name, grammar);
  const suggestion = near.length === 0 ? '' : ` (did you mean ${near.join(' or ')}?)`;
  return errorOf('USAGE', `there is no command ${escapeText(name, 60)}${suggestion}`, { hint: 'see "help"' });
}
