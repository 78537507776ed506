/**
 * What every command can be given wrongly. Most of it follows from the table of the commands; what a command does where nothing
 * is open, where a server is gone or refuses, nobody can tell from its arguments, and stands here. A command that is
 * missing here fails the test.
 */
import type { Argument, Command, Option, Parse, RestArgument } from '../../src/cli/command.ts';
import { kebabCase } from '../../src/cli/command.ts';
import { type ErrorCode, LocalstreamError } from '../../src/errors.ts';

/** What a right line of a command ends with. */
export interface Row {
  /**
   * In a shell in which nothing is open, in an empty home. `undefined`: it does its work there. In a folder with a file
   * a.txt.
   */
  readonly alone: readonly [line: string, code: ErrorCode] | undefined;
  /** Outside the shell, at a server that is called PEER; `undefined` where it dials none. */
  readonly dials: string | undefined;
  /** In a shell that is connected to a share docs to be read and a share in to be written. */
  readonly forbidden: readonly [line: string, code: ErrorCode] | undefined;
  /** Whether that comes before a home is opened; where none can be opened every other one says STATE. */
  readonly homeless?: true;
}

function local(alone: Row['alone'], more: Pick<Row, 'homeless'> = {}): Row {
  return { alone, dials: undefined, forbidden: undefined, ...more };
}

const KEY = 'SHA256:hbmM4iCrcJa+nqDkz8qBeSyNlZLmnTRE2fDP8pVLGAM';

/** By the name of the command. */
export const ROWS: Readonly<Record<string, Row>> = {
  add_connection: local(undefined),
  add_local_connection: local(['add_local_connection 203.0.113.1 7353 1', 'NO_SUCH_HOST']),
  del_connection: local(['del_connection 7353', 'NO_SERVER'], { homeless: true }),
  serve: local(undefined),
  shutdown: local(['shutdown', 'NO_SERVER'], { homeless: true }),
  status: local(undefined),
  kick: local(['kick nobody', 'NOT_CONNECTED'], { homeless: true }),
  possible_connections: local(undefined),
  connect: { alone: ['connect 127.0.0.1:1', 'UNREACHABLE'], dials: 'connect PEER', forbidden: undefined },
  disconnect: local(['disconnect', 'NOT_CONNECTED'], { homeless: true }),
  login: {
    alone: ['login ann', 'NOT_CONNECTED'],
    dials: undefined,
    forbidden: ['login ann', 'NOT_TRUSTED'],
    homeless: true,
  },
  list_dir: {
    alone: ['list_dir', 'NOT_CONNECTED'],
    dials: 'list_dir PEER:/',
    forbidden: ['list_dir /in', 'NOT_ALLOWED'],
  },
  cd: {
    alone: ['cd /docs', 'NOT_CONNECTED'],
    dials: undefined,
    forbidden: ['cd /in/deep', 'NOT_ALLOWED'],
    homeless: true,
  },
  pwd: local(['pwd', 'NOT_CONNECTED'], { homeless: true }),
  lcd: local(['lcd nowhere', 'NOT_FOUND'], { homeless: true }),
  lpwd: local(undefined, { homeless: true }),
  lls: local(['lls nowhere', 'NOT_FOUND'], { homeless: true }),
  get: {
    alone: ['get /docs/a.txt', 'NOT_CONNECTED'],
    dials: 'get PEER:/docs/a.txt',
    forbidden: ['get /in/a.txt', 'NOT_ALLOWED'],
  },
  put: {
    alone: ['put a.txt', 'NOT_CONNECTED'],
    dials: 'put a.txt PEER:/in/',
    forbidden: ['put a.txt /docs/', 'NOT_ALLOWED'],
  },
  mget: {
    alone: ['mget /docs/*', 'NOT_CONNECTED'],
    dials: 'mget PEER:/docs/*',
    forbidden: ['mget /in/*', 'NOT_ALLOWED'],
  },
  mput: {
    alone: ['mput a.txt', 'NOT_CONNECTED'],
    dials: 'mput a.txt --to PEER',
    forbidden: ['cd /docs; mput a.txt', 'NOT_ALLOWED'],
  },
  mkdir: {
    alone: ['mkdir /docs/x', 'NOT_CONNECTED'],
    dials: 'mkdir PEER:/docs/x',
    forbidden: ['mkdir /docs/x', 'NOT_ALLOWED'],
  },
  mv: {
    alone: ['mv /docs/a /docs/b', 'NOT_CONNECTED'],
    dials: 'mv PEER:/docs/a PEER:/docs/b',
    forbidden: ['mv /docs/a.txt /docs/b.txt', 'NOT_ALLOWED'],
  },
  rm: {
    alone: ['rm --force /docs/a', 'NOT_CONNECTED'],
    dials: 'rm --force PEER:/docs/a',
    forbidden: ['rm --force /docs/a.txt', 'NOT_ALLOWED'],
  },
  send: local(['send nowhere.txt', 'NOT_FOUND'], { homeless: true }),
  receive: {
    alone: ['receive 7-nebula-duffel --yes', 'NOT_FOUND'],
    dials: 'receive 7-nebula-duffel --from PEER --yes',
    forbidden: undefined,
  },
  send_file: local(['send_file 7353 a.txt', 'NO_SERVER'], { homeless: true }),
  receive_file: {
    alone: ['receive_file x', 'NOT_CONNECTED'],
    dials: 'receive_file x --from PEER --yes',
    forbidden: undefined,
  },
  jobs: local(undefined, { homeless: true }),
  wait: local(['wait 9', 'USAGE'], { homeless: true }),
  cancel: local(['cancel 9', 'USAGE'], { homeless: true }),
  fg: local(['fg', 'USAGE'], { homeless: true }),
  seal: local(['seal a.txt --for nobody', 'USAGE']),
  open: local(['open a.txt', 'INTEGRITY']),
  verify: local(['verify nowhere', 'NOT_FOUND']),
  identity: local(undefined),
  pair: {
    alone: ['pair 7-nebula-duffel', 'NOT_FOUND'],
    dials: 'pair 7-nebula-duffel --from PEER',
    forbidden: undefined,
  },
  peers: local(undefined),
  trust: local(['trust 9', 'USAGE'], { homeless: true }),
  forget: local(['forget nobody', 'USAGE']),
  rename: local(['rename nobody somebody', 'USAGE']),
  export: local(['export nobody', 'USAGE']),
  import: local(['import nonsense', 'USAGE'], { homeless: true }),
  user: local(['user disable nobody', 'NO_SUCH_USER']),
  auth: local(undefined),
  accept: local(['accept 9', 'USAGE'], { homeless: true }),
  reject: local(['reject 9', 'USAGE'], { homeless: true }),
  sessions: local(undefined),
  history: local(undefined),
  config: local(['config get nothing', 'BAD_SETTING'], { homeless: true }),
  completion: local(undefined, { homeless: true }),
  doctor: local(undefined),
  help: local(['help nothing', 'USAGE'], { homeless: true }),
  exit: local(undefined, { homeless: true }),
};

