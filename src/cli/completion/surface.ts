/**
 * The command table as the shells of other people's terminals need it: what `localstream COMMAND` takes, with the
 * options that every command has. The scripts for bash, zsh and fish are written from this.
 */
import { type Command, type Completion, kebabCase, kindsAt, namesOf } from '../command.ts';
import { commandsFor } from '../table.ts';

/** An option as it is typed. */
export interface OptionWord {
  /** With its hyphens. */
  readonly word: string;
  readonly summary: string;
  /** Undefined for a flag. */
  readonly value: { readonly label: string; readonly kinds: readonly Completion[] } | undefined;
  /** May be given again. */
  readonly isList: boolean;
}

/** One command. */
export interface CommandWords {
  readonly name: string;
  /** Every name that it answers to. */
  readonly names: readonly string[];
  /** Those that are offered: the forms with hyphens would only say everything twice. */
  readonly offered: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionWord[];
  /** What each argument may become. */
  readonly places: readonly (readonly Completion[])[];
  /** What every further one may become; nothing where there is none. */
  readonly rest: readonly Completion[];
}

/** Options that stand before a command or after it. */
export const GLOBAL_WORDS: readonly OptionWord[] = [
  flagWord('--json', 'print events, one JSON object a line'),
  valueWord('--home', 'folder of identity, trust and settings', 'DIR', ['folder']),
  flagWord('--verbose', 'say more on stderr'),
  flagWord('--yes', 'accept offers; never trusts a key, overwrites or deletes'),
  flagWord('--help', 'print the help'),
];

/** Options that stand before a command only. */
export const PROGRAM_WORDS: readonly OptionWord[] = [
  valueWord('-c', 'run commands of the shell, parted by ; or line ends', 'COMMANDS', []),
  flagWord('--hidden', "do not make the shell's listener known on the network"),
  flagWord('--version', 'print the version'),
];

/** All commands that run outside the shell. */
export function commandWords(): CommandWords[] {
  return commandsFor('once').map((command) => {
    const places = Object.keys(command.arguments).map((_, index) => placeKinds(command, index));
    const isOpen = Object.values(command.arguments).at(-1)?.kind === 'rest';
    return {
      name: command.name,
      names: namesOf(command),
      offered: [command.name, ...command.aliases],
      summary: command.summary,
      options: Object.entries(command.options).map(([name, option]) => {
        const word = `--${kebabCase(name)}`;
        if (option.kind === 'flag') return flagWord(word, option.summary);
        const isList = option.kind === 'list';
        return { ...valueWord(word, option.summary, option.value, [option.completes]), isList };
      }),
      places,
      rest: isOpen ? placeKinds(command, places.length) : [],
    };
  });
}

/** Questions and jobs there are in a shell only. */
function placeKinds(command: Command, position: number): Completion[] {
  return kindsAt(command, position).filter(
    (kind) => kind !== 'question' && kind !== 'job' && kind !== 'code',
  );
}

function flagWord(word: string, summary: string): OptionWord {
  return { word, summary, value: undefined, isList: false };
}

function valueWord(word: string, summary: string, label: string, kinds: readonly Completion[]): OptionWord {
  return { word, summary, value: { label, kinds }, isList: false };
}

/** The first lines of each script. */
export function madeBy(shell: string): string {
  return `# ${shell} completion for localstream, made by "localstream completion ${shell}".`;
}
