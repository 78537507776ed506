/** SIGINT, SIGTERM and SIGHUP: the first asks the work under way to end, the second ends the process. */
import { errorOf, type LocalstreamError } from '../errors.ts';

const SIGNALS: readonly (readonly [NodeJS.Signals, 'CANCELLED' | 'TERMINATED'])[] = [
  ['SIGINT', 'CANCELLED'],
  ['SIGTERM', 'TERMINATED'],
  // The terminal was closed; whoever reads the status is told the same as by SIGTERM.
  ['SIGHUP', 'TERMINATED'],
];

/** Catches signals until it is disposed of. */
export class Signals implements Disposable {
  readonly #handlers = new Map<NodeJS.Signals, () => void>();
  #count = 0;
  #interrupt: (() => void) | undefined;

  /** @param onFirst Asks the work under way to end. */
  constructor(onFirst: (error: LocalstreamError) => void) {
    for (const [name, code] of SIGNALS) {
      const error = errorOf(code, code === 'CANCELLED' ? 'cancelled' : `ended by ${name}`);
      const handler = () => {
        if (name === 'SIGINT' && this.#interrupt !== undefined) {
          this.#interrupt();
          return;
        }
        this.#count += 1;
        if (this.#count === 1) onFirst(error);
        else this.#endNow(code === 'CANCELLED' ? 'SIGINT' : 'SIGTERM');
      };
      this.#handlers.set(name, handler);
      process.on(name, handler);
    }
  }

  /** Gives SIGINT to the shell until the result is disposed of: there it stops a command, not the process. */
  onInterrupt(handler: () => void): Disposable {
    this.#interrupt = handler;
    return {
      [Symbol.dispose]: () => {
        this.#interrupt = undefined;
      },
    };
  }

  /** As if SIGINT had come. */
  interrupt(): void {
    this.#handlers.get('SIGINT')?.();
  }

  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }

  /**
   * Ends the process where it stands, and leaves the terminal as it was found. By the signal itself: `process.exit` waits
   * for every thread, and one of them may be what hangs.
   */
  #endNow(signal: NodeJS.Signals): void {
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    this[Symbol.dispose]();
    process.kill(process.pid, signal);
  }
}
