/** What whoever began a transfer is told while it runs. An error of theirs ends that transfer, and nothing else. */
import type { TransferOptions } from './options.ts';
import type { Receipt } from './report.ts';

type Callbacks = Pick<TransferOptions, 'signal' | 'onProgress' | 'onTransfer' | 'onRetry' | 'onElsewhere'>;

/**
 * Runs a transfer that is cancelled when one of its callbacks throws, or gives a promise that rejects, and then rejects
 * with that error itself. They are called from timers and sockets, where nobody else would catch it.
 */
export async function guardCallbacks<Options extends Callbacks>(
  options: Options,
  run: (guarded: Options) => Promise<Receipt>,
): Promise<Receipt> {
  const { onProgress, onTransfer, onRetry, onElsewhere } = options;
  const thrown = new AbortController();
  const guard =
    <Told>(tell: (told: Told) => unknown) =>
    (told: Told): void => {
      try {
        // Types let an async function pass for one that gives nothing.
        Promise.resolve(tell(told)).catch((error: unknown) => thrown.abort(error));
      } catch (error) {
        thrown.abort(error);
      }
    };
  const guarded: Options = {
    ...options,
    signal: options.signal ? AbortSignal.any([options.signal, thrown.signal]) : thrown.signal,
    ...(onProgress && { onProgress: guard(onProgress) }),
    ...(onTransfer && { onTransfer: guard(onTransfer) }),
    ...(onRetry && { onRetry: guard(onRetry) }),
    ...(onElsewhere && { onElsewhere: guard(onElsewhere) }),
  };
  try {
    return await run(guarded);
  } finally {
    // Also of one that was whole before it could be cancelled: an error of the caller's is not kept from them.
    thrown.signal.throwIfAborted();
  }
}
