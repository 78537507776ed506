/** What get, put, send_file and receive_file have in common: how files are moved, and questions about those that exist. */
import { errorOf } from '../errors.ts';
import type { ExistingPolicy, FileOutcome, Receipt } from '../index.ts';
import { flag, list, option } from './command.ts';
import type { Context } from './context.ts';
import { printReceipt, showReceipt } from './receipt-text.ts';
import {
  CHUNK_SUMMARY,
  parseChunk,
  parseDuration,
  parseLanes,
  parseRate,
  parseText,
  text,
} from './values.ts';

/** What becomes of a target that exists and differs. */
const EXISTING_OPTIONS = {
  overwrite: flag('replace targets that exist and differ'),
  skipExisting: flag('leave targets that exist alone'),
  rename: flag('keep both: the new file gets another name'),
  update: flag('replace only what is older than at the source'),
} as const;

/** How files are moved, at either end. */
const LINE_OPTIONS = {
  chunk: option('BYTES', CHUNK_SUMMARY, parseChunk),
  limit: option('RATE', 'bytes a second at the most, such as 20MB/s', parseRate),
  lanes: option('N', 'connections that carry the bytes; one, or four where the way is long', parseLanes),
  retryFor: option('TIME', 'how long a lost connection is tried again, such as 5m; 0 for not', parseDuration),
} as const;

/** What of a tree is moved. */
const FILTER_OPTIONS = {
  exclude: list('GLOB', 'leave out what matches, as in .gitignore; may be given again', text),
  include: list('GLOB', 'take it after all; may be given again', text),
} as const;

/** For what can be a text. */
export const TEXT_OPTIONS = {
  text: option('TEXT', 'send this text in place of files', parseText),
} as const;

/** Told wherever something is offered. */
export const TEXT_NOTE =
  'A --text is a file text.txt that holds just this and is shown in place of being kept: receive and receive_file print it, the ' +
  'shell shows it, accept N PATH keeps it. On a terminal everything in it that a terminal would act on is spelled out.';

/** For what is sent from here. */
export const SOURCE_OPTIONS = {
  ...LINE_OPTIONS,
  ...FILTER_OPTIONS,
  gitignore: flag('leave out what the .gitignore files in it name'),
  follow: flag('send what links point at instead of the links'),
} as const;

/** For what is written, here or at the other end. */
export const TARGET_OPTIONS = {
  ...EXISTING_OPTIONS,
  dryRun: flag('write nothing, say what would be done'),
  trustMtime: flag('take files of the same size and time for the same, unread'),
  verify: flag('read everything again after writing it'),
  durable: flag('bring everything to the disk before it counts'),
} as const;

export const RECEIVE_OPTIONS = { ...LINE_OPTIONS, ...FILTER_OPTIONS, ...TARGET_OPTIONS } as const;

/** Told wherever something is written. */
export const EXISTING_NOTE =
  'A target that is the same already counts as done. One that differs is left alone and the status is 5, unless ' +
  '--overwrite, --skip-existing, --rename or --update is given; in a terminal it is asked about.';
export const TREE_NOTE =
  'Folders are moved with all that is in them. A folder goes into a target that ends in "/", "." or "..", or is a share; ' +
  'otherwise the target is its name, and what is there already is merged.';

/** What those options were given as. */
export interface MoveInput {
  readonly overwrite?: boolean;
  readonly skipExisting?: boolean;
  readonly rename?: boolean;
  readonly update?: boolean;
  readonly chunk?: number | undefined;
  readonly limit?: number | undefined;
  readonly lanes?: number | undefined;
  readonly retryFor?: number | undefined;
  readonly exclude?: readonly string[];
  readonly include?: readonly string[];
  readonly gitignore?: boolean;
  readonly follow?: boolean;
  readonly dryRun?: boolean;
  readonly trustMtime?: boolean;
  readonly verify?: boolean;
  readonly durable?: boolean;
}

