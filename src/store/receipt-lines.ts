/** The lines that a stored receipt is made of: how they are written, checked and read one by one. */
import { createReadStream } from 'node:fs';
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import { jsonText, withoutControls } from './json-text.ts';
import { timeStamp } from './time-stamp.ts';

/** A line above this is damage: reading it on would exhaust the memory. */
export const MOST_LINE = 32 * 1024 * 1024;

const count = v.pipe(v.number(), v.minValue(0));
const fingerprint = v.custom<Fingerprint>(isFingerprint);

const START = v.object({
  line: v.literal('start'),
  version: v.literal(1),
  transferId: v.string(),
  direction: v.picklist(['send', 'receive']),
  peer: v.object({ fingerprint, name: v.string() }),
  started: timeStamp,
});
const FILE = v.object({
  line: v.literal('file'),
  path: v.string(),
  outcome: v.picklist(['committed', 'same', 'skipped', 'failed']),
  size: count,
  digest: v.optional(v.string()),
  code: v.optional(v.string()),
  reason: v.optional(v.string()),
  savedAs: v.optional(v.string()),
});
const SIGNED = v.object({
  line: v.literal('signed'),
  /** The exact bytes that were signed, base64. */
  body: v.string(),
  /** Base64. */
  signature: v.string(),
  signedBy: fingerprint,
});
const END = v.object({
  line: v.literal('end'),
  ended: timeStamp,
  code: v.string(),
  files: count,
  failed: count,
  skipped: count,
  bytes: count,
  bytesMoved: count,
  seconds: count,
  digest: v.string(),
  /** Where it was received to: the folder, and what each offered root is called there. */
  target: v.optional(v.object({ folder: v.string(), names: v.array(v.tuple([v.string(), v.string()])) })),
});
const LINE = v.variant('line', [START, FILE, SIGNED, END]);

/** One line of a stored receipt: `start`, a `file` for each, `signed` where there is a signature, and `end`. */
export type ReceiptLine = v.InferOutput<typeof LINE>;
/** A line that can't be read, by its number from 1: the file was cut short or damaged. */
export interface DamagedLine {
  readonly line: 'damaged';
  readonly number: number;
}
type Content<Kind extends ReceiptLine['line']> = Readonly<
  Omit<Extract<ReceiptLine, { line: Kind }>, 'line' | 'version'>
>;

/** What a receipt begins with. */
export type ReceiptStart = Content<'start'>;
/** What became of one file; `digest` is hex BLAKE3. */
export type ReceiptFile = Content<'file'>;
/** A signature, with the exact bytes that it is over. */
export type ReceiptSignature = Content<'signed'>;
/** How a transfer ended, in all. */
export type ReceiptEnd = Content<'end'>;

/** The lines of some files at once: of a million, each object and each look for control characters counts. */
export function fileLines(outcomes: readonly ReceiptFile[]): string {
  const texts = outcomes.map((outcome) => `{"line":"file",${JSON.stringify(outcome).slice(1)}\n`);
  return withoutControls(texts.join(''));
}

/** A line as it stands in the file, its end included. */
export function textOf(line: ReceiptLine): string {
  return `${jsonText(line)}\n`;
}

/** Reads a line, without its end; undefined when it is damaged. */
export function parseLine(text: string): ReceiptLine | undefined {
  try {
    const result = v.safeParse(LINE, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

/** The lines of a file; one that is too long comes as an empty text, which is damage as well. */
export async function* linesOf(path: string): AsyncGenerator<string, void> {
  let rest: string[] = [];
  let length = 0;
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const [first = '', ...others] = String(chunk).split('\n');
    length += first.length;
    if (length <= MOST_LINE) rest.push(first);
    for (const next of others) {
      yield length <= MOST_LINE ? rest.join('') : '';
      rest = [next];
      length = next.length;
    }
  }
  if (length > 0) yield length <= MOST_LINE ? rest.join('') : '';
}
