/** Questions to the person at the terminal, one at a time. inquirer is loaded by the first. */
import { isatty } from 'node:tty';
import { CancelledError, errorOf } from '../errors.ts';
import type { FileOutcome, Offer, TrustAnswer, TrustQuestion } from '../index.ts';
import { formatBytes } from '../protocol/size-text.ts';
import type { Asker, ExistingAnswer } from './asker.ts';
import { toLocalstreamError } from './exit.ts';
import { KeySource } from './key-source.ts';
import type { Output } from './output.ts';
import {
  offerEvent,
  offerLines,
  offerText,
  peerText,
  questionEvent,
  questionLines,
  shownName,
} from './peer-text.ts';
import { textEvent, textFor } from './received-text.ts';
import { formatTime, plural } from './units.ts';

/** Gives the terminal away for as long as `use` runs, so that two readers do not fight for the keys. */
export type Borrow = <Result>(use: () => Promise<Result>) => Promise<Result>;

/** Whether there is a person: both where answers come from and where questions go must be a terminal. */
export function canAsk(): boolean {
  // Not by process.stdin, which opens it for reading.
  return isatty(0) && isatty(2);
}

/** What an asker at a terminal works with. */
export interface AskerOptions {
  readonly output: Output;
  readonly borrow: Borrow;
  /** Ctrl-C within a question, which the terminal tells nobody else: it is meant for the command. */
  readonly onInterrupt: () => void;
}

/** An asker that puts its questions on the terminal, one after the other. */
export function terminalAsker({ output, borrow, onInterrupt }: AskerOptions): Required<Omit<Asker, 'text'>> {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(signal: AbortSignal, ask: () => Promise<Result>): Promise<Result> => {
    const turn = last.then(() => {
      signal.throwIfAborted();
      return borrow(ask).catch((error: unknown) => {
        if (error instanceof CancelledError && !signal.aborted) onInterrupt();
        throw error;
      });
    });
    last = turn.catch(() => {});
    return turn;
  };
  const trust = (question: TrustQuestion, signal: AbortSignal) =>
    inTurn(signal, () => {
      output.event(questionEvent(question, 'here', null));
      return askTrust(question, signal);
    });
  return {
    server: trust,
    client: trust,
    offer: (offer, signal) =>
      inTurn(signal, () => {
        output.event(offerEvent(offer));
        return askOffer(offer, signal);
      }),
    inbox: (offer, listener) => {
      const { signal } = offer;
      const asked = inTurn(signal, () => {
        output.event(offerEvent(offer, { listener }));
        process.stderr.write(`${offerLines(offer).join('\n')}\n`);
        return askOffer(offer, signal);
      });
      void asked.then((isTaken) => answerOffer(offer, isTaken, output)).catch(() => {});
    },
    code: (signal) =>
      inTurn(signal, async () => {
        const { askCode } = await import('./code-question.ts');
        return await prompting(signal, askCode);
      }),
    leave: (question, signal) => inTurn(signal, () => askYes(question, signal, false)),
    password: (message, signal) => inTurn(signal, () => askPassword(message, signal)),
    confirm: (question, signal) => inTurn(signal, () => askYes(question, signal, false)),
    existing: (differing, others, signal) => inTurn(signal, () => askExisting(differing, others, signal)),
  };
}

/** What fails once it has begun is told by whoever follows the listener. */
async function answerOffer(offer: Offer, isTaken: boolean, output: Output): Promise<void> {
  if (!isTaken) return await offer.reject();
  let isBegun = false;
  const onTransfer = () => {
    isBegun = true;
  };
  try {
    if (offer.text) {
      const { text } = await offer.read({ onTransfer });
      output.result(textEvent(offer, text), () => textFor(output, text));
    } else await offer.accept(undefined, { onTransfer });
  } catch (error) {
    if (isBegun) return;
    await offer.reject();
    output.error(toLocalstreamError(error));
  }
}

