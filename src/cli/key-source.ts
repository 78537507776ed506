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
