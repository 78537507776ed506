/** A systemd user unit for `serve`, made of the command line that asks for it. */

/** Options that are about starting, or about what is printed. */
const LEFT_OUT = ['--unit', '--daemon', '--ask', '--json', '--verbose'];

/** What the unit is made of; this process by default. */
export interface UnitSource {
  /** Node, its options, and the program. */
  readonly program: readonly string[];
  readonly words: readonly string[];
  readonly cwd: string;
}

/** The text of the unit. */
export function unitText(
  env: Readonly<Record<string, string | undefined>>,
  { program, words, cwd }: UnitSource = thisProcess(),
): string {
  const kept = words.filter((word) => !LEFT_OUT.includes(word));
  const { LOCALSTREAM_HOME } = env;
  return `${[
    '# systemctl --user enable --now localstream; loginctl enable-linger for one that runs without a session',
    '[Unit]',
    'Description=localstream, files on the local network',
    '',
    '[Service]',
    'Type=exec',
    `WorkingDirectory=${unquoted(cwd)}`,
    ...(LOCALSTREAM_HOME ? [`Environment=${quoted(`LOCALSTREAM_HOME=${LOCALSTREAM_HOME}`, false)}`] : []),
    `ExecStart=${[...program, ...kept, '--ask'].map((word) => quoted(word, true)).join(' ')}`,
    'Restart=on-failure',
    '# The command has to be mended first.',
    'RestartPreventExitStatus=2',
    'NoNewPrivileges=yes',
    '',
    '[Install]',
    'WantedBy=default.target',
  ].join('\n')}\n`;
}

function thisProcess(): UnitSource {
  return {
    program: [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
    words: process.argv.slice(2),
    cwd: process.cwd(),
  };
}

/** A word as systemd.service(5) reads it: specifiers everywhere, variables in commands. */
function quoted(word: string, isCommand: boolean): string {
  const plain = word.replaceAll('%', '%%');
  const text = isCommand ? plain.replaceAll('$', '$$$$') : plain;
  if (/^[\w@%+=:,./~$-]+$/.test(text)) return text;
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** A path that stands alone is not quoted. */
function unquoted(path: string): string {
  return path.replaceAll('%', '%%');
}
