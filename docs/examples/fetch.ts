/**
 * Lists a folder of a server and fetches something from it.
 *
 *     node docs/examples/fetch.ts HOST PORT /files/a.pdf LOCAL
 *
 * Ctrl-C stops it; the same command again goes on where it stood.
 */
import { dirname } from 'node:path/posix';
import { createInterface } from 'node:readline/promises';
import {
  AccessError,
  AlarmError,
  escapeText,
  LocalstreamError,
  openLocalstream,
  type TrustAnswer,
  type TrustQuestion,
  UnavailableError,
} from 'localstream';

const [host = '127.0.0.1', port = '7353', remote = '/', local = './'] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGINT', () => stop.abort());

/** Called when the server's key is unknown. A known server with another key is refused without a question. */
async function decide(question: TrustQuestion, signal: AbortSignal): Promise<TrustAnswer> {
  console.log(`the server calls itself "${escapeText(question.claimedName)}"`);
  console.log(`its key is ${question.fingerprint}, the check number ${question.checkNumber}`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question('Does the other screen show that number? yes/no ', { signal });
    return answer.trim() === 'yes' ? 'trust' : 'reject';
  } finally {
    terminal.close();
  }
}

/** What a program can do about an error is told by its class; which one it was by its code. */
function tell(error: LocalstreamError): void {
  console.error(`${error.code}: ${error.message}`);
  if (error instanceof AccessError) console.error('ask the operator of the server to let this machine in');
  if (error instanceof UnavailableError) console.error('try again later');
  if (error instanceof AlarmError)
    console.error('something is badly wrong: do not try again before you know what');
  process.exitCode = error.exit;
}

try {
  await using localstream = await openLocalstream();
  await using session = await localstream.connect({
    host,
    port: Number(port),
    decide,
    signal: stop.signal,
    onWaiting: ({ checkNumber }) => console.log(`the server asks its operator about ${checkNumber}`),
  });
  for await (const { type, size, name } of session.list(dirname(remote), { signal: stop.signal })) {
    console.log(`${type.padEnd(6)} ${String(size).padStart(12)} ${escapeText(name)}`);
  }
  const receipt = await session.get([remote], local, {
    // Overall, beside Ctrl-C: a signal may have several reasons.
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(60 * 60 * 1000)]),
    onProgress: ({ bytes, bytesTotal, totalsKnown }) =>
      console.error(`${bytes} of ${bytesTotal}${totalsKnown ? '' : ' or more'}`),
    onRetry: ({ attempt, at }) => console.error(`connection lost: try ${attempt} at ${at.toISOString()}`),
  });
  for (const { path, outcome, digest, reason } of receipt.outcomes) {
    console.log(`${outcome} ${escapeText(path)} ${digest ?? reason ?? ''}`);
  }
  if (receipt.code !== 'OK') process.exitCode = 5;
} catch (error) {
  if (!(error instanceof LocalstreamError)) throw error;
  tell(error);
}
