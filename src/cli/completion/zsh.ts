/** The completion script for zsh. */
import type { Completion } from '../command.ts';
import {
  type CommandWords,
  commandWords,
  GLOBAL_WORDS,
  madeBy,
  type OptionWord,
  PROGRAM_WORDS,
} from './surface.ts';

/** The script, to be kept as `_localstream` in a folder of `fpath`, or to be sourced after `compinit`. */
export function zshScript(): string {
  const commands = commandWords();
  return `#compdef localstream
${madeBy('zsh')}

_localstream_peers() {
  local -a names
  names=(\${(f)"$("$localstream_program" completion peer 2>/dev/null </dev/null)"})
  compadd "$@" -a names
}

_localstream_remotes() {
  _localstream_peers "$@" -q -S :
}

_localstream_remotes_and_files() {
  _alternative 'peers:peer:_localstream_remotes' 'files:file:_files'
}

_localstream_ports() {
  local -a ports
  ports=(\${(f)"$("$localstream_program" completion port 2>/dev/null </dev/null)"})
  compadd "$@" -a ports
}

_localstream_commands() {
  local -a commands
  commands=(
${commands.flatMap(({ offered, summary }) => offered.map((name) => `    ${quoted(`${name}:${summary}`)}`)).join('\n')}
  )
  _describe -t commands command commands
}

_localstream() {
  local curcontext="$curcontext" state line ret=1 localstream_program=$words[1]
  typeset -A opt_args
  local -a everywhere
  everywhere=(
${GLOBAL_WORDS.map((option) => `    ${optionSpec(option)}`).join('\n')}
  )
  _arguments -C $everywhere \\
${PROGRAM_WORDS.map((option) => `    ${optionSpec(option)} \\`).join('\n')}
    '1:command:_localstream_commands' \\
    '*::argument:->arguments' && ret=0
  [[ $state == arguments ]] || return ret
  case $line[1] in
${commands.map(commandCase).join('\n')}
    (*) return 1 ;;
  esac
}

if [[ $funcstack[1] == _localstream ]]; then
  _localstream "$@"
else
  compdef _localstream localstream
fi
`;
}

function commandCase({ names, options, places, rest }: CommandWords): string {
  const specs = [
    ...options.map(optionSpec),
    ...places.map((kinds, index) => quoted(`${index + 1}:argument:${actionOf(kinds)}`)),
    ...(rest.length === 0 ? [] : [quoted(`*:argument:${actionOf(rest)}`)]),
  ];
  return [
    `    (${names.join('|')})`,
    `      _arguments $everywhere${specs.map((spec) => ` \\\n        ${spec}`).join('')}`,
    '      ;;',
  ].join('\n');
}

function optionSpec({ word, summary, value, isList }: OptionWord): string {
  const text = summary.replaceAll(/[[\]\\:]/g, '\\$&');
  const name = value === undefined || !word.startsWith('--') ? word : `${word}=`;
  const label = value?.label.replaceAll(/[:\\]/g, '\\$&');
  const tail = value === undefined ? '' : `:${label}:${actionOf(value.kinds)}`;
  return quoted(`${isList ? '*' : ''}${name}[${text}]${tail}`);
}

function actionOf(kinds: readonly Completion[]): string {
  const [kind] = kinds;
  if (kind === undefined) return ' ';
  if (typeof kind !== 'string') return `(${kind.join(' ')})`;
  if (kinds.includes('remote') && kinds.includes('path')) return '_localstream_remotes_and_files';
  if (kind === 'command') return '_localstream_commands';
  if (kind === 'peer' || kind === 'host') return '_localstream_peers';
  if (kind === 'remote') return '_localstream_remotes';
  if (kind === 'port') return '_localstream_ports';
  if (kind === 'folder') return '_files -/';
  if (kind === 'path') return '_files';
  return ' ';
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
