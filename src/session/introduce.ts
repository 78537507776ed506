/**
 * What follows the handshake: each side says its name, decides whether it lets the other in, and says so. Both
 * decisions are taken at once, so that two people see the same check number on both screens.
 */

import type { Fingerprint } from '../crypto/fingerprint.ts';
import { errorOf, LocalstreamError } from '../errors.ts';
import type { ControlChannel } from '../net/control-channel.ts';
import type { RawMessage } from '../protocol/control-codec.ts';
import { flagNumber, flagOfError } from '../protocol/flags.ts';
import { ADMIT, checkReply, INTRODUCE } from '../protocol/messages.ts';

/** A stranger's key, and what a person can compare. */
export interface TrustQuestion {
  /** What the stranger is. */
  readonly role: 'server' | 'client';
  /** As it names itself, unescaped: anybody can claim any name. */
  readonly claimedName: string;
  readonly fingerprint: Fingerprint;
  /** Six digits that are the same on both screens. */
  readonly checkNumber: string;
  readonly address: string;
}

/** `once`: for this session; `trust`: its key is pinned. */
export type TrustAnswer = 'once' | 'trust' | 'reject';

/** Answers a question about a stranger. Aborted when the stranger leaves or the time is over. */
export type Decide = (question: TrustQuestion, signal: AbortSignal) => Promise<TrustAnswer>;

export interface IntroduceOptions {
  readonly channel: ControlChannel;
  /** Our name. */
  readonly name: string;
  /** The dialler says which group was negotiated. */
  readonly group?: string;
  /** A person is asked here: the other side is told to wait. */
  readonly asks: boolean;
  /** Decides once the other's name is known. Throws to refuse. */
  readonly decide: (claimedName: string, signal: AbortSignal) => Promise<void>;
  /** The other side asks a person. */
  readonly onWaiting?: (claimedName: string) => void;
  /** Milliseconds for both decisions. */
  readonly patience: number;
  /** Milliseconds for what no person has to think about. */
  readonly promptness: number;
  /** The other side's introduction, where it was received before. */
  readonly received?: RawMessage | undefined;
}

/** What the other side says of itself. Nobody has checked it. */
export interface Introduction {
  readonly claimedName: string;
  /** Empty when it does not say. */
  readonly group: string;
}

/** Runs the introductions. Resolves once both sides have let each other in. */
export async function introduce(options: IntroduceOptions): Promise<Introduction> {
  const { channel, patience, promptness } = options;
  const over = new AbortController();
  const endAfter = (milliseconds: number) =>
    setTimeout(() => over.abort(errorOf('TIMEOUT', 'nobody answered in time')), milliseconds);
  const late = endAfter(patience);
  let silent = endAfter(promptness);
  try {
    const { name, asks: waiting, group } = options;
    channel.send({ type: 'introduce', name, waiting, ...(group !== undefined && { group }) });
    const introduction = options.received ?? (await untilAborted(channel.receive(), over.signal));
    clearTimeout(silent);
    const theirs = checkReply(INTRODUCE, introduction.value);
    if (theirs.waiting) options.onWaiting?.(theirs.name);
    const answer = receiveAnswer(channel);
    // It may come, and fail, while a person here still thinks; and after a yes the other side may leave all the same.
    answer.then(
      () => void channel.ended.then((reason) => over.abort(reason)),
      (error: unknown) => over.abort(error),
    );
    await untilAborted(options.decide(theirs.name, over.signal), over.signal);
    // It may send long messages as soon as it hears this.
    channel.admit();
    channel.send({ type: 'admit' });
    // It holds a place here by now.
    if (!theirs.waiting) silent = endAfter(promptness);
    await untilAborted(answer, over.signal);
    return { claimedName: theirs.name, group: theirs.group ?? '' };
  } catch (error) {
    const reason =
      error instanceof LocalstreamError ? error : errorOf('INTERNAL', undefined, { cause: error });
    sayBye(channel, reason);
    channel.fail(reason);
    throw reason;
  } finally {
    clearTimeout(late);
    clearTimeout(silent);
    over.abort();
  }
}

async function receiveAnswer(channel: ControlChannel): Promise<void> {
  checkReply(ADMIT, (await channel.receive()).value);
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return Promise.race([promise, aborted]);
}

/** Tells the other side why it ends here, if it can still be told. */
export function sayBye(channel: ControlChannel, reason: LocalstreamError): void {
  try {
    channel.send({ type: 'bye', flag: flagNumber(flagOfError(reason)), detail: publicDetail(reason) });
  } catch {
    // The channel has ended: there is nobody to tell.
  }
}

/** What a peer may read of an error: the text of those that were made for it, nothing of this machine. */
function publicDetail(reason: LocalstreamError): string | undefined {
  return reason.code === 'FULL' || reason.code === 'LOGIN_LATER' ? reason.message : undefined;
}
