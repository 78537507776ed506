/**
 * Writes `man/localstream.1` from the command table. A test compares the two, so that the page cannot drift; npm puts it
 * where `man localstream` finds it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, GROUPS, kebabCase, namesOf } from '../src/cli/command.ts';
import { GLOBAL_WORDS, type OptionWord, PROGRAM_WORDS } from '../src/cli/completion/surface.ts';
import { COMMANDS } from '../src/cli/table.ts';
import { usageOf } from '../src/cli/usage.ts';
import { version } from '../src/cli/version.ts';
import { SCOPES, STATUSES, sentence } from './reference.ts';

const DESCRIPTION = [
  'localstream is an encrypted file shell for the local network: two machines that can reach each other move files both ways, ' +
    'with no third machine between them. Each machine has a key; people compare six digits once, and from then on the key decides.',
  'Without a command it opens the shell; with one it runs that command and ends. Where standard input is no terminal the shell reads ' +
    'a script: the first command that fails is its end, unless a - stands before it.',
  'A peer is written [USER@]HOST[:PORT], a path on it PEER:/SHARE/PATH, IPv6 in brackets.',
];

const ENVIRONMENT: readonly (readonly [name: string, text: string])[] = [
  ['LOCALSTREAM_HOME', 'The folder of identity, trust and settings, as --home.'],
  ['LOCALSTREAM_*', 'Each setting has a variable; "localstream config list" names the settings.'],
  ['LOCALSTREAM_PASSWORD_FILE', 'A file that holds the password of the user who is named before a host.'],
  ['NO_COLOR', 'Not empty: no colour.'],
  ['FORCE_COLOR', 'Colour, also where the output is no terminal; with 0 none.'],
  ['COLUMNS', 'How wide the output is made where the terminal does not say it.'],
];

const FILES: readonly (readonly [name: string, text: string])[] = [
  ['config.json', 'The settings. "localstream config path" tells where it is.'],
  ['identity.json', 'The keys of this machine. Who has them is this machine.'],
  ['trust.json', 'Whose keys are trusted.'],
  ['sessions.json, receipts', 'Who was connected, and what crossed.'],
];

/** What roff would take for its own; a hyphen that can be copied is not the one of a broken word. */
function roff(text: string): string {
  const safe = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha');
  return /^[.']/.test(safe) ? `\\&${safe}` : safe;
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function item(head: string, text: string): string[] {
  return ['.TP', head, roff(text)];
}

function optionItem({ word, summary, value }: OptionWord): string[] {
  const label = value === undefined ? '' : ` \\fI${roff(value.label)}\\fR`;
  return item(`${bold(word)}${label}`, sentence(summary));
}

function commandSection(command: Command): string[] {
  const [, ...others] = namesOf(command);
  const positional = Object.entries(command.arguments).flatMap(([name, { summary }]) =>
    item(`\\fI${roff(name.toUpperCase())}\\fR`, sentence(summary)),
  );
  const named = Object.entries(command.options).flatMap(([name, option]) => {
    const value = option.kind === 'flag' ? '' : ` \\fI${roff(option.value)}\\fR`;
    const short = option.kind === 'flag' && option.short !== undefined ? `${bold(`-${option.short}`)}, ` : '';
    return item(`${short}${bold(`--${kebabCase(name)}`)}${value}`, sentence(option.summary));
  });
  const about = [
    sentence(command.summary),
    SCOPES[command.scope].replaceAll('`', ''),
    ...(others.length === 0 ? [] : [`Also: ${others.join(', ')}.`]),
  ];
  return [
    '.TP',
    bold(usageOf(command)),
    roff(about.filter((text) => text !== '').join(' ')),
    ...(positional.length + named.length === 0 ? [] : ['.RS', ...positional, ...named, '.RE']),
    ...command.notes.flatMap((note) => ['.IP', roff(note)]),
    ...command.examples.flatMap(({ line, does }) => [
      '.IP',
      `${bold(line)}`,
      '.br',
      roff(`${sentence(does)}`),
    ]),
  ];
}

/** The page, from what the program knows. */
export function manPage(): string {
  const lines = [
    `.TH LOCALSTREAM 1 "" "localstream ${version}" "User Commands"`,
    '.SH NAME',
    'localstream \\- an encrypted file shell for the local network',
    '.SH SYNOPSIS',
    `${bold('localstream')} [\\fIOPTION\\fR]... [\\fICOMMAND\\fR [\\fIARGUMENT\\fR]...]`,
    '.br',
    `${bold('localstream')} ${bold('-c')} \\fICOMMANDS\\fR`,
    '.SH DESCRIPTION',
    ...DESCRIPTION.flatMap((paragraph, index) => [...(index === 0 ? [] : ['.PP']), roff(paragraph)]),
    '.SH OPTIONS',
    `They may stand before a command; all but the first ${PROGRAM_WORDS.length} also after it.`,
    ...[...PROGRAM_WORDS, ...GLOBAL_WORDS].flatMap(optionItem),
    '.SH COMMANDS',
    'Every name with a low line may be written with a hyphen. What stands in brackets may be left out; what has dots may be given again.',
    ...Object.entries(GROUPS).flatMap(([key, title]) => [
      `.SS ${roff(title)}`,
      ...COMMANDS.filter(({ group }) => group === key).flatMap(commandSection),
    ]),
    '.SH EXIT STATUS',
    ...STATUSES.flatMap(([status, meaning, next]) =>
      item(bold(String(status)), `${sentence(meaning)} ${sentence(next)}`),
    ),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, text]) => item(bold(name), text)),
    '.SH FILES',
    'In the home of localstream, which is of its user alone:',
    ...FILES.flatMap(([name, text]) => item(bold(name), text)),
    '.SH EXAMPLES',
    ...item(bold('localstream'), 'Opens the shell; help lists its commands.'),
    ...item(bold('localstream get nas:/docs/a.pdf .'), 'Fetches a file into this folder.'),
    ...item(
      bold("localstream -c 'connect nas; get /docs/a.pdf; get /docs/b.pdf &'"),
      'Runs commands of the shell.',
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** Puts it where npm looks for it. */
export function writeManPage(): void {
  const folder = join(import.meta.dirname, '../man');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'localstream.1'), manPage());
}

if (import.meta.main) writeManPage();
