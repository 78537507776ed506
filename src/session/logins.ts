/** A login over a session that is open: C asks with a name and a password, S answers with one word. One at a time. */
import { errorOf, type LocalstreamError } from '../errors.ts';
import { errorFromPeer, flagNumber, flagOfError } from '../protocol/flags.ts';
import type { MessageOf, NamedSibling, Outgoing } from '../protocol/messages.ts';
import { typed } from './transfers.ts';

/** What somebody hears who has logged in. */
export interface LoginAnswer {
  /** The user's, as the server has it. */
  readonly name: string;
  /** Other servers of the same users, whose keys this one vouches for. */
  readonly siblings: readonly NamedSibling[];
}

/** Decides over a name and a password. */
export type LoginHandler = (name: string, password: string) => Promise<LoginAnswer>;

type LoginMessage = MessageOf<'login'> | MessageOf<'welcome'> | MessageOf<'denied'>;

export class LoginExchange {
  readonly #send: (message: Outgoing) => void;
  readonly #handler: LoginHandler | undefined;
  #asked: PromiseWithResolvers<LoginAnswer> | undefined;
  #isServing = false;
  #over: LocalstreamError | undefined;

  /** `handler` answers the peer; absent: nobody can log in here. */
  constructor(send: (message: Outgoing) => void, handler: LoginHandler | undefined) {
    this.#send = send;
    this.#handler = handler;
  }

  /** Sends a name and a password. Throws LOGIN_FAILED, LOGIN_LATER, what else is answered. */
  async ask(name: string, password: string): Promise<LoginAnswer> {
    if (this.#over) throw this.#over;
    if (this.#asked) throw errorOf('BUSY', 'a login is under way');
    const asked = Promise.withResolvers<LoginAnswer>();
    this.#asked = asked;
    try {
      this.#send({ type: 'login', name, password });
      return await asked.promise;
    } finally {
      this.#asked = undefined;
    }
  }

  /** Takes a message about logins. Throws BAD_MESSAGE when the peer may not send it now. */
  take(message: LoginMessage): void {
    if (message.type === 'login') {
      void this.#serve(message);
      return;
    }
    if (!this.#asked) throw errorOf('BAD_MESSAGE', 'the peer answers a login that nobody asked for');
    if (message.type === 'welcome') {
      const { name, siblings = [] } = message;
      this.#asked.resolve({ name, siblings });
    } else this.#asked.reject(errorFromPeer(message.flag, message.detail));
  }

  /** The session is over. */
  end(reason: LocalstreamError): void {
    this.#over = reason;
    this.#asked?.reject(reason);
  }

  async #serve({ name, password }: MessageOf<'login'>): Promise<void> {
    const isFirst = !this.#isServing;
    this.#isServing = true;
    let answer: Outgoing;
    try {
      if (!isFirst) throw errorOf('BUSY', 'a login is under way');
      if (!this.#handler) throw errorOf('NOT_SUPPORTED', 'nobody logs in here');
      const { name: user, siblings } = await this.#handler(name, password);
      const named = siblings.map((sibling) => ({ ...sibling, addresses: [...sibling.addresses] }));
      answer = { type: 'welcome', name: user, ...(named.length > 0 && { siblings: named }) };
    } catch (error) {
      answer = denial(typed(error));
    } finally {
      if (isFirst) this.#isServing = false;
    }
    try {
      this.#send(answer);
    } catch {
      // The session is over, and nobody waits for the answer.
    }
  }
}

/** What is wrong on this machine is none of the peer's business; all other texts were made for it. */
function denial(reason: LocalstreamError): Outgoing {
  const isOurs = reason.code === 'INTERNAL' || reason.code === 'NO_USERS';
  const detail = isOurs ? undefined : reason.message.slice(0, 500);
  return { type: 'denied', flag: flagNumber(flagOfError(reason)), detail };
}
