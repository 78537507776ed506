/** The completion script for fish. */
import type { Completion } from '../command.ts';
import {
  type CommandWords,
  commandWords,
  GLOBAL_WORDS,
  madeBy,
  type OptionWord,
  PROGRAM_WORDS,
} from './surface.ts';

/** The script, to be kept as `localstream.fish` in a folder of completions, or to be sourced. */
export function fishScript(): string {
  const commands = commandWords();
  return `${madeBy('fish')}

function __localstream_ask
    set -l program (commandline -opc)[1]
    $program completion $argv[1] 2>/dev/null </dev/null
end

function __localstream_remotes
    __localstream_ask peer | string replace -r '$' ':'
end

# The command that has been typed and how many arguments follow it.
function __localstream_place
    set -l command
    set -l position 0
    set -l awaited 0
    set -l ended 0
    for word in (commandline -opc)[2..-1]
        if test $awaited = 1
            set awaited 0
        else if test $ended = 0 -a "$word" = --
            set ended 1
        else if test $ended = 0; and string match -q -- '-?*' $word
            contains -- "$command $word" ${valueWords(commands)}
            and set awaited 1
            contains -- $word ${everywhere().join(' ')}
            and set awaited 1
        else if test -z "$command"
            switch $word
${commands.map(({ name, names }) => `                case ${names.join(' ')}\n                    set command ${name}`).join('\n')}
                case '*'
                    set command unknown
            end
        else
            set position (math $position + 1)
        end
    end
    echo $command
    echo $position
end

# Whether a command is being typed, and one of its arguments: one by its number, or all from a number on (2+).
function __localstream_at
    set -l place (__localstream_place)
    test "$place[1]" = "$argv[1]"
    or return 1
    set -q argv[2]
    or return 0
    if string match -q '*+' -- $argv[2]
        test $place[2] -ge (string trim -r -c + -- $argv[2])
    else
        test $place[2] -eq $argv[2]
    end
end

complete -c localstream -f
${[...GLOBAL_WORDS].map((option) => optionLine('', option)).join('\n')}
${PROGRAM_WORDS.map((option) => optionLine('-n \'__localstream_at ""\' ', option)).join('\n')}
${commands.flatMap(commandLines).join('\n')}
`;
}

/** Options of the program that wait for a value. */
function everywhere(): string[] {
  return [...GLOBAL_WORDS, ...PROGRAM_WORDS].filter(({ value }) => value).map(({ word }) => word);
}

/** Each with its command, as the loop above looks for them. */
function valueWords(commands: readonly CommandWords[]): string {
  return commands
    .flatMap(({ name, options }) =>
      options.filter(({ value }) => value !== undefined).map(({ word }) => `'${name} ${word}'`),
    )
    .join(' ');
}

function commandLines({ name, offered, summary, options, places, rest }: CommandWords): string[] {
  const positions = [
    ...places.map((kinds, index) => placeLine(name, String(index), kinds)),
    placeLine(name, `${places.length}+`, rest),
  ];
  return [
    ...offered.map(
      (word) => `complete -c localstream -n '__localstream_at ""' -a ${word} -d ${quoted(summary)}`,
    ),
    ...options.map((option) => optionLine(`-n '__localstream_at ${name}' `, option)),
    ...positions.filter((line) => line !== ''),
  ];
}

function placeLine(command: string, position: string, kinds: readonly Completion[]): string {
  const action = actionOf(kinds);
  return action === ''
    ? ''
    : `complete -c localstream -n '__localstream_at ${command} ${position}' ${action}`;
}

function optionLine(condition: string, { word, summary, value }: OptionWord): string {
  const name = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
  const action = value === undefined ? '' : actionOf(value.kinds);
  const takes = value === undefined ? '' : ` ${action.includes('-F') ? '-r' : '-x'} ${action}`.trimEnd();
  return `complete -c localstream ${condition}${name}${takes} -d ${quoted(summary)}`;
}

function actionOf(kinds: readonly Completion[]): string {
  return kinds
    .map((kind) => {
      if (typeof kind !== 'string') return `-a ${quoted(kind.join(' '))}`;
      if (kind === 'command')
        return `-a ${quoted(
          commandWords()
            .flatMap(({ offered }) => offered)
            .join(' '),
        )}`;
      if (kind === 'peer' || kind === 'host') return "-a '(__localstream_ask peer)'";
      if (kind === 'remote') return "-a '(__localstream_remotes)'";
      if (kind === 'port') return "-a '(__localstream_ask port)'";
      if (kind === 'folder') return "-a '(__fish_complete_directories)'";
      return kind === 'path' ? '-F' : '';
    })
    .filter((action) => action !== '')
    .join(' ');
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
