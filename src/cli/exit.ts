/** How a run ends: which error it was, and which exit status belongs to it. */
import { errorOf, LocalstreamError, systemCode } from '../errors.ts';

/** How a command came out. */
export interface Ending {
  /** 0 to 6, 130 or 143. */
  readonly status: number;
  /** Undefined after success. */
  readonly error: LocalstreamError | undefined;
}

const DONE: Ending = { status: 0, error: undefined };

/** Any thrown value as one of ours; what is none of ours is a defect and says so. */
export function toLocalstreamError(error: unknown): LocalstreamError {
  if (error instanceof LocalstreamError) return error;
  // Something failed, and then closing what was open failed too: the first is what the person asked about.
  if (error instanceof SuppressedError) return toLocalstreamError(error.suppressed);
  if (error instanceof Error && (error.name === 'AbortError' || systemCode(error) === 'ABORT_ERR')) {
    return error.cause instanceof LocalstreamError
      ? error.cause
      : errorOf('CANCELLED', 'cancelled', { cause: error });
  }
  if (error instanceof Error && systemCode(error)?.startsWith('E') && 'syscall' in error) {
    return errorOf('IO', error.message, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return errorOf('INTERNAL', `this should not have happened: ${message}`, {
    hint: 'please report it, with what --verbose says',
    cause: error,
  });
}

/**
 * The ending of a command that threw.
 * @param signal Of the command: what it was aborted for counts, whatever the abort made of the lower layers.
 */
export function endingOf(error: unknown, signal: AbortSignal): Ending {
  const known = toLocalstreamError(error);
  const isCancelled = known.exit === 130 || known.exit === 143;
  const reason = signal.aborted && isCancelled ? toLocalstreamError(signal.reason) : known;
  return { status: reason.exit, error: reason };
}

/** Runs a command to its ending. Never rejects. */
export async function settle(signal: AbortSignal, run: () => Promise<void>): Promise<Ending> {
  try {
    await run();
    return DONE;
  } catch (error) {
    return endingOf(error, signal);
  }
}