/** The same for the library. Throws USAGE when more than one says what becomes of existing targets. */
export function moveOptions(input: MoveInput) {
  const { chunk, limit, lanes, retryFor, exclude = [], include = [] } = input;
  const existing = policyOf(input);
  return {
    ...(existing === undefined ? {} : { existing }),
    ...(chunk === undefined ? {} : { chunk }),
    ...(limit === undefined ? {} : { limit }),
    ...(lanes === undefined ? {} : { lanes }),
    ...(retryFor === undefined ? {} : { retryFor }),
    // What is taken after all is said last, and the last word counts.
    ...(exclude.length + include.length === 0
      ? {}
      : { exclude: [...exclude, ...include.map((pattern) => `!${pattern}`)] }),
    gitignore: input.gitignore ?? false,
    follow: input.follow ?? false,
    dryRun: input.dryRun ?? false,
    trustMtime: input.trustMtime ?? false,
    verify: input.verify ?? false,
    durable: input.durable ?? false,
  };
}

function policyOf({ overwrite, skipExisting, rename, update }: MoveInput): ExistingPolicy | undefined {
  const given: ExistingPolicy[] = [];
  if (overwrite) given.push('overwrite');
  if (skipExisting) given.push('skip');
  if (rename) given.push('rename');
  if (update) given.push('update');
  if (given.length > 1)
    throw errorOf('USAGE', 'only one of --overwrite, --skip-existing, --rename and --update can be', {
      hint: 'choose one',
    });
  return given[0];
}

/** One pass of a transfer, and another for those targets that a person has decided about since. */
export type Pass = (again?: {
  readonly existing: ExistingPolicy;
  readonly only: readonly string[];
}) => Promise<Receipt>;

/**
 * Runs a transfer and prints its receipt. Targets that existed and differed were left alone; where nothing said what to
 * do about them and there is a person, they are asked about now, when everything else has arrived.
 */
export async function moveAndAsk(context: Context, input: MoveInput, pass: Pass): Promise<void> {
  const { asker, output, signal } = context;
  const receipt = await pass();
  // What was left alone has the same code: that is what a setting wanted.
  const differing = receipt.outcomes.filter(
    ({ outcome, code }) => outcome === 'failed' && code === 'EXISTS' && policyOf(input) === undefined,
  );
  const others = receipt.failed - differing.length;
  if (!asker.existing || differing.length === 0 || input.dryRun) {
    printReceipt(output, receipt);
    return;
  }
  const decided = new Map<ExistingPolicy, string[]>();
  const asked = new Set(differing.map(({ path }) => path));
  try {
    for (const [index, outcome] of differing.entries()) {
      const answer = await asker.existing(outcome, differing.length - index - 1, signal);
      const paths = (answer.all ? differing.slice(index) : [outcome]).map(({ path }) => path);
      decided.set(answer.policy, [...(decided.get(answer.policy) ?? []), ...paths]);
      if (answer.all) break;
    }
  } catch (error) {
    // Who answers none of it has what has arrived all the same.
    showReceipt(output, receipt);
    throw error;
  }
  // Left alone on purpose: that is no failure any more. What is moved after all is told by the receipt of its own pass.
  const skipped = new Set(decided.get('skip'));
  decided.delete('skip');
  const outcomes = receipt.outcomes.flatMap((outcome): FileOutcome[] => {
    if (!asked.has(outcome.path)) return [outcome];
    const { path, size, digest } = outcome;
    return skipped.has(path) ? [{ path, outcome: 'skipped', size, digest }] : [];
  });
  const asWanted: Receipt = {
    ...receipt,
    outcomes,
    failed: others,
    skipped: receipt.skipped + skipped.size,
    code: others === 0 ? 'OK' : receipt.code,
  };
  const failures: unknown[] = [];
  // What else has failed keeps nothing from what a person has just decided.
  const print = (one: Receipt) => {
    try {
      printReceipt(output, one);
    } catch (error) {
      failures.push(error);
    }
  };
  if (outcomes.length > 0 || others > 0) print(asWanted);
  for (const [existing, only] of decided) print(await pass({ existing, only }));
  if (failures.length > 0) throw failures[0];
}
