/** The completion script for bash, from version 3.2 on. */
import type { Completion } from '../command.ts';
import {
  type CommandWords,
  commandWords,
  GLOBAL_WORDS,
  madeBy,
  type OptionWord,
  PROGRAM_WORDS,
} from './surface.ts';

/** The script, to be sourced or to be kept where bash-completion finds it. */
export function bashScript(): string {
  const commands = commandWords();
  return `${madeBy('bash')}

_localstream_peers() {
  "$1" completion peer 2>/dev/null </dev/null
}

_localstream_ports() {
  "$1" completion port 2>/dev/null </dev/null
}

# Offers what begins as the word does: words, one a line, and what is put behind each.
_localstream_offer() {
  local word
  while IFS= read -r word; do
    if [[ -n $word && $word$2 == "$value"* ]]; then COMPREPLY+=("$before$word$2"); fi
  done <<<"$1"
}

_localstream_files() {
  local path
  while IFS= read -r path; do
    if [[ -d $path ]]; then path+=/; fi
    printf -v path %q "$path"
    COMPREPLY+=("$before$path")
  done < <(compgen -f -- "$value")
}

_localstream() {
  COMPREPLY=()
  # bash takes words apart at : and =, which stand within peers and shares. Here they are whole again.
  local words=() index word rest=$COMP_LINE
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if ((index > 0)) && [[ $rest != [[:space:]]* ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      rest=\${rest#"\${rest%%[![:space:]]*}"}
      words+=("$word")
    fi
    rest=\${rest#"$word"}
  done

  local last=$((\${#words[@]} - 1)) command='' position=0 awaited='' ended=''
  local value=\${words[last]} before=''
  for ((index = 1; index < last; index++)); do
    word=\${words[index]}
    if [[ -n $awaited ]]; then
      awaited=''
    elif [[ -z $ended && $word == -- ]]; then
      ended=yes
    elif [[ -z $ended && $word == -?* ]]; then
      case "$command $word" in
${caseLine(8, valuePatterns(commands), 'awaited=$word')}
      esac
    elif [[ -z $command ]]; then
      case "$word" in
${commands.map(({ name, names }) => caseLine(8, names, `command=${name}`)).join('\n')}
        *) return ;;
      esac
    else
      position=$((position + 1))
    fi
  done
  if [[ -z $awaited && -z $ended && $value == --*=* ]]; then
    awaited=\${value%%=*}
    before=$awaited=
    value=\${value#*=}
  fi

  if [[ -n $awaited ]]; then
    case "$command $awaited" in
${commands.flatMap(optionCases).join('\n')}
${GLOBAL_WORDS.flatMap((option) => optionCase('*', option)).join('\n')}
    esac
  elif [[ -z $ended && $value == -* ]]; then
    _localstream_offer '${lines(GLOBAL_WORDS.map(({ word }) => word))}'
    case "$command" in
${caseLine(6, [''], `_localstream_offer '${lines(PROGRAM_WORDS.map(({ word }) => word))}'`)}
${commands.flatMap(optionNames).join('\n')}
    esac
  elif [[ -z $command ]]; then
    _localstream_offer '${lines(commands.flatMap(({ offered }) => offered))}'
  else
    case "$command $position" in
${commands.flatMap(placeCases).join('\n')}
    esac
  fi

  # What bash replaces begins behind the last of the characters at which it takes words apart.
  local breaks=\${COMP_WORDBREAKS//[^:=]/}
  if [[ -n $breaks ]]; then
    word=\${words[last]}
    before=\${word%"\${word##*[$breaks]}"}
    for ((index = 0; index < \${#COMPREPLY[@]}; index++)); do
      COMPREPLY[index]=\${COMPREPLY[index]#"$before"}
    done
  fi
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[:/] ]]; then compopt -o nospace 2>/dev/null; fi
}

complete -F _localstream localstream
`;
}

function caseLine(indent: number, patterns: readonly string[], action: string): string {
  return `${' '.repeat(indent)}${patterns.map(quoted).join(' | ')}) ${action} ;;`;
}

function quoted(pattern: string): string {
  return pattern === '' ? "''" : pattern.replaceAll(' ', "' '");
}

/** In the single quotes of the script. */
function lines(words: readonly string[]): string {
  return words.join('\n');
}

/** `COMMAND OPTION` of all that wait for a value. */
function valuePatterns(commands: readonly CommandWords[]): string[] {
  const everywhere = [...GLOBAL_WORDS, ...PROGRAM_WORDS].filter(({ value }) => value !== undefined);
  return [
    ...everywhere.map(({ word }) => `* ${word}`),
    ...commands.flatMap(({ name, options }) =>
      options.filter(({ value }) => value !== undefined).map(({ word }) => `${name} ${word}`),
    ),
  ];
}

function optionCases({ name, options }: CommandWords): string[] {
  return options.flatMap((option) => optionCase(name, option));
}

function optionCase(command: string, { word, value }: OptionWord): string[] {
  const action = actionOf(value?.kinds ?? []);
  return action === undefined ? [] : [caseLine(6, [`${command} ${word}`], action)];
}

function optionNames({ name, options }: CommandWords): string[] {
  if (options.length === 0) return [];
  return [caseLine(6, [name], `_localstream_offer '${lines(options.map(({ word }) => word))}'`)];
}

function placeCases({ name, places, rest }: CommandWords): string[] {
  const fixed = places.map((kinds, index) => [`${name} ${index}`, actionOf(kinds)] as const);
  return [...fixed, [`${name} *`, actionOf(rest)] as const].flatMap(([pattern, action]) =>
    action === undefined ? [] : [caseLine(6, [pattern], action)],
  );
}

function actionOf(kinds: readonly Completion[]): string | undefined {
  const actions = kinds.map((kind) => {
    if (typeof kind !== 'string') return `_localstream_offer '${lines(kind)}'`;
    if (kind === 'command')
      return `_localstream_offer '${lines(commandWords().flatMap(({ offered }) => offered))}'`;
    if (kind === 'peer' || kind === 'host') return '_localstream_offer "$(_localstream_peers "$1")"';
    if (kind === 'remote') return '_localstream_offer "$(_localstream_peers "$1")" :';
    if (kind === 'port') return '_localstream_offer "$(_localstream_ports "$1")"';
    if (kind === 'folder') return 'compopt -o dirnames 2>/dev/null';
    // Alone, bash's own way with files is the best; beside peers they have to be listed here.
    if (kind === 'path') return kinds.length === 1 ? 'compopt -o default 2>/dev/null' : '_localstream_files';
    return undefined;
  });
  const known = actions.filter((action) => action !== undefined);
  return known.length === 0 ? undefined : known.join('; ');
}
