/** send --to: files for peers who listen, whose operators are asked. */
import { parseFingerprint } from '../../crypto/fingerprint.ts';
import { errorOf, LocalstreamError } from '../../errors.ts';
import type { Session, Source } from '../../index.ts';
import { STREAM_PATH } from '../../transfer/name.ts';
import { flag, option } from '../command.ts';
import { type Context, transferOptions } from '../context.ts';
import { toLocalstreamError } from '../exit.ts';
import { type MoveInput, moveOptions } from '../move.ts';
import { formatPeer, type PeerAddress } from '../peer-address.ts';
import { peerText, shownName } from '../peer-text.ts';
import type { ProgressReporter } from '../progress-meters.ts';
import { printReceipt, RECEIVERS_HINT } from '../receipt-text.ts';
import { plural } from '../units.ts';
import { text } from '../values.ts';
import { dial } from './reaching.ts';

/** How the peer is reached. Its key is never pinned unseen: files must not go to whoever happens to answer. */
export const TO_OPTIONS = {
  fingerprint: option(
    'SHA256:...',
    'with one --to: the key that the peer must have; it is pinned',
    parseFingerprint,
  ),
  user: option('NAME', 'with --to: log in as this user, as NAME@HOST does', text),
  passwordStdin: flag('with --to: the password of the user comes from standard input'),
} as const;

/** Told wherever a peer can be named. */
export const TO_NOTE =
  'With --to it is offered to the listener of that peer, found by its name or last known address, and nobody needs a code. ' +
  'Its operator is asked, or its rule for trusted peers says yes; without either it refuses (status 3). What arrives goes into its inbox. ' +
  'The key of a peer that is not known here is asked about in a terminal, and refused without one.';

/** What --to and its options were given as. */
export interface ToInput {
  readonly to: readonly PeerAddress[];
  readonly fingerprint: ReturnType<typeof parseFingerprint> | undefined;
  readonly user: string | undefined;
  readonly passwordStdin: boolean;
}

/** Offers the same to several peers at once; each has its own outcome. Throws PARTIAL where some fail. */
export async function sendToPeers(
  context: Context,
  sources: readonly Source[],
  options: MoveInput & ToInput,
): Promise<void> {
  const { to } = options;
  requireSense(to, sources, options);
  const localstream = await context.workspace.localstream();
  const group = to.length > 1 ? localstream.newGroup() : undefined;
  using progress = context.progress();
  const results = await Promise.allSettled(
    to.map((peer) => sendToPeer(context, peer, sources, options, progress, group)),
  );
  progress[Symbol.dispose]();
  throwFailures(results, context.signal, (done) => `sent to ${done} of ${plural(to.length, 'peer')}`);
}

function requireSense(to: readonly PeerAddress[], sources: readonly Source[], options: ToInput): void {
  const names = to.map(nameOf);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw errorOf('USAGE', `${twice} is named twice`, { hint: 'name each peer once' });
  if (to.length > 1 && (options.fingerprint !== undefined || options.passwordStdin))
    throw errorOf('USAGE', 'one fingerprint or password can be given for one peer only', {
      hint: 'send to each by itself',
    });
  if (!sources.includes(STREAM_PATH)) return;
  if (to.length > 1)
    throw errorOf('USAGE', 'standard input can be sent to one peer only', { hint: 'write it to a file' });
  if (options.passwordStdin)
    throw errorOf('USAGE', 'standard input can hold the password or the file, not both', {
      hint: 'name a file in LOCALSTREAM_PASSWORD_FILE',
    });
}

async function sendToPeer(
  context: Context,
  peer: PeerAddress,
  sources: readonly Source[],
  options: MoveInput & ToInput,
  progress: ProgressReporter,
  group: number | undefined,
): Promise<void> {
  const { output, signal } = context;
  let transferId: string | null = null;
  try {
    await using session = await reach(context, peer, options);
    output.note(`offered to ${peerText(session.peer)}, which has not answered yet`);
    const receipt = await session.send(sources, {
      ...transferOptions(context, progress),
      ...moveOptions(options),
      ...(group === undefined ? {} : { group }),
      onTransfer: (id) => {
        transferId = id;
      },
    });
    printReceipt(output, receipt, RECEIVERS_HINT);
  } catch (error) {
    const failure = toLocalstreamError(error);
    if (options.to.length > 1 && !signal.aborted) {
      const { code, message } = failure;
      const name = nameOf(peer);
      output.note(`${name}: ${message}`, {
        event: 'failed',
        transferId,
        direction: 'send',
        peer: name,
        code,
        message,
      });
    }
    throw failure;
  }
}

async function reach(context: Context, peer: PeerAddress, options: ToInput): Promise<Session> {
  const { fingerprint, user, passwordStdin } = options;
  try {
    return await dial(context, peer, { acceptNew: false, fingerprint, user, passwordStdin });
  } catch (error) {
    if (!(error instanceof LocalstreamError) || error.code !== 'NOT_TRUSTED') throw error;
    if (error.hint?.includes('--accept-new') !== true) throw error;
    throw errorOf('NOT_TRUSTED', error.message, {
      cause: error,
      hint: 'compare it there with `localstream identity`, then use --fingerprint, or trust it',
    });
  }
}

function nameOf({ user, host, port }: PeerAddress): string {
  const place = port === undefined ? host : formatPeer(host, port);
  return shownName(user === undefined ? place : `${user}@${place}`);
}

/** Throws where some or all of several failed: the error of the first where all failed alike, else PARTIAL. */
export function throwFailures(
  results: readonly PromiseSettledResult<void>[],
  signal: AbortSignal,
  summary: (done: number) => string,
): void {
  const failures = results.flatMap((result) =>
    result.status === 'rejected' ? [toLocalstreamError(result.reason)] : [],
  );
  const [first] = failures;
  if (first === undefined) return;
  const isSame = failures.every(({ code }) => code === first.code);
  if (signal.aborted || (failures.length === results.length && isSame)) throw first;
  throw errorOf('PARTIAL', summary(results.length - failures.length), { cause: first });
}
