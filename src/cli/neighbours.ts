/** Names of those on the network, for Tab: looked for from the first time that they are wanted, until a while after the last. */
import type { Browser, Localstream } from '../index.ts';
import { typedName } from './reach.ts';

/** Milliseconds that Tab is held up the first time: whoever is there has mostly answered by then. */
const PATIENCE = 400;
/** Milliseconds after the last Tab, after which nobody is looked for any more. */
const IDLE = 60_000;
const MOST_NAMES = 200;

export class Neighbours implements AsyncDisposable {
  #browser: Promise<Browser> | undefined;
  #since = 0;
  #idle: NodeJS.Timeout | undefined;

  /** The names as they can be typed. Never waits for long, and gives what there is. */
  async names(localstream: Localstream): Promise<string[]> {
    if (localstream.settings.discovery.enabled === 'off') return [];
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#stop(), IDLE).unref();
    if (this.#browser === undefined) this.#since = performance.now();
    this.#browser ??= localstream.discover();
    const browser = await this.#browser;
    const left = this.#since + PATIENCE - performance.now();
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    return browser
      .found()
      .filter(({ own }) => !own)
      .slice(0, MOST_NAMES)
      .map(({ name }) => typedName(name))
      .filter((name) => name !== '');
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#idle);
    const browser = await this.#browser?.catch(() => undefined);
    this.#browser = undefined;
    browser?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}
