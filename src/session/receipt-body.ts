/**
 * The body of a receipt: what a receiver signs. It proves that this key claimed it; it proves neither the hour nor a
 * person. docs/protocol.md, "Receipt".
 */
import * as v from 'valibot';
import { type Fingerprint, isFingerprint } from '../crypto/fingerprint.ts';
import { errorOf } from '../errors.ts';
import type { FileOutcome } from './report.ts';

/** Files that are named in the body itself; all of them are covered by the digest of the outcomes. */
const NAMED_FILES = 64;
/** Characters of their paths, so that the body fits into a message whatever it names. */
const NAMED_CHARACTERS = 8192;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const fingerprint = v.custom<Fingerprint>(isFingerprint);

const BODY = v.object({
  version: v.literal(1),
  session: v.string(),
  transfer: v.string(),
  sender: fingerprint,
  receiver: fingerprint,
  manifest: digest,
  outcomes: digest,
  files: count,
  bytes: count,
  failed: count,
  skipped: count,
  named: v.array(
    v.object({ path: v.string(), outcome: v.string(), size: count, digest: v.optional(digest) }),
  ),
  at: v.pipe(v.string(), v.isoTimestamp()),
  state: v.literal('committed'),
});

export type ReceiptBody = v.InferOutput<typeof BODY>;

/** Writes a body. The exact text is what is signed. */
export function writeBody(
  body: Omit<ReceiptBody, 'version' | 'named' | 'state'>,
  outcomes: readonly FileOutcome[],
): string {
  const named: ReceiptBody['named'] = [];
  let characters = 0;
  for (const { path, outcome, size, digest: value } of outcomes.slice(0, NAMED_FILES)) {
    characters += path.length;
    if (characters > NAMED_CHARACTERS) break;
    named.push({ path, outcome, size, ...(value && { digest: value }) });
  }
  return JSON.stringify({ version: 1, ...body, named, state: 'committed' });
}

/** Reads a peer's body. Throws BAD_MESSAGE. */
export function readBody(text: string): ReceiptBody {
  try {
    return v.parse(BODY, JSON.parse(text));
  } catch (cause) {
    throw errorOf('BAD_MESSAGE', 'the receipt is malformed', { cause });
  }
}
