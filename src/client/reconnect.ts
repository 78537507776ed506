/** Tries again after a connection broke: soon at first, then less and less often, for as long as is wanted. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorOf, exitOf, type LocalstreamError } from '../errors.ts';
import type { RetryNotice } from '../session/options.ts';
import { typed } from '../session/transfers.ts';

/** Waits in milliseconds: the first, and the longest. Each is half as long again at random, so that many don't come at once. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

export interface RetryOptions {
  /** Why it has to be tried. */
  readonly broken: LocalstreamError;
  /** Milliseconds after which no other try is made. */
  readonly retryFor: number;
  /** Number of the first try: 0 is made at once, and each after it waits longer. */
  readonly attempt: number;
  readonly notice: (next: RetryNotice) => void;
  readonly signal: AbortSignal;
}

/**
 * Calls `open` until it succeeds. Gives up when the time is over, or at an error that waiting does not mend.
 *
 * @throws LOST with the first cause, CANCELLED, or the error that does not mend; with no time the error of the one try.
 */
export async function retry(
  open: () => Promise<void>,
  { broken, retryFor, attempt: first, notice, signal }: RetryOptions,
): Promise<void> {
  const until = performance.now() + retryFor;
  let error = broken;
  let tries = 0;
  for (let attempt = first; ; attempt += 1) {
    if (attempt > 0) {
      const wait = Math.min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT);
      const left = until - performance.now();
      const pause = Math.min(wait * (1 + Math.random() / 2), left);
      if (pause <= 0)
        throw errorOf('LOST', `${broken.message}; gave up after ${tries} tries`, { cause: error });
      const now = Date.now();
      notice({ attempt, at: new Date(now + pause), until: new Date(now + left), error });
      await delay(pause, undefined, { signal }).catch(() => {});
    }
    if (signal.aborted) throw typed(signal.reason);
    tries += 1;
    try {
      await open();
      return;
    } catch (failure) {
      error = typed(failure);
      // Unreachable, full, busy: that may pass. Another key, a refusal: that stays.
      if (exitOf(error.code) !== 4 || retryFor === 0) throw error;
    }
  }
}
