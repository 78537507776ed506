/** Colour, where the stream is a terminal that wants it. */
import type { ChalkInstance } from 'chalk';

/** The few styles that the command line uses; each is the identity where there is no colour. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly bad: (text: string) => string;
  /** Black on white, whatever the screen has; undefined where there is no colour. */
  readonly paper?: (text: string) => string;
}

const same = (text: string): string => text;

/** No colour at all. */
export const PLAIN: Paint = { strong: same, faint: same, good: same, warn: same, bad: same };

/**
 * The paint for a stream. `NO_COLOR` and `FORCE_COLOR` hold as their specifications say. chalk is loaded only where there is
 * colour.
 * @param setting The setting `color`, where it is known already; else what its variable says.
 */
export async function paintFor(
  stream: { readonly isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>> = process.env,
  setting: string = env['LOCALSTREAM_COLOR'] ?? 'auto',
): Promise<Paint> {
  const forced = env['FORCE_COLOR'];
  const isForced = setting === 'always' || (forced !== undefined && forced !== '0' && forced !== 'false');
  if (setting === 'never' || (env['NO_COLOR'] ?? '') !== '' || forced === '0' || forced === 'false')
    return PLAIN;
  if (!isForced && (stream.isTTY !== true || env['TERM'] === 'dumb')) return PLAIN;
  const { Chalk, supportsColorStderr } = await import('chalk');
  const level = supportsColorStderr ? supportsColorStderr.level : 1;
  return stylesOf(new Chalk({ level }));
}

/** The paint for a stream of another process, which has decided about colour itself. */
export async function paintElsewhere(isColoured: boolean): Promise<Paint> {
  if (!isColoured) return PLAIN;
  const { Chalk } = await import('chalk');
  return stylesOf(new Chalk({ level: 1 }));
}

function stylesOf(chalk: ChalkInstance): Paint {
  return {
    strong: (text) => chalk.bold(text),
    faint: (text) => chalk.dim(text),
    good: (text) => chalk.green(text),
    warn: (text) => chalk.yellow(text),
    bad: (text) => chalk.red(text),
    paper: (text) => chalk.bgWhiteBright.black(text),
  };
}