type Value = Argument | RestArgument | Option;

const RIGHT = ['1', '7353', '.', 'list', 'get', 'forget', 'migrate', 'bash', 'none', '10s', KEY];
// None begins with a hyphen: it would be taken for an option.
const WRONG = ['', 'x y', '!', '70000', '9'.repeat(20), 'a:b:c', '@', 'SHA256:abc', 'frobnicate'];

function accepts(parse: Parse<unknown>, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof LocalstreamError && error.exit === 2) return false;
    throw error;
  }
}

function rightFor({ parse }: Value): string {
  const found = RIGHT.find((text) => accepts(parse, text));
  if (found === undefined) throw new Error('no text of the list is right for a value: add one');
  return found;
}

/** A command with as few words as it can be given. */
export function rightWords({ name, arguments: places }: Command): string[] {
  const needed = Object.values(places).filter(({ required }) => required);
  return [name, ...needed.map(rightFor)];
}

/** Lines with wrong usage that follow from the table. */
export function wrongUsage(command: Command): { readonly why: string; readonly words: readonly string[] }[] {
  const { name } = command;
  const places = Object.values(command.arguments);
  const needed = places.filter(({ required }) => required);
  const right = needed.map(rightFor);
  const lines = [{ why: 'an unknown option', words: [name, ...right, '--no-such-option'] }];
  if (needed.length > 0) lines.push({ why: 'no arguments', words: [name] });
  if (places.at(-1)?.kind !== 'rest') {
    lines.push({ why: 'too many arguments', words: [name, ...places.map(rightFor), '1'] });
  }
  for (const [index, place] of places.entries()) {
    const before = places.slice(0, index).map(rightFor);
    const after = needed.slice(index + 1).map(rightFor);
    for (const text of WRONG.filter((candidate) => !accepts(place.parse, candidate))) {
      lines.push({ why: `a wrong argument ${index + 1}`, words: [name, ...before, text, ...after] });
    }
  }
  for (const [key, option] of Object.entries(command.options)) {
    if (option.kind === 'flag') continue;
    const long = `--${kebabCase(key)}`;
    lines.push({ why: `no value of ${long}`, words: [name, ...right, long] });
    for (const text of WRONG.filter((candidate) => !accepts(option.parse, candidate))) {
      lines.push({ why: `a wrong ${long}`, words: [name, ...right, long, text] });
    }
  }
  return lines;
}
