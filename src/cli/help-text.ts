/** What help says besides the table. */
import { UNITS_NOTE } from './units.ts';

/** Below the list of commands, outside the shell. */
export const PROGRAM_NOTES: readonly string[] = [
  'A peer is written [USER@]HOST[:PORT], a remote path PEER:/SHARE/PATH, IPv6 in',
  'brackets. Without a port it is 7353.',
  UNITS_NOTE,
  '',
  'Exit status: 0 done, 1 failed here, 2 mend the command, 3 not let in, 4 try',
  'later, 5 partly done, 6 alarm (digest wrong, key changed), 130 and 143',
  'interrupted.',
  '',
  'Examples:',
  '  localstream get nas:/docs/a.pdf .',
  "  localstream -c 'connect nas; get /docs/a.pdf; get /docs/b.pdf &'",
];

/** Below the list of commands, in the shell. */
export const SHELL_NOTES: readonly string[] = [
  'help COMMAND explains one of them. Words are quoted as in any shell; ; parts',
  'commands and # begins a comment. Ctrl-C stops the command that is running.',
  'The shell listens on its own, shares nothing and asks about every newcomer',
  '(--hidden, or the setting shell.listen).',
  'An & behind get, put or send_file runs it in the background, a - before a',
  "command ignores its failure, and !LINE runs a line of the system's shell.",
  '',
  'Example:',
  '  connect nas; ls /docs; get /docs/a.pdf',
];
