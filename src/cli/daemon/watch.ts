/** Follows what happens in the server of the home, for a shell: who comes, who asks, which ports are open. */
import type { Socket } from 'node:net';
import type { OutputEvent } from '../events.ts';
import { MOST_ANSWER_BYTES, REQUEST, readLines, readNews, type ServerState, sendLine } from './messages.ts';
import { findServer } from './remote.ts';

/** Is told what happens. */
export interface WatchEvents {
  note(text: string, event: OutputEvent | null): void;
  /** Other ports are open, or the server has ended. */
  changed(): void;
}

/** A server that is followed until the result is disposed of. */
export class Watch implements Disposable {
  readonly #socket: Socket;
  #state: ServerState = { pid: 0, ports: [] };
  #isGone = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Follows the server of a home; undefined where none is running. Throws STATE. */
  static async begin(home: string | undefined, events: WatchEvents): Promise<Watch | undefined> {
    const socket = await findServer(home);
    if (socket === undefined) return undefined;
    const { promise, resolve } = Promise.withResolvers<Watch | undefined>();
    const watch = new Watch(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      watch.#isGone = true;
      resolve(undefined);
      if (watch.#state.pid !== 0) events.changed();
    });
    const take = (value: unknown) => {
      const news = readNews(value);
      if ('state' in news) {
        watch.#state = news.state;
        resolve(watch);
        events.changed();
      } else if (news.note !== '' && news.event?.event !== 'job') {
        // Who has something sent is shown that; the others look at jobs.
        events.note(news.note, news.event);
      }
    };
    readLines(socket, MOST_ANSWER_BYTES, take, () => socket.destroy());
    sendLine(socket, { ...REQUEST, watch: true });
    return await promise;
  }

  /** As it is known last. */
  get state(): ServerState {
    return this.#state;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  [Symbol.dispose](): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }
}
