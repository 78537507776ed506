/**
 * Serves one folder until Ctrl-C or SIGTERM, and says what happens.
 *
 *     node docs/examples/serve.ts FOLDER [--port 7353] [--host 127.0.0.1]
 *
 * Peers whose key is trusted come in by themselves; about every other one the person at the terminal is asked.
 */
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import {
  escapeText,
  LocalstreamError,
  openLocalstream,
  type TrustAnswer,
  type TrustQuestion,
} from 'localstream';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '7353' }, host: { type: 'string' } },
});

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
const terminal = createInterface({ input: process.stdin, output: process.stderr });

/** Called for each unknown key. `signal` aborts when the stranger leaves or has waited too long. */
async function decide(question: TrustQuestion, signal: AbortSignal): Promise<TrustAnswer> {
  // Whatever a peer sends as text is escaped before it reaches a terminal.
  console.log(`"${escapeText(question.claimedName)}" at ${question.address} wants in`);
  console.log(`its key is ${question.fingerprint}, the check number ${question.checkNumber}`);
  const answer = await terminal.question('Does the other screen show that number? yes/no ', { signal });
  return answer.trim() === 'yes' ? 'trust' : 'reject';
}

async function serve(folder: string): Promise<void> {
  await using localstream = await openLocalstream();
  await using listener = await localstream.listen({
    port: Number(values.port),
    ...(values.host !== undefined && { host: values.host }),
    maxConnections: 10,
    shares: [{ name: 'files', folder, mode: 'rw' }],
    decide,
  });
  listener.on('peer', ({ name, address, trusted }) =>
    console.log(`${escapeText(name)} came from ${address}${trusted ? '' : ', unknown'}`),
  );
  listener.on('left', ({ name }) => console.log(`${escapeText(name)} left`));
  listener.on('refused', ({ address, error }) => console.log(`turned away ${address}: ${error.code}`));
  listener.on('receipt', ({ direction, files, bytes, digest }) =>
    console.log(`${direction}: ${files} files, ${bytes} bytes, ${digest}`),
  );
  listener.on('failed', ({ transfer, error }) => console.log(`${transfer.direction} failed: ${error.code}`));
  console.log(`listening on port ${listener.port} as ${localstream.fingerprint}`);
  await new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
    if (stop.signal.aborted) resolve();
  });
  // `await using` closes the listener, its peers, and what is not written yet.
}

try {
  await serve(positionals[0] ?? '.');
} catch (error) {
  if (!(error instanceof LocalstreamError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = error.exit;
} finally {
  terminal.close();
}