const ANSWERS: Record<TrustQuestion['role'], readonly { name: string; value: TrustAnswer }[]> = {
  server: [
    { name: 'no, hang up', value: 'reject' },
    { name: 'yes, this once', value: 'once' },
    { name: 'yes, and remember this key', value: 'trust' },
  ],
  client: [
    { name: 'no, turn it away', value: 'reject' },
    { name: 'yes, this once', value: 'once' },
    { name: 'yes, and always from now on', value: 'trust' },
  ],
};

async function askTrust(question: TrustQuestion, signal: AbortSignal): Promise<TrustAnswer> {
  const { role } = question;
  process.stderr.write(`unknown ${role}\n${questionLines(question).join('\n')}\n`);
  const message = role === 'server' ? 'Connect to it?' : 'Let it in?';
  const { answer } = await prompting(signal, (prompt) =>
    prompt([{ type: 'select', name: 'answer', message, choices: ANSWERS[role], default: 'reject' as const }]),
  );
  return answer;
}

async function askPassword(message: string, signal: AbortSignal): Promise<string> {
  const { answer } = await prompting(signal, (prompt) =>
    prompt([{ type: 'password', name: 'answer', message, mask: false }]),
  );
  return answer;
}

async function askOffer(offer: Offer, signal: AbortSignal): Promise<boolean> {
  return await askYes(`${peerText(offer.from)} offers ${offerText(offer)}. Take it?`, signal, true);
}

async function askYes(message: string, signal: AbortSignal, byDefault: boolean): Promise<boolean> {
  const { answer } = await prompting(signal, (prompt) =>
    prompt([{ type: 'confirm', name: 'answer', message, default: byDefault }]),
  );
  return answer;
}

const POLICIES = [
  { name: 'leave it', value: 'skip' },
  { name: 'replace it', value: 'overwrite' },
  { name: 'keep both, the new one under another name', value: 'rename' },
] as const;

/** What the two files are, as far as it is known here. */
function versionLines({ size, mtime, there }: FileOutcome): string[] {
  const lines: string[] = [];
  if (there) lines.push(`  there  ${formatBytes(there.size)}, ${formatTime(there.mtime)}`);
  if (mtime) lines.push(`  new    ${formatBytes(size)}, ${formatTime(mtime)}`);
  return lines;
}

async function askExisting(
  differing: FileOutcome,
  others: number,
  signal: AbortSignal,
): Promise<ExistingAnswer> {
  for (const line of versionLines(differing)) process.stderr.write(`${line}\n`);
  const message = `${shownName(differing.path)} is there and differs.`;
  const { policy } = await prompting(signal, (prompt) =>
    prompt([{ type: 'select', name: 'policy', message, choices: [...POLICIES], default: 'skip' as const }]),
  );
  if (others === 0) return { policy, all: false };
  const { all } = await prompting(signal, (prompt) =>
    prompt([
      {
        type: 'confirm',
        name: 'all',
        message: `The same for ${plural(others, 'other file')}?`,
        default: false,
      },
    ]),
  );
  return { policy, all };
}

const CTRL_Z = Buffer.of(0x1a);

type Prompt = ReturnType<typeof import('inquirer').createPromptModule>;

async function prompting<Result>(
  signal: AbortSignal,
  ask: (prompt: Prompt) => PromiseLike<Result>,
): Promise<Result> {
  const { createPromptModule } = await import('inquirer');
  signal.throwIfAborted();
  const input = new KeySource(process.stdin, (keys) => {
    if (keys.equals(CTRL_Z)) input.suspend();
    else input.pass(keys);
  });
  const onContinue = () => input.retake();
  process.on('SIGCONT', onContinue);
  try {
    return await ask(createPromptModule({ input, output: process.stderr, signal }));
  } catch (error) {
    signal.throwIfAborted();
    // Ctrl-C within a question, which inquirer keeps for itself.
    if (error instanceof Error && error.name === 'ExitPromptError') {
      throw errorOf('CANCELLED', 'cancelled', { cause: error });
    }
    throw error;
  } finally {
    process.off('SIGCONT', onContinue);
    input.release();
  }
}
