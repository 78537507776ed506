/** Tries again after a connection broke: soon at first, then less and less often, for as long as is wanted. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf, exitOf, type LocalstreamError } from '../errors.ts';
import type { RetryNotice } from '../session/options.ts';
import { typed } from '../session/transfers.ts';

/** Waits in milliseconds: the first, and the longest. Each is half as long again at random, so that many don't come at once. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/**
 * Calls `open` until it succeeds. Gives up when `forMilliseconds` are over, or at an error that waiting does not mend.
 *
 * @throws LOST with the first cause, CANCELLED, or the error that does not mend.
 */
export async function retry(
  open: () => Promise<void>,
  broken: LocalstreamError,
  forMilliseconds: number,
  notice: (next: RetryNotice) => void,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + forMilliseconds;
  let wait = FIRST_WAIT;
  let error = broken;
  for (let attempt = 1; ; attempt += 1) {
    const pause = Math.min(wait * (1 + Math.random() / 2), until - performance.now());
    if (pause <= 0)
      throw errorOf('LOST', `${broken.message}; gave up after ${attempt - 1} tries`, { cause: error });
    notice({ attempt, at: new Date(Date.now() + pause), error });
    await delay(pause, undefined, { signal }).catch(() => {});
    if (signal.aborted) throw typed(signal.reason);
    try {
      await open();
      return;
    } catch (failure) {
      error = typed(failure);
      // Unreachable, full, busy: that may pass. Another key, a refusal: that stays.
      if (exitOf(error.code) !== 4) throw error;
    }
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}
