/** The keys of a terminal on their way to readline, some of which are for somebody else. */
import { Readable } from 'node:stream';

/** A terminal's input as readline wants one. What is passed on is read at once, so that its effect can be looked at. */
export class KeySource extends Readable {
  readonly isTTY = true;
  readonly #input: NodeJS.ReadStream;
  readonly #onData: (chunk: Buffer) => void;
  readonly #onEnd = () => {
    this.push(null);
  };

  constructor(input: NodeJS.ReadStream, take: (chunk: Buffer) => void) {
    super({ read() {} });
    this.#input = input;
    this.#onData = take;
    input.on('data', this.#onData);
    input.on('end', this.#onEnd);
  }

  /** Hands keys to readline, which deals with them before this returns. */
  pass(keys: Buffer | string): void {
    this.emit('data', Buffer.from(keys));
  }

  setRawMode(isRaw: boolean): this {
    this.#input.setRawMode(isRaw);
    return this;
  }

  /**
   * Ctrl-Z. Readline's own answer pauses the keys for good and waits for a SIGCONT, which never comes where the system
   * stops nobody, as in a terminal that was opened for this program alone.
   */
  suspend(): void {
    this.#input.setRawMode(false);
    // The whole group, as the terminal would: a script that has started this must not wait for a stopped program.
    process.kill(0, 'SIGTSTP');
    this.#input.setRawMode(true);
  }

  /** Takes the terminal as it has to be after a stop that was none of ours: the system's shell has set it as it likes it. */
  retake(): void {
    // What is raw already, as far as Node.js knows, is not made so again.
    this.#input.setRawMode(false);
    this.#input.setRawMode(true);
  }

  override pause(): this {
    this.#input.pause();
    return super.pause();
  }

  override resume(): this {
    this.#input.resume();
    return super.resume();
  }

  /** Lets go of the terminal. */
  release(): void {
    this.#input.off('data', this.#onData);
    this.#input.off('end', this.#onEnd);
  }
}
