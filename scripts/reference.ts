/**
 * Writes `docs/reference.md` from the command table and the codes of the errors, and beside it the manual page
 * and what is made of `docs/library.md`. Tests compare them with the sources, so that the pages cannot drift.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, GROUPS, kebabCase, namesOf } from '../src/cli/command.ts';
import { helpOf } from '../src/cli/program.ts';
import { COMMANDS } from '../src/cli/table.ts';
import { usageOf } from '../src/cli/usage.ts';
import { allCodes } from '../src/errors.ts';

const COLUMNS = 80;

const INTRODUCTION = `# Reference

Made from the program's own tables by \`node scripts/reference.ts\`. What the shell shows is in [the guide](guide.md), every
setting in [settings.md](settings.md).

What stands in brackets may be left out; what has dots may be given again.
`;

/** What each exit status asks of a script. */
export const STATUSES: readonly (readonly [status: number, meaning: string, next: string])[] = [
  [0, 'done', 'go on'],
  [1, 'failed here or at the peer', 'mend the cause: the same again fails again'],
  [2, 'the command or a setting is not as it must be', 'mend the command'],
  [3, 'not let in, or not allowed to', 'ask the one who runs the other side'],
  [4, 'unreachable, lost, full or slow', 'try again later'],
  [5, 'partly done: some files or some receivers', 'look at the receipt; the same again does the rest'],
  [6, 'alarm: a digest is wrong or a key has changed', 'stop, and find out why'],
  [130, 'interrupted by Ctrl-C, or cancelled', 'the same again goes on where it stood'],
  [143, 'ended by a signal', 'the same again goes on where it stood'],
];

export const SCOPES: Record<Command['scope'], string> = {
  shell: 'In the shell only.',
  once: 'Outside the shell only: `localstream COMMAND`.',
  both: '',
};

function prose(text: string): string {
  return text.replaceAll('<', '&lt;');
}

function cell(text: string): string {
  return prose(text).replaceAll('|', '\\|');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return rows.length === 0 ? [] : [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line), ''];
}

export function sentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}

function section(command: Command): string[] {
  const [name, ...others] = namesOf(command);
  const positional = Object.entries(command.arguments).map(([argument, { summary }]) => [
    `\`${argument.toUpperCase()}\``,
    summary,
  ]);
  const named = Object.entries(command.options).map(([option, spec]) => {
    const value = spec.kind === 'flag' ? '' : ` ${spec.value}`;
    const short = spec.kind === 'flag' && spec.short !== undefined ? `, \`-${spec.short}\`` : '';
    return [`\`--${kebabCase(option)}${value}\`${short}`, spec.summary];
  });
  return [
    `### ${name}`,
    '',
    [sentence(command.summary), SCOPES[command.scope]].filter((text) => text !== '').join(' '),
    '',
    '```text',
    usageOf(command),
    '```',
    '',
    ...table(['', 'what it is'], [...positional, ...named]),
    ...(others.length === 0 ? [] : [`Also: ${others.map((other) => `\`${other}\``).join(', ')}.`, '']),
    ...command.notes.flatMap((note) => [prose(note), '']),
    ...command.examples.flatMap(({ line, does }) => [`- \`${line}\`: ${prose(does)}`]),
    '',
  ];
}

function groupSection(key: string, title: string): string[] {
  const commands = COMMANDS.filter((command) => command.group === key);
  return [`## ${title}`, '', ...commands.flatMap(section)];
}

/** The page, from what the program knows. */
export function referencePage(): string {
  const codes = allCodes().toSorted((a, b) => a.exit - b.exit || a.code.localeCompare(b.code));
  const lines = [
    INTRODUCTION,
    '## At a glance',
    '',
    '```text',
    helpOf(undefined, 'once', COLUMNS).text.trimEnd(),
    '```',
    '',
    ...Object.entries(GROUPS).flatMap(([key, title]) => groupSection(key, title)),
    '## Exit status',
    '',
    ...table(
      ['status', 'what happened', 'what to do next'],
      STATUSES.map(([status, meaning, next]) => [String(status), meaning, next]),
    ),
    'A server that is told to stop by Ctrl-C or SIGTERM has done its work: 0.',
    '',
    '## Codes',
    '',
    'With `--json` an error is an event with one of these; in the library it is the `code` of the error. The class of the error',
    'follows from the exit status. What a transfer skips is no failure: a link that leaves the tree (`LEAVES_TREE`), and a pipe, device',
    'or socket in a folder (`NOT_A_FILE`), stand in the receipt with their code, and the status is that of the rest.',
    '',
    ...table(
      ['code', 'exit', 'meaning'],
      codes.map(({ code, exit, meaning }) => [`\`${code}\``, String(exit), meaning]),
    ),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, '../docs/reference.md'), referencePage());
  // They are made from the same sources, and would be forgotten.
  import('./man-page.ts').then(({ writeManPage }) => writeManPage());
  import('./library-page.ts').then(({ writeLibraryPage }) => writeLibraryPage());
}
